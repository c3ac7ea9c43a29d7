"""Functions whose Gaussian expectations have a closed form: polynomials, waves, exponentials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

from vaetheory.certify import decoders
from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.likelihoods import Gaussian, Poisson
from vaetheory.certify.models import Model

Powers: TypeAlias = tuple[int, ...]


class NoClosedForm(ValueError):
    """The expectation is none of a polynomial, a wave or an exponential."""


class Expansion:
    """sum c z^a + sum (A cos(u w.z) + B sin(u w.z)) + sum C exp(k.z), u a number of its own.

    Terms are keyed by their exact a, w and k, so that what cancels does so before it is enclosed.
    """

    def __init__(self, F: Arithmetic, dim: int, unit: Number | None = None) -> None:
        self.F, self.dim = F, dim
        self.unit = F.exact(1) if unit is None else unit
        self.powers: dict[Powers, Number] = {}
        self.waves: dict[Vector, tuple[Number, Number]] = {}
        self.exponentials: dict[Vector, Number] = {}

    def add_power(self, powers: Powers, c: Number) -> Expansion:
        """Add c z^a."""
        self.powers[powers] = self.powers[powers] + c if powers in self.powers else c
        return self

    def add_wave(self, w: Vector, a: Number, b: Number) -> Expansion:
        """Add A cos(u w.z) + B sin(u w.z), w of either sign."""
        first = next((v for v in w if v), Fraction(0))
        if not first:
            return self.add_power((0,) * self.dim, a)
        if first < 0:
            w, b = tuple(-v for v in w), -b
        old = self.waves.get(w)
        self.waves[w] = (a, b) if old is None else (old[0] + a, old[1] + b)
        return self

    def add_exponential(self, k: Vector, c: Number) -> Expansion:
        """Add C exp(k.z)."""
        if not any(k):
            return self.add_power((0,) * self.dim, c)
        self.exponentials[k] = self.exponentials[k] + c if k in self.exponentials else c
        return self

    def add(self, other: Expansion, factor: Number) -> Expansion:
        """Add a multiple of another expansion."""
        for p, c in other.powers.items():
            self.add_power(p, c * factor)
        for w, (a, b) in other.waves.items():
            self.add_wave(w, a * factor, b * factor)
        for k, c in other.exponentials.items():
            self.add_exponential(k, c * factor)
        return self

    def squared(self) -> Expansion:
        """The square; `NoClosedForm` where terms of two kinds that are not constant meet."""
        out = Expansion(self.F, self.dim, self.unit)
        zero = (0,) * self.dim
        kinds = [set(self.powers) - {zero}, set(self.waves), set(self.exponentials)]
        if sum(bool(k) for k in kinds) > 1:
            raise NoClosedForm("a product of unlike terms")
        for (p, c), (q, d) in itertools.product(self.powers.items(), repeat=2):
            out.add_power(tuple(i + j for i, j in zip(p, q, strict=True)), c * d)
        if zero in self.powers:
            twice = 2 * self.powers[zero]
            for w, (a, b) in self.waves.items():
                out.add_wave(w, a * twice, b * twice)
            for k, c in self.exponentials.items():
                out.add_exponential(k, c * twice)
        for (w, (a, b)), (y, (c, d)) in itertools.product(self.waves.items(), repeat=2):
            down = tuple(i - j for i, j in zip(w, y, strict=True))
            up = tuple(i + j for i, j in zip(w, y, strict=True))
            out.add_wave(down, (a * c + b * d) / 2, (b * c - a * d) / 2)
            out.add_wave(up, (a * c - b * d) / 2, (b * c + a * d) / 2)
        for (k, c), (j, d) in itertools.product(self.exponentials.items(), repeat=2):
            out.add_exponential(tuple(s + t for s, t in zip(k, j, strict=True)), c * d)
        return out

    def expectation(self, m: Sequence[Number], v: Sequence[Number], orders: Powers) -> Number:
        """E of the derivative of the given orders under N(m, diag(v))."""
        F, total = self.F, self.F.exact(0)
        moments = [
            _moments(F, a, b, self._degree(j)) for j, (a, b) in enumerate(zip(m, v, strict=True))
        ]
        for powers, c in self.powers.items():
            if any(p < o for p, o in zip(powers, orders, strict=True)):
                continue
            factor, term = 1, c
            for j, (p, o) in enumerate(zip(powers, orders, strict=True)):
                for k in range(o):
                    factor *= p - k
                if p > o:
                    term = term * moments[j][p - o]
            total = total + term * factor
        turns = sum(orders) % 4
        for w, (a, b) in self.waves.items():
            u = [self.unit * F.exact(t) for t in w]
            angle, damping = F.exact(0), F.exact(0)
            scale = F.exact(1)
            for t, mj, vj, o, key in zip(u, m, v, orders, w, strict=True):
                if key:
                    angle, damping = angle + t * mj, damping + F.square(t) * vj
                    scale = scale * F.power(t, o)
                elif o:
                    scale = F.exact(0)
            cos, sin = F.cos(angle), F.sin(angle)
            for _ in range(turns):
                cos, sin = -sin, cos
            total = total + scale * F.exp(-damping / 2) * (a * cos + b * sin)
        for rates, c in self.exponentials.items():
            exponent, rise = F.exact(0), Fraction(1)
            for t, mj, vj, o in zip(rates, m, v, orders, strict=True):
                rise *= t**o
                exponent = exponent + F.exact(t) * mj + F.exact(t * t) * vj / 2
            total = total + F.exact(rise) * c * F.exp(exponent)
        return total

    def _degree(self, axis: int) -> int:
        return max((p[axis] for p in self.powers), default=0)


def _moments(F: Arithmetic, m: Number, v: Number, most: int) -> list[Number]:
    """E z^k for k = 0 .. most."""
    out = [F.exact(1), m]
    for k in range(2, most + 1):
        if k == 2:
            out.append(F.square(m) + v)
        else:
            out.append(m * out[-1] + (k - 1) * v * out[-2])
    return out


def outputs(decoder: decoders.Decoder, F: Arithmetic) -> list[Expansion]:
    """The decoder's outputs as expansions; `NoClosedForm` if it has none."""
    d = decoder.latent_dim
    unit = 1 / decoder.length(F) if isinstance(decoder, decoders.Helix) else None

    def new() -> Expansion:
        return Expansion(F, d, unit)

    def wave(axis: int, radius: Fraction) -> list[Expansion]:
        w = tuple(Fraction(i == axis) / radius for i in range(d))
        r, zero = F.exact(radius), F.exact(0)
        return [new().add_wave(w, r, zero), new().add_wave(w, zero, r)]

    def coordinate(axis: int, factor: Number) -> Expansion:
        return new().add_power(tuple(int(i == axis) for i in range(d)), factor)

    if isinstance(decoder, decoders.Affine):
        out = [coordinate(0, F.exact(row[0])) for row in decoder.weight]
        for e, row, b in zip(out, decoder.weight, decoder.bias, strict=True):
            e.add_power((0,) * d, F.exact(b))
            for j in range(1, d):
                e.add(coordinate(j, F.exact(row[j])), F.exact(1))
        return out
    if isinstance(decoder, decoders.Polynomial):
        out = [new() for _ in decoder.coefficients[0]]
        for powers, row in zip(decoder.powers, decoder.coefficients, strict=True):
            for e, c in zip(out, row, strict=True):
                if c:
                    e.add_power(powers, F.exact(c))
        return out
    if isinstance(decoder, decoders.Circle):
        return wave(0, decoder.radius)
    if isinstance(decoder, decoders.Cylinder):
        return [*wave(0, decoder.radius), coordinate(1, F.exact(1))]
    if isinstance(decoder, decoders.FlatTorus):
        return wave(0, decoder.radius) + wave(1, decoder.other_radius)
    if isinstance(decoder, decoders.Helix):
        r, zero = F.exact(decoder.radius), F.exact(0)
        one = (Fraction(1),)
        rise = coordinate(0, F.exact(decoder.pitch) * new().unit)
        return [new().add_wave(one, r, zero), new().add_wave(one, zero, r), rise]
    if isinstance(decoder, decoders.Sine):
        out = []
        rows = zip(decoder.amplitude, decoder.frequency, decoder.phase, strict=True)
        for a, w, p in rows:
            phase, amplitude = F.exact(p), F.exact(a)
            out.append(new().add_wave(w, amplitude * F.sin(phase), amplitude * F.cos(phase)))
        return out
    if isinstance(decoder, decoders.Sinh):
        out = []
        for axis in range(d):
            k = tuple(decoder.scale * (i == axis) for i in range(d))
            c = F.exact(1 / (2 * decoder.scale))
            e = new().add_exponential(k, c)
            out.append(e.add_exponential(tuple(-t for t in k), -c))
        return out
    raise NoClosedForm(type(decoder).__name__)


def log_likelihood(model: Model, x: Vector, F: Arithmetic) -> Expansion:
    """The varying part of log p(x given f(z)) as a function of z."""
    means = outputs(model.decoder, F)
    d, unit = model.latent_dim, means[0].unit
    total = Expansion(F, d, unit)
    if isinstance(model.likelihood, Gaussian):
        rows, weights = model.likelihood.squares(len(x))
        for row, c in zip(rows, weights, strict=True):
            away = Expansion(F, d, unit)
            for i, w in row:
                away.add(means[i], F.exact(w))
                away.add_power((0,) * d, F.exact(-w * x[i]))
            total.add(away.squared(), F.exact(-c / 2))
        return total
    if isinstance(model.likelihood, Poisson) and isinstance(model.decoder, decoders.Affine):
        slopes = model.decoder.weight
        for value, mean, slope, b in zip(x, means, slopes, model.decoder.bias, strict=True):
            total.add(mean, F.exact(value))
            total.add_exponential(slope, -F.exp(F.exact(b)))
        return total
    raise NoClosedForm(type(model.likelihood).__name__)
