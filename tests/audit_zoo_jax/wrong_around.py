"""Wrong data, batches, schedules, importance bounds, samples and reports."""

import math

import jax
import jax.numpy as jnp
from flax import nnx
from jax.scipy import stats

from audit_zoo_jax.altered import altered, jitter, shuffle
from audit_zoo_jax.models import (
    LATENT,
    D,
    Gauss,
    Whole,
)
from audit_zoo_jax.register import wrong
from audit_zoo_jax.right_libraries import Annealed, OfNnx

wrong("grey values", "data.grey-values", data="unit")


def free_bits_of_the_batch(self, p, x, key):
    m, v = self.encode(p, x)
    each = jnp.maximum((0.5 * (m**2 + jnp.exp(v) - v - 1)).mean(0), 0.25).sum()
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
    weigh=lambda self, w, K: -(jax.lax.stop_gradient(jax.nn.softmax(w, 0)) * w).sum(0).mean(),
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


def annealed(self, key):
    self.loss, self.encode, self.decode = Annealed.loss, Annealed.encode, Annealed.decode
    return Annealed(nnx.Rngs(params=0, noise=1))


wrong("a schedule in flax.nnx", "state.schedule", OfNnx, params=annealed)


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
