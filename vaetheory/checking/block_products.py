"""Models in many dimensions whose evidence is exact: independent blocks behind a rotation.

The prior does not change under a rotation, so the evidence is the product of those of the blocks,
each of which has one or two latents and is integrated by quadrature.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vaetheory._validation import Array
from vaetheory._value_equality import ByValue
from vaetheory.decoders import Decoder
from vaetheory.evidence import Integral, log_evidence
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel


@dataclass(frozen=True, eq=False)
class BlockProduct(ByValue, Decoder):
    """Blocks f_b of some latents each, of the rotated latents z Q; their outputs are joined.

    Attributes
    ----------
    blocks : tuple of Decoder
        Each knows its `latent_dim`.
    rotation : array (d, d)
        Q, orthogonal.
    params_each : int
        Parameters of each data dimension, as of the likelihood: outputs of a block are cut into as
        many parts, and equal parts of all blocks are joined.

    Examples
    --------
    >>> from vaetheory.decoders import Circle
    >>> f = BlockProduct((Circle(1.0), Circle(2.0)), np.eye(2))
    >>> f([[0.0, 0.0]]).tolist(), f.latent_dim
    ([[1.0, 0.0, 2.0, 0.0]], 2)
    """

    blocks: tuple[Decoder, ...]
    rotation: Array
    params_each: int = 1

    @property
    def latent_dim(self) -> int:
        """Dimension d of the latents."""
        return len(self.rotation)

    def _latents(self, z: Array) -> Iterator[tuple[slice, Decoder, Array]]:
        turned = np.asarray(z) @ self.rotation
        start = 0
        for block in self.blocks:
            own = slice(start, start + _dim(block))
            start = own.stop
            yield own, block, turned[..., own]

    @cached_property
    def _order(self) -> list[int]:
        """Where each output stands among those of one block after the other."""
        sizes = [block(np.zeros((1, _dim(block)))).shape[-1] for block in self.blocks]
        starts = np.cumsum([0, *sizes])
        return [
            start + part * (size // self.params_each) + k
            for part in range(self.params_each)
            for start, size in zip(starts, sizes, strict=False)
            for k in range(size // self.params_each)
        ]

    def __call__(self, z: Array) -> Array:
        """Outputs, `(..., d) -> (..., D)`."""
        joined = np.concatenate([block(u) for _, block, u in self._latents(z)], axis=-1)
        return joined[..., self._order]

    def jacobian(self, z: Array) -> Array:
        """First derivatives, `(..., d) -> (..., D, d)`."""
        parts = [block.jacobian(u) @ self.rotation.T[own] for own, block, u in self._latents(z)]
        return np.concatenate(parts, axis=-2)[..., self._order, :]

    def hessian(self, z: Array) -> Array:
        """Second derivatives, `(..., d) -> (..., D, d, d)`."""
        parts = [
            self.rotation[:, own] @ block.hessian(u) @ self.rotation.T[own]
            for own, block, u in self._latents(z)
        ]
        return np.concatenate(parts, axis=-3)[..., self._order, :, :]

    def _shares(self, weights: Array) -> list[Array]:
        """Weights of the outputs of each block."""
        back = np.empty_like(weights)
        back[..., self._order] = weights
        sizes = [block(np.zeros((1, _dim(block)))).shape[-1] for block in self.blocks]
        return np.split(back, np.cumsum(sizes)[:-1], axis=-1)

    def vjp(self, z: Array, weights: Array) -> Array:
        """First derivatives of `weights . f`, `(..., d)`."""
        parts = [
            block.vjp(u, share)
            for (_, block, u), share in zip(self._latents(z), self._shares(weights), strict=True)
        ]
        return np.concatenate(parts, axis=-1) @ self.rotation.T

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        """Second derivatives of `weights . f`, `(..., d, d)`."""
        found = [
            self.rotation[:, own] @ block.weighted_hessian(u, share) @ self.rotation.T[own]
            for (own, block, u), share in zip(self._latents(z), self._shares(weights), strict=True)
        ]
        return np.sum(found, axis=0)


def _dim(block: Decoder) -> int:
    return int(block.latent_dim)  # type: ignore[attr-defined]


def rotation(dim: int, seed: int) -> Array:
    """A random rotation, `(dim, dim)`, of a seed."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
    return np.asarray(q * np.sign(np.diagonal(r)))


@dataclass(frozen=True, eq=False)
class BlockModel:
    """A latent model of independent blocks, whose evidence is exact.

    Attributes
    ----------
    model : LatentModel
    parts : tuple of LatentModel
        One for each block, with the same likelihood.
    """

    model: LatentModel
    parts: tuple[LatentModel, ...]

    @classmethod
    def of(cls, blocks: Sequence[Decoder], likelihood: Likelihood, seed: int) -> BlockModel:
        """A model of blocks with a likelihood that takes any number of data dimensions."""
        turn = rotation(sum(_dim(block) for block in blocks), seed)
        whole = BlockProduct(tuple(blocks), turn, likelihood.params_each)
        parts = tuple(LatentModel(block, likelihood) for block in blocks)
        return cls(LatentModel(whole, likelihood), parts)

    def log_evidence(self, X: Array, *, rtol: float = 1e-9) -> Integral:
        """The exact log evidences `(N,)`: sums over the blocks, errors included."""
        cuts = np.cumsum([part.data_dim for part in self.parts])[:-1]
        found = [
            log_evidence(part, x, rtol=rtol)
            for part, x in zip(self.parts, np.split(X, cuts, axis=-1), strict=True)
        ]
        status = np.where(
            np.all([f.reached for f in found], axis=0), found[0].status, "not reached"
        )
        return Integral(
            np.sum([f.value for f in found], axis=0),
            np.sum([f.error for f in found], axis=0),
            status,
            sum(f.nodes for f in found),
        )
