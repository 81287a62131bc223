"""The mint over HTTP (NUT-00 to NUT-09): one pooled client, bounded answers, nothing guessed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from types import TracebackType
from typing import TypeVar
from urllib.parse import quote

import httpx
from attrs import frozen

from ....machines.money import PARTS_MAX
from ....storage.secret import Secret
from ...remembered import Remembered
from ..port import (
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
    Noted,
    ProofState,
    Refused,
    Restored,
    Unreachable,
)
from . import bodies
from .classify import classify_error
from .fields import NOTES_MAX
from .network import PerMint, exchange

T = TypeVar("T")
ITEMS_PER_REQUEST_MAX = 500  # mints take 1000
ANSWER_BYTES = 64_000
"""Size limit of an answer without its lists: a quote, an error."""
ITEM_BYTES = 1_000
"""Average size limit of one state or signature in an answer."""
LIST_BYTES = 1_000_000
"""Size limit of the lists of keysets, keys and abilities."""
OVERHEAD_BYTES = 200_000
"""Size limit of everything around a body: headers, chunk sizes, 1xx answers before it."""
# httpx raises these before the first byte of a request is written
_NOTHING_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
)
ADDRESSES_REMEMBERED_MAX = 1000
_HEADERS = {"accept": "application/json", "accept-encoding": "identity", "user-agent": "nutstate"}


class HttpMint:
    """A :class:`~.port.MintPort` over HTTP. One instance talks to any number of mints and may be
    shared between threads. No answer in time is Ambiguous, never a failure; redirects are not
    followed, proxies and credentials of the environment are not used, bodies are never logged.

    ``connect_s`` bounds the connection, ``read_s`` the whole exchange with all that the mint sends in it;
    ``response_bytes_max`` every body, beside the bounds of each kind of answer. ``connections_max`` is per
    mint: one that keeps its callers waiting takes no connection from another. ``mints_max`` is how many mints
    connections are kept for. ``transport`` replaces the network (tests), ``monotonic`` the clock of the
    deadline."""

    def __init__(
        self,
        *,
        connect_s: float = 5.0,
        read_s: float = 60.0,
        response_bytes_max: int = 8_000_000,
        connections_max: int = 20,
        mints_max: int = 64,
        transport: httpx.BaseTransport | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._exchange_s = read_s
        self._asked: Remembered[str, bool] = Remembered(ADDRESSES_REMEMBERED_MAX)
        self._asked_lock = threading.Lock()
        self._response_bytes_max = response_bytes_max
        self._monotonic = monotonic
        self._client = httpx.Client(
            timeout=httpx.Timeout(read_s, connect=connect_s, pool=connect_s),
            headers=_HEADERS,
            follow_redirects=False,
            trust_env=False,
            transport=transport or PerMint(connections_max, mints_max),
        )
        # a cookie would tell the mint which requests belong together
        self._client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def has_asked(self, mint_url: str) -> bool:
        """Whether this client was told before to ask at this address; the longest unused are forgotten."""
        with self._asked_lock:
            return self._asked.get(mint_url.rstrip("/")) is not None

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
        return self._ask(mint_url, "/v1/info", bodies.read_info, LIST_BYTES)

    def keysets(self, mint_url: str) -> Answer[tuple[KeysetInfo, ...]]:
        """NUT-02."""
        return self._ask(mint_url, "/v1/keysets", bodies.read_keysets, LIST_BYTES)

    def keys(self, mint_url: str, keyset_id: str) -> Answer[Keyset]:
        """NUT-01."""
        return self._ask(
            mint_url,
            f"/v1/keys/{_part(keyset_id)}",
            partial(bodies.read_keys, keyset_id=keyset_id),
            LIST_BYTES,
        )

    def melt_quote(self, mint_url: str, invoice: Secret, unit: str) -> Answer[MeltQuote]:
        """NUT-05."""
        body = bodies.melt_quote_body(invoice, unit)
        return self._ask(mint_url, "/v1/melt/quote/bolt11", bodies.read_melt_quote, ANSWER_BYTES, body)

    def melt_quote_state(self, mint_url: str, quote_id: str) -> Answer[MeltQuote]:
        """NUT-05."""
        read = partial(bodies.read_melt_state, quote_id=quote_id)
        most = ANSWER_BYTES + PARTS_MAX * ITEM_BYTES  # its change: how many blanks it had is not known here
        return self._ask(mint_url, f"/v1/melt/quote/bolt11/{_part(quote_id)}", read, most)

    def melt(self, mint_url: str, body: Secret) -> Answer[MeltQuote]:
        """NUT-05, NUT-08."""
        return self._ask(mint_url, "/v1/melt/bolt11", bodies.read_melt_state, _of_outputs(body), body)

    def check_states(self, mint_url: str, ys: Sequence[str]) -> Answer[tuple[ProofState, ...]]:
        """NUT-07."""
        states: list[ProofState] = []
        notes: list[str] = []
        for part in _parts(ys):
            body, most = bodies.check_states_body(part), ANSWER_BYTES + len(part) * ITEM_BYTES
            answer = self._ask(mint_url, "/v1/checkstate", partial(bodies.read_states, ys=part), most, body)
            if isinstance(answer, Failure):
                return answer
            states += answer
            notes += answer.notes
        return Noted(states, tuple(notes[:NOTES_MAX]))

    def swap(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-03."""
        return self._ask(mint_url, "/v1/swap", bodies.read_signatures, _of_outputs(body), body)

    def restore(self, mint_url: str, outputs: Sequence[BlindedMessage]) -> Answer[Restored]:
        """NUT-09."""
        found: list[Restored] = []
        for part in _parts(outputs):
            body, most = bodies.restore_body(part), ANSWER_BYTES + len(part) * ITEM_BYTES
            answer = self._ask(mint_url, "/v1/restore", partial(bodies.read_restored, asked=part), most, body)
            if isinstance(answer, Failure):
                return answer
            found.append(answer)
        return Restored(
            tuple(output for restored in found for output in restored.outputs),
            tuple(signature for restored in found for signature in restored.signatures),
            sum(restored.unreadable for restored in found),
        )

    def mint_quote(self, mint_url: str, amount: int, unit: str) -> Answer[MintQuote]:
        """NUT-04."""
        body = bodies.mint_quote_body(amount, unit)
        return self._ask(mint_url, "/v1/mint/quote/bolt11", bodies.read_mint_quote, ANSWER_BYTES, body)

    def mint_quote_state(self, mint_url: str, quote_id: str) -> Answer[MintQuote]:
        """NUT-04."""
        read = partial(bodies.read_mint_state, quote_id=quote_id)
        return self._ask(mint_url, f"/v1/mint/quote/bolt11/{_part(quote_id)}", read, ANSWER_BYTES)

    def mint(self, mint_url: str, body: Secret) -> Answer[tuple[BlindSignature, ...]]:
        """NUT-04."""
        return self._ask(mint_url, "/v1/mint/bolt11", bodies.read_signatures, _of_outputs(body), body)

    # --- inside -----------------------------------------------------------------------------------

    def _ask(
        self,
        mint_url: str,
        path: str,
        read: Callable[[object], T],
        bytes_max: int,
        body: Secret | None = None,
    ) -> Answer[T]:
        """One exchange: a GET, or with a body a POST. An exception in it is an answer, too."""
        content = None if body is None else body.reveal().encode("utf-8", "surrogatepass")
        with self._asked_lock:
            self._asked.put(mint_url.rstrip("/"), True)
        try:
            answer = self._exchange(_address(mint_url, path), content, bytes_max)
        except _NOTHING_SENT as error:
            return Unreachable(type(error).__name__)
        except (httpx.HTTPError, httpx.StreamError) as error:
            return Ambiguous(type(error).__name__)
        except _Untrusted as error:
            return Ambiguous(str(error))
        except Exception as error:  # noqa: BLE001 - no answer of a mint may end a drive
            return Ambiguous(f"no readable answer: {type(error).__name__}")
        return _judge(answer, read)

    def _exchange(self, url: httpx.URL, content: bytes | None, bytes_max: int) -> _Answer:
        """Send once and read the whole answer, within the bounds."""
        method, headers = ("GET", {}) if content is None else ("POST", {"content-type": "application/json"})
        # a refusal may repeat the request
        most = min(max(bytes_max, ANSWER_BYTES + 4 * len(content or b"")), self._response_bytes_max)
        budget = exchange(self._exchange_s, 2 * most + OVERHEAD_BYTES, self._monotonic)
        with budget as left, self._client.stream(method, url, content=content, headers=headers) as response:
            if response.headers.get("content-encoding", "identity") != "identity":
                raise _Untrusted("compressed answer")  # not asked for, and its size cannot be bounded
            if response.is_success:
                most = min(bytes_max, self._response_bytes_max)
            raw = bytearray()
            for chunk in response.iter_bytes():
                raw += chunk
                if len(raw) > most:
                    raise _Untrusted("answer too large")
                if left.is_over():
                    raise _Untrusted("answer too slow")
            return _Answer(response.status_code, bytes(raw), response.headers.get("location"))


@frozen
class _Answer:
    status: int
    raw: bytes
    location: str | None


def _address(mint_url: str, path: str) -> httpx.URL:
    """Where to send; ``httpx.InvalidURL`` if that is no HTTP address."""
    try:
        url = httpx.URL(mint_url.rstrip("/") + path)
    except ValueError:  # a host name that cannot be encoded
        raise httpx.InvalidURL("not an address") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise httpx.InvalidURL("not an address")
    return url


def _part(text: str) -> str:
    """One segment of a path."""
    return quote(text, safe="", errors="replace")


def _of_outputs(body: Secret) -> int:
    """How much an answer about the outputs of this request may bring."""
    return ANSWER_BYTES + body.reveal().count('"B_"') * ITEM_BYTES


class _Untrusted(Exception):
    """An answer came, but not one to read."""


def _judge(answer: _Answer, read: Callable[[object], T]) -> T | Refused | Ambiguous:
    success = 200 <= answer.status < 300
    try:
        data = bodies.load_json(answer.raw)
        return read(data) if success else classify_error(answer.status, data, answer.location)
    except bodies.Malformed as error:
        if not success:
            return classify_error(answer.status, None, answer.location)
        is_json = str(error) != bodies.NOT_JSON
        detail = f"malformed answer: {error}" if is_json else bodies.NOT_JSON
        return Ambiguous(detail, unreadable=is_json, status=answer.status)
    except Exception as error:  # noqa: BLE001 - no answer of a mint may end a drive
        return Ambiguous(
            f"no readable answer: {type(error).__name__}", unreadable=success, status=answer.status
        )


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    step = ITEMS_PER_REQUEST_MAX
    return [items[i : i + step] for i in range(0, len(items), step)]
