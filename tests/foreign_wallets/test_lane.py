"""The lanes of the foreign wallets never pass silently without them."""

from __future__ import annotations

from pathlib import Path

import pytest

from nutstate.mint_server.serve import MintServer
from tests.foreign_wallets import test_nutshell as nutshell
from tests.support.node import find_node, packages


def missing(server: MintServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NUTSTATE_MINT_VENV", str(tmp_path))
    nutshell.test_the_nutshell_wallet_funds_sends_receives_melts_and_restores(server, tmp_path)


def test_without_nutshell_ci_fails(
    server: MintServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R711: on CI a missing wallet is a failure."""
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="the Nutshell wallet must run on CI"):
        missing(server, monkeypatch, tmp_path)


def test_without_nutshell_the_lane_is_skipped_and_says_so(
    server: MintServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R711: elsewhere it is a skip that says why."""
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN against the Nutshell wallet"):
        missing(server, monkeypatch, tmp_path)


@pytest.mark.oracle
def test_packages_that_cannot_be_installed_fail_on_ci(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """R710: so is a library that the registry does not give."""
    node = find_node("cashu-ts", 22)
    (tmp_path / "package.json").write_text('{"dependencies": {"@cashu/cashu-ts": "4.8.0"}}')
    (tmp_path / "package-lock.json").write_text('{"lockfileVersion": 3, "packages": {}}')
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="cashu-ts must run on CI: npm ci failed"):
        packages(node, "cashu-ts", tmp_path)
