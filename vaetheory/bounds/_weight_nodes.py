"""Laws of the importance weights p(x, z) / q(z), from lattices over q and over the posterior."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import numpy as np

from vaetheory._gaussians import LOG_2PI, standard_log_prob
from vaetheory._quadrature import engine, whitened_lattice
from vaetheory._quadrature.weight_law import Transform, WideLaw, blocks, law_of
from vaetheory._trust import unchecked
from vaetheory._validation import Array, Index
from vaetheory.models import ReducedModel

Law: TypeAlias = "Transform | WideLaw"

#: Step of the coarsest lattices by dimension, in standard deviations; each further step is smaller
#: by the factor. Lattices end at twelve standard deviations along each axis.
_STEPS = {1: 0.2, 2: 0.3, 3: 0.5}
_FINER = {1: 2.0, 2: 2**0.75, 3: 2**0.5}
_SPAN = 12.0
#: The greatest dimension of the latents.
LARGEST_DIM = max(_STEPS)
#: Nodes whose mass, times the number of weights, is this many nats below one are left out.
_LOST = 48.0
#: Log weights are clipped to this size.
_LARGEST = 1e300
#: Numbers in a block: outputs of the decoder at some nodes, and masses of laws.
_OUTPUTS, _MASSES = 2**18, 2**21
#: Tolerance of the posterior's moments, and the evaluations that they may cost.
_MOMENTS, _BUDGET = 1e-9, 2_000_000


@dataclass(frozen=True)
class Lattices:
    """Shifted lattices in whitened coordinates, and the masses of N(0, I) at their nodes.

    Attributes
    ----------
    nodes : array (M, d)
    log_weights : array (M,)
        Log volumes.
    owner : array of int (M,)
        The lattice of each node.
    """

    nodes: Array
    log_weights: Array
    owner: Index

    def __len__(self) -> int:
        return len(self.nodes)

    @property
    def count(self) -> int:
        """Number of lattices."""
        return int(self.owner.max()) + 1

    def within(self, nats: float) -> Lattices:
        """The nodes where the density of N(0, I) is at most so many nats below its greatest."""
        keep = (self.nodes**2).sum(axis=-1) <= 2 * nats
        return Lattices(self.nodes[keep], self.log_weights[keep], self.owner[keep])

    def masses(self, logs: Array) -> Array:
        """Log densities `(n, M)` as masses that sum to one over each lattice."""
        logs = logs + self.log_weights
        masses = np.exp(logs - logs.max(axis=-1, keepdims=True))
        total = np.stack([masses[:, self.owner == k].sum(axis=-1) for k in range(self.count)])
        masses /= total.T[:, self.owner]
        return masses


@lru_cache(maxsize=6)
def lattices(number: int, dim: int) -> Lattices:
    """Lattices within twelve standard deviations; number 0 is the coarsest."""
    step = _STEPS[dim] / _FINER[dim] ** number
    # Not kept twice, nor in the place of the lattices of other integrals.
    rule = whitened_lattice.lattice_rule.__wrapped__(dim, step, _SPAN * np.sqrt(dim))
    return Lattices(rule.nodes, rule.log_weights, rule.lattice.argmax(axis=-1))


def nodes_of(number: int, dim: int) -> float:
    """About how many nodes the lattices have."""
    return len(lattices(0, dim)) * _FINER[dim] ** (number * dim)


@dataclass(frozen=True)
class Weights:
    """The importance weights of data under one Gaussian each.

    Attributes
    ----------
    reduced : ReducedModel
    loc : array (N, d)
    root : array (N, d, d)
        Cholesky factors of the covariances.
    """

    reduced: ReducedModel
    loc: Array
    root: Array

    def log_joint(self, rows: Index, z: Array) -> Array:
        """Log p(x, z) of some data at latents `(n, M, d)`."""
        model, data = self.reduced.model, self.reduced.data[rows, None]
        size = max(1, _OUTPUTS // (len(rows) * model.param_dim))
        with unchecked():
            parts = [model.log_joint(data, z[:, i : i + size]) for i in range(0, z.shape[1], size)]
        found = np.concatenate(parts, axis=1) + self.reduced.offset[rows, None]
        return np.clip(found, -_LARGEST, _LARGEST)

    def at(self, rows: Index, rule: Lattices) -> tuple[Array, Array]:
        """Log weights at the nodes of q, and their masses under q, both `(n, M)`."""
        root = self.root[rows]
        z = self.loc[rows, None] + rule.nodes @ np.swapaxes(root, -1, -2)
        own = standard_log_prob(rule.nodes)
        logs = self.log_joint(rows, z) - own + self._log_root(rows)
        return logs, np.broadcast_to(rule.masses(own[None]), logs.shape)

    def _log_root(self, rows: Index) -> Array:
        diagonal = np.diagonal(self.root[rows], axis1=-2, axis2=-1)
        return np.log(diagonal).sum(axis=-1)[:, None]

    def elsewhere(
        self, rows: Index, loc: Array, root: Array, rule: Lattices
    ) -> tuple[Array, Array, Array]:
        """Log weights at nodes around other means, their masses under the posterior, and p(x).

        The last is the log of the sum of p(x, z) over all lattices, `(n,)`.
        """
        z = loc[rows, None] + rule.nodes @ np.swapaxes(root[rows], -1, -2)
        joint = self.log_joint(rows, z)
        away = np.linalg.solve(self.root[rows], np.swapaxes(z - self.loc[rows, None], -1, -2))
        own = -0.5 * ((away**2).sum(axis=-2) + z.shape[-1] * LOG_2PI) - self._log_root(rows)
        volume = joint + rule.log_weights
        top = volume.max(axis=-1)
        sums = np.exp(volume - top[:, None]).sum(axis=-1) / rule.count
        log_det = np.linalg.slogdet(root[rows])[1]
        return joint - own, rule.masses(joint), top + np.log(sums) + log_det


def chunks(rows: Index, nodes: int) -> Iterator[Index]:
    """Data for which the arrays over all nodes fit in memory at once."""
    size = max(1, _MASSES // (8 * nodes))
    for start in range(0, len(rows), size):
        yield rows[start : start + size]


def laws_of_q(
    weights: Weights, rows: Index, number: int, most: float
) -> Iterator[tuple[Index, Law]]:
    """The laws of the weights under q, of each lattice and of their mean, for some rows each."""
    rule = lattices(number, weights.loc.shape[-1]).within(_LOST + np.log(most))
    logs, masses = weights.at(rows, rule)
    for block in blocks(logs, rule.count):
        law = law_of(logs[block], masses[block], rule.owner, most)
        yield rows[block], law.united(slice(0, rule.count))


@dataclass(frozen=True)
class Frame:
    """Means and factors of the covariances of posteriors, `(N, d)` and `(N, d, d)`.

    Attributes
    ----------
    loc, root : arrays
    evidence : array (N,)
        The log evidence.
    error : array (N,)
        Its error figure.
    """

    loc: Array
    root: Array
    evidence: Array
    error: Array

    @classmethod
    def of(cls, weights: Weights) -> Frame:
        """The exact moments of the posteriors."""
        d = weights.loc.shape[-1]
        reduced = weights.reduced

        def moments(z: Array) -> Array:
            products = z[..., :, None] * z[..., None, :]
            return np.concatenate([z, products.reshape(*z.shape[:-1], d * d)], axis=-1)

        found = engine.run(
            reduced.model, reduced.data, rtol=_MOMENTS, max_nodes=_BUDGET, observable=moments
        )
        with np.errstate(all="ignore"):
            mean = found.sums.moment / found.sums.total[:, None]
        # Where the engine gave up, the frame is that of q, and the evidence is not known.
        known = np.asarray(np.isfinite(mean).all(axis=-1))
        product = weights.root @ np.swapaxes(weights.root, -1, -2)
        square = product + weights.loc[:, :, None] * weights.loc[:, None, :]
        own = np.concatenate([weights.loc, square.reshape(-1, d * d)], axis=-1)
        mean = np.where(known[:, None], mean, own)
        loc = mean[:, :d]
        square = mean[:, d:].reshape(-1, d, d)
        cov = square - loc[:, :, None] * loc[:, None, :]
        cov = (cov + np.swapaxes(cov, -1, -2)) / 2
        values, axes = np.linalg.eigh(cov)
        # Far from the origin digits cancel: then a frame is a little wider than the posterior.
        least = 1e-13 * np.einsum("nii->n", square)[:, None]
        root = axes * np.sqrt(np.maximum(values, least))[:, None, :]
        value = np.where(known, found.value, 0.0) + reduced.offset
        return cls(loc, root, value, np.where(known, found.error, np.inf))


class Both(NamedTuple):
    """The laws of the weights of some rows, at the same nodes of the integral.

    Attributes
    ----------
    rows : array of int (n,)
    of_q, of_posterior : Transform or WideLaw
        Of each lattice, and of their mean.
    missed : array (n,)
        How far the lattices over the posterior miss the evidence, in nats.
    """

    rows: Index
    of_q: Law
    of_posterior: Law
    missed: Array


def laws_of_both(
    weights: Weights, frame: Frame, rows: Index, number: int, most: float
) -> Iterator[Both]:
    """The laws of the weights under q and under the posterior."""
    full = lattices(number, weights.loc.shape[-1])
    rule = full.within(_LOST + np.log(most))
    logs, masses = weights.at(rows, rule)
    others, theirs, evidence = weights.elsewhere(rows, frame.loc, frame.root, full)
    logs = np.concatenate([logs, others], axis=1)
    masses = np.concatenate([masses, theirs], axis=1)
    owner, count = np.concatenate([rule.owner, rule.count + full.owner]), rule.count
    missed = np.abs(evidence - frame.evidence[rows])
    missed[np.isinf(frame.error[rows])] = np.inf
    for block in blocks(logs, 2 * count):
        found = law_of(logs[block], masses[block], owner, most)
        yield Both(
            rows[block],
            found.united(slice(0, count)),
            found.united(slice(count, 2 * count)),
            missed[block],
        )
