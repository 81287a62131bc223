"""The kind of host in a mint's address: a host on the internet, or one in the local network."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_LOCAL_NAMES = (
    *("localhost", "local", "internal", "localdomain", "intranet", "lan", "home", "corp", "private"),
    "home.arpa",
)
_NUMBER = re.compile(r"0x[0-9a-f]*|[0-9]+")
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.IPv6Network("64:ff9b:1::/48")
_COMPATIBLE = ipaddress.IPv6Network("::/96")


def is_neighbour(mint_url: str) -> bool:
    """Whether the host is no public one: a private, loopback, link-local or otherwise reserved address in any
    spelling (also inside IPv6, and as decimal, octal or hexadecimal numbers), or a name that only exists in a
    local network (one label, or ending in localhost, local, internal and the like). Nothing is resolved."""
    host = (urlsplit(mint_url).hostname or "").rstrip(".")
    if ":" in host:
        return _is_reserved_v6(host)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # a resolver reads an IPv4 address
        number = _v4_number(labels)
        return number is None or _is_reserved(ipaddress.IPv4Address(number))
    return len(labels) < 2 or any(host == name or host.endswith(f".{name}") for name in _LOCAL_NAMES)


def _v4_number(labels: list[str]) -> int | None:
    """The address as inet_aton reads it: one to four numbers, the last one fills what is left. None for what
    is no address."""
    if len(labels) > 4 or not all(_NUMBER.fullmatch(label) for label in labels):
        return None
    try:
        *heads, last = [_number(label) for label in labels]
    except ValueError:
        return None
    if any(head > 255 for head in heads) or last >= 256 ** (4 - len(heads)):
        return None
    return sum(head << 8 * (3 - i) for i, head in enumerate(heads)) + last


def _number(label: str) -> int:
    if label.startswith("0x"):
        return int(label[2:] or "0", 16)
    return int(label, 8) if label.startswith("0") else int(label)


def _is_reserved_v6(host: str) -> bool:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        return True  # not an address, and no name either
    inside = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
    if inside is None and (address in _NAT64 or address in _COMPATIBLE):
        inside = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if inside is not None:
        return _is_reserved(inside)
    return _is_reserved(address) or address.is_site_local or address in _NAT64_LOCAL


def _is_reserved(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return not address.is_global or address.is_multicast
