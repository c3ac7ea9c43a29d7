"""Right losses whose noise is drawn, and whose networks are made, in many ways."""

import jax
import jax.numpy as jnp
from jax.random import normal as draw_normal

from audit_zoo_jax.models import D, Vae, layer, mlp
from audit_zoo_jax.register import right
from audit_zoo_jax.right_losses import Logits


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
