"""Numbers as text with enough digits to distinguish different numbers; text for terminals."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context

_MOST = 17  # digits that distinguish any two floats


def plain(text: str, most: int = 500) -> str:
    r"""Text as one line of printable characters, truncated to `most`.

    Examples
    --------
    >>> plain(f"a{chr(27)}b")
    'a\\x1bb'
    """
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return shown if len(shown) <= most else shown[:most] + "..."


def distinct_texts(first: float, second: float, *, digits: int = 3) -> tuple[str, str]:
    """Two numbers as text, with enough digits to distinguish them but at least `digits`.

    Examples
    --------
    >>> distinct_texts(1.0, 2.0), distinct_texts(2.08084e-11, 2.080926e-11)
    (('1', '2'), ('2.0808e-11', '2.0809e-11'))
    """
    for count in range(digits, _MOST + 1):
        shown = f"{first:.{count}g}", f"{second:.{count}g}"
        if shown[0] != shown[1] or first == second:
            break
    return shown


def margin(value: float) -> str:
    """A ratio of residual to bound as text; it is never rounded to 1, where a refutation begins.

    Examples
    --------
    >>> margin(0.123), margin(0.99996), margin(1.00003), margin(1.0)
    ('0.12', '0.99996', '1.00003', '1')
    """
    return distinct_texts(value, 1.0, digits=2)[0]


def rounded_up(value: float, *, digits: int = 3) -> str:
    """A number as text that is never below it.

    Examples
    --------
    >>> rounded_up(1.5611), rounded_up(2.1e-13, digits=1), rounded_up(-0.1239), rounded_up(2.5)
    ('1.57', '3e-13', '-0.123', '2.5')
    """
    up = Context(prec=digits, rounding=ROUND_CEILING).create_decimal(repr(float(value)))
    return f"{float(up):.{digits}g}"
