"""Reading our Mermaid back: which edges does a drawing show, with which words?"""

from __future__ import annotations

import re

_STATE_EDGE = re.compile(r"^\s+(\S+) --> (\S+?)(?:: (.+))?$")
_FLOW_EDGE = re.compile(r'^\s+(\w+) (-->|==>|---)(?:\|"(.+)"\|)? (\w+)$')
_ROW = re.compile(r'^\s+(row\d+)\["(.+)"\]$')

Edges = dict[tuple[str, str], str]


def state_edges(text: str) -> Edges:
    """(source, dest) -> label of a stateDiagram-v2; the start is ``none``, ends are left out."""
    found: Edges = {}
    for line in text.splitlines():
        match = _STATE_EDGE.match(line)
        if match and match[2] != "[*]":
            pair = ("none" if match[1] == "[*]" else match[1], match[2])
            assert pair not in found, f"drawn twice: {pair}"
            found[pair] = match[3]
    return found


def ends(text: str) -> set[str]:
    """The states a stateDiagram-v2 ends in."""
    return set(re.findall(r"^\s+(\w+) --> \[\*\]$", text, re.MULTILINE))


def flow_edges(text: str) -> tuple[Edges, set[tuple[str, str]]]:
    """(source, dest) -> labels of a flowchart, shared rows resolved; and the thick edges."""
    labels = {m[1]: m[2] for m in map(_ROW.match, text.splitlines()) if m}
    plain, into, out, thick = {}, [], {}, set()
    for match in filter(None, map(_FLOW_EDGE.match, text.splitlines())):
        source, arrow, label, dest = match.groups()
        if dest in labels:
            into.append((source, dest))
        elif source in labels:
            out[source] = dest
        else:
            plain[source, dest] = label
            if arrow == "==>":
                thick.add((source, dest))
    found: Edges = dict(plain)
    for source, row in into:
        pair = (source, out[row])
        found[pair] = "<br/>".join(filter(None, (found.get(pair), labels[row])))
    return found, thick
