"""Weights that are no numbers, and likelihoods that end somewhere."""

import numpy as np
import torch
from torch import nn

from audit_zoo.models import Bare, Vae
from audit_zoo.register import right, wrong
from audit_zoo.right_code import Views


class Weighted(Vae):
    """With a parameter of one number."""

    def more(self):
        self.w = nn.Parameter(torch.tensor(0.3))


class Two(Weighted):
    def more(self):
        super().more()
        self.u = nn.Parameter(torch.tensor(-0.2))


class Bared(Bare):
    importance = sample = bits = None
    more = Weighted.more


wrong(
    "a weight that is learned",
    "weight.kl-learned",
    Weighted,
    combine=lambda self, nll, kl: (nll + self.w.exp() * kl).mean(),
)
wrong(
    "both weights learned, with their logarithms",
    "weight.kl-learned",
    Two,
    combine=lambda self, r, kl: (
        (-self.w).exp() * r + (-self.u).exp() * kl + self.w + self.u
    ).mean(),
)
wrong(
    "a deviation that is learned and not declared",
    "weight.recon-learned",
    Bared,
    nll=lambda self, f, x: (0.5 * ((x - f) / self.w.exp()) ** 2 + self.w).sum(-1),
)
wrong(
    "a weight that is drawn",
    "weight.kl-random",
    Vae,
    combine=lambda self, nll, kl: (nll + torch.rand(()) * kl).mean(),
)
wrong(
    "a weight of each example that is drawn by NumPy",
    "weight.kl-random",
    Vae,
    combine=lambda self, r, kl: (r + kl * float(np.random.rand())).mean(),  # noqa: NPY002
)


class Annealed(Vae):
    """A weight that grows with the number of calls."""

    start, at_eval, steps = 0, None, 1

    def more(self):
        self.calls = self.start

    def combine(self, nll, kl):
        self.calls += 1
        weight = min(1.0, self.calls // self.steps / 1000 * self.steps)
        if not self.training and self.at_eval is not None:
            weight = self.at_eval
        return (nll + weight * kl).mean()

    bits = None


wrong("annealed by a counter", "weight.kl-annealed", Annealed)
wrong("annealed from where it is 0", "weight.kl-annealed", Annealed, start=-1)
wrong("annealed in steps of 25 calls", "state.schedule", Annealed, steps=25)
right("annealed in training, with its last weight at evaluation")(
    type("Full", (Annealed,), {"at_eval": 1.0})
)
right("an annealed weight that has reached 1")(type("Reached", (Annealed,), {"start": 2000}))


wrong(
    "an example clamped at 50 nats",
    "recon.clamped",
    Vae,
    nll=lambda self, f, x: Vae.nll(self, f, x).clamp(max=50),
)
wrong(
    "probabilities kept above 0.01",
    "recon.floor",
    Vae,
    nll=lambda self, f, x: Vae.nll(self, f.clamp(0.01, 0.99), x),
)


@right("probabilities kept above 1e-22")
class Kept(Vae):
    def nll(self, f, x):
        return -(x * f.clamp(min=1e-22).log() + (1 - x) * (1 - f).clamp(min=1e-22).log()).sum(-1)


wrong(
    "the divergence of two views over the latents",
    "weight.kl-mean-over-latents",
    Views,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
)
