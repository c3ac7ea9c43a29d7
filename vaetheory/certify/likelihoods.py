"""Likelihoods with exact parameters, written once for every arithmetic."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, ClassVar, TypeAlias

from vaetheory._validation import short
from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._expansions import Expansion, NoClosedForm
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.decoders import Decoder

#: Rows of a matrix by the places and values of their entries that are not zero.
Sparse: TypeAlias = tuple[tuple[tuple[int, Fraction], ...], ...]
#: Rows of a covariance: the time that exact elimination takes grows with the fourth power of them.
MOST_ROWS = 40
# The tails of a greater rate's logarithm are beyond what any quadrature here reaches.
_LARGEST = 10_000
#: By their names in a certificate.
KINDS: dict[str, type[Likelihood]] = {}


class Likelihood(ABC):
    """Log p(x given the decoder's outputs), in nats.

    Each stands for the family of the same name in `vaetheory.likelihoods`, but shares nothing with
    it: two definitions that are tested against each other are a check.
    """

    kind: ClassVar[str] = ""
    #: Names of the parameters that a certificate may give, as sets.
    parameters: ClassVar[tuple[set[str], ...]] = (set(),)

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.kind:
            KINDS[cls.kind] = cls

    @classmethod
    def of_floats(cls, likelihood: Any) -> Likelihood:
        """The likelihood of the parameters of its namesake in `vaetheory.likelihoods`."""
        return cls()

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

    def analytic(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        """The varying part for real or complex outputs, analytic where finite."""
        return self.factors(F, x, outputs)[0]

    def majorant(self, x: Vector, growth: Sequence[Vector]) -> list[Fraction] | None:
        """Coefficients c_k with |varying| <= sum_k c_k r^k for outputs of that `Decoder.growth`.

        None where no such bound is known.
        """
        return None

    def expansion(self, F: Arithmetic, x: Vector, decoder: Decoder) -> Expansion:
        """The varying part as a function of the latent; `NoClosedForm` if it has no such form."""
        raise NoClosedForm(type(self).__name__)

    @abstractmethod
    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        """An upper bound of `varying` over all outputs."""

    def as_json(self) -> dict[str, Any]:
        """Kind and parameters as text."""
        return {"kind": self.kind}


def from_json(value: Any) -> Likelihood:
    """The likelihood that `as_json` wrote; anything else is a ValueError."""
    kind = value.get("kind") if isinstance(value, dict) else None
    parameters = {k: v for k, v in value.items() if k != "kind"} if kind is not None else {}
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is not None and set(parameters) in cls.parameters:
        return cls(**parameters)
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

    kind = "gaussian"
    parameters = ({"scale"}, {"cov"})
    scale: Fraction | Vector | None
    cov: Matrix | None

    @classmethod
    def of_floats(cls, likelihood: Any) -> Likelihood:
        if likelihood.cov is not None:
            return cls(cov=likelihood.cov)
        return cls(likelihood.scale)

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

    def majorant(self, x: Vector, growth: Sequence[Vector]) -> list[Fraction]:
        out = [Fraction(0)]
        for row, c in zip(*self.squares(len(x)), strict=True):
            sizes = [[abs(w) * t for t in growth[i]] for i, w in row]
            away = _plus([sum((abs(w * x[i]) for i, w in row), Fraction(0))], *sizes)
            square = [Fraction(0)] * (2 * len(away) - 1)
            for i, a in enumerate(away):
                for j, b in enumerate(away):
                    square[i + j] += a * b * c / 2
            out = _plus(out, square)
        return out

    def expansion(self, F: Arithmetic, x: Vector, decoder: Decoder) -> Expansion:
        means = decoder.expansion(F)
        d, unit = decoder.latent_dim, means[0].unit
        total = Expansion(F, d, unit)
        for row, c in zip(*self.squares(len(x)), strict=True):
            away = Expansion(F, d, unit)
            for i, w in row:
                away.add(means[i], F.exact(w))
                away.add_power((0,) * d, F.exact(-w * x[i]))
            total.add(away.squared(), F.exact(-c / 2))
        return total

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        return F.exact(0)

    def as_json(self) -> dict[str, Any]:
        if self.cov is not None:
            return {"kind": self.kind, "cov": _exact.texts(self.cov)}
        return {"kind": self.kind, "scale": _exact.texts(self.scale)}


@lru_cache(maxsize=100)
def _squares_of(cov: Matrix) -> tuple[Sparse, Vector]:
    rows, weights = _exact.square_root_free(_exact.inverse(cov))
    return tuple(tuple((i, w) for i, w in enumerate(r) if w) for r in rows), weights


@dataclass(frozen=True)
class Bernoulli(Likelihood):
    """Data of zeros and ones; the decoder gives logits."""

    kind = "bernoulli"

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

    def analytic(self, F: Arithmetic, x: Vector, outputs: Sequence[Number]) -> Number:
        total = F.exact(0)
        for value, o in zip(x, outputs, strict=True):
            t = -o if value else o
            if not F.is_complex(t):
                total = total - F.softplus(t)
            elif sum(F.floats(F.real(t))) > 0:
                # log(1 + e^t) with the exponential of the side that decays.
                total = total - t - F.log(1 + F.exp(-t))
            else:
                total = total - F.log(1 + F.exp(t))
        return total

    def majorant(self, x: Vector, growth: Sequence[Vector]) -> list[Fraction]:
        # softplus(t) <= 1 + |t|
        return _plus([Fraction(len(growth))], *growth)

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        return F.exact(0)


@dataclass(frozen=True)
class Poisson(Likelihood):
    """Counts; the decoder gives log rates."""

    kind = "poisson"

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

    def majorant(self, x: Vector, growth: Sequence[Vector]) -> list[Fraction] | None:
        if any(t for g in growth for t in g[1:]):
            return None
        if max(g[0] for g in growth) > _LARGEST:
            raise NotProved(f"the decoder gives more than e^{_LARGEST} for a rate")
        pairs = zip(x, growth, strict=True)
        return [sum((t * g[0] + 3 ** math.ceil(g[0]) for t, g in pairs), Fraction(0))]

    def expansion(self, F: Arithmetic, x: Vector, decoder: Decoder) -> Expansion:
        linear = decoder.linear()
        if linear is None:
            raise NoClosedForm(type(self).__name__)
        means = decoder.expansion(F)
        total = Expansion(F, decoder.latent_dim, means[0].unit)
        for value, mean, slope, b in zip(x, means, *linear, strict=True):
            total.add(mean, F.exact(value))
            total.add_exponential(slope, -F.exp(F.exact(b)))
        return total

    def greatest(self, F: Arithmetic, x: Vector) -> Number:
        out = F.exact(0)
        for v in x:
            if v:
                out = out + F.exact(v) * (F.log(F.exact(v)) - 1)
        return out


def _plus(*polynomials: Sequence[Fraction]) -> list[Fraction]:
    """The sum of polynomials by their coefficients."""
    columns = itertools.zip_longest(*polynomials, fillvalue=Fraction(0))
    return [sum(column, Fraction(0)) for column in columns]


def of_floats(likelihood: Any) -> Likelihood:
    """The likelihood with the parameters of one of `vaetheory.likelihoods`, taken exactly.

    Raises
    ------
    ValueError
        If it has no namesake here.
    """
    cls = _exact.namesake(likelihood, "vaetheory.likelihoods", KINDS.values())
    if cls is None:
        names = [k.__name__ for k in KINDS.values()]
        raise ValueError(
            f"likelihood: expected {', '.join(names[:-1])} or {names[-1]}, got "
            f"{type(likelihood).__name__}"
        )
    return cls.of_floats(likelihood)
