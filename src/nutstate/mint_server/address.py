"""Where a mint server listens."""

from __future__ import annotations

import socket

from .errors import MintServerUnavailable


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; port 0 is any free one. MintServerUnavailable if it is taken."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
        bound.listen(2048)  # a client that comes before the server is up only waits
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise MintServerUnavailable(
            f"cannot listen on {host} port {port}: {why}; name another with --host and --port"
        ) from None
    return bound


def url_of(bound: socket.socket) -> str:
    """The address of a bound socket as a URL."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def free_port(host: str) -> int:
    """A port of the host that was free a moment ago, for a program that takes no bound socket."""
    with listen(host, 0) as bound:
        port: int = bound.getsockname()[1]
    return port
