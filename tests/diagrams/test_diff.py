"""Comparing two versions of a machine: every kind of change is found, and equal ones are equal."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import pytest

from nutstate.diagrams.diff import (
    Changes,
    NotAMachine,
    as_document,
    as_lines,
    as_markdown,
    compare,
    compare_all,
    drawing,
)
from nutstate.diagrams.diff.stored import machine_of
from nutstate.machines import MELT
from nutstate.machines.registry import latest, names

SVG = "{http://www.w3.org/2000/svg}"
Data = dict[str, Any]


def melt() -> Data:
    return copy.deepcopy(MELT.as_data())


def named(items: list[Data], name: str, key: str = "name") -> Data:
    return next(item for item in items if item[key] == name)


def edge(data: Data, name: str) -> Data:
    return named(data["transitions"], name, "id")


def state(data: Data, name: str) -> Data:
    return named(data["states"], name)


def first(data: Data, name: str) -> None:
    """Put an edge before all others."""
    mine = edge(data, name)
    data["transitions"].remove(mine)
    data["transitions"].insert(0, mine)


Plant = Callable[[Data], object]
Told = tuple[str, str, str, str]

PLANTS: dict[str, tuple[Plant, Told]] = {
    "version": (lambda d: d.update(version=2), ("changed", "machine", "melt", "version")),
    "good path": (lambda d: d["good_path"].pop(), ("changed", "machine", "melt", "good path")),
    "state added": (
        lambda d: d["states"].append({**state(d, "unknown"), "name": "lost"}),
        ("added", "state", "lost", ""),
    ),
    "meaning": (lambda d: state(d, "paid").update(meaning="x"), ("changed", "state", "paid", "meaning")),
    "kind": (lambda d: state(d, "paid").update(kind="parked"), ("changed", "state", "paid", "kind")),
    "action": (lambda d: state(d, "paid").update(action=None), ("changed", "state", "paid", "action")),
    "write ahead": (
        lambda d: state(d, "paying").update(write_ahead=False),
        ("changed", "state", "paying", "write ahead"),
    ),
    "group": (lambda d: state(d, "paid").update(group="x"), ("changed", "state", "paid", "group")),
    "patience": (lambda d: state(d, "paid").update(patience="x"), ("changed", "state", "paid", "patience")),
    "settles": (lambda d: state(d, "paid").update(settles=True), ("changed", "state", "paid", "settles")),
    "ends": (lambda d: state(d, "released").update(ends="lost"), ("changed", "state", "released", "ends")),
    "waits for": (
        lambda d: state(d, "prepared").update(waits_for=""),
        ("changed", "state", "prepared", "waits for"),
    ),
    "frees": (lambda d: state(d, "stuck").update(frees=False), ("changed", "state", "stuck", "frees")),
    "level": (
        lambda d: named(d["effect_words"], "alarm").update(level="HIGH"),
        ("changed", "effect", "alarm", "level"),
    ),
    "effect's sentence": (
        lambda d: named(d["effect_words"], "alarm").update(sentence="x"),
        ("changed", "effect", "alarm", "sentence"),
    ),
    "action reads only": (
        lambda d: named(d["action_words"], "start").update(reads_only=False),
        ("changed", "action", "start", "reads only"),
    ),
    "action added": (
        lambda d: d["action_words"].append(
            {"name": "sing", "sentence": "sings"}
            | {"reads_only": True, "asks_no_mint": True, "reads_back": False}
        ),
        ("added", "action", "sing", ""),
    ),
    "absorbs": (
        lambda d: state(d, "paid")["absorbs"].remove("recover"),
        ("changed", "state", "paid", "absorbs"),
    ),
    "refuses": (lambda d: state(d, "paid")["refuses"].clear(), ("changed", "state", "paid", "refuses")),
    "refusal's sentence": (
        lambda d: state(d, "paid")["refuses"][0].__setitem__(2, "because"),
        ("changed", "state", "paid", "refuses"),
    ),
    "order of states": (
        lambda d: d["states"].reverse(),
        ("changed", "state", "", "order in the table"),
    ),
    "event added": (
        lambda d: d["events"].append({"name": "boom", "meaning": "it exploded", "origin": "clock"}),
        ("added", "event", "boom", ""),
    ),
    "event removed": (
        lambda d: d["events"].remove(named(d["events"], "watch_over")),
        ("removed", "event", "watch_over", ""),
    ),
    "origin": (
        lambda d: named(d["events"], "cancel").update(origin="operator"),
        ("changed", "event", "cancel", "origin"),
    ),
    "guard's sentence": (
        lambda d: named(d["guards"], "payment_proven").update(sentence="it is so"),
        ("changed", "guard", "payment_proven", "sentence"),
    ),
    "guard's code": (
        lambda d: named(d["guards"], "payment_proven").update(code="NO"),
        ("changed", "guard", "payment_proven", "code"),
    ),
    "guard added to an edge": (
        lambda d: edge(d, "14.reply_lost.paying")["requires"].append("two_step"),
        ("changed", "edge", "14.reply_lost.paying", "requires"),
    ),
    "guard removed from an edge": (
        lambda d: edge(d, "10.mint_paid.paying")["requires"].clear(),
        ("changed", "edge", "10.mint_paid.paying", "requires"),
    ),
    "guard turned round": (
        lambda d: edge(d, "12.mint_unpaid.paying").update(requires=[], forbids=["unpaid_is_proven"]),
        ("changed", "edge", "12.mint_unpaid.paying", "forbids"),
    ),
    "order of guards": (
        lambda d: edge(d, "5.inputs_chosen.quoted")["requires"].reverse(),
        ("changed", "edge", "5.inputs_chosen.quoted", "order of requires"),
    ),
    "effects": (
        lambda d: edge(d, "10.mint_paid.paying")["effects"].remove("spend_inputs"),
        ("changed", "edge", "10.mint_paid.paying", "effects"),
    ),
    "order of effects": (
        lambda d: edge(d, "10.mint_paid.paying")["effects"].reverse(),
        ("changed", "edge", "10.mint_paid.paying", "order of effects"),
    ),
    "destination": (
        lambda d: edge(d, "14.reply_lost.paying").update(dest="attention"),
        ("changed", "edge", "14.reply_lost.paying", "dest"),
    ),
    "reason": (
        lambda d: edge(d, "14.reply_lost.paying").update(reason="x"),
        ("changed", "edge", "14.reply_lost.paying", "reason"),
    ),
    "edge added": (
        lambda d: d["transitions"].append({**edge(d, "18.retry.unpaid"), "id": "99.retry.unpaid"}),
        ("added", "edge", "99.retry.unpaid", ""),
    ),
    "edge removed": (
        lambda d: d["transitions"].remove(edge(d, "18.retry.unpaid")),
        ("removed", "edge", "18.retry.unpaid", ""),
    ),
    "edge renumbered": (
        lambda d: edge(d, "18.retry.unpaid").update(id="18z.retry.unpaid"),
        ("changed", "edge", "18z.retry.unpaid", "id"),
    ),
    "precedence": (
        lambda d: first(d, "13.mint_unpaid.paying"),
        ("changed", "cell", "paying × mint_unpaid", "order of precedence"),
    ),
    "order of the table": (
        lambda d: first(d, "18.retry.unpaid"),
        ("changed", "edge", "", "order in the table"),
    ),
    "a part nobody knows": (lambda d: d.update(colour="red"), ("changed", "machine", "melt", "other parts")),
}  # fmt: skip


def planted(plant: Plant) -> Data:
    data = melt()
    plant(data)
    return data


@pytest.mark.parametrize("name", names())
def test_a_machine_is_as_itself_and_its_data_is_drawn_alike(name: str) -> None:
    data = json.loads(json.dumps(latest(name).as_data()))
    assert compare(data, copy.deepcopy(data)).changes == ()
    again = machine_of(data)
    assert again.as_data() == latest(name).as_data()
    assert again.content_hash == latest(name).content_hash


@pytest.mark.parametrize(("plant", "told"), PLANTS.values(), ids=PLANTS.keys())
def test_every_planted_change_is_found_both_ways(plant: Plant, told: Told) -> None:
    how, of, name, what = told
    new = planted(plant)
    found = compare(melt(), new).changes
    mine = [c for c in found if (c.how, c.of, c.what) == (how, of, what) and name in ("", c.name)]
    assert mine, found
    if told[2] not in ("12.mint_unpaid.paying",):
        assert len(found) == 1, found
    assert compare(new, melt()).changes, "the way back is a change too"


@pytest.mark.parametrize(("plant", "told"), PLANTS.values(), ids=PLANTS.keys())
def test_every_change_is_told_in_every_form_and_drawn(plant: Plant, told: Told) -> None:
    found = compare(melt(), planted(plant))
    (change, *_) = found.changes
    lines = [line for how, line in as_lines(found) if how is not None]
    assert lines and all(line[2] in "+-~" for line in lines)
    assert change.name in " ".join(lines)
    document = json.loads(json.dumps(as_document(found)))
    assert [c["of"] for c in document["changes"]] == [c.of for c in found.changes]
    assert f"`{change.name}`" in as_markdown([found], "a", "b")
    ElementTree.fromstring(drawing(found))


def test_a_new_edge_that_is_tried_first_is_told_and_one_that_is_tried_last_is_not() -> None:
    data = melt()
    twin = {**edge(data, "12.mint_unpaid.paying"), "id": "99.mint_unpaid.paying", "requires": []}
    data["transitions"].append(twin)
    assert [c.of for c in compare(melt(), data).changes] == ["edge"]
    first(data, "99.mint_unpaid.paying")
    (added, cell) = compare(melt(), data).changes
    assert (added.how, cell.of, cell.what) == ("added", "cell", "a new edge is tried before")
    assert cell.new == ["99.mint_unpaid.paying", "12.mint_unpaid.paying", "13.mint_unpaid.paying"]


def test_words_are_told_apart_from_behaviour() -> None:
    words = {name for name, (plant, _) in PLANTS.items()
             if not any(c.is_behaviour for c in compare(melt(), planted(plant)).changes)}  # fmt: skip
    assert words == {
        "meaning",
        "effect's sentence",
        "group",
        "order of states",
        "guard's sentence",
        "reason",
        "order of the table",
    }


def test_a_turned_guard_is_out_of_one_list_and_in_the_other() -> None:
    found = compare(melt(), planted(PLANTS["guard turned round"][0])).changes
    assert [(c.what, c.old, c.new) for c in found] == [
        ("requires", ["unpaid_is_proven"], []),
        ("forbids", [], ["unpaid_is_proven"]),
    ]


def test_a_removed_state_takes_its_edges_along() -> None:
    data = melt()
    data["states"].remove(state(data, "watching"))
    data["transitions"] = [t for t in data["transitions"] if "watching" not in (t["source"], t["dest"])]
    found = compare(melt(), data).changes
    assert ("removed", "state", "watching") in {(c.how, c.of, c.name) for c in found}
    gone = {c.name for c in found if (c.how, c.of) == ("removed", "edge")}
    assert gone == {t.id for t in MELT.transitions if "watching" in (t.source, t.dest)}


def test_a_changed_content_under_the_same_version_is_noted() -> None:
    changed = planted(PLANTS["effects"][0])
    assert "the version did not" in as_document(compare(melt(), changed))["notes"][0]
    assert as_document(compare(melt(), {**changed, "version": 2}))["notes"] == []


def test_machines_come_and_go() -> None:
    token = latest("token").as_data()
    found = compare_all([token], [melt()])
    assert [(c.machine, c.changes[0].how) for c in found] == [("melt", "added"), ("token", "removed")]
    for changes in found:
        root = ElementTree.fromstring(drawing(changes))
        marks = {
            group.get("class", "").split()[-1] for group in root.iter(f"{SVG}g") if group.get("data-edge")
        }
        assert marks == {f"mark-{changes.changes[0].how}"}
        assert as_document(changes)["changes"][0]["how"] in ("added", "removed")
    assert "absent" in as_lines(found[0])[0][1]


def test_what_an_older_version_did_not_have_gets_its_default() -> None:
    old = melt()
    for item in old["states"]:
        del item["group"]
    found = compare(old, melt()).changes
    assert {c.what for c in found} == {"group"}


@pytest.mark.parametrize(
    "data", [None, [], {}, {"name": "x"}, {**MELT.as_data(), "transitions": [{"id": "1"}]},
             {**MELT.as_data(), "states": []}, {**MELT.as_data(), "guards": []},
             {**MELT.as_data(), "version": "two"}, {**MELT.as_data(), "states": ["paid"]}],
)  # fmt: skip
def test_what_is_no_machine_is_refused_with_a_reason(data: object) -> None:
    with pytest.raises(NotAMachine, match="machine"):
        compare(data, melt())


# --- the drawing ------------------------------------------------------------------------------------------


def classes(found: Changes, key: str, value: str) -> list[set[str]]:
    root = ElementTree.fromstring(drawing(found))
    return [
        set((g.get("class") or "").split())
        for g in root.iter(f"{SVG}g")
        if value in (g.get(key) or "").split()
    ]


def test_added_removed_and_changed_look_so_and_the_rest_is_dimmed() -> None:
    data = melt()
    data["states"].append({**state(data, "unknown"), "name": "lost"})
    data["transitions"].remove(edge(data, "18.retry.unpaid"))
    data["transitions"].append({**MELT.as_data()["transitions"][1], "id": "99.x.lost", "dest": "lost"})
    edge(data, "9.pay.prepared")["effects"].clear()
    state(data, "paid")["action"] = None
    found = compare(melt(), data)
    assert all("mark-added" in c for c in classes(found, "data-state", "lost"))
    assert all("mark-changed" in c for c in classes(found, "data-state", "paid"))
    assert all("mark-none" in c for c in classes(found, "data-state", "settled"))
    assert all("mark-removed" in c for c in classes(found, "data-edge", "18.retry.unpaid"))
    assert all("mark-added" in c for c in classes(found, "data-edge", "99.x.lost"))
    assert all("mark-changed" in c for c in classes(found, "data-edge", "9.pay.prepared"))
    assert all("mark-none" in c for c in classes(found, "data-edge", "27.reconcile_passed.settled"))


def test_a_new_destination_is_drawn_beside_the_old_one() -> None:
    found = compare(melt(), planted(PLANTS["destination"][0]))
    root = ElementTree.fromstring(drawing(found))
    ends = {
        name: (g.get("data-dest"), g.get("class"))
        for g in root.iter(f"{SVG}g") for name in (g.get("data-edge") or "").split()
    }  # fmt: skip
    assert ends["14.reply_lost.paying"][0] == "attention"
    assert ends["14.reply_lost.paying~old"][0] == "unknown"


def test_guards_and_effects_are_told_with_what_was_put_in_and_taken_out() -> None:
    data = melt()
    edge(data, "9.pay.prepared").update(requires=["quote_unexpired", "two_step"], effects=["alarm"])
    texts = [e.text or "" for e in ElementTree.fromstring(drawing(compare(melt(), data))).iter(f"{SVG}text")]
    told = " ".join(texts)
    assert "if" not in [text.strip() for text in texts], "what is not told in full leaves nothing behind"
    assert "+two_step" in told
    assert "−inputs_reserved_by_operation" in told.replace("_ ", "_")
    assert "+alarm" in told and "−stamp_sent" in told


@pytest.mark.parametrize("changed", ["guard's code", "origin", "precedence"])
def test_edges_that_mean_something_else_by_what_they_use_are_marked(changed: str) -> None:
    found = compare(melt(), planted(PLANTS[changed][0]))
    wanted = {
        "guard's code": "10.mint_paid.pending",
        "origin": "3.cancel.quoted",
        "precedence": "12.mint_unpaid.paying",
    }
    (marks,) = classes(found, "data-edge", wanted[changed])
    assert "mark-changed" in marks
