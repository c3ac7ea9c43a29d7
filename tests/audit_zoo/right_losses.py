"""Right ways to write a loss and its noise."""

import math

import torch
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from audit_zoo.models import LATENT, D, Vae
from audit_zoo.register import right


@right("one-sample KL")
class OneSample(Vae):
    def kl(self, m, v, z):
        q, p = Normal(m, (v / 2).exp()), Normal(torch.zeros_like(m), 1.0)
        return (q.log_prob(z) - p.log_prob(z)).sum(-1)


@right("closed entropy, sampled cross term")
class HalfSampled(Vae):
    def kl(self, m, v, z):
        return (0.5 * z**2 - 0.5 * v - 0.5).sum(-1)


@right("sums")
class Sums(Vae):
    def combine(self, nll, kl):
        return nll.sum() + kl.sum()

    bits = None


@right("everything over D")
class OverD(Vae):
    def combine(self, nll, kl):
        return (nll + kl).mean() / D

    bits = None


@right("free bits")
class FreeBits(Vae):
    def kl(self, m, v, z):
        return (0.5 * (m**2 + v.exp() - v - 1)).clamp(min=0.25).sum(-1)


@right("clamped in encode")
class Clamped(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return m, v.clamp(-1.5, 1.5)


@right("clamped in both places")
class ClampedTwice(Vae):
    def std(self, v):
        return (v.clamp(-1, 1) / 2).exp()

    def kl(self, m, v, z):
        return super().kl(m, v.clamp(-1, 1), z)


@right("clamped far out in both places")
class ClampedFar(ClampedTwice):
    def std(self, v):
        return (v.clamp(-10, 10) / 2).exp()

    def kl(self, m, v, z):
        return Vae.kl(self, m, v.clamp(-10, 10), z)


@right("guarded logarithms")
class Guarded(Vae):
    def nll(self, f, x):
        return -(x * (f + 1e-8).log() + (1 - x) * (1 - f + 1e-8).log()).sum(-1)


@right("rsample and kl_divergence")
class Distributions(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return Independent(Normal(m, (v / 2).exp()), 1)

    def decode(self, z):
        return Independent(Bernoulli(logits=self.decoder(z)), 1)

    def loss(self, x):
        q = self.encode(x)
        z = q.rsample()
        prior = Independent(Normal(torch.zeros_like(z), torch.ones_like(z)), 1)
        return (kl_divergence(q, prior) - self.decode(z).log_prob(x)).mean()

    sample = importance = bits = None


@right("a dictionary")
class Dictionary(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        z = self.draw(m, v)
        nll, kl = self.nll(self.decode(z), x).mean(), self.kl(m, v, z).mean()
        return {"loss": nll + kl, "recon": nll.detach(), "kl": kl.detach()}

    bits = None


@right("a tuple to be added")
class Pair(Vae):
    def combine(self, nll, kl):
        return nll.mean(), kl.mean()

    bits = None


@right("a tuple with the loss first")
class Triple(Vae):
    def combine(self, nll, kl):
        return (nll + kl).mean(), nll.mean(), kl.mean()

    bits = None


@right("a loss of each example")
class Each(Vae):
    def combine(self, nll, kl):
        return nll + kl

    bits = None


@right("five samples")
class Five(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(5, *m.shape)
        f = self.decode(z.reshape(-1, LATENT)).reshape(5, len(x), -1)
        nll = self.nll(f, x.expand(f.shape)).mean(0)
        return (nll + self.kl(m, v, z)).mean()


@right("samples in a loop, examples repeated")
class Loop(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        nll = sum(self.nll(self.decode(self.draw(m, v)), x) for _ in range(3)) / 3
        return (nll + self.kl(m, v, None)).mean()


@right("sticking the landing")
class Landing(Vae):
    def kl(self, m, v, z):
        q = Normal(m.detach(), (v / 2).exp().detach())
        return (q.log_prob(z) - Normal(torch.zeros_like(m), 1.0).log_prob(z)).sum(-1)


@right("the mean is decoded as well")
class MeanToo(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        z = self.draw(m, v)
        with torch.no_grad():
            self.shown = self.decode(m)
        return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


@right("a guard of the deviation")
class GuardedStd(Vae):
    def std(self, v):
        return (v / 2).exp() + 1e-6


@right("a floor of the deviation in both places")
class Floor(Vae):
    def std(self, v):
        return (v / 2).exp() + 1e-3

    def kl(self, m, v, z):
        s = self.std(v)
        return (0.5 * (m**2 + s**2 - 1) - s.log()).sum(-1)


@right("annealed in training, whole at evaluation")
class Annealed(Vae):
    def more(self):
        self.step = 0

    def combine(self, nll, kl):
        if self.training:
            self.step += 1
            return (nll + min(1.0, self.step / 100) * kl).mean()
        return (nll + kl).mean()


@right("noise drawn with its axes exchanged")
class Exchanged(Vae):
    def noise(self, m):
        return torch.randn(m.shape[1], m.shape[0], dtype=m.dtype).T


@right("noise drawn in pieces")
class Pieces(Vae):
    sizes = (D, 4)

    def noise(self, m):
        return torch.cat([torch.randn_like(m[:, :1]), torch.randn_like(m[:, 1:])], 1)


@right("noise drawn for each example")
class EachExample(Vae):
    def noise(self, m):
        return torch.stack([torch.randn(m.shape[1], dtype=m.dtype) for _ in m])


@right("a part of a larger draw")
class Slice(Vae):
    def noise(self, m):
        return torch.randn(len(m), 7, dtype=m.dtype)[:, 3 : 3 + m.shape[1]]


@right("rotated noise")
class Rotated(Vae):
    def noise(self, m):
        return torch.randn_like(m) @ torch.tensor([[0.6, -0.8], [0.8, 0.6]], dtype=m.dtype)


@right("normal noise made of uniform draws")
class BoxMuller(Vae):
    def noise(self, m):
        radius = torch.sqrt(-2 * torch.log(1 - torch.rand_like(m)))
        return radius * torch.cos(2 * math.pi * torch.rand_like(m))


@right("samples of unequal weight")
class Unequal(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        weights = torch.tensor([0.2, 0.3, 0.5]).to(m)
        each = [self.nll(self.decode(m + (v / 2).exp() * torch.randn_like(m)), x) for _ in weights]
        return (sum(w * r for w, r in zip(weights, each, strict=True)) + self.kl(m, v, m)).mean()


@right("a control variate")
class Variate(Vae):
    def loss(self, x):
        m, v = self.encode(x)
        e = torch.randn_like(m)
        z = m + (v / 2).exp() * e
        more = 0.3 * (e**2 - 1).sum(-1) + 0.2 * (e * m).sum(-1)
        return (self.nll(self.decode(z), x) + self.kl(m, v, z) + more).mean()


@right("opposite noise in a batch")
class Opposite(Vae):
    def noise(self, m):
        e = torch.randn((len(m) + 1) // 2, *m.shape[1:]).to(m)
        return torch.cat([e, -e])[: len(m)]
