"""Likelihoods with exact parameters, written once for every arithmetic."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from vaetheory.certify import exact
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.exact import Matrix, Vector


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
        f"likelihood: expected gaussian with scale or cov, bernoulli or poisson; got {value!r:.80}"
    )


@dataclass(frozen=True, init=False)
class Gaussian(Likelihood):
    """Gaussian likelihood N(f(z), Lambda).

    Parameters
    ----------
    scale : exact number or (D,) of them, optional
        Standard deviations, Lambda = diag(scale^2).
    cov : (D, D) exact numbers, optional
        Lambda itself. Exactly one of the two is given.
    """

    scale: Fraction | Vector | None
    cov: Matrix | None

    def __init__(self, scale: Any = None, *, cov: Any = None) -> None:
        if (scale is None) == (cov is None):
            came = "neither" if scale is None else "both"
            raise ValueError(f"Gaussian: expected exactly one of scale and cov, got {came}")
        found: Fraction | Vector | None = None
        if scale is not None:
            single = isinstance(scale, str) or getattr(scale, "ndim", 0) == 0
            if single and not isinstance(scale, list | tuple):
                found = exact.positive("scale", scale)
            else:
                found = exact.vector("scale", scale)
                if min(found) <= 0:
                    raise ValueError("scale: expected positive numbers")
        square = None if cov is None else exact.matrix("cov", cov)
        if square is not None:
            exact.square_root_free(square)
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
        scales = self.scale if isinstance(self.scale, tuple) else (self.scale,) * size
        unit = exact.identity(size)
        return tuple(
            tuple(u * s**2 for u in row)  # type: ignore[operator]
            for row, s in zip(unit, scales, strict=True)
        )

    def squares(self, size: int) -> tuple[Matrix, Vector]:
        """Rows W and weights c with Lambda^-1 = sum_k c_k W_k W_k^T."""
        return exact.square_root_free(exact.inverse(self.covariance(size)))

    def check_data(self, x: Vector) -> None:
        if self.data_dim not in (None, len(x)):
            raise ValueError(f"x: expected {self.data_dim} entries, got {len(x)}")

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        size = F.exact(exact.determinant(self.covariance(len(x))))
        return -(len(x) * F.log(2 * F.pi()) + F.log(size)) / 2

    def _exponent(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        away = [o - F.exact(v) for v, o in zip(x, outputs, strict=True)]
        rows, weights = _cached_squares(self, len(x))
        out = F.exact(0)
        for row, c in zip(rows, weights, strict=True):
            out = out + F.square(F.dot(row, away)) * F.exact(c)
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
            return {"kind": "gaussian", "cov": exact.texts(self.cov)}
        return {"kind": "gaussian", "scale": exact.texts(self.scale)}


_SQUARES: dict[tuple[Gaussian, int], tuple[Matrix, Vector]] = {}


def _cached_squares(likelihood: Gaussian, size: int) -> tuple[Matrix, Vector]:
    key = (likelihood, size)
    if key not in _SQUARES:
        if len(_SQUARES) > 100:
            _SQUARES.clear()
        _SQUARES[key] = likelihood.squares(size)
    return _SQUARES[key]


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Data of zeros and ones; the decoder gives logits."""

    def check_data(self, x: Vector) -> None:
        if not set(x) <= {0, 1}:
            raise ValueError(f"x: expected zeros and ones, got {exact.texts(x)}")

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
            raise ValueError(f"x: expected counts from 0 to 100000, got {exact.texts(x)}")

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        return -F.log(F.exact(math.prod(math.factorial(int(v)) for v in x)))

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
