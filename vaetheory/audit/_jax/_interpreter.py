"""Evaluation of a traced program step by step: its draws are seen, and can be given.

A program of JAX holds every step of the function that was traced, whatever it imports or compiles:
`jax.random.normal` is a step of that name, also within `jit`, `vmap`, `scan` or `grad`. The
interpreter gives such a step another outcome, and tells the results of any step. What it evaluates
may itself be compiled or differentiated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from vaetheory.jax._programs import draws, inner, steps

#: The place of a step: the numbers of the steps that hold it, and its own.
Site = tuple[int, ...]

_NORMAL, _UNIFORM, _BERNOULLI = DRAWS = ("_normal_real", "_uniform", "_bernoulli")
#: Steps that only stand for the program in them, by the name of the parameter that holds it.
PLAIN = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
}
#: The same of functions with derivatives of their own.
CUSTOM = {
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}
#: Steps whose types cannot be changed.
_TYPED = frozenset(
    {"while", "cond", "scan", "bitcast_convert_type", "pure_callback", "io_callback", "ffi_call"}
)
_TYPES = ("new_dtype", "preferred_element_type", "dtype", "out_dtype", "accum_dtype")
#: Loops of more steps than this are not taken apart.
_MOST = 20_000


class Interpreter:
    """One evaluation of a program.

    Parameters
    ----------
    given : mapping, optional
        Outcomes of draws by their sites, with an axis in front for each time they are drawn.
    wanted : set of sites or None
        The steps whose results are kept; None for all with floats.
    exact : bool
        Whether numbers of low precision are taken for float64 wherever they occur.
    own : bool
        Whether functions keep derivatives of their own.
    fixed : set of sites
        Draws that are left as they are.
    """

    def __init__(
        self,
        given: Mapping[Site, Any] | None = None,
        wanted: frozenset[Site] | None = frozenset(),
        *,
        exact: bool = False,
        own: bool = False,
        fixed: frozenset[Site] = frozenset(),
    ) -> None:
        self._given, self._wanted, self._fixed = given, wanted, fixed
        self._exact, self._own = exact, own
        self._used: dict[Site, int] = {}
        #: Of each site of a draw: its law, and each outcome with its keys.
        self.draws: dict[Site, tuple[str, list[tuple[Any, Any]]]] = {}
        #: Results of steps.
        self.results: dict[Site, list[Any]] = {}
        #: Whether low precision could not be avoided.
        self.rounded = False

    def run(self, program: Any, args: Sequence[Any]) -> list[Any]:
        """The results of a closed program."""
        return self._run(program.jaxpr, program.consts, args, ())

    def _run(self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Any], at: Site) -> list[Any]:
        known: dict[Any, Any] = {}

        def value(v: Any) -> Any:
            return self._wide(v.val) if hasattr(v, "val") else known[v]

        known.update(zip(jaxpr.constvars, map(self._wide, consts), strict=True))
        known.update(zip(jaxpr.invars, args, strict=True))
        for i, step in enumerate(jaxpr.eqns):
            results = self._step(step, [value(v) for v in step.invars], (*at, i))
            known.update(zip(step.outvars, results, strict=True))
        return [value(v) for v in jaxpr.outvars]

    # One step -------------------------------------------------------------------------------------

    def _step(self, step: Any, values: list[Any], site: Site) -> list[Any]:
        name, params = step.primitive.name, step.params
        if name in PLAIN:
            if site in self._fixed:
                return Interpreter(exact=self._exact)._inner(params[PLAIN[name]], values, site)
            called = str(params.get("name", ""))
            if called == _NORMAL and _real(step.outvars[0]):
                return [self._drawn("normal", step, values, site)]
            if called == _BERNOULLI:
                return [self._drawn("bernoulli", step, values, site)]
            if called == _UNIFORM and _real(step.outvars[0]):
                return self._uniform(params[PLAIN[name]], values, site)
            return self._inner(params[PLAIN[name]], values, site)
        if name in CUSTOM and not (self._own and not draws(params[CUSTOM[name]])):
            return self._inner(params[CUSTOM[name]], values, site)
        if name == "scan" and self._apart(step, site):
            return self._loop(step, values, site)
        results = self._bind(step, values)
        for k, result in enumerate(results):
            # One of several results has a place of its own.
            self._keep((*site, -1 - k) if len(results) > 1 else site, result)
        return results

    def _keep(self, site: Site, result: Any) -> None:
        """Keep the result of a step, if it has floats and is wanted."""
        wanted = self._wanted is None or site in self._wanted
        if wanted and jnp.issubdtype(result.dtype, jnp.floating):
            self.results.setdefault(site, []).append(result)

    def _inner(self, program: Any, values: list[Any], site: Site) -> list[Any]:
        bare = getattr(program, "jaxpr", program)
        return self._run(bare, getattr(program, "consts", ()), values, site)

    def _apart(self, step: Any, site: Site) -> bool:
        """Whether a loop is taken apart."""
        body = step.params["jaxpr"]
        if step.params["length"] * len(list(steps(body))) > _MOST:
            return False
        wanted = self._wanted is None or any(w[: len(site)] == site for w in self._wanted)
        return wanted or self._exact or draws(body)

    def _loop(self, step: Any, values: list[Any], site: Site) -> list[Any]:
        p = step.params
        fixed, carried = p["num_consts"], p["num_carry"]
        consts, carry = values[:fixed], values[fixed : fixed + carried]
        rows, found = values[fixed + carried :], []
        times = range(p["length"])
        for i in reversed(times) if p["reverse"] else times:
            now = [*consts, *carry, *(lax.index_in_dim(r, i, 0, keepdims=False) for r in rows)]
            out = self._inner(p["jaxpr"], now, site)
            carry = out[:carried]
            found.append(out[carried:])
        if p["reverse"]:
            found.reverse()
        stacked = [jnp.stack(column) for column in zip(*found, strict=True)]
        if not found:
            stacked = [jnp.zeros(v.aval.shape, v.aval.dtype) for v in step.outvars[carried:]]
        return [*carry, *stacked]

    def _bind(self, step: Any, values: list[Any]) -> list[Any]:
        params = step.params
        name = step.primitive.name
        low = self._exact and any(map(narrow, (*step.outvars, *step.invars)))
        if low:
            if name == "reduce_precision":
                return [values[0]]
            if name in _TYPED or list(inner(step)):
                self.rounded |= name != "bitcast_convert_type"
                values = [_as(v, x) for v, x in zip(step.invars, values, strict=True)]
            else:
                params = {k: _widened(v) if k in _TYPES else v for k, v in params.items()}
        bound = step.primitive.get_bind_params(params)
        # Older releases give the functions in a step apart from its other parameters.
        functions, bound = bound if isinstance(bound, tuple) else ((), bound)
        with step.ctx.manager:
            results = step.primitive.bind(*functions, *values, **bound)
        results = list(results) if step.primitive.multiple_results else [results]
        return [self._wide(r) for r in results]

    def _wide(self, value: Any) -> Any:
        """A number of low precision in float64."""
        kind = getattr(value, "dtype", None)
        if not self._exact or kind is None or not _low(kind):
            return value
        return jnp.asarray(value, jnp.float64)

    # Draws ----------------------------------------------------------------------------------------

    def _next(self, site: Site) -> Any:
        """The outcome that is given, or None."""
        if self._given is None or site not in self._given:
            return None
        at = self._used.get(site, 0)
        self._used[site] = at + 1
        return self._given[site][at]

    def _drawn(self, law: str, step: Any, values: list[Any], site: Site) -> Any:
        out = step.outvars[0].aval
        outcome = self._next(site)
        if outcome is None:
            program = step.params[PLAIN[step.primitive.name]]
            outcome = Interpreter(exact=self._exact)._inner(program, values, site)[0]
        kind = jnp.float64 if self._exact and _low(out.dtype) else out.dtype
        outcome = jnp.asarray(outcome, kind).reshape(out.shape)
        self._note(site, law, outcome, values[0])
        self._keep(site, outcome)
        return outcome

    def _uniform(self, program: Any, values: list[Any], site: Site) -> list[Any]:
        """Uniform numbers, of which the bits are replaced, so that any bounds are kept."""
        jaxpr = getattr(program, "jaxpr", program)
        known = dict(zip(jaxpr.constvars, getattr(program, "consts", ()), strict=True))
        known.update(zip(jaxpr.invars, values, strict=True))
        for step in jaxpr.eqns:
            given = [self._wide(v.val) if hasattr(v, "val") else known[v] for v in step.invars]
            if step.primitive.name == "random_bits":
                out = step.outvars[0].aval
                width = out.dtype.itemsize * 8
                digits = {64: 52, 32: 23, 16: 7, 8: 3}[width]
                outcome = self._next(site)
                if outcome is None:
                    bits = self._bind(step, given)[0]
                    outcome = jnp.right_shift(bits, width - digits) * 2.0**-digits
                else:
                    whole = jnp.floor(jnp.asarray(outcome) * 2.0**digits).astype(out.dtype)
                    bits = jnp.left_shift(whole, width - digits).reshape(out.shape)
                self._note(site, "uniform", outcome, given[0])
                results = [bits]
            else:
                results = self._bind(step, given)
            known.update(zip(step.outvars, results, strict=True))
        out = [known[v] for v in jaxpr.outvars]
        self._keep(site, out[0])
        return out

    def _note(self, site: Site, law: str, outcome: Any, keys: Any) -> None:
        self.draws.setdefault(site, (law, []))[1].append((outcome, keys))


def _real(variable: Any) -> bool:
    return bool(jnp.issubdtype(variable.aval.dtype, jnp.floating))


def _low(kind: Any) -> bool:
    """Whether a type has floats of fewer than 64 bits."""
    return bool(jnp.issubdtype(kind, jnp.floating)) and np.dtype(kind).itemsize < 8


def narrow(variable: Any) -> bool:
    """Whether a variable of a program holds floats of fewer than 64 bits."""
    kind = getattr(variable.aval, "dtype", None)
    return kind is not None and not _extended(kind) and _low(kind)


def _extended(kind: Any) -> bool:
    return bool(jnp.issubdtype(kind, jax.dtypes.extended))


def _widened(value: Any) -> Any:
    if value is None or _extended(value):
        return value
    try:
        return np.dtype(np.float64) if _low(value) else value
    except TypeError:
        return value


def _as(variable: Any, value: Any) -> Any:
    return lax.convert_element_type(value, variable.aval.dtype) if narrow(variable) else value
