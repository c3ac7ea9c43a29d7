"""Likelihoods with exact parameters, written once for every arithmetic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, TypeAlias

from vaetheory._validation import short
from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify.arithmetic import Arithmetic, Number

#: Rows of a matrix by the places and values of their entries that are not zero.
Sparse: TypeAlias = tuple[tuple[tuple[int, Fraction], ...], ...]
#: Rows of a covariance: the time that exact elimination takes grows with the fourth power of them.
MOST_ROWS = 40


class Likelihood(ABC):
    """Log p(x given the decoder's outputs), in nats."""

    @abstractmethod
    def check_data(self, x: Vector) -> None:
        """Raise a ValueError for a datum outside the support."""

    @abstractmethod
    def constant(self, F: Arithmetic, x: Vector) -> Number:
        """The part of the log density that does not depend on the outputs."""

    @abstractmethod
    def varying(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        """The rest of the log density, for real outputs."""

    @abstractmethod
    def factors(
        self, F: Arithmetic, x: Vector, outputs: Sequence[Number]
    ) -> tuple[Number, list[Number]]:
        """An exponent and divisors, exp(exponent) / divisors = exp(varying), all analytic."""

    @abstractmethod
    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        """An upper bound of `varying` over all outputs."""

    @abstractmethod
    def as_json(self) -> dict[str, Any]:
        """Kind and parameters as text."""


def from_json(value: Any) -> Likelihood:
    """The likelihood that `as_json` wrote; anything else is a ValueError."""
    if value == {"kind": "bernoulli"}:
        return Bernoulli()
    if value == {"kind": "poisson"}:
        return Poisson()
    if isinstance(value, dict) and value.get("kind") == "gaussian" and len(value) == 2:
        if "scale" in value:
            return Gaussian(value["scale"])
        if "cov" in value:
            return Gaussian(cov=value["cov"])
    raise ValueError(
        f"likelihood: expected gaussian with scale or cov, bernoulli or poisson; got {short(value)}"
    )


@dataclass(frozen=True, init=False)
class Gaussian(Likelihood):
    """Gaussian likelihood N(f(z), Lambda).

    Parameters
    ----------
    scale : exact number or (D,) of them, optional
        Standard deviations, Lambda = diag(scale^2).
    cov : (D, D) exact numbers, optional
        Lambda itself, D <= 40. Exactly one of the two is given.
    """

    scale: Fraction | Vector | None
    cov: Matrix | None

    def __init__(self, scale: Any = None, *, cov: Any = None) -> None:
        if (scale is None) == (cov is None):
            came = "neither" if scale is None else "both"
            raise ValueError(f"Gaussian: expected exactly one of scale and cov, got {came}")
        found: Fraction | Vector | None = None
        if scale is not None:
            several = isinstance(scale, list | tuple | range) or getattr(scale, "ndim", 0) != 0
            found = (_exact.positives if several else _exact.positive)("scale", scale)
        square = None if cov is None else _exact.matrix("cov", cov)
        if square is not None:
            if len(square) > MOST_ROWS:
                raise ValueError(f"cov: expected at most {MOST_ROWS} rows, got {len(square)}")
            _exact.square_root_free(square)
        object.__setattr__(self, "scale", found)
        object.__setattr__(self, "cov", square)

    @property
    def data_dim(self) -> int | None:
        """D, where the parameters fix it."""
        if self.cov is not None:
            return len(self.cov)
        return len(self.scale) if isinstance(self.scale, tuple) else None

    def covariance(self, size: int) -> Matrix:
        """Lambda, exactly."""
        if self.cov is not None:
            return self.cov
        unit, variances = _exact.identity(size), self._variances(size)
        return tuple(tuple(u * v for u in row) for row, v in zip(unit, variances, strict=True))

    def _variances(self, size: int) -> Vector:
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,) * size
        return tuple(s**2 for s in scales)  # type: ignore[operator]

    def squares(self, size: int) -> tuple[Sparse, Vector]:
        """Rows W and weights c with Lambda^-1 = sum_k c_k W_k W_k^T."""
        if self.cov is None:
            unit = tuple(((i, Fraction(1)),) for i in range(size))
            return unit, tuple(1 / v for v in self._variances(size))
        return _squares_of(self.cov)

    def check_data(self, x: Vector) -> None:
        if self.data_dim not in (None, len(x)):
            raise ValueError(f"x: expected {self.data_dim} entries, got {len(x)}")

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        if self.cov is not None:
            size = _exact.determinant(self.cov)
        else:
            size = math.prod(self._variances(len(x)), start=Fraction(1))
        return -(len(x) * F.log(2 * F.pi()) + F.log(F.exact(size))) / 2

    def _exponent(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        away = [o - F.exact(v) for v, o in zip(x, outputs, strict=True)]
        rows, weights = self.squares(len(x))
        out = F.exact(0)
        for row, c in zip(rows, weights, strict=True):
            term = F.dot([w for _, w in row], [away[i] for i, _ in row])
            out = out + F.square(term) * F.exact(c)
        return -out / 2

    def varying(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        return self._exponent(F, x, outputs)

    def factors(
        self, F: Arithmetic, x: Vector, outputs: Sequence[Number]
    ) -> tuple[Number, list[Number]]:
        return self._exponent(F, x, outputs), []

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        return F.exact(0)

    def as_json(self) -> dict[str, Any]:
        if self.cov is not None:
            return {"kind": "gaussian", "cov": _exact.texts(self.cov)}
        return {"kind": "gaussian", "scale": _exact.texts(self.scale)}


@lru_cache(maxsize=100)
def _squares_of(cov: Matrix) -> tuple[Sparse, Vector]:
    rows, weights = _exact.square_root_free(_exact.inverse(cov))
    return tuple(tuple((i, w) for i, w in enumerate(r) if w) for r in rows), weights


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Data of zeros and ones; the decoder gives logits."""

    def check_data(self, x: Vector) -> None:
        if not set(x) <= {0, 1}:
            raise ValueError(f"x: expected zeros and ones, got {short(_exact.texts(x))}")

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        return F.exact(0)

    def varying(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        out = F.exact(0)
        for v, o in zip(x, outputs, strict=True):
            if not F.finite(o):
                return o
            out = out - F.softplus(-o if v else o)
        return out

    def factors(
        self, F: Arithmetic, x: Vector, outputs: Sequence[Number]
    ) -> tuple[Number, list[Number]]:
        return F.exact(0), [1 + F.exp(-o if v else o) for v, o in zip(x, outputs, strict=True)]

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        return F.exact(0)

    def as_json(self) -> dict[str, Any]:
        return {"kind": "bernoulli"}


@dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts; the decoder gives log rates."""

    def check_data(self, x: Vector) -> None:
        if any(v < 0 or v.denominator != 1 or v > 100_000 for v in x):
            raise ValueError(f"x: expected counts from 0 to 100000, got {short(_exact.texts(x))}")

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        # Factorials in order, each from the one before.
        out, log, last = F.exact(0), F.exact(0), 0
        for v in sorted(int(v) for v in x):
            if v > last:
                log = log + F.log(F.exact(math.perm(v, v - last)))
                last = v
            out = out - log
        return out

    def varying(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        out = F.exact(0)
        for v, o in zip(x, outputs, strict=True):
            if not F.finite(o):
                return o
            # x o - e^o rises up to log x and falls after it: its ends are those of o, or the top.
            at = []
            for e in F.ends(o):
                at.append(e * F.exact(v) - F.exp(e))
            term = F.hull(at[0], at[1])
            if v:
                top = F.log(F.exact(v))
                if not (F.less(top, o) or F.less(o, top)):
                    term = F.hull(term, (top - 1) * F.exact(v))
            out = out + term
        return out

    def factors(
        self, F: Arithmetic, x: Vector, outputs: Sequence[Number]
    ) -> tuple[Number, list[Number]]:
        out = F.exact(0)
        for v, o in zip(x, outputs, strict=True):
            out = out + o * F.exact(v) - F.exp(o)
        return out, []

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        out = F.exact(0)
        for v in x:
            if v:
                out = out + F.exact(v) * (F.log(F.exact(v)) - 1)
        return out

    def as_json(self) -> dict[str, Any]:
        return {"kind": "poisson"}
