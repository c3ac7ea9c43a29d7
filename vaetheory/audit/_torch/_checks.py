"""What else is asked of a bench of PyTorch: slopes, ranges, samples and other values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import distributions

from vaetheory._validation import Array
from vaetheory.audit._draws import paired
from vaetheory.audit._mixing import stretched
from vaetheory.audit._shots import Shot
from vaetheory.audit._torch import _adapters as adapters
from vaetheory.audit._torch._bench import Bench, Case
from vaetheory.audit._torch._inputs import encoded_data
from vaetheory.audit._torch._tap import Draw, Recall

ADVICE = {
    "noise": "draw with torch.randn_like",
    "prior": "decode torch.randn(n, d)",
    "generator": "draw from PyTorch, NumPy or a generator that the module holds",
}


class FullBench(Bench):
    """A bench with all that the checks ask for."""

    #: How to draw, in the words of the framework.
    advice = ADVICE
    #: Whether the module is in training mode, in each mode that it has.
    modes = (True, False)
    #: The name of a decoder that the module does not have.
    unknown_decoder: str | None = None

    def latent_dim(self) -> int:
        """The number of latents of an example."""
        return self.posterior_at(self.x).loc[0].numel()

    # The batch ------------------------------------------------------------------------------------

    def paired(self, case: Case, index: int) -> Case:
        """The example of an index twice, each time with its own noise."""
        for size in (2, 4):
            if (size, self._training) not in self._templates:
                self.case(size)
        two, four = (self._templates.get((n, self._training), []) for n in (2, 4))
        draws = paired(case.draws, two, four, index)
        return Case(case.x[[index, index]], draws, case.seed)

    # Far out --------------------------------------------------------------------------------------

    def _of_the_encoder(self) -> frozenset[str]:
        """The parameters on which the posterior depends."""
        if not self.moves.parameters:
            return frozenset()
        names, parameters = zip(*self.moves.parameters.items(), strict=True)
        frozen = [p for p in parameters if not p.requires_grad]
        for p in frozen:
            p.requires_grad_(True)
        try:
            ran = self.run(self.encode, self.rows(2 if not self.fixed else len(self.x)), grad=True)
            q = adapters.encoded(ran.result, self.posterior)
            weights = torch.randn(q.loc.shape, generator=self.generator, dtype=torch.float64).to(
                q.loc
            )
            total = (q.loc * weights).sum() + (q.log_variance * weights).sum()
            if not total.requires_grad:
                return frozenset()
            found = torch.autograd.grad(total, parameters, allow_unused=True)
        finally:
            for p in frozen:
                p.requires_grad_(False)
        return frozenset(n for n, g in zip(names, found, strict=True) if g is not None)

    def leak(self) -> tuple[float, float]:
        """How decode(z) at one z changes when other data are encoded before, and when the same are.

        In nats of the likelihood of an example, at most.
        """
        x, other = self.rows(len(self.x)), self.x.flip(0)
        z = self.posterior_at(x).loc.detach()
        found = []
        for data in (x, x, other):
            self.posterior_at(data)
            found.append(adapters.decoded(self.likelihood_at(z), x).nll)
        same, changed = (float(np.abs(found[0] - f).max()) for f in found[1:])
        return changed, same

    def stretched(self, case: Case, t: float) -> list[Draw]:
        """The draws with t, with the sign that each has, for every normal number."""
        return stretched(case.draws, t)

    # Slopes ---------------------------------------------------------------------------------------

    def trains(self) -> bool:
        """Whether any parameter asks for a gradient."""
        return any(p.requires_grad for p in self.moves.parameters.values())

    def slopes(self, case: Case, directions: dict[str, torch.Tensor]) -> dict[str, float] | None:
        """Autograd's slopes of the loss along a direction of each parameter."""
        ran = self.run(self.loss, case.x, draws=case.draws, seed=case.seed, grad=True)
        value = adapters.values(ran.result)[0][self.entry]
        if not value.requires_grad:
            return None
        return self._along(value, directions)

    def _along(self, value: torch.Tensor, directions: dict[str, torch.Tensor]) -> dict[str, float]:
        names = [n for n in directions if self.moves.parameters[n].requires_grad]
        inputs = [self.moves.parameters[n] for n in names]
        with Recall(self._memory):
            found = torch.autograd.grad(value, inputs, allow_unused=True) if inputs else ()
        made = dict.fromkeys(directions, 0.0)
        for n, g in zip(names, found, strict=True):
            if g is not None:
                made[n] = float((g * directions[n]).sum())
        return made

    def reached(self, x: torch.Tensor) -> frozenset[str] | None:
        """The parameters that get a gradient from the declared model; None if a part gives none.

        The parts are the posterior and, at latents that are held, the likelihood; the prior too.
        """
        q = adapters.encoded(self.run(self.encode, x, grad=True, start=0).result, self.posterior)
        ran = self.run(self.decode, q.loc.detach(), grad=True, start=0)
        with torch.enable_grad():
            p = adapters.distribution(ran.result, self.likelihood)
            fit = p.log_prob(x.reshape(*p.batch_shape, *p.event_shape)).sum()
            prior = self.prior() if callable(self.prior) else None
            last = None if prior is None else prior.log_prob(q.loc.detach()).sum()
        names, parameters = zip(*self.moves.parameters.items(), strict=True)
        wanted = [p for p in parameters if p.requires_grad]
        found: set[str] = set()
        for part in (q.loc.sum() + q.log_variance.sum(), fit, last):
            if part is None:
                continue
            if not part.requires_grad:
                return None
            got = torch.autograd.grad(part, wanted, allow_unused=True)
            ours = {id(p) for p, g in zip(wanted, got, strict=True) if g is not None}
            found |= {n for n, p in zip(names, parameters, strict=True) if id(p) in ours}
        return frozenset(found)

    def updated(self, case: Case) -> list[str]:
        """The names of the buffers that a call of the loss changes."""
        return self._changed(case, self.module.named_buffers)

    def projected(self, case: Case) -> list[str]:
        """The names of the parameters that a call of the loss changes in place."""
        try:
            return self._changed(case, self.moves.parameters.items)
        finally:
            self.moves.apply()

    def _changed(
        self, case: Case, named: Callable[[], Iterable[tuple[str, torch.Tensor]]]
    ) -> list[str]:
        before = {n: b.detach().clone() for n, b in named()}
        self.values(case)
        after = dict(named())
        return [n for n, b in before.items() if n in after and not torch.equal(after[n], b)]

    def scores(
        self,
        case: Case,
        directions: dict[str, torch.Tensor],
        weights: Callable[[Shot], Array] | None = None,
    ) -> dict[str, float]:
        """Slopes of the sum of log q(z given x) at latents that are held.

        The mean over the samples, or with weights (K, B) of a shot.
        """
        shot = self.shot(case)
        ran = self.run(self.loss, case.x, draws=case.draws, seed=case.seed)
        x = encoded_data(self.reading, case.x, ran.inputs)
        ran = self.run(self.encode, x, draws=case.draws, seed=case.seed, grad=True, start=0)
        q = adapters.encoded(ran.result, self.posterior)
        z = torch.as_tensor(shot.z).reshape(len(shot.z), *q.loc.shape).to(q.loc)
        if q.other is not None:
            each = q.other.log_prob(z)
        elif q.factor is not None:
            each = distributions.MultivariateNormal(q.loc, scale_tril=q.factor).log_prob(z)
        else:
            each = distributions.Normal(q.loc, (q.log_variance / 2).exp()).log_prob(z)
        rows = each.reshape(*shot.z.shape[:2], -1).sum(-1)
        share = np.full(rows.shape, 1 / len(z)) if weights is None else weights(shot)
        return self._along((rows * torch.as_tensor(share).to(rows)).sum(), directions)

    # Ranges ---------------------------------------------------------------------------------------

    def outputs(self) -> tuple[Array, Array, Array]:
        """Posterior means, log variances, and means of the decoder at latents of width 3."""
        x = self.rows(len(self.x) if self.fixed else 8)
        q = self.posterior_at(x)
        z = 3 * torch.randn(q.loc.shape, generator=self.generator, dtype=torch.float64).to(q.loc)
        ran = self.run(self.decode, z, start=0)
        try:
            mean = adapters.numpy(adapters.distribution(ran.result, self.likelihood).mean)
        except (NotImplementedError, ValueError, RuntimeError):
            mean = np.array([np.nan])
        return adapters.numpy(q.loc), adapters.numpy(q.log_variance), mean

    def data_range(self) -> tuple[float, float]:
        """The range of the given data."""
        return float(self.x.min()), float(self.x.max())

    def grey(self) -> tuple[float, float]:
        """The share of data that are neither 0 nor 1, and what a normaliser would add in nats."""
        x = adapters.numpy(self.x)
        part = float(((x != 0) & (x != 1)).mean())
        q = self.posterior_at(self.x)
        p = adapters.base(self.likelihood_at(q.loc.detach()))
        f = p.logits.detach() if "logits" in vars(p) else torch.logit(p.probs.detach())
        with torch.no_grad():
            log_c = distributions.ContinuousBernoulli(
                logits=f.double().clamp(-30, 30), validate_args=False
            )._cont_bern_log_norm()
        return part, float(log_c.sum()) / len(self.x)

    # Other functions ------------------------------------------------------------------------------

    @contextmanager
    def examining(self, function: Callable[..., Any], *numbers: int) -> Iterator[None]:
        """Another function of the data, and of numbers, in the place of the loss."""
        kept = self.loss, self._templates, self.entry
        self.loss, self._templates, self.entry = (lambda x: function(x, *numbers)), {}, 0
        try:
            yield
        finally:
            self.loss, self._templates, self.entry = kept

    def same_noise(self, function: Callable[..., Any], size: int) -> tuple[float, float]:
        """The value of another function and of the loss, with the same data and noise."""
        case = self.case(size)
        ran = self.run(function, case.x, draws=case.draws, seed=case.seed)
        return self._values(ran)[0][0], self.values(case)[self.entry]

    def sampled(self, function: Callable[..., Any], n: int) -> dict[str, Any]:
        """The draws and the latents of a function that samples."""
        ran = self.run(function, n, seed=5)
        z = [c.ravel() for c in ran.calls]
        draws = [(d.law, adapters.numpy(d.base).ravel()) for d in ran.draws]
        return {"z": z[0] if z else None, "draws": draws}
