"""The audit of losses of JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory._validation import short
from vaetheory.audit._belongings import Belongings, at_the_end, random_states
from vaetheory.audit._conduct import Conduct, run
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import NOTE
from vaetheory.audit._fit import EXACT
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._checks import FullBench
from vaetheory.audit._jax._evidence import evidence_of
from vaetheory.audit._jax._keys import noise_of_keys
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
    given = (loss, encode, decode, asked.sample, asked.importance_bound, asked.bits_per_dim)
    belongings = Belongings([f for f in (module, likelihood, prior, *given) if callable(f)])
    states = random_states()

    def undo() -> None:
        belongings.put_back()
        for state in states:
            state()

    def of(name: str, function: Any, *arguments: str) -> Any:
        if function is None:
            return None
        return Function(name, function, module, ("params", *arguments))

    with double_precision(device_of("cpu")), at_the_end(undo):
        if callable(prior) and not adapters.is_distribution(prior):
            prior = of("prior", prior)
        functions = (of("loss", loss, "x"), of("encode", encode, "x"), of("decode", decode, "z"))
        asked = Requested(
            of("sample", asked.sample, "n"),
            of("importance_bound", asked.importance_bound, "x", "K"),
            of("bits_per_dim", asked.bits_per_dim, "x"),
            asked.levels,
        )
        bench = FullBench(
            *functions,
            data,
            parameters=Parameters(module),
            likelihood=adapters.declared(likelihood, lambda f: positions(f)[0]),
            posterior=posterior,
            prior=prior,
            belongings=belongings,
            seed=seed,
        )
        programs = bench.first_traces()
        kinds = [p.rounds for p in programs if p.rounds]
        exact = all(p.can_be_exact() for p in programs)
        made = [_precision(kinds[0], exact=exact)] if kinds else []
        return run(
            bench,
            beta,
            EXACT if exact else _EXACT_SINGLE,
            [*made, noise_of_keys, *checks(asked, evidence_of)],
        )


def _precision(kind: str, *, exact: bool) -> Callable[[Conduct, Examined], None]:
    """A check that says which precision was judged."""

    def precision(conduct: Conduct, found: Examined) -> None:
        conduct.findings.add(
            "precision.single",
            NOTE,
            float(jnp.finfo(kind).eps),
            f"the relative rounding of {kind}",
            f"the functions convert to {kind}: "
            + (
                "float64 was computed with wherever they do, so that their rounding is not judged"
                if exact
                else "differences below a few digits are not seen"
            ),
            "create arrays with dtype=x.dtype within the functions",
        )

    return precision


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
