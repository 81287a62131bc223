"""The mint machine: ecash issued for a paid invoice (funding)."""

from __future__ import annotations

from .facts import MintFacts
from .guards import mint as g
from .spec import NONE, Event, Machine, Refuse, State, edges

_POST_ANSWERS = ("mint_refused", "reply_lost", "mint_unreachable")
_QUOTE_ANSWERS = ("invoice_paid", "invoice_unpaid", "invoice_issued")
_ISSUE_ANSWERS = ("signatures_received", "signatures_restored", "restore_empty")
_LATE = (*_POST_ANSWERS, *_QUOTE_ANSWERS, *_ISSUE_ANSWERS, "too_old", "recover")

_MAY_BE_PAID = Refuse("cancel", "ALREADY_SENT", "the invoice may have been paid; the proofs are awaited")
_ENDED = Refuse("cancel", "ALREADY_FINAL", "the operation has ended")

MINT: Machine[MintFacts] = Machine(
    name="mint",
    version=1,
    facts=MintFacts,
    good_path=(NONE, "requested", "quoted", "issuing", "issued"),
    states=(
        State(NONE, "does not exist yet", kind="pseudo"),
        State("requested", "intent, not yet quoted", action="ask_quote", group="before payment"),
        State("quoted", "the mint's invoice is known; somebody pays it", action="ask_payment",
              group="before payment", absorbs=("invoice_unpaid", *_POST_ANSWERS, "recover"), refuses=(_MAY_BE_PAID,)),
        State("issuing", "the issue request may have been sent", action="post_mint", write_ahead=True,
              group="in flight", absorbs=("invoice_paid",), refuses=(_MAY_BE_PAID,)),
        State("restoring", "ask the mint for the signatures on our outputs", action="restore_outputs",
              group="in flight", absorbs=("restore_empty", *_QUOTE_ANSWERS, *_POST_ANSWERS, "recover"),
              refuses=(_MAY_BE_PAID,)),
        State("issued", "the proofs are ours", kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,)),
        State("rejected", "refused before anybody paid", kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,)),
        State("expired", "the invoice was never paid", kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,)),
        State("cancelled", "stopped before there was an invoice", kind="final", group="final",
              absorbs=(*_LATE, "cancel")),
        State("attention", "paid, but the mint does not hand our proofs over; a person must look", kind="parked",
              action="restore_outputs", group="parked",
              absorbs=("restore_empty", *_QUOTE_ANSWERS, *_POST_ANSWERS, "too_old", "recover"),
              refuses=(_MAY_BE_PAID,)),
        State("written_off", "an operator gave it up", kind="final", group="final", absorbs=_LATE, refuses=(_ENDED,)),
    ),
    events=(
        Event("request", "a caller wants ecash", "caller"),
        Event("cancel", "the caller wants it stopped", "caller"),
        Event("quote_received", "the mint gave an invoice", "mint"),
        Event("quote_refused", "the mint will not quote", "mint"),
        Event("quote_unavailable", "the mint cannot be asked", "mint"),
        Event("invoice_paid", "the mint says its invoice is PAID", "mint"),
        Event("invoice_unpaid", "the mint says its invoice is UNPAID", "mint"),
        Event("invoice_issued", "the mint says ISSUED though we hold no proofs", "mint"),
        Event("expire", "the invoice ran out unpaid", "clock"),
        Event("signatures_received", "the mint signed our outputs", "mint"),
        Event("signatures_restored", "restore found our outputs signed", "mint"),
        Event("restore_empty", "the mint signed none of our outputs", "mint"),
        Event("mint_refused", "the mint answered the request with an error", "mint"),
        Event("reply_lost", "the request may have been executed, no trustworthy answer", "mint"),
        Event("mint_unreachable", "the mint could not be reached", "mint"),
        Event("too_old", "unresolved for too long", "clock"),
        Event("recover", "a restart found the operation", "restart"),
        Event("resume", "an operator wants it to go on", "operator"),
        Event("write_off", "an operator gives it up", "operator"),
    ),
    transitions=(
        *edges("0", "request", NONE, "requested", effects=("expect_token",), reason="the intent exists first"),
        *edges("1", "quote_received", "requested", "quoted", requires=(g.quote_matches, g.amount_in_limits),
               effects=("store_quote",), reason="priced"),
        *edges("2", ("quote_refused", "quote_unavailable"), "requested", "rejected",
               effects=("fail_token", "record_reason"), reason="nobody can pay"),
        *edges("3", "cancel", "requested", "cancelled", effects=("fail_token",), reason="nobody can pay"),
        *edges("3", "recover", "requested", "cancelled", effects=("fail_token",), reason="nobody saw the invoice"),
        *edges("4", "invoice_paid", "quoted", "issuing", requires=(g.invoice_is_paid,), effects=("write_outputs", "stamp_sent"),
               reason="outputs are durable before they are sent"),
        *edges("4b", "invoice_paid", "attention", "issuing", requires=(g.invoice_is_paid,), forbids=(g.outputs_written,),
               effects=("write_outputs", "stamp_sent"), reason="nothing was asked for yet"),
        *edges("5", "expire", "quoted", "expired", requires=(g.quote_is_dead,), effects=("fail_token",),
               reason="the mint was asked a last time"),
        *edges("6", "invoice_issued", "quoted", "attention", effects=("record_reason", "alarm"),
               reason="somebody else took what was paid for"),
        *edges("7", "signatures_received", "issuing", "issued", requires=(g.outputs_verified,),
               effects=("issue_token",), reason="the proofs are ours"),
        *edges("7", ("signatures_received", "signatures_restored"), ("restoring", "attention"), "issued",
               requires=(g.outputs_verified,), effects=("issue_token",), reason="the proofs are ours"),
        *edges("8", (*_POST_ANSWERS, "recover"), "issuing", "restoring", reason="the request may have been executed"),
        *edges("9", "restore_empty", "restoring", "issuing", requires=(g.nothing_restored, g.invoice_is_paid, g.tries_left),
               forbids=(g.outputs_outdated,), effects=("stamp_sent",), reason="same bytes"),
        *edges("9a", "restore_empty", "restoring", "issuing",
               requires=(g.nothing_restored, g.invoice_is_paid, g.tries_left, g.outputs_outdated),
               effects=("write_outputs", "stamp_sent"), reason="new outputs; the old ones stay restorable"),
        *edges("9b", "restore_empty", "restoring", "attention", requires=(g.nothing_restored, g.invoice_is_paid),
               forbids=(g.tries_left,), effects=("record_reason", "alarm"), reason="the mint will not issue"),
        *edges("10", "restore_empty", "restoring", "attention", requires=(g.issued_to_others,),
               forbids=(g.invoice_is_paid,), effects=("record_reason", "alarm"), reason="ISSUED without our proofs"),
        *edges("11a", "resume", "attention", "restoring", requires=(g.operator_gave_reason, g.outputs_written),
               effects=("record_reason", "reset_tries"), reason="ask the mint again"),
        *edges("11b", "resume", "attention", "quoted", requires=(g.operator_gave_reason,),
               forbids=(g.outputs_written,), effects=("record_reason",), reason="ask the mint again"),
        *edges("13", "too_old", ("quoted", "restoring"), "attention", requires=(g.unresolved_too_long,),
               effects=("record_reason", "alarm"), reason="still polled"),
        *edges("12", "write_off", "attention", "written_off", requires=(g.operator_gave_reason,),
               effects=("fail_token", "record_reason", "record_loss"), reason="given up"),
    ),
)  # fmt: skip
