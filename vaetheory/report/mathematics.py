r"""TeX as MathML, which browsers show without a network and without scripts.

`latex2mathml` (extra `report`) translates; what it leaves undone is done here: characters that
HTML would read as tags, commands it does not know, and the alphabets ($\mathbb E$) that browsers
want as characters of their own. Without the library the TeX itself is shown.
"""

from __future__ import annotations

import re
import unicodedata
from html import escape, unescape
from itertools import pairwise
from xml.etree import ElementTree

#: Elements of MathML that a formula may have; anything else is refused.
_ELEMENTS = frozenset(
    {
        "math", "mrow", "mi", "mn", "mo", "ms", "mtext", "mspace", "mfrac", "msqrt", "mroot",
        "mstyle", "msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr",
        "mtd", "mpadded", "mphantom", "menclose",
    }
)  # fmt: skip

#: Commands that the translator does not know, in others that it does.
_REWRITTEN = (
    (re.compile(r"\\(?:[bB]igg?[lrm]?)\s*(?=\\\|)"), ""),
    (re.compile(r"\\arg(?![a-zA-Z])\s*\\(max|min)(?![a-zA-Z])"), r"\\mathrm{arg}\\,\\\1"),
    (re.compile(r"\\arg(?![a-zA-Z])"), r"\\mathrm{arg}"),
)
# Letters as Unicode has them in each alphabet: the first of A-Z, a-z and 0-9, where there are any.
_ALPHABETS = {
    "double-struck": (0x1D538, 0x1D552, 0x1D7D8),
    "script": (0x1D49C, 0x1D4B6, None),
    "bold": (0x1D400, 0x1D41A, 0x1D7CE),
    "fraktur": (0x1D504, 0x1D51E, None),
    "monospace": (0x1D670, 0x1D68A, 0x1D7F6),
    "sans-serif": (0x1D5A0, 0x1D5BA, 0x1D7E2),
}
# Those that Unicode had given a place of their own before.
_ELSEWHERE = {
    "double-struck": dict(zip("CHNPQRZ", "ℂℍℕℙℚℝℤ", strict=True)),
    "script": dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    "fraktur": dict(zip("CHIRZ", "ℭℌℑℜℨ", strict=True)),
}


# Characters of a formula that fit on a line of 400 pixels, with room to spare.
_LONG = 24


def mathml(tex: str, *, display: bool = False) -> str:
    r"""A formula as markup for HTML: MathML, or the TeX as code where it cannot be translated.

    Parameters
    ----------
    tex : str
        Without dollars. Nothing in it can become markup of HTML.
    display : bool
        Whether it stands on a line of its own.

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
    """Whether a formula may be wider than a narrow screen, and must scroll by itself there.

    Examples
    --------
    >>> is_long(mathml("x = y")), is_long(mathml("x = " + " + ".join("abcdefghijklm")))
    (False, True)
    """
    return len(re.sub(r"<[^>]+>|\s", "", markup)) > _LONG


def lines(tex: str) -> list[str]:
    r"""A long statement in lines: broken where a `\quad` stands outside all braces.

    Examples
    --------
    >>> lines(r"a = b,\quad \text{if }c \ge \sqrt{d\quad e}")
    ['a = b,', '\\text{if }c \\ge \\sqrt{d\\quad e}']
    """
    out, depth, start = [], 0, 0
    for found in re.finditer(r"\\(?:q?quad(?![a-zA-Z])|.)|[{}]", tex):
        if found[0] in ("\\quad", "\\qquad") and depth == 0:
            out.append(tex[start : found.start()].strip())
            start = found.end()
        depth += {"{": 1, "}": -1}.get(found[0], 0)
    return [piece for piece in [*out, tex[start:].strip()] if piece]


def untranslated(tex: str) -> list[str]:
    r"""The commands of a formula that would be shown as they are typed, misspelt ones for instance.

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
    """A formula as a tree of MathML elements; none where it, or the translator, fails."""
    try:
        from latex2mathml.converter import convert_to_element
    except ImportError:
        return None
    for pattern, replacement in _REWRITTEN:
        tex = pattern.sub(replacement, tex)
    try:
        tree: ElementTree.Element = convert_to_element(tex)
    except Exception:  # its errors have no base class of their own
        return None
    for element in tree.iter():
        if element.tag not in _ELEMENTS:
            return None
        # The translator writes its characters as references; serialisation escapes what is left.
        element.text = unescape(element.text or "")
    for element in tree.iter():
        _join_names(element)
        _set_apart(element)
    for element in tree.iter():
        _spell(element)
    return tree


def _join_names(row: ElementTree.Element) -> None:
    """Make one name of upright letters that stand side by side, "ELBO" for instance."""
    last: ElementTree.Element | None = None
    for element in list(row):
        upright = element.tag == "mi" and element.get("mathvariant") == "normal"
        if upright and last is not None and (element.text or "").isalpha():
            last.text = (last.text or "") + (element.text or "")
            row.remove(element)
        else:
            last = element if upright and (element.text or "").isalpha() else None


def _set_apart(row: ElementTree.Element) -> None:
    """Relations are operators, with space around them; functions have space before their letter."""
    children = list(row)
    for element in children:
        text = element.text or ""
        if element.tag == "mi" and len(text) == 1 and unicodedata.category(text) == "Sm":
            element.tag = "mo"
    if row.tag not in ("mrow", "math", "mstyle", "mtd"):
        return
    for element, following in pairwise(children):
        apart = (_is_function(element) and following.tag not in ("mo", "mspace")) or (
            _is_function(following) and element.tag in ("mi", "mn", "msub", "msup", "msubsup")
        )
        if apart:
            space = ElementTree.Element("mspace", width="0.167em")
            row.insert(list(row).index(following), space)


def _is_function(element: ElementTree.Element) -> bool:
    """Whether an element is log, tanh and the like, or one of these with a script."""
    head = element[0] if element.tag in ("msub", "msup", "msubsup") else element
    name = head.text or ""
    return head.tag in ("mi", "mo") and name.isalpha() and len(name) > 1 and not head.attrib


def _spell(element: ElementTree.Element) -> None:
    """Give the letters of an alphabet the characters they have in Unicode."""
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
