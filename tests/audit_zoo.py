"""Small VAEs, right and wrong: each wrong one changes one thing of a right one, and has a name."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Independent,
    Laplace,
    MultivariateNormal,
    Normal,
    Poisson,
    kl_divergence,
)

D, LATENT = 6, 2
LOG_2PI = math.log(2 * math.pi)


def mlp(*sizes):
    layers = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    return nn.Sequential(*layers[:-1])


class Vae(nn.Module):
    """A Bernoulli VAE of binary data, in parts that can be replaced."""

    data, likelihood, posterior, beta, sizes = "binary", "bernoulli", "logvar", 1.0, (D, LATENT)
    prior = None

    def __init__(self):
        super().__init__()
        D, d = self.sizes
        self.encoder = mlp(D, 12, 2 * d)
        self.decoder = mlp(d, 12, self.outputs())
        self.more()

    def more(self):
        pass

    def outputs(self):
        return self.sizes[0]

    def encode(self, x):
        return self.encoder(x.flatten(1)).chunk(2, -1)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))

    def noise(self, m):
        return torch.randn_like(m)

    def std(self, v):
        return (v / 2).exp()

    def draw(self, m, v):
        return m + self.std(v) * self.noise(m)

    def nll(self, f, x):
        return F.binary_cross_entropy(f, x, reduction="none").sum(-1)

    def kl(self, m, v, z):
        return 0.5 * (m**2 + v.exp() - v - 1).sum(-1)

    def combine(self, nll, kl):
        return (nll + kl).mean()

    def loss(self, x):
        m, v = self.encode(x)
        z = self.draw(m, v)
        return self.combine(self.nll(self.decode(z), x), self.kl(m, v, z))

    def sample(self, n):
        return Bernoulli(self.decode(torch.randn(n, self.sizes[1]))).sample()

    def importance(self, x, K):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(K, *m.shape)
        f = self.decode(z.reshape(-1, m.shape[-1])).reshape(K, len(x), -1)
        log_p = -0.5 * (z**2 + LOG_2PI).sum(-1)
        log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
        return self.weigh(log_p - log_q - self.nll(f, x.expand(f.shape)), K)

    def weigh(self, w, K):
        return -(torch.logsumexp(w, 0) - math.log(K)).mean()

    def bits(self, x):
        return self.loss(x) / (D * math.log(2)) + 8


class Gauss(Vae):
    """A normal likelihood of deviation 1, with its constant."""

    data, likelihood, s = "real", staticmethod(lambda f: Normal(f, 1.0)), 1.0

    def decode(self, z):
        return self.decoder(z)

    def nll(self, f, x):
        return (0.5 * (x - f) ** 2 / self.s**2 + math.log(self.s) + LOG_2PI / 2).sum(-1)

    def sample(self, n):
        f = self.decode(torch.randn(n, self.sizes[1]))
        return f + self.s * torch.randn_like(f)


class Narrow(Gauss):
    likelihood, s = staticmethod(lambda f: Normal(f, 0.5)), 0.5


class Bare(Gauss):
    """Without the constant: right for training."""

    def nll(self, f, x):
        return 0.5 * ((x - f) ** 2).sum(-1)


class Learned(Gauss):
    """Mean and log variance of each output."""

    likelihood = "gaussian-learned"

    def outputs(self):
        return 2 * self.sizes[0]

    def decode(self, z):
        return self.decoder(z).chunk(2, -1)

    def nll(self, f, x):
        m, w = f
        return 0.5 * ((x - m) ** 2 * (-w).exp() + w + LOG_2PI).sum(-1)

    def sample(self, n):
        m, w = self.decode(torch.randn(n, self.sizes[1]))
        return m + (w / 2).exp() * torch.randn_like(m)

    importance = None


class Beta(Vae):
    beta = 4.0

    def combine(self, nll, kl):
        return (nll + 4 * kl).mean()


# Right ones ---------------------------------------------------------------------------------------

RIGHT = {
    "bernoulli": Vae,
    "normal": Gauss,
    "narrow normal": Narrow,
    "no constant": Bare,
    "learned variance of each output": Learned,
    "declared beta": Beta,
}


def right(name):
    def add(made):
        RIGHT[name] = made
        return made

    return add


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


@right("batch norm")
class BatchNorm(Vae):
    def more(self):
        self.encoder.insert(1, nn.BatchNorm1d(12))
        self.decoder.insert(1, nn.BatchNorm1d(12))


@right("free bits")
class FreeBits(Vae):
    def kl(self, m, v, z):
        return (0.5 * (m**2 + v.exp() - v - 1)).clamp(min=0.25).sum(-1)


@right("learned deviation, one number")
class OneSigma(Gauss):
    def more(self):
        self.log_s = nn.Parameter(torch.zeros(()))

    def likelihood_of(self, f):
        return Normal(f, self.log_s.exp())

    def nll(self, f, x):
        return -Normal(f, self.log_s.exp()).log_prob(x).sum(-1)


@right("learned deviation, a vector")
class VectorSigma(OneSigma):
    def more(self):
        self.log_s = nn.Parameter(torch.zeros(D))


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


@right("data in [0, 1]")
class Unit(Narrow):
    data = "unit"

    def decode(self, z):
        return torch.sigmoid(self.decoder(z))


@right("data in [-1, 1]")
class Signed(Narrow):
    data = "signed"

    def decode(self, z):
        return torch.tanh(self.decoder(z))


@right("logits")
class Logits(Vae):
    likelihood = "bernoulli-logits"

    def decode(self, z):
        return self.decoder(z)

    def nll(self, f, x):
        return F.binary_cross_entropy_with_logits(f, x, reduction="none").sum(-1)

    def sample(self, n):
        return Bernoulli(logits=self.decode(torch.randn(n, self.sizes[1]))).sample()


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


@right("full covariance")
class Full(Vae):
    def more(self):
        self.encoder = mlp(D, 12, 5)

    def encode(self, x):
        a = self.encoder(x)
        low = torch.zeros(len(a), 2, 2) + torch.diag_embed(a[:, 2:4].exp())
        low = low + torch.tensor([[0.0, 0.0], [1.0, 0.0]]) * a[:, 4, None, None]
        return MultivariateNormal(a[:, :2], scale_tril=low)

    def loss(self, x):
        q = self.encode(x)
        z = q.rsample()
        prior = MultivariateNormal(torch.zeros(2), torch.eye(2))
        return (kl_divergence(q, prior) + self.nll(self.decode(z), x)).mean()

    importance = bits = None


@right("deviation by softplus")
class Softplus(Vae):
    posterior = "std"

    def encode(self, x):
        m, v = super().encode(x)
        return m, F.softplus(v)

    def draw(self, m, s):
        return m + s * self.noise(m)

    def kl(self, m, s, z):
        return (0.5 * (m**2 + s**2 - 1) - s.log()).sum(-1)

    importance = bits = None


@right("log deviations")
class LogStd(Vae):
    posterior = "logstd"

    def std(self, v):
        return v.exp()

    def kl(self, m, v, z):
        return 0.5 * (m**2 + (2 * v).exp() - 2 * v - 1).sum(-1)

    importance = None


@right("dropout in both networks")
class Dropout(Vae):
    def more(self):
        self.encoder.insert(2, nn.Dropout(0.3))
        self.decoder.insert(2, nn.Dropout(0.2))


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


@right("another prior")
class Prior(Vae):
    prior = Normal(torch.tensor([0.5, -1.0]), torch.tensor([2.0, 0.7]))

    def kl(self, m, v, z):
        prior = Normal(self.prior.loc.to(m), self.prior.scale.to(m))
        return kl_divergence(Normal(m, (v / 2).exp()), prior).sum(-1)

    sample = importance = None


@right("a learned prior")
class LearnedPrior(Vae):
    def more(self):
        self.p_loc = nn.Parameter(torch.zeros(LATENT))
        self.p_log = nn.Parameter(torch.zeros(LATENT))

    def prior(self):
        return Normal(self.p_loc, self.p_log.exp())

    def kl(self, m, v, z):
        return kl_divergence(Normal(m, (v / 2).exp()), self.prior()).sum(-1)

    sample = importance = None


@right("Poisson")
class Counts(Vae):
    data, likelihood = "counts", staticmethod(lambda f: Poisson(f.exp()))

    def decode(self, z):
        return self.decoder(z)

    def nll(self, f, x):
        return -Poisson(f.exp()).log_prob(x).sum(-1)

    sample = bits = None


@right("Laplace")
class Moduli(Gauss):
    likelihood = staticmethod(lambda f: Laplace(f, 0.5))

    def nll(self, f, x):
        return -Laplace(f, 0.5).log_prob(x).sum(-1)

    sample = None


@right("a convolutional net")
class Conv(Vae):
    data = "images"
    sizes = (64, 2)

    def __init__(self):
        nn.Module.__init__(self)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, 2, 1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32, 4),
        )
        self.decoder = nn.Sequential(
            nn.Linear(2, 32),
            nn.ReLU(),
            nn.Unflatten(1, (8, 2, 2)),
            nn.ConvTranspose2d(8, 4, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(4, 1, 4, 2, 1),
        )

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)

    def nll(self, f, x):
        return F.binary_cross_entropy(f, x, reduction="none").flatten(1).sum(-1)

    importance = bits = None


@right("a transformer")
class Transformer(Vae):
    def __init__(self):
        nn.Module.__init__(self)
        self.lift = nn.Linear(1, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0)
        self.body = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.head = nn.Linear(8 * D, 2 * LATENT)
        self.decoder = mlp(LATENT, 12, D)

    def encode(self, x):
        return self.head(self.body(self.lift(x[..., None])).flatten(1)).chunk(2, -1)


@right("latents as maps")
class Maps(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return m[..., None, None], v[..., None, None]

    def decode(self, z):
        return torch.sigmoid(self.decoder(z.flatten(1)))

    def kl(self, m, v, z):
        return super().kl(m.flatten(1), v.flatten(1), None)

    sample = importance = None


@right("one latent")
class One(Vae):
    sizes = (D, 1)


@right("ten latents")
class Ten(Vae):
    sizes = (D, 10)


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


@right("posteriors that begin narrow")
class Narrowly(Vae):
    def more(self):
        with torch.no_grad():
            self.encoder[2].bias[LATENT:] -= 8


@right("a posterior of Laplace")
class LaplacePosterior(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return Laplace(m, (v / 2).exp())

    def loss(self, x):
        q = self.encode(x)
        z = q.rsample()
        log_p = Normal(torch.zeros_like(z), 1.0).log_prob(z)
        return (self.nll(self.decode(z), x) + (q.log_prob(z) - log_p).sum(-1)).mean()

    sample = importance = bits = None


@right("a fixed variance of the encoder")
class Fixed(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return m, torch.full_like(v, -1.0)


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


# Wrong ones ---------------------------------------------------------------------------------------

#: Each with the code of its finding, and the right version.
WRONG = {}


def wrong(name, code, of=Vae, **parts):
    made = type(name, (of,), parts)
    assert name not in WRONG, name
    WRONG[name] = (code, made)


def kl(function):
    return {"kl": lambda self, m, v, z: function(m, v).sum(-1)}


wrong(
    "logvar read as logstd",
    "kl.logvar-as-logstd",
    **kl(lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 2 * v - 1)),
)
wrong(
    "logstd read as logvar",
    "kl.logstd-as-logvar",
    **kl(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - v / 2 - 1)),
)
wrong(
    "square of the deviation missing",
    "kl.mixed-terms",
    **kl(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - v - 1)),
)
wrong("log term twice", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m**2 + v.exp() - 2 * v - 1)))
wrong("log term half", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m**2 + v.exp() - v / 2 - 1)))
wrong("sign of the log term", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m**2 + v.exp() + v - 1)))
wrong("log variance squared", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m**2 + v**2 - v - 1)))
wrong("mean not squared", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m + v.exp() - v - 1)))
wrong("mean missing", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (v.exp() - v - 1)))
wrong("only the mean", "kl.variance-terms-missing", **kl(lambda m, v: 0.5 * m**2))
wrong("log term missing", "kl.mixed-terms", **kl(lambda m, v: 0.5 * (m**2 + v.exp() - 1)))
wrong("no divergence", "kl.missing", **kl(lambda m, v: 0 * m))
wrong("sign of the divergence", "kl.sign", **kl(lambda m, v: -0.5 * (m**2 + v.exp() - v - 1)))
wrong(
    "reversed divergence", "kl.reversed", **kl(lambda m, v: 0.5 * ((1 + m**2) * (-v).exp() + v - 1))
)
wrong("constant missing", "kl.constant", **kl(lambda m, v: 0.5 * (m**2 + v.exp() - v)))
wrong(
    "constant of one latent",
    "kl.constant",
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v).sum(-1) - 0.5,
)
wrong(
    "another prior's variance",
    "kl.prior-scale",
    kl=lambda self, m, v, z: kl_divergence(
        Normal(m, (v / 2).exp()), Normal(torch.zeros_like(m), 2.0)
    ).sum(-1),
)
wrong("declared prior not used", "kl.standard-prior", Prior, kl=Vae.kl)
wrong(
    "KL over latents",
    "weight.kl-mean-over-latents",
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
)
wrong(
    "KL over pixels", "weight.kl-over-pixels", combine=lambda self, nll, kl: (nll + kl / D).mean()
)
wrong(
    "recon over pixels",
    "weight.recon-mean-over-pixels",
    nll=lambda self, f, x: F.binary_cross_entropy(f, x, reduction="none").mean(-1),
)
wrong(
    "MSE mean with KL sum",
    "weight.recon-mean-over-pixels",
    Gauss,
    nll=lambda self, f, x: ((x - f) ** 2).mean(-1),
)
wrong(
    "both means",
    "weight.dims",
    nll=lambda self, f, x: F.binary_cross_entropy(f, x, reduction="none").mean(-1),
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
)
wrong(
    "declared beta not used",
    "weight.declared-beta",
    Beta,
    combine=lambda self, nll, kl: (nll + kl).mean(),
)
wrong("KL times 0.1", "weight.kl", combine=lambda self, nll, kl: (nll + 0.1 * kl).mean())
wrong("KL times 0.00025", "weight.kl", combine=lambda self, nll, kl: (nll + 2.5e-4 * kl).mean())
wrong("no half of the square", "weight.recon", Gauss, nll=lambda self, f, x: ((x - f) ** 2).sum(-1))
wrong(
    "deviation 1 for 0.5",
    "weight.recon",
    Narrow,
    nll=lambda self, f, x: (0.5 * (x - f) ** 2 + LOG_2PI / 2).sum(-1),
)
wrong(
    "recon summed over the batch",
    "reduction.batch-mismatch",
    combine=lambda self, nll, kl: nll.sum() + kl.mean(),
)
wrong(
    "KL summed over the batch",
    "reduction.batch-mismatch",
    combine=lambda self, nll, kl: nll.mean() + kl.sum(),
)
wrong(
    "KL over the batch twice",
    "reduction.batch-mismatch",
    combine=lambda self, nll, kl: nll.mean() + kl.mean() / len(kl),
)
wrong(
    "BCE mean over all, KL sum",
    "reduction.batch-mismatch",
    nll=lambda self, f, x: F.binary_cross_entropy(f, x),
    combine=lambda self, nll, kl: nll + kl.sum(),
)
wrong("sign of the reconstruction", "recon.sign", combine=lambda self, nll, kl: (kl - nll).mean())
wrong("the ELBO itself", "loss.sign", combine=lambda self, nll, kl: -(nll + kl).mean())
wrong(
    "no constant",
    "recon.constant-missing",
    Narrow,
    nll=lambda self, f, x: 2 * ((x - f) ** 2).sum(-1),
)
wrong(
    "log s missing",
    "recon.constant-missing",
    Narrow,
    nll=lambda self, f, x: (2 * (x - f) ** 2 + LOG_2PI / 2).sum(-1),
)
wrong(
    "learned variance, no constant",
    "recon.constant-missing",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * (-f[1]).exp() + f[1]).sum(-1),
)
wrong(
    "log scale twice",
    "recon.log-scale-coefficient",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * (-f[1]).exp() + 2 * f[1] + LOG_2PI).sum(-1),
)
wrong(
    "log scale a quarter",
    "recon.log-scale-coefficient",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * (-f[1]).exp() + f[1] / 2 + LOG_2PI).sum(-1),
)
wrong(
    "variance squared",
    "recon.std-as-variance",
    Learned,
    nll=lambda self, f, x: (0.5 * (x - f[0]) ** 2 * (-2 * f[1]).exp() + f[1] + LOG_2PI / 2).sum(-1),
)
wrong(
    "deviation for variance",
    "recon.variance-as-std",
    Learned,
    nll=lambda self, f, x: 0.5 * ((x - f[0]) ** 2 * (-f[1] / 2).exp() + f[1] + LOG_2PI).sum(-1),
)
wrong(
    "double sigmoid",
    "recon.double-sigmoid",
    nll=lambda self, f, x: F.binary_cross_entropy_with_logits(f, x, reduction="none").sum(-1),
)
wrong(
    "MSE for Bernoulli",
    "recon.other-likelihood",
    nll=lambda self, f, x: 0.5 * ((x - f) ** 2).sum(-1),
)
wrong(
    "L1 for normal", "recon.other-likelihood", Gauss, nll=lambda self, f, x: (x - f).abs().sum(-1)
)
wrong(
    "arguments exchanged",
    "recon.arguments-swapped",
    nll=lambda self, f, x: F.binary_cross_entropy(x, f, reduction="none").sum(-1),
)
wrong("only x log p", "recon.cross-entropy-terms", nll=lambda self, f, x: -(x * f.log()).sum(-1))
wrong(
    "positive weight",
    "recon.cross-entropy-terms",
    Logits,
    nll=lambda self, f, x: F.binary_cross_entropy_with_logits(
        f, x, reduction="none", pos_weight=torch.tensor(3.0)
    ).sum(-1),
)
wrong("no reconstruction", "recon.missing", combine=lambda self, nll, kl: kl.mean())
wrong(
    "Poisson without factorial",
    "recon.constant-missing",
    Counts,
    nll=lambda self, f, x: (f.exp() - x * f).sum(-1),
)
wrong(
    "distance not squared",
    "recon.other-likelihood",
    Gauss,
    nll=lambda self, f, x: (x - f).norm(dim=-1),
)
wrong("grey values", "data.grey-values", data="unit")
wrong("tanh for data in [0, 1]", "data.range-mismatch", Signed, data="unit")
wrong("sigmoid for data in [-1, 1]", "data.range-mismatch", Unit, data="signed")
wrong("variance as deviation", "noise.variance-as-std", std=lambda self, v: v.exp())
wrong("root of the deviation", "noise.sqrt-of-std", std=lambda self, v: (v / 4).exp())
wrong("noise of 0.01", "noise.scale", noise=lambda self, m: 0.01 * torch.randn_like(m))
wrong("noise missing", "noise.missing", draw=lambda self, m, v: m)
wrong("mean decoded", "noise.missing", draw=lambda self, m, v: m + 0 * torch.randn_like(m))
wrong(
    "constant noise",
    "noise.constant",
    draw=lambda self, m, v: m + (v / 2).exp() * 0.01 + 0 * torch.randn_like(m),
)
wrong(
    "mean at evaluation",
    "noise.missing-at-eval",
    draw=lambda self, m, v: Vae.draw(self, m, v) if self.training else m,
)
wrong("uniform noise", "noise.uniform", noise=lambda self, m: torch.rand_like(m))
wrong("one noise for the batch", "noise.shared", noise=lambda self, m: torch.randn(m.shape[-1]))
wrong("one noise for the latents", "noise.shared", noise=lambda self, m: torch.randn(len(m), 1))
wrong(
    "a seed inside",
    "noise.constant",
    noise=lambda self, m: (torch.manual_seed(0), torch.randn_like(m))[1],
)
wrong("log variance as deviation", "noise.law", std=lambda self, v: v)
wrong("fixed deviation", "noise.law", std=lambda self, v: torch.ones_like(v))
wrong(
    "clamped for z only",
    "encoder.clamp-inconsistent",
    std=lambda self, v: (v.clamp(-1, 1) / 2).exp(),
)
wrong(
    "clamped far out for z only",
    "encoder.clamp-inconsistent",
    std=lambda self, v: (v.clamp(-10, 10) / 2).exp(),
)
wrong(
    "clamped far out in the KL only",
    "encoder.clamp-inconsistent",
    kl=lambda self, m, v, z: Vae.kl(self, m, v.clamp(-10, 10), z),
)


def squashed(function):
    return {"encode": lambda self, x: function(*Vae.encode(self, x))}


wrong(
    "softplus on the log variance",
    "encoder.logvar-one-sided",
    **squashed(lambda m, v: (m, F.softplus(v))),
)
wrong(
    "ReLU on the log variance", "encoder.logvar-one-sided", **squashed(lambda m, v: (m, F.relu(v)))
)
wrong("tanh on the mean", "encoder.mean-bounded", **squashed(lambda m, v: (m.tanh(), v)))
wrong("sigmoid on the mean", "encoder.mean-bounded", **squashed(lambda m, v: (m.sigmoid(), v)))
wrong("tanh on both", "encoder.logvar-bounded", **squashed(lambda m, v: (m.tanh(), v.tanh())))
wrong(
    "detached latents", "gradient.detached", draw=lambda self, m, v: Vae.draw(self, m, v).detach()
)
wrong(
    "sample for rsample",
    "gradient.detached",
    draw=lambda self, m, v: Normal(m, (v / 2).exp()).sample(),
)
wrong(
    "detached reconstruction",
    "gradient.detached",
    combine=lambda self, nll, kl: (nll.detach() + kl).mean(),
)
wrong("no gradient", "gradient.none", combine=lambda self, nll, kl: (nll + kl).mean().detach())


def counted(self, nll, kl):
    self.steps = getattr(self, "steps", 0) + 1
    return (nll + min(1.0, self.steps / 1000) * kl).mean()


wrong("schedule at evaluation", "state.schedule", combine=counted)
wrong(
    "other weight in training",
    "weight.modes",
    combine=lambda self, nll, kl: (nll + (0.00025 if self.training else 1.0) * kl).mean(),
)
wrong(
    "free bits after the mean",
    "kl.free-bits-of-the-batch",
    loss=lambda self, x: free_bits_of_the_batch(self, x),
)


def free_bits_of_the_batch(self, x):
    m, v = self.encode(x)
    each = (0.5 * (m**2 + v.exp() - v - 1)).mean(0).clamp(min=0.25).sum()
    return self.nll(self.decode(self.draw(m, v)), x).mean() + each


def batch_sigma(self, x):
    m, v = self.encode(x)
    f = self.decode(self.draw(m, v))
    s = ((x - f) ** 2).mean().sqrt()
    return (-Normal(f, s).log_prob(x).sum(-1) + self.kl(m, v, None)).mean()


wrong("deviation of the batch", "outside.coupled", Gauss, loss=batch_sigma)
wrong("mean of logs", "iwae.mean-of-logs", weigh=lambda self, w, K: -w.mean())
wrong("log K missing", "iwae.log-k-missing", weigh=lambda self, w, K: -torch.logsumexp(w, 0).mean())
wrong(
    "softmax of the loss",
    "iwae.softmax-of-loss",
    weigh=lambda self, w, K: (torch.softmax(-w, 0) * -w).sum(0).mean(),
)
wrong(
    "self-normalised",
    "iwae.self-normalised",
    weigh=lambda self, w, K: -(torch.softmax(w, 0).detach() * w).sum(0).mean(),
)
wrong("uniform samples", "sample.prior", sample=lambda self, n: self.decode(torch.rand(n, LATENT)))
wrong(
    "wide samples", "sample.prior", sample=lambda self, n: self.decode(3 * torch.randn(n, LATENT))
)
wrong(
    "samples of deviation 0",
    "sample.prior",
    sample=lambda self, n: self.decode(torch.zeros(n, LATENT)),
)
wrong("levels missing", "bpd.levels", bits=lambda self, x: self.loss(x) / (D * math.log(2)))
wrong("seven bits", "bpd.levels", bits=lambda self, x: self.loss(x) / (D * math.log(2)) + 7)
wrong("nats for bits", "bpd.log2-missing", bits=lambda self, x: self.loss(x) / D + 8)
wrong("not per dimension", "bpd.dims-missing", bits=lambda self, x: self.loss(x) / math.log(2) + 8)


def negated(self, x):
    m, v = self.encode(x)
    z = self.draw(m, v)
    nll, kl = self.nll(self.decode(z), x).mean(), self.kl(m, v, z).mean()
    return {"loss": nll + kl, "recon": nll, "KLD": -kl}


wrong("reported divergence negated", "reported.kl-sign", loss=negated, bits=None)


class Four(Vae):
    sizes = (D, 4)


class OtherPrior(Vae):
    """Another prior is declared; `kl` must be that from it."""

    prior = Normal(0.3, 1.7)

    def kl(self, m, v, z):
        prior = Normal(torch.tensor(0.3), torch.tensor(1.7))
        return kl_divergence(Normal(m, (v / 2).exp()), prior).sum(-1)


def in_pieces(scale, power=1):
    def noise(self, m):
        parts = [torch.randn_like(m[:, :3]), scale * torch.randn_like(m[:, 3:])]
        return torch.cat(parts, 1) ** power

    return noise


wrong("one latent of four without noise", "noise.missing", Four, noise=in_pieces(0.0))
wrong("one latent of four with less noise", "noise.law", Four, noise=in_pieces(0.3))
wrong("cubed noise in pieces", "noise.law", Four, noise=in_pieces(1.0, 3))
wrong(
    "one latent of four without noise, the others in one draw",
    "noise.missing",
    Four,
    draw=lambda self, m, v: torch.cat(
        [m[:, :3] + (v[:, :3] / 2).exp() * torch.randn_like(m[:, :3]), m[:, 3:]], 1
    ),
)
wrong(
    "the declared prior is not used",
    "kl.standard-prior",
    OtherPrior,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).sum(-1),
)
wrong(
    "log p(z) missing",
    "kl.mixed-terms",
    kl=lambda self, m, v, z: Normal(m, (v / 2).exp()).log_prob(z).sum(-1),
)


# How each is audited ------------------------------------------------------------------------------


def data_of(made, n=16):
    """Data of the kind of a model, in float32 as usual."""
    g = torch.Generator().manual_seed(5)
    D = made.sizes[0]
    u = torch.rand(n, D, generator=g)
    return {
        "binary": lambda: (u > 0.5).float(),
        "images": lambda: (u > 0.5).float().reshape(n, 1, 8, 8),
        "unit": lambda: u,
        "signed": lambda: 2 * u - 1,
        "real": lambda: torch.randn(n, D, generator=g),
        "counts": lambda: (5 * u).floor(),
    }[made.data]()


def arguments(made, seed=0):
    """The arguments of the audit of a class."""
    torch.manual_seed(seed)
    vae = made()
    likelihood = getattr(vae, "likelihood_of", vae.likelihood)
    return {
        "loss": vae.loss,
        "encode": vae.encode,
        "decode": vae.decode,
        "x": data_of(vae),
        "module": vae,
        "likelihood": likelihood,
        "posterior": vae.posterior,
        "prior": vae.prior,
        "beta": vae.beta,
        "sample": vae.sample,
        "importance_bound": vae.importance,
        "bits_per_dim": vae.bits,
    }
