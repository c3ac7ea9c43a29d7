"""Wrong terms of public issues that are in no other file, each made of a right version."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Laplace, Normal, kl_divergence

from audit_zoo.models import LOG_2PI, Beta, D, Gauss, Learned, Narrow, Vae
from audit_zoo.register import wrong
from audit_zoo.right_models import (
    Counts,
    Full,
    LearnedPrior,
    Logits,
    LogStd,
    Moduli,
    OneSigma,
    Softplus,
)


class Four(Vae):
    sizes = (D, 4)


# Terms of the divergence --------------------------------------------------------------------------


def kl(function):
    return {"kl": lambda self, m, v, z: function(m, v).sum(-1)}


wrong(
    "log deviation squared for its double",
    "kl.mixed-terms",
    LogStd,
    **kl(lambda m, w: 0.5 * (m**2 + (2 * w).exp() - w**2 - 1)),
)
wrong(
    "sign of twice the log deviation",
    "kl.mixed-terms",
    LogStd,
    **kl(lambda m, w: 0.5 * (m**2 + (2 * w).exp() + 2 * w - 1)),
)
wrong(
    "exp of the log deviation not squared",
    "kl.mixed-terms",
    LogStd,
    **kl(lambda m, w: 0.5 * (m**2 + w.exp() - 2 * w - 1)),
)
wrong(
    "formula of a log variance for a log deviation",
    "kl.logstd-as-logvar",
    LogStd,
    **kl(lambda m, w: 0.5 * (m**2 + w.exp() - w - 1)),
)
wrong(
    "formula of a log variance for a deviation",
    "kl.std-as-logvar",
    Softplus,
    **kl(lambda m, s: 0.5 * (m**2 + s.exp() - s - 1)),
)
wrong(
    "deviation not squared",
    "kl.mixed-terms",
    Softplus,
    **kl(lambda m, s: 0.5 * (m**2 + s - 1) - s.log()),
)
wrong(
    "log term half, mean over latents",
    "kl.mixed-terms",
    LogStd,
    kl=lambda self, m, w, z: 0.5 * (m**2 + (2 * w).exp() - w - 1).mean(-1),
)
wrong(
    "mean square not halved", "kl.mixed-terms", Vae, **kl(lambda m, v: m**2 + (v.exp() - v - 1) / 2)
)
wrong("no factor 1/2", "weight.kl", Vae, **kl(lambda m, v: m**2 + v.exp() - v - 1))
wrong(
    "KL of half of the latents",
    "kl.latents-missing",
    Four,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1)[:, :2].sum(-1),
)
wrong(
    "KL of one latent twice",
    "kl.latents-weights",
    Four,
    kl=lambda self, m, v, z: (
        0.5 * (m**2 + v.exp() - v - 1) * torch.tensor([1.0, 1.0, 2.0, 1.0])
    ).sum(-1),
)
wrong(
    "prior's variance as its deviation",
    "kl.prior-scale",
    Vae,
    prior=Normal(0.0, 2.0),
    kl=lambda self, m, v, z: kl_divergence(
        Normal(m, (v / 2).exp()), Normal(torch.zeros_like(m), math.sqrt(2.0))
    ).sum(-1),
    sample=None,
    importance=None,
)
wrong(
    "mean of the prior forgotten",
    "kl.standard-prior",
    Vae,
    prior=Normal(1.0, 1.0),
    kl=Vae.kl,
    sample=None,
    importance=None,
)
wrong(
    "learned prior, log deviation read as log variance",
    "kl.prior-logstd-as-logvar",
    LearnedPrior,
    kl=lambda self, m, v, z: (
        0.5 * (((m - self.p_loc) ** 2 + v.exp()) / self.p_log.exp() + self.p_log - v - 1).sum(-1)
    ),
)
wrong(
    "diagonal divergence of a full covariance",
    "kl.diagonal",
    Full,
    loss=lambda self, x: diagonal_only(self, x),
)
wrong(
    "only the first example's KL",
    "outside.coupled",
    Vae,
    combine=lambda self, nll, kl: nll.mean() + kl[0],
)


def diagonal_only(self, x):
    q = self.encode(x)
    z = q.rsample()
    m, s2 = q.mean, q.variance
    return (self.nll(self.decode(z), x) + 0.5 * (m**2 + s2 - s2.log() - 1).sum(-1)).mean()


# Weights and reductions ---------------------------------------------------------------------------

wrong(
    "KL over latents, times 0.1",
    "weight.kl",
    Vae,
    kl=lambda self, m, v, z: 0.05 * (m**2 + v.exp() - v - 1).mean(-1),
)
wrong(
    "KL over batch and pixels, sums of errors over the batch",
    "reduction.batch-mismatch",
    Vae,
    combine=lambda self, nll, kl: nll.sum() + kl.sum() / (len(kl) * D),
)
wrong(
    "KL weighted by batch over data set",
    "reduction.batch-mismatch",
    Gauss,
    loss=lambda self, x: by_data_set(self, x),
)
wrong(
    "sums over the batch, KL over latents",
    "weight.kl-mean-over-latents",
    Vae,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
    combine=lambda self, nll, kl: nll.sum() + kl.sum(),
)
wrong(
    "KL averaged over the wrong axis",
    "weight.kl-mean-over-latents",
    Vae,
    loss=lambda self, x: wrong_axis(self, x),
)
wrong(
    "beta on the other term", "weight.kl", Beta, combine=lambda self, nll, kl: (4 * nll + kl).mean()
)
wrong(
    "beta twice", "weight.declared-beta", Beta, combine=lambda self, nll, kl: (nll + 16 * kl).mean()
)
wrong(
    "sum of errors over a data set's size",
    "reduction.batch-mismatch",
    Vae,
    combine=lambda self, nll, kl: nll.sum() / 1000 + kl.mean(),
)
wrong(
    "no KL at evaluation",
    "weight.modes",
    Vae,
    combine=lambda self, nll, kl: (nll + kl).mean() if self.training else nll.mean(),
)
wrong(
    "squared error at evaluation",
    "recon.other-likelihood",
    Vae,
    nll=lambda self, f, x: Vae.nll(self, f, x) if self.training else ((x - f) ** 2).sum(-1),
)


def by_data_set(self, x):
    m, v = self.encode(x)
    f = self.decode(self.draw(m, v))
    return F.mse_loss(f, x) + len(x) / 5000 * self.kl(m, v, None).mean()


def wrong_axis(self, x):
    m, v = self.encode(x)
    f = self.decode(self.draw(m, v))
    kl = 0.5 * (m**2 + v.exp() - v - 1)
    return self.nll(f, x).sum() + kl.sum(0).mean()


# The reconstruction -------------------------------------------------------------------------------

wrong(
    "squared error of logits",
    "recon.other-likelihood",
    Logits,
    nll=lambda self, f, x: ((x - f) ** 2).sum(-1),
)
wrong(
    "squared error of the sigmoid",
    "recon.other-likelihood",
    Gauss,
    nll=lambda self, f, x: 0.5 * ((x - f.sigmoid()) ** 2).sum(-1),
)
wrong(
    "smooth L1",
    "recon.other-likelihood",
    Gauss,
    nll=lambda self, f, x: F.smooth_l1_loss(f, x, reduction="none").sum(-1),
)
wrong(
    "Normal with the variance as its scale",
    "recon.std-as-variance",
    Learned,
    nll=lambda self, f, x: -Normal(f[0], f[1].exp()).log_prob(x).sum(-1),
)
wrong(
    "fixed variance as Normal's scale",
    "weight.recon",
    Narrow,
    nll=lambda self, f, x: -Normal(f, 0.25).log_prob(x).sum(-1),
)
wrong(
    "learned deviation not used",
    "recon.scale-unused",
    OneSigma,
    nll=lambda self, f, x: -Normal(f, 1.0).log_prob(x).sum(-1),
)
wrong(
    "log deviation of the data read as log variance",
    "recon.variance-as-std",
    OneSigma,
    nll=lambda self, f, x: (
        0.5 * ((x - f) ** 2 * (-self.log_s).exp() + self.log_s + LOG_2PI).sum(-1)
    ),
)
wrong(
    "rates exponentiated twice",
    "recon.other-likelihood",
    Counts,
    likelihood=staticmethod(lambda f: torch.distributions.Poisson(f)),
    decode=lambda self, z: F.softplus(self.decoder(z)),
    nll=lambda self, f, x: F.poisson_nll_loss(f, x, log_input=True, reduction="none").sum(-1),
)
wrong(
    "Laplace of another scale",
    "weight.recon",
    Moduli,
    nll=lambda self, f, x: -Laplace(f, 1.0).log_prob(x).sum(-1),
)
wrong(
    "half of the outputs",
    "recon.outputs-missing",
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(f, x, reduction="none")[:, :3].sum(-1),
)
wrong(
    "targets smoothed",
    "recon.targets",
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(f, 0.9 * x + 0.05, reduction="none").sum(-1),
)
wrong(
    "targets of other examples",
    "recon.mismatched",
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(
        f, x[torch.randperm(len(x))], reduction="none"
    ).sum(-1),
)
wrong(
    "focal loss",
    "outside.reconstruction",
    Vae,
    nll=lambda self, f, x: (
        (x - f).abs() ** 2 * F.binary_cross_entropy(f, x, reduction="none")
    ).sum(-1),
)
