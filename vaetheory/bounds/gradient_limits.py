"""What the noise of stochastic gradients tends to for many samples, where the moments exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._gaussians import LOG_2PI
from vaetheory._log_sums import log_sum_exp
from vaetheory._quadrature.shifted_lattices import SAFETY
from vaetheory._validation import Array, Index, require_callable
from vaetheory._value_equality import ByValue
from vaetheory.bounds import _weight_nodes as nodes
from vaetheory.bounds._growth import fall_of, finite_power
from vaetheory.bounds._linear_weights import linear_weights
from vaetheory.bounds._reparametrised import AtNodes, Reparametrised, Scores
from vaetheory.bounds.gaussian_elbo import flatten, integrand_rounding
from vaetheory.bounds.gradient_moments import estimator_names
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: The moments of the weights that the mean and the variance of an estimator need, and the powers of
#: K with which these fall.
_LAWS = {"total": (2, 2, 1, 1), "path": (1, 2, 0, 1), "dreg": (2, 4, 1, 3), "decoder": (1, 2, 0, 1)}
#: Lattices that are tried by dimension, and steps by which a frame is fitted.
_FINEST, _STEPS = {1: 6, 2: 4, 3: 2}, 4
#: Distance in standard deviations beyond which ten times the share of a moment is an error, and the
#: share from which nothing is known of what lies beyond the lattices.
_FAR, _DOUBTFUL = 9.5, 1e-4
_RTOL = 1e-9


@dataclass(frozen=True, eq=False)
class GradientLimits(ByValue):
    """The laws of mean and variance of an estimator for K to infinity, parameter by parameter.

    mean ~ `mean` / K^a and variance ~ `variance` / K^b with (a, b) = `powers`.

    Attributes
    ----------
    mean, variance : array (..., P)
        Infinite where the law's moment does not exist; then mean or variance fall more slowly.
    mean_error, variance_error : arrays
        Estimates of their errors; infinite where a value is infinite, or is not known to exist.
    powers : tuple of int
        a and b.
    """

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array
    powers: tuple[int, int]

    @property
    def snr_power(self) -> float:
        """The signal to noise ratio is `snr` K^c with this c, 1/2 or -1/2."""
        return self.powers[1] / 2 - self.powers[0]

    @property
    def snr(self) -> Array:
        """Limit of SNR / K^c; 0 where only the variance's moment is infinite, NaN if unknown."""
        known = np.isfinite(self.mean_error) & np.isfinite(self.variance_error)
        known &= self.variance > self.variance_error
        value = np.abs(self.mean) / np.sqrt(np.where(known, self.variance, 1.0))
        slow = np.isfinite(self.mean_error) & np.isinf(self.variance)
        return np.where(known, value, np.where(slow, 0.0, np.nan))

    @property
    def snr_error(self) -> Array:
        """Error figure of `snr`: 0 where the limit is 0 for want of a moment."""
        known = np.isfinite(self.mean_error) & np.isfinite(self.variance_error)
        known &= self.variance > self.variance_error
        variance = np.where(known, self.variance, 1.0)
        least = variance - np.where(known, self.variance_error, 0.0)
        off = np.where(known, np.abs(self.mean), 0.0) * (1 / np.sqrt(least) - 1 / np.sqrt(variance))
        found = np.where(known, self.mean_error, 0.0) / np.sqrt(least) + off
        slow = np.isfinite(self.mean_error) & np.isinf(self.variance)
        return np.where(known, found, np.where(slow, 0.0, np.inf))


class _Means(NamedTuple):
    """E_q[wbar^k f] of several f and error figures, `(n, J)`, and what errors are relative to."""

    value: Array
    error: Array
    size: Array
    rounding: Array

    @property
    def fine(self) -> bool:
        """Whether finer lattices are not needed."""
        return bool((self.error <= _RTOL * self.size + 4 * self.rounding).all())

    def into(self, rows: Index, count: int) -> _Means:
        """The same for some of the data; NaN with infinite errors for the others."""
        whole = [np.full((count, self.value.shape[-1]), fill) for fill in (np.nan, np.inf) * 2]
        for array, found in zip(whole, self, strict=True):
            array[rows] = found[: len(rows)]
        return _Means(*whole)


class _Both(NamedTuple):
    """E_q[wbar^k f] and E_q[wbar^k f^2]."""

    first: _Means
    second: _Means


#: A value and its error figure, `(n, J)`.
_Value: TypeAlias = "tuple[Array, Array]"


class _Frame(NamedTuple):
    """Means and factors of covariances, `(N, d)` and `(N, d, d)`."""

    loc: Array
    root: Array


class _Tilted:
    """Expectations under q times a power of the weights, by lattices where their mass is."""

    def __init__(self, task: Reparametrised, frame: nodes.Frame) -> None:
        self.task, self.frame = task, frame
        self.dim = task.loc.shape[1]
        self.log_det = np.log(np.diagonal(task.root, axis1=-2, axis2=-1)).sum(axis=-1)
        cov = task.root @ np.swapaxes(task.root, -1, -2)
        self.rounding = integrand_rounding(task.reduced, task.loc, cov)
        self.own, self.other = np.linalg.inv(cov), _precision(frame.root)

    def start(self, power: int) -> _Frame:
        """The Gaussian p^k / q^(k - 1) of a Gaussian p with the posterior's moments."""
        mixed = power * self.other - (power - 1) * self.own
        values, axes = np.linalg.eigh((mixed + np.swapaxes(mixed, -1, -2)) / 2)
        pull = power * np.einsum("nij,nj->ni", self.other, self.frame.loc)
        pull -= (power - 1) * np.einsum("nij,nj->ni", self.own, self.task.loc)
        # Where there is no such Gaussian p is none, and its own frame has to do.
        least = 0.02 * np.einsum("nii->n", self.other) / self.dim
        there = values[:, 0] > least
        values = np.where(there[:, None], values, 1.0)
        loc = np.einsum("nij,nj,nkj,nk->ni", axes, 1 / values, axes, pull)
        root = axes / np.sqrt(values)[:, None, :]
        return _Frame(
            np.where(there[:, None], loc, self.frame.loc),
            np.where(there[:, None, None], root, self.frame.root),
        )

    def logs(
        self, rows: Index, power: int, z: Array, decoder: bool
    ) -> tuple[Array, Array, AtNodes]:
        """Log of wbar^k q at z `(n, M, d)`, z in units of q, and what the estimators need there."""
        away = z - self.task.loc[rows, None]
        e = np.linalg.solve(self.task.root[rows], np.swapaxes(away, -1, -2))
        e = np.swapaxes(e, -1, -2)
        found = self.task.at(rows, e, decoder=decoder)
        shift = self.log_det[rows] + self.task.reduced.offset[rows] - self.frame.evidence[rows]
        own = -0.5 * (e**2).sum(axis=-1) - 0.5 * self.dim * LOG_2PI - self.log_det[rows, None]
        return power * (found.logs + shift[:, None]) + own, e, found

    def fitted(self, rows: Index, power: int) -> _Frame:
        """The frame whose mean and covariance are those of the tilted density."""
        start = self.start(power)
        frame = _Frame(start.loc[rows], start.root[rows])
        rule = nodes.lattices(0, self.dim)
        for _ in range(_STEPS):
            z = frame.loc[:, None] + rule.nodes @ np.swapaxes(frame.root, -1, -2)
            logs, _, _ = self.logs(rows, power, z, False)
            masses = rule.masses(logs) / rule.count
            loc = np.einsum("nm,nmi->ni", masses, z)
            away = z - loc[:, None]
            cov = np.einsum("nm,nmi,nmj->nij", masses, away, away)
            values, axes = np.linalg.eigh(cov)
            values = np.maximum(values, 1e-9 * np.einsum("nii->n", cov)[:, None] + 1e-280)
            frame = _Frame(loc, axes * np.sqrt(values)[:, None, :])
        return frame

    def means(self, where: NDArray[np.bool_], power: int, names: Sequence[str]) -> dict[str, _Both]:
        """E_q[wbar^k], under the name "", and moments with the terms f of estimators.

        Of the other data they are NaN with infinite errors.
        """
        rows = np.flatnonzero(where)
        # Of no data at all the shapes are those of the posterior's moments.
        some, used = (rows, power) if len(rows) else (np.arange(1), 1)
        frame = self.fitted(some, used)
        for number in range(_FINEST[self.dim]):
            told = self._means(some, frame, nodes.lattices(number, self.dim), used, names)
            if all(means.fine for both in told.values() for means in both):
                break
        return {
            name: _Both(*(means.into(rows, len(where)) for means in both))
            for name, both in told.items()
        }

    def _over_q(self, rows: Index, power: int, rule: nodes.Lattices) -> Array:
        """Log of E_q[wbar^k] over the middle of q, by lattices over q."""
        turned = np.swapaxes(self.task.root[rows], -1, -2)
        z = self.task.loc[rows, None] + rule.nodes @ turned
        logs, _, _ = self.logs(rows, power, z, False)
        with np.errstate(divide="ignore"):
            logs = logs + rule.log_weights + np.log(_near(rule.nodes))
        return np.asarray(log_sum_exp(logs) - np.log(rule.count) + self.log_det[rows])

    def _means(
        self, rows: Index, frame: _Frame, rule: nodes.Lattices, power: int, names: Sequence[str]
    ) -> dict[str, _Both]:
        z = frame.loc[:, None] + rule.nodes @ np.swapaxes(frame.root, -1, -2)
        logs, e, found = self.logs(rows, power, z, "decoder" in names)
        far = ((rule.nodes**2).sum(axis=-1) > _FAR**2).astype(float)
        top = logs.max(axis=-1, keepdims=True)
        weights = np.exp(logs - top + rule.log_weights)
        volume = np.linalg.slogdet(frame.root)[1]
        scale = np.exp(np.minimum(top[:, 0] + volume, 700.0))[:, None]
        lost = np.where(found.lost & (weights > 0), np.inf, 0.0).sum(axis=-1)
        off = power * (self.frame.error[rows] + 2 * self.rounding[rows]) + lost
        # Lattices over q see what those around a narrow mode do not.
        again = np.exp(np.minimum(self._over_q(rows, power, rule) - top[:, 0] - volume, 700.0))
        mine = (weights * _near(e)).sum(axis=-1) / rule.count
        unseen = np.abs(again - mine) * rule.count / weights.sum(axis=-1)
        owners = np.arange(rule.count)[:, None] == rule.owner

        def means(f: Array) -> _Means:
            each = np.stack([np.einsum("nm,nmj->nj", weights * own, f) for own in owners])
            size = np.einsum("nm,nmj->nj", weights, np.abs(f)) / rule.count
            beyond = np.einsum("nm,nmj->nj", weights * far, np.abs(f)) / rule.count
            rounded = (off[:, None] + gamma(200)) * size
            error = SAFETY[self.dim] * np.ptp(each, axis=0) + 10 * beyond + rounded
            error = error + unseen[:, None] * size
            bad = (beyond > _DOUBTFUL * size) | ~np.isfinite(error) | (scale == 0)
            known = [np.where(bad, 0.0, v) * scale for v in (error, rounded)]
            error, rounded = (np.where(bad, np.inf, v) for v in known)
            return _Means(each.mean(axis=0) * scale, error, size * scale, rounded)

        columns = {"": np.ones((*logs.shape, 1))}
        columns |= {name: self.task.terms(name, rows, e, found) for name in names}
        return {name: _Both(means(f), means(f**2)) for name, f in columns.items()}


def _near(e: Array) -> Array:
    """A smooth function of z in units of q `(..., d)`, one in the middle and zero far out."""
    return np.asarray(np.exp(-(((e**2).sum(axis=-1) / 64) ** 4)))


def _precision(root: Array) -> Array:
    inverse = np.linalg.inv(root)
    return np.asarray(np.swapaxes(inverse, -1, -2) @ inverse)


def gradient_noise_limits(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    estimators: Sequence[str] = ("total", "path", "dreg"),
    *,
    scores: Scores | None = None,
) -> dict[str, GradientLimits]:
    """The laws of mean, variance and signal to noise ratio of estimators for many samples.

    With wbar = p(z|x) / q(z) and expectations under q:

    - "total": mean ~ -E[wbar^2 h] / K and variance ~ Var(wbar h) / K, where h is the derivative of
      log w: the SNR falls like 1 / sqrt(K).
    - "path": mean -> E_p(z|x)[r], where r is the derivative of log w with q's parameters fixed in
      log q: it is that of -KL(p(z|x) || q), and not that of the bound, which tends to 0.
    - "dreg": mean ~ E[c] / K with c = wbar^2 r, and variance ~ Var(c - 2 E[c] wbar) / K^3: the SNR
      grows like sqrt(K) if weights have four moments.
    - "decoder": mean -> the gradient of log p(x), the SNR grows like sqrt(K) if there are two.

    Parameters
    ----------
    model, X, posterior, estimators, scores
        As for `gradient_noise`; "kl" has no such law.

    Returns
    -------
    dict of str to GradientLimits
        For each estimator. With an affine map and Gaussian noise it is decided whether moments
        exist, in all other cases where that can be proved from the growth of decoder and
        likelihood, whose derivatives are taken to grow at most like powers; otherwise errors are
        infinite. The errors of what exists are estimates, by lattices where wbar^k q has its mass.

    Raises
    ------
    ValueError
        As `gradient_noise`.

    Notes
    -----
    Source: claim 20d. Orders of the ratios: 1802.04537; constants and moments: our derivations.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import gradient_noise, gradient_noise_limits
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> q = Posterior([0.3], scale=1.0)
    >>> limit = gradient_noise_limits(model, [0.0], q)["dreg"]
    >>> round(float(limit.snr[0]), 5), limit.snr_power
    (0.35669, 0.5)
    >>> at_1000 = gradient_noise(model, [0.0], q, 1000)["dreg"].snr[0] / 1000**0.5
    >>> round(float(at_1000), 5)
    0.35664

    An encoder with 0.58 of the posterior's variance has weights with a variance, but no fourth
    moment: the DReG estimator loses this growth.

    >>> narrow = Posterior([0.3], cov=[[0.58 * 0.5]])
    >>> float(gradient_noise_limits(model, [0.0], narrow)["dreg"].snr[0])
    0.0
    """
    names = estimator_names(estimators, [1])
    if "kl" in names:
        raise ValueError("estimators: expected those of many samples, got 'kl'")
    if scores is not None:
        require_callable("scores", scores, "data (n, 1, D) and latents (n, M, d) -> (n, M, p)")
    data, loc, cov = flatten(model, X, posterior)
    if model.latent_dim > nodes.LARGEST_DIM:
        raise ValueError(
            f"model: expected at most {nodes.LARGEST_DIM} latents for lattices over them, "
            f"got {model.latent_dim}"
        )
    root = np.linalg.cholesky(cov)
    reduced = model.reduced(data)
    frame = nodes.Frame.of(nodes.Weights(reduced, loc, root))
    tilted = _Tilted(Reparametrised(model, data, reduced, loc, root, scores), frame)
    known = {k: _exists(model, data, loc, cov, k) for k in (1, 2, 3, 4)}
    shape = posterior.loc.shape[:-1]
    powers = {k for name in names for k in _LAWS[name][:2]} | {2}
    powers |= {3} if "dreg" in names else set()
    found = {k: tilted.means(known[k] > 0, k, _of_power(names, k)) for k in sorted(powers | {1})}
    told = {}
    for name in names:
        first, second, a, b = _LAWS[name]
        mean, variance = _law(name, found)
        one, two = _decided(mean, known[first]), _decided(variance, known[second])
        value, spread, off, lost = (
            v.reshape(*shape, v.shape[-1]) for v in (one[0], two[0], one[1], two[1])
        )
        told[name] = GradientLimits(value, spread, off, lost, (a, b))
    return told


def _of_power(names: Sequence[str], power: int) -> list[str]:
    """The terms of which E_q[wbar^k f] is needed; DReG's are those of the path estimator."""
    wanted = [n for n in names if n != "dreg" and power in (1, 2) and (n, power) != ("total", 1)]
    if "dreg" in names and power > 1 and "path" not in wanted:
        wanted.append("path")
    return wanted


def _exists(
    model: LatentModel, data: Array, loc: Array, cov: Array, power: int
) -> NDArray[np.intp]:
    """1 where E_q wbar^k exists, -1 where it does not, 0 where this is not known, `(N,)`."""
    linear = linear_weights(model, data, loc, cov)
    if linear is not None:
        return linear.finite_power(power)
    found = finite_power(fall_of(model), np.linalg.eigvalsh(cov), power)
    return np.where(np.isfinite(model.likelihood.greatest_log_prob(data)), found, 0)


def _decided(value: _Value, known: NDArray[np.intp]) -> _Value:
    """Infinite where a moment does not exist; an infinite error where that is not known."""
    found = np.where(known[:, None] < 0, np.inf, value[0])
    return found, np.where(known[:, None] < 1, np.inf, value[1])


def _law(name: str, found: dict[int, dict[str, _Both]]) -> tuple[_Value, _Value]:
    """The coefficients of mean and variance, and their errors."""
    weight, e0, *_ = found[2][""].first
    if name == "total":
        one, two = found[2]["total"]
        return (-one.value, one.error), (two.value, two.error)
    if name == "dreg":
        one, three, four = found[2]["path"].first, found[3]["path"].first, found[4]["path"].second
        c = one.value
        variance = four.value - 4 * c * three.value + 4 * c**2 * weight - c**2
        error = four.error + 4 * (np.abs(c) * three.error + np.abs(three.value) * one.error)
        error = error + 4 * c**2 * e0 + (8 * np.abs(weight) + 2) * np.abs(c) * one.error
        return (c, one.error), (variance, error)
    mean, (one, two) = found[1][name].first, found[2][name]
    c = mean.value
    variance = two.value - 2 * c * one.value + c**2 * weight
    error = two.error + 2 * (np.abs(c) * one.error + np.abs(one.value) * mean.error)
    error = error + c**2 * e0 + 2 * np.abs(c) * weight * mean.error
    return (c, mean.error), (variance, error)
