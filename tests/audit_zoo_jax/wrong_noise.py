"""Wrong noise, ranges and gradients."""

import jax
import jax.numpy as jnp
import numpy as np

from audit_zoo_jax.models import D, Vae
from audit_zoo_jax.register import wrong
from audit_zoo_jax.right_draws import Mapped

wrong("variance as deviation", "noise.variance-as-std", std=lambda self, v: jnp.exp(v))
wrong("root of the deviation", "noise.sqrt-of-std", std=lambda self, v: jnp.exp(v / 4))
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
    std=lambda self, v: jnp.exp(jnp.clip(v, -1, 1) / 2),
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


def of_numpy(self, key, m):
    return np.random.normal(size=m.shape)  # noqa: NPY002


wrong("noise of NumPy", "noise.outside-of-key", noise=of_numpy)
