"""Proposals fitted to posteriors: at modes, by importance weights, and by the greatest ELBO."""

from __future__ import annotations

import numpy as np
from scipy.special import logsumexp, ndtri

from vaetheory._gaussians import LOG_2PI
from vaetheory._sampling.laplace_mixtures import degrees_of_freedom, roots_of
from vaetheory._sampling.mode_search import Modes, blocks
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array

#: Share of the old weight that a component keeps in a round, and its least weight.
_KEEP, _LEAST = 0.02, 2e-4
#: Rounds of importance-weighted EM, and draws of each.
_ROUNDS, _DRAWS = 2, 8192
#: Factors by which one round may change an eigenvalue of a covariance.
_SHRINK, _GROW = 0.25, 6.0
#: Most dimensions in which draws say more of covariances than curvatures do.
_MOMENTS = 32
#: Weight of a component at a point that was hardly drawn, and its width as a share of the nearest.
_BESIDE, _NARROWER = 0.05, 0.8
#: Share of the mixture that all modes of a datum have in equal parts.
_EQUAL = 0.1
#: A component whose weight is this share of the greatest one is not worth a fit of its own.
_SMALL = 0.02
#: Steps towards the greatest ELBO, and draws of each, in pairs.
_STEPS, _PAIRS = 8, 256


def fitted(target: Target, modes: Modes, purpose: str, beside: Array | None = None) -> Mixture:
    """Mixtures fitted to the posteriors, with a component at each mode.

    Points `beside` `(N, J, d)` that an earlier mixture hardly drew have components of their own.
    """
    q = at_modes(target, modes, degrees_of_freedom(target.dim))
    q = greatest_elbo(target, q, f"{purpose} elbo")
    if beside is not None:
        q = with_components(q, beside)
    return adapted(target, q, f"{purpose} moments")


def with_components(q: Mixture, z: Array) -> Mixture:
    """Mixtures with more components at latents `(N, J, d)`, a little narrower than the nearest one.

    Source: Raftery and Bao, *Estimating and projecting trends in HIV/AIDS generalized epidemics
    using incremental mixture importance sampling*, Biometrics 66 (2010).
    """
    nearest = q.responsibilities(z).argmax(axis=-1)
    roots = _NARROWER * q.roots[np.arange(len(z))[:, None], nearest]
    more = np.full(z.shape[:2], _BESIDE)
    weights = np.concatenate([(1 - _BESIDE * z.shape[1]) * q.weights, more], axis=1)
    means, roots = np.concatenate([q.means, z], axis=1), np.concatenate([q.roots, roots], axis=1)
    return Mixture(weights, means, roots, q.df)


def at_modes(target: Target, modes: Modes, df: float) -> Mixture:
    """Components at modes, as wide as the curvature of the log joint there says."""
    n, m, d = modes.z.shape
    rows = np.repeat(np.arange(n), m)
    z = modes.z.reshape(-1, d)
    safe = modes.information.reshape(-1, d, d)
    root = roots_of(safe)
    data = target.data[rows]
    parts = [target.model.search_derivatives(data[i], z[i])[1] for i in blocks(target, len(z))]
    hessian = np.concatenate(parts)
    target.count.calls += 2 * (1 + d) * n * m
    inner = np.swapaxes(root, -1, -2) @ hessian @ root
    good = np.isfinite(inner).all(axis=(-2, -1), keepdims=True)
    inner = np.where(good, inner, np.eye(d))
    inner = 0.5 * (inner + np.swapaxes(inner, -1, -2))
    definite = np.linalg.eigvalsh(inner)[:, :1, None] > 0.1
    inner = np.where(definite, inner, np.eye(d))
    root = (root @ roots_of(inner)).reshape(n, m, d, d)
    mass = modes.height + np.linalg.slogdet(root)[1]
    mass = np.where(modes.known, mass, -np.inf)
    share = np.exp(mass - logsumexp(mass, axis=1, keepdims=True))
    count = modes.known.sum(axis=1, keepdims=True)
    weights = np.where(modes.known, (1 - _EQUAL) * share + _EQUAL / count, 0.0)
    means = np.where(modes.known[..., None], modes.z, modes.z[:, :1])
    root = np.where(modes.known[..., None, None], root, root[:, :1])
    return Mixture(weights, means, root, df)


def tempered(log_weights: Array, least: float) -> Array:
    """Normalised weights `(N, K)` to the greatest power with an effective size of `least`."""
    shifted = log_weights - log_weights.max(axis=1, keepdims=True)

    def size(power: Array) -> Array:
        w = np.exp(power[:, None] * shifted)
        return w.sum(axis=1) ** 2 / (w * w).sum(axis=1)

    low, high = np.full(len(shifted), 0.02), np.ones(len(shifted))
    whole = size(high) >= least
    for _ in range(20):
        middle = 0.5 * (low + high)
        good = size(middle) >= least
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    w = np.exp(np.where(whole, 1.0, low)[:, None] * shifted)
    return w / w.sum(axis=1, keepdims=True)


def adapted(target: Target, q: Mixture, purpose: str) -> Mixture:
    """Importance-weighted EM of a mixture.

    In many dimensions its draws tell too little of covariances, and only the weights of the
    components change.
    """
    for r in range(_ROUNDS):
        u = target.streams.sobol(f"{purpose} {r}", _DRAWS, q.coordinates)
        z = q.draw(u)
        log_weights = target.log_joint(z) - q.log_density(z)
        p = tempered(log_weights, min(8.0 * q.dim, 0.3 * _DRAWS))
        q = _step(q, z, p, q.dim <= _MOMENTS)
    return q


def _step(q: Mixture, z: Array, p: Array, moments: bool) -> Mixture:
    share = np.swapaxes(q.responsibilities(z), -1, -2) * p[:, None]
    total = share.sum(axis=-1)
    known = q.weights > 0
    weights = np.where(known, (1 - _KEEP) * total + _KEEP * q.weights, 0.0)
    weights = np.where(known, np.maximum(weights, _LEAST), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    if not moments:
        return Mixture(weights, q.means, q.roots, q.df)
    means, roots = q.means.copy(), q.roots.copy()
    d, df = q.dim, q.df
    for m in range(q.components):
        e = q.whitened(z, m)
        square = np.einsum("nkd,nkd->nk", e, e)
        pull = (df + d) / (df + square) if q.student else np.ones_like(square)
        w = share[:, m]
        size = total[:, m] ** 2 / np.maximum((w * w).sum(axis=1), 1e-300)
        a = w * pull
        scale = np.maximum(a.sum(axis=1), 1e-300)
        shift = np.einsum("nk,nkd->nd", a, e) / scale[:, None]
        off = e - shift[:, None]
        cov = np.swapaxes(off, -1, -2) @ (a[..., None] * off)
        cov /= np.maximum(total[:, m], 1e-300)[:, None, None]
        trust = (size / (size + 2 * d))[:, None, None]
        values, vectors = np.linalg.eigh(trust * cov + (1 - trust) * np.eye(d))
        grown = vectors * np.sqrt(np.clip(values, _SHRINK, _GROW))[:, None, :]
        moved = (size / (size + 4))[:, None] * shift
        enough = size >= 4
        jump = np.einsum("nij,nj->ni", q.roots[:, m], moved)
        means[:, m] += np.where(enough[:, None], jump, 0.0)
        roots[:, m] = np.where(enough[:, None, None], q.roots[:, m] @ grown, q.roots[:, m])
    return Mixture(weights, means, roots, df)


def greatest_elbo(target: Target, q: Mixture, purpose: str) -> Mixture:
    """Each component replaced by the Gaussian near it with the greatest ELBO.

    Damped steps with the whitened residual gradient at antithetic points; the best of the iterates
    by its ELBO is kept, which is estimated as the mean of log p - log q.
    """
    d = q.dim
    # Components of little mass stay as they are: rows of data and components.
    data, part = np.nonzero(q.weights > _SMALL * q.weights.max(axis=1, keepdims=True))
    some = target.take(data)
    mean, root = q.means[data, part], q.roots[data, part]
    best, kept = np.full(len(data), -np.inf), (mean, root)
    for step in range(_STEPS):
        u = target.streams.sobol(f"{purpose} {step}", _PAIRS, d)[data]
        half = ndtri(u)
        e = np.concatenate([half, -half], axis=1)
        at = some.with_gradient(mean[:, None] + e @ np.swapaxes(root, -1, -2))
        log_det = np.linalg.slogdet(root)[1]
        inner = at.value + 0.5 * np.einsum("nkd,nkd->nk", e, e)
        elbo = inner.mean(axis=1) + log_det + 0.5 * d * LOG_2PI
        better = elbo > best
        best = np.where(better, elbo, best)
        kept = (
            np.where(better[:, None], mean, kept[0]),
            np.where(better[:, None, None], root, kept[1]),
        )
        residual = -at.gradient @ root - e
        curve = np.swapaxes(e, -1, -2) @ residual / e.shape[1]
        values, vectors = np.linalg.eigh(0.5 * (curve + np.swapaxes(curve, -1, -2)))
        values = np.clip(1 + values, 0.3, 3.0)
        along = np.einsum("nji,nj->ni", vectors, residual.mean(axis=1))
        move = -np.einsum("nij,nj->ni", vectors, along / values)
        length = np.linalg.norm(move, axis=1, keepdims=True)
        move *= np.minimum(1.0, 1.0 / np.maximum(length, 1e-9))
        mean = mean + np.einsum("nij,nj->ni", root, move)
        root = root @ (vectors / np.sqrt(values)[:, None, :])
    means, roots = q.means.copy(), q.roots.copy()
    means[data, part], roots[data, part] = kept
    return Mixture(q.weights, means, roots, q.df)
