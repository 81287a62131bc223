"""The real-mint lane never passes silently without a real mint."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.servers.nutshell import Nutshell, mint_venv, start_or_skip


@pytest.fixture
def no_mint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Nutshell:
    monkeypatch.setenv("NUTSTATE_MINT_VENV", str(tmp_path))
    return Nutshell()


def test_without_a_mint_the_lane_is_skipped_and_says_so(
    no_mint: Nutshell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="NOT RUN against a real mint: no mint at"):
        start_or_skip(no_mint)
    assert not no_mint.folder.exists()


def test_without_a_mint_ci_fails(no_mint: Nutshell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="must run on CI"):
        start_or_skip(no_mint)


def test_a_mint_that_dies_at_once_is_reported_with_its_output(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "bin" / "mint"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho broken on purpose\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("NUTSTATE_MINT_VENV", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="broken on purpose"):
        start_or_skip(Nutshell())


def test_the_mint_is_looked_for_beside_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUTSTATE_MINT_VENV", raising=False)
    assert mint_venv().name == ".venv-mint"
