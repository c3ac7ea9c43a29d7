"""Gradients of log weights at reparametrised latents z = m + L e, for the estimators of a bound.

The parameters of q = N(m, L L^T) are m and t, where the j-th column of L is multiplied by exp(t_j):
for a diagonal q, t_j moves the log of the j-th standard deviation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np

from vaetheory._trust import unchecked
from vaetheory._validation import Array, Index
from vaetheory.models import LatentModel, ReducedModel

#: Gradient of log p(x given z) in parameters of the decoder: data `(n, 1, D)`, latents `(n, M, d)`,
#: to `(n, M, p)`.
Scores: TypeAlias = "Callable[[Array, Array], Array]"

ESTIMATORS = ("total", "path", "dreg", "kl", "decoder")
#: The power of the weights with which an estimator averages its terms.
POWERS = {"total": 1, "path": 1, "dreg": 2, "kl": 1, "decoder": 1}
#: Numbers in a block: outputs of the decoder at some nodes.
_OUTPUTS = 2**18
#: Log weights are clipped to this size.
_LARGEST = 1e300


class AtNodes(NamedTuple):
    """What the estimators need at latents `(n, M, d)`.

    Attributes
    ----------
    logs : array (n, M)
        Log of p(x, z) / q(z), up to a constant for each datum.
    slope : array (n, M, d)
        Gradient in z of log p(x given z).
    scores : array (n, M, p) or None
        Gradient in the decoder's parameters.
    lost : array of bool (n, M)
        Where a gradient is not finite; it is zero there.
    """

    logs: Array
    slope: Array
    scores: Array | None
    lost: Array


@dataclass(frozen=True)
class Reparametrised:
    """Data, and one Gaussian for each.

    Attributes
    ----------
    model : LatentModel
        The model itself, in whose outputs scores are.
    data : array (N, D)
        The data.
    reduced : ReducedModel
        The model with fewer outputs.
    loc, root : array (N, d), (N, d, d)
        m and the Cholesky factors L.
    scores : callable or None
        See `Scores`; by default that of the decoder's outputs, of a bias that is added to them.
    """

    model: LatentModel
    data: Array
    reduced: ReducedModel
    loc: Array
    root: Array
    scores: Scores | None = None

    def at(self, rows: Index, e: Array, *, decoder: bool) -> AtNodes:
        """Log weights and gradients at e `(M, d)` or `(n, M, d)`."""
        z = self.loc[rows, None] + e @ np.swapaxes(self.root[rows], -1, -2)
        size = max(1, _OUTPUTS // (len(rows) * self.model.param_dim))
        with unchecked():
            parts = [
                self._part(rows, z[:, i : i + size], decoder) for i in range(0, z.shape[1], size)
            ]
        joint = np.concatenate([p[0] for p in parts], axis=1)
        slope = np.concatenate([p[1] for p in parts], axis=1)
        scores = np.concatenate([p[2] for p in parts], axis=1) if decoder else None
        joint -= 0.5 * (z**2).sum(axis=-1)
        logs = np.clip(joint + 0.5 * (e**2).sum(axis=-1), -_LARGEST, _LARGEST)
        lost = ~np.isfinite(slope).all(axis=-1)
        slope = np.where(lost[..., None], 0.0, slope)
        if scores is not None:
            away = ~np.isfinite(scores).all(axis=-1)
            scores = np.where(away[..., None], 0.0, scores)
            lost = lost | away
        return AtNodes(logs, slope, scores, lost)

    def _part(self, rows: Index, z: Array, decoder: bool) -> tuple[Array, Array, Array]:
        small, x = self.reduced.model, self.reduced.data[rows, None]
        params = small.decode(z)
        found = small.likelihood.log_prob(x, params)
        score = small.likelihood.score(x, params)
        slope = small.decoder.vjp(z, score)
        if not decoder:
            return found, slope, score
        whole = self.data[rows, None]
        if self.scores is not None:
            own = np.asarray(self.scores(whole, z), dtype=float)
            if own.shape[:-1] != z.shape[:-1] or own.ndim != z.ndim:
                raise ValueError(
                    f"scores: expected shape {(*z.shape[:-1], 'p')} for latents of shape "
                    f"{z.shape}, got {own.shape}"
                )
        elif small is self.model:
            own = score
        else:
            own = self.model.likelihood.score(whole, self.model.decode(z))
        return found, slope, own

    def terms(self, name: str, rows: Index, e: Array, found: AtNodes) -> Array:
        """What an estimator averages, `(n, M, 2 d)`, or `(n, M, p)` for the decoder.

        The derivatives in m, then those in t.
        """
        if name == "decoder":
            assert found.scores is not None
            return found.scores
        root = self.root[rows]
        if name == "kl":
            # Of the divergence from the prior in closed form, 1/2 (|L|^2 + |m|^2) - log det L.
            first = found.slope - self.loc[rows, None]
            second = e * (found.slope @ root) + 1 - (root**2).sum(axis=-2)[:, None]
            return np.concatenate([first, second], axis=-1)
        z = self.loc[rows, None] + e @ np.swapaxes(root, -1, -2)
        slope = found.slope - z
        if name == "total":
            return np.concatenate([slope, e * (slope @ root) + 1], axis=-1)
        # The gradient of log q(z) is -L^-T e.
        inverse = np.linalg.inv(root)
        return np.concatenate([slope + e @ inverse, e * (slope @ root + e)], axis=-1)
