"""How the simulated mint says no."""

from __future__ import annotations


class No(Exception):
    """The mint refuses: its code and words, and the status of the HTTP answer. Raised and answered inside the
    simulated mint only."""

    def __init__(self, code: int | None, detail: str, status: int = 400) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status


class Failed(No):
    """A refusal whose effects are kept: a failed payment with its released proofs, outputs left unsigned."""
