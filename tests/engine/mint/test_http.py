"""The HTTP adapter under every kind of bad weather: a typed answer, never an exception."""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.port import (
    Ambiguous,
    Answer,
    BlindedMessage,
    MeltQuote,
    MintPort,
    Refused,
    Restored,
    Unreachable,
    is_value,
)
from nutstate.engine.cashu.wire import bodies
from nutstate.engine.cashu.wire.http import ITEMS_PER_REQUEST_MAX, HttpMint
from nutstate.engine.loop.asking import checked
from nutstate.storage.secret import Secret
from tests.support.cases import every

G = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
ID = "009a1f293253e41e"
URL = "https://mint.example/sub/"
BODY = Secret('{"quote":"q","inputs":[]}')
QUOTE = {"quote": "q", "amount": 1, "fee_reserve": 0, "state": "PAID", "expiry": None}

CALLS: dict[str, Callable[[MintPort], Answer[Any]]] = {
    "info": lambda m: m.info(URL),
    "keysets": lambda m: m.keysets(URL),
    "keys": lambda m: m.keys(URL, ID),
    "melt_quote": lambda m: m.melt_quote(URL, Secret("lnbc1"), "sat"),
    "melt_quote_state": lambda m: m.melt_quote_state(URL, "q"),
    "melt": lambda m: m.melt(URL, BODY),
    "check_states": lambda m: m.check_states(URL, [G]),
    "swap": lambda m: m.swap(URL, BODY),
    "restore": lambda m: m.restore(URL, [BlindedMessage(ID, 0, G)]),
    "mint_quote": lambda m: m.mint_quote(URL, 5, "sat"),
    "mint_quote_state": lambda m: m.mint_quote_state(URL, "q"),
    "mint": lambda m: m.mint(URL, BODY),
}


def with_answer(answer: Callable[[httpx.Request], httpx.Response], **keywords: Any) -> HttpMint:
    return HttpMint(transport=httpx.MockTransport(answer), **keywords)


def always(*args: Any, **keywords: Any) -> Callable[[httpx.Request], httpx.Response]:
    return lambda request: httpx.Response(*args, **keywords)


def raising(error: type[Exception]) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        raise error("secret-marker")

    return answer


@every("name", CALLS)
@every(
    ("error", "kind"),
    [
        (httpx.ConnectError, Unreachable),
        (httpx.ConnectTimeout, Unreachable),
        (httpx.PoolTimeout, Unreachable),
        (httpx.UnsupportedProtocol, Unreachable),
        (httpx.ReadTimeout, Ambiguous),
        (httpx.WriteTimeout, Ambiguous),
        (httpx.ReadError, Ambiguous),
        (httpx.WriteError, Ambiguous),
        (httpx.CloseError, Ambiguous),
        (httpx.RemoteProtocolError, Ambiguous),
        (httpx.LocalProtocolError, Ambiguous),
        (httpx.DecodingError, Ambiguous),
        (httpx.ProxyError, Ambiguous),
        (httpx.TooManyRedirects, Ambiguous),
    ],
)
def test_transport_errors(name: str, error: type[Exception], kind: type) -> None:
    with with_answer(raising(error)) as mint:
        answer = CALLS[name](mint)
    assert type(answer) is kind
    assert "marker" not in repr(answer)


@every("name", CALLS)
@every(
    "response",
    [
        {"status_code": 200, "html": "<html>welcome</html>"},
        {"status_code": 200, "content": b""},
        {"status_code": 200, "content": b'{"quote":"q","amo'},
        {"status_code": 200, "content": b"\xff\xfe\x00"},
        {"status_code": 200, "json": None},
        {"status_code": 200, "json": {"quote": 7, "nuts": 7}},
        {"status_code": 204},
        {"status_code": 302, "headers": {"location": "https://evil.example/"}, "json": QUOTE},
        {"status_code": 308, "headers": {"location": "/v1/info"}},
        {"status_code": 404, "html": "<html>nginx</html>"},
        {"status_code": 403, "html": "<html>blocked</html>"},
        {"status_code": 408, "json": {"detail": "slow"}},
        {"status_code": 429, "text": "Too Many Requests"},
        {"status_code": 429, "json": {"detail": "Rate limit exceeded.", "code": 10001}},
        {"status_code": 500, "json": {"detail": "boom", "code": 10001}},
        {"status_code": 502, "html": "<html>Bad Gateway</html>"},
        {"status_code": 503, "content": b""},
        {"status_code": 504, "html": "<html>timeout</html>"},
        {"status_code": 200, "headers": {"content-encoding": "br"}, "content": b"x"},
    ],
    ids=lambda r: f"{r['status_code']}-{list(r)[-1]}",
)
def test_answers_that_prove_nothing(name: str, response: dict[str, Any]) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        if "br" in response.get("headers", {}).values():
            return httpx.Response(200, headers=response["headers"], stream=_Chunks([b"x"]))
        return httpx.Response(**response)

    with with_answer(answer) as mint:
        assert isinstance(CALLS[name](mint), Ambiguous)
    assert len(seen) == 1  # never sent again, never to another host


class _Chunks(httpx.SyncByteStream):
    def __init__(self, chunks: list[bytes], pause_s: float = 0) -> None:
        self.given = 0
        self._chunks, self._pause_s = chunks, pause_s

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            self.given += 1
            time.sleep(self._pause_s)
            yield chunk


@pytest.mark.parametrize("name", CALLS)
def test_refusals(name: str) -> None:
    for code, definitive in ((11001, False), (20004, False), (0, False), (10001, True), (12002, True)):
        with with_answer(always(400, json={"detail": "no", "code": code})) as mint:
            assert CALLS[name](mint) == Refused(code, "no", definitive)
    with with_answer(always(404, json={"detail": "Not Found"})) as mint:
        assert CALLS[name](mint) == Refused(None, "Not Found", False)


def test_huge_bodies_are_not_read_to_their_end() -> None:
    stream = _Chunks([b" " * 1000] * 1000)
    with with_answer(lambda r: httpx.Response(200, stream=stream), response_bytes_max=10_000) as mint:
        assert mint.info(URL) == Ambiguous("answer too large")
    assert stream.given <= 11


def test_slow_bodies_are_not_read_to_their_end() -> None:
    stream = _Chunks([b" "] * 1000, pause_s=0.02)
    with with_answer(lambda r: httpx.Response(200, stream=stream), read_s=0.1) as mint:
        assert mint.info(URL) == Ambiguous("answer too slow")
    assert stream.given < 20


def test_what_is_sent() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=QUOTE)

    exact = Secret('{"b" : 1,\n "a":"\\u00e9"}')
    with with_answer(answer) as mint:
        assert isinstance(mint.melt(URL, exact), MeltQuote)
        mint.melt_quote_state("https://mint.example", "a/../b?c#d é")
    post, get = seen
    assert post.content == exact.reveal().encode()
    assert post.headers["content-type"] == "application/json"
    assert str(post.url) == "https://mint.example/sub/v1/melt/bolt11"
    assert get.method == "GET"
    assert get.url.raw_path == b"/v1/melt/quote/bolt11/a%2F..%2Fb%3Fc%23d%20%C3%A9"
    assert "authorization" not in post.headers and "cookie" not in post.headers
    assert post.headers["accept-encoding"] == "identity"


def test_the_environment_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with HttpMint() as mint:
        client = mint._client
        assert not client._mounts
        assert not client.trust_env
        assert not client.follow_redirects


def test_cookies_are_neither_kept_nor_sent() -> None:
    seen: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers.get("cookie"))
        return httpx.Response(200, json=QUOTE, headers={"set-cookie": "who=you; path=/"})

    with with_answer(answer) as mint:
        for _ in range(2):
            assert is_value(mint.melt(URL, BODY))
    assert seen == [None, None]


def test_many_items_are_asked_in_parts() -> None:
    n = ITEMS_PER_REQUEST_MAX * 2 + 1
    ys = [crypto.y_of(str(i)) for i in range(n)]
    sizes: list[int] = []

    def states(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["Ys"]
        sizes.append(len(asked))
        if len(sizes) > 5:
            return httpx.Response(429)
        return httpx.Response(200, json={"states": [{"Y": y, "state": "SPENT"} for y in asked]})

    def restored(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)["outputs"]
        signatures = [{"id": ID, "amount": 1, "C_": G}] * len(asked)
        return httpx.Response(200, json={"outputs": asked, "signatures": signatures})

    with with_answer(states) as mint:
        answer = mint.check_states(URL, ys)
        assert is_value(answer)
        assert [state.Y for state in answer] == ys
        assert sizes == [ITEMS_PER_REQUEST_MAX] * 2 + [1]
        assert mint.check_states(URL, ys) == Ambiguous("HTTP 429")  # a part lost is all lost
        assert mint.check_states(URL, []) == ()
    with with_answer(restored) as mint:
        found = mint.restore(URL, [BlindedMessage(ID, 0, y) for y in ys])
        assert isinstance(found, Restored)
        assert [output.B_ for output in found.outputs] == ys
        assert len(found.signatures) == n
    with with_answer(always(500)) as mint:
        assert isinstance(mint.restore(URL, [BlindedMessage(ID, 0, G)]), Ambiguous)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "mint",
            "ftp://mint",
            "http://",
            "http://[::",
            "http://a b",
            "http://\x00",
            "file:///etc/passwd",
        ),
        *(
            "http://127.0.0.1:1",
            "https://127.0.0.1:1",
            "http://nohost.invalid",
            "http://x:99999",
            "http://x:-1",
        ),
    ],
)
def test_addresses_that_lead_nowhere(url: str) -> None:
    with HttpMint(connect_s=2) as mint:
        assert isinstance(mint.info(url), Unreachable)
        assert isinstance(mint.melt(url, BODY), Unreachable)


def test_a_host_that_cannot_be_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> None:
        raise UnicodeError

    monkeypatch.setattr(httpx, "URL", refuse)
    with HttpMint() as mint:
        assert mint.info(URL) == Unreachable("InvalidURL")


def _listener(behaviour: Callable[[socket.socket], None]) -> tuple[str, threading.Thread, socket.socket]:
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = server.accept()
        with connection:
            behaviour(connection)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{server.getsockname()[1]}", thread, server


def _read_then(answer: bytes) -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    return behave


@pytest.mark.parametrize(
    "behaviour",
    [
        lambda connection: None,  # closes without reading
        _read_then(b""),  # reads, says nothing
        _read_then(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"),  # cut
        _read_then(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{"),  # cut
        _read_then(b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03garbage\r\n\r\n"),
        _read_then(b"SSH-2.0-OpenSSH_9.6\r\n"),
        lambda connection: time.sleep(0.5),  # never answers
    ],
    ids=["closes", "silent", "cut", "cut-chunk", "garbage", "ssh", "timeout"],
)
def test_real_sockets_that_behave_badly(behaviour: Callable[[socket.socket], None]) -> None:
    url, thread, server = _listener(behaviour)
    with server, HttpMint(read_s=0.2) as mint:
        assert isinstance(mint.melt(url, BODY), Ambiguous)
        thread.join(2)


def test_a_tls_failure_sends_nothing() -> None:
    url, thread, server = _listener(_read_then(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with server, HttpMint(read_s=1) as mint:
        assert isinstance(mint.melt(url.replace("http:", "https:"), BODY), Unreachable)
        thread.join(2)


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from([G, ID, "q", "PAID", "FAILED", "\ud800", "ln", "a" * 30_000, 2**53]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                [
                    *("quote", "amount", "state", "change", "keysets", "keys", "id", "states", "outputs"),
                    *("signatures", "nuts", "name", "version", "unit", "active", "fee_reserve", "expiry"),
                    *("detail", "code", "request"),
                ]
            ),
            inner,
            max_size=6,
        ),
    ),
    max_leaves=20,
)


@settings(max_examples=150)
@given(st.sampled_from(sorted(CALLS)), st.integers(100, 599), JSON_VALUES)
def test_no_json_makes_the_adapter_raise(name: str, status: int, value: Any) -> None:
    text = json.dumps(value).encode()
    with with_answer(lambda r: httpx.Response(status, content=text)) as mint:
        answer = CALLS[name](mint)
    assert checked(name, answer) is answer, "R195: a value can be stored"
    if is_value(answer):
        assert 200 <= status < 300
    else:
        assert isinstance(answer, Ambiguous | Refused)
        assert not (isinstance(answer, Refused) and answer.definitive and not 400 <= status < 500)


@settings(max_examples=100)
@given(st.sampled_from(sorted(CALLS)), st.integers(100, 599), st.binary(max_size=100))
def test_no_bytes_make_the_adapter_raise(name: str, status: int, raw: bytes) -> None:
    with with_answer(lambda r: httpx.Response(status, content=raw)) as mint:
        assert isinstance(CALLS[name](mint), Ambiguous | Refused | tuple) or name == "info"


@settings(max_examples=60)
@given(st.text(max_size=40))
def test_no_address_makes_the_adapter_raise(text: str) -> None:
    with with_answer(always(500)) as mint:
        assert isinstance(mint.info(text), Ambiguous | Unreachable)
        assert isinstance(mint.keys("http://" + text, text), Ambiguous | Unreachable)
        assert isinstance(mint.melt_quote_state(URL, text), Ambiguous | Unreachable)


def test_nothing_secret_is_logged_or_shown(caplog: pytest.LogCaptureFixture) -> None:
    marker = "marker" + "ab" * 29
    body = bodies.canonical({"quote": "q", "inputs": [{"secret": marker}]})
    answers = [
        always(200, json=QUOTE | {"payment_preimage": marker, "request": marker}),
        always(400, json={"detail": f"bad {marker}", "code": 0}),
        always(422, json={"detail": [{"input": marker, "loc": ["body"], "type": "missing"}]}),
        always(200, json=QUOTE | {"state": marker}),
        always(500, text=marker),
    ]
    with caplog.at_level(logging.DEBUG):
        for answer in answers:
            with with_answer(answer) as mint:
                assert marker not in repr(mint.melt(URL, body))
    assert marker not in caplog.text


def test_it_is_shared_between_threads() -> None:
    with with_answer(always(200, json=QUOTE)) as mint:
        results: list[Answer[MeltQuote]] = []
        threads = [threading.Thread(target=lambda: results.append(mint.melt(URL, BODY))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(results) == 8
    assert all(isinstance(result, MeltQuote) for result in results)
    mint.close()
