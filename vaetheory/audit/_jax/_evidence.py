"""The model of a user's decoder, for its exact evidence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.audit import _evidence
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._checks import FullBench
from vaetheory.audit._scales import Scales, places
from vaetheory.jax import JaxDecoder
from vaetheory.jax._functions import Call
from vaetheory.jax._last_layer import outputs_of
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel

#: Steps that only change the form of a result.
_FORMS = frozenset({"reshape", "squeeze", "expand_dims", "copy", "convert_element_type"})


class _Counted(JaxDecoder):
    """A decoder that counts its evaluations."""

    budget: _evidence.Budget | None = None

    def _evaluated(self, name: str, z: Array, *others: Array) -> Array:
        if self.budget is not None:
            self.budget.spend(z.size // max(z.shape[-1], 1))
        return super()._evaluated(name, z, *others)


def evidence_of(bench: FullBench) -> dict[str, Any] | None:
    """The gap of the user's model, or None where it cannot be computed."""
    bench.mode(False)
    x = bench.x[: _evidence.DATA]
    q = bench.posterior_at(x)
    shape = q.loc.shape[1:]
    d = int(np.prod(shape))
    if d > _evidence.LARGEST or q.other or x[0].size > _evidence.LARGEST_DATA:
        return None
    loc = q.loc.reshape(len(x), d)
    prior_loc, prior_scale = bench.prior_at(loc.shape)
    if not ((prior_loc == prior_loc[:1]).all() and (prior_scale == prior_scale[:1]).all()):
        return None
    shift, scale = prior_loc[0].copy(), prior_scale[0].copy()
    family = bench.decoded_at(q.loc, x).family
    if family == "other" and bench.likelihood.family is None:
        return {"not computed": "of the declared likelihood only the log density is known"}

    def outputs(arrays: Any, z: Any) -> Any:
        model = bench.parameters.model(list(arrays), None, training=False)
        return bench.decode(model, (shift + scale * z).reshape(len(z), *shape), key=bench.key(0))

    def program(read: Callable[[str, dict[str, Any]], Any]) -> Call:
        """The likelihood's parameters (n, ...) as a function of arrays and latents (n, d)."""

        def pure(arrays: Any, z: Any) -> Any:
            data = np.zeros((len(z), *bench.x.shape[1:]), bench.x.dtype)
            return read(*bench.likelihood.read(outputs(arrays, z), data))

        return pure

    arrays = [jnp.asarray(a) for a in bench.arrays()]
    at = places(d)
    parts = jax.jit(program(lambda _, parts: parts))(arrays, at)
    lowered = jax.jit(program(lambda _, parts: parts)).lower(arrays, at)
    operations = dict(lowered.cost_analysis() or {}).get("flops", 0.0) / len(at)
    numbers = sum(a.size for a in jax.tree.leaves(parts)) / len(at)
    budget = _evidence.Budget(_evidence.affordable(operations, numbers))

    def flat(arrays: Any, z: Any) -> Any:
        return jnp.asarray(adapters.first(outputs(arrays, z))).reshape(len(z), -1)

    def model(
        likelihood: Likelihood, read: Callable[[str, dict[str, Any]], Any] | None
    ) -> LatentModel:
        call = flat if read is None else program(read)
        if bench.likelihood.name == "bernoulli":
            call = _logits(flat)
        decoder = _Counted.around(call, arrays, jax.devices("cpu")[0])
        assert isinstance(decoder, _Counted)
        decoder.budget = budget
        return LatentModel(decoder, likelihood, d)

    n = budget.data(d, len(x))
    data = np.asarray(x[:n], dtype=np.float64).reshape(n, -1)
    if q.factor is None:
        cov = np.exp(q.log_variance.reshape(len(loc), d))[..., None] * np.eye(d)
    else:
        cov = q.factor @ q.factor.swapaxes(-1, -2)
    posterior = _evidence.in_units(loc[:n], cov[:n], prior_loc[:n], prior_scale[:n])
    if bench.likelihood.family is not None:
        whole = model(bench.likelihood.family, None)
        return _evidence.split(whole, data, posterior, budget)
    found: dict[str, Array] = {k: np.array(v, np.float64) for k, v in parts.items()}
    if family in ("normal", "laplace"):
        scales = Scales.of(found["scale"])
        if scales is not None and family == "laplace":
            return {"not computed": "the scales of a Laplace likelihood vary with z"}
        if scales is not None:
            return scales.split(
                lambda floor: model(
                    likelihoods.GaussianMeanScale(floor),
                    lambda _, p: jnp.concatenate([p["loc"], jnp.log(p["scale"])], 1),
                ),
                data,
                posterior,
                budget,
            )
    made = _fixed(family, found)
    if made is None:
        return {"not computed": "the scales of a Laplace likelihood are not all the same"}
    whole = model(made, _parameter)
    return _evidence.split(whole, data, posterior, budget)


def _parameter(family: str, parts: dict[str, Any]) -> Any:
    """What the decoder of a model gives."""
    if family == "poisson":
        return jnp.log(parts["rate"])
    return parts["logits" if family == "bernoulli" else "loc"]


def _fixed(family: str, parts: dict[str, Array]) -> Likelihood | None:
    """The likelihood of a family whose scales are the same for all latents."""
    if family == "bernoulli":
        return likelihoods.Bernoulli()
    if family == "poisson":
        return likelihoods.Poisson()
    scale = parts["scale"][0]
    one = float(scale[0]) if (scale == scale[0]).all() else None
    if family == "normal":
        return likelihoods.Gaussian(scale=scale if one is None else one)
    return None if one is None else likelihoods.Laplace(one)


def _logits(probabilities: Call) -> Call:
    """The logits of probabilities (n, D); of a sigmoid's value its argument.

    The value of a sigmoid has lost digits where it is near 0 or 1.
    """

    def function(arrays: Any, z: Any) -> Any:
        found = outputs_of(probabilities, arrays, z)
        value = found
        while value is not None and value.step is not None and value.step.name in _FORMS:
            value = value.source()
        inner = None if value is None else value.inside("logistic")
        if inner is not None:
            return inner.value.reshape(len(z), -1)
        p = probabilities(arrays, z)
        return jnp.log(p) - jnp.log1p(-p)

    return function
