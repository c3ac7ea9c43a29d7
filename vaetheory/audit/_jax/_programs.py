"""A user's function, traced for arguments of some shapes, with its draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vaetheory.audit._jax._draws import Draw
from vaetheory.audit._jax._fixed_draws import fixed_draws
from vaetheory.audit._jax._interpreter import Interpreter, Site, narrow
from vaetheory.jax._programs import constants, draws, kept, rounded, same_constants, steps

#: Options of the compiler that is to be quick; a release may lack some.
_QUICKLY: dict[str, bool | int] = {
    "xla_backend_optimization_level": 0,
    "xla_llvm_disable_expensive_passes": True,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


@cache
def _quickly() -> dict[str, bool | int]:
    """The options that this release has."""
    return {name: value for name, value in _QUICKLY.items() if _has(name, value)}


def _has(name: str, value: bool | int) -> bool:
    try:
        jax.jit(lambda a: a, compiler_options={name: value}).lower(0.0).compile()
    except jax.errors.JaxRuntimeError:
        return False
    return True


class Program:
    """A function of arrays in the form of its steps.

    Parameters
    ----------
    function : callable
        A pure function of trees of arrays.
    arguments : sequence
        Arguments of the shapes for which it is traced. The first is a list of arrays, and the last
        one the key.

    Notes
    -----
    Numbers of low precision are taken for float64. Functions keep derivatives of their own where
    there are none.
    """

    def __init__(self, function: Callable[..., Any], arguments: Sequence[Any]) -> None:
        # A new function each time, because traces are kept.
        traced = jax.make_jaxpr(lambda *a: function(*a), return_shape=True)
        self._steps, self._shapes = traced(*arguments)
        self._tree = jax.tree.structure(self._shapes)
        self._exact = any(narrow(v) for step in steps(self._steps) for v in step.outvars)
        self._constants: list[Any] | None = None
        self._fixed = fixed_draws(self._steps, _keyed(arguments))
        self._times: dict[Site, int] = {}
        self._draws: list[Draw] | None = None
        self._laws: list[Any] = []
        self._results: list[Site] = []
        self._watched: Callable[..., Any] | None = None
        self._compiled: dict[Any, Callable[..., Any]] = {}
        #: Whether low precision could not be avoided.
        self.rounded = False

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a result."""
        return tuple(self._shapes[0][name].shape)

    def differing(self, other: Program) -> int:
        """How many of its numbers that are no arguments another trace has not."""
        pairs = zip(self.numbers, other.numbers, strict=False)
        return sum(not same_constants([a], [b]) for a, b in pairs)

    def same(self, other: Program) -> bool:
        """Whether another trace has the same steps and the same numbers."""
        return self._text == other._text and same_constants(self.numbers, other.numbers)

    @cached_property
    def _text(self) -> str:
        return str(self._steps)

    @property
    def numbers(self) -> list[Any]:
        """Copies of the numbers in the program that are no arguments."""
        if self._constants is None:
            self._constants = kept(constants(self._steps))
        return self._constants

    @cached_property
    def form(self) -> tuple[str, ...]:
        """The names of all steps: programs of one form have the same sites."""
        return tuple(step.primitive.name for step in steps(self._steps))

    @property
    def rounds(self) -> str:
        """The type of low precision to which float64 numbers are converted, or ""."""
        return rounded(self._steps, [True] * len(self._steps.in_avals))

    def can_be_exact(self) -> bool:
        """Whether all numbers of low precision can be taken for float64."""
        if self._exact:
            flat = [jax.ShapeDtypeStruct(a.shape, a.dtype) for a in self._steps.in_avals]
            jax.eval_shape(lambda a: self._seen(a)[0], flat)
        return not self.rounded

    # With all that its steps show -----------------------------------------------------------------

    def watched(self, arguments: Sequence[Any]) -> tuple[Any, list[Draw], dict[Site, list[Any]]]:
        """The result, the draws as they come, and the results of all steps with floats."""
        if self._watched is None:
            self._watched = _jit(self._seen)
        out, drawn, found = self._watched(jax.tree.leaves(tuple(arguments)))
        made = [_draw(*parts) for parts in zip(self._laws, drawn, strict=True)]
        by_site = dict(zip(self._results, found, strict=True))
        return jax.tree.unflatten(self._tree, out), made, by_site

    def _seen(self, flat: Sequence[Any]) -> tuple[list[Any], list[Any], list[Any]]:
        interpreter = Interpreter(wanted=None, exact=self._exact, fixed=self._fixed)
        out = interpreter.run(self._steps, flat)
        self.rounded |= interpreter.rounded
        drawn = [each for _, each in interpreter.draws.values()]
        self._times = {site: len(each) for site, (_, each) in interpreter.draws.items()}
        self._laws = [
            (law, [(np.shape(o)[k.ndim :], max(k.size, 1)) for o, k in each])
            for law, each in interpreter.draws.values()
        ]
        self._results = list(interpreter.results)
        data = [[(o, jax.random.key_data(k)) for o, k in each] for each in drawn]
        return out, data, list(interpreter.results.values())

    def draws(self, arguments: Sequence[Any], rng: np.random.Generator) -> list[Draw]:
        """The draws of the function, without their keys and with outcomes of `rng`."""
        if self._draws is None:
            self._draws = []
            if draws(self._steps):
                flat = jax.tree.leaves(tuple(arguments))
                _, drawn, _ = jax.eval_shape(self._seen, flat)
                pairs = zip(self._laws, drawn, strict=True)
                self._draws = [_some(law, [o for o, _ in each], rng) for (law, _), each in pairs]
        return self._draws

    def _given(self, draws: Sequence[Draw]) -> dict[Site, Any]:
        """Outcomes by their sites, with an axis for the times they are drawn."""
        pairs = zip(self._times.items(), draws, strict=True)
        return {site: d.base if times > 1 else d.base[None] for (site, times), d in pairs}

    # Compiled -------------------------------------------------------------------------------------

    def __call__(
        self, arguments: Sequence[Any], draws: Sequence[Draw], sites: Sequence[Site] = ()
    ) -> tuple[Any, list[Any]]:
        """The result with given draws, and the results of some steps."""
        wanted = tuple(sites)
        if wanted not in self._compiled:
            self._compiled[wanted] = _jit(
                lambda flat, given: self._evaluated(flat, given, wanted, own=False)
            )
        given = dict(enumerate(self._given(draws).values()))
        out, results = self._compiled[wanted](jax.tree.leaves(tuple(arguments)), given)
        return jax.tree.unflatten(self._tree, out), [np.asarray(r) for r in results]

    def slopes(
        self,
        arguments: Sequence[Any],
        draws: Sequence[Draw],
        pick: Callable[[Any], Any],
    ) -> list[Any]:
        """The gradient of a number of the result, for each array of the first argument."""
        first, *others = arguments
        given = dict(enumerate(self._given(draws).values()))

        def value(leaves: Any) -> Any:
            flat = jax.tree.leaves((leaves, *others))
            out, _ = self._evaluated(flat, given, (), own=True)
            return pick(jax.tree.unflatten(self._tree, out))

        return list(jax.tree.leaves(_jit(jax.grad(value, allow_int=True))(first)))

    def _evaluated(
        self, flat: Sequence[Any], given: Mapping[int, Any], wanted: Sequence[Site], *, own: bool
    ) -> tuple[list[Any], list[Any]]:
        by_site = dict(zip(self._times, given.values(), strict=True))
        interpreter = Interpreter(
            by_site,
            frozenset(wanted),
            exact=self._exact,
            own=own and not self._exact,
            fixed=self._fixed,
        )
        out = interpreter.run(self._steps, flat)
        self.rounded |= interpreter.rounded
        found = [interpreter.results[site] for site in wanted]
        return out, [jnp.stack(r) if len(r) > 1 else r[0] for r in found]


def _keyed(arguments: Sequence[Any]) -> list[bool]:
    """Of each array in the arguments, whether it is the key, or holds the state of one."""
    first, *others, _ = arguments
    held = [jnp.issubdtype(a.dtype, jax.dtypes.extended) for a in jax.tree.leaves(first)]
    return [*held, *([False] * len(jax.tree.leaves(others))), True]


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function that is called some dozens of times: quickly, if it is then slower."""
    return jax.jit(function, compiler_options=_quickly())


def _some(law: str, outcomes: Sequence[Any], rng: np.random.Generator) -> Draw:
    """Outcomes of the shapes of one step's."""
    shape = outcomes[0].shape if len(outcomes) == 1 else (len(outcomes), *outcomes[0].shape)
    if law == "bernoulli":
        return Draw(law, rng.random(shape) < 0.5)
    return Draw(law, rng.normal(size=shape) if law == "normal" else rng.random(shape))


def _draw(kind: tuple[str, Sequence[tuple[Any, int]]], each: Sequence[tuple[Any, Any]]) -> Draw:
    """The draws of one step, in a loop of all its turns."""
    law, shapes = kind
    outcomes = [np.asarray(outcome) for outcome, _ in each]
    base = np.stack(outcomes) if len(outcomes) > 1 else outcomes[0]
    if base.dtype.kind != "b":
        base = base.astype(np.float64)
    keys = []
    for (shape, count), (_, data) in zip(shapes, each, strict=True):
        keys += [(row.tobytes(), tuple(shape)) for row in np.asarray(data).reshape(count, -1)]
    return Draw(law, base, tuple(keys))
