"""Check of 10e-step: the largest stable step of gradient descent as the fit improves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.rates import power_law
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.scenes import MOMENTS, TERM
from vaetheory.derivatives import weighted_hessian
from vaetheory.rounding import gamma
from vaetheory.stability import StableStep, largest_stable_step

# Distance from the optimum at which runs start, as a share of the residual.
_REACH = 1e-4


@dataclass(frozen=True)
class FitLadder:
    """Data near a line, with a residual that falls, and the scale of the data.

    x = scale (theta_0 + theta_1 z + off), with `off` orthogonal to (1, z). The deviation of `off`,
    as a share of the line's, halves from `coarsest`. Parameters are in units of the data's spread.
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
        """Standard deviation of the points on the line."""
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
        """Minus the term of each share at parameters `(L, G, 2)`, up to a constant, `(L, G)`."""
        fits = self.deviation * anp.einsum("bf,lgf->blg", self.features, theta)
        shape = np.shape(fits)
        x = np.broadcast_to(self.data[..., None], shape).reshape(len(self.codes), -1)
        fits = anp.reshape(fits, x.shape)
        term = (
            baggins(x, fits, information=self.information)
            if bounded
            else profile_likelihood(x, fits)
        )
        return anp.reshape(term.log_scale, shape[1:])

    @cached_property
    def measured(self) -> dict[bool, StableStep]:
        """The largest stable step for each share, by running descent: bounded or profile."""
        return {bounded: self._measure(bounded) for bounded in (True, False)}

    def errors(self, *, bounded: bool) -> dict[str, Array]:
        """Causes why the measured step may differ from 2 / lambda_max, each with a bound `(L,)`."""
        step = self.measured[bounded]
        late = step.overlooked(*np.linalg.eigh(self.hessian(bounded=bounded)))
        # The term is even about the optimum: a displacement counts squared.
        bent = 4 * _REACH**2 * self.curvature * step.value
        # The optimum is known up to rounding of the data.
        size = np.abs(self.data).max() / (self.deviation * self.shares)
        numerics = (gamma(1000) * size / _REACH + bent / step.value) * step.value
        return {"bracket": step.bracket, "finite_runs": late, "neighbourhood": numerics}

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
    """Check that the stable step of the term levels off, that of its limit vanishes."""
    floor, parts = np.exp(-power * scene.information), []
    units = scene.deviation**2 if absolute else 1.0
    for bounded in (True, False):
        step = scene.measured[bounded]
        # sigma^2 over the line's variance; the residual adds to the spread of the data too.
        square = scene.shares**2
        variance = square + (1 + square) * (floor if bounded else 0.0)
        values = np.linalg.eigvalsh(scene.hessian(bounded=bounded))
        errors = scene.errors(bounded=bounded)
        predicted = 2 * half * variance / scene.curvature * units
        parts += [
            Comparison.identity(step.value, 2 / values[:, -1], scale=step.value, **errors),
            Comparison.identity(step.value, predicted, scale=step.value, **errors),
            power_law(
                step.value,
                sum(errors.values(), np.zeros_like(step.value)),
                scene.shares,
                exponent=0.0 if bounded else profile_exponent,
                coefficient=2 * half * (floor if bounded else 1.0) / scene.curvature * units,
            ),
        ]
        if bounded:
            # The step is never below what the bound of the curvature gives.
            least = 2 * floor / scene.curvature
            parts.append(
                Comparison.at_most(
                    least,
                    step.upper,
                    scale=least,
                    rounding=errors["neighbourhood"] + errors["finite_runs"],
                )
            )
    parts.append(_never_uphill(scene))
    return Comparison.all_of(*parts)


def _never_uphill(scene: FitLadder, steps: int = 40) -> Comparison:
    """Check far from the optimum that a step of 2 / (bound of curvature) never lowers the term."""
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


STABLE_STEP = Proposition(
    label="10e-step",
    title="As the fit improves the stable step levels off, in any units",
    statement=(
        r"\eta_{\max} = \frac{2\,\sigma^2/v}{\lambda_{\max}},\ "
        r"\lambda_{\max} = \lambda_{\max}(\mathbb E_B[\varphi\varphi^\top]);\quad "
        r"\to \frac{2e^{-2h}}{\lambda_{\max}} \text{ as } r \to 0;\quad "
        r"\text{profile likelihood: } \frac{2\,r/v}{\lambda_{\max}} \to 0;\quad "
        r"\eta \le 2e^{-2h}/\lambda_{\max}:\ T \text{ never falls}"
    ),
    hypotheses=(
        MOMENTS,
        TERM,
        (
            "linear in its parameters",
            r"\hat x = \sqrt{v}\,\theta\,\varphi(z)"
            r"\text{: parameters in units of the spread}",
        ),
        ("near the optimum", r"\text{runs that start } 10^{-4}\sqrt r \text{ from it}"),
    ),
    kind="rate",
    instances=fit_ladders(),
    check=stable_steps,
    controls=wrong(
        stable_steps,
        {
            "exp(-h) for exp(-2 h)": {"power": 1.0},
            "1 / lambda_max": {"half": 0.5},
            "the profile's as the deviation of the residual": {"profile_exponent": 1.0},
            "parameters in the units of the data": {"absolute": True},
        },
    ),
    uses=("9a", "10c", "10e"),
    figure="baggins",
    resolution=0.05,
    examples=5,
)
