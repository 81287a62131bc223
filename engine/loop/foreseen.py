"""The event of an action that reads back, before anything is committed."""

from __future__ import annotations

from attrs import frozen

from ...storage.read_back import ReadBack
from .drive import Happened


@frozen
class Foreseen:
    """The event that an action which only reads back gives, if the store holds what is staged. ``read_back``
    proves it inside the commit."""

    happened: Happened
    read_back: ReadBack
