"""Checks of 5g: a constant variance makes Hessians more alike, in a fitted decoder too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.optimize import minimize_scalar

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.constant_variance import constant_variance_penalty, mode_hessians
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode
from vaetheory.rounding import gamma

# The gradient -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moved:
    """Hessians with weights, and a direction, by its entries, in which the first is moved."""

    hessians: tuple[Covariance, ...]
    weights: Vector
    entries: Vector


@st.composite
def moved(draw: DrawFn) -> Moved:
    """Two to four Hessians of up to three dimensions, and a direction."""
    dim, count = draw(st.integers(1, 3)), draw(st.integers(2, 4))
    return Moved(
        draw(st.tuples(*[strategies.covariances(dim, (1.0, 2.0, 0.5, 8.0))] * count)),
        draw(st.tuples(*[st.sampled_from((1.0, 2.0, 5.0))] * count)),
        draw(strategies.vectors(dim * (dim + 1) // 2, -2, 2, 1)),
    )


def _gradient(A: Array, weights: Array) -> Array:
    """w_1 / 2 (E[A]^-1 - A_1^-1)."""
    mean = np.tensordot(weights, A, axes=1)
    return 0.5 * weights[0] * (np.linalg.inv(mean) - np.linalg.inv(A[0]))


def other_sign(A: Array, weights: Array) -> Array:
    """The gradient with the other sign."""
    return -_gradient(A, weights)


def no_half(A: Array, weights: Array) -> Array:
    """The gradient without its factor 1/2."""
    return 2 * _gradient(A, weights)


def difference_of_matrices(A: Array, weights: Array) -> Array:
    """The difference of the matrices in place of the difference of their inverses."""
    return 0.5 * weights[0] * (A[0] - np.tensordot(weights, A, axes=1))


def penalty_gradient(
    scene: Moved, *, gradient: Callable[[Array, Array], Array] = _gradient
) -> Comparison:
    """Compare extrapolated central differences of the penalty with the formula."""
    A = np.array([c.matrix for c in scene.hessians])
    dim = A.shape[-1]
    weights = np.array(scene.weights) / sum(scene.weights)
    direction = np.zeros((dim, dim))
    upper = np.triu_indices(dim)
    direction[upper], direction[upper[::-1]] = scene.entries, scene.entries
    step = np.zeros_like(A)
    step[0] = direction
    scales = np.linalg.eigvalsh(A[0])[0] / 16 / 2.0 ** np.arange(5)
    steps = scales[:, None, None, None] * step
    up, down = (constant_variance_penalty(A + s * steps, weights=weights) for s in (1, -1))
    # Hessians that are moved by a step are rounded to their last digit.
    blurred = gamma(4) * float(np.linalg.cond(A).max()) * dim
    errors = (up.error + down.error + blurred) / (2 * scales)
    slope, left, noise = extrapolate((up.value - down.value) / (2 * scales), errors)
    predicted = float(np.sum(gradient(A, weights) * direction))
    size = float(np.linalg.norm(direction) * np.linalg.norm(np.linalg.inv(A), axis=(-2, -1)).max())
    return Comparison.identity(
        slope,
        predicted,
        scale=1 + size,
        expansion=left,
        numerics=noise,
        rounding=gamma(100 * dim) * float(np.linalg.cond(A).max()) * (1 + size),
    )


PENALTY_GRADIENT = Proposition(
    label="5g",
    title="The penalty draws each Hessian towards their mean",
    statement=r"\frac{\partial P}{\partial A_n} = \frac{w_n}2\big(\bar A^{-1} - A_n^{-1}\big)",
    hypotheses=(("positive definite", r"A_n \succ 0,\ \textstyle\sum_n w_n = 1"),),
    kind="identity",
    instances=moved(),
    check=penalty_gradient,
    controls=wrong(
        penalty_gradient,
        {
            "the other sign": {"gradient": other_sign},
            "no factor 1/2": {"gradient": no_half},
            "matrices for their inverses": {"gradient": difference_of_matrices},
        },
    ),
    uses=("5a",),
    resolution=1e-4,
)


# A fitted decoder -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """Decoders f(z) = W z + theta V z^2, |theta| <= 1, a noise, and the data to fit."""

    linear: Vector
    bend: Vector
    scale: float
    X: tuple[Vector, ...]

    def decoder(self, theta: float) -> Decoder:
        """The decoder of a parameter."""
        bend = [theta * v for v in self.bend]
        return decoders.Polynomial([[1], [2]], [self.linear, bend])

    @once
    def objectives(self, theta: float) -> tuple[float, float, float, float]:
        """F with free variances, C with the best constant one, the penalty P, and rounding."""
        model = LatentModel(self.decoder(theta), likelihoods.Gaussian(scale=self.scale), 1)
        X = np.array(self.X)
        modes = posterior_mode(model, X)
        A = mode_hessians(model, X, modes)
        penalty = constant_variance_penalty(A)
        shared = np.broadcast_to(penalty.cov, A.shape)
        free = second_order_elbo(model, X, Posterior(modes, cov=np.linalg.inv(A)))
        constant = second_order_elbo(model, X, Posterior(modes, cov=shared))
        size = 2 + float(np.abs(free).max() + np.abs(constant).max())
        return (
            float(free.mean()),
            float(constant.mean()),
            float(penalty.value),
            gamma(200) * size + float(penalty.error),
        )


@st.composite
def families(draw: DrawFn) -> Family:
    """Parabolas of two outputs, and three or four data near the curve of some parameter."""
    linear = (draw(st.sampled_from((1.0, 2.0))), draw(strategies.fractions(-1, 1, 2)))
    bend = (draw(strategies.fractions(-1, 1, 2)), draw(strategies.nonzero_fractions(2, 2)))
    latents = draw(st.lists(strategies.fractions(-4, 4, 2), min_size=3, max_size=4, unique=True))
    theta = draw(strategies.fractions(-3, 3, 4))
    noise = draw(st.tuples(*[strategies.vectors(2, -1, 1, 8)] * len(latents)))
    curve = Family(linear, bend, 0.5, ()).decoder(theta)(np.array(latents)[:, None])
    X = tuple(tuple(float(v) for v in row) for row in curve + np.array(noise))
    assume(len(set(X)) == len(X))
    return Family(linear, bend, draw(st.sampled_from((0.5, 0.25))), X)


def fitted(scene: Family, sign: float = 1.0) -> tuple[Array, Array]:
    """All parameters tried to maximise F and then F - P, and (F, C, P, rounding) of each."""
    tried: dict[float, tuple[float, float, float, float]] = {}

    def objective(theta: float, constant: bool) -> float:
        theta = float(theta)
        if theta not in tried:
            tried[theta] = scene.objectives(theta)
        free, _, lost, _ = tried[theta]
        return -(free - sign * lost) if constant else -free

    grid = np.linspace(-1, 1, 9)
    for constant in (False, True):
        start = int(np.argmin([objective(theta, constant) for theta in grid]))
        bracket = grid[max(start - 1, 0)], grid[min(start + 1, 8)]
        minimize_scalar(
            objective,
            bounds=bracket,
            args=(constant,),
            method="bounded",
            options={"xatol": 1e-5},
        )
    return np.array(list(tried)), np.array(list(tried.values()))


def constant_variances_even_out(
    scene: Family, *, swapped: bool = False, sign: float = 1.0
) -> Comparison:
    """Compare the penalties at the decoders fitted with constant and with free variances."""
    _, table = fitted(scene, sign)
    free, constant, lost, rounding = table.T
    at_free, at_constant = int(free.argmax()), int((free - sign * lost).argmax())
    if swapped:
        at_free, at_constant = at_constant, at_free
    size = 2 + float(np.abs(table[:, :2]).max())
    worst = 4 * float(rounding.max())
    gain = lost[at_free] - lost[at_constant]
    gained = free[at_free] - free[at_constant] + constant[at_constant] - constant[at_free]
    return Comparison.all_of(
        Comparison.at_most(lost[at_constant], lost[at_free], scale=size, rounding=worst),
        # Each maximiser gains in its own objective: the order is strict where they differ.
        Comparison.identity(gain, gained, scale=size, rounding=worst),
        Comparison.at_most(constant[at_free], constant[at_constant], scale=size, rounding=worst),
    )


FITTED_DECODER = Proposition(
    label="5g-fitted",
    title="The Hessians of a decoder fitted with constant variances vary less",
    statement=(
        r"\theta_F \in \arg\max F,\ \theta_C \in \arg\max (F - P) \;\Rightarrow\;"
        r"P(\theta_C) \le P(\theta_F)"
    ),
    hypotheses=(
        ("free variances", r"F = \max_{S_n}\mathbb E\,\mathrm{ELBO}_2"),
        ("constant variance", r"F - P = \max_S\mathbb E\,\mathrm{ELBO}_2"),
        ("global maxima", r"\text{over one and the same set of parameters}"),
    ),
    kind="inequality",
    instances=families(),
    check=constant_variances_even_out,
    controls=wrong(
        constant_variances_even_out,
        {
            "the maximisers swapped": {"swapped": True},
            "the penalty gained instead of lost": {"sign": -1.0},
        },
    ),
    uses=("5a", "5g"),
    examples=8,
)
