"""Prints the options with which pytest runs the share of this commit: ``python -m tests.selection.choose``,
with those of coverage: ``python -m tests.selection.choose measured``.

The share is chosen by the commit's hash. ``SHARE=7`` repeats share 7; ``SINCE=…`` names the commit against
which changed files are looked for. Without git, or without a commit, the options are those of ``ALL=1``."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from tests.selection.groups import SHARES, in_full
from tests.selection.measured import room

ROOT = Path(__file__).resolve().parents[2]


@frozen
class Choice:
    """What one run of ``make test`` runs and measures."""

    share: int | None
    in_full: frozenset[str] = frozenset()
    why: str = ""

    def options(self, *, measured: bool) -> list[str]:
        """Options for pytest: of tests/selection/plugin.py and, if something is measured, of pytest-cov."""
        chosen = [] if self.share is None else [f"--share={self.share}"]
        if self.share is not None and self.in_full:
            chosen.append("--in-full=" + ",".join(sorted(self.in_full)))
        where = room(self.share)
        return [*chosen, f"--measured={where.name}", *where.options()] if measured else chosen


def git(*words: str, folder: Path = ROOT) -> str | None:
    """What git says; None if it cannot."""
    try:
        done = subprocess.run(("git", *words), cwd=folder, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def share_of(commit: str) -> int:
    """The share that the commit runs."""
    return int(commit, 16) % SHARES


def before(folder: Path = ROOT) -> str | None:
    """The commit whose files ours are compared with: where work that is not pushed yet began, else the parent
    of the last commit. None without such a commit, as in a shallow clone."""
    head = git("rev-parse", "HEAD", folder=folder)
    began = git("merge-base", "HEAD", "@{upstream}", folder=folder)
    if began is not None and began != head:
        return began
    return git("rev-parse", "--verify", "--quiet", "HEAD~1", folder=folder)


def changed(since: str | None, folder: Path = ROOT) -> frozenset[str] | None:
    """Files that differ from that commit, new ones too; None if git cannot tell."""
    if since is None:
        return None
    known = git("diff", "--name-only", "--no-renames", since, folder=folder)
    new = git("ls-files", "--others", "--exclude-standard", folder=folder)
    return None if known is None or new is None else frozenset(f"{known}\n{new}".split("\n")) - {""}


def choose(environment: Mapping[str, str], folder: Path = ROOT) -> Choice:
    """What to run: everything with ``ALL`` or without a commit, else the share of the commit."""
    if environment.get("ALL"):
        return Choice(None, why="everything, as asked for")
    asked = environment.get("SHARE") or None
    commit = git("rev-parse", "HEAD", folder=folder)
    if asked is None and commit is None:
        return Choice(None, why="everything, because git knows no commit here")
    if asked is not None and not (asked.isascii() and asked.isdigit() and int(asked) < SHARES):
        raise SystemExit(f"SHARE={asked}: a share is a number from 0 to {SHARES - 1}")
    share = int(asked) if asked is not None else share_of(commit or "")
    since = environment.get("SINCE") or before(folder)
    files = changed(since, folder)
    if environment.get("SINCE") and files is None:
        raise SystemExit(f"SINCE={since}: git knows no such commit")
    full = in_full(files)
    against = (
        f"files changed since {since[:12]}" if since and files is not None else "no earlier commit is known"
    )
    names = ", ".join(sorted(full)) or "nothing"
    repeat = f"make test SHARE={share}" + (f" SINCE={since[:12]}" if since and files is not None else "")
    why = f"share {share} of {SHARES} ({against}: in full {names}); `{repeat}` repeats it"
    return Choice(share, full, why)


def main() -> None:
    """Say what was chosen on standard error, and print the options."""
    choice = choose(os.environ)
    sys.stderr.write(f"chosen: {choice.why}\n")
    sys.stdout.write(" ".join(choice.options(measured="measured" in sys.argv[1:])) + "\n")


if __name__ == "__main__":
    main()
