"""Right losses: terms, densities and results in many forms."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats

from audit_zoo_jax.models import (
    LATENT,
    D,
    Gauss,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    Vae,
    layer,
    mlp,
)
from audit_zoo_jax.register import right
from vaetheory import likelihoods


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
