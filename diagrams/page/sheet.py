"""A drawing as a part of the page: without a style sheet of its own, with ids that no other drawing has."""

from __future__ import annotations

import re
from typing import Final
from xml.etree import ElementTree

_SVG: Final = "{http://www.w3.org/2000/svg}"
_TAGS: Final = frozenset({"svg", "g", "path", "rect", "circle", "text", "title", "desc"})
_REFERENCES: Final = ("aria-labelledby", "aria-describedby")
_UNFIT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class UnfitDrawing(ValueError):
    """The drawing holds something that has no place in the page; the message names it."""


def sheet(svg: str, prefix: str) -> str:
    """The SVG document for use inside HTML. Only shapes, texts and groups are let through, no scripts, links,
    pictures or style attributes: raises UnfitDrawing for anything else."""
    root = ElementTree.fromstring(_UNFIT.sub("\N{REPLACEMENT CHARACTER}", svg))
    for style in [child for child in root if child.tag == f"{_SVG}style"]:
        root.remove(style)
    for element in root.iter():
        element.tag = str(element.tag).removeprefix(_SVG)
        if element.tag not in _TAGS:
            raise UnfitDrawing(f"<{element.tag}> in a drawing")
        _named_anew(element, prefix)
    root.set("role", "group")
    for name in ("width", "height"):
        root.attrib.pop(name, None)
    return ElementTree.tostring(root, encoding="unicode")


def _named_anew(element: ElementTree.Element, prefix: str) -> None:
    for name, value in element.attrib.items():
        if name.startswith("on") or name == "style" or "href" in name:
            raise UnfitDrawing(f"the attribute {name} in a drawing")
        if name == "id":
            element.set(name, prefix + value)
        elif name in _REFERENCES:
            element.set(name, " ".join(prefix + word for word in value.split()))
