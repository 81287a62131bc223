"""Ratios beside the committed ones of ``ratios.json``: `make bench-check`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

RATIOS = Path(__file__).with_name("ratios.json")
WORSE_MAX = 1.15
HOW_TO_ACCEPT = "to accept the new values: make bench-accept, and say in the commit message why"


def worse(found: Mapping[str, Mapping[str, float]], accepted: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One sentence for each ratio that is worse by more than 15 %, or that nothing was accepted for."""
    said = []
    for store, ratios in found.items():
        for name, ratio in ratios.items():
            limit = accepted.get(store, {}).get(name)
            if limit is None:
                said.append(f"{store}: no value of `{name}` is accepted yet; it is {ratio:.2f}")
            elif ratio > limit * WORSE_MAX:
                more = (ratio / limit - 1) * 100
                said.append(
                    f"{store}: `{name}` is {ratio:.2f}; accepted is {limit:.2f}, so it is {more:.0f} % worse "
                    f"(15 % are allowed)"
                )
    return said


def better_of(
    first: Mapping[str, Mapping[str, float]], second: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """The better value of each ratio of two runs."""
    return {
        store: {name: min(ratio, second.get(store, {}).get(name, ratio)) for name, ratio in ratios.items()}
        for store, ratios in first.items()
    }


def accepted(path: Path = RATIOS) -> dict[str, dict[str, float]]:
    """The committed ratios by store and name."""
    found: dict[str, dict[str, float]] = json.loads(path.read_text("utf-8"))
    return found


def accept(found: Mapping[str, Mapping[str, float]], path: Path = RATIOS) -> None:
    """Write the ratios of this run. Stores that were not measured keep theirs."""
    kept = accepted(path) if path.exists() else {}
    kept |= {
        store: {name: round(ratio, 2) for name, ratio in ratios.items()} for store, ratios in found.items()
    }
    path.write_text(json.dumps(kept, indent=2) + "\n", "utf-8")
