"""Eigenvalues and norms of stacks of small matrices; those of one entry need no decomposition.

LAPACK is called for each matrix, and NumPy's functions around it cost more than all other steps of
an iteration for a few data with one latent dimension.
"""

from __future__ import annotations

import numpy as np

from vaetheory._validation import Array


def eigenvalues(matrix: Array) -> Array:
    """Eigenvalues of symmetric matrices in ascending order, `(..., d, d) -> (..., d)`.

    Examples
    --------
    >>> import numpy as np
    >>> eigenvalues(np.diag([2.0, -1.0])).tolist(), eigenvalues(np.array([[3.0]])).tolist()
    ([-1.0, 2.0], [3.0])
    """
    if matrix.shape[-1] == 1:
        return matrix[..., 0]
    return np.linalg.eigvalsh(matrix)


def least_eigenvalue(matrix: Array) -> Array:
    """Least eigenvalue of symmetric matrices, `(..., d, d) -> (...)`."""
    return np.asarray(eigenvalues(matrix)[..., 0])


def spectral_norm(matrix: Array) -> Array:
    """Greatest singular value, `(..., d, d) -> (...)`.

    Examples
    --------
    >>> import numpy as np
    >>> float(spectral_norm(np.array([[-3.0]])))
    3.0
    """
    if matrix.shape[-1] == 1:
        return np.abs(matrix[..., 0, 0])
    return np.asarray(np.linalg.norm(matrix, ord=2, axis=(-2, -1)))


def condition(matrix: Array) -> Array:
    """Condition number, `(..., d, d) -> (...)`.

    Examples
    --------
    >>> import numpy as np
    >>> float(condition(np.array([[-3.0]]))), float(condition(np.array([[0.0]])))
    (1.0, inf)
    """
    if matrix.shape[-1] == 1 and (np.abs(matrix) > 0).all() and np.isfinite(matrix).all():
        return np.ones(matrix.shape[:-2])
    return np.asarray(np.linalg.cond(matrix))
