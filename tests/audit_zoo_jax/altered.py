"""Losses that alter their data."""

import jax
import jax.numpy as jnp

from audit_zoo_jax.models import Gauss, Vae
from audit_zoo_jax.register import RIGHT, wrong

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


def views(change, of=Gauss, compared="changed", first=0.5, **parts):
    """The losses of two views of the data, `change(key, x)`, in their order, as `altered`."""

    def loss(self, p, x, key):
        a, *keys = jax.random.split(key, 3)
        seen = change(a, x)
        total = 0.0
        for k, y, weight in zip(keys, seen, (first, 1 - first), strict=True):
            m, v = self.encode(p, y)
            z = self.draw(k, m, v)
            target = y if compared == "changed" else x
            total += weight * self.combine(self.nll(self.decode(p, z), target), self.kl(m, v, z))
        return total

    return type("Views", (of,), {"loss": loss, **parts})


def both(key, x):
    return x, jitter(key, x)


def stacked(self, p, x, key):
    a, b = jax.random.split(key)
    m, v = jax.vmap(lambda y: self.encode(p, y))(jnp.stack([x, jitter(a, x)]))
    z = self.draw(b, m, v)
    target = jnp.stack([x, jitter(a, x)])
    return self.combine(self.nll(self.decode(p, z), target), self.kl(m, v, z))


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
    (
        "two views, the last one first",
        "data.changed-inside",
        views(lambda key, x: [jitter(k, x) for k in jax.random.split(key)][::-1]),
    ),
    ("the data and a disturbed view", "data.changed-inside", views(both)),
    (
        "a flipped view and the data",
        "data.changed-inside",
        views(lambda k, x: (flip(k, x), x), Vae),
    ),
    ("two views for the encoder", "data.encoder-inside", views(both, compared="given")),
    ("views in one array", "data.changed-inside", type("", (Gauss,), {"loss": stacked})),
    ("dequantised inside", "data.changed-inside", altered(dequantise, Gauss)),
    ("scaled inside", "data.changed-inside", altered(lambda key, x: x / 2 - 1, Gauss)),
    ("disturbed for the encoder", "data.encoder-inside", altered(jitter, Gauss, "given")),
    ("flipped for the encoder", "data.encoder-inside", altered(flip, compared="given")),
    ("left out for the encoder", "data.encoder-inside", altered(leave_out, compared="given")),
]:
    RIGHT[name] = made
    ALTERED[name] = code

wrong(
    "the divergence of two views over the latents",
    "weight.kl-mean-over-latents",
    views(both),
    kl=lambda self, m, v, z: 0.5 * (m**2 + jnp.exp(v) - v - 1).mean(-1),
)
wrong("two views without noise", "noise.missing", views(both), draw=lambda self, key, m, v: m)
