"""Noise of stochastic gradients in any latent dimension, measured by samples, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array, fraction, integer, require_callable
from vaetheory._value_equality import ByValue
from vaetheory.bounds._reparametrised import POWERS, Reparametrised, Scores
from vaetheory.bounds.gaussian_elbo import flatten
from vaetheory.bounds.gradient_moments import estimator_names
from vaetheory.bounds.importance_weighting import sample_counts
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: Numbers in a block: latents of some draws.
_NUMBERS = 2**19


_FIELDS = (
    "mean", "variance", "mean_error", "variance_error", "snr", "snr_error", "overall",
    "overall_low", "overall_high",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class SampledGradientNoise(ByValue):
    """Mean, variance and signal to noise ratio of a gradient, from independent draws of it.

    Intervals are asymptotic, from the spread of the draws: at the stated confidence for many
    draws, and for each number by itself.

    Attributes
    ----------
    mean, variance : array (..., P) or (..., n, P)
        Unbiased estimates, as in `GradientNoise`.
    mean_error, variance_error : arrays
        Half widths of their intervals.
    snr, snr_error : arrays
        |mean| / sd of each parameter, and the half width of its interval.
    overall, overall_low, overall_high : arrays (...) or (..., n)
        |E g| / sqrt(tr Cov g) of the whole gradient of a datum, and its interval. The estimate of
        |E g|^2 is free of the noise that adds to the square of an estimated mean.
    draws : int
        Number of draws.
    """

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array
    snr: Array
    snr_error: Array
    overall: Array
    overall_low: Array
    overall_high: Array
    draws: int


def sampled_gradient_noise(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    K: Any = 1,
    estimators: Sequence[str] = ("total", "path", "dreg"),
    *,
    draws: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    scores: Scores | None = None,
) -> dict[str, SampledGradientNoise]:
    """Noise of estimators of the gradient of the bound of K samples, for any number of latents.

    Each draw is one evaluation of the gradient, with K latents of its own. Means and variances are
    those of `gradient_noise`, which computes them without sampling for up to three latents.

    Parameters
    ----------
    model : LatentModel
        Any; of a decoder of another framework, gradients come from there.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.
    K : int or list of int (n,)
        Numbers of samples.
    estimators : sequence of {"total", "path", "dreg", "kl", "decoder"}
        See `gradient_noise`. All use the same draws.
    draws : int
        Evaluations of the gradient of each datum and K, at least 32.
    confidence : float
        Of each interval, 0.5 to 1 - 1e-9.
    seed : int
        The draws depend on the seed, K and the place of a datum, on nothing else.
    scores : callable, optional
        See `gradient_noise`.

    Returns
    -------
    dict of str to SampledGradientNoise
        For each estimator; parameters as in `gradient_noise`. Intervals are those of normal errors
        of means, variances and their ratios (delta method): where the gradient has rare large
        values, as if q is far from the posterior, they hold for more draws only.

    Raises
    ------
    ValueError
        If shapes do not fit, the data are outside the likelihood's support, a number is out of
        range, or "kl" is asked for with K > 1.

    Notes
    -----
    Source: claim 20.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import sampled_gradient_noise
    >>> model = LatentModel(decoders.Affine(np.eye(8)), likelihoods.Gaussian(scale=1.0))
    >>> q = Posterior(np.zeros((2, 8)), scale=0.8)
    >>> found = sampled_gradient_noise(model, np.ones((2, 8)), q, [1, 16], draws=400)
    >>> found["dreg"].snr.shape, found["dreg"].overall.shape
    ((2, 2, 16), (2, 2))
    """
    counts, single = sample_counts("K", K)
    names = estimator_names(estimators, counts)
    draws = integer("draws", draws, low=32, high=10**9)
    integer("seed", seed)
    fraction("confidence", confidence, low=0.5, high=1 - 1e-9)
    if scores is not None:
        require_callable("scores", scores, "data (n, 1, D) and latents (n, M, d) -> (n, M, p)")
    data, loc, cov = flatten(model, X, posterior)
    task = Reparametrised(model, data, model.reduced(data), loc, np.linalg.cholesky(cov), scores)
    width = float(stdtrit(draws - 1, (1 + confidence) / 2))
    found: dict[str, list[list[Array]]] = {name: [] for name in names}
    for row in range(len(data)):
        for name, fields in _of_datum(task, row, names, counts, draws, seed, width).items():
            found[name].append(fields)
    lead = posterior.loc.shape[:-1] if single else (*posterior.loc.shape[:-1], len(counts))
    return {
        name: SampledGradientNoise(**_stacked(rows, lead), draws=draws)
        for name, rows in found.items()
    }


def _stacked(rows: list[list[Array]], lead: tuple[int, ...]) -> dict[str, Array]:
    """Fields of each datum `(n, P)` or `(n,)` as arrays with the leading axes asked for."""
    arrays = [np.stack(field) for field in zip(*rows, strict=True)]
    return {name: a.reshape(*lead, *a.shape[2:]) for name, a in zip(_FIELDS, arrays, strict=True)}


def _of_datum(
    task: Reparametrised,
    row: int,
    names: Sequence[str],
    counts: Sequence[int],
    draws: int,
    seed: int,
    width: float,
) -> dict[str, list[Array]]:
    """The fields of each estimator, with an axis for the numbers of samples."""
    told: dict[str, list[list[Array]]] = {name: [] for name in names}
    for count in counts:
        rng = np.random.default_rng([seed, row, count])
        for name, gradients in _gradients(task, row, names, count, draws, rng).items():
            told[name].append(_summary(gradients, width))
    return {
        name: [np.stack(field) for field in zip(*each, strict=True)] for name, each in told.items()
    }


def _gradients(
    task: Reparametrised,
    row: int,
    names: Sequence[str],
    count: int,
    draws: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Independent draws of each estimator for one datum, `(R, P)`."""
    d = task.loc.shape[1]
    size = max(1, _NUMBERS // (count * max(d, 8)))
    rows = np.array([row])
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, draws, size):
        some = min(size, draws - start)
        e = rng.standard_normal((some * count, d))
        found = task.at(rows, e, decoder="decoder" in names)
        logs = found.logs.reshape(some, count)
        shares = np.exp(logs - log_sum_exp(logs)[:, None])
        for name in names:
            terms = task.terms(name, rows, e, found)[0].reshape(some, count, -1)
            weights = shares ** POWERS[name]
            parts[name].append(np.einsum("rk,rkj->rj", weights, terms))
    return {name: np.concatenate(each) for name, each in parts.items()}


def _summary(g: Array, width: float) -> list[Array]:
    """The fields of `SampledGradientNoise`, from draws `(R, P)`."""
    R = len(g)
    mean = g.mean(axis=0)
    away = g - mean
    variance = (away**2).sum(axis=0) / (R - 1)
    sd = np.sqrt(variance)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean_error = width * sd / np.sqrt(R)
        variance_error = width * (away**2 - variance).std(axis=0, ddof=1) / np.sqrt(R)
        signed = mean / sd
        # The influence of a draw on the ratio.
        unit = away / sd
        influence = unit - 0.5 * signed * (unit**2 - 1)
        ratio_error = width * influence.std(axis=0, ddof=1) / np.sqrt(R)
        total = variance.sum()
        square = (mean**2).sum() - total / R
        # Of the whole gradient: the influence on |E g|^2 / tr Cov g, and the noise of the square
        # of an estimated mean, which is left where the mean is zero.
        own = (2 * away @ mean - square / total * (away**2).sum(axis=1)) / total
        product = away.T @ away / (R - 1) if g.shape[1] <= R else away @ away.T / (R - 1)
        left = 2 * (product**2).sum() / total**2 / R**2
        off = width * np.sqrt(own.var(ddof=1) / R + left)
        ratio = square / total
    overall = np.sqrt(np.maximum([ratio, ratio - off, ratio + off], 0.0))
    return [
        mean, variance, mean_error, variance_error, np.abs(signed), ratio_error, *overall,
    ]  # fmt: skip
