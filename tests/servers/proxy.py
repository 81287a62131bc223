"""A small fault proxy on loopback, between the engine and a mint, for faults no mint will make."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

UPSTREAM_TIMEOUT_S = 70.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what this proxy is for."""


class FaultProxy:
    """``with FaultProxy(mint.url) as proxy: proxy.next("drop_answer"); HttpMint().melt(proxy.url, body)``.

    Faults are used up in order, one per request; without one a request is passed on. ``only`` limits
    a fault to requests whose path starts with it. Kinds:

    - ``drop_request``: the connection is reset, the mint never sees the request
    - ``drop_answer``: the mint answers, the client sees a reset
    - ``hang``: the mint answers, the client sees nothing until ``argument`` seconds later, then a reset
    - ``delay``: the request reaches the mint ``argument`` seconds late
    - ``cut``: the body ends after ``argument`` bytes, the length says more
    - ``double``: the mint gets the request twice, the client the second answer
    - ``status``: the mint answers, the client sees this status with an HTML body
    """

    KINDS = frozenset({"drop_request", "drop_answer", "hang", "delay", "cut", "double", "status"})

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.requests: list[str] = []
        self._faults: deque[tuple[str, float, str]] = deque()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def next(self, kind: str, argument: float = 0, *, only: str = "/") -> None:
        """Queue a fault for the next request whose path starts with ``only``."""
        if kind not in self.KINDS:
            raise ValueError(f"no such fault: {kind}")
        with self._lock:
            self._faults.append((kind, argument, only))

    def take(self, method: str, path: str) -> tuple[str, float]:
        """The fault of this request, or ("", 0)."""
        with self._lock:
            self.requests.append(f"{method} {path}")
            for fault in self._faults:
                if path.startswith(fault[2]):
                    self._faults.remove(fault)
                    return fault[:2]
        return "", 0

    def forward(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        """Ask the mint: (status, content type, body)."""
        connection = http.client.HTTPConnection(*self.upstream, timeout=UPSTREAM_TIMEOUT_S)
        try:
            connection.request(method, path, body or None, headers)
            response = connection.getresponse()
            return response.status, response.getheader("content-type", ""), response.read()
        finally:
            connection.close()

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _handler(proxy: FaultProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def log_message(self, format: str, *args: Any) -> None:
            """Bodies and paths hold secrets; nothing is logged."""

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            fault, argument = proxy.take(self.command, self.path)
            if fault == "drop_request":
                self._reset()
                return
            if fault == "delay":
                time.sleep(argument)
            headers = {name: self.headers[name] for name in ("content-type", "accept") if self.headers[name]}
            try:
                if fault == "double":
                    proxy.forward(self.command, self.path, headers, body)
                status, content_type, answer = proxy.forward(self.command, self.path, headers, body)
            except OSError:
                self._reset()
                return
            if fault == "hang":
                time.sleep(argument)
            if fault in ("drop_answer", "hang"):
                self._reset()
                return
            if fault == "status":
                status, content_type, answer = int(argument), "text/html", b"<html>Bad gateway</html>"
            self._answer(status, content_type, answer, int(argument) if fault == "cut" else None)

        def _answer(self, status: int, content_type: str, answer: bytes, cut: int | None) -> None:
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer if cut is None else answer[:cut])
            if cut is not None:
                self._reset()

        def _reset(self) -> None:
            self.wfile.flush()
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

    return Handler
