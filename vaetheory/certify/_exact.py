"""Exact rational numbers, vectors and matrices, read from text, fractions or doubles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any, TypeAlias, TypeVar

import numpy as np

from vaetheory._validation import integer, sequence, short

Exact: TypeAlias = "str | int | float | Fraction | Decimal"
Vector: TypeAlias = tuple[Fraction, ...]
Matrix: TypeAlias = tuple[Vector, ...]
T = TypeVar("T")

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?|[+-]?\d+/0*[1-9]\d*")
#: The most digits of a numerator or a denominator. Python converts integers of at most 4,300
#: digits to text.
LONGEST = 3_000
_GREATEST = 10**LONGEST


def number(name: str, value: Any) -> Fraction:
    """Return `value` as a fraction, exactly: "0.1" is 1/10, and 0.1 is the double nearest to it.

    Raises
    ------
    ValueError
        If it is not a finite number or has more than 3,000 digits.

    Examples
    --------
    >>> number("x", "0.1"), number("x", 0.5), number("x", "-2/6")
    (Fraction(1, 10), Fraction(1, 2), Fraction(-1, 3))
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    fraction = _read(value)
    if fraction is None:
        raise ValueError(
            f"{name}: expected a finite number (decimal text, fraction, integer or double), "
            f"got {short(value)}"
        )
    if abs(fraction.numerator) >= _GREATEST or fraction.denominator >= _GREATEST:
        raise ValueError(f"{name}: expected a number of at most {LONGEST} digits, got more")
    return fraction


def computed(name: str, value: Any) -> Fraction:
    """As `number`, but a fraction may have any length, since computed fractions may be long."""
    return value if type(value) is Fraction else number(name, value)


def _read(value: Any) -> Fraction | None:
    """Return `value` as a fraction, 10^3000 for any number with too many digits, or None."""
    if isinstance(value, str):
        if len(value) > 2 * LONGEST or not _NUMBER.fullmatch(value.strip()):
            return None
        parts = re.split("[./eE]", value.strip())
        if max(len(part) for part in parts) > LONGEST + 1:
            return Fraction(_GREATEST)
        return Fraction(value.strip())
    if isinstance(value, bool | np.timedelta64):
        return None
    if isinstance(value, int | Fraction):
        return Fraction(value)
    if isinstance(value, np.integer):
        return Fraction(int(value))
    if isinstance(value, float | np.floating):
        # `as_integer_ratio` also keeps all bits of types longer than a double.
        return Fraction(*value.as_integer_ratio()) if np.isfinite(value) else None
    if isinstance(value, Decimal) and value.is_finite():
        # A great exponent could make the fraction larger than the memory.
        least, most = value.as_tuple().exponent, value.adjusted()
        if not value or (least >= -LONGEST and most <= LONGEST):  # type: ignore[operator]
            return Fraction(value or 0)
        return Fraction(_GREATEST)
    return None


def positive(name: str, value: Any) -> Fraction:
    """Return `value` as a positive fraction."""
    fraction = number(name, value)
    if fraction <= 0:
        raise ValueError(f"{name}: expected a positive number, got {short(value)}")
    return fraction


def whole(name: str, value: Any, *, low: int, high: int) -> int:
    """Return `value`, in any spelling of a number, as an integer in [low, high]."""
    fraction = number(name, value)
    return integer(name, int(fraction) if fraction.denominator == 1 else value, low=low, high=high)


def vector(name: str, value: Any, size: int | None = None) -> Vector:
    """Return `value` as a tuple of `size` fractions, or of one or more if `size` is None."""
    return tuple(number(f"{name}[{i}]", v) for i, v in enumerate(_entries(name, value, size)))


def positives(name: str, value: Any, size: int | None = None) -> Vector:
    """As `vector`, but all fractions must be positive."""
    return tuple(positive(f"{name}[{i}]", v) for i, v in enumerate(_entries(name, value, size)))


def _entries(name: str, value: Any, size: int | None) -> list[Any]:
    entries = sequence(name, value)
    if len(entries) != size and (size is not None or not entries):
        raise ValueError(
            f"{name}: expected {'at least 1' if size is None else size} "
            f"entr{'y' if size in (None, 1) else 'ies'}, got {len(entries)}"
        )
    return entries


def matrix(name: str, value: Any, columns: int | None = None) -> Matrix:
    """Return `value` as rows of fractions, all of one length."""
    rows = tuple(
        vector(f"{name}[{i}]", v, columns) for i, v in enumerate(_entries(name, value, None))
    )
    if lengths := {len(r) for r in rows} - {len(rows[0])}:
        raise ValueError(
            f"{name}: expected rows of one length, got {len(rows[0])} and {min(lengths)}"
        )
    return rows


def text(value: Fraction) -> str:
    """`value` as decimal text if that is finite, else as "p/q"; `number` reads both back exactly.

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
    work, det = [list(row) for row in rows], Fraction(1)
    for i in range(len(work)):
        pivot = next((k for k in range(i, len(work)) if work[k][i]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != i:
            work[i], work[pivot], det = work[pivot], work[i], -det
        det *= work[i][i]
        for row in work[i + 1 :]:
            if row[i]:
                factor = row[i] / work[i][i]
                row[i:] = [a - factor * b for a, b in zip(row[i:], work[i][i:], strict=True)]
    return det


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


def applied(a: Sequence[Sequence[Fraction]], v: Sequence[Fraction]) -> Vector:
    """The matrix times a vector."""
    return tuple(dot(row, v) for row in a)


def with_ridge(a: Matrix, share: Fraction) -> Matrix:
    """A + share I."""
    return tuple(tuple(v + share * (i == j) for j, v in enumerate(row)) for i, row in enumerate(a))


def transpose(a: Sequence[Sequence[Fraction]]) -> Matrix:
    """The transpose."""
    return tuple(zip(*a, strict=True))


def identity(size: int) -> Matrix:
    """The unit matrix."""
    return tuple(tuple(Fraction(i == j) for j in range(size)) for i in range(size))


def square_root_free(rows: Matrix) -> tuple[Matrix, Vector]:
    """L^T and D of a symmetric positive-definite matrix L D L^T, where L has a unit diagonal.

    Raises
    ------
    ValueError
        If the matrix is not symmetric and positive definite.
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


def namesake(value: object, package: str, classes: Iterable[type[T]]) -> type[T] | None:
    """The class of that name which stands for the class of a value that a package defines."""
    own = type(value)
    if own.__module__ != package and not own.__module__.startswith(f"{package}."):
        return None
    return next((c for c in classes if c.__name__ == own.__name__), None)
