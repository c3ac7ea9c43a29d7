"""Building HTML and SVG from elements; all text that is not `Markup` is escaped."""

from __future__ import annotations

import re
from html import escape

#: Elements that have no end tag in HTML.
_VOID = frozenset(("meta", "img", "input", "br", "hr", "link"))


class Markup(str):
    """Text that is already markup and is not escaped."""

    __slots__ = ()


def element(tag: str, /, *children: str | Markup, **attributes: object) -> Markup:
    """An element; `True` gives an attribute without a value, `None` and `False` give no attribute.

    In names of attributes a final underscore is dropped, and the others become hyphens.

    Examples
    --------
    >>> element("p", "1 < 2 ", element("b", "&"), class_="sum", hidden=True)
    '<p class="sum" hidden>1 &lt; 2 <b>&amp;</b></p>'
    """
    text = ""
    for key, value in attributes.items():
        key = key.rstrip("_").replace("_", "-")
        if value is True:
            text += f" {key}"
        elif value is not None and value is not False:
            text += f' {key}="{escape(str(value))}"'
    if tag in _VOID:
        return Markup(f"<{tag}{text}>")
    return Markup(f"<{tag}{text}>{joined(*children)}</{tag}>")


def joined(*children: str | Markup) -> Markup:
    """The concatenated children; those that are not markup are escaped."""
    return Markup("".join(c if isinstance(c, Markup) else escape(c) for c in children))


def anchor(label: str) -> str:
    """The id of a proposition on a page.

    Examples
    --------
    >>> anchor("3f-isometric"), anchor("<b>")
    ('p-3f-isometric', 'p--b-')
    """
    return "p-" + re.sub(r"[^A-Za-z0-9_-]", "-", label)
