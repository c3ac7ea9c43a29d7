"""The audit of losses of JAX."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from vaetheory._validation import short
from vaetheory.audit._conduct import run
from vaetheory.audit._fit import EXACT
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._checks import FullBench
from vaetheory.audit._jax._evidence import evidence_of
from vaetheory.audit._jax._parameters import Parameters
from vaetheory.audit._jax._user import Function, positions
from vaetheory.audit._result import Audit
from vaetheory.audit._verifications import Requested, checks
from vaetheory.jax._settings import device_of, double_precision

#: The largest residual of an equation where the code insists on single precision.
_EXACT_SINGLE = 2e-4

__all__ = ["audit"]


def audit(
    loss: Callable[..., Any],
    encode: Callable[..., Any],
    decode: Callable[..., Any],
    x: Any,
    *,
    module: Any,
    likelihood: Any,
    posterior: str,
    prior: Any,
    beta: float,
    asked: Requested,
    seed: int,
) -> Audit:
    """Audit a loss of JAX; see `vaetheory.audit.audit`."""
    data = _data(x)
    declared = adapters.declared(likelihood, lambda f: int(positions(f)[0]))

    def of(name: str, function: Any, *arguments: str) -> Any:
        if function is None:
            return None
        return Function(name, function, module, ("params", *arguments))

    with double_precision(device_of("cpu")), _random_states():
        parameters = Parameters(module)
        functions = (
            of("loss", loss, "x"),
            of("encode", encode, "x"),
            of("decode", decode, "z"),
        )
        asked = Requested(
            of("sample", asked.sample, "n"),
            of("importance_bound", asked.importance_bound, "x", "K"),
            of("bits_per_dim", asked.bits_per_dim, "x"),
            asked.levels,
        )
        if callable(prior) and not adapters.is_distribution(prior):
            prior = of("prior", prior)
        bench = FullBench(
            *functions,
            data,
            parameters=parameters,
            likelihood=declared,
            posterior=posterior,
            prior=prior,
            key=jax.random.PRNGKey,
            exact=False,
            rewind=lambda: None,
            seed=seed,
        )
        return run(bench, beta, EXACT, checks(asked, evidence_of))


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    """Keep the random states of NumPy and Python, from which functions may draw while traced."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])


def _data(x: Any) -> np.ndarray[Any, Any]:
    """A copy of the data, in float64 if they are floats."""
    if not isinstance(x, (jax.Array, np.ndarray)) or x.ndim < 1 or x.size == 0:
        raise ValueError(f"x: expected a batch of data, an array (B, ...), got {short(x)}")
    made = np.array(x)
    if made.dtype.kind not in "biu":
        made = made.astype(np.float64)
        if not np.isfinite(made).all():
            raise ValueError("x: expected finite data, got NaN or infinity")
    return made
