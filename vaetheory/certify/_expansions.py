"""Functions whose Gaussian expectations have a closed form: polynomials, waves, exponentials."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import TypeAlias

from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import Arithmetic, Number

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

    def add_coordinate(self, axis: int, c: Number) -> Expansion:
        """Add c z_j."""
        return self.add_power(tuple(int(i == axis) for i in range(self.dim)), c)

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


def circle(F: Arithmetic, dim: int, axis: int, radius: Fraction) -> list[Expansion]:
    """The circle of a radius at unit speed along one latent."""
    w = tuple(Fraction(i == axis) / radius for i in range(dim))
    r, zero = F.exact(radius), F.exact(0)
    return [Expansion(F, dim).add_wave(w, *ab) for ab in ((r, zero), (zero, r))]
