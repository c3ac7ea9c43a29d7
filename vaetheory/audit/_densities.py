"""Declared likelihoods by their parameters, as arrays (1, B, D)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import gammaln

from vaetheory._validation import Array
from vaetheory.audit._shots import LOG_2PI, Decoded
from vaetheory.likelihoods import Likelihood


def normal(data: Array, loc: Array, scale: Array) -> Decoded:
    """A normal density of each entry."""
    each = (data - loc) ** 2 / (2 * scale**2) + np.log(scale)
    parts = {"loc": loc, "scale": scale, "mean": loc}
    return Decoded("normal", each.sum(-1) + each.shape[-1] / 2 * LOG_2PI, parts)


def bernoulli(data: Array, logits: Array) -> Decoded:
    """A Bernoulli probability of each entry."""
    parts = {"logits": logits, "mean": np.exp(-np.logaddexp(0.0, -logits))}
    # At data that are 0 or 1 also for probabilities that are exactly 0 or 1.
    with np.errstate(invalid="ignore"):
        inner = np.logaddexp(0.0, logits) - data * logits
    ends = np.logaddexp(0.0, np.where(data == 0, logits, -logits))
    each = np.where((data == 0) | (data == 1), ends, inner)
    return Decoded("bernoulli", each.sum(-1), parts)


def laplace(data: Array, loc: Array, scale: Array) -> Decoded:
    """A Laplace density of each entry."""
    each = np.abs(data - loc) / scale + np.log(2 * scale)
    return Decoded("laplace", each.sum(-1), {"loc": loc, "scale": scale, "mean": loc})


def poisson(data: Array, rate: Array) -> Decoded:
    """A Poisson probability of each entry."""
    each = rate - data * np.log(rate) + gammaln(data + 1)
    return Decoded("poisson", each.sum(-1), {"rate": rate, "mean": rate})


def decoded(
    family: str, parts: dict[str, Array], data: Array, likelihood: Likelihood | None
) -> Decoded:
    """A likelihood of a family by its parameters.

    Of "given" the parameters are those of a likelihood of this package; of another family the
    negative log density (1, B) is one of the parts.
    """
    known: dict[str, Callable[..., Decoded]] = {
        "normal": normal,
        "bernoulli": bernoulli,
        "laplace": laplace,
        "poisson": poisson,
    }
    if family in known:
        return known[family](data, **parts)
    if family == "given":
        assert likelihood is not None
        if (usual := likelihood.usual_parameters(parts["params"])) is not None:
            return decoded(*usual, data, None)
        return Decoded("other", -likelihood.log_prob(data, parts["params"]), {})
    return Decoded("other", parts.pop("nll"), parts)


def joined(parts: Sequence[Decoded]) -> Decoded:
    """Several samples of one batch as one."""
    return Decoded(
        parts[0].family,
        np.concatenate([p.nll for p in parts]),
        {n: np.concatenate([p.parts[n] for p in parts]) for n in parts[0].parts},
    )
