"""HTML and SVG put together from elements: whatever is not markup already is escaped."""

from __future__ import annotations

import re
from html import escape

#: Elements that have no end tag in HTML.
_VOID = frozenset(("meta", "img", "input", "br", "hr", "link"))


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, /, *children: str | Markup, **attributes: object) -> Markup:
    """An element; `True` is an attribute without a value, `None` and `False` are none.

    An underscore at an attribute's end is dropped, others become hyphens.

    Examples
    --------
    >>> element("p", "1 < 2 ", element("b", "&"), class_="sum", hidden=True)
    '<p class="sum" hidden>1 &lt; 2 <b>&amp;</b></p>'
    """
    said = ""
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            said += f" {key}"
        elif value is not None and value is not False:
            said += f' {key}="{escape(str(value))}"'
    if tag in _VOID:
        return Markup(f"<{tag}{said}>")
    return Markup(f"<{tag}{said}>{joined(*children)}</{tag}>")


def joined(*children: str | Markup) -> Markup:
    """Children one after the other."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def anchor(label: str) -> str:
    """The id of a proposition's place on a page.

    Examples
    --------
    >>> anchor("3f-isometric"), anchor("<b>")
    ('p-3f-isometric', 'p--b-')
    """
    return "p-" + re.sub(r"[^A-Za-z0-9_-]", "-", label)
