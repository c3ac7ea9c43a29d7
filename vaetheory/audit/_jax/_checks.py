"""What else is asked of a bench of JAX: slopes, ranges, samples and other values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax.numpy as jnp
import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._draws import paired
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._bench import Bench
from vaetheory.audit._jax._cases import Case
from vaetheory.audit._jax._draws import matched
from vaetheory.audit._jax._user import Function
from vaetheory.audit._journeys import outputs_extent
from vaetheory.audit._latents import latents
from vaetheory.audit._shots import Shot
from vaetheory.likelihoods import ContinuousBernoulli

ADVICE = {
    "noise": "draw with jax.random.normal(key, m.shape), from the key that the function gets",
    "prior": "decode jax.random.normal(key, (n, d))",
    "generator": "draw from the key that the function gets",
}


class FullBench(Bench):
    """A bench with all that the checks ask for."""

    #: How to draw, in the words of the framework.
    advice = ADVICE

    def latent_dim(self) -> int:
        """The number of latents of an example."""
        program = self.program(
            self.encode, lambda out: adapters.encoded(out, self.posterior), "encode", self.x
        )
        return int(np.prod(program.shape_of("loc")[1:]))

    def paired(self, case: Case, index: int) -> Case:
        """The example of an index twice, each time with its own noise."""
        for size in (2, 4):
            if (size, self._training) not in self._templates:
                self.case(size)
        two, four = (self._templates.get((n, self._training), []) for n in (2, 4))
        draws = paired(case.draws, two, four, index)
        return Case(case.x[[index, index]], draws, case.seed)

    def by_seed(self, count: int) -> Array:
        """(z - m) exp(-v/2), a row for each of several keys, of draws that are not tapped."""
        case = self.case(self.some if not self.fixed else len(self.x))
        rows = []
        for i in range(count):
            now = Case(case.x, case.draws, case.seed + i)
            _, _, calls, x = self._shown(now)
            q = self.posterior_at(x, case.draws, now.seed)
            m = q.loc.reshape(len(x), -1)
            z = latents(calls, case.draws, m, self.selection)[0]
            if z is not None:
                rows.append(((z - m) / np.exp(q.log_variance.reshape(m.shape) / 2)).ravel())
        return np.array(rows)

    # Far out --------------------------------------------------------------------------------------

    def moments_at(self, x: Array) -> tuple[Array, Array]:
        """Means and log variances of the posterior of data, (B, ...)."""
        q = self.posterior_at(x)
        return q.loc, q.log_variance

    def outputs_at(self, z: Array, x: Array) -> float:
        """The outputs at latents (B, ...), as a share of the largest moderate ones."""
        return outputs_extent(self.decoded_at(z, x))

    def _of_the_encoder(self) -> frozenset[str]:
        """The parameters on which the posterior depends."""
        x = self.rows(len(self.x) if self.fixed else self.some)
        shape = self.posterior_at(x).loc.shape
        a, b = self.rng.normal(size=(2, *shape))

        def weighed(found: Mapping[str, Any]) -> Any:
            return (found["loc"] * a).sum() + (found["log_variance"] * b).sum()

        slopes = self._gradient(self.encode, "encode", (x,), (), 0, weighed)
        return frozenset(n for n, g in slopes.items() if (g != 0).any())

    # Slopes ---------------------------------------------------------------------------------------

    def _gradient(
        self,
        function: Function,
        kind: str,
        arguments: tuple[Any, ...],
        draws: Any,
        seed: int,
        pick: Any,
    ) -> dict[str, Array]:
        """The gradient of a number of a result, by the names of the parameters."""
        program = self._programs[self._which(function, kind, arguments)]
        given = (self.arrays(), arguments, self.key(seed))
        taken = matched(program.draws(given, self.rng), draws)[0]
        found = program.slopes(given, taken, lambda out: pick(out[0]))
        return {
            n: np.asarray(found[self.moves.place(n)], np.float64) for n in self.moves.parameters
        }

    def trains(self) -> bool:
        """Whether there are parameters that are trained: in JAX all may be."""
        return bool(self.moves.parameters)

    def slopes(self, case: Case, directions: Mapping[str, Array]) -> dict[str, float] | None:
        """JAX's slopes of the loss along a direction of each parameter."""
        self.values(case)
        gradient = self._gradient(
            self.loss, "loss", (case.x,), case.draws, case.seed, lambda out: out[0][self.entry]
        )
        if all((g == 0).all() for g in gradient.values()):
            return None
        return {n: float((gradient[n] * d).sum()) for n, d in directions.items()}

    def scores(
        self,
        case: Case,
        directions: Mapping[str, Array],
        weights: Callable[[Shot], Array] | None = None,
    ) -> dict[str, float]:
        """Slopes of the sum of log q(z given x) at latents that are held.

        The mean over the samples, or with weights (K, B) of a shot.
        """
        shot = self.shot(case)
        share = np.full(shot.z.shape[:2], 1 / len(shot.z)) if weights is None else weights(shot)
        case = self.encoded_case(case)
        shape = self.posterior_at(case.x, case.draws, case.seed).loc.shape
        total = dict.fromkeys(directions, 0.0)
        for one, row in zip(shot.z, share, strict=True):
            z = one.reshape(shape)
            if shot.log_q is None:
                gradient = self._gradient(
                    self.encode, "encode", (case.x,), case.draws, case.seed,
                    lambda q, z=z, row=row: (_normal_log_densities(q, z) * row).sum(),
                )  # fmt: skip
            else:
                self.log_density_at(case, z)
                gradient = self._gradient(
                    self.encode,
                    "density",
                    (case.x, z),
                    case.draws,
                    case.seed,
                    lambda each, row=row: (each * row).sum(),
                )
            for n, d in directions.items():
                total[n] += float((gradient[n] * d).sum())
        return total

    # Ranges ---------------------------------------------------------------------------------------

    def outputs(self) -> tuple[Array, Array, Array]:
        """Posterior means, log variances, and means of the decoder at latents of width 3."""
        x = self.rows(len(self.x) if self.fixed else self.some)
        q = self.posterior_at(x)
        z = 3 * self.rng.normal(size=q.loc.shape)
        mean = self.decoded_at(z, x).parts.get("mean", np.array([np.nan]))
        return q.loc, q.log_variance, mean

    def data_range(self) -> tuple[float, float]:
        """The range of the given data."""
        return float(self.x.min()), float(self.x.max())

    def grey(self) -> tuple[float, float]:
        """The share of data that are neither 0 nor 1, and what a normaliser would add in nats."""
        part = float(((self.x != 0) & (self.x != 1)).mean())
        if not part:
            return 0.0, 0.0
        logits = self.decoded_at(self.posterior_at(self.x).loc, self.x).parts["logits"]
        f = np.clip(logits[0], -30, 30)
        # The densities of the two families differ by the normaliser alone.
        log_c = ContinuousBernoulli().log_prob(np.zeros_like(f), f) + np.logaddexp(0.0, f).sum(-1)
        return part, float(log_c.mean())

    # Other functions ------------------------------------------------------------------------------

    @contextmanager
    def examining(self, function: Function, *numbers: int) -> Iterator[None]:
        """Another function of the data, and of numbers, in the place of the loss."""
        kept = self.loss, self._templates, self._first, self.entry
        for number in numbers:
            function = function.bound(number)
        self.loss, self._templates, self._first, self.entry = function, {}, None, 0
        try:
            yield
        finally:
            self.loss, self._templates, self._first, self.entry = kept

    def same_noise(self, function: Function, size: int) -> tuple[float, float]:
        """The value of another function and of the loss, with the same data and noise."""
        case = self.case(size)
        (values, _), _ = self._evaluated(
            function, adapters.values, "other", (case.x,), case.draws, case.seed
        )
        return float(values[0]), self.values(case)[self.entry]

    def sampled(self, function: Function, n: int) -> dict[str, Any]:
        """The draws and the latents of a function that samples."""
        # Where biases are 0, the decoder's steps at latents of 0 say nothing.
        self.moves.move(0.4, 1.0)
        program = self.program(function.bound(n), _arrays, "sample")
        given = (self.arrays(), (), self.key(5))
        _, draws, results = program.watched(given)
        shape = self.posterior_at(self.x).loc.shape[1:]
        sites = self.decoded_among(results, n, shape)
        z = [np.concatenate([np.ravel(np.asarray(r)) for r in results[s]]) for s in sites]
        return {"z": z[0] if z else None, "draws": [(d.law, d.array.ravel()) for d in draws]}


def _normal_log_densities(q: Mapping[str, Any], z: Array) -> Any:
    """The log density of each example at latents (B, ...), up to a constant."""
    loc, off = q["loc"], z - q["loc"]
    if "factor" in q:
        solved = jnp.linalg.solve(q["factor"], off.reshape(len(z), -1)[..., None])
        diagonal = jnp.diagonal(q["factor"], axis1=-2, axis2=-1)
        return -0.5 * (solved[..., 0] ** 2).sum(-1) - jnp.log(diagonal).sum(-1)
    each = off**2 * jnp.exp(-q["log_variance"]) + q["log_variance"] + 0 * loc
    return -0.5 * each.reshape(len(z), -1).sum(-1)


def _arrays(out: Any) -> Any:
    """A sample of any form."""
    return out
