"""Check of 10e-step: the largest stable step of gradient descent as the fit improves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import elementwise_grad
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
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

    @cached_property
    def measured(self) -> dict[bool, StableStep]:
        """The largest stable step for each share, by running descent: bounded or profile."""
        return measured_steps((self,))[0]

    def errors(self, step: StableStep, hessian: Array) -> dict[str, Array]:
        """Causes why a measured step may differ from 2 / lambda_max, each with a bound `(L,)`."""
        late = step.overlooked(*np.linalg.eigh(hessian))
        # The term is even about the optimum: a displacement counts squared.
        bent = 4 * _REACH**2 * self.curvature * step.value
        # The optimum is known up to rounding of the data.
        size = np.abs(self.data).max() / (self.deviation * self.shares)
        numerics = (gamma(1000) * size / _REACH + bent / step.value) * step.value
        return {"bracket": step.bracket, "finite_runs": late, "neighbourhood": numerics}


class Lanes:
    """The columns of several ladders, `(C,)`, whose objectives are computed together."""

    def __init__(self, ladders: Sequence[FitLadder]) -> None:
        def each(of: Callable[[FitLadder], Any], axis: int = 0) -> Array:
            return np.concatenate([of(f) for f in ladders], axis=axis)

        self.ladders = ladders
        lanes = [len(f.shares) for f in ladders]
        self.ends = np.cumsum(lanes)[:-1]
        self.features = np.repeat([f.features for f in ladders], lanes, axis=0)
        self.deviation = np.repeat([f.deviation for f in ladders], lanes)
        self.information = np.repeat([f.information for f in ladders], lanes)
        self.data, self.optimum = each(lambda f: f.data, 1), each(lambda f: f.optimum)
        self.shares = each(lambda f: f.shares)

    def objective(self, theta: Any, *, bounded: bool) -> Any:
        """Minus the term of each column at parameters `(C, G, 2)`, up to a constant, `(C, G)`."""
        fits = anp.einsum("cbf,cgf->bcg", self.features, theta) * self.deviation[:, None]
        shape = np.shape(fits)
        x = np.broadcast_to(self.data[..., None], shape).reshape(shape[0], -1)
        fits = anp.reshape(fits, x.shape)
        levels = np.repeat(self.information, shape[-1])
        term = baggins(x, fits, information=levels) if bounded else profile_likelihood(x, fits)
        return anp.reshape(term.log_scale, shape[1:])

    def gradient(self, theta: Array, *, bounded: bool) -> Array:
        """Gradients of the objectives, `(C, G, 2) -> (C, G, 2)`, by autograd."""
        return np.asarray(elementwise_grad(lambda t: self.objective(t, bounded=bounded))(theta))

    def split(self, columns: Array) -> list[Array]:
        """The columns of each ladder, which are the first axis."""
        return np.split(columns, self.ends)


@once
def measured_steps(ladders: tuple[FitLadder, ...]) -> list[dict[bool, StableStep]]:
    """The largest stable step for each share of each ladder, by running descent."""
    lanes = Lanes(ladders)
    found: list[dict[bool, StableStep]] = [{} for _ in ladders]
    for bounded in (True, False):
        unit = lanes.shares**2 + (np.exp(-2 * lanes.information) if bounded else 0.0)
        step = largest_stable_step(
            partial(lanes.gradient, bounded=bounded),
            lanes.optimum,
            unit=unit,
            reach=_REACH * lanes.shares,
        )
        parts = (lanes.split(v) for v in (step.lower, step.upper, step.direction))
        for one, lower, upper, direction in zip(found, *parts, strict=True):
            one[bounded] = StableStep(lower, upper, direction, step.steps)
    return found


@once
def hessians(ladders: tuple[FitLadder, ...]) -> list[dict[bool, Array]]:
    """Hessians of the objectives in the parameters at the optimum, `(L, 2, 2)`, by autograd."""
    lanes = Lanes(ladders)
    found: list[dict[bool, Array]] = [{} for _ in ladders]
    for bounded in (True, False):

        def column(theta: Any, bounded: bool = bounded) -> Any:
            return lanes.objective(theta[:, None], bounded=bounded)

        ones = np.ones((len(lanes.shares), 1))
        matrices = np.asarray(weighted_hessian(column, lanes.optimum, ones))
        for one, part in zip(found, lanes.split(matrices), strict=True):
            one[bounded] = part
    return found


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


@together(alike=lambda scene: len(scene.codes))
def stable_steps(
    scenes: Sequence[FitLadder],
    *,
    power: float = 2.0,
    half: float = 1.0,
    profile_exponent: float = 2.0,
    absolute: bool = False,
) -> list[Comparison]:
    """Check that the stable step of the term levels off, that of its limit vanishes."""
    ladders = tuple(scenes)
    return [
        Comparison.all_of(
            *_levels_off(scene, steps[True], bends[True], power, half, absolute),
            *_vanishes(scene, steps[False], bends[False], profile_exponent, half, absolute),
            uphill,
        )
        for scene, steps, bends, uphill in zip(
            ladders, measured_steps(ladders), hessians(ladders), _never_uphill(ladders), strict=True
        )
    ]


def _levels_off(
    scene: FitLadder, step: StableStep, hessian: Array, power: float, half: float, absolute: bool
) -> list[Comparison]:
    """The step of the bounded term, which is never below what its curvature's bound gives."""
    floor = np.exp(-power * scene.information)
    square, errors = scene.shares**2, scene.errors(step, hessian)
    least = 2 * floor / scene.curvature
    return [
        *_follows(
            scene, step, hessian, square + (1 + square) * floor, (0.0, floor), half, absolute
        ),
        Comparison.at_most(
            least,
            step.upper,
            scale=least,
            rounding=errors["neighbourhood"] + errors["finite_runs"],
        ),
    ]


def _vanishes(
    scene: FitLadder,
    step: StableStep,
    hessian: Array,
    exponent: float,
    half: float,
    absolute: bool,
) -> list[Comparison]:
    """The step of the profile likelihood."""
    return _follows(scene, step, hessian, scene.shares**2, (exponent, 1.0), half, absolute)


def _follows(
    scene: FitLadder,
    step: StableStep,
    hessian: Array,
    variance: Array,
    law: tuple[float, float],
    half: float,
    absolute: bool,
) -> list[Comparison]:
    """Compare a step with 2 / lambda_max, with the variance, and with a power of the share.

    `variance` is sigma^2 over the line's variance; the residual adds to the spread of the data.
    """
    units = scene.deviation**2 if absolute else 1.0
    errors = scene.errors(step, hessian)
    predicted = 2 * half * variance / scene.curvature * units
    exponent, coefficient = law
    return [
        Comparison.identity(
            step.value, 2 / np.linalg.eigvalsh(hessian)[:, -1], scale=step.value, **errors
        ),
        Comparison.identity(step.value, predicted, scale=step.value, **errors),
        power_law(
            step.value,
            sum(errors.values(), np.zeros_like(step.value)),
            scene.shares,
            exponent=exponent,
            coefficient=2 * half * coefficient / scene.curvature * units,
        ),
    ]


@once
def _never_uphill(ladders: tuple[FitLadder, ...], steps: int = 40) -> list[Comparison]:
    """Check far from the optimum that a step of 2 / (bound of curvature) never lowers the term."""
    lanes = Lanes(ladders)
    curvature = np.repeat([f.curvature for f in ladders], [len(f.shares) for f in ladders])
    spread = 1 + lanes.shares**2
    eta = (2 * spread * np.exp(-2 * lanes.information) / curvature)[:, None, None]
    theta = lanes.optimum[:, None] + np.array([3.0, -2.0])
    losses = [lanes.objective(theta, bounded=True)]
    for _ in range(steps):
        theta = theta - eta * lanes.gradient(theta, bounded=True)
        losses.append(lanes.objective(theta, bounded=True))
    found = []
    for column in lanes.split(np.stack(losses, axis=1)):
        size = 10 + float(np.abs(column).max())
        rise = np.diff(column, axis=1)
        found.append(Comparison.at_most(rise, 0.0, scale=size, rounding=gamma(1000) * size))
    return found


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
