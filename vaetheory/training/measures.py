"""What a trained density is worth on held-out data, datum by datum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from vaetheory._validation import LARGEST_DIMENSION, Array, generator, integer, require
from vaetheory._value_equality import ByValue
from vaetheory.evidence import log_evidence
from vaetheory.training.density import Density, blocks
from vaetheory.training.latent_lattice import lattice_evidence

#: Latent dimension of which the exact evidence is computed.
EXACT_DIM = 2
_RTOL = 1e-6
#: Data between two that `log_evidence` looks at as well.
_STRIDE = 10
#: Evaluations that `log_evidence` may spend on a datum.
_BUDGET = 10_000_000
#: An evidence that is this uncertain, in nats, is none.
UNRESOLVED = 1e-3


@dataclass(frozen=True, eq=False)
class Measures(ByValue):
    """Measures of each held-out datum, `(N,)` each, in nats.

    Attributes
    ----------
    elbo, elbo_error : array (N,)
        Evidence lower bound, and its standard error: sampled likelihood, divergence in closed form.
    importance, importance_error : array (N,)
        Importance-weighted bound of the same draws, and its standard error to first order.
    rate, distortion : array (N,)
        KL(q(z|x) || prior), and minus the expected log likelihood: elbo = -(rate + distortion).
    effective : array (N,)
        Effective number of draws, 1 / sum of squared normalised weights.
    evidence, evidence_error : array (N,) or None
        Exact log evidence and its error figure, an estimate; None but for 2-d latents.
    apart : float or None
        The largest difference of two routes to it, where both resolve a datum, nats.
    """

    elbo: Array
    elbo_error: Array
    importance: Array
    importance_error: Array
    rate: Array
    distortion: Array
    effective: Array
    evidence: Array | None = None
    evidence_error: Array | None = None
    apart: float | None = None


def sampled_measures(
    density: Density, X: Array, *, draws: int, rng: np.random.Generator
) -> Measures:
    """ELBO and importance-weighted bound (Burda et al., arXiv:1509.00519) of each datum.

    Parameters
    ----------
    density : Density
    X : array (N, D)
        Held-out data.
    draws : int
        K, draws from q(z|x) a datum.
    rng : Generator

    Raises
    ------
    ValueError
        If the data do not fit the model.
    FloatingPointError
        If a datum is so far out that its log likelihood overflows.

    Examples
    --------
    >>> from vaetheory.training import OBJECTIVES, Settings, density_of
    >>> X = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)
    >>> vae = Settings(hidden=(4,)).model(OBJECTIVES["half"], X, 1.5)
    >>> density = density_of(vae, vae.initial(0), X, seed=0)
    >>> found = sampled_measures(density, X[:3], draws=500, rng=np.random.default_rng(0))
    >>> bool((found.importance > found.elbo).all())
    True
    """
    X = require("density", density, Density).vae.checked("X", X)
    draws = integer("draws", draws, low=1, high=LARGEST_DIMENSION)
    generator("rng", rng)
    loc, scale = density.encode(X)
    rate = density.divergence(loc, scale)
    found = np.empty((5, len(X)))
    for rows in blocks(len(X), draws):
        noise = rng.standard_normal((len(X[rows]), draws, loc.shape[1]))
        z = loc[rows, None] + scale[rows, None] * noise
        likelihood = density.log_likelihood(X[rows], z)
        prior = -0.5 * ((z / density.prior_scale) ** 2).sum(axis=-1)
        prior -= np.log(density.prior_scale).sum()
        own = -0.5 * (noise**2).sum(axis=-1) - np.log(scale[rows]).sum(axis=-1)[:, None]
        weights = likelihood + prior - own
        level = logsumexp(weights, axis=1, keepdims=True)
        shares = np.exp(weights - level)
        square = (shares**2).sum(axis=1)
        found[:, rows] = (
            likelihood.mean(axis=1),
            likelihood.std(axis=1) / np.sqrt(draws),
            level[:, 0] - np.log(draws),
            # Relative deviation of the mean weight.
            np.sqrt(np.maximum(square - 1 / draws, 0.0)),
            1 / square,
        )
    expected, error, importance, importance_error, effective = found
    return Measures(
        expected - rate, error, importance, importance_error, rate, -expected, effective
    )


def exact_evidence(density: Density, X: Array) -> tuple[Array, Array, float | None]:
    """Exact log evidence of each datum, 2-d latents, by two routes where there are two.

    Returns
    -------
    value, error : arrays (N,)
        On lattices, see `lattice_evidence`. Where the likelihood has fixed variances and lattices
        do not resolve a datum, or differ from `log_evidence` on one of every tenth datum, all data
        are by `log_evidence`. The error is an estimate.
    apart : float or None
        Where the likelihood has fixed variances, the largest difference of the two, nats, on the
        data that lattices take for resolved and that `log_evidence` was asked for.

    Notes
    -----
    Both add up a positive integrand and err by what they do not find. Where they differ the
    greater is the evidence if it is that of `log_evidence`, which looks between the nodes; if it
    is that of the lattices the error is infinite.
    """
    X = require("density", density, Density).vae.checked("X", X)
    value, error = lattice_evidence(density, X, rtol=_RTOL)
    if density.log_sigma is None:
        return value, error, None
    model, resolved = density.latent_model(), error <= UNRESOLVED
    rows = np.arange(0, len(X), _STRIDE if resolved.all() else 1)
    while True:
        found = log_evidence(model, X[rows], rtol=_RTOL, max_nodes=_BUDGET)
        ahead = (found.value - value[rows])[resolved[rows]]
        apart = float(np.abs(ahead).max()) if ahead.size else None
        if len(rows) == len(X):
            break
        if apart is not None and apart <= UNRESOLVED:
            return value, error, apart
        rows = np.arange(len(X))
    lost = resolved & (value > found.value + UNRESOLVED)
    return found.value, np.where(lost, np.inf, found.error), apart
