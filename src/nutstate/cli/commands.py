"""The commands, in the order in which the help lists them. A command is imported when it is called: the help,
the version and a usage error need none of the engine."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final

import click

COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "demo": ("demo.demo:demo", "Watch a whole payment; no network, no money."),
    "mint": ("money.wallet:mint", "Fund the wallet by paying an invoice."),
    "deposit": ("money.wallet:deposit", "Store a Cashu token."),
    "receive": ("money.receive:receive", "Exchange a Cashu token for coins of the wallet."),
    "balance": ("money.wallet:balance", "Show the money in the wallet."),
    "melt": ("money.melt:melt", "Pay a Lightning invoice."),
    "swap": ("money.swap:swap", "Exchange coins for new ones at the mint."),
    "confirm": ("money.melt:confirm", "Pay a prepared melt."),
    "cancel": ("money.melt:cancel", "Stop an operation before its request is sent."),
    "hold": ("money.record:hold", "Reserve tokens for a melt you make yourself."),
    "unhold": ("money.record:unhold", "Free held tokens you did not pay with."),
    "record-melt": ("money.record:record_melt", "Store a melt you made at the mint yourself."),
    "show": ("operators.operations:show", "Show one operation and its audit trail."),
    "history": ("operators.operations:history", "List the operations, newest first."),
    "recover": ("operators.recover:recover", "Go on with every open operation."),
    "start": ("operators.start:start", "Start an operation of your own kind."),
    "tell": ("operators.tell:tell", "Tell an operation of your own kind what happened."),
    "resume": ("operators.operations:resume", "Send a parked operation back to work."),
    "release": ("operators.operations:release", "Free a parked melt's inputs on the mint's word."),
    "write-off": ("operators.operations:write_off", "Give a parked operation up as lost."),
    "resolve": ("operators.operations:resolve", "Declare a contradiction settled."),
    "retry-stranded": ("operators.stranded:retry_stranded", "Make refused coins spendable again."),
    "write-off-stranded": ("operators.stranded:write_off_stranded", "Give refused coins up as lost."),
    "preflight": ("stores.checks:preflight", "Compare the wallet's proofs with the mint."),
    "reconcile": ("stores.checks:reconcile", "Check stored operations for contradictions."),
    "audit": ("stores.audit:audit", "List, verify, export and purge the audit trail."),
    "errors": ("codes.list:errors", "Explain an error code."),
    "doctor": ("stores.doctor:doctor", "Check that the store is fit for money."),
    "mongod": ("stores.local_mongo:mongod", "Run a MongoDB replica set on this computer."),
    "mint-server": ("money.mint_server:mint_server", "Run a mint for developers on this computer."),
    "machines": (
        "machines:machines",
        "Look at the machines: their states, events, guards and refusals.",
    ),
    "diagrams": (
        "drawings.build:diagrams",
        "Draw the machines; check committed drawings; compare versions.",
    ),
}
"""Name to where the command is (``module:attribute``) and the first sentence of its help."""


def load(name: str) -> click.Command:
    """The command of that name. KeyError if no command has it."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    command: click.Command = getattr(importlib.import_module(f"{__package__}.{module}"), attribute)
    return command
