"""Writing the files that a command line names."""

from __future__ import annotations

import os
from pathlib import Path

import click


def write_text(path: Path, text: str, option: str, *, private: bool = False) -> None:
    """Replace the file; a private one is readable by its owner only. The folder must be there.
    ``UsageError``, which names the option and the file, when it cannot be written."""
    mode = 0o600 if private else 0o666
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(number, "w", encoding="utf-8", newline="\n") as stream:
            if private:
                os.fchmod(number, mode)  # the file may have been there
            stream.write(text)
    except OSError as error:
        raise unwritable(option, path, error) from None


def make_folder(path: Path, option: str) -> None:
    """Make the folder and its missing parents. ``UsageError`` when they cannot be made."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(option, path, error) from None


def unwritable(option: str, path: Path, error: OSError) -> click.UsageError:
    """The error for a file or folder that cannot be written."""
    return click.UsageError(f"{option}: {error.strerror or type(error).__name__}: {str(path)!r}")
