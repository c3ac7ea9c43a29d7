"""Right models: likelihoods, posteriors, priors and networks."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Bernoulli,
    Laplace,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    Poisson,
    kl_divergence,
)

from audit_zoo.models import LATENT, Bare, Beta, D, Gauss, Learned, Narrow, Vae, mlp
from audit_zoo.register import right

for _name, _made in {
    "bernoulli": Vae,
    "normal": Gauss,
    "narrow normal": Narrow,
    "no constant": Bare,
    "learned variance of each output": Learned,
    "declared beta": Beta,
}.items():
    right(_name)(_made)


@right("batch norm")
class BatchNorm(Vae):
    def more(self):
        self.encoder.insert(1, nn.BatchNorm1d(12))
        self.decoder.insert(1, nn.BatchNorm1d(12))


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


@right("a covariance of low rank")
class LowRank(Full):
    def encode(self, x):
        m, factor, v = self.encoder(x).split((2, 2, 1), -1)
        v = (F.softplus(v) + 0.1).expand(len(v), 2)
        return LowRankMultivariateNormal(m, factor.tanh()[..., None], v)


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
