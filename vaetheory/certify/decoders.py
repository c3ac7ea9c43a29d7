"""Decoders with exact parameters, written once for every arithmetic.

Each stands for the decoder of the same name in `vaetheory.decoders`, whose floats it takes as the
exact numbers they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from fractions import Fraction
from typing import Any

from vaetheory._validation import sequence
from vaetheory.certify import _exact, _expansions
from vaetheory.certify._decoder import KINDS, Decoder, from_json, of_floats
from vaetheory.certify._exact import Exact, Matrix, Vector
from vaetheory.certify._expansions import Expansion
from vaetheory.certify.arithmetic import Arithmetic, Number

__all__ = [
    "KINDS",
    "Affine",
    "Catenary",
    "Circle",
    "Cylinder",
    "Decoder",
    "FlatTorus",
    "Helix",
    "Polynomial",
    "Reparametrised",
    "Sine",
    "Sinh",
    "SpherePatch",
    "TanhNetwork",
    "from_json",
    "of_floats",
]


def _size(rows: Matrix) -> tuple[Fraction, ...]:
    return tuple(sum((abs(v) for v in row), Fraction(0)) for row in rows)


@dataclass(frozen=True, init=False)
class Affine(Decoder):
    """f(z) = W z + b.

    Parameters
    ----------
    weight : (D, d) exact numbers
    bias : (D,) exact numbers, optional
    """

    kind = "affine"
    weight: Matrix
    bias: Vector

    def __init__(self, weight: Any, bias: Any = None) -> None:
        w = _exact.matrix("weight", weight)
        b = (Fraction(0),) * len(w) if bias is None else _exact.vector("bias", bias, len(w))
        object.__setattr__(self, "weight", w)
        object.__setattr__(self, "bias", b)

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return len(self.weight[0])

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        return [F.dot(row, z) + F.exact(b) for row, b in zip(self.weight, self.bias, strict=True)]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        d = self.latent_dim
        out = []
        for row, b in zip(self.weight, self.bias, strict=True):
            e = Expansion(F, d).add_coordinate(0, F.exact(row[0]))
            e.add_power((0,) * d, F.exact(b))
            for j in range(1, d):
                e.add_coordinate(j, F.exact(row[j]))
            out.append(e)
        return out

    def linear(self) -> tuple[Matrix, Vector]:
        return self.weight, self.bias

    def after(self, change: Matrix) -> Decoder:
        return Affine(_exact.product(self.weight, change), self.bias)

    def growth(self) -> Sequence[Vector]:
        return [
            (abs(b), max(abs(v) for v in row))
            for row, b in zip(self.weight, self.bias, strict=True)
        ]


@dataclass(frozen=True, init=False)
class Polynomial(Decoder):
    """f(z) = sum_k c_k prod_j z_j^(p_kj).

    Parameters
    ----------
    powers : (K, d) natural numbers
    coefficients : (K, D) exact numbers
    """

    kind = "polynomial"
    powers: tuple[tuple[int, ...], ...]
    coefficients: Matrix

    def __init__(self, powers: Any, coefficients: Any) -> None:
        p = _exact.matrix("powers", powers)
        c = _exact.matrix("coefficients", coefficients)
        for row in p:
            for v in row:
                _exact.whole("powers", v, low=0, high=50)
        if len(p) != len(c):
            raise ValueError(
                "powers and coefficients: expected one vector a monomial, got "
                f"{len(p)} and {len(c)}"
            )
        object.__setattr__(self, "powers", tuple(tuple(int(v) for v in row) for row in p))
        object.__setattr__(self, "coefficients", c)

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return len(self.powers[0])

    def _written(self, name: str) -> Any:
        if name == "powers":
            return [list(row) for row in self.powers]
        return super()._written(name)

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        monomials = []
        for row in self.powers:
            term = F.exact(1)
            for zj, e in zip(z, row, strict=True):
                if e:
                    term = F.power(zj, e) * term
            monomials.append(term)
        return [F.dot(column, monomials) for column in zip(*self.coefficients, strict=True)]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        out = [Expansion(F, self.latent_dim) for _ in self.coefficients[0]]
        for powers, row in zip(self.powers, self.coefficients, strict=True):
            for e, c in zip(out, row, strict=True):
                if c:
                    e.add_power(powers, F.exact(c))
        return out

    def after(self, change: Matrix) -> Decoder:
        columns = list(zip(*self.coefficients, strict=True))
        found: dict[tuple[int, ...], list[Fraction]] = {}
        for k, row in enumerate(self.powers):
            term = {(0,) * len(change[0]): Fraction(1)}
            for line, e in zip(change, row, strict=True):
                for _ in range(e):
                    term = _times_linear(term, line)
            for powers, value in term.items():
                entry = found.setdefault(powers, [Fraction(0)] * len(columns))
                found[powers] = [a + value * c[k] for a, c in zip(entry, columns, strict=True)]
        return Polynomial(list(found), list(found.values()))

    def growth(self) -> Sequence[Vector] | None:
        most = max(sum(row) for row in self.powers)
        out = []
        for column in zip(*self.coefficients, strict=True):
            sizes = [Fraction(0)] * (most + 1)
            for row, c in zip(self.powers, column, strict=True):
                sizes[sum(row)] += abs(c)
            out.append(tuple(sizes))
        return out


def _times_linear(
    term: dict[tuple[int, ...], Fraction], line: Sequence[Fraction]
) -> dict[tuple[int, ...], Fraction]:
    """A polynomial times a linear form."""
    out: dict[tuple[int, ...], Fraction] = {}
    for powers, value in term.items():
        for j, a in enumerate(line):
            if a:
                key = (*powers[:j], powers[j] + 1, *powers[j + 1 :])
                out[key] = out.get(key, Fraction(0)) + a * value
    return out


class _OfNumbers(Decoder):
    """A decoder whose parameters are positive numbers."""

    def __init__(self, *values: Exact, **named: Exact) -> None:
        names = [f.name for f in fields(self)]  # type: ignore[arg-type]
        given = dict(zip(names, values, strict=False)) | named
        if set(given) != set(names) or len(values) + len(named) != len(names):
            came = ", ".join([str(len(values)), *named])
            raise ValueError(f"{type(self).__name__}: expected {', '.join(names)}, got {came}")
        for name, value in given.items():
            object.__setattr__(self, name, _exact.positive(name, value))


def _circle(radius: Fraction, z: Number, F: Arithmetic) -> list[Number]:
    r = F.exact(radius)
    angle = z / r
    return [r * F.cos(angle), r * F.sin(angle)]


@dataclass(frozen=True, init=False)
class Circle(_OfNumbers):
    """The circle of a radius at unit speed; d = 1, D = 2."""

    kind = "circle"
    latent_dim = 1
    radius: Fraction

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        return _circle(self.radius, z[0], F)

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        return _expansions.circle(F, 1, 0, self.radius)

    def growth(self) -> Sequence[Vector]:
        return [(self.radius, Fraction(0))] * 2


@dataclass(frozen=True, init=False)
class Helix(_OfNumbers):
    """The helix (r cos(z/c), r sin(z/c), p z/c) at unit speed, c^2 = r^2 + p^2; d = 1, D = 3.

    Where c is irrational, as for r = p = 1, this is the helix itself, not the one whose c is
    rounded to a double.
    """

    kind = "helix"
    latent_dim = 1
    radius: Fraction
    pitch: Fraction

    def length(self, F: Arithmetic) -> Number:
        """The number c."""
        return F.sqrt(F.exact(self.radius**2 + self.pitch**2))

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        r, t = F.exact(self.radius), z[0] / self.length(F)
        return [r * F.cos(t), r * F.sin(t), F.exact(self.pitch) * t]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        unit = 1 / self.length(F)
        r, zero = F.exact(self.radius), F.exact(0)
        one = (Fraction(1),)
        waves = [Expansion(F, 1, unit).add_wave(one, *ab) for ab in ((r, zero), (zero, r))]
        return [*waves, Expansion(F, 1, unit).add_coordinate(0, F.exact(self.pitch) * unit)]

    def growth(self) -> Sequence[Vector]:
        return [(self.radius, Fraction(0))] * 2 + [(Fraction(0), Fraction(1))]


@dataclass(frozen=True, init=False)
class Catenary(_OfNumbers):
    """The catenary (a arsinh(z/a), sqrt(a^2 + z^2)) at unit speed; d = 1, D = 2."""

    kind = "catenary"
    latent_dim = 1
    scale: Fraction

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        a = F.exact(self.scale)
        t = z[0] / a
        return [a * F.asinh(t), a * F.sqrt(1 + F.square(t))]

    def growth(self) -> Sequence[Vector]:
        return [(Fraction(0), Fraction(1)), (self.scale, Fraction(1))]


@dataclass(frozen=True, init=False)
class Cylinder(_OfNumbers):
    """The cylinder of a radius, (r cos(u/r), r sin(u/r), v); d = 2, D = 3."""

    kind = "cylinder"
    latent_dim = 2
    radius: Fraction

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        return [*_circle(self.radius, z[0], F), z[1]]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        height = Expansion(F, 2).add_coordinate(1, F.exact(1))
        return [*_expansions.circle(F, 2, 0, self.radius), height]

    def growth(self) -> Sequence[Vector]:
        return [(self.radius, Fraction(0))] * 2 + [(Fraction(0), Fraction(1))]


@dataclass(frozen=True, init=False)
class FlatTorus(_OfNumbers):
    """The product of two circles at unit speed; d = 2, D = 4."""

    kind = "flat-torus"
    latent_dim = 2
    radius: Fraction
    other_radius: Fraction

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        return _circle(self.radius, z[0], F) + _circle(self.other_radius, z[1], F)

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        radii = (self.radius, self.other_radius)
        return [e for j, r in enumerate(radii) for e in _expansions.circle(F, 2, j, r)]

    def growth(self) -> Sequence[Vector]:
        return [(r, Fraction(0)) for r in (self.radius, self.other_radius) for _ in range(2)]


@dataclass(frozen=True, init=False)
class SpherePatch(_OfNumbers):
    """The sphere of a radius in stereographic coordinates, (z/s, r (2/s - 1)); d = 2, D = 3."""

    kind = "sphere-patch"
    latent_dim = 2
    radius: Fraction

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        square = F.square(z[0]) + F.square(z[1])
        t = 1 / (1 + square * F.exact(1 / (4 * self.radius**2)))
        return [z[0] * t, z[1] * t, F.exact(self.radius) * (2 * t - 1)]

    def growth(self) -> Sequence[Vector]:
        return [(self.radius, Fraction(0))] * 3


@dataclass(frozen=True, init=False)
class Sine(Decoder):
    """f_i(z) = a_i sin(w_i . z + p_i)."""

    kind = "sine"
    amplitude: Vector
    frequency: Matrix
    phase: Vector

    def __init__(self, amplitude: Any, frequency: Any, phase: Any = None) -> None:
        w = _exact.matrix("frequency", frequency)
        a = _exact.vector("amplitude", amplitude, len(w))
        p = (Fraction(0),) * len(w) if phase is None else _exact.vector("phase", phase, len(w))
        for name, value in (("amplitude", a), ("frequency", w), ("phase", p)):
            object.__setattr__(self, name, value)

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return len(self.frequency[0])

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        rows = zip(self.amplitude, self.frequency, self.phase, strict=True)
        return [F.exact(a) * F.sin(F.dot(w, z) + F.exact(p)) for a, w, p in rows]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        out = []
        rows = zip(self.amplitude, self.frequency, self.phase, strict=True)
        for a, w, p in rows:
            phase, amplitude = F.exact(p), F.exact(a)
            wave = Expansion(F, self.latent_dim)
            out.append(wave.add_wave(w, amplitude * F.sin(phase), amplitude * F.cos(phase)))
        return out

    def after(self, change: Matrix) -> Decoder:
        return Sine(self.amplitude, _exact.product(self.frequency, change), self.phase)

    def growth(self) -> Sequence[Vector]:
        return [(abs(a), Fraction(0)) for a in self.amplitude]


@dataclass(frozen=True, init=False)
class Sinh(Decoder):
    """f_i(z) = sinh(a z_i) / a, which bends away from the straight line; d = D."""

    kind = "sinh"
    has_floats = False
    scale: Fraction
    size: int

    def __init__(self, scale: Exact, size: int = 1) -> None:
        object.__setattr__(self, "scale", _exact.positive("scale", scale))
        object.__setattr__(self, "size", _exact.whole("size", size, low=1, high=10))

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return self.size

    def _written(self, name: str) -> Any:
        return self.size if name == "size" else super()._written(name)

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        a = F.exact(self.scale)
        return [(F.exp(a * t) - F.exp(-a * t)) / (2 * a) for t in z]

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        out = []
        for axis in range(self.size):
            k = tuple(self.scale * (i == axis) for i in range(self.size))
            c = F.exact(1 / (2 * self.scale))
            e = Expansion(F, self.size).add_exponential(k, c)
            out.append(e.add_exponential(tuple(-t for t in k), -c))
        return out


@dataclass(frozen=True, init=False)
class TanhNetwork(Decoder):
    """Fully connected network with tanh between its affine layers; the last layer is affine."""

    kind = "tanh-network"
    weights: tuple[Matrix, ...]
    biases: tuple[Vector, ...]

    def __init__(self, weights: Any, biases: Any) -> None:
        given, offsets = sequence("weights", weights), sequence("biases", biases)
        if len(given) != len(offsets) or not given:
            raise ValueError(
                "weights and biases: expected one of each a layer, at least one, got "
                f"{len(given)} and {len(offsets)}"
            )
        layers: list[Affine] = []
        for i, (w, b) in enumerate(zip(given, offsets, strict=True)):
            rows = _exact.matrix(f"weights[{i}]", w, len(layers[-1].weight) if layers else None)
            layers.append(Affine(rows, _exact.vector(f"biases[{i}]", b, len(rows))))
        object.__setattr__(self, "weights", tuple(a.weight for a in layers))
        object.__setattr__(self, "biases", tuple(a.bias for a in layers))

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return len(self.weights[0][0])

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        values = list(z)
        for i, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            inner = values if i == 0 else [F.tanh(v) for v in values]
            values = [F.dot(row, inner) + F.exact(c) for row, c in zip(w, b, strict=True)]
        return values

    def after(self, change: Matrix) -> Decoder:
        first = _exact.product(self.weights[0], change)
        return TanhNetwork((first, *self.weights[1:]), self.biases)

    def growth(self) -> Sequence[Vector]:
        last, bias = self.weights[-1], self.biases[-1]
        if len(self.weights) == 1:
            return Affine(last, bias).growth()
        return [(abs(b) + s, Fraction(0)) for b, s in zip(bias, _size(last), strict=True)]


@dataclass(frozen=True, init=False)
class Reparametrised(Decoder):
    """A decoder after an affine change of the latent, z -> f(W z + b)."""

    kind = "reparametrised"
    inner: Decoder
    weight: Matrix
    bias: Vector

    def __init__(self, inner: Any, weight: Any, bias: Any = None) -> None:
        change = Affine(weight, bias)
        decoder = inner if isinstance(inner, Decoder) else from_json(inner)
        if decoder.latent_dim != len(change.weight):
            raise ValueError(
                f"weight: expected {decoder.latent_dim} rows, got {len(change.weight)}"
            )
        object.__setattr__(self, "inner", decoder)
        object.__setattr__(self, "weight", change.weight)
        object.__setattr__(self, "bias", change.bias)

    @property
    def latent_dim(self) -> int:  # type: ignore[override]
        return len(self.weight[0])

    @classmethod
    def of_floats(cls, decoder: Any) -> Decoder:
        return cls(of_floats(decoder.inner), decoder.change.weight, decoder.change.bias)

    def _written(self, name: str) -> Any:
        return self.inner.as_json() if name == "inner" else super()._written(name)

    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        return self.inner(Affine(self.weight, self.bias)(z, F), F)

    def after(self, change: Matrix) -> Decoder:
        return Reparametrised(self.inner, _exact.product(self.weight, change), self.bias)

    def growth(self) -> Sequence[Vector] | None:
        inner = self.inner.growth()
        if inner is None or any(len(c) > 2 for c in inner):
            return None
        moved = sum((abs(b) for b in self.bias), Fraction(0))
        stretched = max(_size(_exact.transpose(self.weight)))
        return [(a + b * moved, b * stretched) for a, b in inner]
