"""Measures of a trained density on each held-out datum: ELBO, weighted bound, exact evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from vaetheory._validation import LARGEST_DIMENSION, Array, generator, integer, require
from vaetheory._value_equality import ByValue
from vaetheory.bounds import Bracket
from vaetheory.evidence import log_evidence
from vaetheory.training.density import Density, blocks
from vaetheory.training.latent_lattice import lattice_evidence
from vaetheory.training.networks import Network

#: The exact evidence is computed for this latent dimension.
EXACT_DIM = 2
_RTOL = 1e-6
#: `log_evidence` checks one datum out of this many.
_STRIDE = 10
#: The most evaluations of `log_evidence` for a datum.
_BUDGET = 10_000_000
#: A datum with a greater error of the evidence, in nats, is unresolved.
UNRESOLVED = 1e-3


@dataclass(frozen=True, eq=False)
class Measures(ByValue):
    """Measures of each held-out datum, `(N,)` each, in nats.

    Attributes
    ----------
    elbo, elbo_error : array (N,)
        Evidence lower bound, from a sampled likelihood and a divergence in closed form, and its
        standard error.
    importance, importance_error : array (N,)
        Importance-weighted bound from the same draws, and its standard error to first order.
    rate, distortion : array (N,)
        KL(q(z|x) || prior), and minus the expected log likelihood: elbo = -(rate + distortion).
    effective : array (N,)
        Effective number of draws, 1 / sum of squared normalised weights.
    evidence, evidence_error : array (N,) or None
        Exact log evidence and an estimate of its error; None unless the latent has two dimensions.
    apart : float or None
        The largest difference, in nats, between two methods for the evidence on data that both of
        them resolve.
    estimates : Bracket or None
        Estimated log evidences of the first data, in any latent dimension.
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
    estimates: Bracket | None = None


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
        K, the number of draws from q(z|x) for each datum.
    rng : Generator

    Raises
    ------
    ValueError
        If the data do not fit the model.
    FloatingPointError
        If the log likelihood of a datum overflows.

    Examples
    --------
    >>> from vaetheory.training import OBJECTIVES, Settings, density_of
    >>> X = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)
    >>> vae = Settings(hidden=(4,)).model(OBJECTIVES["half"], X, 1.5)
    >>> density = density_of(vae, vae.initial(0), X, seed=0)
    >>> measures = sampled_measures(density, X[:3], draws=500, rng=np.random.default_rng(0))
    >>> bool((measures.importance > measures.elbo).all())
    True
    """
    X = require("density", density, Density).vae.checked("X", X)
    draws = integer("draws", draws, low=1, high=LARGEST_DIMENSION)
    generator("rng", rng)
    loc, scale = density.encode(X)
    rate = density.divergence(loc, scale)
    columns = np.empty((5, len(X)))
    for rows in blocks(len(X), draws, X.shape[1]):
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
        columns[:, rows] = (
            likelihood.mean(axis=1),
            likelihood.std(axis=1) / np.sqrt(draws),
            level[:, 0] - np.log(draws),
            # Relative standard error of the mean weight.
            np.sqrt(np.maximum(square - 1 / draws, 0.0)),
            1 / square,
        )
    expected, error, importance, importance_error, effective = columns
    return Measures(
        expected - rate, error, importance, importance_error, rate, -expected, effective
    )


def exact_evidence(density: Density, X: Array) -> tuple[Array, Array, float | None]:
    """Exact log evidence of each datum for 2-d latents, by two methods if both apply.

    Returns
    -------
    value, error : arrays (N,)
        Computed on lattices, see `lattice_evidence`. Unless the decoder returns
        variances or is convolutional, which takes it minutes a datum, `log_evidence` checks every
        tenth datum; if the two differ on one of them, or the lattices do not resolve a datum,
        `log_evidence` computes all data. The error is an estimate.
    apart : float or None
        If both apply: the largest difference of the two methods, in nats,
        on the data that `log_evidence` computed and the lattices resolve.

    Notes
    -----
    Both methods integrate a positive function, and their error is the mass that they miss. If they
    differ and `log_evidence`, which also looks between the nodes, is greater, it is the evidence;
    if the lattices are greater, the error is infinite.
    """
    X = require("density", density, Density).vae.checked("X", X)
    value, error = lattice_evidence(density, X, rtol=_RTOL)
    if density.of_variances or not isinstance(density.vae.decoder, Network):
        return value, error, None
    model, resolved = density.latent_model(), error <= UNRESOLVED
    rows = np.arange(0, len(X), _STRIDE if resolved.all() else 1)
    while True:
        quadrature = log_evidence(model, X[rows], rtol=_RTOL, max_nodes=_BUDGET)
        difference = (quadrature.value - value[rows])[resolved[rows]]
        apart = float(np.abs(difference).max()) if difference.size else None
        if len(rows) == len(X):
            break
        if apart is not None and apart <= UNRESOLVED:
            return value, error, apart
        rows = np.arange(len(X))
    missed = resolved & (value > quadrature.value + UNRESOLVED)
    return quadrature.value, np.where(missed, np.inf, quadrature.error), apart
