"""Checks of 10e: the curvature of BAGGINS is bounded, and so is from below the stable step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad, grad, hessian
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking import strategies
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.bounded import FitScene
from vaetheory.derivatives import weighted_hessian
from vaetheory.rounding import gamma
from vaetheory.stability import StableStep, largest_stable_step

# The Hessian in the reconstructions --------------------------------------------------------------


def bounded_hessian(
    scene: FitScene, *, power: float = 2.0, share: float = 1.0, concave: bool = False
) -> Comparison:
    """The Hessian by autograd against its closed form, its norm, and the bound of both."""
    x, xhat = scene.data, scene.fits
    count, dim = x.shape
    h = scene.information[0] if scene.pooled else scene.presumed

    def value(fits: Any) -> Any:
        return baggins(x, fits, information=h, pooled=scene.pooled).value

    residual, spread = scene.moments()
    noise = spread * np.exp(-2 * scene.presumed)
    claimed = spread * np.exp(-power * scene.presumed) / share
    variance, away = residual + noise, x - xhat
    found = hessian(value)(xhat)
    slope = grad(value)(xhat)
    # Entries that share a variance: a column, or all of them.
    groups = (
        [np.ones_like(x, bool)]
        if scene.pooled
        else [np.broadcast_to(np.arange(dim) == i, x.shape) for i in range(dim)]
    )
    expected, parts = np.zeros((count * dim, count * dim)), []
    flat = found.reshape(count * dim, count * dim)
    for number, group in enumerate(groups):
        rows = np.flatnonzero(group)
        error, shared = away.ravel()[rows], len(rows) // count
        v, nu = variance[number], noise[number]
        outer = 2 * np.outer(error, error) / (count * shared * v)
        block = -(np.eye(len(rows)) - outer) / (count * v)
        expected[np.ix_(rows, rows)] = block
        values = np.linalg.eigvalsh(flat[np.ix_(rows, rows)])
        size = 1 / (count * v)
        rounding = gamma(1000) * size
        along = (residual[number] - nu) / (residual[number] + nu) * size
        norm, steepest = np.abs(values).max(), np.linalg.norm(slope.ravel()[rows])
        most = 1 / (count * claimed[number])
        parts += [
            Comparison.identity(norm, size, scale=size, rounding=rounding),
            Comparison.at_most(norm, most, scale=size, rounding=rounding),
            # The term is convex along the residual where the fit is worse than the noise.
            Comparison.at_most(
                values[-1], 0.0 if concave else max(along, -size), scale=size, rounding=rounding
            ),
            Comparison.at_most(
                steepest,
                0.5 * np.sqrt(shared * most),
                scale=steepest + np.sqrt(size),
                rounding=gamma(1000) * (steepest + np.sqrt(size)),
            ),
        ]
    sizes = np.sqrt(np.tile(1 / (count * variance), count))
    each = np.outer(sizes, sizes)
    return Comparison.all_of(
        Comparison.identity(flat, expected, scale=each, rounding=gamma(1000) * each), *parts
    )


# The stable step --------------------------------------------------------------------------------


@dataclass(frozen=True)
class FitLadder:
    """Data on a line but for a residual that falls, and the scale of the data.

    x = scale (theta_0 + theta_1 z + off), with `off` orthogonal to (1, z); its deviation, as a
    share of the line's, is `coarsest`, halving. The parameters are in units of the data's spread.
    """

    codes: Vector
    theta: Vector
    pattern: Vector
    information: float
    coarsest: float
    scale: float

    @cached_property
    def features(self) -> Array:
        """(1, z), `(B, 2)`."""
        return np.stack([np.ones(len(self.codes)), np.array(self.codes)], axis=-1)

    @cached_property
    def off(self) -> Array:
        """The residual's pattern `(B,)`, of mean square one."""
        basis, _ = np.linalg.qr(self.features)
        pattern = np.array(self.pattern)
        off = pattern - basis @ (basis.T @ pattern)
        return np.asarray(off / np.sqrt((off**2).mean()))

    @cached_property
    def deviation(self) -> float:
        """Of the line's data."""
        return self.scale * float((self.features @ np.array(self.theta)).std())

    @cached_property
    def shares(self) -> Array:
        """Deviation of the residual over that of the line, `(L,)`."""
        return self.coarsest * np.exp(-self.information) / 2.0 ** np.arange(4)

    @cached_property
    def data(self) -> Array:
        """The data, a column for each share, `(B, L)`."""
        line = self.scale * (self.features @ np.array(self.theta))
        return np.asarray(line[:, None] + self.deviation * self.off[:, None] * self.shares)

    @cached_property
    def optimum(self) -> Array:
        """The best parameters for each share, `(L, 2)`."""
        theta = np.array(self.theta) * self.scale / self.deviation
        return theta * np.ones((len(self.shares), 1))

    @cached_property
    def curvature(self) -> float:
        """The greatest eigenvalue of E[(1, z) (1, z)^T]."""
        return float(np.linalg.eigvalsh(self.features.T @ self.features / len(self.codes))[-1])

    def objective(self, theta: Any, *, bounded: bool) -> Any:
        """The negative term of each lane at parameters `(L, G, 2)`, less a constant, `(L, G)`."""
        fits = self.deviation * anp.einsum("bf,lgf->blg", self.features, theta)
        shape = np.shape(fits)
        x = np.broadcast_to(self.data[..., None], shape).reshape(len(self.codes), -1)
        fits = anp.reshape(fits, x.shape)
        found = (
            baggins(x, fits, information=self.information)
            if bounded
            else profile_likelihood(x, fits)
        )
        return anp.reshape(found.log_scale, shape[1:])

    @cached_property
    def measured(self) -> dict[bool, StableStep]:
        """The largest stable step for each share, by running descent: bounded or profile."""
        return {bounded: self._measure(bounded) for bounded in (True, False)}

    def errors(self, *, bounded: bool) -> dict[str, Array]:
        """What the measured step can be off 2 / lambda_max by, `(L,)` each, by its cause."""
        found = self.measured[bounded]
        late = found.overlooked(*np.linalg.eigh(self.hessian(bounded=bounded)))
        # The term is even in what is off the optimum: a displacement counts squared.
        bent = 4 * _REACH**2 * self.curvature * found.value
        # The optimum is known up to rounding of the data.
        size = np.abs(self.data).max() / (self.deviation * self.shares)
        numerics = (gamma(1000) * size / _REACH + bent / found.value) * found.value
        return {"bracket": found.bracket, "finite_runs": late, "neighbourhood": numerics}

    def _measure(self, bounded: bool) -> StableStep:

        def gradient(theta: Array) -> Array:
            return np.asarray(elementwise_grad(lambda t: self.objective(t, bounded=bounded))(theta))

        return largest_stable_step(
            gradient, self.optimum, unit=self._unit(bounded), reach=_REACH * self.shares
        )

    def _unit(self, bounded: bool) -> Array:
        return self.shares**2 + (np.exp(-2 * self.information) if bounded else 0.0)

    def hessian(self, *, bounded: bool) -> Array:
        """Hessian of the objective in the parameters at the optimum, `(L, 2, 2)`, by autograd."""

        def column(theta: Any) -> Any:
            return self.objective(theta[:, None], bounded=bounded)

        return np.asarray(weighted_hessian(column, self.optimum, np.ones((len(self.shares), 1))))


# Distance from the optimum at which runs start, as a share of the residual.
_REACH = 1e-4


@st.composite
def fit_ladders(draw: DrawFn) -> FitLadder:
    """Four data on a line, in units from 1e-6 to 1e6."""
    codes = draw(st.lists(strategies.fractions(-4, 4, 2), min_size=4, max_size=4, unique=True))
    theta = (draw(strategies.fractions(-2, 2, 2)), draw(strategies.nonzero_fractions(4, 2)))
    scene = FitLadder(
        tuple(codes),
        theta,
        draw(strategies.vectors(4)),
        draw(st.sampled_from((1.0, 2.0, 0.5))),
        draw(st.sampled_from((0.5, 1 / 16, 1 / 256))),
        draw(st.sampled_from((1.0, 1e-6, 1e6))),
    )
    basis, _ = np.linalg.qr(scene.features)
    pattern = np.array(scene.pattern)
    assume(np.linalg.norm(pattern - basis @ (basis.T @ pattern)) > 0.1)
    return scene


def stable_steps(
    scene: FitLadder,
    *,
    power: float = 2.0,
    half: float = 1.0,
    profile_exponent: float = 2.0,
    absolute: bool = False,
) -> Comparison:
    """As the fit improves the bounded term's stable step levels off; the profile's vanishes."""
    floor, parts = np.exp(-power * scene.information), []
    units = scene.deviation**2 if absolute else 1.0
    for bounded in (True, False):
        found = scene.measured[bounded]
        # sigma^2 over the line's variance; the residual adds to the spread of the data too.
        square = scene.shares**2
        variance = square + (1 + square) * (floor if bounded else 0.0)
        values = np.linalg.eigvalsh(scene.hessian(bounded=bounded))
        errors = scene.errors(bounded=bounded)
        predicted = 2 * half * variance / scene.curvature * units
        parts += [
            Comparison.identity(found.value, 2 / values[:, -1], scale=found.value, **errors),
            Comparison.identity(found.value, predicted, scale=found.value, **errors),
            power_law(
                found.value,
                sum(errors.values(), np.zeros_like(found.value)),
                scene.shares,
                exponent=0.0 if bounded else profile_exponent,
                coefficient=2 * half * (floor if bounded else 1.0) / scene.curvature * units,
            ),
        ]
        if bounded:
            # Never below what the bound of the curvature promises.
            least = 2 * floor / scene.curvature
            parts.append(
                Comparison.at_most(
                    least,
                    found.upper,
                    scale=least,
                    rounding=errors["neighbourhood"] + errors["finite_runs"],
                )
            )
    parts.append(_never_uphill(scene))
    return Comparison.all_of(*parts)


def _never_uphill(scene: FitLadder, steps: int = 40) -> Comparison:
    """Far from the optimum too no step of 2 / (bound of the curvature) makes the term smaller."""
    spread = 1 + scene.shares**2
    eta = (2 * spread * np.exp(-2 * scene.information) / scene.curvature)[:, None, None]
    theta = scene.optimum[:, None] + np.array([3.0, -2.0])

    def loss(t: Any) -> Any:
        return scene.objective(t, bounded=True)

    losses = [loss(theta)]
    for _ in range(steps):
        theta = theta - eta * elementwise_grad(loss)(theta)
        losses.append(loss(theta))
    rise = np.diff(np.array(losses), axis=0)
    size = 10 + float(np.abs(losses).max())
    return Comparison.at_most(rise, 0.0, scale=size, rounding=gamma(1000) * size)
