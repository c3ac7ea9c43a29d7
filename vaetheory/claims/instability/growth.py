"""The growth of the ELBO as sigma falls, and its counterpart with BAGGINS, which is bounded."""

from __future__ import annotations

import numpy as np

from vaetheory import _gaussians
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds import baggins
from vaetheory.checking import Comparison
from vaetheory.checking.rates import extrapolate
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.rounding import gamma

LADDER = 1 / 2.0 ** np.arange(4)
# Presumed information in the bounded counterpart, in nats per dimension of a datum.
_PRESUMED = 2.0


def bounded_counterpart(
    decoder: Decoder, X: Array, posterior: Posterior, *, presumed: float = _PRESUMED
) -> tuple[float, float]:
    """BAGGINS minus the divergence from the prior, in nats per datum, and its upper bound.

    The expected residual comes from a Gauss-Hermite rule of the posterior: each node is a datum
    with the node's weight.
    """
    d = posterior.latent_dim
    nodes, weights = hermite_rule(7, d)
    z = posterior.loc[:, None] + nodes @ np.swapaxes(np.linalg.cholesky(posterior.cov), -1, -2)
    fits = np.asarray(decoder(z)).reshape(-1, X.shape[1])
    shares = np.tile(weights, len(X))
    term = baggins(
        np.repeat(X, len(weights), axis=0), fits, information=presumed, weights=shares
    ).value
    kl = _gaussians.kl_divergence(posterior.loc, posterior.cov, np.zeros(d), np.eye(d)).mean()
    variances = X.var(axis=0)
    most = -0.5 * (1 + LOG_2PI + np.log(variances)).sum() + presumed * X.shape[1]
    return float(term) - float(kl), float(most)


def growth(
    values: Array, errors: Array, scales: Array, *, slope: float, constant: float
) -> Comparison:
    """Comparison that values = constant - slope log(scales) + even powers of a halving scale.

    `scales` may fall by any constant factor, and the remainder must expand in even powers of what
    halves.
    """
    reduced = values + slope * np.log(scales)
    rounding = gamma(100) * np.abs(slope * np.log(scales))
    limit, left, noise = extrapolate(reduced, errors + rounding)
    size = 1 + float(np.abs(values).max())
    ratio = np.log(scales[:-1] / scales[1:])
    local = (values[1:] - values[:-1]) / ratio
    measured, off, unsure = extrapolate(local, (errors[1:] + errors[:-1]) / ratio)
    return Comparison.all_of(
        Comparison.identity(
            limit,
            constant,
            scale=size,
            expansion=left,
            numerics=noise,
            predicted=gamma(100) * (1 + abs(constant)),
        ),
        Comparison.identity(measured, slope, scale=1.0, expansion=off, numerics=unsure),
    )


def counterpart_is_bounded(decoder: Decoder, X: Array, posterior: Posterior) -> Comparison:
    """Check that BAGGINS minus the divergence from the prior is below its bound."""
    value, most = bounded_counterpart(decoder, X, posterior)
    size = 1 + abs(value) + abs(most)
    return Comparison.at_most(value, most, scale=size, rounding=gamma(1000) * size)
