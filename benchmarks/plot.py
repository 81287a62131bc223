"""The drawing of `make bench`: one bar for each contestant, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path

from benchmarks.arena import ENGINE, FAIR_2, FAIR_3
from benchmarks.melts import Result

WIDTH, BAR, GAP, LEFT, ROOM = 760, 18, 6, 150, 430
COLOURS = {ENGINE: "#2f6f9f", FAIR_3: "#8a8a8a", FAIR_2: "#b8b8b8"}


def draw(results: Mapping[str, Result], path: Path) -> None:
    """Write the SVG file: wall and CPU time of one melt, and melts per second of many threads."""
    parts: list[str] = []
    y = 24
    for store, result in results.items():
        for what in ("wall", "cpu"):
            values = {name: ms[what] for name, ms in result.ms.items()}
            y = _bars(parts, y, f"{store}: {what} time of one melt, ms", values, "ms")
        y = _bars(parts, y, f"{store}: melts per second", result.per_second, "/s")
    body = "\n".join(parts)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y}" viewBox="0 0 {WIDTH} {y}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n'
        f"{body}\n</svg>\n",
        "utf-8",
    )


def _bars(parts: list[str], y: int, title: str, values: Mapping[str, float], unit: str) -> int:
    """The bars of one title; where the next title begins."""
    parts.append(f'<text x="12" y="{y}" font-weight="bold">{escape(title)}</text>')
    y += 10
    most = max(values.values())
    base = next((value for name, value in values.items() if name.startswith(FAIR_3)), most)
    for name, value in values.items():
        colour = COLOURS[name.partition(",")[0]]
        length = max(1, round(ROOM * value / most))
        middle = y + BAR - 5
        parts.append(f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LEFT}" y="{y}" width="{length}" height="{BAR}" fill="{colour}"/>')
        times = f" ({value / base:.2f} × fair-3)" if name == ENGINE else ""
        parts.append(f'<text x="{LEFT + length + 6}" y="{middle}">{value:.1f} {unit}{times}</text>')
        y += BAR + GAP
    return y + 22
