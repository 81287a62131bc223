"""The tables a second time, written by hand and never generated, so that a change of one of the two
shows as a difference. What stands where follows the specification and the reasons given in docs/ and the
changelog; where these are silent (most ``absorbs``, the order of effects, the mint machine's rows) it is
the declaration read line by line, which notices a later change but not a first mistake. How to read
them: :mod:`tests.machines.notation`."""

from __future__ import annotations

from collections.abc import Mapping

from tests.machines.notation import Rows

TOKEN = Rows(
    good_path="none unspent reserved spent",
    states="""
        none        | pseudo ||
        awaiting    | live   ||
        unspent     | live   ||
        reserved    | live   ||
        stranded    | live   ||
        outstanding | live   ||
        spent       | final +good ||
        failed      | final +unpaid ||
    """,
    origins="""engine | expect deposit deposit_reserved import_spent hand_out issue fail reserve split release \
                        spend correct_spent strand retry write_off claim reclaim""",
    words={
        "WELL_FORMED": "type_is_storable, change_has_parent, has_proofs, total_matches_proofs, secrets_distinct"
    },
    rows="""
        1  | expect           | none > awaiting        | type_is_minted, has_no_proofs |
        2  | deposit          | none > unspent         | WELL_FORMED | index_proofs
        3  | deposit_reserved | none > reserved        | WELL_FORMED, belongs_to_operation | index_proofs set_reserved_by
        4  | import_spent     | none > spent           | type_is_not_change, type_is_storable, from_migration | index_proofs set_spent_at
        5  | hand_out         | none > outstanding     | type_is_sent, has_proofs, total_matches_proofs, secrets_distinct | index_proofs
        6  | issue            | awaiting > unspent     | belongs_to_operation, has_proofs, total_matches_proofs, secrets_distinct | index_proofs clear_reserved_by
        7  | fail             | awaiting > failed      | mint_cannot_issue | clear_reserved_by
        8  | reserve          | unspent > reserved     | owner_matches, wallet_mint_unit_match | set_reserved_by
        9  | split            | unspent reserved outstanding stranded > stay | moved_is_proper_subset | move_proofs
        10 | release          | reserved > unspent     | belongs_to_operation, release_is_proven | clear_reserved_by
        11 | spend            | reserved > spent       | belongs_to_operation, consumption_is_proven | set_spent_at
        12 | correct_spent    | unspent > spent        | mint_says_all_spent | set_spent_at alarm
        12b | correct_spent   | stranded > spent       | mint_says_all_spent | clear_reserved_by set_spent_at alarm
        13 | claim            | outstanding > spent    | mint_says_all_spent | set_spent_at
        14 | reclaim          | outstanding > spent    | consumption_is_proven | set_spent_at
        15 | strand           | reserved > stranded    | belongs_to_operation, refusal_is_proven |
        16 | retry            | stranded > unspent     | owner_matches, wallet_mint_unit_match | clear_reserved_by
        17 | write_off        | stranded > spent       | owner_matches, wallet_mint_unit_match, consumption_is_proven | clear_reserved_by set_spent_at alarm
    """,
    codes="""
        MELTED_FORBIDDEN | type_is_storable
        CHANGE_WITHOUT_PARENT | change_has_parent
        CHANGE_BORN_SPENT | type_is_not_change
        NO_PROOFS | has_proofs
        PROOFS_NOT_EXPECTED | has_no_proofs
        TOTAL_MISMATCH | total_matches_proofs
        DUPLICATE_SECRET | secrets_distinct
        NOT_RESERVED | belongs_to_operation
        NOT_MINTED_TYPE | type_is_minted
        NOT_SENT_TYPE | type_is_sent
        NOT_FROM_MIGRATION | from_migration
        MINT_CAN_ISSUE | mint_cannot_issue
        REFUSAL_NOT_PROVEN | refusal_is_proven
        OWNER_MISMATCH | owner_matches
        MINT_OR_UNIT_MISMATCH | wallet_mint_unit_match
        SPLIT_NOT_PROPER | moved_is_proper_subset
        RELEASE_NOT_PROVEN | release_is_proven
        NOT_PROVEN_SPENT | consumption_is_proven mint_says_all_spent
    """,
    said="""
        HIGH     | index_proofs move_proofs set_reserved_by clear_reserved_by set_spent_at
        CRITICAL | alarm
    """,
)

MELT = Rows(
    good_path="none requested quoted prepared paying paid settled reconciled",
    words={
        "ANSWERS": "mint_refused reply_lost mint_unreachable",  # to the payment request
        "QUOTE": "mint_paid mint_pending mint_unpaid mint_unclear",
        "REFUSAL": "refusal_seen refusal_stands",
        "FENCE": "fence_done fence_found fence_refused",
        "CHANGE": "change_received change_seen_empty change_complete_empty change_missing",
        "ENDED": "cancel=ALREADY_FINAL",
    },
    states="""
        none        | pseudo ||
        requested   | live ask_quote ||
        quoted      | live choose_inputs ||
        splitting   | live run_child | recover | cancel=CHILD_RUNNING
        prepared    | live start +confirmation | recover |
        paying      | live post_melt ahead | FENCE inputs_spent_elsewhere | cancel=ALREADY_SENT
        pending     | live ask_state | mint_pending ANSWERS fence_refused paid_otherwise recover | cancel=ALREADY_SENT
        unknown     | live ask_state | mint_unpaid mint_unclear ANSWERS fence_refused paid_otherwise recover | cancel=ALREADY_SENT
        refused     | live confirm_refusal | ANSWERS FENCE recover | cancel=ALREADY_SENT
        paid        | live collect_change | QUOTE ANSWERS FENCE inputs_spent_elsewhere change_missing change_seen_empty recover | cancel=ALREADY_SENT
        unpaid      | live resolve_unpaid | mint_unpaid ANSWERS fence_refused inputs_spent_elsewhere recover | cancel=ALREADY_SENT
        fencing     | live post_fence ahead | mint_pending mint_unpaid mint_unclear ANSWERS inputs_spent_elsewhere recover | cancel=ALREADY_SENT
        watching    | live ask_state +settles +frees | QUOTE ANSWERS fence_refused inputs_spent_elsewhere recover | cancel=ALREADY_SENT write_off=WATCH_NOT_OVER
        settled     | live reconcile | QUOTE ANSWERS FENCE CHANGE recover | cancel=ALREADY_SENT
        attention   | parked ask_state | QUOTE ANSWERS FENCE inputs_spent_elsewhere paid_otherwise too_old change_missing change_seen_empty recover | cancel=ALREADY_SENT
        stuck       | parked ask_state +frees | QUOTE ANSWERS fence_refused inputs_spent_elsewhere too_old recover | cancel=ALREADY_SENT
        discrepant  | parked | QUOTE ANSWERS FENCE CHANGE recover | cancel=ALREADY_SENT
        reconciled  | final +good | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover | ENDED
        released    | final +unpaid | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover | ENDED
        rejected    | final +unpaid | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover | ENDED
        expired     | final +unpaid | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover | ENDED
        written_off | final +lost | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover | ENDED
        cancelled   | final +unpaid | QUOTE ANSWERS FENCE CHANGE REFUSAL inputs_spent_elsewhere paid_otherwise too_old recover cancel |
    """,
    origins="""
        caller   | request cancel new_attempt
        mint     | quote_received quote_refused quote_unavailable preflight_blocked QUOTE ANSWERS REFUSAL paid_otherwise inputs_spent_elsewhere FENCE CHANGE
        engine   | inputs_chosen funds_missing strand split_started split_done split_failed child_parked pay retry fence fence_impossible release reconcile_passed reconcile_failed drive_failed
        clock    | expire too_old watch_over
        restart  | recover
        operator | resume write_off resolve
    """,
    rows="""
        0   | request             | none > requested ||
        1   | quote_received      | requested > quoted | quote_matches_invoice, quote_unexpired, amount_in_limits | store_quote
        2   | quote_refused quote_unavailable | requested > rejected || record_reason
        2b  | quote_unavailable   | quoted > rejected || record_reason
        3   | cancel              | requested quoted prepared > cancelled | nothing_sent | release_inputs drop_claim
        4   | expire              | quoted prepared > expired | nothing_sent, not quote_unexpired | release_inputs drop_claim
        5   | inputs_chosen       | quoted > prepared | owner_matches, one_mint_one_unit, inputs_unspent, inputs_cover, inputs_few_enough, fee_acceptable, preflight_clear, claim_free | take_claim split_off_keep reserve_inputs write_blanks write_request
        6   | split_started       | quoted > splitting | exact_inputs_wanted, owner_matches, one_mint_one_unit, inputs_unspent, inputs_cover, claim_free | take_claim split_off_keep reserve_inputs
        6   | split_done          | splitting > prepared | inputs_cover | adopt_split write_blanks write_request
        6   | split_failed        | splitting > rejected | child_ended_unspent | release_inputs drop_claim record_reason
        6   | child_parked        | splitting > attention || record_reason alarm
        7   | funds_missing       | quoted > rejected | not inputs_cover | record_reason
        8   | preflight_blocked   | quoted > rejected | not preflight_clear | correct_spent record_reason alarm
        8b  | preflight_blocked   | prepared > rejected | nothing_sent, not preflight_clear | release_inputs drop_claim correct_spent record_reason alarm
        9   | pay                 | prepared > paying | quote_unexpired, inputs_reserved_by_operation | stamp_sent
        10  | mint_paid           | paying refused pending unknown unpaid fencing > paid | payment_proven | spend_inputs store_payment
        10  | mint_paid           | attention > paid | payment_proven, payment_is_news | spend_inputs store_payment
        11  | mint_pending        | paying refused unknown unpaid > pending ||
        12  | mint_unpaid         | paying pending unknown > unpaid | unpaid_is_proven |
        13  | mint_unpaid         | paying pending > unknown | not unpaid_is_proven |
        13b | mint_unpaid         | refused > unknown | not refusal_confirmed | forget_unspent
        14  | reply_lost mint_unreachable | paying > unknown || record_reason
        14  | mint_refused        | paying > unknown | not refusal_decides | record_reason
        14b | mint_unclear        | paying refused pending unpaid > unknown || record_reason
        14c | mint_unclear        | unknown > stay | unclear_is_news | record_reason
        15  | recover             | requested quoted > cancelled || release_inputs drop_claim
        15  | recover             | prepared > cancelled | nothing_sent, not two_step | release_inputs drop_claim
        15  | recover             | paying > unknown ||
        16  | inputs_spent_elsewhere | unknown pending > attention | inputs_spent_without_us | record_reason alarm
        17  | too_old             | splitting refused unknown pending unpaid fencing paid > attention | unresolved_too_long | record_reason alarm
        17b | too_old             | settled > discrepant | unresolved_too_long | record_reason alarm
        17c | too_old             | watching > stuck | unresolved_too_long | record_reason alarm
        18  | retry               | unpaid > paying | policy_allows_retry, quote_unexpired | stamp_sent
        19  | fence               | unpaid > fencing | mint_can_swap_and_restore | write_fence
        19e | fence               | unknown > fencing | quote_unclear, inputs_settled_unspent, mint_can_swap_and_restore | write_fence
        19b | strand              | unpaid > stay | cannot_be_fenced, not last_of_all | record_reason strand_part alarm
        19c | strand              | unpaid > released | cannot_be_fenced, last_of_all, something_fenced | record_reason strand_part drop_claim alarm
        19d | strand              | unpaid > watching | cannot_be_fenced, last_of_all, not something_fenced | record_reason strand_part stamp_watch alarm
        20  | fence_impossible    | unpaid > attention | not mint_can_swap_and_restore | record_reason alarm
        21  | release             | unpaid > watching | policy_trusts_mint, unpaid_is_proven | release_inputs stamp_watch
        21  | watch_over          | watching stuck > released | watch_window_over, quote_still_unpaid | drop_claim
        21b | release             | attention > watching | operator_gave_reason, unpaid_is_proven | record_reason release_inputs stamp_watch
        21c | write_off           | stuck > released | operator_gave_reason, quote_still_unpaid | record_reason drop_claim alarm
        21d | write_off           | stuck > written_off | operator_gave_reason, not quote_still_unpaid | record_reason alarm
        21e | resume              | stuck > watching | operator_gave_reason | record_reason stamp_watch
        22  | fence_done fence_found | fencing unknown pending unpaid attention > released | outputs_verified, fence_takes_all | spend_inputs store_fenced drop_claim
        22b | fence_done fence_found | watching stuck > released | outputs_verified, fence_takes_all | correct_spent store_fenced drop_claim alarm
        22c | fence_done fence_found | fencing unknown pending attention > unpaid | outputs_verified, not fence_takes_all | spend_part store_fenced restart_patience
        22c | fence_done fence_found | unpaid > stay | outputs_verified, not fence_takes_all | spend_part store_fenced restart_patience
        22d | fence_done fence_found | watching stuck > stay | outputs_verified, not fence_takes_all | correct_spent store_fenced alarm
        23a | fence_refused       | fencing > unknown | own_outputs_not_signed, refusal_means_inputs_gone | record_reason
        23b | fence_refused       | fencing > unpaid | own_outputs_not_signed, new_outputs_may_help, not refusal_means_inputs_gone, not refused_for_good | record_reason
        23c | fence_refused       | fencing > unpaid | own_outputs_not_signed, refused_for_good, not refusal_means_inputs_gone | record_reason end_fence
        23d | fence_refused       | fencing > stay | own_outputs_not_signed, not refusal_means_inputs_gone, not refused_for_good, not new_outputs_may_help | record_reason note_refusal
        24  | change_received     | paid > settled | change_in_bounds, change_verified, blanks_used_once | store_change
        24b | change_received     | paid > settled | change_above_owed, change_verified, blanks_used_once, not change_in_bounds | store_change alarm
        25  | change_complete_empty | paid > settled | owed_min_is_zero, repeatedly_empty | store_change
        25b | change_seen_empty   | paid > stay | owed_min_is_zero, first_seen_empty | stamp_empty
        26  | change_missing      | paid > attention | not attempts_left | record_reason alarm
        27  | reconcile_passed    | settled > reconciled | documents_agree |
        27  | reconcile_failed    | settled > discrepant | not documents_agree | record_reason alarm
        28a | resume              | attention > paid | operator_gave_reason, payment_proven | record_reason restart_patience spend_inputs store_payment
        28b | resume              | attention > unknown | operator_gave_reason, not payment_proven | record_reason restart_patience
        29b | write_off           | attention > written_off | operator_gave_reason, not_in_flight, not payment_proven | record_reason free_untouched spend_inputs record_loss
        29c | write_off           | attention > written_off | operator_gave_reason, forced, not not_in_flight, not payment_proven | record_reason strand_inputs alarm
        29a | write_off           | attention > settled | operator_gave_reason, payment_proven, recorded_already | record_reason spend_inputs store_payment store_change record_loss
        30  | resolve             | discrepant > reconciled | operator_gave_reason | record_reason
        32  | mint_paid           | watching stuck > paid | payment_proven, inputs_taken | correct_spent store_payment alarm
        34  | mint_refused        | paying > refused | refusal_decides | record_reason stamp_refusal
        35  | refusal_seen        | refused > stay | refusal_confirmed, not refusal_was_confirmed | stamp_unspent
        36  | refusal_stands      | refused > watching | refusal_confirmed, refusal_window_over, not refusal_blames_inputs | release_inputs stamp_watch
        36b | refusal_stands      | refused > unpaid | refusal_confirmed, refusal_window_over, refusal_blames_inputs |
        37  | paid_otherwise      | watching stuck > released | payment_proven, not inputs_taken, not claim_held | drop_claim
        38  | new_attempt         | watching stuck > stay | refusal_stood, claim_held | drop_claim
        33  | drive_failed        | splitting paying refused pending unknown unpaid fencing paid > attention | drives_fail | record_reason alarm
        33b | drive_failed        | settled > discrepant | drives_fail | record_reason alarm
        33c | drive_failed        | watching > stuck | drives_fail | record_reason alarm
    """,
    codes="""
        QUOTE_MISMATCH | quote_matches_invoice
        QUOTE_EXPIRED | quote_unexpired
        AMOUNT_OUT_OF_LIMITS | amount_in_limits
        ALREADY_SENT | nothing_sent
        WAITS_FOR_CALLER | two_step
        OWNER_MISMATCH | owner_matches
        MINT_OR_UNIT_MISMATCH | one_mint_one_unit
        CONCURRENT_OPERATION | inputs_unspent
        INSUFFICIENT_BALANCE | inputs_cover
        TOO_MANY_PROOFS | inputs_few_enough
        FEE_TOO_HIGH | fee_acceptable
        PROOF_STATE_INCONSISTENCY | preflight_clear
        PAYMENT_ALREADY_CLAIMED | claim_free claim_held refusal_stood
        EXACT_INPUTS_NOT_WANTED | exact_inputs_wanted
        INPUTS_STILL_HELD | child_ended_unspent
        NOT_RESERVED | inputs_reserved_by_operation
        NOT_PROVEN_PAID | payment_proven payment_is_news inputs_taken
        NOT_PROVEN_UNPAID | unpaid_is_proven quote_still_unpaid inputs_settled_unspent quote_unclear unclear_is_news refusal_confirmed refusal_was_confirmed refusal_window_over
        INPUTS_NOT_GONE | inputs_spent_without_us refusal_means_inputs_gone
        NOT_TOO_OLD | unresolved_too_long drives_fail
        POLICY_FORBIDS | policy_allows_retry policy_trusts_mint refusal_decides refusal_blames_inputs
        FENCE_NOT_POSSIBLE | mint_can_swap_and_restore
        WATCH_NOT_OVER | watch_window_over
        PAYMENT_IN_FLIGHT | forced not_in_flight
        FENCE_NOT_VERIFIED | outputs_verified
        FENCE_STANDS | own_outputs_not_signed
        FENCE_IN_PARTS | fence_takes_all last_of_all
        NOT_REFUSED_FOR_GOOD | refused_for_good
        FENCE_WOULD_BE_THE_SAME | new_outputs_may_help
        REFUSAL_NOT_PROVEN | cannot_be_fenced
        NOTHING_FENCED | something_fenced
        CHANGE_OUT_OF_BOUNDS | change_in_bounds owed_min_is_zero change_above_owed
        CHANGE_NOT_VERIFIED | change_verified
        CHANGE_STILL_AWAITED | repeatedly_empty first_seen_empty attempts_left
        DUPLICATE_SECRET | blanks_used_once
        RECONCILIATION_FAILED | documents_agree
        OPERATOR_REASON_MISSING | operator_gave_reason
        ALREADY_RECORDED | recorded_already
    """,
    said="""
        STANDARD | store_quote record_reason take_claim drop_claim write_blanks write_request write_fence end_fence \
                   note_refusal stamp_empty stamp_watch stamp_refusal restart_patience stamp_unspent forget_unspent
        HIGH     | reserve_inputs release_inputs split_off_keep adopt_split stamp_sent spend_inputs store_payment \
                   store_fenced spend_part strand_part store_change correct_spent strand_inputs free_untouched \
                   record_loss
        CRITICAL | alarm
        reads_only   | ask_quote choose_inputs start collect_change
        asks_no_mint | start reconcile
        reads_back   | reconcile
    """,
)

RECORD = Rows(
    good_path="none held settled reconciled",
    words={
        "LOOKS": "hold_seen_unspent hold_seen_pending hold_spent hold_over mint_unreachable",
        "ENDED": "cancel=ALREADY_FINAL unhold=ALREADY_FINAL",
    },
    states="""
        none        | pseudo ||
        held        | live watch_hold +caller | hold_seen_pending mint_unreachable recover | cancel=HOLD_NOT_OVER
        settled     | live reconcile | LOOKS recover | cancel=ALREADY_SENT
        contested   | parked watch_sources | LOOKS too_old recover | cancel=ALREADY_SENT unhold=NOT_HELD
        discrepant  | parked | LOOKS too_old recover | cancel=ALREADY_SENT
        reconciled  | final +good | LOOKS too_old recover | ENDED
        written_off | final +lost | LOOKS too_old recover | ENDED
        cancelled   | final +unpaid | LOOKS too_old recover cancel unhold |
    """,
    origins="""
        caller   | hold record unhold cancel
        mint     | hold_seen_unspent hold_seen_pending hold_spent mint_unreachable
        engine   | sources_free reconcile_passed reconcile_failed drive_failed
        clock    | hold_over too_old
        restart  | recover
        operator | write_off resolve
    """,
    rows="""
        1   | hold                | none > held | owner_matches, one_mint_one_unit, inputs_unspent, hold_in_limits, claim_free | take_claim reserve_inputs
        2   | record              | none > settled | owner_matches, one_mint_one_unit, conserved, secrets_distinct, sources_touched, nothing_contested | take_claim record_melt
        2b  | record              | none > contested | owner_matches, one_mint_one_unit, conserved, secrets_distinct, sources_touched, not nothing_contested | park_record record_reason alarm
        3   | record              | held > settled | conserved, secrets_distinct, sources_touched, sources_are_the_held, nothing_contested | take_claim record_melt
        3   | record              | contested > settled | conserved, secrets_distinct, sources_touched, sources_are_the_held, nothing_contested, not recorded_already | take_claim record_melt
        3b  | record              | held > contested | conserved, secrets_distinct, sources_touched, sources_are_the_held, not nothing_contested | park_record record_reason alarm
        3b  | record              | contested > stay | conserved, secrets_distinct, sources_touched, sources_are_the_held, not nothing_contested, not recorded_already | park_record record_reason alarm
        4   | unhold              | held > cancelled || release_inputs drop_claim
        5   | hold_seen_unspent   | held > stay | hold_is_over, held_first_seen_unspent | stamp_unspent
        5   | hold_seen_pending   | held > stay | hold_is_over, held_was_unspent | forget_unspent
        6   | hold_over           | held > cancelled | hold_is_over, held_proven_unspent | release_inputs drop_claim
        7   | hold_spent          | held > contested | hold_is_over, held_seen_spent | record_reason alarm
        7   | too_old             | held > contested | unresolved_too_long | record_reason alarm
        7   | drive_failed        | held > contested | drives_fail | record_reason alarm
        8   | sources_free        | contested > settled | recorded_already, nothing_contested | take_claim spend_contested
        9   | write_off           | contested > written_off | operator_gave_reason, held_not_in_flight, not recorded_already | record_reason free_untouched spend_inputs record_loss
        9b  | write_off           | contested > written_off | operator_gave_reason, forced, not recorded_already, not held_not_in_flight | record_reason strand_inputs alarm
        9c  | write_off           | contested > settled | operator_gave_reason, recorded_already | record_reason spend_contested record_loss
        10  | reconcile_passed    | settled > reconciled | documents_agree |
        10  | reconcile_failed    | settled > discrepant | not documents_agree | record_reason alarm
        11  | too_old             | settled > discrepant | unresolved_too_long | record_reason alarm
        11  | drive_failed        | settled > discrepant | drives_fail | record_reason alarm
        12  | resolve             | discrepant > reconciled | operator_gave_reason | record_reason
    """,
    codes="""
        OWNER_MISMATCH | owner_matches
        MINT_OR_UNIT_MISMATCH | one_mint_one_unit
        CONCURRENT_OPERATION | inputs_unspent nothing_contested
        PAYMENT_ALREADY_CLAIMED | claim_free
        NOT_CONSERVED | conserved
        DUPLICATE_SECRET | secrets_distinct
        SOURCE_UNTOUCHED | sources_touched
        HOLD_MISMATCH | sources_are_the_held
        ALREADY_RECORDED | recorded_already
        INVALID_TTL | hold_in_limits
        HOLD_NOT_OVER | hold_is_over
        RELEASE_NOT_PROVEN | held_first_seen_unspent held_was_unspent held_proven_unspent
        INPUTS_NOT_GONE | held_seen_spent
        PAYMENT_IN_FLIGHT | forced held_not_in_flight
        NOT_TOO_OLD | unresolved_too_long drives_fail
        RECONCILIATION_FAILED | documents_agree
        OPERATOR_REASON_MISSING | operator_gave_reason
    """,
    said="""
        STANDARD | take_claim drop_claim record_reason stamp_unspent forget_unspent
        HIGH     | reserve_inputs release_inputs record_melt park_record spend_contested free_untouched spend_inputs \
                   strand_inputs record_loss
        CRITICAL | alarm
        asks_no_mint | watch_sources reconcile
        reads_back | reconcile
    """,
)

MINT = Rows(
    good_path="none requested quoted issuing issued",
    words={
        "ANSWERS": "mint_refused reply_lost mint_unreachable",
        "INVOICE": "invoice_paid issue_blocked invoice_unpaid invoice_issued mint_unclear",
        "WAITING": "invoice_unpaid issue_blocked mint_unclear mint_refused reply_lost mint_unreachable recover resume",
        "PROOFS": "signatures_received signatures_restored restore_empty",
    },
    states="""
        none        | pseudo ||
        requested   | live ask_quote ||
        quoted      | live ask_payment | WAITING | cancel=ALREADY_SENT
        lapsed      | live ask_payment | WAITING | cancel=ALREADY_SENT
        issuing     | live post_mint ahead | INVOICE resume | cancel=ALREADY_SENT
        restoring   | live restore_outputs | restore_empty INVOICE ANSWERS recover resume | cancel=ALREADY_SENT
        attention   | parked restore_outputs | restore_empty INVOICE ANSWERS too_old recover | cancel=ALREADY_SENT
        issued      | final +good | ANSWERS INVOICE PROOFS too_old recover | cancel=ALREADY_FINAL
        rejected    | final +unpaid | ANSWERS INVOICE PROOFS too_old recover | cancel=ALREADY_FINAL
        expired     | final +unpaid | ANSWERS INVOICE PROOFS too_old recover | cancel=ALREADY_FINAL
        written_off | final +lost | ANSWERS INVOICE PROOFS too_old recover | cancel=ALREADY_FINAL
        cancelled   | final +unpaid | ANSWERS INVOICE PROOFS too_old recover cancel |
    """,
    origins="""
        caller   | request look_again cancel
        mint     | quote_received quote_refused quote_unavailable INVOICE PROOFS ANSWERS
        clock    | expire watch_counted watch_over too_old
        engine   | drive_failed
        restart  | recover
        operator | resume write_off
    """,
    rows="""
        0   | request             | none > requested || expect_token
        0b  | look_again          | none > lapsed | invoice_is_paid | expect_token stamp_watch
        1   | quote_received      | requested > quoted | quote_matches_amount, amount_in_limits | store_quote
        2   | quote_refused quote_unavailable | requested > rejected || fail_token record_reason
        3   | cancel recover      | requested > cancelled || fail_token
        4   | invoice_paid        | quoted lapsed > issuing | invoice_is_paid | stamp_paid write_outputs stamp_sent
        4b  | invoice_paid        | attention > issuing | invoice_is_paid, not outputs_written | stamp_paid write_outputs stamp_sent
        4c  | issue_blocked       | quoted lapsed > stay | invoice_is_paid, not paid_noted | stamp_paid
        4d  | issue_blocked       | quoted lapsed > attention | invoice_is_paid, paid_noted, blocked_too_long | record_reason alarm
        5   | expire              | quoted > lapsed | quote_is_dead | stamp_watch
        5b  | watch_over          | lapsed > expired | late_watch_over, still_unpaid | fail_token
        5c  | watch_counted       | lapsed > stay | watch_part_over | count_watch
        5d  | invoice_unpaid      | attention > lapsed | still_unpaid, not paid_noted, not outputs_written | record_reason count_watch
        6   | invoice_issued      | quoted lapsed > attention || stamp_paid record_reason alarm
        7   | signatures_received | issuing restoring attention > issued | outputs_verified | issue_token
        7   | signatures_restored | restoring attention > issued | outputs_verified | issue_token
        8   | mint_refused        | issuing > restoring || record_reason count_refusal
        8   | reply_lost mint_unreachable recover | issuing > restoring ||
        9   | restore_empty       | restoring > issuing | nothing_restored, invoice_is_paid, tries_left, not outputs_useless | stamp_sent
        9a  | restore_empty       | restoring > issuing | nothing_restored, invoice_is_paid, tries_left, outputs_useless | write_outputs stamp_sent
        9b  | restore_empty       | restoring > attention | nothing_restored, invoice_is_paid, not tries_left | record_reason alarm
        9c  | restore_empty       | attention > issuing | outputs_written, nothing_restored, invoice_is_paid, retry_is_due, not outputs_useless | restart_patience stamp_sent
        9d  | restore_empty       | attention > issuing | outputs_written, nothing_restored, invoice_is_paid, retry_is_due, outputs_useless | restart_patience write_outputs stamp_sent
        10  | restore_empty       | restoring > attention | issued_to_others, not invoice_is_paid | record_reason alarm
        11a | resume              | attention > restoring | operator_gave_reason, outputs_written | record_reason reset_tries restart_patience
        11b | resume              | attention > quoted | operator_gave_reason, not outputs_written | record_reason restart_patience
        12  | write_off           | attention > written_off | operator_gave_reason | fail_token record_reason record_loss
        14  | drive_failed        | quoted lapsed issuing restoring > attention | drives_fail | record_reason alarm
        13  | too_old             | quoted lapsed issuing restoring > attention | unresolved_too_long | record_reason alarm
    """,
    codes="""
        QUOTE_MISMATCH | quote_matches_amount
        AMOUNT_OUT_OF_LIMITS | amount_in_limits
        NOT_PROVEN_PAID | invoice_is_paid paid_noted
        NOT_PROVEN_UNPAID | still_unpaid
        EXPIRED_NOT_YET | quote_is_dead
        WATCH_NOT_OVER | late_watch_over watch_part_over
        OUTPUTS_NOT_VERIFIED | outputs_verified
        RESTORE_INCOMPLETE | nothing_restored issued_to_others tries_left outputs_written outputs_useless retry_is_due
        OPERATOR_REASON_MISSING | operator_gave_reason
        NOT_TOO_OLD | unresolved_too_long blocked_too_long drives_fail
    """,
    said="""
        STANDARD | store_quote record_reason stamp_watch restart_patience reset_tries expect_token fail_token \
                   write_outputs stamp_paid count_watch count_refusal
        HIGH     | stamp_sent record_loss issue_token
        CRITICAL | alarm
        reads_only | ask_quote
    """,
)

DEPOSIT = Rows(
    good_path="none deposited",
    states="""
        none      | pseudo ||
        deposited | final +good | recover |
    """,
    origins="""
        caller  | deposit
        restart | recover
    """,
    rows="1 | deposit | none > deposited | proofs_few_enough, amount_in_limits | store_deposit",
    codes="""
        TOO_MANY_PROOFS | proofs_few_enough
        AMOUNT_OUT_OF_LIMITS | amount_in_limits
    """,
    said="""
        HIGH | store_deposit
    """,
)

CHECK = Rows(
    good_path="none clean",
    states="""
        none       | pseudo ||
        clean      | final +good | recover |
        corrected  | final +good | recover |
        discrepant | parked | recover |
        resolved   | final +good | recover resolve |
        retried    | final +good | recover |
        written_off | final +lost | recover |
        collected  | final +good | recover |
    """,
    origins="""
        engine   | found_clean found_wrong
        mint     | found_spent found_paid
        operator | resolve retry write_off
        restart  | recover
    """,
    rows="""
        1 | found_clean | none > clean          | documents_agree |
        2 | found_spent | none > corrected      | spent_said_twice | correct_spent record_reason alarm
        3 | found_wrong | none > discrepant     | not documents_agree | record_reason alarm
        4 | resolve     | discrepant > resolved | operator_gave_reason | record_reason
        5 | retry       | none > retried        | operator_gave_reason, something_stranded | free_stranded record_reason alarm
        6 | write_off   | none > written_off    | operator_gave_reason, something_stranded | drop_stranded record_reason record_loss alarm
        7 | found_paid  | none > collected      | operator_gave_reason, paid_after_all | correct_spent store_late_change record_reason alarm
    """,
    codes="""
        NOT_PROVEN_PAID | paid_after_all
        RECONCILIATION_FAILED | documents_agree
        NOT_PROVEN_SPENT | spent_said_twice
        NOTHING_STRANDED | something_stranded
        OPERATOR_REASON_MISSING | operator_gave_reason
    """,
    said="""
        STANDARD | record_reason
        HIGH     | correct_spent store_late_change free_stranded drop_stranded record_loss
        CRITICAL | alarm
    """,
)

SWAP = Rows(
    good_path="none swapping settled reconciled",
    words={
        "POST": "mint_refused reply_lost mint_unreachable",
        "LOOKS": "nothing_signed inputs_spent_elsewhere refusal_seen refusal_stands resend give_up",
        "SIGNED": "signatures_received signatures_restored",
        "SENT": "cancel=ALREADY_SENT",
        "ENDED": "cancel=ALREADY_FINAL",
    },
    states="""
        none        | pseudo ||
        swapping    | live post_swap ahead | LOOKS | SENT
        restoring   | live ask_outcome | POST LOOKS recover | SENT
        watching    | live ask_outcome +settles +frees | POST LOOKS recover | SENT write_off=WATCH_NOT_OVER
        settled     | live reconcile | POST LOOKS SIGNED watch_over recover | SENT
        attention   | parked ask_outcome | POST LOOKS too_old recover | SENT
        stuck       | parked ask_outcome +frees | POST LOOKS too_old recover | SENT
        discrepant  | parked | POST LOOKS SIGNED watch_over too_old recover | SENT
        reconciled  | final +good | POST LOOKS SIGNED watch_over too_old recover | ENDED
        released    | final +unpaid | POST LOOKS SIGNED watch_over too_old recover | ENDED
        rejected    | final +unpaid | POST LOOKS SIGNED watch_over too_old recover | ENDED
        written_off | final +lost | POST LOOKS SIGNED watch_over too_old recover | ENDED
    """,
    origins="""
        caller   | request cancel
        mint     | preflight_blocked SIGNED POST nothing_signed refusal_seen refusal_stands inputs_spent_elsewhere
        engine   | resend give_up drive_failed reconcile_passed reconcile_failed
        clock    | watch_over too_old
        restart  | recover
        operator | resume release write_off resolve
    """,
    rows="""
        1   | request                | none > swapping | owner_matches, one_mint_one_unit, inputs_unspent, inputs_few_enough, outputs_fit, balanced, preflight_clear, mint_can_restore | split_off_keep reserve_inputs write_swap stamp_sent
        1b  | preflight_blocked      | none > rejected | not preflight_clear | correct_spent record_reason alarm
        2   | SIGNED                 | swapping restoring attention > settled | outputs_verified | spend_inputs store_swapped
        2b  | SIGNED                 | watching stuck > settled | outputs_verified | correct_spent store_swapped alarm
        3   | mint_refused           | swapping > restoring | refusal_is_clear | record_reason note_clear_refusal
        3b  | mint_refused           | swapping > restoring | not refusal_is_clear | record_reason
        3b  | reply_lost mint_unreachable | swapping > restoring || record_reason
        4   | recover                | swapping > restoring ||
        5   | refusal_seen           | restoring > stay | refused_clearly, untouched, not refusal_was_confirmed | stamp_unspent
        5b  | refusal_stands         | restoring > watching | refused_clearly, untouched, refusal_window_over, not coin_refused | release_inputs stamp_watch
        5c  | refusal_stands         | restoring > watching | refused_clearly, untouched, refusal_window_over, coin_refused | record_reason strand_inputs stamp_watch alarm
        6   | resend                 | restoring > swapping | settled_untouched, tries_left, not refused_clearly | stamp_sent
        6b  | give_up                | restoring > watching | settled_untouched, not tries_left | record_reason release_inputs stamp_watch
        7   | inputs_spent_elsewhere | restoring > attention | spent_without_us | record_reason alarm
        8   | watch_over             | watching stuck > released | watch_window_over, nothing_restored |
        9   | too_old                | restoring > attention | unresolved_too_long | record_reason alarm
        9b  | too_old                | watching > stuck | unresolved_too_long | record_reason alarm
        9c  | too_old                | settled > discrepant | unresolved_too_long | record_reason alarm
        10  | drive_failed           | swapping restoring > attention | drives_fail | record_reason alarm
        10b | drive_failed           | watching > stuck | drives_fail | record_reason alarm
        10c | drive_failed           | settled > discrepant | drives_fail | record_reason alarm
        11  | reconcile_passed       | settled > reconciled | documents_agree |
        11  | reconcile_failed       | settled > discrepant | not documents_agree | record_reason alarm
        12  | resume                 | attention > restoring | operator_gave_reason | record_reason restart_patience
        12b | resume                 | stuck > watching | operator_gave_reason | record_reason stamp_watch
        13  | release                | attention > watching | operator_gave_reason, settled_untouched | record_reason release_inputs stamp_watch
        14  | write_off              | attention > written_off | operator_gave_reason, request_dead | record_reason free_untouched spend_inputs record_loss
        14b | write_off              | attention > written_off | operator_gave_reason, forced, not request_dead | record_reason strand_inputs alarm
        14c | write_off              | stuck > released | operator_gave_reason, nothing_restored | record_reason alarm
        14d | write_off              | stuck > written_off | operator_gave_reason, not nothing_restored | record_reason alarm
        15  | resolve                | discrepant > reconciled | operator_gave_reason | record_reason
    """,
    codes="""
        OWNER_MISMATCH | owner_matches
        MINT_OR_UNIT_MISMATCH | one_mint_one_unit
        CONCURRENT_OPERATION | inputs_unspent
        TOO_MANY_PROOFS | inputs_few_enough
        AMOUNT_OUT_OF_LIMITS | outputs_fit
        NOT_CONSERVED | balanced
        PROOF_STATE_INCONSISTENCY | preflight_clear
        RESTORE_NOT_SUPPORTED | mint_can_restore
        OUTPUTS_NOT_VERIFIED | outputs_verified
        NOT_REFUSED_FOR_GOOD | refusal_is_clear refused_clearly tries_left
        REFUSAL_NOT_PROVEN | coin_refused
        NOT_PROVEN_UNPAID | refusal_was_confirmed refusal_window_over
        RELEASE_NOT_PROVEN | untouched settled_untouched
        INPUTS_NOT_GONE | spent_without_us
        WATCH_NOT_OVER | watch_window_over
        RESTORE_INCOMPLETE | nothing_restored
        NOT_TOO_OLD | unresolved_too_long drives_fail
        RECONCILIATION_FAILED | documents_agree
        OPERATOR_REASON_MISSING | operator_gave_reason
        PAYMENT_IN_FLIGHT | request_dead forced
    """,
    said="""
        STANDARD | write_swap note_clear_refusal stamp_unspent stamp_watch restart_patience record_reason
        HIGH     | split_off_keep reserve_inputs stamp_sent spend_inputs store_swapped release_inputs strand_inputs \
                   free_untouched correct_spent record_loss
        CRITICAL | alarm
        asks_no_mint | reconcile
        reads_back | reconcile
    """,
)

RECEIVE = Rows(
    good_path="none receiving settled reconciled",
    words={
        "POST": "mint_refused reply_lost mint_unreachable",
        "STANDS": "nothing_signed refusal_seen refusal_stands resend give_up",
        "LOOKS": "nothing_signed inputs_spent_elsewhere refusal_seen refusal_stands resend give_up",
        "SIGNED": "signatures_received signatures_restored",
        "SENT": "cancel=ALREADY_SENT",
        "ENDED": "cancel=ALREADY_FINAL",
    },
    states="""
        none         | pseudo ||
        receiving    | live post_receive ahead | LOOKS | SENT
        restoring    | live ask_outcome | POST LOOKS recover | SENT
        watching     | live ask_outcome +settles +frees | POST LOOKS recover | SENT write_off=WATCH_NOT_OVER
        settled      | live reconcile | POST LOOKS SIGNED watch_over recover | SENT
        attention    | parked ask_outcome | POST STANDS too_old recover | SENT
        stuck        | parked ask_outcome +frees | POST LOOKS too_old recover | SENT
        discrepant   | parked | POST LOOKS SIGNED watch_over too_old recover | SENT
        reconciled   | final +good | POST LOOKS SIGNED watch_over too_old recover | ENDED
        not_received | final +unpaid | POST LOOKS SIGNED watch_over too_old recover | ENDED
        written_off  | final +lost | POST LOOKS SIGNED watch_over too_old recover | ENDED
    """,
    origins="""
        caller   | request cancel
        mint     | SIGNED POST nothing_signed refusal_seen refusal_stands inputs_spent_elsewhere
        engine   | resend give_up drive_failed reconcile_passed reconcile_failed
        clock    | watch_over too_old
        restart  | recover
        operator | resume release write_off resolve
    """,
    rows="""
        1   | request                | none > receiving | not_received, inputs_few_enough, outputs_fit, balanced, preflight_clear, mint_can_restore | claim_token write_receive stamp_sent
        2   | SIGNED                 | receiving restoring attention > settled | outputs_verified | store_received
        2b  | SIGNED                 | watching stuck > settled | outputs_verified | correct_spent store_received alarm
        3   | mint_refused           | receiving > restoring | refusal_is_clear | record_reason note_clear_refusal
        3b  | mint_refused           | receiving > restoring | not refusal_is_clear | record_reason
        3b  | reply_lost mint_unreachable | receiving > restoring || record_reason
        4   | recover                | receiving > restoring ||
        5   | refusal_seen           | restoring > stay | refused_clearly, untouched, not refusal_was_confirmed | stamp_unspent
        5b  | refusal_stands         | restoring > watching | refused_clearly, untouched, refusal_window_over | let_token_go stamp_watch
        6   | resend                 | restoring > receiving | settled_untouched, tries_left, not refused_clearly | stamp_sent
        6b  | give_up                | restoring > watching | settled_untouched, not tries_left | record_reason let_token_go stamp_watch
        7   | inputs_spent_elsewhere | restoring attention > watching | spent_without_us | record_reason let_token_go stamp_watch
        8   | watch_over             | watching stuck > not_received | watch_window_over, nothing_restored |
        9   | too_old                | restoring > attention | unresolved_too_long | record_reason alarm
        9b  | too_old                | watching > stuck | unresolved_too_long | record_reason alarm
        9c  | too_old                | settled > discrepant | unresolved_too_long | record_reason alarm
        10  | drive_failed           | receiving restoring > attention | drives_fail | record_reason alarm
        10b | drive_failed           | watching > stuck | drives_fail | record_reason alarm
        10c | drive_failed           | settled > discrepant | drives_fail | record_reason alarm
        11  | reconcile_passed       | settled > reconciled | documents_agree |
        11  | reconcile_failed       | settled > discrepant | not documents_agree | record_reason alarm
        12  | resume                 | attention > restoring | operator_gave_reason | record_reason restart_patience
        12b | resume                 | stuck > watching | operator_gave_reason | record_reason stamp_watch
        13  | release                | attention > watching | operator_gave_reason, nothing_of_ours | record_reason let_token_go stamp_watch
        14  | write_off              | attention > written_off | operator_gave_reason, forced | record_reason let_token_go alarm
        14c | write_off              | stuck > not_received | operator_gave_reason, nothing_restored | record_reason alarm
        14d | write_off              | stuck > written_off | operator_gave_reason, not nothing_restored | record_reason alarm
        15  | resolve                | discrepant > reconciled | operator_gave_reason | record_reason
    """,
    codes="""
        ALREADY_RECEIVED | not_received
        TOO_MANY_PROOFS | inputs_few_enough
        AMOUNT_OUT_OF_LIMITS | outputs_fit
        NOT_CONSERVED | balanced
        PROOF_STATE_INCONSISTENCY | preflight_clear
        RESTORE_NOT_SUPPORTED | mint_can_restore
        OUTPUTS_NOT_VERIFIED | outputs_verified
        NOT_REFUSED_FOR_GOOD | refusal_is_clear refused_clearly tries_left
        NOT_PROVEN_UNPAID | refusal_was_confirmed refusal_window_over
        RELEASE_NOT_PROVEN | untouched settled_untouched
        INPUTS_NOT_GONE | spent_without_us
        WATCH_NOT_OVER | watch_window_over
        RESTORE_INCOMPLETE | nothing_restored nothing_of_ours
        NOT_TOO_OLD | unresolved_too_long drives_fail
        RECONCILIATION_FAILED | documents_agree
        OPERATOR_REASON_MISSING | operator_gave_reason
        PAYMENT_IN_FLIGHT | forced
    """,
    said="""
        STANDARD | claim_token let_token_go write_receive note_clear_refusal stamp_unspent stamp_watch \
                   restart_patience record_reason
        HIGH     | stamp_sent store_received correct_spent
        CRITICAL | alarm
        asks_no_mint | reconcile
        reads_back | reconcile
    """,
)

ROWS: Mapping[str, Rows] = {
    "token": TOKEN, "melt": MELT, "record": RECORD, "mint": MINT, "swap": SWAP, "receive": RECEIVE, "deposit": DEPOSIT,
    "check": CHECK,
}  # fmt: skip
