"""How fast EM learns probabilistic PCA: all rates in closed form."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, integer, positive


def ppca_em_rates(eigenvalues: ArrayLike, latent_dim: int, *, variance: ArrayLike) -> Array:
    """Rates of EM for W of probabilistic PCA at its maximum, the noise sigma^2 being known.

    Parameters
    ----------
    eigenvalues : array (D,)
        Of the covariance of the data (with 1/N), in any order.
    latent_dim : int
        Number d of columns of W, d <= D.
    variance : number
        sigma^2, below the d-th largest eigenvalue: all units are active.

    Returns
    -------
    array (D d,)
        The eigenvalues of the derivative of EM's map, in descending order, correct to a few units
        of the last digit: lam_k / lam_j for k > d >= j; 1 - sigma^2 (lam_j + lam_k - 2 sigma^2) /
        (lam_j lam_k) for j <= k <= d; and 1, d (d - 1) / 2 times, for rotations of the latents,
        which change nothing.

    Raises
    ------
    ValueError
        If eigenvalues are negative, `latent_dim` is not from 1 to D, or the d-th largest eigenvalue
        is not above `variance`.

    Notes
    -----
    Source: claim 19f-spectrum, our derivation. With little noise all rates of the second kind are
    near 1: nearly all information is missing, and EM is slow.

    Examples
    --------
    >>> from vaetheory.scores import ppca_em_rates
    >>> ppca_em_rates([4.0, 1.0], 1, variance=1.0).tolist()
    [0.625, 0.25]
    """
    lam = as_array("eigenvalues", eigenvalues, ndim=1)
    d = integer("latent_dim", latent_dim, low=1)
    if not len(lam) or lam.min() < 0:
        raise ValueError(
            f"eigenvalues: expected numbers of at least 0, got {lam.min(initial=0.0):g}"
        )
    if d > len(lam):
        raise ValueError(f"latent_dim: expected at most D = {len(lam)}, got {d}")
    noise = float(positive("variance", variance))
    lam = np.sort(lam)[::-1]
    if not lam[d - 1] > noise:
        raise ValueError(
            f"variance: expected less than the eigenvalue {lam[d - 1]:g} of the last column of W, "
            f"got {noise:g}"
        )
    j, k = np.triu_indices(d)
    share = noise / lam[:d]
    # 1 - s (lam_j + lam_k - 2 s) / (lam_j lam_k) in shares of the eigenvalues, without cancelling.
    within = (1 - share[j]) * (1 - share[k]) + share[j] * share[k]
    across = (lam[d:, None] / lam[:d]).ravel()
    return np.sort(np.concatenate([within, across, np.ones(d * (d - 1) // 2)]))[::-1]
