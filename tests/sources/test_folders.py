"""Temporary files lie in memory if there is room; a test marked ``disk`` has its files on the disk."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tests.support import folders
from tests.support.folders import disk, is_large_enough, on_disk, use_memory


@pytest.fixture
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a process is started by a shell; what the test sets is put back."""
    for name in ("TMPDIR", "NUTSTATE_TESTS_DISK"):
        monkeypatch.setenv(name, "x")
        monkeypatch.delenv(name)
    monkeypatch.setattr(tempfile, "tempdir", None)


def test_r409_memory_is_used_if_it_is_large_enough(
    unset: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R409: child processes too; the place on the disk stays known."""
    before = tempfile.gettempdir()
    monkeypatch.setattr(folders, "NEEDED", 1)
    use_memory(tmp_path)
    assert os.environ["TMPDIR"] == tempfile.gettempdir() == str(tmp_path)
    assert disk() == before
    with on_disk() as folder:
        assert folder.parent == Path(before) and folder.is_dir()
    assert not folder.exists()


def test_r409_a_chosen_place_a_small_one_or_none_changes_nothing(
    unset: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R409: as in a container, whose memory folder has 64 MB."""
    before = tempfile.gettempdir()
    assert not is_large_enough(tmp_path / "nowhere", 0)
    assert not is_large_enough(tmp_path, 2**62)
    monkeypatch.setattr(folders, "NEEDED", 2**62)
    use_memory(tmp_path)
    assert "TMPDIR" not in os.environ and tempfile.gettempdir() == before == disk()
    monkeypatch.setattr(folders, "NEEDED", 1)
    monkeypatch.setenv("TMPDIR", before)
    use_memory(tmp_path)
    assert tempfile.gettempdir() == before


@pytest.mark.disk
def test_r409_a_marked_test_has_its_files_on_the_disk(tmp_path: Path) -> None:
    """R409"""
    assert tmp_path.parent == Path(disk())


def test_r409_other_tests_have_them_where_all_of_this_run_lie(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """R409"""
    assert tmp_path_factory.getbasetemp() in tmp_path.parents
