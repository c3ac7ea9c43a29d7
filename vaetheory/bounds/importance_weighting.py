"""The exact importance weighted bounds of a Gaussian posterior, for any number of samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory._quadrature.result import GAVE_UP, NOT_REACHED, REACHED, Integral
from vaetheory._quadrature.shifted_lattices import SAFETY
from vaetheory._quadrature.weight_law import Mean, Transform, WideLaw
from vaetheory._validation import Array, Index, fraction, integer
from vaetheory.bounds import _weight_nodes as nodes
from vaetheory.bounds.gaussian_elbo import flatten, integrand_rounding
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: The largest number of samples.
MOST_SAMPLES = 10**15
MAX_NODES = 2_000_000
#: Lattices that are tried where finer ones do not help: log weights span too much, or the posterior
#: has mass far out.
_TRIED = 4


def sample_counts(name: str, value: Any) -> tuple[list[int], bool]:
    """The numbers of samples, and whether there was one by itself."""
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.ndarray | list | tuple):
        counts = list(value)
        if not counts or any(isinstance(k, np.ndarray | list | tuple) for k in counts):
            raise ValueError(
                f"{name}: expected an integer or a list of them, got shape {np.shape(value)}"
            )
        return [integer(name, k, low=1, high=MOST_SAMPLES) for k in counts], False
    return [integer(name, value, low=1, high=MOST_SAMPLES)], True


class Found(NamedTuple):
    """Means of log weights of some rows.

    Attributes
    ----------
    rows : array of int (n,)
    means : list of Mean
        For each number of samples: of all lattices, and of their union.
    more : array (n,)
        An error to be added, in nats.
    wide : bool
        Whether log weights span too much for finer lattices to help.
    """

    rows: Index
    means: list[Mean]
    more: Array
    wide: bool

    def summary(self, safety: float) -> tuple[Array, Array]:
        """Values and error figures, one column for each number of samples."""
        values, errors = np.empty((2, len(self.rows), len(self.means)))
        for k, mean in enumerate(self.means):
            single, union = mean.value[:, :-1], mean.value[:, -1]
            # Where nodes are too far apart the error is of second order and has one sign, and that
            # of the union of lattices is smaller than that of each.
            off = safety * np.ptp(single, axis=-1) + np.abs(single.mean(axis=-1) - union)
            values[:, k], errors[:, k] = union, off + mean.error[:, -1] + self.more
        return values, errors


class _Task:
    """A bound of some data for some numbers of samples, with finer and finer lattices."""

    def __init__(
        self,
        model: LatentModel,
        X: ArrayLike,
        posterior: Posterior,
        K: Any,
        rtol: float,
        max_nodes: int,
    ) -> None:
        self.rtol = fraction("rtol", rtol, low=1e-13, high=0.1)
        self.max_nodes = integer("max_nodes", max_nodes, low=1)
        self.counts, self.single = sample_counts("K", K)
        data, loc, cov = flatten(model, X, posterior)
        if model.latent_dim > nodes.LARGEST_DIM:
            raise ValueError(
                f"model: expected at most {nodes.LARGEST_DIM} latents for lattices over them, "
                f"got {model.latent_dim}"
            )
        self.shape = posterior.loc.shape[:-1]
        reduced = model.reduced(data)
        self.weights = nodes.Weights(reduced, loc, np.linalg.cholesky(cov))
        self.rounding = integrand_rounding(reduced, loc, cov)

    def run(self, means: Callable[[Index, int], Iterable[Found]], each: int) -> Integral:
        """Values of `means(rows, number)`, which evaluates every node `each` times.

        It gives the means of some of the rows at a time.
        """
        count, dim = self.weights.loc.shape
        value = np.full((count, len(self.counts)), np.nan)
        error = np.full(value.shape, np.inf)
        status: NDArray[np.str_] = np.full(value.shape, NOT_REACHED, dtype="<U11")
        active, spent, number = np.arange(count), 0, 0
        done = np.zeros(count, dtype=bool)
        while len(active) and (not number or nodes.nodes_of(number, dim) <= self.max_nodes):
            for rows in nodes.chunks(active, int(nodes.nodes_of(number, dim))):
                spent += each * len(rows) * len(nodes.lattices(number, dim))
                for found in means(rows, number):
                    value[found.rows], off = found.summary(SAFETY[dim])
                    error[found.rows] = off + self.rounding[found.rows, None]
                    hopeless = found.wide | (found.more > self.rtol)
                    done[found.rows] = hopeless & (number >= _TRIED)
            good = (error[active] <= self.rtol).all(axis=-1) | done[active]
            active = active[~good]
            number += 1
        status[error <= self.rtol] = REACHED
        status[error > self.rtol] = GAVE_UP
        shape = self.shape if self.single else (*self.shape, len(self.counts))
        return Integral(value, error, status, spent).reshape(shape)


def importance_weighted_bound(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    K: Any,
    *,
    rtol: float = 1e-8,
    max_nodes: int = MAX_NODES,
) -> Integral:
    """The importance weighted lower bound E_q log((w_1 + ... + w_K) / K), exactly, for any K.

    The weights are w = p(x, z) / q(z) of K independent z from q. For K = 1 it is the ELBO, it does
    not decrease in K, and it tends to log p(x). Nothing is sampled, and no integral has more than
    the dimensions of z: with phi(t) = E_q exp(-t w) the bound is a one-dimensional integral of
    (exp(-t) - phi(t / K)^K) / t.

    Parameters
    ----------
    model : LatentModel
        With at most three latents.
    X : array (..., D)
        The data.
    posterior : Posterior
        One Gaussian q per datum, with the leading axes of `X`.
    K : int or list of int (n,)
        Numbers of samples, from 1 to 10^15. Many cost little more than one.
    rtol : float
        Tolerance in nats, that is, relative to exp of the bound; 1e-13 to 0.1.
    max_nodes : int
        Nodes of the finest lattices for one datum.

    Returns
    -------
    Integral
        `value` `(...)`, or `(..., n)` for a list of K, in nats. `error` is an estimate: a multiple
        of the spread of lattices over q at irregular shifts, plus the rounding. The part of it
        that is due to the integral over t is a bound. Where log w changes by far more than a nat
        from node to node, as for a q far wider than the posterior, the tolerance may not be
        reached; where it spans more than 65,536 nats, the error is at least half of log K. A bump
        between all nodes is not seen.

    Raises
    ------
    ValueError
        If shapes do not fit, there are more than three latents, the data are outside the
        likelihood's support, K or the tolerance is out of range, or the decoder returns NaN.

    Notes
    -----
    Source: claim 14a; the bound is that of Burda et al., 1509.00519.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods, log_evidence
    >>> from vaetheory.bounds import importance_weighted_bound
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> found = importance_weighted_bound(
    ...     model, [0.0], Posterior([0.0], scale=1.0), [1, 10, 1000, 1000000]
    ... )
    >>> (found.value - log_evidence(model, [0.0]).value).round(8).tolist()
    [-0.15342641, -0.00810456, -7.738e-05, -8e-08]
    """
    task = _Task(model, X, posterior, K, rtol, max_nodes)
    most = float(max(task.counts))

    def means(rows: Index, number: int) -> Iterator[Found]:
        for some, law in nodes.laws_of_q(task.weights, rows, number, most):
            found = [law.log_mean(k) for k in task.counts]
            yield Found(some, found, np.zeros(len(some)), isinstance(law, WideLaw))

    return task.run(means, 1)


def importance_weighted_upper_bound(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    K: Any,
    *,
    rtol: float = 1e-8,
    max_nodes: int = MAX_NODES,
) -> Integral:
    """The upper bound E log((w_1 + ... + w_K) / K) with z_1 from the posterior, the rest from q.

    For K = 1 it is E_p(z|x) log w = log p(x) + KL(p(z|x) || q); it does not increase in K, and it
    tends to log p(x). It may be infinite or, for laws of w without variance, very slow.

    Parameters
    ----------
    model, X, posterior, K, rtol, max_nodes
        As for `importance_weighted_bound`.

    Returns
    -------
    Integral
        As of `importance_weighted_bound`, with lattices over the posterior as well: the mass that
        they miss of the evidence, times the range of log w, is part of the error.

    Raises
    ------
    ValueError
        As `importance_weighted_bound`.

    Notes
    -----
    Source: claim 15c. The upper bound minus log p(x) is a one-dimensional integral of
    (exp(-t) + phi'(t / K) phi(t / K)^(K - 1)) / t, where w is relative to p(x).

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods, log_evidence
    >>> from vaetheory.bounds import importance_weighted_upper_bound
    >>> model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> found = importance_weighted_upper_bound(
    ...     model, [0.0], Posterior([0.0], scale=1.0), [1, 10, 1000, 1000000]
    ... )
    >>> (found.value - log_evidence(model, [0.0]).value).round(8).tolist()
    [0.09657359, 0.00788297, 7.736e-05, 8e-08]
    """
    task = _Task(model, X, posterior, K, rtol, max_nodes)
    most = float(max(task.counts))
    frame = nodes.Frame.of(task.weights)

    def means(rows: Index, number: int) -> Iterator[Found]:
        for both in nodes.laws_of_both(task.weights, frame, rows, number, most):
            law, first = both.of_q, both.of_posterior
            if isinstance(law, WideLaw):
                assert isinstance(first, WideLaw)
                found = [law.log_mean(k, first) for k in task.counts]
            else:
                assert isinstance(first, Transform)
                found = [law.log_mean(k, first) for k in task.counts]
            wide = isinstance(law, WideLaw)
            yield Found(both.rows, found, both.missed * law.span, wide)

    return task.run(means, 2)
