"""The mint over HTTP (NUT-00 to NUT-09): one pooled client, bounded answers, nothing guessed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx

from ...storage.secret import Secret
from . import wire
from .classify import classify_error
from .port import (
    Ambiguous,
    Answer,
    BlindedMessage,
    BlindSignature,
    Failure,
    Keyset,
    KeysetInfo,
    MeltQuote,
    MintInfo,
    MintQuote,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)

T = TypeVar("T")
ITEMS_PER_REQUEST_MAX = 500  # mints take 1000
# httpx raises these before the first byte of a request is written
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "nutstate"}


class HttpMint:
    """A :class:`~.port.MintPort` over httpx. One instance talks to any number of mints and may be
    shared between threads. No answer in time is Ambiguous, never a failure; redirects are not
    followed, proxies and credentials of the environment are not used, bodies are never logged.

    ``connect_s`` bounds the connection, ``read_s`` each wait for bytes and the body as a whole,
    ``response_bytes_max`` the body. ``transport`` replaces the network (tests)."""

    def __init__(
        self,
        *,
        connect_s: float = 5.0,
        read_s: float = 60.0,
        response_bytes_max: int = 8_000_000,
        connections_max: int = 20,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._read_s = read_s
        self._response_bytes_max = response_bytes_max
        self._client = httpx.Client(
            timeout=httpx.Timeout(read_s, connect=connect_s, pool=connect_s),
            limits=httpx.Limits(
                max_connections=connections_max,
                max_keepalive_connections=connections_max,
                # servers close idle connections after 5 s; a write that meets that moment is Ambiguous
                keepalive_expiry=2.0,
            ),
            headers=_HEADERS,
            follow_redirects=False,
            trust_env=False,
            transport=transport,
        )
        # a cookie would tell the mint which requests belong together
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections. Idempotent."""
        self._client.close()

    def __enter__(self) -> HttpMint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- the port ---------------------------------------------------------------------------------

    def info(self, mint_url: str) -> Answer[MintInfo]:
        """See :class:`~.port.MintPort`, here and below."""
        return self._get(mint_url, "/v1/info", wire.read_info)

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        """NUT-02."""
        return self._get(mint_url, "/v1/keysets", wire.read_keysets)

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        """NUT-01."""
        path = f"/v1/keys/{quote(keyset_id, safe='')}"
        return self._get(mint_url, path, lambda data: wire.read_keys(data, keyset_id))

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        """NUT-05."""
        body = wire.melt_quote_body(invoice, unit)
        return self._post(mint_url, "/v1/melt/quote/bolt11", body, wire.read_melt_quote)

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        """NUT-05."""
        path = f"/v1/melt/quote/bolt11/{quote(quote_id, safe='')}"
        return self._get(mint_url, path, lambda data: wire.read_melt_quote(data, quote_id))

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        """NUT-05, NUT-08."""
        return self._post(mint_url, "/v1/melt/bolt11", body, wire.read_melt_quote)

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        """NUT-07."""
        states: list[ProofState] = []
        for part in _parts(ys):
            body = wire.check_states_body(part)
            answer = self._post(mint_url, "/v1/checkstate", body, partial(wire.read_states, ys=part))
            if isinstance(answer, Failure):
                return answer
            states += answer
        return tuple(states)

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-03."""
        return self._post(mint_url, "/v1/swap", body, wire.read_signatures)

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        """NUT-09."""
        found: list[Restored] = []
        for part in _parts(outputs):
            body = wire.restore_body(part)
            answer = self._post(mint_url, "/v1/restore", body, partial(wire.read_restored, asked=part))
            if isinstance(answer, Failure):
                return answer
            found.append(answer)
        return Restored(
            tuple(output for restored in found for output in restored.outputs),
            tuple(signature for restored in found for signature in restored.signatures),
        )

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        """NUT-04."""
        body = wire.mint_quote_body(amount, unit)
        return self._post(mint_url, "/v1/mint/quote/bolt11", body, wire.read_mint_quote)

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        """NUT-04."""
        path = f"/v1/mint/quote/bolt11/{quote(quote_id, safe='')}"
        return self._get(mint_url, path, lambda data: wire.read_mint_quote(data, quote_id))

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-04."""
        return self._post(mint_url, "/v1/mint/bolt11", body, wire.read_signatures)

    # --- inside -----------------------------------------------------------------------------------

    def _get(self, mint_url: str, path: str, read: Callable[[object], T]) -> Answer[T]:
        return self._request("GET", mint_url, path, None, read)

    def _post(self, mint_url: str, path: str, body: Secret, read: Callable[[object], T]) -> Answer[T]:
        return self._request("POST", mint_url, path, body, read)

    def _request(
        self, method: str, mint_url: str, path: str, body: Secret | None, read: Callable[[object], T]
    ) -> Answer[T]:
        try:
            status, raw = self._exchange(method, _address(mint_url, path), body)
        except _NOTHING_SENT as error:
            return Unreachable(type(error).__name__)
        except (httpx.HTTPError, httpx.StreamError) as error:
            return Ambiguous(type(error).__name__)
        except _Untrusted as error:
            return Ambiguous(str(error))
        return _judge(status, raw, read)

    def _exchange(self, method: str, url: httpx.URL, body: Secret | None) -> tuple[int, bytes]:
        """Send once and read the whole answer, within the bounds."""
        headers = {} if body is None else {"content-type": "application/json"}
        content = None if body is None else body.reveal().encode()
        deadline = time.monotonic() + self._read_s
        with self._client.stream(method, url, content=content, headers=headers) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _Untrusted("compressed answer")  # not asked for, and its size cannot be bounded
            raw = bytearray()
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) > self._response_bytes_max:
                    raise _Untrusted("answer too large")
                if time.monotonic() > deadline:
                    raise _Untrusted("answer too slow")
            return response.status_code, bytes(raw)


def _address(mint_url: str, path: str) -> httpx.URL:
    """Where to send; ``httpx.InvalidURL`` if that is no HTTP address."""
    try:
        url = httpx.URL(mint_url.rstrip("/") + path)
    except ValueError:  # a host name that cannot be encoded
        raise httpx.InvalidURL("not an address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise httpx.InvalidURL("not an address")
    return url


class _Untrusted(Exception):
    """An answer came, but not one to read."""


def _judge(status: int, raw: bytes, read: Callable[[object], T]) -> T | Refused | Ambiguous:
    try:
        data = wire.load_json(raw)
    except wire.Malformed as error:
        return Ambiguous(str(error)) if 200 <= status < 300 else classify_error(status, None)
    if not 200 <= status < 300:
        return classify_error(status, data)
    try:
        return read(data)
    except wire.Malformed as error:
        return Ambiguous(f"malformed answer: {error}", unreadable=True)


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    step = ITEMS_PER_REQUEST_MAX
    return [items[i : i + step] for i in range(0, len(items), step)]
