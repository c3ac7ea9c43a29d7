"""A loss of JAX on the bench: evaluated with known noise, at parameters that are moved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from vaetheory._validation import Array, short
from vaetheory.audit import _alterations as alterations
from vaetheory.audit import _densities as densities
from vaetheory.audit._alterations import CLEAN, GIVEN, OF_ALTERED, SEEN, VIEWS
from vaetheory.audit._belongings import Belongings, seed_all
from vaetheory.audit._belongings import seed as set_seed
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._cases import Case, Encoded, Ran
from vaetheory.audit._jax._decoder_inputs import decoder_inputs
from vaetheory.audit._jax._draws import Draw, matched, redrawn
from vaetheory.audit._jax._inputs import HERE, encoded_data, entrance
from vaetheory.audit._jax._interpreter import Site
from vaetheory.audit._jax._moves import ArrayMoves
from vaetheory.audit._jax._parameters import Parameters
from vaetheory.audit._jax._programs import Program
from vaetheory.audit._jax._user import Function, called
from vaetheory.audit._journeys import Journeys
from vaetheory.audit._latent_noise import LatentNoise
from vaetheory.audit._latents import SELECTIONS, assumed, latents, others_of
from vaetheory.audit._mixing import Mixing
from vaetheory.audit._shots import Decoded, Shot

#: Calls of a loss that are traced anew, to see whether its steps stay the same.
_TRACES = 4
#: How often the inputs of the decoder are looked for.
_SEARCHES = 4
#: Keys by which it is seen whether data are shuffled.
_KEYS = 8


class Bench(Journeys):
    """The functions of one user, evaluated under control."""

    def __init__(
        self,
        loss: Function,
        encode: Function,
        decode: Function,
        x: Array,
        *,
        parameters: Parameters,
        likelihood: adapters.Declared,
        posterior: str,
        prior: Any,
        belongings: Belongings,
        seed: int,
    ) -> None:
        self.loss, self.encode, self.decode = loss, encode, decode
        self.parameters, self.likelihood = parameters, likelihood
        self.posterior, self.prior = posterior, prior
        self.x = x
        self.rng = np.random.default_rng(seed)
        self.moves = ArrayMoves(parameters, self.rng)
        self.modes = parameters.modes
        self.selection = "all"
        #: Whether calls change each other, so that everything is put back before each.
        self.stateful = False
        #: Whether only batches of the given size can be evaluated.
        self.fixed = False
        #: Whether the latents of the decoder could not be read and are those of the right law.
        self.assumed = False
        self._belongings = belongings
        #: A key from a number, old or new in style.
        self.key: Callable[[int], Any] = jax.random.PRNGKey
        self._training = False
        self._programs: dict[Any, Program] = {}
        self._traces: dict[Any, int] = {}
        self._templates: dict[tuple[int, bool], list[Draw]] = {}
        self._sites: dict[Any, list[Site]] = {}
        self._entrances: dict[Any, list[Site]] = {}
        #: How the data were altered before they were encoded, in the last shot: None, or a kind.
        self.alteration: str | None = None
        self._searches: dict[Any, list[list[Any]]] = {}
        self._noises = LatentNoise(lambda draws: redrawn(draws, self.rng))
        self._state: list[Any] | None = None
        self._families: dict[Any, str] = {}
        self._used = 0
        #: The size of the last batch.
        self.some = 2
        #: Whether a key draws the same twice.
        self._aliased = False
        #: The data of the last call that was watched.
        self._first: Array | None = None

    @property
    def source(self) -> Draw | None:
        """The draw that is the noise of the latents, in the last shot."""
        found: Draw | None = self._noises.source
        return found

    @property
    def mixing(self) -> Mixing | None:
        """How the noise of the latents was made, in the last shot, if not by one draw."""
        return self._noises.mixing

    @property
    def selections(self) -> tuple[str, ...]:
        """Readings of a loss: calls of the decoder that count; the data, if they are altered."""
        found = self._entrances.values()
        one = (SEEN, CLEAN) if any(doors[0] != HERE for doors in found) else ()
        return (*SELECTIONS, *one, *(VIEWS if any(len(d) > 1 for d in found) else ()))

    @property
    def alters(self) -> bool:
        """Whether the loss was seen to alter its data."""
        return bool(self._entrances)

    # Running --------------------------------------------------------------------------------------

    def mode(self, training: bool) -> None:
        """Set the training or the eval mode of everything."""
        self._training = training

    def arrays(self) -> list[Any]:
        """The arrays of the model, with its state where calls go on from each other."""
        if self._state is None or self.stateful:
            return self.moves.arrays
        moved = set(self.parameters.moved)
        pairs = zip(self.moves.arrays, self._state, strict=True)
        return [ours if i in moved else now for i, (ours, now) in enumerate(pairs)]

    def program(
        self, function: Function, read: Callable[..., Any], kind: str, *arguments: Any
    ) -> Program:
        """A function, traced for arguments of these shapes."""
        which = self._which(function, kind, arguments)
        traces = self._traces.get(which, 0)
        fresh = kind == "loss" and not self.stateful and traces < _TRACES
        if which in self._programs and not fresh:
            return self._programs[which]
        self._traces[which] = traces + 1
        made = self.trace(function, read, arguments)
        if which not in self._programs or not self._programs[which].same(made):
            self._programs[which] = made
            if traces:
                # A schedule in Python: it is traced anew in each call, until it is put back.
                self._traces[which] = 0
        return self._programs[which]

    def _which(self, function: Function, kind: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        types = tuple((np.shape(a), np.result_type(a).kind) for a in arguments)
        return id(function), kind, self._training, types

    def trace(
        self, function: Function, read: Callable[..., Any], arguments: Sequence[Any], seed: int = 0
    ) -> Program:
        """A function traced anew, with the random states of NumPy and Python from a seed."""
        if self.stateful:
            self._belongings.put_back()
        seed_all(seed)
        for generator in self._belongings.generators:
            set_seed(generator, seed)
        pure = called(function, self.parameters, self._training, read)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Program(pure, (self.arrays(), tuple(arguments), self.key(0)))

    def first_traces(self) -> list[Program]:
        """The functions, traced for the first time, with keys of the style that they take."""

        def traced() -> list[Program]:
            read = lambda out: adapters.encoded(out, self.posterior)  # noqa: E731
            encode = self.trace(self.encode, read, (self.x,))
            z = np.zeros(encode.shape_of("loc"))
            parts = lambda out, x: self.likelihood.read(out, x)[1]  # noqa: E731
            decode = self.trace(self.decode, parts, (z, self.x))
            return [self.trace(self.loss, adapters.values, (self.x,)), encode, decode]

        try:
            return traced()
        except (TypeError, ValueError) as error:
            if not any(word in str(error).lower() for word in ("key", "prng")):
                raise
            self.key = jax.random.key
            try:
                return traced()
            except (TypeError, ValueError):
                raise error from None

    def run(self, function: Function, *arguments: Any, seed: int = 0) -> Ran:
        """Call a loss with the draws of a seed, step by step."""
        program = self.program(function, adapters.values, "loss", *arguments)
        given = (self.arrays(), arguments, self.key(seed))
        (found, _), draws, _ = program.watched(given)
        if function is self.loss:
            keys = [(d.law, *k) for d in draws for k in d.keys]
            self._aliased, self._first = len(set(keys)) < len(keys), arguments[0]
        return Ran(found, draws, [])

    def _evaluated(
        self,
        function: Function,
        read: Callable[..., Any],
        kind: str,
        arguments: Sequence[Any],
        draws: Sequence[Draw],
        seed: int,
        sites: Sequence[Site] = (),
        start: int = 0,
    ) -> tuple[Any, list[Any]]:
        """The result of a function with given draws, and of some of its steps."""
        program = self.program(function, read, kind, *arguments)
        given = (self.arrays(), tuple(arguments), self.key(seed))
        taken, self._used = matched(program.draws(given, self.rng), draws, start)
        (found, state), steps = program(given, taken, sites)
        if kind == "loss" and state:
            self._state = [np.asarray(s) if _plain(s) else s for s in state]
        return found, steps

    def integer(self, high: int) -> int:
        """A random integer below `high`."""
        return int(self.rng.integers(high))

    def rows(self, size: int) -> Array:
        """Examples drawn from the user's, whole, so that they stay what they are."""
        if size <= len(self.x):
            return self.x[self.rng.permutation(len(self.x))[:size]]
        return self.x[self.rng.integers(len(self.x), size=size)]

    def case(self, size: int, x: Array | None = None) -> Case:
        """New data and new noise for the loss."""
        key = (size, self._training)
        data = self.rows(size) if x is None else x
        self.some = size
        if key not in self._templates:
            self._templates[key] = self._template(data)
        return Case(data, redrawn(self._templates[key], self.rng), self.integer(2**31))

    def _template(self, x: Array) -> list[Draw]:
        """The draws of the loss; with their keys where a key is used twice."""
        program = self.program(self.loss, adapters.values, "loss", x)
        if self._aliased:
            return self.run(self.loss, x, seed=1).draws
        return list(program.draws((self.arrays(), (x,), self.key(1)), self.rng))

    def values(self, case: Case) -> tuple[float, ...]:
        """The loss of a case, in each of its readings."""
        return self.loss_of(case, self.latents_of(case))[0]

    def loss_of(
        self, case: Case, sites: Sequence[Site] = (), draws: Sequence[Draw] | None = None
    ) -> tuple[tuple[float, ...], dict[str, float], list[Array]]:
        """The loss, the numbers returned with it, and the results of some of its steps."""
        given = case.draws if draws is None else draws
        (values, others), steps = self._evaluated(
            self.loss, adapters.values, "loss", (case.x,), given, case.seed, sites
        )
        return (
            tuple(float(v) for v in values),
            {k: float(v) for k, v in others.items()},
            [np.asarray(s, dtype=np.float64) for s in steps],
        )

    # One shot -------------------------------------------------------------------------------------

    def posterior_at(self, x: Array, draws: Sequence[Draw] = (), seed: int = 0) -> Encoded:
        """What `encode` gives for data, read."""
        found, _ = self._evaluated(
            self.encode,
            lambda out: adapters.encoded(out, self.posterior),
            "encode",
            (x,),
            draws,
            seed,
        )
        factor = found.get("factor")
        return Encoded(
            np.array(found["loc"], dtype=np.float64),
            np.array(found["log_variance"], dtype=np.float64),
            None if factor is None else np.array(factor, dtype=np.float64),
            "other" in found,
        )

    def decoded_at(
        self, z: Array, x: Array, draws: Sequence[Draw] = (), seed: int = 0, start: int = 0
    ) -> Decoded:
        """The declared likelihood of data at latents of the same batch."""
        which = (np.shape(z), np.shape(x), self._training)

        def read(output: Any, data: Any) -> Any:
            self._families[which], parts = self.likelihood.read(output, data)
            return parts

        found, _ = self._evaluated(self.decode, read, "decode", (z, x), draws, seed, start=start)
        parts: dict[str, Array] = {k: np.array(v, dtype=np.float64)[None] for k, v in found.items()}
        data = np.asarray(x, dtype=np.float64).reshape(1, len(x), -1)
        with np.errstate(all="ignore"):
            return densities.decoded(self._families[which], parts, data, self.likelihood.family)

    def latents_of(self, case: Case) -> list[Site]:
        """The steps of the loss whose results are decoded."""
        program = self.program(self.loss, adapters.values, "loss", case.x)
        which = (program.form, self._training, id(self.loss))
        searched = self._searches.setdefault(which, [])
        moved = not any(self.moves.arrays is a for a in searched)
        if not self._sites.get(which) and moved and len(searched) < _SEARCHES:
            # A decoder whose weights are 0 shows nothing before they are moved.
            searched.append(self.moves.arrays)
            self._sites[which], doors = self._search(case)
            if doors:
                self._entrances[which] = doors
        return self._sites[which]

    def _search(self, case: Case) -> tuple[list[Site], list[Site]]:
        x = case.x
        program = self.program(self.loss, adapters.values, "loss", x)
        if self._first is not None:
            # Another size of batch would have to be compiled; its steps may be others.
            first = self.program(self.loss, adapters.values, "loss", self._first)
            if first.form == program.form:
                x, program = self._first, first

        def shown(i: int) -> Any:
            return program.watched((self.arrays(), (x,), self.key(case.seed + i)))[2]

        shape = self.posterior_at(case.x, case.draws, case.seed).loc.shape

        def encode(data: Array) -> Any:
            data = encoded_data(x, data)
            given = (self.arrays(), (data,), self.key(case.seed))
            return self.program(self.encode, _leaves, "steps", data).watched(given)[2]

        doors = entrance(map(shown, range(_KEYS)), x, encode, self.rng)
        results = shown(0)
        made = results[doors[0]] if doors and doors[0] != HERE else [x]
        size = len(encoded_data(x, np.array(made)))
        return self.decoded_among(results, size, shape[1:]), doors

    def decoded_among(self, results: Any, n: int, shape: tuple[int, ...]) -> list[Site]:
        """The steps of a function whose results are latents of n examples that are decoded."""

        def decode(flat: Array) -> Any:
            made: dict[Site, list[Any]] = {}
            for z in flat.reshape(-1, n, *shape):
                program = self.program(self.decode, _leaves, "steps", z)
                steps = program.watched((self.arrays(), (z,), self.key(0)))[2]
                for site, each in steps.items():
                    made.setdefault(site, []).extend(each)
            return made

        return decoder_inputs(results, n * int(np.prod(shape)), decode, self.rng)

    def _shown(self, case: Case) -> tuple[Any, dict[str, float], list[Array], Array]:
        """The loss, what is returned with it, the latents, and the data that are encoded."""
        sites = self.latents_of(case)
        program = self.program(self.loss, adapters.values, "loss", case.x)
        doors = self._entrances.get((program.form, self._training, id(self.loss)), [])
        doors = doors if self.selection in VIEWS else doors[:1]
        if not doors or self.selection not in OF_ALTERED:
            return (*self.loss_of(case, sites), case.x)
        made = [door for door in doors if door != HERE]
        values, others, steps = self.loss_of(case, [*sites, *made])
        seen = {HERE: case.x, **dict(zip(made, steps[len(sites) :], strict=True))}
        found = [encoded_data(case.x, seen[door]) for door in doors]
        return values, others, steps[: len(sites)], np.concatenate(found)

    def encoded_case(self, case: Case) -> Case:
        """The same noise for the data that are encoded."""
        return Case(self._shown(case)[3], case.draws, case.seed)

    def shot(self, case: Case) -> Shot:
        """Evaluate the loss, and all of which it should be a function."""
        values, others, calls, x = self._shown(case)
        reading = self.selection if self.selection in OF_ALTERED else GIVEN
        self.alteration = alterations.kind(reading, case.x, x)
        target = alterations.compared(reading, case.x, x)
        q = self.posterior_at(x, case.draws, case.seed)
        after = self._used
        n, shape = len(x), q.loc.shape
        loc, log_variance = q.loc.reshape(n, -1), q.log_variance.reshape(n, -1)
        factor = q.factor
        z, eps, self._noises.source = latents(calls, case.draws, loc, self.selection)
        self.assumed = z is None
        if z is None:
            z, eps, self._noises.source = assumed(case.draws, loc, log_variance, factor)
        elif factor is None and not q.other:
            eps = self._noise(case, z, eps, loc, log_variance)
            if eps is None and self.mixing is not None:
                eps = self.mixing.arranged(case.draws, z.shape)
        parts = [
            self.decoded_at(one.reshape(shape), target, case.draws, case.seed, after) for one in z
        ]
        prior_loc, prior_scale = self.prior_at(loc.shape)
        log_det = log_variance.sum(-1)
        if factor is not None:
            log_det = 2 * np.log(np.einsum("nii->ni", factor)).sum(-1)
        other: dict[str, Array | None] = {}
        if q.other:
            other = self._other(Case(x, case.draws, case.seed), z.reshape(len(z), *shape))
        return Shot(
            values,
            np.asarray(target, dtype=np.float64).reshape(n, -1),
            loc,
            log_variance,
            log_det,
            factor,
            z,
            eps,
            prior_loc,
            prior_scale,
            densities.joined(parts),
            weights=self.moves.sums(),
            reported=others,
            more=() if q.other else others_of(case.draws, eps, loc.shape),
            **other,
        )

    def _noise(
        self, case: Case, z: Array, eps: Array | None, loc: Array, log_variance: Array
    ) -> Array | None:
        """The noise of latents, also where it is not one draw as it came."""

        def seen(given: Sequence[Draw], x: Array = case.x) -> Array | None:
            _, _, calls, x = self._shown(Case(x, list(given), case.seed))
            q = self.posterior_at(x, given, case.seed)
            m, v = q.loc.reshape(loc.shape), q.log_variance.reshape(loc.shape)
            found = latents(calls, given, m, self.selection)[0]
            return None if found is None else np.asarray((found - m) / np.exp(v / 2))

        kind = (len(case.x), self._training, self.selection, id(self.loss))
        key = (*kind, tuple(d.key for d in case.draws))
        shot = (z, loc, log_variance)
        return self._noises.read(
            key, case.draws, shot, eps, seen, lambda: seen(case.draws, self.rows(len(case.x)))
        )

    def _other(self, case: Case, z: Array) -> dict[str, Array | None]:
        """Log densities of a posterior of another family, and of the prior."""
        log_q = np.stack([self.log_density_at(case, one) for one in z])
        loc, scale = self.prior_at((len(case.x), z[0, 0].size))
        flat = z.reshape(len(z), len(case.x), -1)
        each = -0.5 * ((flat - loc) / scale) ** 2 - np.log(scale) - 0.5 * np.log(2 * np.pi)
        return {"log_q": log_q, "log_p": each.sum(-1), "divergence": None}

    def log_density_at(self, case: Case, z: Array) -> Array:
        """The log density (B,) of the posterior at latents (B, ...)."""
        found, _ = self._evaluated(
            self.encode, adapters.log_density, "density", (case.x, z), case.draws, case.seed
        )
        return np.array(found, dtype=np.float64)

    def prior_at(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Means and deviations of the declared prior, (B, d)."""
        if self.prior is None:
            return np.zeros(shape), np.ones(shape)
        if isinstance(self.prior, Function):
            found, _ = self._evaluated(self.prior, adapters.prior_of, "prior", (), (), 0)
        else:
            found = adapters.prior_of(self.prior)
        made = []
        for value in found:
            a = np.array(value, dtype=np.float64)
            if a.size not in (1, shape[-1], shape[0] * shape[-1]):
                raise ValueError(
                    f"prior: expected one number or {shape[-1]} latents, got shape {a.shape}"
                )
            flat = a.reshape(-1) if a.size == 1 else a.reshape(-1, shape[-1])
            made.append(np.broadcast_to(flat, shape))
        if not (made[1] > 0).all():
            raise ValueError(f"prior: expected positive deviations, got {short(made[1].min())}")
        return made[0], made[1]


def _leaves(out: Any) -> Any:
    """The arrays of an output, or nothing: its steps are what counts."""
    return [leaf for leaf in jax.tree.leaves(out) if hasattr(leaf, "dtype")]


def _plain(value: Any) -> bool:
    return not jax.numpy.issubdtype(value.dtype, jax.dtypes.extended)
