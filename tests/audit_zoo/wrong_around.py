"""Wrong data, importance bounds, samples and reports."""

import math

import torch
from torch.distributions import Normal

from audit_zoo.models import LATENT, D, Gauss, Vae
from audit_zoo.register import wrong
from audit_zoo.right_models import Signed, Unit

wrong("grey values", "data.grey-values", Vae, data="unit")

wrong("tanh for data in [0, 1]", "data.range-mismatch", Signed, data="unit")

wrong("sigmoid for data in [-1, 1]", "data.range-mismatch", Unit, data="signed")


def batch_sigma(self, x):
    m, v = self.encode(x)
    f = self.decode(self.draw(m, v))
    s = ((x - f) ** 2).mean().sqrt()
    return (-Normal(f, s).log_prob(x).sum(-1) + self.kl(m, v, None)).mean()


wrong("deviation of the batch", "outside.coupled", Gauss, loss=batch_sigma)

wrong("mean of logs", "iwae.mean-of-logs", Vae, weigh=lambda self, w, K: -w.mean())

wrong(
    "log K missing",
    "iwae.log-k-missing",
    Vae,
    weigh=lambda self, w, K: -torch.logsumexp(w, 0).mean(),
)

wrong(
    "softmax of the loss",
    "iwae.softmax-of-loss",
    Vae,
    weigh=lambda self, w, K: (torch.softmax(-w, 0) * -w).sum(0).mean(),
)

wrong(
    "self-normalised",
    "iwae.self-normalised",
    Vae,
    weigh=lambda self, w, K: -(torch.softmax(w, 0).detach() * w).sum(0).mean(),
)

wrong(
    "uniform samples",
    "sample.prior",
    Vae,
    sample=lambda self, n: self.decode(torch.rand(n, LATENT)),
)

wrong(
    "wide samples",
    "sample.prior",
    Vae,
    sample=lambda self, n: self.decode(3 * torch.randn(n, LATENT)),
)

wrong(
    "samples of deviation 0",
    "sample.prior",
    Vae,
    sample=lambda self, n: self.decode(torch.zeros(n, LATENT)),
)

wrong("levels missing", "bpd.levels", Vae, bits=lambda self, x: self.loss(x) / (D * math.log(2)))

wrong("seven bits", "bpd.levels", Vae, bits=lambda self, x: self.loss(x) / (D * math.log(2)) + 7)

wrong("nats for bits", "bpd.log2-missing", Vae, bits=lambda self, x: self.loss(x) / D + 8)

wrong(
    "not per dimension",
    "bpd.dims-missing",
    Vae,
    bits=lambda self, x: self.loss(x) / math.log(2) + 8,
)


def negated(self, x):
    m, v = self.encode(x)
    z = self.draw(m, v)
    nll, kl = self.nll(self.decode(z), x).mean(), self.kl(m, v, z).mean()
    return {"loss": nll + kl, "recon": nll, "KLD": -kl}


wrong("reported divergence negated", "reported.kl-sign", Vae, loss=negated, bits=None)
