r"""Translation of TeX to MathML, which browsers show without network access and scripts.

`latex2mathml` (extra `report`) does most of the translation. This module adds the rest: escaping of
characters that HTML would read as tags, commands unknown to the library, and alphabets
($\mathbb E$), for which browsers need the Unicode characters. Without the library pages show TeX.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape, unescape
from itertools import pairwise
from xml.etree import ElementTree

#: The MathML elements allowed in a formula; a formula with any other is shown as TeX.
_ELEMENTS = frozenset(
    {
        "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot",
        "mstyle", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr",
        "mtd", "mpadded", "mphantom", "menclose",
    }
)  # fmt: skip

#: Commands that the translator does not know, and their replacements.
_REWRITTEN = (
    (re.compile(r"\\(?:[bB]igg?[lrm]?)\s*(?=\\\|)"), ""),
    (re.compile(r"\\arg(?![a-zA-Z])\s*\\(max|min)(?![a-zA-Z])"), r"\\mathrm{arg}\\,\\\1"),
    (re.compile(r"\\arg(?![a-zA-Z])"), r"\\mathrm{arg}"),
)
# Unicode code points of the first of A-Z, a-z and 0-9 in each alphabet, or None.
_ALPHABETS = {
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8),
    "script": (0x1D49C, 0x1D4B6, None),
    "bold": (0x1D400, 0x1D41A, 0x1D7CE),
    "fraktur": (0x1D504, 0x1D51E, None),
    "monospace": (0x1D670, 0x1D68A, 0x1D7F6),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0x1D7E2),
}
# Letters that Unicode has outside these ranges.
_ELSEWHERE = {
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
}


# A formula with at most this many characters fits on a line of 400 pixels.
_LONG = 24


def mathml(tex: str, *, display: bool = False) -> str:
    r"""A formula as markup for HTML: MathML, or the TeX as code if it cannot be translated.

    Parameters
    ----------
    tex : str
        Without dollar signs. No part of it can become HTML markup.
    display : bool
        Whether the formula is displayed on its own line.

    Examples
    --------
    >>> "𝔼" in mathml(r"\mathbb E[x] < 1") or mathml("x").startswith("<code")
    True
    """
    tree = parsed(tex)
    if tree is None:
        return f'<code class="tex">{escape(tex)}</code>'
    tree.set("display", "block" if display else "inline")
    tree.set("alttext", tex)
    return ElementTree.tostring(tree, encoding="unicode")


def is_long(markup: str) -> bool:
    """Whether a formula may be wider than a narrow screen and must be scrollable.

    Examples
    --------
    >>> is_long(mathml("x = y")), is_long(mathml("x = " + " + ".join("abcdefghijklm")))
    (False, True)
    """
    return len(re.sub(r"<[^>]+>|\s", "", markup)) > _LONG


def lines(tex: str) -> list[str]:
    r"""The lines of a long statement, which is broken at each `\quad` outside braces.

    Examples
    --------
    >>> lines(r"a = b,\quad \text{if }c \ge \sqrt{d\quad e}")
    ['a = b,', '\\text{if }c \\ge \\sqrt{d\\quad e}']
    """
    pieces, depth, start = [], 0, 0
    for token in re.finditer(r"\\(?:q?quad(?![a-zA-Z])|.)|[{}]", tex):
        if token[0] in ("\\quad", "\\qquad") and depth == 0:
            pieces.append(tex[start : token.start()].strip())
            start = token.end()
        depth += {"{": 1, "}": -1}.get(token[0], 0)
    return [piece for piece in [*pieces, tex[start:].strip()] if piece]


def untranslated(tex: str) -> list[str]:
    r"""The commands of a formula, such as misspelt ones, that are not translated.

    Examples
    --------
    >>> untranslated(r"\alpha + \alhpa") in ([r"\alhpa"], [])
    True
    """
    tree = parsed(tex)
    if tree is None:
        return []
    return [e.text for e in tree.iter() if e.text and re.match(r"\\[A-Za-z|]", e.text)]


def parsed(tex: str) -> ElementTree.Element | None:
    """A formula as a tree of MathML elements, or None if it cannot be translated."""
    try:
        from latex2mathml.converter import convert_to_element
    except ImportError:
        return None
    for pattern, replacement in _REWRITTEN:
        tex = pattern.sub(replacement, tex)
    try:
        tree: ElementTree.Element = convert_to_element(tex)
    except Exception:  # the errors of the library have no common base class
        return None
    for element in tree.iter():
        if element.tag not in _ELEMENTS:
            return None
        # The translator writes characters as references; serialisation escapes what needs it.
        element.text = unescape(element.text or "")
    for element in tree.iter():
        _join_names(element)
        _set_apart(element)
    for element in tree.iter():
        _spell(element)
    return tree


def _join_names(row: ElementTree.Element) -> None:
    """Join adjacent upright letters, as in "ELBO", into one name."""
    last: ElementTree.Element | None = None
    for element in list(row):
        upright = element.tag == "mi" and element.get("mathvariant") == "normal"
        if upright and last is not None and (element.text or "").isalpha():
            last.text = (last.text or "") + (element.text or "")
            row.remove(element)
        else:
            last = element if upright and (element.text or "").isalpha() else None


def _set_apart(row: ElementTree.Element) -> None:
    """Make relations operators, which have space around them; put space around functions."""
    children = list(row)
    for element in children:
        text = element.text or ""
        if element.tag == "mi" and len(text) == 1 and unicodedata.category(text) == "Sm":
            element.tag = "mo"
    if row.tag not in ("mrow", "math", "mstyle", "mtd"):
        return
    for element, following in pairwise(children):
        needs_space = (_is_function(element) and following.tag not in ("mo", "mspace")) or (
            _is_function(following) and element.tag in ("mi", "mn", "msub", "msup", "msubsup")
        )
        if needs_space:
            space = ElementTree.Element("mspace", width="0.167em")
            row.insert(list(row).index(following), space)


def _is_function(element: ElementTree.Element) -> bool:
    """Whether an element is a function such as log or tanh, with or without a script."""
    head = element[0] if element.tag in ("msub", "msup", "msubsup") else element
    name = head.text or ""
    return head.tag in ("mi", "mo") and name.isalpha() and len(name) > 1 and not head.attrib


def _spell(element: ElementTree.Element) -> None:
    """Replace letters of an alphabet by their Unicode characters."""
    alphabet = element.get("mathvariant", "normal")
    if alphabet == "normal":
        return
    del element.attrib["mathvariant"]
    if alphabet in _ALPHABETS:
        element.text = "".join(_letter(c, alphabet) for c in element.text or "")


def _letter(character: str, alphabet: str) -> str:
    if character in (elsewhere := _ELSEWHERE.get(alphabet, {})):
        return elsewhere[character]
    for first, start in zip("Aa0", _ALPHABETS[alphabet], strict=True):
        place = ord(character) - ord(first)
        if start is not None and 0 <= place < (10 if first == "0" else 26):
            return chr(start + place)
    return character
