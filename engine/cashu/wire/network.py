"""Connections to mints: one deadline and one byte budget for a whole exchange, own connections per mint.

The timeouts of an HTTP client are per read: a mint that sends one byte a second, or 1xx answers without end,
keeps a thread busy for ever. Here every read and write gets what is left of the exchange, whose deadline the
calling thread carries; so no exchange needs a thread of its own.
"""

from __future__ import annotations

import selectors
import socket
import ssl
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx
from attrs import define

ADDRESSES_MAX = 4
"""Addresses of one host that are tried."""
KEEPALIVE_S = 2.0
"""Servers close idle connections after 5 s; a write that meets that moment is Ambiguous."""


@define
class Budget:
    """The remaining time and bytes of this thread's exchange."""

    deadline: float  # monotonic
    bytes: int
    monotonic: Callable[[], float]

    def seconds(self, timeout: float | None) -> float:
        """The timeout of the next step. TimeoutError when nothing is left."""
        left = self.deadline - self.monotonic()
        if left <= 0:
            raise TimeoutError("the exchange takes too long")
        return left if timeout is None else min(timeout, left)

    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.monotonic() >= self.deadline

    def count(self, received: int) -> None:
        """OSError when more came than the exchange may bring."""
        self.bytes -= received
        if self.bytes < 0:
            raise OSError("the answer is too large")


_exchange = threading.local()


@contextmanager
def exchange(
    seconds: float, bytes_max: int, monotonic: Callable[[], float] = time.monotonic
) -> Iterator[Budget]:
    """One exchange of this thread: everything in it ends after ``seconds`` and ``bytes_max`` bytes."""
    budget = _exchange.budget = Budget(monotonic() + seconds, bytes_max, monotonic)
    try:
        yield budget
    finally:
        _exchange.budget = None


def _left(timeout: float | None) -> float | None:
    budget: Budget | None = getattr(_exchange, "budget", None)
    return timeout if budget is None else budget.seconds(timeout)


class Deadlined(httpcore.NetworkBackend):
    """TCP connections whose every step is bounded by the exchange it is part of."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers. Only the resolver bounds the look-up of a name."""
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[:ADDRESSES_MAX]
            until = time.monotonic() + timeout if timeout is not None else None
            problem: OSError = OSError("no address")
            for family, kind, protocol, _, address in found:
                left = _left(None if until is None else max(0.001, until - time.monotonic()))
                connection = socket.socket(family, kind, protocol)
                try:
                    connection.settimeout(left)
                    connection.connect(address)
                    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return _Stream(connection)
                except OSError as error:
                    connection.close()
                    problem = error
            raise problem


class _Stream(httpcore.NetworkStream):
    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _told(httpcore.ReadTimeout, httpcore.ReadError):
            self._socket.settimeout(_left(timeout))
            received = self._socket.recv(max_bytes)
            budget: Budget | None = getattr(_exchange, "budget", None)
            if budget is not None:
                budget.count(len(received))
            return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _told(httpcore.WriteTimeout, httpcore.WriteError):
            self._socket.settimeout(_left(timeout))
            self._socket.sendall(buffer)  # the timeout is that of all of it

    def close(self) -> None:
        self._socket.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _told(httpcore.ConnectTimeout, httpcore.ConnectError):
            try:
                self._socket.settimeout(_left(timeout))
                return _Stream(ssl_context.wrap_socket(self._socket, server_hostname=server_hostname))
            except BaseException:
                self.close()
                raise

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return getattr(self._socket, "_sslobj", None)
        if info == "is_readable":
            return _is_readable(self._socket)
        return {"socket": self._socket}.get(info)


def _is_readable(connection: socket.socket) -> bool:
    """Whether something, or the end, has arrived on an idle connection."""
    if connection.fileno() < 0:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return bool(selector.select(0))


@contextmanager
def _told(timeout: type[Exception], error: type[Exception]) -> Iterator[None]:
    """Raise errors of the operating system as errors of the HTTP client."""
    try:
        yield
    except TimeoutError as problem:
        raise timeout(str(problem)) from None
    except (OSError, UnicodeError, ValueError) as problem:
        raise error(str(problem)) from None


@define
class _Mint:
    pool: httpcore.ConnectionPool
    busy: int = 0


class PerMint(httpx.BaseTransport):
    """An HTTP transport with a pool of connections for each mint, so that one mint that keeps its callers
    waiting takes no connection from another. ``connections_max`` is per mint; the pools of at most
    ``mints_max`` mints are kept, the longest unused goes first."""

    def __init__(self, connections_max: int, mints_max: int) -> None:
        self._connections_max, self._mints_max = connections_max, mints_max
        self._tls = httpx.create_ssl_context(trust_env=False)
        self._lock = threading.Lock()
        self._mints: OrderedDict[tuple[str, str, int | None], _Mint] = OrderedDict()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request. The errors are those of httpx."""
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("not an address")
        mint = self._taken((url.scheme, url.host, url.port))
        try:
            with _as_httpx():
                answer = mint.pool.handle_request(
                    httpcore.Request(
                        method=request.method,
                        url=httpcore.URL(
                            scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path
                        ),
                        headers=request.headers.raw,
                        content=request.stream,
                        extensions=request.extensions,
                    )
                )
        except BaseException:
            self._done(mint)
            raise
        return httpx.Response(
            answer.status,
            headers=answer.headers,
            stream=_Body(answer, lambda: self._done(mint)),
            extensions=answer.extensions,
        )

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            mints, self._mints = list(self._mints.values()), OrderedDict()
        for mint in mints:
            mint.pool.close()

    def _taken(self, address: tuple[str, str, int | None]) -> _Mint:
        with self._lock:
            mint = self._mints.get(address)
            if mint is None:
                mint = self._mints[address] = _Mint(
                    httpcore.ConnectionPool(
                        ssl_context=self._tls,
                        max_connections=self._connections_max,
                        max_keepalive_connections=self._connections_max,
                        keepalive_expiry=KEEPALIVE_S,
                        network_backend=Deadlined(),
                    )
                )
            self._mints.move_to_end(address)
            mint.busy += 1
            idle = [key for key, other in self._mints.items() if not other.busy]
            surplus = [self._mints.pop(key) for key in idle[: max(0, len(self._mints) - self._mints_max)]]
        for old in surplus:
            old.pool.close()
        return mint

    def _done(self, mint: _Mint) -> None:
        with self._lock:
            mint.busy -= 1


class _Body(httpx.SyncByteStream):
    def __init__(self, answer: httpcore.Response, done: Callable[[], None]) -> None:
        self._answer, self._done = answer, done

    def __iter__(self) -> Iterator[bytes]:
        with _as_httpx():
            yield from self._answer.iter_stream()

    def close(self) -> None:
        done, self._done = self._done, lambda: None
        try:
            self._answer.close()
        finally:
            done()


@contextmanager
def _as_httpx() -> Iterator[None]:
    """The errors of httpcore by the names they have in httpx."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "httpcore":
            raise
        kind = getattr(httpx, type(error).__name__, httpx.TransportError)
        raise kind(str(error)) from None
