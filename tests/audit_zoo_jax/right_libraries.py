"""Right losses of models of flax and equinox."""

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import linen, nnx

from audit_zoo_jax.models import D
from audit_zoo_jax.register import RIGHT, right
from audit_zoo_jax.right_losses import Logits


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


@right("an annealed weight of flax.nnx that has reached 1")
class Reached(OfNnx):
    def params(self, key):
        self.loss, self.encode, self.decode = Annealed.loss, Annealed.encode, Annealed.decode
        made = Annealed(nnx.Rngs(params=0, noise=1))
        made.calls[...] = 2000
        return made


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
