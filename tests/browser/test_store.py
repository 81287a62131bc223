"""What a store holds, on the page: one operation's trail, and how many are in each state."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.browser.chromium import Shown
from tests.cli.conftest import NPUB, Wallet


@pytest.fixture(scope="module")
def wallet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wallet]:
    """A funded wallet with one melt."""
    wallet = Wallet(tmp_path_factory.mktemp("nuts"))
    wallet.fund()
    assert wallet.run("melt", wallet.invoice()).code == 0
    yield wallet
    structlog.reset_defaults()


def melt_of(wallet: Wallet) -> str:
    found = wallet.run("history", "--kind", "melt", "--json").json["operations"]
    return str(found[0]["id"])


@pytest.fixture(scope="module")
def trail(wallet: Wallet) -> Path:
    file = wallet.folder / "trail.html"
    file.write_text("what was there before", encoding="utf-8")
    ran = wallet.run("show", melt_of(wallet), "--html", str(file))
    assert ran.code == 0 and "open it in a browser" in ran.out
    return file


def test_a_trail_holds_no_secret(wallet: Wallet, trail: Path) -> None:
    text = trail.read_text(encoding="utf-8")
    secrets = wallet.secrets()
    assert len(secrets) > 20
    assert not [secret for secret in secrets if secret in text]
    assert NPUB not in text and NPUB[:12] in text
    assert stat.S_IMODE(os.stat(trail).st_mode) == 0o600


def test_the_trail_is_replayed(view: Shown, wallet: Wallet, trail: Path) -> None:
    records = wallet.run("show", melt_of(wallet), "--json").json["audit"]
    own = [record for record in records if record["entity"].startswith("operation:")]
    view.see(trail)
    assert view.hash() == "melt/replay/1" and "Hash chain verified" in view.text()
    assert view.find(".steps li").count() == len(own) == 7
    for number, record in enumerate(own, 1):
        assert view.hash() == f"melt/replay/{number}"
        told = view.text("#step")
        assert record["event"] in told and record["actor"] in told and record["hash"][:16] in told
        assert f"{record['from_state']} → {record['to_state']}" in told
        to = view.find(f'.sheet:not([hidden]) [data-state="{record["to_state"]}"]')
        assert "is-to" in (to.get_attribute("class") or "")
        assert view.find("#step > .part > .verdicts > li").count() == len(record["verdicts"])
        view.page.keyboard.press("ArrowRight")
    assert view.hash() == f"melt/replay/{len(own)}"
    view.page.keyboard.press("ArrowLeft")
    assert view.hash() == f"melt/replay/{len(own) - 1}"


def test_steps_buttons_slider_and_tokens(view: Shown, trail: Path) -> None:
    view.see(trail, "melt/replay/3")
    assert view.find("#step details.token").count() == 3
    view.find("#step details.token summary").first.click()
    assert "split" in view.text("#step") and "token hash" in view.text("#step")
    assert "inputs_cover" not in view.text("#step"), "guards are told in sentences"
    assert "896" in view.text("#step"), "amounts"
    view.find("#step-first").click()
    assert view.hash() == "melt/replay/1"
    view.find("#step-last").click()
    assert "reconcile_passed" in view.text("#step")
    view.find("#step-slider").fill("4")
    assert view.hash() == "melt/replay/5" and view.text("#step-told") == "5 of 7"
    view.find("#step-slider").focus()
    view.page.keyboard.press("ArrowLeft")
    assert view.hash() == "melt/replay/4"


def test_play_goes_to_the_end_and_stops(view: Shown, trail: Path) -> None:
    view.page.clock.install()
    view.see(trail)
    view.find("#step-play").click()
    assert view.find("#step-play").get_attribute("aria-label") == "Pause (p)"
    view.page.clock.run_for(2500)
    assert view.hash() == "melt/replay/3"
    view.page.clock.run_for(20_000)
    assert view.hash() == "melt/replay/7"
    assert view.find("#step-play").get_attribute("aria-label") == "Play (p)"


def test_counts_are_on_the_states_and_in_a_table(view: Shown, wallet: Wallet) -> None:
    file = wallet.folder / "counts.html"
    ran = wallet.run("diagrams", "page", "--store", wallet.url, "-o", str(file), "--json")
    counts = ran.json["counts"]
    assert counts["melt"] == {"reconciled": 1}
    view.see(file)
    assert view.hash() == "melt/counts"
    assert view.find('.sheet:not([hidden]) [data-state="reconciled"] .badge text').text_content() == "1"
    assert view.find(".sheet:not([hidden]) .badge").count() == 1
    assert "UTC" in view.text() and "wallet.db" in view.text()
    view.see(file, "token/counts")
    for state, number in counts["token"].items():
        assert view.text(f'[data-count="{state}"]').split() == [state, str(number)]
        badge = view.find(f'.sheet:not([hidden]) [data-state="{state}"] .badge text')
        assert badge.text_content() == str(number)
    assert "898" in view.text(), "value of what is unspent"
