"""A loss of PyTorch on the bench: evaluated with known noise, at parameters that are moved."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import distributions, nn

from vaetheory._validation import Array, short
from vaetheory.audit._belongings import seed as set_seed
from vaetheory.audit._belongings import seed_all
from vaetheory.audit._densities import joined
from vaetheory.audit._journeys import Journeys
from vaetheory.audit._latent_noise import LatentNoise, in_units
from vaetheory.audit._latents import SELECTIONS, assumed, latents, others_of
from vaetheory.audit._mixing import Mixing
from vaetheory.audit._shots import Shot
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._custody import Custody
from vaetheory.audit._torch._extent import extent
from vaetheory.audit._torch._inputs import (
    CLEAN,
    GIVEN,
    OF_ALTERED,
    OTHERS,
    SEEN,
    VIEWS,
    altered,
    compared,
    encoded_data,
    kind,
    permutations,
    viewed,
)
from vaetheory.audit._torch._moves import ModuleMoves
from vaetheory.audit._torch._tap import Draw, Tap, Watch, redrawn, shadowed

_DIGITS = {torch.float32: 7, torch.float16: 3, torch.bfloat16: 2}


@dataclass
class Case:
    """Data and noise of one evaluation."""

    x: torch.Tensor
    draws: list[Draw]
    seed: int


@dataclass
class Ran:
    """What a function has returned, with its draws and the inputs of the decoder."""

    result: Any
    draws: list[Draw]
    calls: list[Array]
    inputs: list[torch.Tensor]
    missed: bool = False


class Bench(Journeys):
    """The functions of one user, evaluated under control.

    It must be used while its custody has lent the module.
    """

    #: Whether only batches of the given size can be evaluated.
    fixed = False
    #: How many numbers the loss has returned.
    returned = 1

    def __init__(
        self,
        loss: Callable[..., Any],
        encode: Callable[..., Any],
        decode: Callable[..., Any],
        x: torch.Tensor,
        *,
        module: nn.Module,
        custody: Custody,
        likelihood: adapters.Likelihood,
        posterior: str,
        prior: Any,
        decoder: str,
        seed: int,
    ) -> None:
        self.loss, self.encode, self.decode = loss, encode, decode
        self.module, self.custody = module, custody
        self.likelihood, self.posterior, self.prior = likelihood, posterior, prior
        self.x = x
        self.generator = torch.Generator().manual_seed(seed)
        self.moves = ModuleMoves(module, self.generator)
        self.watch = Watch(module, decoder)
        #: Where the data enter the encoder, within the loss.
        self.entrance = Watch(module, "")
        #: Whether calls change each other, so that everything is put back before each.
        self.stateful = False
        self.selection = "all"
        #: How the data were altered before they were encoded, in the last shot: None, or a kind.
        self.alteration: str | None = None
        self._altered = self._entered = self._permuted = self._viewed = False
        #: Whether the latents of the decoder could not be read and are those of the right law.
        self.assumed = False
        self._modes = [(m, m.training) for m in custody.modules]
        self._was_training = module.training
        self._training = False
        self._coarse: set[torch.dtype] = set()
        self._templates: dict[tuple[int, bool], list[Draw]] = {}
        self._searched = False
        self._noises = LatentNoise(self._redraw)
        #: A tensor of the type of the latents.
        self._like = torch.zeros(())

    @property
    def source(self) -> Draw | None:
        """The draw that is the noise of the latents, in the last shot."""
        return self._noises.source

    @property
    def mixing(self) -> Mixing | None:
        """How the noise of the latents was made, in the last shot, if not by one draw."""
        return self._noises.mixing

    @property
    def selections(self) -> Iterator[str]:
        """Readings of a loss: calls of the decoder that count; the data, if they are altered."""
        yield from SELECTIONS
        if self._altered:
            yield from (SEEN, CLEAN)
        if self._viewed:
            yield from VIEWS
        if self._permuted:
            yield OTHERS

    @property
    def alters(self) -> bool:
        """Whether the loss was seen to alter its data."""
        return self._altered or self._viewed

    @property
    def digits(self) -> int:
        """The decimal digits of the coarsest type in which the loss was seen to compute."""
        return min((_DIGITS[t] for t in self._coarse), default=15)

    @property
    def reading(self) -> str:
        """Which data the posterior is that of; see `vaetheory.audit._torch._inputs`."""
        return self.selection if self.selection in OF_ALTERED else GIVEN

    # Running --------------------------------------------------------------------------------------

    def mode(self, training: bool) -> None:
        """Set the training or the eval mode of everything, also of what refuses attributes."""
        self._training = training
        for m, was in self._modes:
            vars(m)["training"] = (was or not self._was_training) if training else False

    def run(
        self,
        function: Callable[..., Any],
        *args: Any,
        draws: Sequence[Draw] | None = None,
        seed: int = 0,
        grad: bool = False,
        start: int | None = None,
    ) -> Ran:
        """Call a function of the user, with its draws replaced."""
        if self.stateful:
            self.custody.rewind()
            self.moves.apply()
        self.mode(self._training)
        self._seed(seed)
        given = [a.clone() if isinstance(a, torch.Tensor) else a for a in args]
        tap = Tap(draws, loosely=start is not None)
        tap.used = start or 0
        with (
            shadowed(self.watch.places, self.watch.pick) as calls,
            shadowed(self.entrance.places) as inputs,
            torch.set_grad_enabled(grad),
            warnings.catch_warnings(),
            tap,
        ):
            warnings.simplefilter("ignore")
            result = function(*given)
        self._used, self._memory = tap.used, tap.memory
        if function is self.loss:
            self._coarse |= tap.coarse
        got = [adapters.numpy(value) for _, value in calls]
        return Ran(result, tap.draws, got, [value for _, value in inputs], tap.missed)

    def _seed(self, seed: int) -> None:
        """Noise that is not PyTorch's comes from here; it is the same for the same seed."""
        if _accelerated():
            torch.manual_seed(seed)
        else:
            # Without accelerators: for each of them the other function keeps the stack of its call.
            torch.default_generator.manual_seed(seed)
        seed_all(seed)
        for generator in self.custody.generators:
            if isinstance(generator, torch.Generator):
                generator.manual_seed(seed + 1)
            else:
                set_seed(generator, seed)

    def _redraw(self, draws: Sequence[Draw]) -> list[Draw]:
        return redrawn(draws, self.generator)

    def integer(self, high: int) -> int:
        """A random integer below `high`."""
        return int(torch.randint(high, (1,), generator=self.generator))

    def rows(self, size: int) -> torch.Tensor:
        """Examples drawn from the user's, whole, so that they stay what they are."""
        if size <= len(self.x):
            return self.x[torch.randperm(len(self.x), generator=self.generator)[:size]]
        return self.x[torch.randint(len(self.x), (size,), generator=self.generator)]

    def case(self, size: int, x: torch.Tensor | None = None) -> Case:
        """New data and new noise for the loss."""
        key = (size, self._training)
        data = self.rows(size) if x is None else x
        if key not in self._templates:
            self._templates[key] = self.run(self.loss, data, seed=1).draws
        return Case(data, redrawn(self._templates[key], self.generator), self.integer(2**31))

    def values(self, case: Case) -> tuple[float, ...]:
        """The loss of a case, in each of its readings."""
        return self._values(self.run(self.loss, case.x, draws=case.draws, seed=case.seed))[0]

    def _values(self, ran: Ran) -> tuple[tuple[float, ...], dict[str, float]]:
        found, others = adapters.values(ran.result)
        self.returned = adapters.numbers_of(ran.result)
        return tuple(float(v.detach()) for v in found), others

    # One shot -------------------------------------------------------------------------------------

    def posterior_at(self, x: torch.Tensor, draws: Sequence[Draw] = (), seed: int = 0) -> Any:
        """What `encode` gives for data, read."""
        ran = self.run(self.encode, x, draws=draws, seed=seed, start=0)
        return adapters.encoded(ran.result, self.posterior)

    def likelihood_at(
        self, z: torch.Tensor, draws: Sequence[Draw] = (), seed: int = 0, start: int = 0
    ) -> distributions.Distribution:
        """The declared likelihood at latents."""
        ran = self.run(self.decode, z, draws=draws, seed=seed, start=start)
        return adapters.distribution(ran.result, self.likelihood)

    def shot(self, case: Case) -> Shot:
        """Evaluate the loss, and all of which it should be a function."""
        if not self._entered:
            self._entered = True
            self.run(lambda x: self.entrance.search(self.module, self.encode, x), case.x)
            if set(self.entrance.places) & set(self.watch.places):
                self.entrance = Watch(self.module, "")
        ran = self.run(self.loss, case.x, draws=case.draws, seed=case.seed)
        values, others = self._values(ran)
        x = encoded_data(self.reading, case.x, ran.inputs)
        self._altered = self._altered or altered(case.x, ran.inputs)
        self._viewed = self._viewed or viewed(case.x, ran.inputs)
        self.alteration = None if self.reading == GIVEN else kind(self.reading, case.x, x)
        target = compared(self.reading, case.x, x)
        orders = permutations(ran.draws, len(x))
        self._permuted = self._permuted or bool(orders)
        if self.selection == OTHERS and orders:
            target, self.alteration = x[orders[0]], "mismatched"
        q = self.posterior_at(x, ran.draws, case.seed)
        after = self._used
        n = len(x)
        loc = adapters.numpy(q.loc).reshape(n, -1)
        log_variance = adapters.numpy(q.log_variance).reshape(n, -1)
        factor = None if q.factor is None else adapters.numpy(q.factor)
        if not self._searched:
            self._searched = True
            self._watch_decoder(q.loc.detach(), case, bool(ran.calls))
            ran = self.run(self.loss, case.x, draws=case.draws, seed=case.seed)
        z, eps, self._noises.source = latents(ran.calls, ran.draws, loc, self.selection)
        self.assumed = z is None
        if z is None:
            z, eps, self._noises.source = assumed(ran.draws, loc, log_variance, factor)
        elif q.other is None:
            eps = self._noise(case, ran.draws, (z, loc, log_variance), eps, factor)
            if eps is None and self.mixing is not None:
                eps = self.mixing.arranged(ran.draws, z.shape)
        shape = q.loc.shape
        parts = [
            adapters.decoded(
                self.likelihood_at(
                    torch.as_tensor(one).reshape(shape).to(q.loc), ran.draws, case.seed, after
                ),
                target,
            )
            for one in z
        ]
        prior_loc, prior_scale = self.prior_at(loc.shape)
        log_det = log_variance.sum(-1)
        if factor is not None:
            log_det = 2 * np.log(np.einsum("nii->ni", factor)).sum(-1)
        other: dict[str, Array | None] = {}
        if q.other is not None:
            other = self._other(q.other, z, shape)
        return Shot(
            values,
            adapters.numpy(target).reshape(n, -1),
            loc,
            log_variance,
            log_det,
            factor,
            z,
            eps,
            prior_loc,
            prior_scale,
            joined(parts),
            weights=self.moves.sums(),
            reported=others,
            more=() if q.other is not None else others_of(ran.draws, eps, loc.shape),
            **other,
        )

    def _watch_decoder(self, loc: torch.Tensor, case: Case, called: bool) -> None:
        """Find z in what the decoder gets, or a decoder that gets it."""
        z = loc + torch.randn(loc.shape, generator=self.generator, dtype=torch.float64).to(loc)
        if called:
            self.run(lambda z: self.watch.locate(self.decode, z), z, seed=case.seed)
        if not called or not self.watch.places:
            self.run(lambda z: self.watch.search(self.module, self.decode, z), z, seed=case.seed)

    def by_seed(self, count: int) -> Array:
        """(z - m) exp(-v/2), a row for each of several seeds of generators that are not tapped."""
        case = self.case(2 if not self.fixed else len(self.x))
        rows = [self.in_units(case, case.draws, case.seed + i) for i in range(count)]
        return np.array([h.ravel() for h in rows if h is not None])

    def in_units(self, case: Case, draws: Sequence[Draw], seed: int | None = None) -> Array | None:
        """Latents in units of the posterior, (K, B, d), with other outcomes, or another seed."""
        seed = case.seed if seed is None else seed
        ran = self.run(self.loss, case.x, draws=draws, seed=seed)
        x = encoded_data(self.reading, case.x, ran.inputs)
        q = self.posterior_at(x, ran.draws, seed)
        m = adapters.numpy(q.loc).reshape(len(x), -1)
        z = latents(ran.calls, ran.draws, m, self.selection)[0]
        if z is None:
            return None
        factor = None if q.factor is None else adapters.numpy(q.factor)
        return in_units(z - m, adapters.numpy(q.log_variance).reshape(m.shape), factor)

    def _noise(
        self,
        case: Case,
        draws: list[Draw],
        shot: tuple[Array, Array, Array],
        eps: Array | None,
        factor: Array | None,
    ) -> Array | None:
        """The noise of latents, also where it is not one draw as it came."""

        def seen(outcomes: Sequence[Draw], x: torch.Tensor = case.x) -> Array | None:
            return self.in_units(replace(case, x=x), outcomes)

        key = (len(case.x), self._training, self.selection, tuple(d.key for d in draws))
        return self._noises.read(
            key, draws, shot, eps, seen, lambda: seen(draws, self.rows(len(case.x))), factor
        )

    def _other(
        self, q: distributions.Distribution, z: Array, shape: torch.Size
    ) -> dict[str, Array | None]:
        """Log densities of a posterior of another family, and of the prior."""
        n = shape[0]
        at = torch.as_tensor(z).reshape(len(z), *shape)
        loc, scale = self.prior_at((n, z.shape[-1]))
        prior = distributions.Normal(torch.as_tensor(loc), torch.as_tensor(scale))
        with torch.no_grad():
            log_q = adapters.numpy(q.log_prob(at)).reshape(len(z), n, -1).sum(-1)
            log_p = adapters.numpy(prior.log_prob(torch.as_tensor(z))).sum(-1)
            try:
                plain = adapters.base(q)
                kl = distributions.kl_divergence(
                    plain,
                    distributions.Normal(prior.loc.reshape(shape), prior.scale.reshape(shape)),
                )
                closed = adapters.numpy(kl).reshape(n, -1).sum(-1)
            except NotImplementedError:
                closed = None
        return {"log_q": log_q, "log_p": log_p, "divergence": closed}

    def prior_at(self, shape: tuple[int, ...]) -> tuple[Array, Array]:
        """Means and deviations of the declared prior, (B, d)."""
        prior = self.prior
        if prior is None:
            return np.zeros(shape), np.ones(shape)
        if callable(prior):
            with torch.no_grad():
                prior = prior()
        q = adapters.base(prior) if isinstance(prior, distributions.Distribution) else prior
        if isinstance(q, distributions.MultivariateNormal):
            cov = adapters.numpy(q.covariance_matrix)
            if np.abs(cov - np.eye(cov.shape[-1]) * cov).max() == 0:
                return (
                    np.broadcast_to(adapters.numpy(q.loc), shape),
                    np.broadcast_to(np.sqrt(np.einsum("...ii->...i", cov)), shape),
                )
        if not isinstance(q, distributions.Normal):
            raise ValueError(
                "prior: expected a torch.distributions.Normal with independent latents, or a "
                f"function that returns one, got {short(prior)}"
            )
        loc, scale = adapters.numpy(q.loc), adapters.numpy(q.scale)
        if loc.size not in (1, shape[-1], shape[0] * shape[-1]):
            raise ValueError(
                f"prior: expected one number or {shape[-1]} latents, got shape {loc.shape}"
            )
        return (
            np.broadcast_to(
                loc.reshape(-1) if loc.size == 1 else loc.reshape(-1, shape[-1]), shape
            ),
            np.broadcast_to(
                scale.reshape(-1) if scale.size == 1 else scale.reshape(-1, shape[-1]), shape
            ),
        )

    # Moves ----------------------------------------------------------------------------------------

    def moments_at(self, x: torch.Tensor) -> tuple[Array, Array]:
        """Means and log variances of the posterior of data, (B, ...)."""
        q = self.posterior_at(x)
        self._like = q.loc.detach()
        return adapters.numpy(q.loc), adapters.numpy(q.log_variance)

    def outputs_at(self, z: Array, x: torch.Tensor) -> float:
        """The outputs at latents (B, ...), as a share of the largest moderate ones."""
        return extent(self.likelihood_at(torch.as_tensor(z).to(self._like)), x)


def _accelerated() -> bool:
    """Whether PyTorch draws elsewhere than on the processor."""
    others = (getattr(torch, name, None) for name in ("cuda", "xpu", "mtia"))
    used = any(o is not None and o.is_initialized() for o in others)
    return used or torch.backends.mps.is_available()
