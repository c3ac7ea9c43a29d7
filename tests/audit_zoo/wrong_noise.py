"""Wrong noise, encoders, gradients and schedules."""

import random

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Normal

from audit_zoo.models import D, Vae
from audit_zoo.register import wrong

wrong("variance as deviation", "noise.variance-as-std", Vae, std=lambda self, v: v.exp())

wrong("root of the deviation", "noise.sqrt-of-std", Vae, std=lambda self, v: (v / 4).exp())

wrong("noise of 0.01", "noise.scale", Vae, noise=lambda self, m: 0.01 * torch.randn_like(m))

wrong("noise missing", "noise.missing", Vae, draw=lambda self, m, v: m)

wrong("mean decoded", "noise.missing", Vae, draw=lambda self, m, v: m + 0 * torch.randn_like(m))

wrong(
    "constant noise",
    "noise.constant",
    Vae,
    draw=lambda self, m, v: m + (v / 2).exp() * 0.01 + 0 * torch.randn_like(m),
)

wrong(
    "mean at evaluation",
    "noise.missing-at-eval",
    Vae,
    draw=lambda self, m, v: Vae.draw(self, m, v) if self.training else m,
)

wrong("uniform noise", "noise.uniform", Vae, noise=lambda self, m: torch.rand_like(m))

wrong(
    "one noise for the batch", "noise.shared", Vae, noise=lambda self, m: torch.randn(m.shape[-1])
)

wrong(
    "one noise for the latents", "noise.shared", Vae, noise=lambda self, m: torch.randn(len(m), 1)
)

wrong(
    "a seed inside",
    "noise.constant",
    Vae,
    noise=lambda self, m: (torch.manual_seed(0), torch.randn_like(m))[1],
)

wrong("log variance as deviation", "noise.law", Vae, std=lambda self, v: v)

wrong("fixed deviation", "noise.law", Vae, std=lambda self, v: torch.ones_like(v))

wrong(
    "clamped for z only",
    "encoder.clamp-inconsistent",
    Vae,
    std=lambda self, v: (v.clamp(-1, 1) / 2).exp(),
)

wrong(
    "clamped far out for z only",
    "encoder.clamp-inconsistent",
    Vae,
    std=lambda self, v: (v.clamp(-10, 10) / 2).exp(),
)

wrong(
    "clamped far out in the KL only",
    "encoder.clamp-inconsistent",
    Vae,
    kl=lambda self, m, v, z: Vae.kl(self, m, v.clamp(-10, 10), z),
)


def squashed(function):
    return {"encode": lambda self, x: function(*Vae.encode(self, x))}


wrong(
    "softplus on the log variance",
    "encoder.logvar-one-sided",
    Vae,
    **squashed(lambda m, v: (m, F.softplus(v))),
)

wrong(
    "ReLU on the log variance",
    "encoder.logvar-one-sided",
    Vae,
    **squashed(lambda m, v: (m, F.relu(v))),
)

wrong("tanh on the mean", "encoder.mean-bounded", Vae, **squashed(lambda m, v: (m.tanh(), v)))

wrong("sigmoid on the mean", "encoder.mean-bounded", Vae, **squashed(lambda m, v: (m.sigmoid(), v)))

wrong("tanh on both", "encoder.logvar-bounded", Vae, **squashed(lambda m, v: (m.tanh(), v.tanh())))

wrong(
    "detached latents",
    "gradient.detached",
    Vae,
    draw=lambda self, m, v: Vae.draw(self, m, v).detach(),
)

wrong(
    "sample for rsample",
    "gradient.detached",
    Vae,
    draw=lambda self, m, v: Normal(m, (v / 2).exp()).sample(),
)

wrong(
    "detached reconstruction",
    "gradient.detached",
    Vae,
    combine=lambda self, nll, kl: (nll.detach() + kl).mean(),
)

wrong("no gradient", "gradient.none", Vae, combine=lambda self, nll, kl: (nll + kl).mean().detach())


def counted(self, nll, kl):
    self.steps = getattr(self, "steps", 0) + 1
    return (nll + min(1.0, self.steps / 1000) * kl).mean()


wrong("schedule at evaluation", "state.schedule", Vae, combine=counted)


class Four(Vae):
    sizes = (D, 4)


def in_pieces(scale, power=1):
    def noise(self, m):
        parts = [torch.randn_like(m[:, :3]), scale * torch.randn_like(m[:, 3:])]
        return torch.cat(parts, 1) ** power

    return noise


wrong("one latent of four without noise", "noise.missing", Four, noise=in_pieces(0.0))

wrong("one latent of four with less noise", "noise.law", Four, noise=in_pieces(0.3))

wrong("cubed noise in pieces", "noise.law", Four, noise=in_pieces(1.0, 3))

wrong(
    "one latent of four without noise, the others in one draw",
    "noise.missing",
    Four,
    draw=lambda self, m, v: torch.cat(
        [m[:, :3] + (v[:, :3] / 2).exp() * torch.randn_like(m[:, :3]), m[:, 3:]], 1
    ),
)

wrong("a small bias", "noise.biased", Vae, noise=lambda self, m: torch.randn_like(m) - 0.005)

wrong("latents moved", "noise.biased", Vae, draw=lambda self, m, v: Vae.draw(self, m, v) + 0.02)

for end in (1.5, 2.0, 2.5, 3.5):
    wrong(
        f"noise clamped at {end}",
        "noise.clamped",
        Vae,
        noise=lambda self, m, end=end: torch.randn_like(m).clamp(-end, end),
    )

wrong(
    "noise clamped above",
    "noise.nonlinear",
    Vae,
    noise=lambda self, m: torch.randn_like(m).clamp(max=3.0),
)

# Noise that PyTorch does not draw.


class Kept(Vae):
    def more(self):
        self.register_buffer("kept", torch.randn(64, self.sizes[1]))


wrong("noise in a buffer", "noise.constant", Kept, noise=lambda self, m: self.kept[: len(m)])


def numbers(function):
    return lambda self, m: torch.as_tensor(function(m.shape)).to(m)


wrong(
    "uniform numbers of NumPy",
    "noise.law",
    Vae,
    noise=numbers(lambda shape: np.random.random(shape)),  # noqa: NPY002
)

wrong(
    "a new generator in each call",
    "noise.constant",
    Vae,
    noise=numbers(lambda shape: np.random.default_rng(3).normal(size=shape)),
)

wrong("one number of Python", "noise.shared", Vae, noise=lambda self, m: random.gauss(0, 1))

wrong(
    "one row of NumPy",
    "noise.shared",
    Vae,
    noise=numbers(lambda shape: np.random.normal(size=shape[1:])),  # noqa: NPY002
)

wrong(
    "one column of NumPy",
    "noise.shared",
    Vae,
    noise=numbers(lambda shape: np.random.normal(size=(shape[0], 1))),  # noqa: NPY002
)

wrong(
    "numbers of NumPy off by 0.4",
    "noise.law",
    Vae,
    noise=numbers(lambda shape: np.random.normal(0.4, size=shape)),  # noqa: NPY002
)
