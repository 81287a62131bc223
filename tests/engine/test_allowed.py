"""A token names a mint. The maker of a token must not choose the hosts to which this program connects."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from nutstate import Engine, HttpMint, Refused, Settings, SimulatedMint, Store, open_store
from nutstate.engine.cashu.coins import crypto
from nutstate.engine.cashu.coins.token_codec import encode_token
from nutstate.engine.cashu.port import Keyset, MintQuote
from nutstate.engine.cashu.wire.address import is_neighbour
from nutstate.engine.errors import InvalidArgument, MintError
from nutstate.storage.port import OperationQuery, TokenQuery
from nutstate.storage.records import Dleq, Proof
from nutstate.storage.secret import Secret
from tests.support.cases import every
from tests.support.everything import everything
from tests.support.wallet import NPUB, QUICK, funded, npub_of

GIVER = npub_of(7)

NEIGHBOURS = [
    "http://127.0.0.1:3338", "http://127.1", "http://2130706433", "http://0x7f.0.0.1", "http://0177.0.0.01",
    "http://0x7f000001", "http://017700000001", "http://10.0.0.8", "http://192.168.1.1", "http://172.16.5.5",
    "http://169.254.169.254", "http://0.0.0.0", "http://0", "http://100.64.0.1", "http://255.255.255.255",
    "http://224.0.0.1", "http://1.2.3.4.5", "http://256.1.1.1", "http://09.0.0.1", "http://999999999999",
    "http://[::1]", "http://[::]", "http://[::ffff:10.0.0.1]", "http://[::ffff:7f00:1]", "http://[::7f00:1]",
    "http://[fe80::1]", "http://[fc00::1]", "http://[fec0::1]", "http://[64:ff9b::a00:1]",
    "http://[64:ff9b:1::808:808]", "http://[2002:7f00:1::]", "http://[ff02::1]", "http://[2001:db8::1]",
    "http://localhost:80", "http://LOCALHOST", "http://localhost.", "http://mint.localhost", "http://mint",
    "http://printer.local", "http://metadata.google.internal", "http://nas.lan", "http://box.home.arpa",
]  # fmt: skip
PUBLIC = [
    "https://mint.example.com", "https://8.8.8.8", "https://134744072", "https://0x8.8.8.8",
    "https://[2606:4700::1111]", "https://[::ffff:8.8.8.8]", "https://local.example.org", "https://10.example.com",
]  # fmt: skip


class Asked:
    """A mint port that notes every question."""

    def __init__(self, mint: Any) -> None:
        self._mint, self.asked = mint, list[str]()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._mint, name)

        def ask(*args: Any) -> Any:
            self.asked.append(name)
            return real(*args)

        return ask


def gift(engine: Engine, mint: SimulatedMint) -> str:
    """A token of the mint, of proofs that are not in the store."""
    with open_store("memory://") as theirs:
        Engine(theirs, mint, settings=QUICK, clock=engine.clock).mint_tokens(
            npub=GIVER, mint_url=mint.url, amount=8
        )
        (found,) = theirs.tokens(TokenQuery(states=("unspent",)))
    return encode_token(mint.url, "sat", found.proofs).reveal()


@every("url", NEIGHBOURS)
def test_neighbours_are_known_in_every_spelling(url: str) -> None:
    """R237: private, loopback, link-local and other reserved addresses, and names of local networks."""
    assert is_neighbour(url)


@pytest.mark.parametrize("url", PUBLIC)
def test_public_addresses_are_none(url: str) -> None:
    """R237: an address that only looks like one is not refused for its looks."""
    assert not is_neighbour(url)


def test_a_mint_that_only_a_token_names_is_not_asked(store: Store) -> None:
    """R236: MINT_NOT_ALLOWED, nothing asked, nothing written; named by the caller it is taken."""
    engine, mint, clock = funded(store, amount=0)
    token = gift(engine, mint)
    asked = Asked(mint)
    engine = Engine(store, asked, settings=QUICK, clock=clock)
    before = everything(store)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, token=token)
    assert refused.value.code == "MINT_NOT_ALLOWED" and refused.value.details["mint_url"] == mint.url
    assert asked.asked == [] and everything(store) == before
    assert engine.deposit(npub=NPUB, token=token, mint_url=mint.url).state == "deposited"


def test_what_is_allowed(store: Store) -> None:
    """R236: by the settings (in any spelling), by the callback, or because this wallet has the mint."""
    engine, mint, clock = funded(store, amount=0)
    named = attrs.evolve(
        QUICK, mints_allowed=("https://other.example", mint.url.upper().replace("HTTPS", "https") + "/")
    )
    told: list[str] = []

    def judge(url: str) -> bool:
        told.append(url)
        return True

    by_name = Engine(store, mint, settings=named, clock=clock)
    assert by_name.deposit(npub=npub_of(20), token=gift(engine, mint)).state == "deposited"
    by_judge = Engine(store, mint, settings=QUICK, clock=clock, mint_allowed=judge)
    assert by_judge.deposit(npub=npub_of(21), token=gift(engine, mint)).state == "deposited"
    assert told == [mint.url]
    engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=5, wait_s=0)
    assert engine.deposit(npub=NPUB, token=gift(engine, mint)).state == "deposited"
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=npub_of(3), token=gift(engine, mint))
    assert refused.value.code == "MINT_NOT_ALLOWED", "another wallet's mint is not this wallet's"


@every("url", NEIGHBOURS)
def test_no_callback_allows_a_neighbour(store: Store, url: str) -> None:
    """R237: only the caller's own word, in mint_url or in the settings, lets a private address be asked."""
    mint = SimulatedMint("https://mint.simulated")
    asked = Asked(mint)
    token = encode_token(url, "sat", [odd_coin(mint, "x")]).reveal()
    engine = Engine(store, asked, settings=QUICK, mint_allowed=lambda _: True)
    with pytest.raises(Refused) as refused:
        engine.deposit(npub=NPUB, token=token, allow_unverified=True)
    assert refused.value.code == "MINT_NOT_ALLOWED" and asked.asked == []
    named = attrs.evolve(QUICK, mints_allowed=(url,))
    with pytest.raises(MintError) as gone:
        Engine(store, asked, settings=named).deposit(npub=NPUB, token=token, allow_unverified=True)
    assert gone.value.code == "MINT_UNREACHABLE" and asked.asked == ["keysets"]
    assert not store.operations(OperationQuery(limit=1))


def test_a_key_that_stands_for_a_deposit_replays_it(store: Store) -> None:
    """R236: the rule is about new questions to a mint; a repeated call is answered as before."""
    engine, mint, clock = funded(store, amount=0)
    token = gift(engine, mint)
    first = engine.deposit(npub=NPUB, token=token, mint_url=mint.url, idempotency_key="k")
    strict = Engine(store, mint, settings=QUICK, clock=clock, mint_allowed=lambda _: False)
    assert strict.deposit(npub=NPUB, token=token, idempotency_key="k").id == first.id


def test_addresses_of_the_settings_are_checked_at_once(store: Store) -> None:
    """R236: a wrong address in mints_allowed is told when the engine is made."""
    with pytest.raises(InvalidArgument) as wrong:
        Engine(store, settings=Settings(mints_allowed=("not an address",)))
    assert wrong.value.code == "INVALID_MINT_URL"


def test_the_http_client_knows_where_it_was_told_to_ask() -> None:
    """R236: an address that a caller named before, to this client, is no new one; the memory is bounded."""
    with HttpMint(connect_s=0.05) as http:
        assert not http.has_asked("http://127.0.0.1:1")
        http.info("http://127.0.0.1:1/")
        assert http.has_asked("http://127.0.0.1:1") and not http.has_asked("http://127.0.0.1:2")
        for n in range(1000):
            http.info(f"no-address-{n}")
        assert not http.has_asked("http://127.0.0.1:1")


@pytest.mark.parametrize(
    "secret", ["a" * 513, "a" * 4000, "tab\there", "line\nbreak", "bell\x07", "\u200b" * 3], ids=repr
)
def test_a_secret_that_mints_refuse_is_never_money(store: Store, secret: str) -> None:
    """R238: neither as a token, nor as proofs, nor as keep or change of a recorded melt."""
    engine, mint, clock = funded(store, amount=0)
    coin = odd_coin(mint, secret)
    source = engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=16).id + "_minted"
    before = everything(store)
    wallet: dict[str, Any] = {"npub": NPUB, "mint_url": mint.url}
    token = encode_token(mint.url, "sat", [coin]).reveal()
    for call in (
        lambda: engine.deposit(npub=NPUB, token=token, mint_url=mint.url),
        lambda: engine.deposit(npub=NPUB, token=token),
        lambda: engine.deposit(npub=NPUB, proofs=[coin], mint_url=mint.url),
        lambda: engine.record_melt([source], [coin], [], 12, 0, **wallet),
        lambda: engine.record_melt([source], [], [coin], 12, 0, **wallet),
    ):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code == "INVALID_TOKEN" and secret not in str(refused.value)
    assert everything(store) == before


@pytest.mark.parametrize("secret", ["a" * 512, "x", "ä ö"])
def test_any_other_secret_is_taken(store: Store, secret: str) -> None:
    """R238: 1 to 512 printable characters."""
    engine, mint, clock = funded(store, amount=0)
    coin = odd_coin(mint, secret)
    assert engine.deposit(npub=NPUB, proofs=[coin], mint_url=mint.url).state == "deposited"
    assert store.tokens(TokenQuery(npub=NPUB))[0].proofs[0].secret.reveal() == secret


def odd_coin(mint: SimulatedMint, secret: str) -> Proof:
    """A coin of 4 that the mint really signed, on a secret of any kind."""
    listed = mint.keysets(mint.url)
    assert isinstance(listed, tuple)
    keyset, r = mint.keys(mint.url, listed[-1].id), "11" * 32
    quote = mint.mint_quote(mint.url, 4, "sat")
    assert isinstance(keyset, Keyset) and isinstance(quote, MintQuote)
    output = {"amount": 4, "id": keyset.id, "B_": crypto.blind(secret, r)}
    signed = mint.mint(mint.url, Secret(json.dumps({"quote": quote.id, "outputs": [output]})))
    assert isinstance(signed, tuple) and signed[0].dleq is not None
    C = crypto.unblind(signed[0].C_, r, keyset.keys[4])
    dleq = Dleq(signed[0].dleq.e, signed[0].dleq.s, Secret(r))
    return Proof(id=keyset.id, amount=4, secret=Secret(secret), C=Secret(C), dleq=dleq)
