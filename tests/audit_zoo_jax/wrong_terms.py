"""Wrong terms and weights."""

import jax
import jax.numpy as jnp

from audit_zoo_jax.models import LATENT, LOG_2PI, Beta, D, Gauss, Learned, Narrow, Vae
from audit_zoo_jax.register import wrong
from audit_zoo_jax.right_losses import Logits, Prior


def kl(function):
    return {"kl": lambda self, m, v, z: function(m, v).sum(-1)}


for name, code, function in [
    (
        "logvar read as logstd",
        "kl.logvar-as-logstd",
        lambda m, v: m**2 + jnp.exp(2 * v) - 2 * v - 1,
    ),
    (
        "logstd read as logvar",
        "kl.logstd-as-logvar",
        lambda m, v: m**2 + jnp.exp(v / 2) - v / 2 - 1,
    ),
    ("square missing", "kl.mixed-terms", lambda m, v: m**2 + jnp.exp(v / 2) - v - 1),
    ("log term twice", "kl.mixed-terms", lambda m, v: m**2 + jnp.exp(v) - 2 * v - 1),
    ("sign of the log term", "kl.mixed-terms", lambda m, v: m**2 + jnp.exp(v) + v - 1),
    ("mean not squared", "kl.mixed-terms", lambda m, v: m + jnp.exp(v) - v - 1),
    ("mean missing", "kl.mixed-terms", lambda m, v: jnp.exp(v) - v - 1),
    ("only the mean", "kl.variance-terms-missing", lambda m, v: m**2),
    ("log term missing", "kl.mixed-terms", lambda m, v: m**2 + jnp.exp(v) - 1),
    ("no divergence", "kl.missing", lambda m, v: 0 * m),
    ("sign of the divergence", "kl.sign", lambda m, v: -(m**2 + jnp.exp(v) - v - 1)),
    ("reversed divergence", "kl.reversed", lambda m, v: (1 + m**2) * jnp.exp(-v) + v - 1),
    ("constant missing", "kl.constant", lambda m, v: m**2 + jnp.exp(v) - v),
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
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * jnp.exp(-f[1]) + 2 * f[1] + LOG_2PI).sum(-1),
)
wrong(
    "deviation for variance",
    "recon.variance-as-std",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * jnp.exp(-f[1] / 2) + f[1] + LOG_2PI).sum(-1),
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


class Weighted(Vae):
    """With a weight among the parameters, and the parameters at hand."""

    def params(self, key):
        return {**super().params(key), "w": jnp.full((), 0.3)}

    def loss(self, p, x, key):
        m, v = self.encode(p, x)
        nll = self.nll(self.decode(p, self.draw(key, m, v)), x)
        return (nll + self.weight(p, key) * self.kl(m, v, None)).mean()


wrong(
    "a weight that is learned",
    "weight.kl-learned",
    Weighted,
    weight=lambda self, p, key: jnp.exp(p["w"]),
)
wrong(
    "a weight that is drawn",
    "weight.kl-random",
    Weighted,
    weight=lambda self, p, key: jax.random.uniform(jax.random.fold_in(key, 1)),
)
wrong(
    "an example clamped at 50 nats",
    "recon.clamped",
    Logits,
    nll=lambda self, f, x: jnp.minimum(Logits.nll(self, f, x), 50.0),
)
