"""Translation of ASCII notation ("sigma^2", "E[x]") to Unicode.

Titles are ASCII in the registry, so that every terminal and XML reader can show them; HTML pages
show them in Unicode.
"""

from __future__ import annotations

import re

_GREEK = dict(
    zip(
        ("alpha", "beta", "gamma", "eps", "kappa", "lambda", "rho", "sigma", "psi", "Lambda"),
        "αβγεκλρσψΛ",
        strict=True,
    )
)
_RAISED = str.maketrans("-0123456789dknTL", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵈᵏⁿᵀᴸ")
_LOWERED = dict(zip("0123456789kn", "₀₁₂₃₄₅₆₇₈₉ₖₙ", strict=True))
_WORDS = (
    (re.compile(rf"(?<![A-Za-z])({'|'.join(_GREEK)})(?![A-Za-z])"), lambda m: _GREEK[m[1]]),
    (re.compile(r"\^(-?[0-9dknTL]+)(?![A-Za-z0-9])"), lambda m: m[1].translate(_RAISED)),
    (re.compile(r"(?<=[a-z])_([0-9kn])(?![A-Za-z0-9])"), lambda m: _LOWERED[m[1]]),
    (re.compile(r"(?<=λ)_(max|min)\b"), lambda m: {"max": "ₘₐₓ", "min": "ₘᵢₙ"}[m[1]]),
    (re.compile(r"(?<![A-Za-z])E(?=\[|_\{| log| in place)"), lambda m: "𝔼"),
    (re.compile(r"_\{(q\(x\|z\))\}\[x\]"), lambda m: f"[x] under {m[1]}"),
    (re.compile(r"(?<![\w/])1/2(?![\w/])"), lambda m: "½"),
    (re.compile(r"(?<![\w/])1/4(?![\w/])"), lambda m: "¼"),
    (re.compile(r"\|\|"), lambda m: "‖"),
    (re.compile(r"<->"), lambda m: "↔"),
    (re.compile(r"->"), lambda m: "→"),
    (re.compile(r"<="), lambda m: "≤"),
    (re.compile(r">="), lambda m: "≥"),
    (re.compile(r"(?<= )- (?=\S)"), lambda m: "− "),
    (re.compile(r"(?<![\w)])-(?=[A-Z0-9σ½¼(|]|log|h\))"), lambda m: "−"),
)


def unicode(text: str) -> str:
    """A title, hypothesis or control with its notation in Unicode.

    Examples
    --------
    >>> unicode("a cost of order sigma^2"), unicode("S for S^-1")
    ('a cost of order σ²', 'S for S⁻¹')
    >>> unicode("sigma to the -2 and 1/2 log det E[A]")
    'σ to the −2 and ½ log det 𝔼[A]'
    """
    for pattern, shown in _WORDS:
        text = pattern.sub(shown, text)
    return text
