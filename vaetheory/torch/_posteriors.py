"""The output of an encoder as a `Posterior`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import distributions

from vaetheory._validation import Array, as_array, representable, short, vectors
from vaetheory.encoders import Posterior

#: Standard deviations from each form of the spread.
_DEVIATIONS: dict[str, Callable[[Array], Array]] = {
    "logvar": lambda t: np.exp(t / 2),
    "logstd": np.exp,
    "std": lambda t: t,
    "var": np.sqrt,
}


def posterior_of(
    encoder_output: Any,
    *,
    logvar: Any = None,
    logstd: Any = None,
    std: Any = None,
    var: Any = None,
) -> Posterior:
    """Gaussian posteriors q(z|x), one a datum, from the output of a PyTorch encoder.

    Parameters
    ----------
    encoder_output : torch.distributions.Distribution or tensor (..., d)
        A `Normal`, `MultivariateNormal` or `LowRankMultivariateNormal`, perhaps in `Independent`;
        or the means, with exactly one of the keywords. Tensors on any device, in any precision,
        with or without gradients.
    logvar, logstd, std, var : tensor (..., d), optional
        The log variances, log standard deviations, standard deviations or variances of
        independent latents, in the shape of the means.

    Returns
    -------
    Posterior
        In float64, with one full covariance matrix a datum.

    Raises
    ------
    ValueError
        If the distribution is not Gaussian, the spread is missing, given twice, not positive or
        of another shape than the means, or an entry is not finite.

    Examples
    --------
    >>> import torch
    >>> q = posterior_of(torch.zeros(1, 2), logvar=torch.tensor([[0.0, 2.0]]))
    >>> q.cov.round(6).tolist()
    [[[1.0, 0.0], [0.0, 7.389056]]]
    """
    keywords = {"logvar": logvar, "logstd": logstd, "std": std, "var": var}
    given = {name: value for name, value in keywords.items() if value is not None}
    if isinstance(encoder_output, distributions.Distribution):
        if given:
            raise ValueError(
                f"encoder_output: expected means to go with {', '.join(given)}, got the "
                f"distribution {type(encoder_output).__name__}"
            )
        loc, factor = _read(encoder_output)
    else:
        if isinstance(encoder_output, tuple | list | dict):
            raise ValueError(
                "encoder_output: expected a distribution or the means, got a "
                f"{type(encoder_output).__name__} of {len(encoder_output)}: name its parts, as in "
                "`loc, logvar = encoder(x)` and `posterior_of(loc, logvar=logvar)`"
            )
        if len(given) != 1:
            came = " and ".join(given) or "none"
            raise ValueError(
                f"posterior_of: expected exactly one of {', '.join(keywords)} with the means, got "
                f"{came}"
            )
        loc = vectors("encoder_output", encoder_output, None)
        [(name, value)] = given.items()
        factor = _diagonal(name, as_array(name, value), loc)
    with np.errstate(all="ignore"):
        cov = factor @ np.swapaxes(factor, -1, -2)
    return Posterior(loc, cov=representable("posterior_of", cov, "variances"))


def _diagonal(name: str, value: Array, loc: Array) -> Array:
    """Standard deviations `(..., d)`, from one of their four forms, as diagonal matrices."""
    if value.shape != loc.shape:
        raise ValueError(f"{name}: expected the shape of the means {loc.shape}, got {value.shape}")
    if name in ("std", "var") and not (value > 0).all():
        raise ValueError(f"{name}: expected positive numbers, got {value.min():g}")
    with np.errstate(all="ignore"):
        deviations = _DEVIATIONS[name](value)
        variances = deviations**2
    if not (np.isfinite(variances) & (variances > 0)).all():
        raise ValueError(
            f"{name}: expected variances that fit in float64, got {value.min():g}..{value.max():g}"
        )
    return np.asarray(deviations[..., None] * np.eye(loc.shape[-1]))


def _read(q: distributions.Distribution) -> tuple[Array, Array]:
    """Means `(..., d)` of a Gaussian, and factors F of its covariances F F^T `(..., d, k)`."""
    while isinstance(q, distributions.Independent):
        q = q.base_dist
    kind: Any = q
    if isinstance(q, distributions.Normal):
        loc = vectors("encoder_output.loc", kind.loc, None)
        return loc, _diagonal("std", as_array("encoder_output.scale", kind.scale), loc)
    if isinstance(q, distributions.MultivariateNormal):
        loc = vectors("encoder_output.loc", kind.loc, None)
        # In float32 the covariance matrix of the distribution itself is not symmetric enough.
        return loc, as_array("encoder_output.scale_tril", kind.scale_tril)
    if isinstance(q, distributions.LowRankMultivariateNormal):
        loc = vectors("encoder_output.loc", kind.loc, None)
        along = as_array("encoder_output.cov_factor", kind.cov_factor)
        own = _diagonal("var", as_array("encoder_output.cov_diag", kind.cov_diag), loc)
        return loc, np.concatenate([along, own], axis=-1)
    raise ValueError(
        "encoder_output: expected a Normal, MultivariateNormal or LowRankMultivariateNormal, "
        f"perhaps in Independent, or a tensor of means, got {short(q)}"
    )
