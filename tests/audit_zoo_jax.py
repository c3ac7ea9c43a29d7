"""Small VAEs of JAX, right and wrong: each wrong one changes one thing of a right one."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx
from jax.random import normal as draw_normal
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


# Right ones ---------------------------------------------------------------------------------------

RIGHT = {
    "bernoulli": Whole,
    "normal": Gauss,
    "narrow normal": Narrow,
    "learned variance of each output": Learned,
    "declared beta": Beta,
}


def right(name):
    def add(made):
        RIGHT[name] = made
        return made

    return add


@right("one-sample KL")
class OneSample(Vae):
    def kl(self, m, v, z):
        return (stats.norm.logpdf(z, m, jnp.exp(v / 2)) - stats.norm.logpdf(z)).sum(-1)


@right("closed entropy, sampled cross term")
class HalfSampled(Vae):
    def kl(self, m, v, z):
        return (0.5 * z**2 - 0.5 * v - 0.5).sum(-1)


@right("sticking the landing")
class Landing(Vae):
    def kl(self, m, v, z):
        m, v = jax.lax.stop_gradient((m, v))
        return (stats.norm.logpdf(z, m, jnp.exp(v / 2)) - stats.norm.logpdf(z)).sum(-1)


@right("sums")
class Sums(Vae):
    def combine(self, nll, kl):
        return nll.sum() + kl.sum()


@right("everything over D")
class OverD(Vae):
    def combine(self, nll, kl):
        return (nll + kl).mean() / D


@right("free bits")
class FreeBits(Vae):
    def kl(self, m, v, z):
        return jnp.maximum(0.5 * (m**2 + jnp.exp(v) - v - 1), 0.25).sum(-1)


@right("a learned deviation, one number")
class OneSigma(Gauss):
    likelihood = staticmethod(lambda f: Independent(Normal(*f)))

    def params(self, key):
        return {**super().params(key), "log_s": jnp.zeros(())}

    def decode(self, p, z):
        return mlp(p["decoder"], z), jnp.exp(p["log_s"])

    def nll(self, f, x):
        return -stats.norm.logpdf(x, *f).sum(-1)


@right("a log density that is declared")
class Density(OneSigma):
    likelihood = staticmethod(lambda f, x: stats.norm.logpdf(x, *f).sum(-1))


@right("logits")
class Logits(Vae):
    likelihood = "bernoulli-logits"

    def decode(self, p, z):
        return mlp(p["decoder"], z)

    def nll(self, f, x):
        return (jax.nn.softplus(f) - x * f).sum(-1)


@right("probabilities declared, logits in the loss")
class LogitsInside(Logits):
    likelihood = "bernoulli"

    def decode(self, p, z):
        return jax.nn.sigmoid(super().decode(p, z))

    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        f = mlp(p["decoder"], self.draw(key, m, v))
        return self.combine(self.nll(f, x), self.kl(m, v, None))


@right("counts")
class Counts(Logits):
    data, likelihood = "counts", likelihoods.Poisson()

    def nll(self, f, x):
        return (jnp.exp(f) - x * f + jax.scipy.special.gammaln(x + 1)).sum(-1)


@right("Laplace")
class Moduli(Gauss):
    likelihood = staticmethod(lambda f: Laplace(f, 0.5))

    def nll(self, f, x):
        return -stats.laplace.logpdf(x, f, 0.5).sum(-1)


@right("clamped in encode")
class Clamped(Vae):
    def encode(self, p, x):
        m, v = super().encode(p, x)
        return m, jnp.clip(v, -1.5, 1.5)


@right("clamped in both places")
class ClampedTwice(Vae):
    def std(self, v):
        return jnp.exp(jnp.clip(v, -1, 1) / 2)

    def kl(self, m, v, z):
        return super().kl(m, jnp.clip(v, -1, 1), z)


@right("deviations by softplus")
class Softplus(Vae):
    posterior = "std"

    def encode(self, p, x):
        m, v = super().encode(p, x)
        return m, jax.nn.softplus(v)

    def std(self, s):
        return s

    def kl(self, m, s, z):
        return (0.5 * (m**2 + s**2 - 1) - jnp.log(s)).sum(-1)


@right("log deviations")
class LogStd(Vae):
    posterior = "logstd"

    def std(self, v):
        return jnp.exp(v)

    def kl(self, m, v, z):
        return 0.5 * (m**2 + jnp.exp(2 * v) - 2 * v - 1).sum(-1)


@right("a distribution from the encoder")
class Distributions(Vae):
    def encode(self, p, x):
        m, v = super().encode(p, x)
        return Independent(Normal(m, jnp.exp(v / 2)))

    def loss(self, p, x, key):
        q = self.encode(p, x).base_dist
        z = q.loc + q.scale * jax.random.normal(key, q.loc.shape)
        kl = (0.5 * (q.loc**2 + q.scale**2 - 1) - jnp.log(q.scale)).sum(-1)
        return (self.nll(self.decode(p, z), x) + kl).mean()


@right("full covariance")
class Full(Vae):
    def params(self, key):
        made = super().params(key)
        return made | {"encoder": [made["encoder"][0], layer(key, 12, 5)]}

    def encode(self, p, x):
        a = mlp(p["encoder"], x)
        low = jax.vmap(jnp.diag)(jnp.exp(a[:, 2:4]))
        return MultivariateNormal(a[:, :2], low.at[:, 1, 0].set(a[:, 4]))

    def loss(self, p, x, key):
        q = self.encode(p, x)
        z = q.loc + jnp.einsum("nij,nj->ni", q.scale_tril, self.noise(key, q.loc))
        log_det = jnp.log(jnp.diagonal(q.scale_tril, axis1=1, axis2=2)).sum(-1)
        kl = 0.5 * ((q.scale_tril**2).sum((1, 2)) + (q.loc**2).sum(-1) - 2) - log_det
        return (self.nll(self.decode(p, z), x) + kl).mean()


@right("a posterior of Laplace")
class LaplacePosterior(Vae):
    def encode(self, p, x):
        m, v = super().encode(p, x)
        return Laplace(m, jnp.exp(v / 2))

    def loss(self, p, x, key):
        q = self.encode(p, x)
        z = q.loc + q.scale * jax.random.laplace(key, q.loc.shape)
        kl = (q.log_prob(z) - stats.norm.logpdf(z)).sum(-1)
        return (self.nll(self.decode(p, z), x) + kl).mean()


@right("another prior")
class Prior(Vae):
    prior = (np.array([0.5, -1.0]), np.array([2.0, 0.7]))

    def kl(self, m, v, z):
        loc, scale = self.prior
        each = (m - loc) ** 2 + jnp.exp(v)
        return (0.5 * each / scale**2 - 0.5 - v / 2 + jnp.log(scale)).sum(-1)


@right("a learned prior")
class LearnedPrior(Vae):
    def params(self, key):
        return {**super().params(key), "loc": jnp.zeros(LATENT), "log_s": jnp.zeros(LATENT)}

    def prior(self, p):
        return Normal(p["loc"], jnp.exp(p["log_s"]))

    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        q = self.prior(p)
        kl = (0.5 * ((m - q.loc) ** 2 + jnp.exp(v)) / q.scale**2 - 0.5 - v / 2 + p["log_s"]).sum(-1)
        return (self.nll(self.decode(p, self.draw(key, m, v)), x) + kl).mean()


@right("a loss and others")
class WithOthers(Vae):
    def combine(self, nll, kl):
        return (nll + kl).mean(), {"recon": nll.mean(), "kl": kl.mean()}


@right("a dictionary")
class Dictionary(Vae):
    def combine(self, nll, kl):
        return {"loss": (nll + kl).mean(), "recon": nll.mean(), "kl": kl.mean()}


@right("a tuple to be added")
class Pair(Vae):
    def combine(self, nll, kl):
        return nll.mean(), kl.mean()


@right("a loss of each example")
class Each(Vae):
    def combine(self, nll, kl):
        return nll + kl


@right("compiled")
class Compiled(Vae):
    def __init__(self):
        self.loss = jax.jit(self.loss)


@right("over the examples, with split keys")
class Mapped(Vae):
    def one(self, p, x, key):
        m, v = self.encode(p, x)
        z = self.draw(key, m, v)
        return self.nll(self.decode(p, z), x) + self.kl(m, v, z)

    def loss(self, p, x, key):
        return jax.vmap(self.one, (None, 0, 0))(p, x, jax.random.split(key, len(x))).mean()


@right("over the examples in a loop")
class Looped(Mapped):
    def loss(self, p, x, key):
        keys = jax.random.split(key, len(x))
        return jax.lax.map(lambda a: self.one(p, *a), (x, keys)).mean()


@right("five samples at once")
class Five(Vae):
    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        z = m + self.std(v) * jax.random.normal(key, (5, *m.shape))
        return (self.nll(self.decode(p, z), x).mean(0) + self.kl(m, v, z)).mean()


@right("samples in a scan")
class Scanned(Vae):
    def loss(self, p, x, key):
        m, v = self.encode(p, x)

        def step(total, k):
            return total + self.nll(self.decode(p, self.draw(k, m, v)), x), None

        nll, _ = jax.lax.scan(step, jnp.zeros(len(x)), jax.random.split(key, 3))
        return (nll / 3 + self.kl(m, v, None)).mean()


@right("samples in a loop of Python")
class Loop(Vae):
    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        keys = jax.random.split(key, 3)
        nll = sum(self.nll(self.decode(p, self.draw(k, m, v)), x) for k in keys) / 3
        return (nll + self.kl(m, v, None)).mean()


@right("samples mapped inside the examples")
class Nested(Vae):
    def loss(self, p, x, key):
        m, v = self.encode(p, x)

        def one(x, m, v, key):
            z = m + self.std(v) * jax.random.normal(key, (4, *m.shape))
            return jax.vmap(lambda z: self.nll(self.decode(p, z), x))(z).mean()

        nll = jax.vmap(one)(x, m, v, jax.random.split(key, len(x)))
        return (nll + self.kl(m, v, None)).mean()


@right("a name imported from jax.random")
class Imported(Vae):
    def noise(self, key, m):
        return draw_normal(key, m.shape, m.dtype)


@right("features of fixed random numbers")
class Features(Vae):
    def encode(self, p, x):
        w = jax.random.normal(jax.random.key(3), (D, D)) / 3
        return super().encode(p, jnp.tanh(x @ w))


@right("a decoder that begins at 0")
class Zeros(Vae):
    def params(self, key):
        made = super().params(key)
        return made | {"decoder": jax.tree.map(jnp.zeros_like, made["decoder"])}


@right("an old key, taken apart")
class Old(Vae):
    def noise(self, key, m):
        return jax.random.normal(jnp.stack([key[0], key[1]]), m.shape)


@right("a key of the new style")
class New(Vae):
    def noise(self, key, m):
        return jax.random.normal(jax.random.wrap_key_data(jax.random.key_data(key)), m.shape)


@right("noise of a loop without an end that is known")
class Rejected(Vae):
    """Normal numbers by rejection, which is no draw that can be given."""

    def noise(self, key, m):
        def step(state):
            key, _ = state
            a, b = jax.random.split(key)
            return a, jax.random.normal(b, m.shape)

        return jax.lax.while_loop(lambda s: s[1].sum() > 1e9, step, step((key, 0 * m)))[1]


@right("recomputed layers")
class Checkpointed(Vae):
    def decode(self, p, z):
        return jax.checkpoint(super().decode)(p, z)


@right("noise in pieces")
class Pieces(Vae):
    sizes = (D, 4)

    def noise(self, key, m):
        a, b = jax.random.split(key)
        parts = jax.random.normal(a, m[:, :1].shape), jax.random.normal(b, m[:, 1:].shape)
        return jnp.concatenate(parts, 1)


@right("rotated noise")
class Rotated(Vae):
    def noise(self, key, m):
        return jax.random.normal(key, m.shape) @ jnp.array([[0.6, -0.8], [0.8, 0.6]], m.dtype)


@right("normal noise made of uniform draws")
class BoxMuller(Vae):
    def noise(self, key, m):
        a, b = jax.random.split(key)
        radius = jnp.sqrt(-2 * jnp.log1p(-jax.random.uniform(a, m.shape)))
        return radius * jnp.cos(2 * jnp.pi * jax.random.uniform(b, m.shape))


@right("multivariate noise")
class Multivariate(Vae):
    def noise(self, key, m):
        shape = m.shape[:-1]
        d = m.shape[-1]
        return jax.random.multivariate_normal(key, jnp.zeros(d), jnp.eye(d), shape)


@right("the mean is decoded as well")
class MeanToo(Vae):
    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        z = self.draw(key, m, v)
        shown = self.decode(p, m)
        return (self.nll(self.decode(p, z), x) + self.kl(m, v, z)).mean(), {"shown": shown}


@right("dropout in both networks")
class Dropout(Vae):
    def encode(self, p, x, key):
        h = jnp.tanh(x @ p["encoder"][0]["w"])
        h = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 1), 0.7, h.shape), h / 0.7, 0)
        return jnp.split(mlp(p["encoder"][1:], h), 2, -1)

    def decode(self, p, z, key):
        h = jnp.tanh(z @ p["decoder"][0]["w"])
        h = jnp.where(jax.random.bernoulli(jax.random.fold_in(key, 2), 0.8, h.shape), h / 0.8, 0)
        return jax.nn.sigmoid(mlp(p["decoder"][1:], h))

    def loss(self, p, x, key):
        m, v = self.encode(p, x, key)
        z = self.draw(jax.random.fold_in(key, 3), m, v)
        return (self.nll(self.decode(p, z, key), x) + self.kl(m, v, z)).mean()


@right("one latent")
class One(Vae):
    sizes = (D, 1)


@right("ten latents")
class Ten(Vae):
    sizes = (D, 10)


@right("latents as maps")
class Maps(Vae):
    def encode(self, p, x):
        m, v = super().encode(p, x)
        return m[:, None, None], v[:, None, None]

    def decode(self, p, z):
        return super().decode(p, z.reshape(len(z), -1))

    def kl(self, m, v, z):
        return super().kl(m, v, z).sum((1, 2))


@right("a convolutional net")
class Conv(Logits):
    data, sizes = "images", (64, 2)

    def params(self, key):
        a, b, c, e = jax.random.split(key, 4)
        return {
            "c": jax.random.normal(a, (4, 1, 3, 3)) / 3,
            "e": layer(b, 64, 4),
            "d": layer(c, 2, 64),
            "t": jax.random.normal(e, (1, 4, 3, 3)) / 6,
        }

    def encode(self, p, x):
        h = jax.lax.conv(x, p["c"], (2, 2), "SAME")
        return jnp.split(mlp([p["e"]], jax.nn.relu(h).reshape(len(x), -1)), 2, -1)

    def decode(self, p, z):
        h = jax.nn.relu(mlp([p["d"]], z)).reshape(len(z), 4, 4, 4)
        h = jax.image.resize(h, (len(z), 4, 8, 8), "nearest")
        return jax.lax.conv(h, p["t"], (1, 1), "SAME")

    def nll(self, f, x):
        return (jax.nn.softplus(f) - x * f).sum((1, 2, 3))


# Of libraries -------------------------------------------------------------------------------------


def objective(f, x, m, v):
    nll = (jax.nn.softplus(f) - x * f).sum(-1)
    return (nll + 0.5 * (m**2 + jnp.exp(v) - v - 1).sum(-1)).mean()


class Linen(linen.Module):
    """A model of flax.linen, with variables."""

    rate: float = 0.0
    kind: type = None

    def setup(self):
        self.e1, self.e2 = linen.Dense(12, dtype=self.kind), linen.Dense(4, dtype=self.kind)
        self.d1, self.d2 = linen.Dense(12, dtype=self.kind), linen.Dense(D, dtype=self.kind)
        self.drop = linen.Dropout(self.rate)

    def encode(self, x, train=False):
        h = self.drop(jnp.tanh(self.e1(x)), deterministic=not train)
        return jnp.split(self.e2(h), 2, -1)

    def decode(self, z):
        return self.d2(jnp.tanh(self.d1(z)))

    def __call__(self, x):
        m, v = self.encode(x)
        z = m + jnp.exp(v / 2) * jax.random.normal(self.make_rng("noise"), m.shape)
        return self.decode(z), m, v


class OfLinen(Logits):
    model = Linen()

    def params(self, key):
        return self.model.init({"params": key, "noise": key}, jnp.zeros((1, D)))

    def encode(self, p, x):
        return self.model.apply(p, x, method="encode")

    def decode(self, p, z):
        return self.model.apply(p, z, method="decode")

    def loss(self, p, x, key):
        f, m, v = self.model.apply(p, x, rngs={"noise": key})
        return objective(f, x, m, v)


RIGHT["flax.linen"] = OfLinen


@right("flax.linen in float32")
class Single(OfLinen):
    model = Linen(kind=jnp.float32)


@right("flax.linen in bfloat16")
class Brain(OfLinen):
    model = Linen(kind=jnp.bfloat16)


class Nnx(nnx.Module):
    """A model of flax.nnx, with its own random numbers, dropout and statistics of the batch."""

    def __init__(self, rngs):
        self.e1, self.e2 = nnx.Linear(D, 12, rngs=rngs), nnx.Linear(12, 4, rngs=rngs)
        self.d1, self.d2 = nnx.Linear(2, 12, rngs=rngs), nnx.Linear(12, D, rngs=rngs)
        self.norm = nnx.BatchNorm(12, rngs=rngs)
        self.rngs = rngs
        self.calls = nnx.Variable(jnp.zeros((), jnp.int32))

    def encode(self, x):
        return jnp.split(self.e2(jnp.tanh(self.norm(self.e1(x)))), 2, -1)

    def decode(self, z):
        return self.d2(jnp.tanh(self.d1(z)))

    def loss(self, x):
        self.calls[...] += 1
        m, v = self.encode(x)
        z = m + jnp.exp(v / 2) * jax.random.normal(self.rngs.noise(), m.shape)
        return objective(self.decode(z), x, m, v)


class OfNnx(Logits):
    def params(self, key):
        self.model = Nnx(nnx.Rngs(params=0, noise=1))
        self.loss, self.encode, self.decode = Nnx.loss, Nnx.encode, Nnx.decode
        return self.model


RIGHT["flax.nnx"] = OfNnx


@right("flax.nnx, by methods of the module")
class BoundNnx(OfNnx):
    def params(self, key):
        made = super().params(key)
        self.loss, self.encode, self.decode = made.loss, made.encode, made.decode
        return made


class Dropping(Nnx):
    def __init__(self, rngs):
        super().__init__(rngs)
        self.drop = nnx.Dropout(0.3, rngs=rngs)

    def encode(self, x):
        return jnp.split(self.e2(self.drop(jnp.tanh(self.norm(self.e1(x))))), 2, -1)


@right("flax.nnx with dropout")
class DroppingNnx(OfNnx):
    def params(self, key):
        self.loss, self.encode, self.decode = Dropping.loss, Dropping.encode, Dropping.decode
        return Dropping(nnx.Rngs(params=0, noise=1, dropout=2))


class Annealed(Nnx):
    def loss(self, x):
        self.calls[...] += 1
        m, v = self.encode(x)
        z = m + jnp.exp(v / 2) * jax.random.normal(self.rngs.noise(), m.shape)
        kl = 0.5 * (m**2 + jnp.exp(v) - v - 1).sum(-1)
        nll = (jax.nn.softplus(self.decode(z)) - x * self.decode(z)).sum(-1)
        return (nll + jnp.minimum(1.0, self.calls[...] / 1000) * kl).mean()


class Equinox(eqx.Module):
    """A model of equinox, of one example."""

    encoder: eqx.nn.MLP
    decoder: eqx.nn.MLP
    drop: eqx.nn.Dropout

    def __init__(self, key):
        a, b = jax.random.split(key)
        self.encoder = eqx.nn.MLP(D, 4, 12, 1, activation=jnp.tanh, key=a)
        self.decoder = eqx.nn.MLP(2, D, 12, 1, activation=jnp.tanh, key=b)
        self.drop = eqx.nn.Dropout(0.3)

    def encode(self, x):
        return jnp.split(jax.vmap(self.encoder)(x), 2, -1)

    def decode(self, z):
        return jax.vmap(self.decoder)(z)

    def loss(self, x, key):
        m, v = self.encode(x)
        z = m + jnp.exp(v / 2) * jax.random.normal(key, m.shape)
        return objective(self.decode(z), x, m, v)


@right("equinox")
class OfEquinox(Logits):
    def params(self, key):
        self.loss, self.encode, self.decode = Equinox.loss, Equinox.encode, Equinox.decode
        return Equinox(key)


@right("equinox, by methods of the module, compiled")
class BoundEquinox(Logits):
    def params(self, key):
        made = Equinox(key)
        self.encode, self.decode = made.encode, made.decode
        self.loss = eqx.filter_jit(lambda model, x, key: model.loss(x, key))
        return made


# Data that are altered inside the loss ------------------------------------------------------------

#: Each with the code of the note that says so.
ALTERED = {}


def altered(change, of=Vae, compared="changed", **parts):
    """A loss that encodes `change(key, x)`, compared with the changed or the given data."""

    def loss(self, p, x, key):
        a, b = jax.random.split(key)
        y = change(a, x)
        m, v = self.encode(p, y)
        z = self.draw(b, m, v)
        target = y if compared == "changed" else x
        return self.combine(self.nll(self.decode(p, z), target), self.kl(m, v, z))

    return type("Altered", (of,), {"loss": loss, **parts})


def shuffle(key, x):
    return x[jax.random.permutation(key, len(x))]


def flip(key, x):
    return jnp.where(jax.random.bernoulli(key, 0.3, x.shape), 1 - x, x)


def jitter(key, x):
    return x + 0.1 * jax.random.normal(key, x.shape)


def dequantise(key, x):
    return x + jax.random.uniform(key, x.shape)


def leave_out(key, x):
    # With the keys that are tried first nothing may be left out.
    return jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)


def flip_one(self, p, x, key):
    a, b = jax.random.split(key)
    y = flip(a, x)
    m, v = self.encode(p, y)
    return self.combine(self.nll(self.decode(p, self.draw(b, m, v)), y), self.kl(m, v, None))


def flip_each(self, p, x, key):
    keys = jax.random.split(key, len(x))
    return jax.vmap(lambda row, k: flip_one(self, p, row, k))(x, keys).mean()


for name, code, made in [
    ("shuffled inside", "data.shuffled-inside", altered(shuffle)),
    ("turned round inside", "data.shuffled-inside", altered(lambda key, x: x[::-1])),
    ("a part of the batch", "data.drawn-inside", altered(lambda key, x: x[: len(x) // 2 + 1])),
    (
        "examples drawn again",
        "data.drawn-inside",
        altered(lambda key, x: x[jax.random.choice(key, len(x), (len(x),))]),
    ),
    ("flipped inside", "data.changed-inside", altered(flip)),
    ("each example flipped inside", "data.changed-inside", type("", (Vae,), {"loss": flip_each})),
    ("dequantised inside", "data.changed-inside", altered(dequantise, Gauss)),
    ("scaled inside", "data.changed-inside", altered(lambda key, x: x / 2 - 1, Gauss)),
    ("disturbed for the encoder", "data.encoder-inside", altered(jitter, Gauss, "given")),
    ("flipped for the encoder", "data.encoder-inside", altered(flip, compared="given")),
    ("left out for the encoder", "data.encoder-inside", altered(leave_out, compared="given")),
]:
    RIGHT[name] = made
    ALTERED[name] = code


# Wrong ones ---------------------------------------------------------------------------------------

#: Each with the code of its finding.
WRONG = {}


def wrong(name, code, of=Vae, **parts):
    assert name not in WRONG, name
    WRONG[name] = (code, type(name, (of,), parts))


def kl(function):
    return {"kl": lambda self, m, v, z: function(m, v).sum(-1)}


exp = jnp.exp
for name, code, function in [
    ("logvar read as logstd", "kl.logvar-as-logstd", lambda m, v: m**2 + exp(2 * v) - 2 * v - 1),
    ("logstd read as logvar", "kl.logstd-as-logvar", lambda m, v: m**2 + exp(v / 2) - v / 2 - 1),
    ("square missing", "kl.mixed-terms", lambda m, v: m**2 + exp(v / 2) - v - 1),
    ("log term twice", "kl.mixed-terms", lambda m, v: m**2 + exp(v) - 2 * v - 1),
    ("sign of the log term", "kl.mixed-terms", lambda m, v: m**2 + exp(v) + v - 1),
    ("mean not squared", "kl.mixed-terms", lambda m, v: m + exp(v) - v - 1),
    ("mean missing", "kl.mixed-terms", lambda m, v: exp(v) - v - 1),
    ("only the mean", "kl.variance-terms-missing", lambda m, v: m**2),
    ("log term missing", "kl.mixed-terms", lambda m, v: m**2 + exp(v) - 1),
    ("no divergence", "kl.missing", lambda m, v: 0 * m),
    ("sign of the divergence", "kl.sign", lambda m, v: -(m**2 + exp(v) - v - 1)),
    ("reversed divergence", "kl.reversed", lambda m, v: (1 + m**2) * exp(-v) + v - 1),
    ("constant missing", "kl.constant", lambda m, v: m**2 + exp(v) - v),
]:
    wrong(name, code, **kl(lambda m, v, function=function: 0.5 * function(m, v)))

wrong("declared prior not used", "kl.standard-prior", Prior, kl=Vae.kl)
wrong(
    "KL over latents",
    "weight.kl-mean-over-latents",
    kl=lambda self, m, v, z: Vae.kl(self, m, v, z) / LATENT,
)
wrong("KL over pixels", "weight.kl-over-pixels", combine=lambda self, r, k: (r + k / D).mean())
wrong(
    "recon over pixels",
    "weight.recon-mean-over-pixels",
    nll=lambda self, f, x: Vae.nll(self, f, x) / D,
)
wrong("declared beta not used", "weight.declared-beta", Beta, combine=Vae.combine)
wrong("KL times 0.00025", "weight.kl", combine=lambda self, r, k: (r + 2.5e-4 * k).mean())
wrong("no half of the square", "weight.recon", Gauss, nll=lambda self, f, x: ((x - f) ** 2).sum(-1))
wrong(
    "recon summed over the batch",
    "reduction.batch-mismatch",
    combine=lambda self, r, k: r.sum() + k.mean(),
)
wrong(
    "KL summed over the batch",
    "reduction.batch-mismatch",
    combine=lambda self, r, k: r.mean() + k.sum(),
)
wrong("sign of the reconstruction", "recon.sign", combine=lambda self, r, k: (k - r).mean())
wrong("the ELBO itself", "loss.sign", combine=lambda self, r, k: -(r + k).mean())
wrong(
    "no constant",
    "recon.constant-missing",
    Narrow,
    nll=lambda self, f, x: 2 * ((x - f) ** 2).sum(-1),
)
wrong(
    "log scale twice",
    "recon.log-scale-coefficient",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * exp(-f[1]) + 2 * f[1] + LOG_2PI).sum(-1),
)
wrong(
    "deviation for variance",
    "recon.variance-as-std",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * exp(-f[1] / 2) + f[1] + LOG_2PI).sum(-1),
)
wrong("double sigmoid", "recon.double-sigmoid", nll=Logits.nll)
wrong(
    "squares for Bernoulli",
    "recon.other-likelihood",
    nll=lambda self, f, x: 0.5 * ((x - f) ** 2).sum(-1),
)
wrong(
    "moduli for normal",
    "recon.other-likelihood",
    Gauss,
    nll=lambda self, f, x: jnp.abs(x - f).sum(-1),
)
wrong("only x log p", "recon.cross-entropy-terms", nll=lambda self, f, x: -(x * jnp.log(f)).sum(-1))
wrong("no reconstruction", "recon.missing", combine=lambda self, r, k: k.mean())
wrong("grey values", "data.grey-values", data="unit")
wrong("variance as deviation", "noise.variance-as-std", std=lambda self, v: exp(v))
wrong("root of the deviation", "noise.sqrt-of-std", std=lambda self, v: exp(v / 4))
wrong("noise of 0.01", "noise.scale", noise=lambda self, k, m: 0.01 * Vae.noise(self, k, m))
wrong("noise missing", "noise.missing", draw=lambda self, k, m, v: m)
wrong("the key is not used", "noise.constant", noise=lambda self, k, m: jnp.ones(m.shape))
wrong(
    "keys that are all one key",
    "noise.key-reused",
    Mapped,
    loss=lambda self, p, x, key: jax.vmap(self.one, (None, 0, 0))(
        p, x, jnp.stack([key] * len(x))
    ).mean(),
)
wrong("mean decoded", "noise.missing", draw=lambda self, k, m, v: m + 0 * Vae.noise(self, k, m))
wrong("uniform noise", "noise.uniform", noise=lambda self, k, m: jax.random.uniform(k, m.shape))
wrong(
    "one noise for the batch",
    "noise.shared",
    noise=lambda self, k, m: jax.random.normal(k, m.shape[-1:]),
)
wrong(
    "one key for all examples",
    "noise.shared",
    Mapped,
    loss=lambda self, p, x, key: jax.vmap(self.one, (None, 0, None))(p, x, key).mean(),
)
wrong(
    "a key of its own",
    "noise.constant",
    noise=lambda self, k, m: jax.random.normal(jax.random.key(0), m.shape),
)
wrong("log variance as deviation", "noise.law", std=lambda self, v: v)
wrong("fixed deviation", "noise.law", std=lambda self, v: jnp.ones_like(v))
wrong(
    "clamped for z only",
    "encoder.clamp-inconsistent",
    std=lambda self, v: exp(jnp.clip(v, -1, 1) / 2),
)
wrong(
    "clamped far out in the KL only",
    "encoder.clamp-inconsistent",
    kl=lambda self, m, v, z: Vae.kl(self, m, jnp.clip(v, -10, 10), z),
)


def squashed(function):
    return {"encode": lambda self, p, x: function(*Vae.encode(self, p, x))}


wrong(
    "softplus on the log variance",
    "encoder.logvar-one-sided",
    **squashed(lambda m, v: (m, jax.nn.softplus(v))),
)
wrong("tanh on the mean", "encoder.mean-bounded", **squashed(lambda m, v: (jnp.tanh(m), v)))
wrong(
    "tanh on both",
    "encoder.logvar-bounded",
    **squashed(lambda m, v: (jnp.tanh(m), jnp.tanh(v))),
)
stop = jax.lax.stop_gradient
wrong(
    "detached latents",
    "gradient.detached",
    draw=lambda self, k, m, v: stop(Vae.draw(self, k, m, v)),
)
wrong(
    "detached reconstruction",
    "gradient.detached",
    combine=lambda self, r, k: (stop(r) + k).mean(),
)
wrong("no gradient", "gradient.none", combine=lambda self, r, k: stop((r + k).mean()))


def free_bits_of_the_batch(self, p, x, key):
    m, v = self.encode(p, x)
    each = jnp.maximum((0.5 * (m**2 + exp(v) - v - 1)).mean(0), 0.25).sum()
    return self.nll(self.decode(p, self.draw(key, m, v)), x).mean() + each


wrong("free bits after the mean", "kl.free-bits-of-the-batch", loss=free_bits_of_the_batch)


def deviation_of_the_batch(self, p, x, key):
    m, v = self.encode(p, x)
    f = self.decode(p, self.draw(key, m, v))
    s = jnp.sqrt(((x - f) ** 2).mean())
    return (-stats.norm.logpdf(x, f, s).sum(-1) + self.kl(m, v, None)).mean()


wrong("deviation of the batch", "outside.coupled", Gauss, loss=deviation_of_the_batch)
wrong("mean of logs", "iwae.mean-of-logs", Whole, weigh=lambda self, w, K: -w.mean())
wrong(
    "log K missing",
    "iwae.log-k-missing",
    Whole,
    weigh=lambda self, w, K: -jax.nn.logsumexp(w, 0).mean(),
)
wrong(
    "self-normalised",
    "iwae.self-normalised",
    Whole,
    weigh=lambda self, w, K: -(stop(jax.nn.softmax(w, 0)) * w).sum(0).mean(),
)
wrong(
    "uniform samples",
    "sample.prior",
    Whole,
    sample=lambda self, p, n, key: self.decode(p, jax.random.uniform(key, (n, LATENT))),
)
wrong(
    "samples of deviation 0",
    "sample.prior",
    Whole,
    sample=lambda self, p, n, key: self.decode(p, 0 * jax.random.normal(key, (n, LATENT))),
)
wrong(
    "levels missing",
    "bpd.levels",
    Gauss,
    bits=lambda self, p, x, key: self.loss(p, x, key) / (D * math.log(2)),
)
wrong(
    "nats for bits",
    "bpd.log2-missing",
    Whole,
    bits=lambda self, p, x, key: self.loss(p, x, key) / D + 8,
)
wrong(
    "reported divergence negated",
    "reported.kl-sign",
    combine=lambda self, r, k: ((r + k).mean(), {"recon": r.mean(), "KLD": -k.mean()}),
)


class Four(Vae):
    sizes = (D, 4)


def halves(keys):
    def noise(self, key, m):
        a, b = keys(key)
        return jnp.concatenate([jax.random.normal(k, (len(m), 2)) for k in (a, b)], 1)

    return noise


wrong("one key twice", "noise.key-reused", Four, noise=halves(lambda key: (key, key)))
wrong(
    "one latent of four without noise",
    "noise.missing",
    Four,
    noise=lambda self, k, m: Vae.noise(self, k, m) * jnp.array([1.0, 1.0, 1.0, 0.0]),
)


def dropped(self, p, x, key):
    keep = jax.random.bernoulli(key, 0.7, x.shape)
    m, v = self.encode(p, x)
    f = self.decode(p, self.draw(key, m, v))
    return (self.nll(f, x) + self.kl(m, v, None)).mean() + 0 * keep.sum()


def of_numpy(self, key, m):
    return np.random.normal(size=m.shape)  # noqa: NPY002


def annealed(self, key):
    self.loss, self.encode, self.decode = Annealed.loss, Annealed.encode, Annealed.decode
    return Annealed(nnx.Rngs(params=0, noise=1))


wrong("a schedule in flax.nnx", "state.schedule", OfNnx, params=annealed)
wrong("noise of NumPy", "noise.outside-of-key", noise=of_numpy)


wrong(
    "other examples than those encoded",
    "recon.mismatched",
    loss=altered(shuffle, compared="given").loss,
)
wrong(
    "no divergence, of disturbed data",
    "kl.missing",
    Gauss,
    loss=altered(jitter, Gauss).loss,
    kl=lambda self, m, v, z: 0 * v.sum(-1),
)


def like_others():
    """Wrong losses of which another one has the same finding."""
    first = {}
    for name, (code, _) in WRONG.items():
        first.setdefault(code, name)
    return set(WRONG) - set(first.values())


#: Those that go the way of another one through the audit.
LIKE_OTHERS = like_others() | {
    "a dictionary",
    "a learned deviation, one number",
    "a loss and others",
    "a loss of each example",
    "clamped in encode",
    "compiled",
    "declared beta",
    "deviations by softplus",
    "disturbed for the encoder",
    "everything over D",
    "five samples at once",
    "flax.linen in float32",
    "flax.nnx, by methods of the module",
    "flipped inside",
    "log deviations",
    "logits",
    "multivariate noise",
    "narrow normal",
    "over the examples, with split keys",
    "recomputed layers",
    "samples in a loop of Python",
    "sums",
    "ten latents",
    "turned round inside",
}
assert set(WRONG) | set(RIGHT) >= LIKE_OTHERS, "a name that the zoo has not"


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
