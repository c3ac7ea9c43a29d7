"""Noise of stochastic gradients in any latent dimension, measured by samples, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array, Index, fraction, integer, require_callable
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
        `|mean| / sd` of each parameter, and the half width of its interval.
    overall, overall_low, overall_high : arrays (...) or (..., n)
        `|E g| / sqrt(tr Cov g)` of the whole gradient of a datum, and its interval. The estimate of
        `|E g|^2` is free of the noise that adds to the square of an estimated mean.
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
    size = max(1, _NUMBERS // (draws * min(counts) * max(model.latent_dim, 8)))
    found: dict[str, list[list[Array]]] = {name: [] for name in names}
    for start in range(0, len(data), size):
        rows = np.arange(start, min(start + size, len(data)))
        told: dict[str, list[list[Array]]] = {name: [] for name in names}
        for count in counts:
            drawn = _gradients(task, rows, names, count, draws, seed)
            for name, gradients in drawn.items():
                told[name].append(_summary(gradients, width))
        for name, each in told.items():
            # An axis for the numbers of samples, after that of the data.
            found[name].append([np.stack(f, axis=1) for f in zip(*each, strict=True)])
    lead = posterior.loc.shape[:-1] if single else (*posterior.loc.shape[:-1], len(counts))
    return {
        name: SampledGradientNoise(**_joined(blocks, lead), draws=draws)
        for name, blocks in found.items()
    }


def _joined(blocks: list[list[Array]], lead: tuple[int, ...]) -> dict[str, Array]:
    """Fields of blocks of data `(m, n, P)` or `(m, n)`, with the leading axes asked for."""
    arrays = [np.concatenate(field) for field in zip(*blocks, strict=True)]
    return {n: a.reshape((*lead, *a.shape[2:])) for n, a in zip(_FIELDS, arrays, strict=True)}


def _gradients(
    task: Reparametrised, rows: Index, names: Sequence[str], count: int, draws: int, seed: int
) -> dict[str, Array]:
    """Independent draws of each estimator for some data, `(n, R, P)`."""
    d, n = task.loc.shape[1], len(rows)
    size = max(1, _NUMBERS // (n * count * max(d, 8)))
    random = [np.random.default_rng([seed, row, count]) for row in rows]
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, draws, size):
        some = min(size, draws - start)
        e = np.stack([rng.standard_normal((some * count, d)) for rng in random])
        found = task.at(rows, e, decoder="decoder" in names)
        logs = found.logs.reshape(n, some, count)
        shares = np.exp(logs - log_sum_exp(logs)[..., None])
        for name in names:
            terms = task.terms(name, rows, e, found).reshape(n, some, count, -1)
            parts[name].append(np.einsum("nrk,nrkj->nrj", shares ** POWERS[name], terms))
    return {name: np.concatenate(each, axis=1) for name, each in parts.items()}


def _summary(g: Array, width: float) -> list[Array]:
    """The fields of `SampledGradientNoise`, from draws `(n, R, P)`."""
    R = g.shape[1]
    mean = g.mean(axis=1, keepdims=True)
    away = g - mean
    variance = (away**2).sum(axis=1, keepdims=True) / (R - 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        sd = np.sqrt(variance)
        signed, unit = mean / sd, away / sd
        # The influence of a draw on the ratio.
        influence = unit - 0.5 * signed * (unit**2 - 1)
        errors = (away, away**2 - variance, influence)
        offs = [width * a.std(axis=1, ddof=1) / np.sqrt(R) for a in errors]
        total = variance.sum(axis=-1)
        square = (mean**2).sum(axis=-1) - total / R
        # Of the whole gradient: the influence on |E g|^2 / tr Cov g, and the noise of the square
        # of an estimated mean, which is left where the mean is zero.
        along, whole = (away * mean).sum(axis=-1), (away**2).sum(axis=-1)
        own = (2 * along - square / total * whole) / total
        product = np.swapaxes(away, 1, 2) @ away / (R - 1)
        left = 2 * (product**2).sum(axis=(1, 2)) / total[:, 0] ** 2 / R**2
        off = width * np.sqrt(own.var(axis=1, ddof=1) / R + left)
        ratio = (square / total)[:, 0]
    overall = np.sqrt(np.maximum([ratio, ratio - off, ratio + off], 0.0))
    return [mean[:, 0], variance[:, 0], offs[0], offs[1], np.abs(signed[:, 0]), offs[2], *overall]
