"""The address of a mint in one spelling: two texts name the same mint if their spellings are equal."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

ADDRESS_CHARS_MAX = 500
_HOST = re.compile(r"[a-z0-9._:\-]+")


def one_spelling(value: object) -> str:
    """An http or https address without user, query, fragment or dot segments: lower case host without
    trailing dot, no default port, no doubled or trailing slash. Raises ValueError for anything else."""
    if (
        not isinstance(value, str)
        or len(value) > ADDRESS_CHARS_MAX
        or not value.isprintable()
        or " " in value
    ):
        raise ValueError("not an address")
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("not an http or https address")
    if "@" in parts.netloc or parts.query or parts.fragment or "#" in value or "?" in value:
        raise ValueError("more than an address")
    host = parts.hostname.rstrip(".")
    if not host or not _HOST.fullmatch(host) or ".." in parts.path.split("/") or "." in parts.path.split("/"):
        raise ValueError("not the address of a host")
    default = {"http": 80, "https": 443}[parts.scheme]
    port = "" if parts.port in (None, default) else f":{parts.port}"
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{port}{re.sub('/+', '/', parts.path)}".rstrip("/")
