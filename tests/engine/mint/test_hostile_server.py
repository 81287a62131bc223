"""A mint that wears its callers out: one deadline, one byte budget, connections of its own.

No time is measured. Each server gives up after a while and then answers well; an adapter without the bound
would take that answer for a value.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from nutstate.engine.cashu.port import Ambiguous, BlindedMessage, MintInfo, Unreachable, is_value
from nutstate.engine.cashu.wire.http import ANSWER_BYTES, ITEM_BYTES, HttpMint
from nutstate.engine.cashu.wire.network import PerMint
from nutstate.storage.secret import Secret

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
URL = "https://mint.example"
WELL = b'content-type: application/json\r\ncontent-length: 11\r\n\r\n{"nuts":{}}'
OK = b"HTTP/1.1 200 OK\r\n" + WELL
STEP_S = 0.02
STEPS = 250
Serve = Callable[[socket.socket, threading.Event], None]


@contextmanager
def server(serve: Serve) -> Iterator[str]:
    """A server that treats every connection in this way, until the test is over."""
    over = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    threads: list[threading.Thread] = []

    def one(connection: socket.socket) -> None:
        with connection:
            try:
                connection.recv(65536)
                serve(connection, over)
            except OSError:
                return  # the client has had enough

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=one, args=(connection,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in (accepting, *threads):
            thread.join(5)


def dripping(first: bytes, drop: bytes, last: bytes) -> Serve:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(first)
        for _ in range(STEPS):
            if over.wait(STEP_S):
                return
            connection.sendall(drop)
        connection.sendall(last)

    return serve


def pouring(first: bytes, drop: bytes, times: int, last: bytes) -> Serve:
    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(first)
        for _ in range(times):
            if over.is_set():
                return
            connection.sendall(drop)
        connection.sendall(last)

    return serve


HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
SLOW: dict[str, Serve] = {
    "a status line, letter by letter": dripping(b"HTTP/1.1 200 ", b"O", b"\r\n" + WELL),
    "headers, letter by letter": dripping(b"HTTP/1.1 200 OK\r\nx: ", b"a", b"\r\n" + WELL),
    "headers, one by one": dripping(b"HTTP/1.1 200 OK\r\n", b"x: a\r\n", WELL),
    "1xx answers": dripping(b"", HINT, OK),
    "a body, letter by letter": dripping(
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (STEPS + 11), b" ", b'{"nuts":{}}'
    ),
    "chunks": dripping(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1\r\n \r\n",
        b'b\r\n{"nuts":{}}\r\n0\r\n\r\n',
    ),
    "chunk extensions": dripping(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb;", b"a", b'\r\n{"nuts":{}}\r\n0\r\n\r\n'
    ),
    "trailers": dripping(
        b'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nb\r\n{"nuts":{}}\r\n0\r\n',
        b"x: a\r\n",
        b"\r\n",
    ),
}


@pytest.mark.parametrize("serve", SLOW.values(), ids=SLOW)
def test_one_deadline_for_the_whole_exchange(serve: Serve) -> None:
    """R197: every read succeeds well within the timeout; together they take too long."""
    with server(serve) as url, HttpMint(read_s=0.3) as mint:
        assert isinstance(mint.info(url), Ambiguous)
        assert isinstance(mint.melt(url, Secret("{}")), Ambiguous)


HUGE: dict[str, Serve] = {
    "a header": pouring(b"HTTP/1.1 200 OK\r\nx: ", b"a" * 10_000, 300, b"\r\n" + WELL),
    "headers": pouring(b"HTTP/1.1 200 OK\r\n", b"x: a\r\n" * 1000, 500, WELL),
    "1xx answers": pouring(b"", HINT * 200, 500, OK),
    "a body": pouring(
        b"HTTP/1.1 200 OK\r\ncontent-length: 3000011\r\n\r\n", b" " * 10_000, 300, b'{"nuts":{}}'
    ),
    "chunks": pouring(
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        b"1\r\n \r\n" * 1000,
        1100,
        b'b\r\n{"nuts":{}}\r\n0\r\n\r\n',
    ),
}


@pytest.mark.parametrize("serve", HUGE.values(), ids=HUGE)
def test_nothing_is_read_without_end(serve: Serve) -> None:
    """R199: headers, 1xx answers and chunk sizes count like the body."""
    with server(serve) as url, HttpMint(read_s=60) as mint:
        assert isinstance(mint.info(url), Ambiguous)


def test_the_clock_of_the_deadline_is_the_given_one() -> None:
    """R197: a clock that jumps ends the exchange although every byte came at once."""
    readings = iter([0.0, *[1000.0] * 100])

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK)

    with server(serve) as url, HttpMint(monotonic=lambda: next(readings)) as mint:
        assert isinstance(mint.info(url), Unreachable), "no time is left to connect: nothing was sent"
    with server(serve) as url, HttpMint() as mint:
        assert mint.info(url) == MintInfo("", "", {})


def test_one_mint_takes_no_connection_from_another() -> None:
    """R198: every connection to the one waits, the other is asked at once."""

    def hang(connection: socket.socket, over: threading.Event) -> None:
        over.wait()

    def serve(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(OK)

    with (
        server(hang) as slow,
        server(serve) as quick,
        HttpMint(connect_s=0.2, read_s=30, connections_max=2) as mint,
    ):
        started = threading.Semaphore(0)

        def ask() -> None:
            started.release()
            mint.info(slow)

        waiting = [threading.Thread(target=ask, daemon=True) for _ in range(2)]
        for thread in waiting:
            thread.start()
            started.acquire()
        while not isinstance(mint.info(slow), Unreachable):
            pass  # until both connections are taken: a third caller is told that nothing was sent
        assert is_value(mint.info(quick))


def test_connections_are_kept_for_a_bounded_number_of_mints() -> None:
    """R198: the longest unused go first; those in use stay."""
    transport = PerMint(connections_max=2, mints_max=3)
    taken = [transport._taken(("https", f"mint{i}.example", None)) for i in range(5)]
    assert len(transport._mints) == 5, "all are in use"
    for mint in taken:
        transport._done(mint)
    again = transport._taken(("https", "mint0.example", None))
    assert again is taken[0] and len(transport._mints) == 3
    transport._done(again)
    transport.close()
    assert not transport._mints


def answering(size: int, status: int = 200) -> HttpMint:
    body = b'{"detail":"x","nuts":{}, "pad":"' + b" " * size + b'"}'
    return HttpMint(transport=httpx.MockTransport(lambda request: httpx.Response(status, content=body)))


def detail(answer: Any) -> str:
    assert isinstance(answer, Ambiguous)
    return answer.detail


def test_an_answer_is_no_longer_than_what_was_asked() -> None:
    """R199: the bound follows from the kind of answer and the number of items asked about."""
    large = "answer too large"
    with answering(ANSWER_BYTES) as mint:
        assert detail(mint.mint_quote_state(URL, "q")) == large
        assert detail(mint.melt_quote(URL, Secret("ln"), "sat")) == large
        assert detail(mint.mint_quote(URL, 1, "sat")) == large
        assert detail(mint.melt(URL, Secret('{"quote":"q"}'))) == large
        assert detail(mint.swap(URL, Secret("{}"))) == large
        assert detail(mint.mint(URL, Secret("{}"))) == large
        assert detail(mint.check_states(URL, [G])) != large
        assert is_value(mint.info(URL))
    with answering(ANSWER_BYTES + 2 * ITEM_BYTES) as mint:
        assert detail(mint.check_states(URL, [G])) == large
        assert detail(mint.restore(URL, [BlindedMessage("00ad268c4d1f5826", 1, G)])) == large
        assert detail(mint.check_states(URL, [G] * 3)) != large
        assert detail(mint.swap(URL, Secret('{"outputs":[{"B_":1},{"B_":1},{"B_":1}]}'))) != large
    with answering(2_000_000) as mint:
        assert detail(mint.info(URL)) == large and detail(mint.keysets(URL)) == large
        assert detail(mint.melt_quote_state(URL, "q")) == large
    with answering(ANSWER_BYTES, 400) as mint:
        assert detail(mint.mint_quote_state(URL, "q")) == large, "an error page, too"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_mint_that_has_moved(status: int) -> None:
    """R200: told with the new host, never followed, without the path, which may name a quote."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        where = "https://new.example:8443/v1/melt/quote/bolt11/0123456789abcdef0123456789abcdef"
        return httpx.Response(status, headers={"location": where}, json={"quote": "q", "state": "PAID"})

    with HttpMint(transport=httpx.MockTransport(answer)) as mint:
        told = mint.melt(URL, Secret("{}"))
    assert isinstance(told, Ambiguous) and told.status == status and len(asked) == 1
    assert "https://new.example" in told.detail and "0123456789" not in told.detail


@pytest.mark.parametrize(
    "location", ["", "/there", "http://[", "\udcff", "x" * 5000, "https://\x00/"], ids=repr
)
def test_a_mint_that_does_not_say_where_it_has_moved(location: str) -> None:
    """R195, R200: whatever the header says."""
    headers = [(b"location", location.encode("utf-8", "surrogateescape"))]
    transport = httpx.MockTransport(lambda request: httpx.Response(301, headers=headers))
    with HttpMint(transport=transport) as mint:
        told = mint.info(URL)
    assert isinstance(told, Ambiguous) and len(told.detail) < 400 and told.detail.isprintable()
