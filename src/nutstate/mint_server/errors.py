"""The errors of the mint server, each with a stable code."""

from __future__ import annotations

from ..storage.errors import NutstateError


class MintServerError(NutstateError):
    """The base of the errors of the mint server."""

    family = "Refused"
    code = "MINT_SERVER_REFUSED"


class InvalidAdminRequest(MintServerError):
    """A request to the admin path is malformed; nothing was changed."""

    code = "INVALID_ADMIN_REQUEST"


class AdminNotAllowed(MintServerError):
    """The admin path is off, or the request does not carry its token."""

    code = "ADMIN_NOT_ALLOWED"


class AdminNotPossible(MintServerError):
    """The mint has no such quote, payment or keyset, or its state does not allow the change."""

    code = "ADMIN_NOT_POSSIBLE"


class MintFileDiffers(MintServerError):
    """The file of the mint was made with another seed, unit or fee."""

    code = "MINT_FILE_DIFFERS"


class ExtraMissing(MintServerError):
    """An optional part of the package is not installed."""

    code = "EXTRA_MISSING"


class MintServerUnavailable(MintServerError):
    """The server cannot start: its address is taken, or the real mint cannot be installed or started."""

    code = "MINT_SERVER_UNAVAILABLE"
