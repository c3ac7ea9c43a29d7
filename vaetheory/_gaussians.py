"""Log densities, entropies and divergences of batches of Gaussians."""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array

LOG_2PI = float(np.log(2 * np.pi))


def log_det(cov: Array) -> Array:
    """Log determinant of positive-definite matrices, `(..., d, d) -> (...)`.

    Examples
    --------
    >>> import numpy as np
    >>> float(log_det(np.eye(3)))
    0.0
    """
    diagonal = np.diagonal(np.linalg.cholesky(cov), axis1=-2, axis2=-1)
    return 2 * np.log(diagonal).sum(axis=-1)


def whiten(cov: Array, deviation: Array) -> Array:
    """Solve L y = deviation with cov = L L^T, so that ||y||^2 is the Mahalanobis distance."""
    root = np.linalg.cholesky(cov)
    if cov.ndim == 2:
        # One factorisation serves all points.
        return np.linalg.solve(root, deviation.reshape(-1, len(root)).T).T.reshape(deviation.shape)
    return np.linalg.solve(root, deviation[..., None])[..., 0]


def log_prob(z: Array, loc: Array, cov: Array) -> Array:
    """Log density of N(loc, cov) at z in nats; leading axes broadcast.

    Parameters
    ----------
    z, loc : array (..., d)
    cov : array (..., d, d)

    Examples
    --------
    >>> import numpy as np
    >>> round(float(log_prob(np.zeros(1), np.zeros(1), np.eye(1))), 6)
    -0.918939
    """
    y = whiten(cov, z - loc)
    return -0.5 * ((y**2).sum(axis=-1) + z.shape[-1] * LOG_2PI + log_det(cov))


def standard_log_prob(z: Array) -> Array:
    """Log density of N(0, I_d) at z in nats, `(..., d) -> (...)`."""
    return -0.5 * ((z**2).sum(axis=-1) + z.shape[-1] * LOG_2PI)


def entropy(cov: Array) -> Array:
    """Entropy of N(., cov) in nats, 1/2 log det(2 pi e cov), `(..., d, d) -> (...)`."""
    return 0.5 * (cov.shape[-1] * (1 + LOG_2PI) + log_det(cov))


def kl_divergence(loc: Array, cov: Array, other_loc: Array, other_cov: Array) -> Array:
    """KL( N(loc, cov) || N(other_loc, other_cov) ) in nats; leading axes broadcast.

    Examples
    --------
    >>> import numpy as np
    >>> float(kl_divergence(np.ones(1), np.eye(1), np.zeros(1), np.eye(1)))
    0.5
    """
    d = loc.shape[-1]
    trace = np.trace(np.linalg.solve(other_cov, cov), axis1=-2, axis2=-1)
    distance = (whiten(other_cov, loc - other_loc) ** 2).sum(axis=-1)
    return 0.5 * (trace + distance - d + log_det(other_cov) - log_det(cov))
