"""The penalty that a VAE's noise puts on its decoder."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, option, positive, representable, squarable

STRUCTURES = ("full", "diagonal")


def implicit_regulariser(
    jacobian: ArrayLike, *, variance: float, beta: float = 1.0, structure: str = "full"
) -> Array:
    """The penalty of a decoder's slope that the posterior's noise amounts to, in nats.

    To leading order in sigma a VAE trains its decoder as a deterministic auto-encoder with the loss
    squares / (2 sigma^2) + beta/2 m^T m + this penalty; for linear decoders this is exact.

    Parameters
    ----------
    jacobian : array (..., D, d)
        J, of the decoder at the posterior's mean.
    variance : float
        sigma^2, of the likelihood N(f(z), sigma^2 I).
    beta : float
        Factor of the divergence.
    structure : {"full", "diagonal"}
        Of the posterior's covariance.

    Returns
    -------
    array (...)
        beta/2 log det(I + J^T J / (beta sigma^2)); for diagonal covariances
        beta/2 sum_k log(1 + squares of column k / (beta sigma^2)), which is at least as large, and
        equal if and only if the columns of J are orthogonal.

    Raises
    ------
    ValueError
        If a shape does not fit or a number is not positive.

    Notes
    -----
    Source: claims 17b and 17c. The determinant is taken from singular values, so that small slopes
    keep their digits.

    Examples
    --------
    >>> from vaetheory.bounds import implicit_regulariser
    >>> J = [[1.0, 1.0], [0.0, 1.0]]
    >>> for structure in ("full", "diagonal"):
    ...     print(round(float(implicit_regulariser(J, variance=0.5, structure=structure)), 6))
    1.198948
    1.354025
    """
    J = squarable("jacobian", as_array("jacobian", jacobian, min_ndim=2))
    if 0 in J.shape:
        raise ValueError(f"jacobian: expected shape (..., D, d), got {J.shape}")
    noise, factor = float(positive("variance", variance)), float(positive("beta", beta))
    unit = factor * noise
    with np.errstate(all="ignore"):
        if option("structure", structure, STRUCTURES) == "full":
            squares = np.linalg.svd(J / np.sqrt(unit), compute_uv=False) ** 2
        else:
            squares = (J**2).sum(axis=-2) / unit
        found = 0.5 * factor * np.log1p(squares).sum(axis=-1)
    return np.asarray(representable("jacobian", np.asarray(found), "penalties"))
