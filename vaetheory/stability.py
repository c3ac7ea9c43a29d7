"""Measurement of the largest stable step of gradient descent, by running it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import (
    Array,
    integer,
    positive,
    require_callable,
    scales,
    squarable,
    vectors,
)
from vaetheory._value_equality import ByValue
from vaetheory.decoders._outputs import double

# The first step sizes, powers of four around the given unit, and the number of steps of each run.
_POWERS = np.arange(-24, 25, 2)
_FIRST_STEPS = 64
# A run whose gradient has grown by the first factor has diverged and is stopped. A run that would
# go farther from the optimum than the second factor times its start is stopped too, because the
# objective may be infinite there.
_GROWN, _GONE = 1e4, 1e6


@dataclass(frozen=True, eq=False)
class StableStep(ByValue):
    """A bracket of the largest step at which gradient descent does not diverge.

    Attributes
    ----------
    lower, upper : array (L,)
        A step at which the gradient did not grow, and one at which it did.
    direction : array (L, P)
        Unit vectors from the optimum to the starting points of the last runs. They are close to the
        directions of divergence, as far as the earlier runs have turned towards them.
    steps : int
        Number of steps of the last runs.
    """

    lower: Array
    upper: Array
    direction: Array
    steps: int

    @property
    def value(self) -> Array:
        """The geometric mean of `lower` and `upper`, `(L,)`."""
        return np.sqrt(self.lower * self.upper)

    @property
    def bracket(self) -> Array:
        """Greatest distance of `value` from a threshold in the bracket, `(L,)`."""
        return self.upper - self.value

    def overlooked(self, eigenvalues: Array, eigenvectors: Array) -> Array:
        """How far beyond the threshold a step may lie and still have looked stable, `(L,)`.

        At a step (1 + delta) 2 / lambda_j all components with an eigenvalue of at least lambda_j
        grow in K steps by at least (1 + 2 delta)^K. The gradient's square then grows too, unless
        its share outside these components is large enough to hide it.

        Parameters
        ----------
        eigenvalues : array (L, P)
            Eigenvalues of the Hessians at the optima, in increasing order; the last is positive.
        eigenvectors : array (L, P, P)
            Their eigenvectors, in columns.
        """
        along = np.einsum("lpk,lp->lk", eigenvectors, self.direction) ** 2
        # The share outside the components from each one upwards; for the gradient it is smaller.
        outside = np.clip(np.cumsum(along, axis=-1) - along, 0.0, 1.0)
        with np.errstate(divide="ignore"):
            waited = -np.log1p(-outside) / (4 * self.steps)
            beyond = eigenvalues[:, -1:] / np.maximum(eigenvalues, 0.0) * (1 + waited) - 1
        return 2 / eigenvalues[:, -1] * beyond.min(axis=-1)


def largest_stable_step(
    gradient: Callable[[Array], Array],
    optimum: ArrayLike,
    *,
    unit: ArrayLike = 1.0,
    reach: ArrayLike = 1.0,
    sections: int = 16,
    rounds: int = 3,
    steps: int = 32,
) -> StableStep:
    """Measure the step at which gradient descent near an optimum begins to diverge.

    Runs theta <- theta - eta gradient(theta) with many eta at once, and narrows the bracket between
    the greatest eta at which the gradient has not grown and the next one. No Hessian is used. Each
    round starts in the direction of the last diverging run, at the distance `reach`, so that a slow
    divergence is not hidden by directions that do not diverge.

    Parameters
    ----------
    gradient : callable
        `(L, G, P) -> (L, G, P)`: gradients of L objectives of P parameters, at G points of each.
        It may be preconditioned; the step is then measured in the preconditioned units.
    optimum : array (L, P)
        Points where the gradients vanish.
    unit : number or array (L,)
        A step of about the right size: the threshold is sought within a factor 2^24 of it.
    reach : number or array (L,)
        Distance from the optimum at which the runs start. It has no effect for a quadratic
        objective; for others it should be small compared with the distance over which the curvature
        changes.
    sections : int
        At least 4; the ratio upper / lower becomes its `sections`-th root in each round.
    rounds : int
        Number of rounds after the first, which tries powers of four.
    steps : int
        Number of steps of each run.

    Returns
    -------
    StableStep
        For a quadratic objective `upper` is above the threshold, below which no gradient grows;
        `lower` may also be above it, by at most `overlooked`, because the runs have finite length.

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not positive, or no tested step separates runs that
        diverge from runs that do not.

    Notes
    -----
    Source: claims 9a and 10e.

    Examples
    --------
    The parabola 2 theta^2 has curvature 4, so its largest stable step is 2 / 4:

    >>> step = largest_stable_step(lambda theta: 4 * theta, [[0.0]])
    >>> bool(step.lower[0] <= 0.5 <= step.upper[0]), bool(step.bracket[0] < 1e-3)
    (True, True)
    """
    best = vectors("optimum", optimum, None)
    if best.ndim != 2:
        raise ValueError(f"optimum: expected shape (L, P), got {best.shape}")
    require_callable("gradient", gradient, "(L, G, P) -> (L, G, P)")
    for name, number in (("sections", sections), ("rounds", rounds), ("steps", steps)):
        integer(name, number, low=4 if name == "sections" else 1)
    squarable("optimum", best)
    for name, given in (("unit", unit), ("reach", reach)):
        if scales(name, given).shape not in ((), (len(best),)):
            raise ValueError(
                f"{name}: expected a number or shape ({len(best)},), got {np.shape(given)}"
            )
    start = np.cos(1.0 + np.arange(best.shape[1])) * np.ones_like(best)
    lengths = positive("reach", reach, max_ndim=1) * np.ones(len(best))
    start = start / np.linalg.norm(start, axis=-1, keepdims=True)
    units = positive("unit", unit, max_ndim=1) * np.ones(len(best))
    # Base-two logarithms of the steps.
    tried = np.log2(units)[:, None] + _POWERS
    for number in range(rounds + 1):
        count, direction = _FIRST_STEPS if number == 0 else steps, start
        grew, ends = _run(gradient, best, direction * lengths[:, None], np.exp2(tried), count)
        # The first step at which the gradient grew.
        first = grew.argmax(axis=-1)
        if not grew.any(axis=-1).all() or (first == 0).any():
            lane = int(np.argmax(~grew.any(axis=-1) | (first == 0)))
            raise ValueError(
                f"unit: expected a step within a factor 2^24 of the largest stable one of "
                f"objective {lane}, got {units[lane]:g}"
            )
        lanes = np.arange(len(best))
        lower, upper = tried[lanes, first - 1], tried[lanes, first]
        start = ends[lanes, first]
        # The new steps extend beyond the bracket: a slow divergence may show from the new start,
        # and a tested step at the threshold may be judged either way.
        shares = np.arange(-(sections // 4), sections + sections // 4 + 1) / sections
        tried = lower[:, None] + (upper - lower)[:, None] * shares
    return StableStep(np.exp2(lower), np.exp2(upper), direction, steps)


def _run(
    gradient: Callable[[Array], Array], optimum: Array, start: Array, eta: Array, count: int
) -> tuple[Array, Array]:
    """Whether the gradient of each run grew, `(L, G)`, and the unit vectors of the final points."""
    theta = np.broadcast_to((optimum + start)[:, None], (*eta.shape, optimum.shape[1])).copy()

    def gradient_at_theta() -> Array:
        slope = double(gradient(theta), "gradient").astype(np.float64)
        if slope.shape != theta.shape:
            raise ValueError(f"gradient: expected shape {theta.shape}, got {slope.shape}")
        return slope

    slope = gradient_at_theta()
    before = size = np.linalg.norm(slope, axis=-1)
    radius = _GONE * np.linalg.norm(start, axis=-1)[:, None]
    left = np.zeros(eta.shape, bool)
    for _ in range(count):
        # Runs that have diverged stay where they are.
        onward = theta - eta[..., None] * slope
        left |= np.linalg.norm(onward - optimum[:, None], axis=-1) > radius
        theta = np.where((left | (size > _GROWN * before))[..., None], theta, onward)
        slope = gradient_at_theta()
        size = np.linalg.norm(slope, axis=-1)
        if not np.isfinite(size).all():
            raise ValueError("gradient: expected finite numbers near the optimum, got inf or NaN")
    away = theta - optimum[:, None]
    # A run may land on the optimum itself.
    length = np.maximum(np.linalg.norm(away, axis=-1, keepdims=True), np.finfo(float).tiny)
    return (size > before) | left, away / length
