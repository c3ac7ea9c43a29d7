"""Gaussian posteriors at which the exact ELBO is stationary, and the iteration that finds them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.gaussian import LATTICE_DIM, Rule, hermite_rule, lattice_rule
from vaetheory._quadrature.result import NOT_REACHED, REACHED
from vaetheory._small_matrices import condition, least_eigenvalue
from vaetheory._trust import unchecked
from vaetheory._validation import Array, fraction, option
from vaetheory.bounds._moments import gauss_newton, moments
from vaetheory.bounds.gaussian_elbo import elbo, flatten
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, ReducedModel, require_model
from vaetheory.modes import highest_modes
from vaetheory.rounding import EPS, ULP

_ITERATIONS = 200
_MEMORY = 6
# A row ends after this many steps in which its deficit does not halve; a row that ended so with one
# rule has fewer steps with the next, to show that the finer rule moves it.
_PATIENCE, _AGAIN = 25, 5
# A fall of the ELBO by this share of its size may be an error of a coarse rule.
_ROUGH = 1e-6
# Gauss-Hermite orders by dimension; most nodes of a rule in more dimensions; number of lattices.
_ORDERS = {1: (12,), 2: (8, 14), 3: (5, 8)}
_MOST_HERMITE = 2**16
_LATTICES = {1: 5, 2: 4, 3: 2}


#: A step in the mean and one in the precision gain more together than the sum of their gains: up to
#: 1.9 times as much was measured, for counts with steep rates.
_COUPLED = 4.0


@dataclass(frozen=True, eq=False)
class StationaryPosterior(Posterior):
    """A Gaussian posterior at which the ELBO is stationary, with its ELBO.

    Attributes
    ----------
    loc, cov : arrays (..., d), (..., d, d)
        As in `Posterior`, so it can be used wherever one is expected.
    value, elbo : array (...)
        The ELBO there, in nats, by two names.
    error : array (...)
        Estimate of the error of `value` plus four times `deficit`, which limits the distance to the
        ELBO of a stationary point.
    deficit : array (...)
        Estimate, in nats, of the gain of the ELBO (of its mean over the data, if the covariance is
        shared) between this point and the stationary point, including the uncertainty of the
        quadrature. It is of second order: far from a stationary point it is a guess.
    status : array of str (...)
        `"reached"` where the deficit fell below the tolerance.
    reached : array of bool (...)
        Where it did.
    iterations : int
    """

    value: Array
    error: Array
    deficit: Array
    status: NDArray[np.str_]
    iterations: int

    @property
    def elbo(self) -> Array:
        """The ELBO there, in nats, `(...)`."""
        return self.value

    @property
    def reached(self) -> NDArray[np.bool_]:
        """Where the deficit fell below the tolerance, `(...)`."""
        return np.asarray(self.status == REACHED)


def stationary_posterior(
    model: LatentModel,
    X: ArrayLike,
    *,
    structure: str = "full",
    start: Posterior | None = None,
    rtol: float = 1e-13,
) -> StationaryPosterior:
    """The Gaussian posterior of each datum at which the exact ELBO is stationary.

    With `structure="shared"` all data of a set have one covariance, and the mean of their ELBOs is
    stationary.

    The method is a fixed-point (natural-gradient) iteration on the stationarity conditions of
    claim 3b with Anderson mixing, and quadrature rules of increasing strength. Stein's
    identities give the expectations from values of U alone, so that they are also right if the
    decoder has kinks or jumps. Such posteriors usually end as "not reached", because quadrature
    converges slowly for them; their errors and deficits say how precise they are (up to three
    dimensions, as for `elbo`). Data so far from all outputs of the decoder that the last digit
    of U is a nat or more keep the start, with an infinite deficit. By default the iteration
    starts from the highest mode found, with the inverse Hessian there. If the ELBO has several
    stationary points, the one reached from the start is returned.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        The data; with a shared covariance `(..., N, D)`, sets of N.
    structure : {"full", "diagonal", "shared"}
        Whether the covariance of each datum is free, diagonal, or the same for all N of a set.
    start : Posterior, optional
        Starting point of the iteration.
    rtol : float
        Tolerance of the deficit, relative to 1 + the modulus of the ELBO.

    Returns
    -------
    StationaryPosterior

    Raises
    ------
    ValueError
        As for `elbo`; also for an unknown structure.

    Notes
    -----
    Source: claims 3b to 3d, 5d. grad_m ELBO = -E[grad U], grad_S ELBO = 1/2 (S^-1 - E[A]); for
    the mean over the data, grad_S = 1/2 (S^-1 - mean E[A]). A shared covariance is stationary for
    the mean only: the ELBO of a single datum changes with the root of the deficit.

    With z = m + R w and S = R R^T the expectations are E[grad U] = R^-T E[w U] and
    E[A] = R^-T E[(w w^T - I) U] R^-1 (claim 4b). If U has a kink, the mean of the values of the
    Hessian is not E[A], because these values do not show the kink.

    Examples
    --------
    >>> from vaetheory import LatentModel, decoders, likelihoods, stationary_posterior
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> q = stationary_posterior(model, [[2.0]])
    >>> q.loc.round(12).tolist(), q.cov.round(12).tolist()
    ([[1.0]], [[[0.5]]])
    >>> q.elbo.round(12).tolist(), q.reached.tolist()
    ([-2.265512123485], [True])
    """
    option("structure", structure, ("full", "diagonal", "shared"))
    rtol = fraction("rtol", rtol, low=1e-15, high=0.1)
    require_model(model)
    data = model.check_data(X)
    shape, d = data.shape[:-1], model.latent_dim
    whole = data.reshape(-1, model.data_dim)
    reduced = model.reduced(whole)
    if start is None:
        loc = highest_modes(reduced.model, reduced.data)
        _, hessian, safe = reduced.model.search_derivatives(reduced.data, loc)
        precision = _definite(hessian, safe)
    else:
        _, loc, cov = flatten(model, data, start, "start")
        precision = np.linalg.inv(cov)
    if structure == "diagonal":
        precision = _diagonal(precision)
    # Each set of data shares a covariance; without sharing, a set is a single datum.
    size = shape[-1] if structure == "shared" and shape else 1
    precision = precision.reshape(-1, size, d, d).mean(axis=1)
    # The ascent works in place; the copy protects the given start.
    means = loc.reshape(-1, size, d).copy()
    ascent = _Ascent(reduced, means, precision, structure == "diagonal")
    # Far from all outputs of the decoder the potential is rounded to anything, or overflows.
    with unchecked():
        digit = ULP * np.abs(reduced.model.log_joint(reduced.data, loc))
        digit += reduced.rounding(loc[:, None])[:, 0]
        # Where its last digit is a nat or more, only the start is known.
        iterations, rows = 0, np.flatnonzero((digit < 1).reshape(-1, size).all(axis=-1))
        for rule in _rules(d):
            if len(rows):
                steps, rows = ascent.run(rows, rule, rtol)
                iterations += steps
    root = _root(ascent.precision)
    loc, cov = ascent.loc.reshape(-1, d), np.repeat(root @ np.swapaxes(root, -1, -2), size, axis=0)
    # The deficit, and the uncertainty of the last rule about it: their square roots add.
    ascent_deficit = (np.sqrt(ascent.deficit) + np.sqrt(ascent.unknown)) ** 2
    bound = elbo(model, whole, Posterior(loc, cov=cov), rtol=max(rtol, 1e-12))
    reached = ascent_deficit <= rtol * (1 + np.abs(bound.value.reshape(-1, size)).mean(axis=-1))
    # Rows that the last rule still moved are not confirmed by a finer rule.
    reached[rows] = False
    status = np.where(np.repeat(reached, size) & bound.reached, REACHED, NOT_REACHED)
    deficit = np.repeat(ascent_deficit, size)
    return StationaryPosterior(
        loc.reshape(*shape, d),
        cov.reshape(*shape, d, d),
        value=bound.value.reshape(shape),
        error=(bound.error + _COUPLED * deficit).reshape(shape),
        deficit=deficit.reshape(shape),
        status=status.reshape(shape),
        iterations=iterations,
    )


def _rules(dim: int) -> list[Rule]:
    """Rules of increasing strength; a row is done when the next rule does not move it.

    Gauss-Hermite rules can agree with each other and be wrong, so lattices come last.
    """
    orders = _ORDERS.get(dim, (3, 4, *(n for n in (6, 8) if n**dim <= _MOST_HERMITE)))
    number = _LATTICES[dim] if dim <= LATTICE_DIM else 0
    rules = [Rule.alone(*hermite_rule(order, dim)) for order in orders]
    return rules + [lattice_rule(k, dim) for k in range(number)]


def _diagonal(matrix: Array) -> Array:
    return np.diagonal(matrix, axis1=-2, axis2=-1)[..., None] * np.eye(matrix.shape[-1])


def _definite(hessian: Array, gauss_newton: Array) -> Array:
    """The Hessian where it is positive definite, else its Gauss-Newton part."""
    indefinite = least_eigenvalue(hessian) <= 0
    return np.where(indefinite[..., None, None], gauss_newton, hessian)


def _root(precision: Array) -> Array:
    """A root R of the covariance, S = R R^T, from the precision: S itself would lose digits."""
    return np.swapaxes(np.linalg.inv(np.linalg.cholesky(precision)), -1, -2)


class _Ascent:
    """The iteration for all rows at once: means, precision, and the deficit of the mean ELBO.

    A row is a set of N data with one precision `(d, d)` and one mean per datum, `(N, d)`.
    """

    def __init__(self, reduced: ReducedModel, loc: Array, precision: Array, diagonal: bool) -> None:
        self.model, self.diagonal = reduced.model, diagonal
        self.X = reduced.data.reshape(*loc.shape[:2], -1)
        # The tolerance is relative to the ELBO of the model as it was given.
        self.offset = reduced.offset.reshape(loc.shape[:2]).mean(axis=-1)
        self.loc, self.precision = loc, precision
        self.deficit, self.unknown = np.full((2, len(loc)), np.inf)
        # Least deficit that a row has had, and steps since then.
        self.least, self.stale = np.full(len(loc), np.inf), np.zeros(len(loc), dtype=int)
        # Anderson mixing measures residuals in units of the first posterior's width.
        self._unit = np.linalg.cholesky(precision)
        self._inverse_unit = np.linalg.inv(self._unit)

    def _plain_step(self, rows: np.ndarray, rule: Rule) -> tuple[Array, Array, Array, Array, Array]:
        """Mean ELBO of rows, their next means and precision, the gain and its uncertainty.

        The gain is that of Newton's step in the mean plus that of the natural-gradient step in the
        precision; the uncertainty is the gain that the errors of slope and bend would make.
        """
        loc, root = self.loc[rows], _root(self.precision[rows])
        found = moments(self.model, self.X[rows], loc, root, rule)
        of_mean, error = found.bend.mean(axis=1), found.bend_error.mean(axis=1)
        if self.diagonal:
            of_mean, error = _diagonal(of_mean), _diagonal(error)
        mismatch = of_mean - np.eye(loc.shape[-1])
        sound = found.bend
        weak = (least_eigenvalue(sound) <= 0).any(axis=1)
        weak |= least_eigenvalue(of_mean) <= 0
        if weak.any():
            safe = gauss_newton(self.model, self.X[rows[weak]], loc[weak], root[weak], rule)
            mean_safe = safe.mean(axis=1)
            sound, of_mean = sound.copy(), of_mean.copy()
            sound[weak] = _definite(sound[weak], safe)
            mean_safe = _diagonal(mean_safe) if self.diagonal else mean_safe
            of_mean[weak] = _definite(of_mean[weak], mean_safe)
        shift = -np.linalg.solve(sound, found.slope[..., None])[..., 0]
        gain = -0.5 * (found.slope * shift).sum(axis=-1).mean(axis=-1)
        gain += 0.25 * (mismatch**2).sum(axis=(-2, -1))
        least = least_eigenvalue(sound)
        unknown = 0.5 * ((found.slope_error**2).sum(axis=-1) / least).mean(axis=-1)
        unknown += 0.25 * (error**2).sum(axis=(-2, -1))
        back = np.linalg.inv(root)
        target = np.swapaxes(back, -1, -2) @ of_mean @ back
        goal = loc + np.einsum("nij,nkj->nki", root, shift)
        # Where the potential is rounded to anything, a row stays where it is.
        lost = ~(np.isfinite(target).all(axis=(1, 2)) & np.isfinite(goal).all(axis=(1, 2)))
        target[lost], goal[lost], unknown[lost] = self.precision[rows][lost], loc[lost], np.inf
        return (
            found.height.mean(axis=-1) + self.offset[rows],
            goal,
            (target + np.swapaxes(target, -1, -2)) / 2,
            gain,
            unknown,
        )

    def run(self, rows: np.ndarray, rule: Rule, rtol: float) -> tuple[int, np.ndarray]:
        """Iterate `rows` with one rule; return the number of steps and the rows still moving."""
        count, members, dim = self.loc.shape
        size = members * dim + dim * dim
        targets, residuals = np.zeros((2, _MEMORY, count, size))
        filled = np.zeros((_MEMORY, count), dtype=bool)
        height = np.full(count, -np.inf)
        # Means and precision before a step, and after a plain step.
        old, plain = ((self.loc.copy(), self.precision.copy()) for _ in range(2))
        share = np.ones(count)
        halvings, unsure = np.zeros(count, dtype=int), np.zeros(count, dtype=bool)
        lost = self.stale >= _PATIENCE
        least, stale = np.where(lost, self.least, np.inf), np.where(lost, _PATIENCE - _AGAIN, 0)
        before = self.deficit[rows]
        self.deficit[rows] = np.inf
        active, moved = rows, np.ones(len(rows), dtype=bool)
        step = 0
        while len(active) and step < _ITERATIONS:
            step += 1
            new, goal, target, deficit, unknown = self._plain_step(active, rule)
            # A higher ELBO or a smaller deficit counts as progress: with a coarse rule, the ELBO
            # and its stationarity conditions disagree by the error of the rule. A fall by more than
            # the last deficit is no progress.
            fall = height[active] - new
            worse = (fall > 1e-13 * (1 + np.abs(new))) & (
                (deficit > self.deficit[active])
                | (fall > self.deficit[active] + _ROUGH * (1 + np.abs(new)))
            )
            # Rows that fell return to the last point, clear their history, and take a shorter step.
            back = active[worse]
            share[back] /= 2
            filled[:, back] = False
            halvings[back] += 1
            self._move(back, old, plain, share)

            keep, goal, target = active[~worse], goal[~worse], target[~worse]
            height[keep], self.deficit[keep], halvings[keep] = new[~worse], deficit[~worse], 0
            self.unknown[keep] = unknown[~worse]
            for kept, now in zip(old, (self.loc, self.precision), strict=True):
                kept[keep] = now[keep]
            # The first step is taken even if the deficit is small enough: if the rule is exact, it
            # leads to the stationary point itself.
            enough = rtol * (1 + np.abs(new))
            better = (deficit < 0.5 * least[active]) | ((step > 1) & (-fall > 0.01 * deficit))
            stale[active] = np.where(better, 0, stale[active] + 1)
            least[active] = np.minimum(least[active], deficit)
            # The inverse of a nearly singular precision is only as precise as its condition allows.
            rounded = 20 * dim * EPS * condition(self.precision[active])
            floor = np.maximum(enough, rounded**2)
            # Below the tolerance a row continues while it improves, until rounding stops it.
            done = (deficit <= 1e-3 * enough) | ((deficit <= floor) & (stale[active] >= 3))
            done |= stale[active] >= _PATIENCE
            if step == 1:
                done &= np.isfinite(before)
                moved = (deficit > floor) | ~np.isfinite(before)
            unsure[active] = unknown > floor
            active = active[(worse | ~done) & (halvings[active] < 40)]
            if step == _ITERATIONS:
                break
            go = ~done[~worse]
            keep, goal, target = keep[go], goal[go], target[go]
            plain[0][keep], plain[1][keep] = goal, target
            slot = step % _MEMORY
            targets[slot, keep] = self._pack(keep, goal, target)
            current = self._pack(keep, self.loc[keep], self.precision[keep])
            residuals[slot, keep] = targets[slot, keep] - current
            filled[slot, keep] = True
            mixed = _mix(targets[:, keep], residuals[:, keep], filled[:, keep], slot)
            self._unpack(keep, mixed, goal, target)
            # After a step that was too long the next ones are shorter, and become longer again.
            self._move(keep[share[keep] < 1], old, plain, share)
            share[keep] = np.minimum(2 * share[keep], 1.0)
        # The last accepted point of each row, to which its deficit belongs.
        self.loc[rows], self.precision[rows] = old[0][rows], old[1][rows]
        self.least, self.stale = least, stale
        return step, rows[moved | unsure[rows]]

    def _move(
        self, rows: np.ndarray, old: tuple[Array, Array], plain: tuple[Array, Array], share: Array
    ) -> None:
        """Take a share of the plain step."""
        part = share[rows, None, None]
        self.loc[rows] = old[0][rows] + part * (plain[0][rows] - old[0][rows])
        self.precision[rows] = old[1][rows] + part * (plain[1][rows] - old[1][rows])

    def _pack(self, rows: np.ndarray, loc: Array, precision: Array) -> Array:
        """Means and precision as one vector, in units of the first posterior."""
        white, inverse = self._unit[rows], self._inverse_unit[rows]
        m = np.einsum("nji,nkj->nki", white, loc) / np.sqrt(loc.shape[1])
        p = inverse @ precision @ np.swapaxes(inverse, -1, -2)
        _, members, dim = self.loc.shape
        parts = [m.reshape(len(rows), members * dim), p.reshape(len(rows), dim * dim)]
        return np.concatenate(parts, axis=-1)

    def _unpack(self, rows: np.ndarray, mixed: Array, loc: Array, precision: Array) -> None:
        """Take the mixed step if its precision is safely positive definite, else the plain step."""
        _, members, dim = self.loc.shape
        split = members * dim
        p = mixed[:, split:].reshape(-1, dim, dim)
        p = (p + np.swapaxes(p, -1, -2)) / 2
        plain = self._pack(rows, loc, precision)[:, split:].reshape(-1, dim, dim)
        sound = least_eigenvalue(p) > 0.1 * least_eigenvalue(plain)
        white, inverse = self._unit[rows], self._inverse_unit[rows]
        m = np.einsum("nji,nkj->nki", inverse, mixed[:, :split].reshape(-1, members, dim))
        m = m * np.sqrt(members)
        p = white @ p @ np.swapaxes(white, -1, -2)
        p = _diagonal(p) if self.diagonal else (p + np.swapaxes(p, -1, -2)) / 2
        self.loc[rows] = np.where(sound[:, None, None], m, loc)
        self.precision[rows] = np.where(sound[:, None, None], p, precision)


def _mix(targets: Array, residuals: Array, filled: NDArray[np.bool_], slot: int) -> Array:
    """Anderson mixing of the last targets `(K, n, p)`, with the least residual, `(n, p)`."""
    last = residuals[slot]
    change = np.where(filled[..., None], last - residuals, 0.0)
    moved = np.where(filled[..., None], targets[slot] - targets, 0.0)
    weights = np.linalg.pinv(np.moveaxis(change, 0, -1), rcond=1e-8) @ last[..., None]
    return targets[slot] - np.einsum("knp,nk->np", moved, weights[..., 0])
