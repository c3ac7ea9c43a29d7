"""A small VAE in parts that can be replaced, its likelihoods, and how it is audited."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Normal,
)

D, LATENT = 6, 2
LOG_2PI = math.log(2 * math.pi)


def mlp(*sizes):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Vae(nn.Module):
    """A Bernoulli VAE of binary data, in parts that can be replaced."""

    data, likelihood, posterior, beta, sizes = "binary", "bernoulli", "logvar", 1.0, (D, LATENT)
    prior = None

    def __init__(self):
        super().__init__()
        D, d = self.sizes
        self.encoder = mlp(D, 12, 2 * d)
        self.decoder = mlp(d, 12, self.outputs())
        self.more()

    def more(self):
        pass

    def outputs(self):
        return self.sizes[0]

    def encode(self, x):
        return self.encoder(x.flatten(1)).chunk(2, -1)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))

    def noise(self, m):
        return torch.randn_like(m)

    def std(self, v):
        return (v / 2).exp()

    def draw(self, m, v):
        return m + self.std(v) * self.noise(m)

    def nll(self, f, x):
        return F.binary_cross_entropy(f, x, reduction="none").sum(-1)

    def kl(self, m, v, z):
        return 0.5 * (m**2 + v.exp() - v - 1).sum(-1)

    def combine(self, nll, kl):
        return (nll + kl).mean()

    def loss(self, x):
        m, v = self.encode(x)
        z = self.draw(m, v)
        return self.combine(self.nll(self.decode(z), x), self.kl(m, v, z))

    def sample(self, n):
        return Bernoulli(self.decode(torch.randn(n, self.sizes[1]))).sample()

    def importance(self, x, K):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(K, *m.shape)
        f = self.decode(z.reshape(-1, m.shape[-1])).reshape(K, len(x), -1)
        log_p = -0.5 * (z**2 + LOG_2PI).sum(-1)
        log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
        return self.weigh(log_p - log_q - self.nll(f, x.expand(f.shape)), K)

    def weigh(self, w, K):
        return -(torch.logsumexp(w, 0) - math.log(K)).mean()

    def bits(self, x):
        return self.loss(x) / (D * math.log(2)) + 8


class Gauss(Vae):
    """A normal likelihood of deviation 1, with its constant."""

    data, likelihood, s = "real", staticmethod(lambda f: Normal(f, 1.0)), 1.0

    def decode(self, z):
        return self.decoder(z)

    def nll(self, f, x):
        return (0.5 * (x - f) ** 2 / self.s**2 + math.log(self.s) + LOG_2PI / 2).sum(-1)

    def sample(self, n):
        f = self.decode(torch.randn(n, self.sizes[1]))
        return f + self.s * torch.randn_like(f)


class Narrow(Gauss):
    likelihood, s = staticmethod(lambda f: Normal(f, 0.5)), 0.5


class Bare(Gauss):
    """Without the constant: right for training."""

    def nll(self, f, x):
        return 0.5 * ((x - f) ** 2).sum(-1)


class Learned(Gauss):
    """Mean and log variance of each output."""

    likelihood = "gaussian-learned"

    def outputs(self):
        return 2 * self.sizes[0]

    def decode(self, z):
        return self.decoder(z).chunk(2, -1)

    def nll(self, f, x):
        m, w = f
        return 0.5 * ((x - m) ** 2 * (-w).exp() + w + LOG_2PI).sum(-1)

    def sample(self, n):
        m, w = self.decode(torch.randn(n, self.sizes[1]))
        return m + (w / 2).exp() * torch.randn_like(m)

    importance = None


class Beta(Vae):
    beta = 4.0

    def combine(self, nll, kl):
        return (nll + 4 * kl).mean()


# How each is audited ------------------------------------------------------------------------------


def data_of(made, n=16):
    """Data of the kind of a model, in float32 as usual."""
    g = torch.Generator().manual_seed(5)
    D = made.sizes[0]
    u = torch.rand(n, D, generator=g)
    return {
        "binary": lambda: (u > 0.5).float(),
        "images": lambda: (u > 0.5).float().reshape(n, 1, 8, 8),
        "unit": lambda: u,
        "centred": lambda: u - 0.5,
        "bytes": lambda: (255 * u).round(),
        "signed": lambda: 2 * u - 1,
        "real": lambda: torch.randn(n, D, generator=g),
        "counts": lambda: (5 * u).floor(),
    }[made.data]()


def arguments(made, seed=0):
    """The arguments of the audit of a class."""
    torch.manual_seed(seed)
    vae = made()
    likelihood = getattr(vae, "likelihood_of", vae.likelihood)
    return {
        "loss": vae.loss,
        "encode": vae.encode,
        "decode": vae.decode,
        "x": data_of(vae),
        "module": vae,
        "likelihood": likelihood,
        "posterior": vae.posterior,
        "prior": vae.prior,
        "beta": vae.beta,
        "sample": vae.sample,
        "importance_bound": vae.importance,
        "bits_per_dim": vae.bits,
    }
