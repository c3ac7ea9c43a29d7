"""Numbers to fifty digits by the standard library, for references that have no rounding.

Examples
--------
>>> f"{cos(number(100.5)):.20f}"
'0.99952062532835145842'
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal
from typing import TypeAlias

Number: TypeAlias = Decimal
_CONTEXT = Context(prec=50)
PI = Decimal("3.1415926535897932384626433832795028841971693993751")


def number(value: float) -> Decimal:
    """The exact value of a float."""
    return Decimal(float(value))


def log(value: Decimal) -> Decimal:
    """Natural logarithm."""
    return _CONTEXT.ln(value)


def exp(value: Decimal) -> Decimal:
    """Exponential."""
    return _CONTEXT.exp(value)


def cos(angle: Decimal) -> Decimal:
    """Cosine by its Taylor series, of the angle modulo a turn."""
    turn = product(Decimal(2), PI)
    turns = ratio(angle, turn).to_integral_value()
    square = minus(product(rest := total((angle, minus(product(turns, turn)))), rest))
    term = result = Decimal(1)
    for k in range(1, 40):
        term = ratio(product(term, square), Decimal(2 * k * (2 * k - 1)))
        result = total((result, term))
    return result


def minus(value: Decimal) -> Decimal:
    """Negative; the operator `-` would round to the digits of the caller's context."""
    return value.copy_negate()


def total(values: Iterable[Decimal]) -> Decimal:
    """Sum."""
    result = Decimal(0)
    for value in values:
        result = _CONTEXT.add(result, value)
    return result


def product(*values: Decimal) -> Decimal:
    """Product."""
    result = Decimal(1)
    for value in values:
        result = _CONTEXT.multiply(result, value)
    return result


def ratio(above: Decimal, below: Decimal) -> Decimal:
    """Quotient."""
    return _CONTEXT.divide(above, below)


def log_normal(away: Decimal, variance: Decimal) -> Decimal:
    """Log density of N(0, variance) at `away`."""
    square = ratio(product(away, away), variance)
    return minus(ratio(total((log(product(Decimal(2), PI, variance)), square)), Decimal(2)))


def off(value: float, truth: Decimal) -> float:
    """Distance of a float from the truth."""
    return float(total((number(value), minus(truth))).copy_abs())
