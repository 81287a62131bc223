"""R137-R141: nothing that is money or opens it gets through, at any depth, under any name, in any form."""

from __future__ import annotations

import copy
import io
import json
import random
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
import rich.console
import rich.traceback
import structlog

from nutstate import Engine, NutstateError, Secret, Store, configure_logging
from nutstate.engine.audit import records as audit
from nutstate.engine.audit import sanitise as rules
from nutstate.engine.audit.sanitise import HIDDEN, clean_text, sanitise
from nutstate.engine.loop.log import Log
from nutstate.storage.port import AuditQuery
from tests.engine.test_secrets import markers
from tests.support.cases import every
from tests.support.clock import FakeClock
from tests.support.wallet import NPUB, QUICK, funded, invoice, payment_hash

MARK = "MARKER-never-shown"
HEX = "5ec2e7" + "ab" * 29
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
TOKEN = "cashuBo2FtdWh0dHBzOi8vbWludA"

NAMES = (
    "secret", "Secret", "SECRETS", "proof_secret", "C", "C_", "c_", "B_", "r", "e", "s", "dleq",
    "DLEQ", "witness", "preimage", "payment_preimage", "paymentPreimage", "preimage_hex",
    "privateKey", "private-key", "PRIVATE_KEY", "privkey", "secret_key", "secretKey",
    "encodedToken", "encoded_token", "token", "seed", "seed_phrase", "mnemonic", "nsec", "password",
    "Authorization", "apiKey", "api-key", "cookie", "xprv", "key", "keys", "proofs", "outputs",
    "blanks", "invoice", "bolt11", "payment_request", "request", "request_body",
    "lightning-invoice", "quote_id", "signature", "blinding_factor", "macaroon",
)  # fmt: skip


def shown(value: Any) -> str:
    return json.dumps(sanitise(value), ensure_ascii=False)


@every("name", NAMES)
@every("depth", range(8))
def test_a_telling_name_hides_its_value(name: str, depth: int) -> None:
    """R137, R140: whatever form it has, at every depth, and the caller's object stays as it was."""
    for secret in (
        MARK,
        [MARK],
        {"x": MARK},
        {"n": [{"m": MARK}]},
        123456789012345,
        Secret(MARK),
        MARK.encode(),
    ):
        value: Any = {name: secret, "fine": 7}
        for n in range(depth):
            value = [value] if n % 2 else {"inner": value}
        before = copy.deepcopy(value)
        text = shown(value)
        assert MARK not in text and "123456789012345" not in text
        assert ("fine" in text) == (depth < 8)
        assert value == before


@every(
    "secret",
    [
        HEX,
        HEX.upper(),
        "02" + HEX,
        "x" + HEX,
        HEX * 2,
        TOKEN,
        "cashuAeyJ0b2tlbiI6W3",
        "creqApWF0gaNhdGVub3N0cg",
        "cashu:" + TOKEN,
        "nsec1" + "q" * 58,
        "NSEC1" + "Q" * 58,
        "lnbc1" + "q" * 60,
        "LNTB20U1" + "Q" * 60,
        "lnbcrt10n1" + "q" * 60,
        "lno1" + "q" * 60,
        "lnurl1" + "q" * 60,
        "xprv9s21ZrQH143K" + "a" * 95,
        WORDS,
        WORDS.upper(),
        WORDS.replace(" ", ", "),
        '["P2PK",{"nonce":"abc","data":"02' + "a" * 20 + '"}]',
    ],
)
def test_money_under_an_unknown_name_or_in_text_is_hidden(secret: str) -> None:
    """R137, R140, R141: as a value, inside a sentence, inside a list, as a name."""
    for value in (
        {"note": secret},
        {"note": f"they said: {secret} and left"},
        [secret, [secret, (secret, {secret})]],
        {secret: 1},
        {"a": {secret: {secret: 5}}},
        frozenset({secret}),
    ):
        assert secret not in shown(value) and HIDDEN in shown(value)
    assert secret not in clean_text("x " * 140 + secret)
    if secret == WORDS:
        assert "sausage" not in shown({"list": WORDS.split()})


def test_an_invoice_is_replaced_by_its_hash() -> None:
    """R141: under its name and inside a sentence, in either case."""
    bolt11 = invoice(21)
    known = f"payment_hash:{payment_hash(bolt11)}"
    for text in (bolt11, bolt11.upper(), f"lightning:{bolt11}"):
        assert sanitise({"invoice": text, "note": f"pay {text} now"}) == {
            "invoice": known, "note": f"pay {known} now",
        }  # fmt: skip


def test_npub_and_Y_are_shortened() -> None:
    """R139"""
    found = sanitise({"npub": NPUB, "Y": "03" + HEX, "Ys": ["02" + HEX], "note": f"by {NPUB}"})
    assert found == {
        "npub": NPUB[:12] + HIDDEN,
        "Y": ("03" + HEX)[:12] + HIDDEN,
        "Ys": [("02" + HEX)[:12] + HIDDEN],
        "note": f"by {NPUB[:12]}{HIDDEN}",
    }


def test_what_is_no_secret_stays() -> None:
    """R137: hashes under their names, ids, numbers, words."""
    value = {
        "operation_hash": HEX, "payment_hash": HEX, "hash": HEX, "operation_id": "tx_melt_17_0123456789",
        "amount": 2**53 - 1, "unit": "sat", "preimage_matches": True, "kept": None, "sure": False,
        "text": "the mint answered after twelve seconds that it has no such quote, and so nothing was paid",
    }  # fmt: skip
    assert sanitise(value) == value
    assert sanitise({"payment_hash": "02" + HEX}) == {"payment_hash": HIDDEN}


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError(MARK)

    __str__ = __repr__
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError(MARK)


class HostileText(str):
    def __str__(self) -> str:
        return MARK

    __repr__ = __str__

    def __getitem__(self, key: Any) -> str:
        return MARK

    def lower(self) -> str:
        raise RuntimeError(MARK)


class HostileNumber(int):
    def __int__(self) -> int:
        raise RuntimeError(MARK)

    def __repr__(self) -> str:
        return MARK


class HostileMapping(Mapping[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError(MARK)

    def __iter__(self) -> Iterator[str]:
        raise RuntimeError(MARK)

    def __len__(self) -> int:
        return 1


@attrs.define
class Thing:
    secret: str = MARK


def test_hostile_and_unknown_objects() -> None:
    """R137: they are neither asked to describe themselves nor able to stop the record."""
    value = {
        "a": Hostile(), "b": HostileText("good"), "n": HostileNumber(5), "m": HostileMapping(), "t": Thing(),
        "x": ValueError(MARK), "y": MARK.encode(), "z": bytearray(MARK.encode()), "f": 1.5, "o": object(),
        "set": {1}, "big": 2**200, HostileText("name"): 1, 7: "seven", (MARK,): 2, b"k": 3, "sur": "a\ud800b",
    }  # fmt: skip
    found = sanitise(value)
    text = json.dumps(found, ensure_ascii=False)
    assert MARK not in text and str(2**200) not in text
    text.encode()
    assert (
        found["a"] == "Hostile" and found["x"] == "ValueError" and found["n"] == 5 and found["7"] == "seven"
    )
    assert found["m"] == HIDDEN and found["big"] == HIDDEN and found["name"] == 1 and found["sur"] == "a?b"
    assert found["b"] == "good" and type(found["n"]) is int and type(found["b"]) is str


def test_cycles_depth_and_size_have_an_end() -> None:
    """R137: marked where it was cut."""
    loop: dict[str, Any] = {"n": 1}
    loop["self"] = [loop, loop]
    assert sanitise(loop) == {"n": 1, "self": [HIDDEN, HIDDEN]}
    deep: Any = MARK
    for _ in range(100_000):
        deep = [deep]
    assert MARK not in shown(deep) and HIDDEN in shown(deep)
    shared: Any = ["x"] * 100
    for _ in range(7):
        shared = [shared] * 100
    assert len(shown(shared)) < 100_000
    assert len(sanitise(list(range(10_000)))) == 100


def engine_with_everything(store: Store) -> tuple[Engine, str]:
    """Paid, refused and open operations; the text of all errors."""
    engine, mint, clock = funded(store, logger=structlog.get_logger("nutstate"))
    for outcome in ("PAID", "FAILED", "PENDING"):
        bolt11 = invoice(50, clock)
        mint.lightning.script(payment_hash(bolt11), outcome)
        engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11, wait_s=20)
    return engine, refusals(engine, mint.url, clock)


def refusals(engine: Engine, url: str, clock: FakeClock) -> str:
    """What rich shows of refusals, with the locals of our own frames."""
    out = io.StringIO()
    console = rich.console.Console(file=out, width=400, color_system=None)
    for given in (invoice(10**6, clock), invoice(5, clock)[:-3] + "qqq"):
        try:
            engine.melt(npub=NPUB, mint_url=url, invoice=given)
        except NutstateError as error:
            shown = rich.traceback.Traceback.from_exception(
                type(error), error, error.__traceback__, show_locals=True, locals_max_string=10**6
            )
            console.print(shown)
            structlog.get_logger("nutstate").error("failed", exc_info=error)
            console.print(repr(error), str(error), error.as_dict())
    return out.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_marker_in_any_output(store: Store, form: str, capsys: pytest.CaptureFixture[str]) -> None:
    """R137, R140, R141: log (console and JSON), audit, export, report, errors, tracebacks, handles."""
    configure_logging(form)
    try:
        engine, errors = engine_with_everything(store)
    finally:
        configure_logging("off")
    lines: list[str] = []
    engine.export_audit(lines.append)
    printed = capsys.readouterr()
    texts = [errors, printed.out, printed.err, *lines, repr(engine.audit(limit=10_000))]
    texts.append(repr(engine.verify_audit().as_dict()))
    for handle in engine.operations():
        texts += [repr(handle), str(handle), repr(handle.record), repr(handle.audit())]
        texts += [json.dumps(handle.as_dict(), default=repr), json.dumps(engine.report(handle.id).as_dict())]
    text = "\n".join(texts)
    assert "transition" in printed.err and "Traceback" in errors
    found = markers(store)
    assert len(found) > 50
    assert not [marker for marker in found if marker in text]


def test_notes_of_the_log_are_sanitised() -> None:
    """R137: what is logged beside transitions."""
    kept: list[dict[str, Any]] = []

    class Logger:
        def info(self, event: str, **fields: Any) -> None:
            kept.append(fields)

    Log(Logger()).note("x", operation_id="tx", token=TOKEN, error=f"bad {TOKEN}")
    assert kept == [{"operation_id": "tx", "token": HIDDEN, "error": f"bad {HIDDEN}"}]


def test_the_record_itself_is_sanitised(store: Store) -> None:
    """R137, R141: what an operator says and what the engine notes; the payment's hash is kept."""
    engine, mint, clock = funded(store, settings=attrs.evolve(QUICK))
    bolt11 = invoice(50, clock)
    melt = engine.melt(npub=NPUB, mint_url=mint.url, invoice=bolt11)
    trail = store.audit(AuditQuery(operation_id=melt.id))
    own = [record for record in trail if record.entity.startswith("operation:")]
    assert all(record.data["payment_hash"] == payment_hash(bolt11) for record in own)
    assert bolt11 not in repr(trail) and NPUB not in repr(trail)
    assert audit.sanitise is sanitise


def test_a_text_below_the_shortest_pattern_is_left_alone() -> None:
    """R560: no pattern of money, keys, words or npubs fits into fewer characters than are looked at."""
    patterns = (rules._INVOICE, rules._MONEY, rules._WORDS, rules._NPUB, rules._LONG_HEX)
    shortest = min(parser.parse(pattern.pattern).getwidth()[0] for pattern in patterns)
    assert shortest == rules.PLAIN_BELOW
    assert sanitise({"note": '["P2PK"'}) == {"note": HIDDEN}  # the one that is shorter
    assert sanitise({"note": "creqA" + "x" * 8}) == {"note": HIDDEN}
    assert sanitise({"note": "a\0b"}) == {"note": "ab"}


def test_a_name_means_the_same_when_it_comes_again() -> None:
    """R560: names of fields are classified once; a name that may be a secret itself is kept in no memory."""
    for name in (*NAMES, "amount", "Y", "payment_hash", "", "ids"):
        assert rules._name_of(name) == rules._name_of(name) == rules._classified(name)
    before = rules._remembered_name.cache_info().currsize
    for secret in (HEX, "a" * 41, "not a name", TOKEN + "x" * 20):
        rules._name_of(secret)
    assert rules._remembered_name.cache_info().currsize == before


def test_the_first_look_at_a_text_misses_nothing() -> None:
    """R631: a text in which the first look finds nothing is one that no pattern changes."""
    parts = [
        *("lnbc1", "LNTB20u1", "lnurl1", "lno1", "lightning:", "cashuB", "creqA", "nsec1", "npub1", "xprv"),
        *(
            "Ca\u017fhuA",
            "\0",
            '["P2PK"',
            "q" * 50,
            "0" * 63,
            "0" * 64,
            "a",
            " ",
            ",",
            "\n",
            "word ",
            "\u00e9",
            "7",
        ),
    ]
    draw = random.Random(20261201)
    patterns = (rules._LOCKED, rules._INVOICE, rules._MONEY, rules._WORDS, rules._NPUB, rules._LONG_HEX)
    left, found = 0, 0
    for _ in range(20_000):
        text = "".join(draw.choice(parts) for _ in range(draw.randint(1, 14)))
        changed = "\0" in text or any(pattern.search(text) for pattern in patterns)
        seen = rules._NEEDED.search(text) is not None
        assert seen or not changed, text
        left, found = left + (not seen), found + changed
    assert left > 100 and found > 1000
