"""Right losses in code of other shapes: shuffles, loops, wrappers, counters."""

import copy
import math
import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.checkpoint import checkpoint

from audit_zoo.models import LATENT, LOG_2PI, D, Gauss, Vae, mlp
from audit_zoo.register import right
from audit_zoo.right_losses import OneSample


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


@right("torch.normal")
class TorchNormal(Vae):
    def draw(self, m, v):
        return torch.normal(torch.zeros_like(m), torch.ones_like(m)) * (v / 2).exp() + m


@right("a draw in place")
class InPlace(Vae):
    def noise(self, m):
        return m.new_empty(m.shape).normal_()


@right("addcmul in place")
class Addcmul(Vae):
    def draw(self, m, v):
        return torch.randn_like(m).mul_(v.mul(0.5).exp_()).add_(m)


@right("everything divided by pixels and batch")
class PerPixel(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        f = self.decode(self.draw(m, v))
        return F.binary_cross_entropy(f, x) + self.kl(m, v, None).sum() / x.numel()

    bits = None


@right("two losses of torch.nn")
class Criterion(Gauss):
    def more(self):
        self.criterion = nn.GaussianNLLLoss(full=True, reduction="sum")

    def loss(self, x):
        m, v = self.encode(x)
        f = self.decode(self.draw(m, v))
        kl = -0.5 * torch.sum(1 + v - m.pow(2) - v.exp())
        return (self.criterion(f, x, torch.ones_like(f)) + kl) / x.size(0)


@right("log p(x, z) - log q(z) of densities")
class Joint(Gauss):
    def loss(self, x):
        m, v = self.encode(x)
        q = Normal(m, (v / 2).exp())
        z = q.rsample()
        log_p = Normal(0.0, 1.0).log_prob(z).sum(-1)
        log_x = Normal(self.decode(z), 1.0).log_prob(x).sum(-1)
        return -(log_p + log_x - q.log_prob(z).sum(-1)).mean()


@right("free bits of an example")
class ExampleBits(Vae):
    def kl(self, m, v, z):
        return super().kl(m, v, z).clamp(min=0.5)


@right("a warm-up that is over in eval mode, as a buffer")
class Warm(Vae):
    def more(self):
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))

    def combine(self, nll, kl):
        beta = 1.0
        if self.training:
            self.steps += 1
            beta = float(torch.clamp(self.steps / 50, max=1.0))
        return (nll + beta * kl).mean()


@right("the density in terms of precision")
class Precision(Gauss):
    def more(self):
        self.log_precision = nn.Parameter(torch.zeros(D))

    def likelihood_of(self, f):
        return Normal(f, (-0.5 * self.log_precision).exp())

    def nll(self, f, x):
        w = self.log_precision
        return 0.5 * ((x - f) ** 2 * w.exp() - w + LOG_2PI).sum(-1)

    importance = sample = None


@right("a soft floor of the deviation of the data")
class Soft(Gauss):
    def more(self):
        self.log_s = nn.Parameter(torch.zeros(()))

    def scale(self):
        return (-6 + F.softplus(self.log_s + 6)).exp()

    def likelihood_of(self, f):
        return Normal(f, self.scale())

    def nll(self, f, x):
        return ((x - f) ** 2 / (2 * self.scale() ** 2) + self.scale().log() + LOG_2PI / 2).sum(-1)

    importance = sample = None


@right("weights of zero at the start")
class Zeros(Vae):
    def more(self):
        for net in (self.encoder, self.decoder):
            nn.init.zeros_(net[-1].weight)
            nn.init.zeros_(net[-1].bias)


@right("a decoder with a skip of z in each layer")
class Skip(Vae):
    def more(self):
        self.first, self.last = mlp(LATENT, 12), nn.Linear(12 + LATENT, D)
        self.decoder = None
        self.first = nn.Linear(LATENT, 12)

    def decode(self, z):
        return torch.sigmoid(self.last(torch.cat([self.first(z).tanh(), z], -1)))


@right("probabilities clamped inside the loss")
class ClampedProbabilities(Vae):
    def nll(self, f, x):
        return F.binary_cross_entropy(f.clamp(1e-6, 1 - 1e-6), x, reduction="none").sum(-1)


@right("an inner function and a partial sum")
class Inner(Vae):
    def loss(self, x):
        total = torch.zeros(())
        m, v = self.encode(x)
        for j in range(LATENT):
            total = total + 0.5 * (m[:, j] ** 2 + v[:, j].exp() - v[:, j] - 1).mean()
        f = self.decode(self.draw(m, v))
        for j in range(D):
            total = total + F.binary_cross_entropy(f[:, j], x[:, j])
        return total


@right("sqrt of the variance")
class Variance(Vae):
    posterior = "var"

    def encode(self, x):
        m, v = super().encode(x)
        return m, F.softplus(v) + 1e-4

    def draw(self, m, s2):
        return m + s2.sqrt() * self.noise(m)

    def kl(self, m, s2, z):
        return 0.5 * (m**2 + s2 - 1 - s2.log()).sum(-1)

    importance = bits = None


@right("a temperature of 1")
class Temperature(Vae):
    def draw(self, m, v, temperature=1.0):
        return m + temperature * (v / 2).exp() * math.sqrt(1.0) * self.noise(m)


@right("a floor inside the logarithm of the divergence")
class LogFloor(Vae):
    def kl(self, m, v, z):
        return 0.5 * (m**2 + v.exp() - (1e-8 + v.exp()).log() - 1).sum(-1)


@right("a floor of the deviation in the logarithm")
class LogStdFloor(Vae):
    def kl(self, m, v, z):
        return (0.5 * (m**2 + v.exp() - 1) - ((v / 2).exp() + 1e-6).log()).sum(-1)


@right("noise within a checkpoint")
class CheckpointedNoise(Vae):
    def loss(self, x):
        def part(m, v):
            return self.decode(self.draw(m, v))

        m, v = self.encode(x)
        f = checkpoint(part, m, v, use_reentrant=False)
        return (self.nll(f, x) + self.kl(m, v, None)).mean()


@right("antithetic noise in one call")
class AntitheticPairs(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        off = (v / 2).exp() * torch.randn_like(m)
        f = self.decode(torch.cat([m + off, m - off]))
        nll = self.nll(f, torch.cat([x, x])).mean()
        return nll + self.kl(m, v, None).mean()


@right("a second draw for the divergence")
class SecondDraw(OneSample):
    def kl(self, m, v, z):
        return super().kl(m, v, self.draw(m, v))


@right("a second draw for the entropy")
class SecondEntropy(Vae):
    def kl(self, m, v, z):
        log_q = Normal(m, (v / 2).exp()).log_prob(self.draw(m, v))
        return (log_q - Normal(0.0, 1.0).log_prob(z)).sum(-1)


@right("variance as Normal's scale, in noise and divergence")
class VarianceAsScale(Vae):
    """The ELBO of another posterior than the declared one."""

    def std(self, v):
        return v.exp()

    def kl(self, m, v, z):
        return kl_divergence(Normal(m, v.exp()), Normal(torch.zeros_like(m), 1.0)).sum(-1)

    importance = None


@right("all parameters frozen")
class Frozen(Vae):
    def more(self):
        self.requires_grad_(False)


@right("casts to single precision")
class Casts(Vae):
    def nll(self, f, x):
        return super().nll(f.float(), x.float())

    importance = bits = None


@right("a part under no_grad")
class Backbone(Vae):
    def more(self):
        self.backbone = mlp(D, 8, D)

    def encode(self, x):
        with torch.no_grad():
            h = self.backbone(x)
        return self.encoder(h).chunk(2, -1)


@right("an embedding of bounded norm")
class Bounded(Vae):
    def more(self):
        self.embedding = nn.Embedding(2, LATENT, max_norm=0.5)

    def encode(self, x):
        m, v = self.encoder(x).chunk(2, -1)
        return m + self.embedding(x[:, 0].long()), v
