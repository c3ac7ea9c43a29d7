"""An assertion about the mean log evidence of simulated data."""

from __future__ import annotations

from typing import Any

from numpy.typing import ArrayLike

from vaetheory._validation import fraction
from vaetheory.bounds import Bracket, evidence_bracket
from vaetheory.models import LatentModel


def assert_evidence_between(
    model: LatentModel,
    X: ArrayLike,
    z: ArrayLike,
    low: float,
    high: float,
    *,
    confidence: float = 1 - 1e-9,
    **options: Any,
) -> Bracket:
    """Assert that the mean log evidence of simulated data is between two numbers.

    It passes only if this is shown: the bracket of the mean is within [low, high]. It fails if the
    opposite is shown, and also if the bracket is too wide to decide; the message says which.

    Parameters
    ----------
    model : LatentModel
    X : array (N, D)
        Data drawn from the model, for example by `vaetheory.bounds.simulate`.
    z : array (N, d)
        The latents from which they were drawn.
    low, high : float
        In nats.
    confidence : float
        Of the bracket.
    **options
        Those of `vaetheory.bounds.evidence_bracket`, for example `draws` and `seed`. A fixed seed
        gives the same bracket again.

    Returns
    -------
    Bracket
        The bracket of the mean.

    Raises
    ------
    AssertionError
        Unless the bracket is within [low, high].
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import simulate
    >>> model = LatentModel(decoders.Affine(np.eye(5)), likelihoods.Gaussian(scale=1.0))
    >>> X, z = simulate(model, 200, seed=1)
    >>> made = assert_evidence_between(model, X, z, -9.2, -8.6, draws=64, particles=0, replicates=4)
    >>> str(made.status)
    'bracketed'
    """
    least = fraction("low", low, low=-1e300, high=1e300)
    most = fraction("high", high, low=least, high=1e300)
    found = evidence_bracket(model, X, z, confidence=confidence, **options)
    if least <= found.lower and found.upper <= most:
        return found
    apart = found.upper < least or most < found.lower
    raise AssertionError(
        f"expected a mean log evidence in [{least:.6g}, {most:.6g}] nats, but "
        + ("it is " if apart else "cannot decide: it is ")
        + repr(found)
    )
