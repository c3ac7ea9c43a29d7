"""Right models of rarer kinds: families, layers and inputs."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.distributions import (
    Categorical,
    ContinuousBernoulli,
    Independent,
    MixtureSameFamily,
    NegativeBinomial,
    Normal,
    StudentT,
)

from audit_zoo.models import LATENT, D, Gauss, Vae, mlp
from audit_zoo.register import right


class Steep(Gauss):
    """Deviations exp(50 z): far from z = 0 they are 0 or infinite."""

    sizes = (3, 1)

    def decode(self, z):
        m = self.decoder(z)
        return m, 50 * z.expand_as(m)

    @staticmethod
    def likelihood(f):
        return Normal(f[0], f[1].exp())

    def nll(self, f, x):
        return -Normal(f[0], f[1].exp()).log_prob(x).sum(-1)

    importance = bits = sample = None


@right("layer norm")
class LayerNorm(Vae):
    def more(self):
        self.encoder.insert(1, nn.LayerNorm(12))
        self.decoder.insert(1, nn.LayerNorm(12))


@right("group norm and residual blocks")
class GroupNorm(Vae):
    def more(self):
        self.encoder.insert(1, nn.GroupNorm(3, 12))
        self.block = nn.Sequential(nn.Linear(12, 12), nn.SiLU(), nn.Linear(12, 12))
        self.head = nn.Linear(12, D)
        self.decoder = nn.Linear(LATENT, 12)

    def decode(self, z):
        h = self.decoder(z)
        return torch.sigmoid(self.head(h + self.block(h)))


@right("a recurrent decoder")
class Recurrent(Vae):
    def more(self):
        self.decoder = nn.GRU(LATENT, 8, batch_first=True)
        self.head = nn.Linear(8, 1)

    def decode(self, z):
        h, _ = self.decoder(z[:, None].expand(-1, D, -1))
        return torch.sigmoid(self.head(h)[..., 0])

    def importance(self, x, K):
        return super().importance(x, K)


@right("categories")
class Categories(Vae):
    data = "counts"

    def encode(self, x):
        return self.encoder(x / 4).chunk(2, -1)

    def outputs(self):
        return 5 * D

    def decode(self, z):
        return self.decoder(z).reshape(-1, D, 5)

    @staticmethod
    def likelihood(f):
        return Categorical(logits=f)

    def nll(self, f, x):
        return (
            F.cross_entropy(f.flatten(0, 1), x.long().flatten(), reduction="none")
            .reshape(x.shape)
            .sum(-1)
        )

    sample = importance = bits = None


@right("negative binomial")
class Negative(Vae):
    data = "counts"

    def more(self):
        self.log_r = nn.Parameter(torch.zeros(D))

    def decode(self, z):
        return self.decoder(z)

    def likelihood_of(self, f):
        return NegativeBinomial(self.log_r.exp(), logits=f)

    def nll(self, f, x):
        return -NegativeBinomial(self.log_r.exp(), logits=f).log_prob(x).sum(-1)

    sample = importance = bits = None


@right("continuous Bernoulli")
class Continuous(Vae):
    data = "unit"

    @staticmethod
    def likelihood(f):
        return ContinuousBernoulli(probs=f)

    def nll(self, f, x):
        return -ContinuousBernoulli(probs=f).log_prob(x).sum(-1)

    sample = importance = bits = None


@right("Student's t")
class Student(Gauss):
    @staticmethod
    def likelihood(f):
        return StudentT(4.0, f, 0.7)

    def nll(self, f, x):
        return -StudentT(4.0, f, 0.7).log_prob(x).sum(-1)

    sample = importance = bits = None


@right("a mixture for each output")
class Mixture(Gauss):
    def outputs(self):
        return 3 * D

    @staticmethod
    def likelihood(f):
        a, b, w = f.chunk(3, -1)
        parts = Normal(torch.stack([a, b], -1), 0.5)
        return MixtureSameFamily(Categorical(logits=torch.stack([w, -w], -1)), parts)

    def nll(self, f, x):
        return -self.likelihood(f).log_prob(x).sum(-1)

    sample = importance = bits = None


@right("an Independent normal, deviation by softplus")
class IndependentNormal(Gauss):
    def outputs(self):
        return 2 * D

    def decode(self, z):
        m, s = self.decoder(z).chunk(2, -1)
        return Independent(Normal(m, 1e-3 + F.softplus(s)), 1)

    @staticmethod
    def likelihood(p):
        return p

    def nll(self, p, x):
        return -p.log_prob(x)

    sample = importance = bits = None


class HasOutputs:
    """What the decoders of a large library return."""

    def __init__(self, sample):
        self.sample = sample


@right("an object with a sample")
class Objects(Gauss):
    likelihood = "gaussian"

    def decode(self, z):
        return HasOutputs(self.decoder(z))

    def nll(self, f, x):
        return super().nll(f.sample, x)

    sample = importance = None


@right("a mapping of outputs")
class Mappings(Gauss):
    @staticmethod
    def likelihood(f):
        return Normal(f["x_hat"], 1.0)

    def encode(self, x):
        m, v = super().encode(x)
        return {"mu": m, "logvar": v}

    def decode(self, z):
        return {"x_hat": self.decoder(z), "z": z}

    def loss(self, x):
        q = self.encode(x)
        m, v = q["mu"], q["logvar"]
        z = self.draw(m, v)
        return (Gauss.nll(self, self.decode(z)["x_hat"], x) + self.kl(m, v, z)).mean()

    sample = importance = None


@right("a module in float64")
class Double(Vae):
    def more(self):
        self.double()

    def loss(self, x):
        return super().loss(x.double())

    def encode(self, x):
        return super().encode(x.double())

    bits = importance = sample = None


@right("dropout in the encoder alone")
class EncoderDropout(Vae):
    def more(self):
        self.encoder.insert(2, nn.Dropout(0.4))


@right("batch norm without running statistics, in eval by groups")
class InstanceNorm(Vae):
    """Statistics of each example alone."""

    data, sizes = "images", (64, 2)

    def __init__(self):
        nn.Module.__init__(self)
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1),
            nn.InstanceNorm2d(4),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64, 4),
        )
        self.decoder = mlp(2, 12, 64)

    def encode(self, x):
        return self.encoder(x).chunk(2, -1)

    def nll(self, f, x):
        return F.binary_cross_entropy(f, x.flatten(1), reduction="none").sum(-1)

    importance = bits = None


@right("twenty latents, many outputs")
class Wide(Vae):
    sizes = (200, 20)
    bits = None


@right("two heads of an encoder, frozen body")
class Heads(Vae):
    def more(self):
        self.encoder = nn.Sequential(nn.Linear(D, 12), nn.ReLU())
        for p in self.encoder.parameters():
            p.requires_grad_(False)
        self.mu, self.log_var = nn.Linear(12, LATENT), nn.Linear(12, LATENT)

    def encode(self, x):
        h = self.encoder(x)
        return self.mu(h), self.log_var(h)


@right("a clamp as in a large library")
class Diffusers(Vae):
    def encode(self, x):
        m, v = super().encode(x)
        return m, torch.clamp(v, -30.0, 20.0)


@right("a posterior of one deviation")
class OneDeviation(Vae):
    def more(self):
        self.encoder = mlp(D, 12, LATENT + 1)

    def encode(self, x):
        h = self.encoder(x)
        return h[:, :LATENT], h[:, LATENT:]

    def kl(self, m, v, z):
        return super().kl(m, v.expand_as(m), z)

    importance = None
