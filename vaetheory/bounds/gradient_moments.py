"""The exact mean and variance of stochastic gradients of the ELBO and of bounds of K samples."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.shifted_lattices import SAFETY
from vaetheory._quadrature.weight_ratios import Moments, WeightedSums
from vaetheory._validation import (
    Array,
    Index,
    fraction,
    integer,
    option,
    require_callable,
    sequence,
)
from vaetheory._value_equality import ByValue
from vaetheory.bounds import _weight_nodes as nodes
from vaetheory.bounds._reparametrised import ESTIMATORS, POWERS, AtNodes, Reparametrised, Scores
from vaetheory.bounds.gaussian_elbo import flatten, integrand_rounding
from vaetheory.bounds.importance_weighting import MAX_NODES, sample_counts
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Log weights that span more nats than this are not integrated.
WIDEST = 2.0**12
#: Lattices that are tried at most.
_FINEST = 8
#: Nodes of a mass so many nats below the greatest are left out, and nothing should be left so many
#: standard deviations from the mean of q: for one sample, and for more, which feel weights that
#: grow far out.
_LOST, _FAR = {False: 48.0, True: 72.0}, {False: 9.5, True: 11.3}
#: That all K weights are in a part of the law of this probability does not matter; weights are
#: nothing beside others if they are this many nats below them.
_RARE, _NOTHING = 1e-19, 45.0
#: Numbers in a block of data: points of all laws and columns.
_BLOCK = 2**22


@dataclass(frozen=True, eq=False)
class GradientNoise(ByValue):
    """Mean and variance of a stochastic gradient, parameter by parameter.

    Attributes
    ----------
    mean, variance : array (..., P) or (..., n, P)
        Of one evaluation of the gradient for one datum. P is 2 d for an encoder: first the
        derivatives in the means m, then those in the logs of the scales. In nats per unit of the
        parameter.
    mean_error, variance_error : arrays
        Their error figures.
    """

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array

    @property
    def snr(self) -> Array:
        """Signal to noise ratio |mean| / sd; NaN where the variance is zero within its error."""
        known = self.variance > self.variance_error
        return np.where(
            known, np.abs(self.mean) / np.sqrt(np.where(known, self.variance, 1)), np.nan
        )

    @property
    def snr_error(self) -> Array:
        """Error figure of `snr`; infinite where it is NaN."""
        known = self.variance > self.variance_error
        variance = np.where(known, self.variance, 1.0)
        least = np.where(known, self.variance - self.variance_error, 1.0)
        off = np.abs(self.mean) * (1 / np.sqrt(least) - 1 / np.sqrt(variance))
        return np.where(known, self.mean_error / np.sqrt(least) + off, np.inf)


class _Sums(NamedTuple):
    """Moments of each lattice and of their union, about the centre c, `(n, C + 1, J)`."""

    centre: Array
    moments: Moments


class _Deep(NamedTuple):
    """Where weights are so small that they matter only if all K are.

    Attributes
    ----------
    floor : array (n,)
        Log weights below this are taken to be this.
    below : array (n, M)
        One at nodes where all K weights must be for that to matter.
    """

    floor: Array
    below: Array


class _Part(NamedTuple):
    """One number of samples of one estimator: `(n, J)` each."""

    mean: Array
    variance: Array
    mean_error: Array
    variance_error: Array
    rounding: tuple[Array, Array]
    size: Array


class _Task:
    """Moments of the estimators of some data, with finer and finer lattices."""

    def __init__(
        self, task: Reparametrised, names: Sequence[str], counts: Sequence[int], rtol: float
    ) -> None:
        self.task, self.names, self.counts, self.rtol = task, names, counts, rtol
        self.dim = task.loc.shape[1]
        self.rounding = integrand_rounding(task.reduced, task.loc, task.root @ _turned(task.root))

    def parts(self, rows: Index, number: int) -> Iterator[tuple[Index, dict[str, list[_Part]]]]:
        """The moments of some rows at a time, by the lattices of one step."""
        most = float(max(self.counts))
        rule = nodes.lattices(number, self.dim).within(_LOST[most > 1])
        masses = rule.masses(-0.5 * (rule.nodes**2).sum(axis=-1)[None])[0]
        found = self.task.at(rows, rule.nodes, decoder="decoder" in self.names)
        # Variances may be as small as 1 / K^3.
        chances = [(_RARE / float(k) ** 4) ** (1 / k) for k in self.counts if k > 1]
        floor, below = _deep(found.logs, masses / rule.count, min(chances, default=0.0))
        span = found.logs.max(axis=-1) - np.maximum(found.logs.min(axis=-1), floor)
        good = (span <= WIDEST) | (most == 1)
        size = max(1, int(_BLOCK / (64 * rule.count * (span[good].max(initial=0.0) + 90) * 16)))
        narrow = np.flatnonzero(good)
        for start in range(0, len(narrow), size):
            some = narrow[start : start + size]
            deep = _Deep(floor[some], below[some])
            yield rows[some], self._of(rows[some], rule, masses, _rows_of(found, some), deep)

    def _of(
        self, rows: Index, rule: nodes.Lattices, masses: Array, found: AtNodes, deep: _Deep
    ) -> dict[str, list[_Part]]:
        far = (rule.nodes**2).sum(axis=-1) > _FAR[max(self.counts) > 1] ** 2
        far = far.astype(float)
        lost = np.where(found.lost.any(axis=-1), np.inf, 0.0)
        lost = np.where((found.lost @ masses) * max(self.counts) < 1e-30, 0.0, lost)
        # The posterior's masses at the nodes, for the centres.
        likely = np.exp(found.logs - found.logs.max(axis=-1, keepdims=True)) * masses
        heights = likely / (masses * likely.sum(axis=-1, keepdims=True) / rule.count)
        likely /= likely.sum(axis=-1, keepdims=True)
        columns, centres = [], []
        for name in self.names:
            values = self.task.terms(name, rows, rule.nodes, found)
            centre = np.zeros((len(rows), values.shape[-1]))
            if POWERS[name] == 1:
                centre = np.einsum("nm,nmj->nj", likely, values)
            columns.append(values - centre[:, None])
            centres.append(centre)
        several = [k for k in self.counts if k > 1]
        sums: WeightedSums | None = None
        if several:
            own, every = np.broadcast_to(masses, found.logs.shape), np.concatenate(columns, axis=-1)
            logs = np.maximum(found.logs, deep.floor[:, None])
            sums = WeightedSums.of(logs, own, rule.owner, every, float(max(several)))
        told: dict[str, list[_Part]] = {}
        first = 0
        for name, away, centre in zip(self.names, columns, centres, strict=True):
            moments = dict.fromkeys(self.counts, _plain(away, masses, rule))
            last = first + away.shape[-1]
            if sums is not None:
                many = sums.moments(several, POWERS[name], slice(first, last))
                moments |= dict(zip(several, many, strict=True))
            parts = []
            for count in self.counts:
                part = self._summary(rows, _Sums(centre, moments[count]), found, POWERS[name])
                # Far out and beyond the lattices: K terms, each with its share of the sum.
                share = np.ones_like(heights)
                if count > 1:
                    share = np.minimum(share, 2 * heights / count) ** POWERS[name]
                # Below the floor it counts which is the greatest if all K are there.
                chance = np.zeros_like(heights)
                if count > 1:
                    rare = deep.below @ (masses / rule.count)
                    chance = deep.below * rare[:, None] ** (count - 1)
                beyond = masses * count / rule.count
                first_off = np.einsum("nm,nmj->nj", beyond * (share * far + chance), np.abs(away))
                second_off = np.einsum("nm,nmj->nj", beyond * (share**2 * far + chance), away**2)
                mean_error = part.mean_error + first_off + lost[:, None]
                variance_error = part.variance_error + second_off + lost[:, None]
                parts.append(part._replace(mean_error=mean_error, variance_error=variance_error))
            told[name], first = parts, last
        return told

    def _summary(self, rows: Index, sums: _Sums, found: AtNodes, power: int) -> _Part:
        mean, own, square = sums.moments
        variance = np.maximum(square - mean**2, 0.0)
        values, errors = [], []
        for all_ in (mean, variance):
            single, union = all_[:, :-1], all_[:, -1]
            off = SAFETY[self.dim] * np.ptp(single, axis=1)
            values.append(union)
            errors.append(off + np.abs(single.mean(axis=1) - union))
        # Sums of K terms: sqrt(K times the squares of the terms) bounds their moduli.
        size = np.sqrt(np.maximum(square, own)[:, -1])
        # Rounding of the nodes of the integral, which are as far apart as the weights.
        span = np.minimum(np.ptp(found.logs, axis=-1), WIDEST)[:, None]
        relative = gamma(100) + gamma(10) * span + 2 * power * self.rounding[rows, None]
        slope = self._slope_rounding(rows, size.shape[-1])
        lost = relative * size + slope
        both = 4 * relative * (square[:, -1] + mean[:, -1] ** 2) + 2 * slope * size
        return _Part(
            values[0] + sums.centre,
            values[1],
            errors[0] + lost + gamma(4) * np.abs(sums.centre),
            errors[1] + both,
            (lost, both),
            size,
        )

    def _slope_rounding(self, rows: Index, columns: int) -> Array:
        """How far the gradients are rounded: by as much as log p over a standard deviation."""
        if columns != 2 * self.dim:
            return self.rounding[rows, None] * np.ones(columns)
        inverse = np.linalg.inv(self.task.root[rows])
        across = np.sqrt((inverse**2).sum(axis=-2))
        each = np.concatenate([across, 3 * np.ones_like(across)], axis=-1)
        return self.rounding[rows, None] * each


def _deep(logs: Array, masses: Array, chance: float) -> tuple[Array, Array]:
    """The fields of `_Deep` of log weights `(n, M)` at nodes of masses `(M,)`."""
    order = np.argsort(logs, axis=-1)
    rare = np.cumsum(masses[order], axis=-1) < chance
    rising = np.take_along_axis(logs, order, axis=-1)
    quantile = rising[np.arange(len(logs)), np.minimum(rare.sum(axis=-1), logs.shape[-1] - 1)]
    return quantile - _NOTHING, (logs < quantile[:, None]).astype(float)


def _turned(root: Array) -> Array:
    return np.swapaxes(root, -1, -2)


def _rows_of(found: AtNodes, rows: Index) -> AtNodes:
    scores = None if found.scores is None else found.scores[rows]
    return AtNodes(found.logs[rows], found.slope[rows], scores, found.lost[rows])


def _plain(away: Array, masses: Array, rule: nodes.Lattices) -> Moments:
    """Moments of one term, of each lattice and of their union."""
    owner = np.arange(rule.count)[:, None] == rule.owner
    each = np.where(owner, masses, 0.0)
    each = np.concatenate([each, each.mean(axis=0, keepdims=True)])
    mean = np.einsum("cm,nmj->ncj", each, away)
    square = np.einsum("cm,nmj->ncj", each, away**2)
    return Moments(mean, square, square)


def gradient_noise(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    K: Any = 1,
    estimators: Sequence[str] = ("total", "path", "dreg"),
    *,
    scores: Scores | None = None,
    rtol: float = 1e-8,
    max_nodes: int = MAX_NODES,
) -> dict[str, GradientNoise]:
    """Mean and variance of estimators of the gradient of the bound of K samples, without sampling.

    The bound is L_K = E log((w_1 + ... + w_K) / K), w = p(x, z) / q(z), the ELBO for K = 1, and one
    evaluation of an estimator uses K latents z = m + L e from q = N(m, L L^T). With
    u_k = w_k / (w_1 + ... + w_K) the estimators are

    - "total": the derivative of the sampled bound itself, sum of u_k d log w_k. For K = 1 this is
      the gradient with the entropy in closed form.
    - "path": sum of u_k d log w_k with the parameters of q held fixed inside log q ("sticking the
      landing"). It is biased for K > 1.
    - "dreg": the same with u_k^2, the doubly reparametrised gradient, unbiased for all K. For
      K = 1 it is "path".
    - "kl", for K = 1 only: the divergence from the prior in closed form, and only the log
      likelihood sampled.
    - "decoder": sum of u_k d log p(x given z_k) in parameters of the decoder.

    Parameters
    ----------
    model : LatentModel
        With at most three latents; of more, see `sampled_gradient_noise`.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.
    K : int or list of int (n,)
        Numbers of samples.
    estimators : sequence of str
        Which of them.
    scores : callable, optional
        For "decoder": the gradient of log p(x given z) in parameters of the decoder, for data
        `(n, 1, D)` and latents `(n, M, d)`, as `(n, M, p)`. By default the parameters are a bias
        that is added to the decoder's outputs.
    rtol : float
        Tolerance of each mean and variance, relative to the size of the estimator; 1e-13 to 0.1.
    max_nodes : int
        Nodes of the finest lattices for one datum.

    Returns
    -------
    dict of str to GradientNoise
        For each estimator. Arrays `(..., P)`, or `(..., n, P)` for a list of K. P is 2 d: the
        derivatives in m, then in t, where exp(t_j) multiplies the j-th column of the Cholesky
        factor of q's covariance; for a diagonal q, t_j is the log of the j-th standard deviation.
        For "decoder" it is the number of its parameters. The errors are estimates: a multiple of
        the spread of lattices over q at irregular shifts, plus rounding. Where log weights span
        more than 4,096 nats nothing is known: NaN with an infinite error. A bump between all nodes
        is not seen.

    Raises
    ------
    ValueError
        If shapes do not fit, there are more than three latents, the data are outside the
        likelihood's support, K or the tolerance is out of range, an estimator is unknown or "kl" is
        asked for with K > 1, or the decoder returns NaN.

    Notes
    -----
    Source: claim 20; 1/S and 1/S^2 are integrals of exp(-t S), so that the moments of ratios of
    sums are one-dimensional integrals. The estimators are those of 1703.09194 and 1810.04152.

    Examples
    --------
    At the exact posterior only the path estimator has no noise.

    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import gradient_noise
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> found = gradient_noise(model, [0.0], Posterior([0.0], cov=[[0.5]]))
    >>> [(found[name].variance + 0).round(9).tolist() for name in ("total", "path")]
    [[2.0, 2.0], [0.0, 0.0]]

    With more samples the total gradient of an encoder loses its signal, the other keeps it.

    >>> found = gradient_noise(model, [0.0], Posterior([0.3], scale=1.0), [10, 1000])
    >>> [found[name].snr[:, 0].round(3).tolist() for name in ("total", "dreg")]
    [[0.062, 0.006], [1.106, 11.278]]
    """
    counts, single = sample_counts("K", K)
    names = estimator_names(estimators, counts)
    fraction("rtol", rtol, low=1e-13, high=0.1)
    integer("max_nodes", max_nodes, low=1)
    if scores is not None:
        require_callable("scores", scores, "data (n, 1, D) and latents (n, M, d) -> (n, M, p)")
    data, loc, cov = flatten(model, X, posterior)
    d = model.latent_dim
    if d > nodes.LARGEST_DIM:
        raise ValueError(
            f"model: expected at most {nodes.LARGEST_DIM} latents for lattices over them (of more, "
            f"see sampled_gradient_noise), got {d}"
        )
    root = np.linalg.cholesky(cov)
    task = _Task(
        Reparametrised(model, data, model.reduced(data), loc, root, scores), names, counts, rtol
    )
    found: dict[str, list[Array]] = {}
    active, number = np.arange(len(data)), 0
    while len(active) and number < _FINEST:
        size = nodes.nodes_of(number, d)
        if number and size > max_nodes:
            break
        good = np.zeros(len(data), dtype=bool)
        for rows in nodes.chunks(active, int(size) * 4 * d):
            for some, told in task.parts(rows, number):
                good[some] = _keep(found, some, told, (len(data), len(counts)), rtol)
        active = active[~good[active]]
        number += 1
    shape = posterior.loc.shape[:-1] if single else (*posterior.loc.shape[:-1], len(counts))
    if "decoder" in names and "decoder" not in found:
        # All weights span too much: only the number of parameters is left to be said.
        at = task.task.at(np.arange(1), np.zeros((1, d)), decoder=True)
        assert at.scores is not None
        found["decoder"] = _nothing((len(data), len(counts), at.scores.shape[-1]))
    nothing = _nothing((len(data), len(counts), 2 * d))
    return {
        name: GradientNoise(*(a.reshape(*shape, a.shape[-1]) for a in found.get(name, nothing)))
        for name in names
    }


def estimator_names(estimators: Sequence[str], counts: Sequence[int]) -> list[str]:
    """The estimators that are asked for, or a ValueError."""
    if isinstance(estimators, str):
        estimators = (estimators,)
    names = [option("estimators", name, ESTIMATORS) for name in sequence("estimators", estimators)]
    if "kl" in names and max(counts) > 1:
        raise ValueError(
            f"estimators: expected others than 'kl' with more than one sample, got K = {counts}"
        )
    return names


def _nothing(shape: tuple[int, ...]) -> list[Array]:
    return [np.full(shape, fill) for fill in (np.nan, np.nan, np.inf, np.inf)]


def _keep(
    found: dict[str, list[Array]],
    rows: Index,
    told: dict[str, list[_Part]],
    shape: tuple[int, int],
    rtol: float,
) -> NDArray[np.bool_]:
    """Write the values of some rows down; return which of them are as good as asked."""
    good = np.ones(len(rows), dtype=bool)
    for name, parts in told.items():
        if name not in found:
            found[name] = _nothing((*shape, parts[0].mean.shape[-1]))
        for place, part in enumerate(parts):
            for array, value in zip(found[name], part[:4], strict=True):
                array[rows, place] = value
            square = part.size**2
            fine = part.variance_error <= np.maximum(rtol * square, 4 * part.rounding[1])
            fine &= part.mean_error <= np.maximum(rtol * part.size, 4 * part.rounding[0])
            good &= fine.all(axis=-1)
    return good
