"""Exact numbers: what comes in as text, fraction or double goes on as a fraction."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np

Exact: TypeAlias = "str | int | float | Fraction | Decimal"
Vector: TypeAlias = tuple[Fraction, ...]
Matrix: TypeAlias = tuple[Vector, ...]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?|[+-]?\d+/0*[1-9]\d*")
# A longer text is no number that anyone wrote.
_LONGEST = 10_000


def number(name: str, value: Any) -> Fraction:
    """Return `value` as the fraction that it is: "0.1" is a tenth, 0.1 the double nearest to it.

    Raises
    ------
    ValueError
        If it is not a finite number.

    Examples
    --------
    >>> number("x", "0.1"), number("x", 0.5), number("x", "-2/6")
    (Fraction(1, 10), Fraction(1, 2), Fraction(-1, 3))
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, str) and len(value) < _LONGEST and _NUMBER.fullmatch(value.strip()):
        return Fraction(value.strip())
    if isinstance(value, np.integer):
        return Fraction(int(value))
    if isinstance(value, np.floating):
        value = float(value)
    finite = isinstance(value, float | Decimal) and math.isfinite(value)
    if finite or (isinstance(value, int | Fraction) and not isinstance(value, bool)):
        return Fraction(value)
    shown = f"{type(value).__name__} {value!r}"
    raise ValueError(
        f"{name}: expected a finite number (decimal text, fraction, integer or double), "
        f"got {shown[:80]}"
    )


def positive(name: str, value: Any) -> Fraction:
    """Return `value` as a positive fraction."""
    found = number(name, value)
    if found <= 0:
        raise ValueError(f"{name}: expected a positive number, got {text(found)}")
    return found


def vector(name: str, value: Any, size: int | None = None) -> Vector:
    """Return `value` as a tuple of `size` fractions; of any positive number of them for None."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) == 0:
        raise ValueError(f"{name}: expected a vector of exact numbers, got {value!r:.80}")
    out = tuple(number(f"{name}[{i}]", v) for i, v in enumerate(value))
    if size is not None and len(out) != size:
        raise ValueError(f"{name}: expected {size} entries, got {len(out)}")
    return out


def matrix(name: str, value: Any, columns: int | None = None) -> Matrix:
    """Return `value` as rows of fractions, all of one length."""
    if isinstance(value, str) or not isinstance(value, Sequence | np.ndarray) or len(value) == 0:
        raise ValueError(f"{name}: expected a matrix of exact numbers, got {value!r:.80}")
    rows = tuple(vector(f"{name}[{i}]", v, columns) for i, v in enumerate(value))
    if len({len(r) for r in rows}) != 1:
        raise ValueError(f"{name}: expected rows of one length, got {[len(r) for r in rows]}")
    return rows


def text(value: Fraction) -> str:
    """`value` as decimal text where it is one, else as "p/q"; `number` reads both back exactly.

    Examples
    --------
    >>> text(Fraction(-1, 8)), text(Fraction(1, 3)), text(Fraction(20))
    ('-0.125', '1/3', '20')
    """
    rest, twos, fives = value.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > 400:
        return f"{value.numerator}/{value.denominator}"
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def texts(value: Any) -> Any:
    """Nested tuples of fractions as nested lists of text."""
    return text(value) if isinstance(value, Fraction) else [texts(v) for v in value]


def determinant(rows: Sequence[Sequence[Fraction]]) -> Fraction:
    """The determinant, exactly, by elimination.

    Examples
    --------
    >>> determinant([[Fraction(0), Fraction(2)], [Fraction(3), Fraction(4)]])
    Fraction(-6, 1)
    """
    work, out = [list(row) for row in rows], Fraction(1)
    for i in range(len(work)):
        pivot = next((k for k in range(i, len(work)) if work[k][i]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != i:
            work[i], work[pivot], out = work[pivot], work[i], -out
        out *= work[i][i]
        for row in work[i + 1 :]:
            if row[i]:
                factor = row[i] / work[i][i]
                row[i:] = [a - factor * b for a, b in zip(row[i:], work[i][i:], strict=True)]
    return out


def inverse(rows: Sequence[Sequence[Fraction]]) -> Matrix:
    """The inverse of a regular matrix, exactly, by Gauss-Jordan elimination."""
    n = len(rows)
    work = [[*row, *(Fraction(i == j) for j in range(n))] for i, row in enumerate(rows)]
    for i in range(n):
        pivot = next((k for k in range(i, n) if work[k][i]), None)
        if pivot is None:
            raise ValueError("matrix: expected a regular one, got a singular one")
        work[i], work[pivot] = work[pivot], work[i]
        work[i] = [v / work[i][i] for v in work[i]]
        for k in range(n):
            if k != i and work[k][i]:
                work[k] = [a - work[k][i] * b for a, b in zip(work[k], work[i], strict=True)]
    return tuple(tuple(row[n:]) for row in work)


def dot(a: Sequence[Fraction], b: Sequence[Fraction]) -> Fraction:
    """The inner product."""
    return sum((x * y for x, y in zip(a, b, strict=True)), Fraction(0))


def product(a: Sequence[Sequence[Fraction]], b: Sequence[Sequence[Fraction]]) -> Matrix:
    """The matrix product."""
    columns = list(zip(*b, strict=True))
    return tuple(tuple(dot(row, column) for column in columns) for row in a)


def transpose(a: Sequence[Sequence[Fraction]]) -> Matrix:
    """The transpose."""
    return tuple(zip(*a, strict=True))


def identity(size: int) -> Matrix:
    """The unit matrix."""
    return tuple(tuple(Fraction(i == j) for j in range(size)) for i in range(size))


def square_root_free(rows: Matrix) -> tuple[Matrix, Vector]:
    """L^T and D of a symmetric positive-definite matrix L D L^T, L with unit diagonal.

    Raises
    ------
    ValueError
        If the matrix is not symmetric, or not positive definite.
    """
    n = len(rows)
    if any(len(r) != n for r in rows) or rows != transpose(rows):
        raise ValueError("cov: expected a symmetric matrix, got one that is not")
    lower = [list(r) for r in identity(n)]
    pivots: list[Fraction] = []
    for i in range(n):
        for j in range(i + 1):
            rest = rows[i][j] - sum(
                (lower[i][k] * lower[j][k] * pivots[k] for k in range(j)), Fraction(0)
            )
            if i == j:
                if rest <= 0:
                    raise ValueError("cov: expected a positive-definite matrix, got one that isn't")
                pivots.append(rest)
            else:
                lower[i][j] = rest / pivots[j]
    return transpose(lower), tuple(pivots)
