"""The output of an encoder, in any framework, as a `Posterior`.

The distributions of PyTorch, numpyro, distrax and TensorFlow Probability have the same names and
mostly the same attributes, so one reading serves all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vaetheory._validation import Array, as_array, representable, short, vectors
from vaetheory.encoders import Posterior

#: Standard deviations from each form of the spread.
_DEVIATIONS: dict[str, Callable[[Array], Array]] = {
    "logvar": lambda t: np.exp(t / 2),
    "logstd": np.exp,
    "std": lambda t: t,
    "var": np.sqrt,
}


def posterior_from(output: Any, distribution: bool, **spreads: Any) -> Posterior:
    """Gaussian posteriors from a distribution, or from means and one of four forms of the spread.

    Parameters
    ----------
    output : object
        A distribution, or the means `(..., d)`.
    distribution : bool
        Which of the two it is.
    **spreads : array (..., d) or None
        `logvar`, `logstd`, `std` and `var`: exactly one with means, none with a distribution.
    """
    given = {name: value for name, value in spreads.items() if value is not None}
    if distribution:
        if given:
            raise ValueError(
                f"encoder_output: expected means to go with {', '.join(given)}, got the "
                f"distribution {type(output).__name__}"
            )
        loc, cov = _read(output)
    else:
        if isinstance(output, tuple | list | dict):
            raise ValueError(
                "encoder_output: expected a distribution or the means, got a "
                f"{type(output).__name__} of {len(output)}: name its parts, as in "
                "`loc, logvar = encoder(x)` and `posterior_of(loc, logvar=logvar)`"
            )
        if len(given) != 1:
            came = " and ".join(given) or "none"
            raise ValueError(
                f"posterior_of: expected exactly one of {', '.join(spreads)} with the means, got "
                f"{came}"
            )
        loc = vectors("encoder_output", output, None)
        [(name, value)] = given.items()
        cov = _product(_diagonal(name, as_array(name, value), loc))
    return Posterior(loc, cov=representable("posterior_of", cov, "variances"))


def _product(factor: Array) -> Array:
    """F F^T of factors `(..., d, k)`."""
    with np.errstate(all="ignore"):
        return np.asarray(factor @ np.swapaxes(factor, -1, -2))


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


def _read(q: Any) -> tuple[Array, Array]:
    """Means `(..., d)` of a Gaussian distribution, and its covariances."""
    base = q
    while "Independent" in _names(base):
        base = base.base_dist if hasattr(base, "base_dist") else base.distribution
    names = _names(base)
    joint = [name for name in names if name.startswith(("MultivariateNormal", "LowRank"))]
    if "Normal" in names and not joint:
        loc, scale = (as_array(f"encoder_output.{n}", getattr(base, n)) for n in ("loc", "scale"))
        loc, scale = np.broadcast_arrays(loc, scale)
        return vectors("encoder_output.loc", loc, None), _product(_diagonal("std", scale, loc))
    if not joint:
        raise ValueError(
            "encoder_output: expected a Normal, MultivariateNormal or LowRankMultivariateNormal, "
            f"perhaps in Independent, or a tensor of means, got {short(q)}"
        )
    loc = vectors("encoder_output.loc", base.loc, None)
    if hasattr(base, "cov_factor"):
        along = as_array("encoder_output.cov_factor", base.cov_factor)
        variances = as_array("encoder_output.cov_diag", base.cov_diag)
        own = _diagonal("var", np.broadcast_to(variances, loc.shape), loc)
        along = np.broadcast_to(along, (*loc.shape[:-1], *along.shape[-2:]))
        return loc, _product(np.concatenate([along, own], axis=-1))
    if hasattr(base, "scale_tril"):
        # In float32 the covariance matrix of the distribution itself is not symmetric enough.
        return loc, _each(_product(as_array("encoder_output.scale_tril", base.scale_tril)), loc)
    cov = as_array("encoder_output.covariance()", base.covariance())
    return loc, _each((cov + np.swapaxes(cov, -1, -2)) / 2, loc)


def _each(cov: Array, loc: Array) -> Array:
    """One covariance a mean; numpyro gives shared ones leading axes of length one."""
    fits = cov.ndim <= loc.ndim + 1
    return np.broadcast_to(cov, (*loc.shape, loc.shape[-1])) if fits else cov


def _names(q: object) -> list[str]:
    """Names of the classes of an object."""
    return [kind.__name__ for kind in type(q).__mro__]
