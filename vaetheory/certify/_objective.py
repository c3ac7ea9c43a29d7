"""The ELBO of a Gaussian q = N(m, diag(v)), its gradient and its Hessian in (m, v), enclosed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction

from vaetheory.certify._cells import integrate
from vaetheory.certify._exact import Vector
from vaetheory.certify._expansions import NoClosedForm
from vaetheory.certify.arithmetic import Arithmetic, NotProved, Number
from vaetheory.certify.models import Model


class Objective(ABC):
    """The ELBO less the model's constant; d/dv is half the second derivative in m (heat flow)."""

    def __init__(self, F: Arithmetic, dim: int) -> None:
        self.F, self.dim = F, dim

    @abstractmethod
    def expectations(
        self, m: Sequence[Number], v: Sequence[Number], orders: Sequence[tuple[int, ...]]
    ) -> list[Number]:
        """E_q of derivatives of the log likelihood's varying part."""

    def _unit(self, axis: int, times: int = 1) -> tuple[int, ...]:
        return tuple(times * (i == axis) for i in range(self.dim))

    def value(self, m: Sequence[Number], v: Sequence[Number]) -> Number:
        """The ELBO less the likelihood's constant; see `offset` for what belongs to it."""
        (out,) = self.expectations(m, v, [(0,) * self.dim])
        return out + self._entropic(m, v)

    def _entropic(self, m: Sequence[Number], v: Sequence[Number]) -> Number:
        """Minus the divergence of q from the prior, in nats."""
        F, out = self.F, self.F.exact(0)
        for a, b in zip(m, v, strict=True):
            out = out + (1 + F.log(b) - F.square(a) - b) / 2
        return out

    def gradient(self, m: Sequence[Number], v: Sequence[Number]) -> list[Number]:
        """First derivatives in m_1 .. m_d, v_1 .. v_d."""
        axes = range(self.dim)
        orders = [self._unit(j) for j in axes] + [self._unit(j, 2) for j in axes]
        found = self.expectations(m, v, orders)
        along = [g - a for g, a in zip(found, m, strict=False)]
        across = [(g - 1 + 1 / b) / 2 for g, b in zip(found[self.dim :], v, strict=True)]
        return along + across

    def hessian(self, m: Sequence[Number], v: Sequence[Number]) -> list[list[Number]]:
        """Second derivatives in the same order."""
        d, F = self.dim, self.F
        steps = [self._unit(j) for j in range(d)] + [self._unit(j, 2) for j in range(d)]
        pairs = [(i, j) for i in range(2 * d) for j in range(i + 1)]
        orders = [tuple(a + b for a, b in zip(steps[i], steps[j], strict=True)) for i, j in pairs]
        distinct = list(dict.fromkeys(orders))
        found = dict(zip(distinct, self.expectations(m, v, distinct), strict=True))
        out = [[F.exact(0)] * (2 * d) for _ in range(2 * d)]
        for (i, j), order in zip(pairs, orders, strict=True):
            value = found[order] / 2 ** ((i >= d) + (j >= d))
            if i == j:
                value = value - (1 if i < d else 1 / F.square(v[i - d]) / 2)
            out[i][j] = out[j][i] = value
        return out


class ClosedForm(Objective):
    """By moments and characteristic functions."""

    def __init__(self, F: Arithmetic, model: Model, x: Vector) -> None:
        super().__init__(F, model.latent_dim)
        self.expansion = model.likelihood.expansion(F, x, model.decoder)

    def expectations(
        self, m: Sequence[Number], v: Sequence[Number], orders: Sequence[tuple[int, ...]]
    ) -> list[Number]:
        return [self.expansion.expectation(m, v, o) for o in orders]


class ByQuadrature(Objective):
    """By Gauss-Legendre cells in u, z = m + sqrt(v) u, and Hermite's polynomials; d = 1."""

    def __init__(self, F: Arithmetic, model: Model, x: Vector, bits: int, order: int = 30) -> None:
        if model.latent_dim != 1:
            raise ValueError(
                "model: expected a closed form of the ELBO for two latent dimensions (polynomial, "
                "circle, cylinder, torus, sine or sinh decoder under a Gaussian, or an affine one "
                f"under a Poisson likelihood), got {type(model.decoder).__name__} under "
                f"{type(model.likelihood).__name__}"
            )
        super().__init__(F, 1)
        self.model, self.x, self.bits, self.order = model, x, bits, order
        self.majorant = majorant(model, x)

    def expectations(
        self, m: Sequence[Number], v: Sequence[Number], orders: Sequence[tuple[int, ...]]
    ) -> list[Number]:
        F, (mean,), (variance,) = self.F, m, v
        scale = F.sqrt(variance)
        wanted = [o[0] for o in orders]

        def integrand(u: Number, z: Number) -> list[Number]:
            value = self._log_likelihood(z)
            hermite = _hermite(F, u, max(wanted))
            return [value * hermite[k] for k in wanted]

        # |He_k(u)| <= (1 + u)^k <= (2u)^k for k <= 4 and u >= 2.
        majorants = [[c * 2**k for c in self.majorant] for k in wanted]
        found = gaussian_expectation(
            F, integrand, mean, scale, majorants, wanted, bits=self.bits, order=self.order
        )
        return [value / F.power(scale, k) for value, k in zip(found, wanted, strict=True)]

    def _log_likelihood(self, z: Number) -> Number:
        return log_likelihood(self.F, self.model, self.x, z)


def log_likelihood(F: Arithmetic, model: Model, x: Vector, z: Number) -> Number:
    """The varying part, analytic where finite, for one latent dimension."""
    return model.likelihood.analytic(F, x, model.decoder([z], F))


def gaussian_expectation(
    F: Arithmetic,
    integrand: Callable[[Number, Number], list[Number]],
    mean: Number,
    scale: Number,
    majorants: Sequence[Sequence[Fraction]],
    powers: Sequence[int],
    *,
    bits: int,
    order: int = 30,
) -> list[Number]:
    """E of the components of `integrand`(u, z), z = mean + scale u, u ~ N(0, 1), by cells.

    The tails rest on |component| <= |u|^p sum_k c_k |z|^k for |u| >= 2, with p of `powers` and c of
    `majorants`: the integral of u^n exp(-u^2 / 2) beyond R is at most
    R^(n+1) exp(-R^2 / 2) / (R^2 - n) for R^2 > n.
    """
    reach = math.ceil(math.sqrt(2 * math.log(2) * (bits + 20))) + 2.0
    density = 1 / F.sqrt(2 * F.pi())

    def weighted(point: list[Number]) -> list[Number]:
        (u,) = point
        weight = F.exp(-F.square(u) / 2) * density
        return [value * weight for value in integrand(u, mean + scale * u)]

    box = ((-reach, reach),)
    found = integrate(F, weighted, box, tolerance=math.ldexp(1.0, -bits), order=order)
    R = F.exact(reach)
    # |z| <= |m| + s u <= (|m| + s) u beyond 1.
    steep = F.magnitude(mean) + F.magnitude(scale)
    out = []
    for value, majorant, p in zip(found, majorants, powers, strict=True):
        tail = F.exact(0)
        for n, c in enumerate(majorant):
            if c:
                if reach * reach <= n + p + 1:
                    raise NotProved("the integrand outgrows the tails' bound")
                size = F.power(R, n + p + 1) / (F.square(R) - (n + p))
                tail = tail + F.exact(c) * F.power(steep, n) * size
        out.append(F.widen(value, tail * 2 * F.exp(-F.square(R) / 2) * density))
    return out


def _hermite(F: Arithmetic, u: Number, most: int) -> list[Number]:
    """Hermite's polynomials He_0 .. He_most, from their coefficients' recursion."""
    out = [F.exact(1), u]
    for k in range(1, most):
        out.append(u * out[-1] - k * out[-2])
    return out


def majorant(model: Model, x: Vector) -> list[Fraction]:
    """Coefficients c_k with |varying log likelihood| <= sum_k c_k |z|^k for real z."""
    growth = model.decoder.growth()
    kind = type(model.likelihood).__name__
    if growth is None:
        raise ValueError(
            "decoder: expected one of known growth, or a closed form of the ELBO, got "
            f"{type(model.decoder).__name__} under {kind}"
        )
    found = model.likelihood.majorant(x, growth)
    if found is not None:
        return found
    raise ValueError(
        f"model: expected a bounded decoder under {kind}, got {type(model.decoder).__name__}"
    )


def objective(F: Arithmetic, model: Model, x: Vector, bits: int) -> Objective:
    """The ELBO in closed form if it has one, else by quadrature with an aim of 2^-bits."""
    try:
        return ClosedForm(F, model, x)
    except NoClosedForm:
        return ByQuadrature(F, model, x, bits)


def offset(F: Arithmetic, model: Model, x: Vector) -> Number:
    """What `Objective.value` leaves out of the ELBO."""
    return model.likelihood.constant(F, x)
