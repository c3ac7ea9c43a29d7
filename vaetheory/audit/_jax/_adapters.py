"""What a user's functions return, as arrays of JAX, while they are traced.

Distributions of numpyro, distrax and TensorFlow Probability are recognised by the names of their
classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import option, short
from vaetheory.likelihoods import Likelihood

LIKELIHOODS = ("bernoulli", "bernoulli-logits", "gaussian", "gaussian-learned")
_LOG_VARIANCES: dict[str, Callable[[Any], Any]] = {
    "logvar": lambda s: s,
    "logstd": lambda s: 2 * s,
    "std": lambda s: 2 * jnp.log(s),
    "var": jnp.log,
}
#: Names of the parameters of the density by the family.
_FAMILIES = {"Normal": "normal", "Bernoulli": "bernoulli", "Laplace": "laplace"}


def names(q: object) -> list[str]:
    """Names of the classes of an object."""
    return [kind.__name__ for kind in type(q).__mro__]


def is_distribution(value: object) -> bool:
    """Whether an object is a distribution."""
    return callable(getattr(value, "log_prob", None))


def base(q: Any) -> Any:
    """The distribution within `Independent`."""
    while {"Independent", "ExpandedDistribution", "MaskedDistribution"} & set(names(q)):
        q = q.base_dist if hasattr(q, "base_dist") else q.distribution
    return q


def _number(q: Any, name: str) -> Any:
    """An attribute, or what a method without arguments gives."""
    value = getattr(q, name)
    return value() if callable(value) else value


# The encoder --------------------------------------------------------------------------------------


def encoded(output: Any, posterior: str) -> dict[str, Any]:
    """Means and log variances (B, ...), and a factor (B, d, d) of a full covariance.

    `other` is there if the posterior is no Gaussian.
    """
    if is_distribution(output):
        return _of_distribution(output)
    loc = second = None
    if isinstance(output, Mapping):
        named = {k.lower().replace("_", ""): v for k, v in output.items() if isinstance(k, str)}
        loc = next((named[k] for k in ("mu", "mean", "loc", "zmean") if k in named), None)
        second = next((named[k] for k in ("logvar", "zlogvar", posterior) if k in named), None)
    elif isinstance(output, (tuple, list)) and len(output) >= 2:
        loc, second = output[0], output[1]
    else:
        for name in ("mean", "mu", "loc"):
            if hasattr(output, name) and hasattr(output, "logvar"):
                loc, second = getattr(output, name), output.logvar
    if not (_is_array(loc) and _is_array(second)):
        raise ValueError(
            "encode: expected a distribution, (loc, second) of arrays, or an object with .mean and "
            f".logvar, got {short(output)}"
        )
    log_variance = _LOG_VARIANCES[posterior](jnp.asarray(second))
    mean = jnp.asarray(loc)
    return {"loc": mean, "log_variance": jnp.broadcast_to(log_variance, mean.shape)}


def _of_distribution(output: Any) -> dict[str, Any]:
    q = base(output)
    kinds = names(q)
    if any(k.startswith(("MultivariateNormal", "LowRankMultivariateNormal")) for k in kinds):
        loc = jnp.asarray(q.loc)
        if hasattr(q, "scale_diag"):
            scale = jnp.broadcast_to(q.scale_diag, loc.shape)
            return {"loc": loc, "log_variance": 2 * jnp.log(scale)}
        if hasattr(q, "scale_tril") and not callable(q.scale_tril):
            factor = jnp.asarray(q.scale_tril)
        else:
            factor = jnp.linalg.cholesky(jnp.asarray(_number(q, "covariance")))
        factor = jnp.broadcast_to(factor, (*loc.shape, loc.shape[-1]))
        variance = (factor**2).sum(-1)
        return {"loc": loc, "log_variance": jnp.log(variance), "factor": factor}
    if "Normal" in kinds:
        loc, scale = jnp.broadcast_arrays(jnp.asarray(q.loc), jnp.asarray(q.scale))
        return {"loc": loc, "log_variance": 2 * jnp.log(scale)}
    mean, variance = (jnp.asarray(_number(q, n)) for n in ("mean", "variance"))
    mean, variance = jnp.broadcast_arrays(mean, variance)
    return {"loc": mean, "log_variance": jnp.log(variance), "other": jnp.zeros(())}


def log_density(output: Any, z: Any) -> Any:
    """The log density (B,) of a posterior at latents (B, ...)."""
    found = output.log_prob(z)
    return found.reshape(len(z), -1).sum(-1)


# The prior ----------------------------------------------------------------------------------------


def prior_of(given: Any) -> tuple[Any, Any]:
    """Means and deviations of a prior."""
    if isinstance(given, (tuple, list)) and len(given) == 2:
        return jnp.asarray(given[0]), jnp.asarray(given[1])
    q = base(given)
    kinds = names(q)
    if any(k.startswith("MultivariateNormal") for k in kinds) and hasattr(q, "scale_diag"):
        return jnp.asarray(q.loc), jnp.asarray(q.scale_diag)
    if "Normal" in kinds and hasattr(q, "loc") and hasattr(q, "scale"):
        return jnp.asarray(q.loc), jnp.asarray(q.scale)
    raise ValueError(
        "prior: expected (loc, scale), a Normal with independent latents, or a function of the "
        f"parameters that returns one, got {short(given)}"
    )


# The likelihood -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declared:
    """A declared likelihood.

    Attributes
    ----------
    function : callable or None
        From what `decode` returns to a distribution; or from that and x to a log density, if
        `of_data`.
    name : str
        One of `LIKELIHOODS`, or "".
    family : Likelihood or None
        A likelihood of this package.
    of_data : bool
        Whether the function gives a log density.
    """

    function: Callable[..., Any] | None = None
    name: str = ""
    family: Likelihood | None = None
    of_data: bool = False

    def read(self, output: Any, x: Any) -> tuple[str, dict[str, Any]]:
        """The family, and its parameters (B, D); `nll` (B,) where only that is known."""
        n = len(x)
        if is_distribution(output):
            return _of_likelihood(output, x)
        if self.family is not None:
            return "given", {"params": _rows(jnp.asarray(first(output)), n)}
        if self.function is not None:
            if self.of_data:
                value = self.function(output, x)
                if not _is_array(value) or value.size % n:
                    raise ValueError(
                        f"likelihood: expected a log density of each example, got {short(value)}"
                    )
                return "other", {"nll": -jnp.asarray(value).reshape(n, -1).sum(-1)}
            p = self.function(output)
            if not is_distribution(p):
                raise ValueError(
                    "likelihood: expected a function from decode(params, z) to a distribution with "
                    f"log_prob, got one to {short(p)}"
                )
            return _of_likelihood(p, x)
        if self.name == "gaussian-learned":
            mean, log_variance = output[0], output[1]
            scale = jnp.broadcast_to(jnp.exp(log_variance / 2), mean.shape)
            return "normal", {"loc": _rows(mean, n), "scale": _rows(scale, n)}
        f = _rows(jnp.asarray(first(output)), n)
        if self.name == "gaussian":
            return "normal", {"loc": f, "scale": jnp.ones_like(f)}
        if self.name == "bernoulli":
            f = jnp.log(f) - jnp.log1p(-f)
        return "bernoulli", {"logits": f}


def declared(given: Any, positions: Callable[[Any], int]) -> Declared:
    """The likelihood that was declared; `positions` counts the arguments of a function."""
    if isinstance(given, Likelihood):
        return Declared(family=given)
    if callable(given):
        return Declared(given, of_data=positions(given) == 2)
    return Declared(name=option("likelihood", given, LIKELIHOODS))


def _of_likelihood(p: Any, x: Any) -> tuple[str, dict[str, Any]]:
    n, q = len(x), base(p)
    kinds = names(q)
    shape = x.shape

    def rows(value: Any) -> Any:
        value = jnp.asarray(value)
        return _rows(jnp.broadcast_to(value, shape) if value.ndim <= len(shape) else value, n)

    if any(k.startswith("MultivariateNormalDiag") for k in kinds):
        return "normal", {"loc": rows(q.loc), "scale": rows(q.scale_diag)}
    if "Normal" in kinds or "Laplace" in kinds:
        kind = "normal" if "Normal" in kinds else "laplace"
        return kind, {"loc": rows(q.loc), "scale": rows(q.scale)}
    if any(k.startswith("Bernoulli") for k in kinds):
        logits = getattr(q, "logits", None)
        if logits is None:
            probs = jnp.asarray(q.probs)
            logits = jnp.log(probs) - jnp.log1p(-probs)
        return "bernoulli", {"logits": rows(logits)}
    if "Poisson" in kinds:
        return "poisson", {"rate": rows(q.rate)}
    parts = {"nll": -jnp.asarray(p.log_prob(x)).reshape(n, -1).sum(-1)}
    try:
        parts["mean"] = rows(_number(p, "mean"))
    except Exception:  # some families have none
        parts.pop("mean", None)
    return "other", parts


def _rows(value: Any, n: int) -> Any:
    return value.reshape(n, -1)


def first(f: Any) -> Any:
    """The array of a decoder's output: itself, its first part, or a part of an object."""
    if _is_array(f):
        return f
    if isinstance(f, (tuple, list)) and f and _is_array(f[0]):
        return f[0]
    for name in ("sample", "reconstruction", "recon", "mean"):
        value = getattr(f, name, None)
        if _is_array(value):
            return value
    raise ValueError(f"decode: expected an array, a tuple or a distribution, got {short(f)}")


# The loss -----------------------------------------------------------------------------------------


def values(result: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The loss in each of its readings, and the other numbers that were returned with it."""
    if isinstance(result, Mapping):
        if "loss" not in result:
            raise ValueError(
                f"loss: expected a mapping with the key 'loss', got the keys {list(result)}"
            )
        return (_scalar(result["loss"]),), _numbers(
            {k: v for k, v in result.items() if k != "loss"}
        )
    if isinstance(result, (tuple, list)):
        numbers = [_scalar(v) for v in result if _is_number(v)]
        if not numbers:
            raise ValueError(f"loss: expected numbers in the tuple, got {short(result)}")
        others: dict[str, Any] = {}
        for part in result:
            if isinstance(part, Mapping):
                others |= _numbers(part)
        if len(numbers) == 1:
            return (numbers[0],), others
        return (sum(numbers[1:], numbers[0]), numbers[0]), others
    inner = getattr(result, "loss", None)
    if not _is_number(result) and _is_number(inner):
        return (_scalar(inner),), {}
    if not _is_number(result):
        raise ValueError(
            "loss: expected a number, a mapping with 'loss', (loss, others) or a tuple to be "
            f"added, got {short(result)}"
        )
    return (_scalar(result),), {}


def _numbers(given: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(k): jnp.asarray(v, jnp.float64).sum() for k, v in given.items() if _is_number(v)}


def _is_array(value: object) -> bool:
    return isinstance(value, (jax.Array, np.ndarray))


def _is_number(value: Any) -> bool:
    if _is_array(value):
        return bool(
            value.size > 0
            and not jnp.issubdtype(value.dtype, jax.dtypes.extended)
            and not jnp.issubdtype(value.dtype, jnp.complexfloating)
        )
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _scalar(value: Any) -> Any:
    """A number; of several, as of a loss of each example, the sum."""
    value = jnp.asarray(value)
    return value.reshape(()) if value.size == 1 else value.sum()
