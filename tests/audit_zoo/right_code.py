"""Right losses in code of other shapes: shuffles, loops, wrappers, counters."""

import copy
import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from audit_zoo.models import LATENT, D, Gauss, Vae
from audit_zoo.register import right


class Altered(Vae):
    """The loss of data that are altered first."""

    def alter(self, x):
        return x

    def loss(self, x):
        return super().loss(self.alter(x))

    bits = None


@right("the batch is shuffled inside")
class Shuffled(Altered):
    def alter(self, x):
        return x[torch.randperm(len(x))]


@right("rows drawn with replacement")
class Resampled(Altered):
    def alter(self, x):
        return x[torch.randint(len(x), (len(x),))]


@right("half of the rows")
class Half(Altered):
    def alter(self, x):
        return x[torch.randperm(len(x))[: (len(x) + 1) // 2]]


@right("examples flipped at random")
class Flipped(Altered):
    def alter(self, x):
        return torch.where(torch.rand(len(x), 1) < 0.5, x.flip(-1), x)


@right("dequantised inside")
class Dequantised(Gauss):
    def loss(self, x):
        return super().loss(x + torch.rand_like(x) / 256)

    bits = None


@right("scaled inside")
class Scaled(Gauss):
    data = "unit"

    def loss(self, x):
        return super().loss(2 * x - 1)

    bits = None


@right("noise on what the encoder gets")
class Denoising(Vae):
    def loss(self, x):
        m, v = self.encode(x + 0.1 * torch.randn_like(x))
        z = self.draw(m, v)
        return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()

    bits = None


@right("the data and a disturbed view")
class Views(Gauss):
    importance = bits = None

    def loss(self, x):
        views = [x, x + 0.1 * torch.randn_like(x)]
        return sum(Gauss.loss(self, y) for y in views) / 2


@right("in two halves of the batch")
class Halves(Vae):
    def loss(self, x):
        return sum(super(Halves, self).loss(part) * len(part) for part in x.chunk(2)) / len(x)


@right("one example after another")
class OneByOne(Vae):
    def loss(self, x):
        return sum(super(OneByOne, self).loss(row[None]) for row in x) / len(x)


@right("rows repeated for several samples")
class Repeated(Vae):
    def loss(self, x):
        return super().loss(x.repeat_interleave(3, 0))


@right("the batch repeated for several samples")
class Tiled(Vae):
    def loss(self, x):
        return super().loss(x.repeat(3, 1))


@right("samples on the second axis")
class SecondAxis(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        z = m[:, None] + (v[:, None] / 2).exp() * torch.randn(len(x), 4, LATENT)
        f = self.decode(z.reshape(-1, LATENT)).reshape(len(x), 4, -1)
        return (self.nll(f, x[:, None].expand(f.shape)).mean(1) + self.kl(m, v, z)).mean()


@right("antithetic noise")
class Antithetic(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        e = torch.randn_like(m)
        nll = sum(self.nll(self.decode(m + s * (v / 2).exp() * e), x) for s in (1, -1)) / 2
        return (nll + self.kl(m, v, None)).mean()


@right("samples of the prior are decoded as well")
class Logged(Vae):
    def loss(self, x):
        with torch.no_grad():
            self.shown = self.decode(torch.randn(len(x), LATENT))
        return super().loss(x)


@right("samples of the prior are decoded afterwards")
class LoggedAfter(Vae):
    def loss(self, x):
        value = super().loss(x)
        with torch.no_grad():
            self.shown = self.decode(torch.randn(9, LATENT))
        return value


@right("vmap over the examples")
class Mapped(Vae):
    def loss(self, x):
        def one(row, e):
            m, v = self.encoder(row).chunk(2, -1)
            z = m + (v / 2).exp() * e
            return self.nll(self.decode(z), row) + self.kl(m, v, z)

        return torch.func.vmap(one)(x, torch.randn(len(x), LATENT)).mean()


@right("vmap that draws its noise")
class MappedNoise(Vae):
    def loss(self, x):
        def one(row):
            m, v = self.encoder(row).chunk(2, -1)
            z = m + (v / 2).exp() * torch.randn(LATENT)
            return self.nll(self.decode(z), row) + self.kl(m, v, z)

        return torch.func.vmap(one, randomness="different")(x).mean()


@right("functional_call")
class Functional(Vae):
    def decode(self, z):
        named = dict(self.decoder.named_parameters())
        return torch.sigmoid(torch.func.functional_call(self.decoder, named, (z,)))


@right("a compiled decoder")
class Compiled(Vae):
    def more(self):
        with warnings.catch_warnings():
            # PyTorch's own, where it loads its compiler.
            warnings.simplefilter("ignore", DeprecationWarning)
            self.fast = torch.compile(self.decoder)

    def decode(self, z):
        return torch.sigmoid(self.fast(z))


@right("DataParallel")
class Parallel(Vae):
    def more(self):
        self.encoder = nn.DataParallel(self.encoder)
        self.decoder = nn.DataParallel(self.decoder)


@right("a training step with a log")
class Lightning(Vae):
    def more(self):
        self.logged, self.history = {}, []

    def log(self, name, value, prog_bar=False):
        self.logged[name] = value.detach()
        self.history.append(float(value))

    def training_step(self, batch, index):
        x, _ = batch
        m, v = self.encode(x)
        z = self.draw(m, v)
        nll, kl = self.nll(self.decode(z), x).mean(), self.kl(m, v, z).mean()
        self.log("nll", nll)
        self.log("kl", kl, prog_bar=True)
        return {"loss": nll + kl, "log": {"nll": nll.detach()}}

    def loss(self, x):
        return self.training_step((x, None), 0)

    bits = None


@right("tied weights")
class Tied(Vae):
    def more(self):
        self.encoder[2] = nn.Linear(12, 2 * LATENT)
        self.bias = nn.Parameter(torch.zeros(D))

    def decode(self, z):
        h = F.linear(z, self.encoder[2].weight[:LATENT].T)
        return torch.sigmoid(F.linear(h.tanh(), self.encoder[0].weight.T, self.bias))


@right("weight and spectral norm")
class Normed(Vae):
    def more(self):
        for net in (self.encoder, self.decoder):
            nn.utils.parametrizations.weight_norm(net[0])
            nn.utils.parametrizations.spectral_norm(net[2])


@right("a moving average beside it")
class Averaged(Vae):
    def more(self):
        self.shadow = copy.deepcopy(self.decoder)
        self.register_buffer("mean_loss", torch.zeros(()))

    def loss(self, x):
        value = super().loss(x)
        with torch.no_grad():
            self.mean_loss.mul_(0.99).add_(0.01 * value)
            for a, b in zip(self.shadow.parameters(), self.decoder.parameters(), strict=True):
                a.mul_(0.999).add_(0.001 * b)
        return value


@right("checkpoints")
class Checkpointed(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        z = self.draw(m, v)
        f = checkpoint(self.decode, z, use_reentrant=False)
        return (self.nll(f, x) + self.kl(m, v, z)).mean()
