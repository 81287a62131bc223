"""The kinds of operation that every engine knows."""

from __future__ import annotations

from ..loop.kinds import Kinds
from .check.kind import CHECK_KIND
from .deposit.kind import DEPOSIT_KIND
from .melt.kind import MELT_KIND
from .mint.kind import MINT_KIND
from .receive.kind import RECEIVE_KIND
from .record.kind import RECORD_KIND
from .swap.kind import SWAP_KIND

BUILT_IN = Kinds(MELT_KIND, RECORD_KIND, MINT_KIND, SWAP_KIND, RECEIVE_KIND, DEPOSIT_KIND, CHECK_KIND)
