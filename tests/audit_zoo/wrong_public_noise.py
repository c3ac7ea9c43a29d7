"""Wrong noise, encoders, data and samples of public issues that are in no other file."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch.distributions import Laplace, Normal, kl_divergence

from audit_zoo.models import LATENT, LOG_2PI, D, Narrow, Vae
from audit_zoo.register import wrong
from audit_zoo.right_models import (
    Counts,
    Full,
    LearnedPrior,
    Logits,
    Softplus,
)


class Four(Vae):
    sizes = (D, 4)


# Noise --------------------------------------------------------------------------------------------

wrong(
    "half of the variance for its root",
    "noise.variance-as-std",
    Vae,
    std=lambda self, v: 0.5 * v.exp(),
)
wrong(
    "exp of a deviation",
    "noise.law",
    Softplus,
    draw=lambda self, m, s: m + s.exp() * self.noise(m),
)
wrong(
    "no draw, a constant deviation",
    "noise.constant",
    Vae,
    draw=lambda self, m, v: m + 0.01 * (v / 2).exp(),
)
wrong(
    "noise of Laplace",
    "noise.law",
    Vae,
    noise=lambda self, m: Laplace(torch.zeros_like(m), 1.0).sample(),
)
wrong("half-normal noise", "noise.law", Vae, noise=lambda self, m: torch.randn_like(m).abs())
wrong(
    "truncated noise", "noise.clamped", Vae, noise=lambda self, m: torch.randn_like(m).clamp(-1, 1)
)
wrong("shifted noise", "noise.biased", Vae, noise=lambda self, m: torch.randn_like(m) + 0.5)
wrong(
    "centred uniform noise", "noise.uniform", Vae, noise=lambda self, m: 2 * torch.rand_like(m) - 1
)
wrong("latents doubled", "noise.law", Vae, draw=lambda self, m, v: 2 * Vae.draw(self, m, v))
wrong(
    "latents on the sphere",
    "noise.law",
    Vae,
    draw=lambda self, m, v: F.normalize(Vae.draw(self, m, v), dim=-1),
)
wrong(
    "latents through a tanh", "noise.law", Vae, draw=lambda self, m, v: Vae.draw(self, m, v).tanh()
)
wrong(
    "variance as deviation, transposed draw",
    "noise.variance-as-std",
    Vae,
    std=lambda self, v: v.exp(),
    noise=lambda self, m: torch.randn(m.shape[1], m.shape[0], dtype=m.dtype).T,
)
wrong(
    "Box-Muller of deviation 1.1",
    "noise.scale",
    Vae,
    noise=lambda self, m: (
        1.1
        * torch.sqrt(-2 * torch.log(1 - torch.rand_like(m)))
        * torch.cos(2 * math.pi * torch.rand_like(m))
    ),
)
wrong(
    "noise in pieces with another deviation, a floor in both places",
    "noise.scale",
    Four,
    std=lambda self, v: (v / 2).exp() + 1e-2,
    noise=lambda self, m: (
        0.7 * torch.cat([torch.randn_like(m[:, :1]), torch.randn_like(m[:, 1:])], 1)
    ),
    kl=lambda self, m, v, z: (0.5 * (m**2 + self.std(v) ** 2 - 1) - self.std(v).log()).sum(-1),
)
wrong(
    "covariance for its factor",
    "noise.law",
    Full,
    loss=lambda self, x: by_covariance(self, x),
)
wrong(
    "mean and log variance exchanged",
    "declared.exchanged",
    Vae,
    loss=lambda self, x: exchanged(self, x),
)


def by_covariance(self, x):
    q = self.encode(x)
    e = torch.randn_like(q.mean)
    z = q.mean + (q.covariance_matrix @ e[..., None])[..., 0]
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    return (kl_divergence(q, prior) + self.nll(self.decode(z), x)).mean()


def exchanged(self, x):
    v, m = self.encode(x)
    z = self.draw(m, v)
    return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


# Encoders and gradients ---------------------------------------------------------------------------


def squashed(function):
    return {"encode": lambda self, x: function(*Vae.encode(self, x))}


wrong(
    "exp on the log variance",
    "encoder.logvar-one-sided",
    Vae,
    **squashed(lambda m, v: (m, v.exp())),
)
wrong(
    "sigmoid on the log variance",
    "encoder.logvar-one-sided",
    Vae,
    **squashed(lambda m, v: (m, v.sigmoid())),
)
wrong("ReLU on the mean", "encoder.mean-one-sided", Vae, **squashed(lambda m, v: (m.relu(), v)))
wrong(
    "log deviation detached in the noise",
    "gradient.detached",
    Vae,
    draw=lambda self, m, v: m + (v / 2).exp().detach() * torch.randn_like(m),
)
wrong(
    "encoder without gradient",
    "gradient.detached",
    Vae,
    loss=lambda self, x: without_gradient(self, x),
)
wrong(
    "gradient of the divergence halved",
    "gradient.detached",
    Vae,
    combine=lambda self, nll, kl: (nll + 0.5 * kl + 0.5 * kl.detach()).mean(),
)
wrong(
    "a plain number", "gradient.none", Vae, combine=lambda self, nll, kl: (nll + kl).mean().item()
)


def without_gradient(self, x):
    with torch.no_grad():
        m, v = self.encode(x)
    z = self.draw(m, v)
    return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


# Data, samples, bounds ----------------------------------------------------------------------------

wrong("cross entropy of data in [-1, 1]", "data.out-of-range", Logits, data="signed")
wrong(
    "data of 0 to 255 for a sigmoid",
    "data.range-mismatch",
    Narrow,
    data="bytes",
    decode=lambda self, z: torch.sigmoid(self.decoder(z)),
)
wrong(
    "data in [-1/2, 1/2] for a sigmoid",
    "data.range-mismatch",
    Narrow,
    data="centred",
    decode=lambda self, z: torch.sigmoid(self.decoder(z)),
)
wrong(
    "two sigmoids in decode",
    "data.range-mismatch",
    Vae,
    decode=lambda self, z: torch.sigmoid(torch.sigmoid(self.decoder(z))),
)
wrong(
    "samples of N(0, 1) for another prior",
    "sample.prior",
    LearnedPrior,
    prior=lambda self: Normal(self.p_loc + 1, self.p_log.exp()),
    kl=lambda self, m, v, z: kl_divergence(Normal(m, (v / 2).exp()), self.prior()).sum(-1),
    sample=Vae.sample,
)
wrong(
    "one latent for all samples",
    "sample.prior",
    Vae,
    sample=lambda self, n: self.decode(torch.randn(1, LATENT).expand(n, -1)),
)
wrong(
    "sign of the importance bound",
    "iwae.sign",
    Vae,
    weigh=lambda self, w, K: (torch.logsumexp(w, 0) - math.log(K)).mean(),
)
wrong(
    "log weights summed over the batch",
    "iwae.axis",
    Vae,
    weigh=lambda self, w, K: -(torch.logsumexp(w, 1) - math.log(w.shape[1])).mean(),
)
wrong(
    "log p(z) missing in the weights",
    "iwae.unexplained",
    Vae,
    importance=lambda self, x, K: without_prior(self, x, K),
)
wrong(
    "one sample for all K",
    "iwae.samples",
    Vae,
    importance=lambda self, x, K: one_sample_k_times(self, x, K),
)
wrong(
    "bits without the sign",
    "bpd.sign",
    Vae,
    bits=lambda self, x: -self.loss(x) / (D * math.log(2)) + 8,
)
wrong(
    "32 levels counted as 256",
    "bpd.levels",
    Vae,
    bits=lambda self, x: self.loss(x) / (D * math.log(2)) + 5,
)


def without_prior(self, x, K):
    m, v = self.encode(x)
    z = m + (v / 2).exp() * torch.randn(K, *m.shape)
    f = self.decode(z.reshape(-1, LATENT)).reshape(K, len(x), -1)
    log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
    return self.weigh(-log_q - self.nll(f, x.expand(f.shape)), K)


def one_sample_k_times(self, x, K):
    m, v = self.encode(x)
    z = (m + (v / 2).exp() * torch.randn(m.shape)).expand(K, *m.shape)
    f = self.decode(z.reshape(-1, LATENT)).reshape(K, len(x), -1)
    log_p = -0.5 * (z**2 + LOG_2PI).sum(-1)
    log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
    return self.weigh(log_p - log_q - self.nll(f, x.expand(f.shape)), K)


# State --------------------------------------------------------------------------------------------


def cyclical(self, nll, kl):
    self.count = getattr(self, "count", 0) + 1
    return (nll + (self.count % 4) / 4 * kl).mean()


wrong("cyclical weights", "state.schedule", Vae, combine=cyclical)


# Noise that no generator of PyTorch makes, or that is biased --------------------------------------


def of_numpy(make):
    def noise(self, m):
        return torch.as_tensor(make(tuple(m.shape)), dtype=m.dtype)

    return {"noise": noise}


def fixed(self):
    self.register_buffer("eps", torch.randn(1, LATENT))


wrong(
    "a fixed buffer for the noise",
    "noise.constant",
    Vae,
    more=fixed,
    noise=lambda self, m: self.eps.expand_as(m),
)
wrong("uniform noise of NumPy", "noise.law", Vae, **of_numpy(np.random.random_sample))
wrong(
    "narrow noise of NumPy",
    "noise.law",
    Vae,
    **of_numpy(lambda shape: 0.5 * np.random.standard_normal(shape)),  # noqa: NPY002
)
wrong(
    "a generator of NumPy made anew",
    "noise.constant",
    Vae,
    **of_numpy(lambda shape: np.random.default_rng(0).normal(size=shape)),
)
wrong(
    "noise with a small mean", "noise.biased", Vae, noise=lambda self, m: torch.randn_like(m) + 0.01
)
wrong(
    "a product of two draws",
    "noise.law",
    Vae,
    noise=lambda self, m: torch.randn_like(m) * torch.randn_like(m),
)
wrong(
    "the mean of two draws",
    "noise.law",
    Vae,
    noise=lambda self, m: (torch.randn_like(m) + torch.randn_like(m)) / 2,
)
wrong(
    "sum of log x missing",
    "constant.of-data",
    Counts,
    nll=lambda self, f, x: (f.exp() - x * f).sum(-1) + 0.3 * x.sum(-1),
)
wrong(
    "the encoder gets other examples",
    "recon.mismatched",
    Vae,
    loss=lambda self, x: other_examples(self, x),
)


def other_examples(self, x):
    m, v = self.encode(x[torch.randperm(len(x))])
    z = self.draw(m, v)
    return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


wrong(
    "noise clamped far out",
    "noise.clamped",
    Vae,
    noise=lambda self, m: torch.randn_like(m).clamp(-3, 3),
)
