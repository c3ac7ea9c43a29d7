"""Right losses with terms, draws and parameters that are written in other ways."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.checkpoint import checkpoint

from audit_zoo.models import LATENT, LOG_2PI, D, Gauss, Vae, mlp
from audit_zoo.register import right
from audit_zoo.right_losses import OneSample


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
