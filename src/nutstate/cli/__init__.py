"""The command line. ``main`` is the entry point of the ``nutstate`` program."""

from .app import app


def main(args: list[str] | None = None) -> None:
    """Run one command and end the program with its exit code."""
    app.main(args=args, prog_name="nutstate")


__all__ = ["app", "main"]
