"""Small VAEs of JAX in parts that can be replaced, and how each is audited."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats

from vaetheory import likelihoods

D, LATENT = 6, 2
LOG_2PI = math.log(2 * math.pi)


def layer(key, a, b):
    return {"w": jax.random.normal(key, (a, b)) / math.sqrt(a), "b": jnp.zeros(b)}


def mlp(layers, x):
    for i, p in enumerate(layers):
        x = x @ p["w"] + p["b"]
        x = jnp.tanh(x) if i + 1 < len(layers) else x
    return x


class Normal:
    """A distribution with the interface that libraries on JAX share."""

    def __init__(self, loc, scale):
        self.loc, self.scale = jnp.asarray(loc), jnp.asarray(scale)

    def log_prob(self, x):
        return stats.norm.logpdf(x, self.loc, self.scale)

    @property
    def mean(self):
        return self.loc

    @property
    def variance(self):
        return self.scale**2


class Laplace(Normal.__base__):
    def __init__(self, loc, scale):
        self.loc, self.scale = jnp.asarray(loc), jnp.asarray(scale)

    def log_prob(self, x):
        return stats.laplace.logpdf(x, self.loc, self.scale)

    def mean(self):
        return self.loc

    def variance(self):
        return 2 * self.scale**2


class MultivariateNormal(Normal.__base__):
    def __init__(self, loc, scale_tril):
        self.loc, self.scale_tril = loc, scale_tril

    def log_prob(self, x):
        raise NotImplementedError


class Independent:
    def __init__(self, base):
        self.base_dist = base

    def log_prob(self, x):
        return self.base_dist.log_prob(x).sum(-1)


class Vae:
    """A Bernoulli VAE of binary data, as functions of a tree of parameters."""

    data, likelihood, posterior, beta, sizes = "binary", "bernoulli", "logvar", 1.0, (D, LATENT)
    prior = sample = importance = bits = None
    #: How wide the outputs of the decoder are, as a multiple of D.
    wide = 1

    def params(self, key):
        D, d = self.sizes
        a, b, c, e = jax.random.split(key, 4)
        return {
            "encoder": [layer(a, D, 12), layer(b, 12, 2 * d)],
            "decoder": [layer(c, d, 12), layer(e, 12, self.wide * D)],
        }

    def encode(self, p, x):
        return jnp.split(mlp(p["encoder"], x), 2, -1)

    def decode(self, p, z):
        return jax.nn.sigmoid(mlp(p["decoder"], z))

    def noise(self, key, m):
        return jax.random.normal(key, m.shape)

    def std(self, v):
        return jnp.exp(v / 2)

    def draw(self, key, m, v):
        return m + self.std(v) * self.noise(key, m)

    def nll(self, f, x):
        return -(x * jnp.log(f) + (1 - x) * jnp.log1p(-f)).sum(-1)

    def kl(self, m, v, z):
        return 0.5 * (m**2 + jnp.exp(v) - v - 1).sum(-1)

    def combine(self, nll, kl):
        return (nll + kl).mean()

    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        z = self.draw(key, m, v)
        return self.combine(self.nll(self.decode(p, z), x), self.kl(m, v, z))

    def weigh(self, w, K):
        return -(jax.nn.logsumexp(w, 0) - math.log(K)).mean()


class Whole(Vae):
    """With a sampler, an importance bound and bits per dimension."""

    def sample(self, p, n, key):
        a, b = jax.random.split(key)
        return jax.random.bernoulli(b, self.decode(p, jax.random.normal(a, (n, LATENT))))

    def importance(self, p, x, K, key):
        m, v = self.encode(p, x)
        z = m + jnp.exp(v / 2) * jax.random.normal(key, (K, *m.shape))
        log_p = stats.norm.logpdf(z).sum(-1)
        log_q = stats.norm.logpdf(z, m, jnp.exp(v / 2)).sum(-1)
        return self.weigh(log_p - log_q - self.nll(self.decode(p, z), x), K)

    def bits(self, p, x, key):
        return self.loss(p, x, key) / (D * math.log(2)) + 8


class Gauss(Vae):
    """A normal likelihood of deviation 1, with its constant."""

    data, likelihood, s = "real", staticmethod(lambda f: Normal(f, 1.0)), 1.0

    def decode(self, p, z):
        return mlp(p["decoder"], z)

    def nll(self, f, x):
        return (0.5 * (x - f) ** 2 / self.s**2 + math.log(self.s) + LOG_2PI / 2).sum(-1)


class Narrow(Gauss):
    likelihood, s = likelihoods.Gaussian(scale=0.5), 0.5


class Learned(Gauss):
    """Mean and log variance of each output."""

    likelihood, wide = "gaussian-learned", 2

    def decode(self, p, z):
        return jnp.split(mlp(p["decoder"], z), 2, -1)

    def nll(self, f, x):
        m, w = f
        return 0.5 * ((x - m) ** 2 * jnp.exp(-w) + w + LOG_2PI).sum(-1)


class Beta(Vae):
    beta = 4.0

    def combine(self, nll, kl):
        return (nll + 4 * kl).mean()


# How each is audited ------------------------------------------------------------------------------


def data_of(made, n=16):
    """Data of the kind of a model, in float32 as usual."""
    rng = np.random.default_rng(5)
    D = made.sizes[0]
    u = rng.random((n, D), dtype=np.float32)
    return {
        "binary": lambda: (u > 0.5).astype(np.float32),
        "images": lambda: (u > 0.5).astype(np.float32).reshape(n, 1, 8, 8),
        "unit": lambda: u,
        "real": lambda: rng.normal(size=(n, D)).astype(np.float32),
        "counts": lambda: np.floor(5 * u),
    }[made.data]()


def arguments(made, seed=0):
    """The arguments of the audit of a class."""
    vae = made()
    module = vae.params(jax.random.key(seed))
    return {
        "loss": vae.loss,
        "encode": vae.encode,
        "decode": vae.decode,
        "x": data_of(vae),
        "module": module,
        "likelihood": vae.likelihood,
        "posterior": vae.posterior,
        "prior": vae.prior,
        "beta": vae.beta,
        "sample": vae.sample,
        "importance_bound": vae.importance,
        "bits_per_dim": vae.bits,
    }
