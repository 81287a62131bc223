"""Colours and faces, as the style sheet of a drawing. No font and no picture is fetched from anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Theme = Literal["auto", "light", "dark"]
THEMES: Final[tuple[Theme, ...]] = ("auto", "light", "dark")

SANS: Final = "'Helvetica Neue',Helvetica,Arial,'Liberation Sans','DejaVu Sans',sans-serif"
MONO: Final = "ui-monospace,SFMono-Regular,Menlo,Consolas,'Liberation Mono','DejaVu Sans Mono',monospace"

_LIGHT: Final[Mapping[str, str]] = {
    "bg": "#ffffff", "ink": "#17202b", "dim": "#5a6675", "card": "#ffffff", "rule": "#e3e8ef",
    "effect": "#0b7285", "band": "#f3f6fa", "band-name": "#6b7787",
    "ended": "#f1f3f5", "parked-lane": "#fff1f1",
    "start": "#17202b", "start-head": "#f1f3f5",
    "good": "#2b8a3e", "good-head": "#def5e3", "ahead": "#d9720a", "ahead-head": "#ffefc7",
    "live": "#4a69d8", "live-head": "#e6ecff", "parked": "#d02c2c", "parked-head": "#ffe0e0",
    "final": "#5c6773", "final-head": "#e6eaee", "restart": "#697582",
    "added": "#1a7f37", "added-head": "#d5f5dd", "removed": "#cf222e", "removed-head": "#ffe0e0",
    "changed": "#b76e00", "changed-head": "#ffefc7",
}  # fmt: skip
_DARK: Final[Mapping[str, str]] = {
    "bg": "#0f141b", "ink": "#e6ebf2", "dim": "#98a4b3", "card": "#161d27", "rule": "#2a3442",
    "effect": "#5cc6d8", "band": "#151c26", "band-name": "#8592a3",
    "ended": "#181f29", "parked-lane": "#261a1e",
    "start": "#e6ebf2", "start-head": "#222b37",
    "good": "#46b866", "good-head": "#173823", "ahead": "#f0a13a", "ahead-head": "#40300f",
    "live": "#86a0ff", "live-head": "#1f2b4d", "parked": "#ff6b6b", "parked-head": "#471f24",
    "final": "#95a1af", "final-head": "#27303c", "restart": "#6d7987",
    "added": "#4ac26b", "added-head": "#15391f", "removed": "#ff7b72", "removed-head": "#471f24",
    "changed": "#e3a13a", "changed-head": "#40300f",
}  # fmt: skip

_SHAPES: Final = f"""
.nutstate text{{font-family:{SANS};font-size:11px;dominant-baseline:auto}}
.nutstate .name{{font-size:15px;font-weight:700}}
.nutstate .head{{font-size:22px;font-weight:700}}
.nutstate .action,.nutstate .guard-name,.nutstate .effect,.nutstate .event{{font-family:{MONO}}}
.nutstate .guard-name,.nutstate .effect{{font-size:10.5px}}
.nutstate .event{{font-size:11.5px;font-weight:600}}
.nutstate .dest{{font-size:11px;font-weight:700}}
.nutstate .number,.nutstate .tag{{font-size:10px}}
.nutstate .tag,.nutstate .band-name{{font-weight:700}}
.nutstate .band-name{{letter-spacing:.02em}}
.nutstate .wire,.nutstate .halo{{fill:none;stroke-width:1.6;stroke-linejoin:round}}
.nutstate .halo{{stroke-width:5;stroke-opacity:.85}}
.nutstate .tone-good>.wire{{stroke-width:4.5}}
.nutstate .tone-alarm>.wire{{stroke-width:1.8}}
.nutstate .tone-restart>.wire{{stroke-dasharray:5 4}}
.nutstate .frame{{stroke-width:1.4}}
.nutstate .ahead .frame{{stroke-width:3}}
.nutstate .ring{{fill:none;stroke-width:1.2}}
.nutstate .mark-added>.wire,.nutstate .mark-removed>.wire,.nutstate .mark-changed>.wire{{stroke-width:3}}
.nutstate .mark-added .frame,.nutstate .mark-removed .frame,.nutstate .mark-changed .frame{{stroke-width:3.2}}
.nutstate .mark-removed>.wire,.nutstate .mark-removed .frame{{stroke-dasharray:6 4;stroke-opacity:1}}
.nutstate text.mark-removed{{text-decoration:line-through}}
.nutstate .mark-none{{opacity:.42}}"""


def style(theme: Theme) -> str:
    """The style sheet. ``auto`` is light, and dark where the reader prefers dark."""
    if theme == "dark":
        return _SHAPES + _colours(_DARK)
    if theme == "light":
        return _SHAPES + _colours(_LIGHT)
    dark = _colours(_DARK).replace("\n", "\n ")
    return f"{_SHAPES}{_colours(_LIGHT)}\n@media (prefers-color-scheme:dark){{{dark}\n}}"


def _colours(of: Mapping[str, str]) -> str:
    """Every colour as a plain rule: readers that know no custom properties show them too."""
    rules = [
        (".paper", f"fill:{of['bg']}"),
        ("text", f"fill:{of['ink']}"),
        (".words", f"fill:{of['dim']}"),
        (".guard,.nutstate .guard-name,.nutstate .number,.nutstate .fine", f"fill:{of['dim']}"),
        (".effect", f"fill:{of['effect']}"),
        (".band-name", f"fill:{of['band-name']}"),
        (".restart.event", f"fill:{of['restart']}"),
        (".band", f"fill:{of['band']}"),
        (".lane-ended", f"fill:{of['ended']}"),
        (".lane-parked", f"fill:{of['parked-lane']}"),
        (".body", f"fill:{of['card']}"),
        (".halo", f"stroke:{of['bg']}"),
        (".rule", f"stroke:{of['rule']}"),
    ]  # fmt: skip
    for look in ("start", "good", "ahead", "live", "parked", "final"):
        colour = of[look]
        rules += [
            (f".{look} .frame,.nutstate .{look} .ring", f"stroke:{colour}"),
            (f".{look} .frame", "fill:none"),
            (f".{look} .top", f"fill:{of[look + '-head']}"),
            (f".{look} .sign", f"fill:{colour}"),
            (f".to-{look}>.wire", f"stroke:{colour}"),
            (f".to-{look}>.arrow", f"fill:{colour}"),
            (f".to-{look}>.dest", f"fill:{colour}"),
        ]
    rules += [
        (".tone-good>.wire", f"stroke:{of['good']}"),
        (".tone-good>.event,.nutstate .tone-good>.arrow,.nutstate .tone-good>.dest", f"fill:{of['good']}"),
        (".tone-restart>.wire", f"stroke:{of['restart']}"),
        (".tone-restart>.arrow,.nutstate .tone-restart>.dest", f"fill:{of['restart']}"),
    ]
    for mark in ("added", "removed", "changed"):
        rules += [
            (f".mark-{mark}>.wire,.nutstate .mark-{mark} .frame", f"stroke:{of[mark]}"),
            (f".mark-{mark}>.arrow,.nutstate text.mark-{mark}", f"fill:{of[mark]}"),
            (f".mark-{mark} .top", f"fill:{of[mark + '-head']}"),
        ]
    return "".join(f"\n.nutstate {selector}{{{body}}}" for selector, body in rules)
