"""The library is silent until a program asks for its log."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

_PAY = """
from nutstate import Engine, NutstateError, SimulatedMint, open_store
NPUB = "npub1u9290c2mtammza7d4arqpls8pt82w93gmwt5g70n87zeha5r4qwscarf9g"
def work(**more):
    with open_store("memory://") as store, SimulatedMint() as mint:
        engine = Engine(store, mint, **more)
        engine.mint_tokens(npub=NPUB, mint_url=mint.url, amount=1000)
        paid = engine.melt(npub=NPUB, mint_url=mint.url, invoice=mint.lightning.invoice(100).reveal())
        try:
            engine.cancel(paid.id)  # a refusal is a warning in the log
        except NutstateError as error:
            assert error.code == "ALREADY_SENT" or error.code == "ALREADY_FINAL", error.code
        else:
            raise SystemExit("cancelled what was paid")
"""


def ran(program: str) -> tuple[str, str]:
    """What a fresh process wrote to standard output and standard error."""
    done = subprocess.run([sys.executable, "-c", _PAY + program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_a_library_nobody_configured_prints_nothing() -> None:
    """R305: neither transitions nor refusals go to a stream that the program did not name."""
    assert ran("work()") == ("", "")


def test_the_standard_librarys_logger_gets_the_log() -> None:
    """R305: a program without structlog gives the logger ``nutstate`` a handler, as for any library."""
    out, err = ran("import logging\nlogging.basicConfig(level='INFO', format='%(name)s %(message)s')\nwork()")
    lines = err.splitlines()
    assert out == "" and len(lines) > 5
    assert all(line.startswith("nutstate event='") for line in lines), lines
    assert any("to_state='reconciled'" in line for line in lines)
    assert any("event='refused'" in line for line in lines)


@pytest.mark.parametrize("when", ["before", "after"])
def test_structlog_gets_the_log_once_the_service_configured_it(when: str) -> None:
    """R305: the service's own configuration counts, also one that is made after the import."""
    own = (
        "import structlog, sys\n"
        "structlog.configure(processors=[structlog.processors.JSONRenderer()],\n"
        "    logger_factory=structlog.PrintLoggerFactory(sys.stdout))\n"
    )
    out, err = ran((own + "work()") if when == "before" else f"work()\n{own}work()")
    events = [json.loads(line) for line in out.splitlines()]
    assert err == "" and [e["trigger"] for e in events if e["event"] == "refused"] == ["cancel"]


def test_a_logger_of_the_engines_own_gets_the_log() -> None:
    """R305: ``Engine(logger=…)`` needs no configuration of anything."""
    out, err = ran(
        "class Mine:\n"
        "    def info(self, event, **fields): print(event)\n"
        "    warning = critical = info\n"
        "work(logger=Mine())"
    )
    assert err == "" and {"transition", "refused"} == set(out.split())
