"""Faults of public issues that are in no other file, each made of a right version."""

import math

import torch
import torch.nn.functional as F
from audit_zoo.models import LATENT, LOG_2PI, Beta, D, Gauss, Learned, Narrow, Vae
from audit_zoo.register import wrong
from audit_zoo.right_losses import OneSample
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
from torch.distributions import Laplace, Normal, kl_divergence


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
wrong("mean square not halved", "kl.mixed-terms", Vae, **kl(lambda m, v: m**2 + (v.exp() - v - 1) / 2))
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
    "variance as Normal's scale, in noise and divergence",
    "noise.variance-as-std",
    Vae,
    std=lambda self, v: v.exp(),
    kl=lambda self, m, v, z: kl_divergence(
        Normal(m, v.exp()), Normal(torch.zeros_like(m), 1.0)
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
    kl=lambda self, m, v, z: 0.5
    * (
        ((m - self.p_loc) ** 2 + v.exp()) / self.p_log.exp() + self.p_log - v - 1
    ).sum(-1),
)
wrong(
    "a draw of q for the cross term, another for the entropy",
    "kl.two-draws",
    OneSample,
    kl=lambda self, m, v, z: (
        Normal(m, (v / 2).exp()).log_prob(self.draw(m, v)) - Normal(0.0, 1.0).log_prob(z)
    ).sum(-1),
)
wrong(
    "diagonal divergence of a full covariance",
    "kl.diagonal",
    Full,
    loss=lambda self, x: diagonal_only(self, x),
)
wrong("only the first example's KL", "outside.coupled", Vae, combine=lambda self, nll, kl: nll.mean() + kl[0])


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
wrong("beta on the other term", "weight.kl", Beta, combine=lambda self, nll, kl: (4 * nll + kl).mean())
wrong("beta twice", "weight.declared-beta", Beta, combine=lambda self, nll, kl: (nll + 16 * kl).mean())
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
wrong(
    "capacity of the divergence",
    "outside.unexplained",
    Vae,
    combine=lambda self, nll, kl: nll.mean() + (kl.mean() - 2.0).abs(),
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
    nll=lambda self, f, x: 0.5
    * ((x - f) ** 2 * (-self.log_s).exp() + self.log_s + LOG_2PI).sum(-1),
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

# Noise --------------------------------------------------------------------------------------------

wrong(
    "half of the variance for its root",
    "noise.variance-as-std",
    Vae,
    std=lambda self, v: 0.5 * v.exp(),
)
wrong(
    "exp of a deviation",
    "noise.law",
    Softplus,
    draw=lambda self, m, s: m + s.exp() * self.noise(m),
)
wrong("no draw, a constant deviation", "noise.constant", Vae, draw=lambda self, m, v: m + 0.01 * (v / 2).exp())
wrong("noise of Laplace", "noise.law", Vae, noise=lambda self, m: Laplace(torch.zeros_like(m), 1.0).sample())
wrong("half-normal noise", "noise.law", Vae, noise=lambda self, m: torch.randn_like(m).abs())
wrong("truncated noise", "noise.law", Vae, noise=lambda self, m: torch.randn_like(m).clamp(-1, 1))
wrong("shifted noise", "noise.law", Vae, noise=lambda self, m: torch.randn_like(m) + 0.5)
wrong("centred uniform noise", "noise.uniform", Vae, noise=lambda self, m: 2 * torch.rand_like(m) - 1)
wrong("latents doubled", "noise.law", Vae, draw=lambda self, m, v: 2 * Vae.draw(self, m, v))
wrong("latents on the sphere", "noise.law", Vae, draw=lambda self, m, v: F.normalize(Vae.draw(self, m, v), dim=-1))
wrong("latents through a tanh", "noise.law", Vae, draw=lambda self, m, v: Vae.draw(self, m, v).tanh())
wrong(
    "variance as deviation, transposed draw",
    "noise.variance-as-std",
    Vae,
    std=lambda self, v: v.exp(),
    noise=lambda self, m: torch.randn(m.shape[1], m.shape[0], dtype=m.dtype).T,
)
wrong(
    "Box-Muller of deviation 1.1",
    "noise.scale",
    Vae,
    noise=lambda self, m: 1.1
    * torch.sqrt(-2 * torch.log(1 - torch.rand_like(m)))
    * torch.cos(2 * math.pi * torch.rand_like(m)),
)
wrong(
    "noise in pieces with another deviation, a floor in both places",
    "noise.scale",
    Four,
    std=lambda self, v: (v / 2).exp() + 1e-2,
    noise=lambda self, m: 0.7 * torch.cat([torch.randn_like(m[:, :1]), torch.randn_like(m[:, 1:])], 1),
    kl=lambda self, m, v, z: (
        0.5 * (m**2 + self.std(v) ** 2 - 1) - self.std(v).log()
    ).sum(-1),
)
wrong(
    "covariance for its factor",
    "noise.law",
    Full,
    loss=lambda self, x: by_covariance(self, x),
)
wrong(
    "mean and log variance exchanged",
    "declared.exchanged",
    Vae,
    loss=lambda self, x: exchanged(self, x),
)


def by_covariance(self, x):
    q = self.encode(x)
    e = torch.randn_like(q.mean)
    z = q.mean + (q.covariance_matrix @ e[..., None])[..., 0]
    prior = torch.distributions.MultivariateNormal(torch.zeros(2), torch.eye(2))
    return (kl_divergence(q, prior) + self.nll(self.decode(z), x)).mean()


def exchanged(self, x):
    v, m = self.encode(x)
    z = self.draw(m, v)
    return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


# Encoders and gradients ---------------------------------------------------------------------------


def squashed(function):
    return {"encode": lambda self, x: function(*Vae.encode(self, x))}


wrong("exp on the log variance", "encoder.logvar-one-sided", Vae, **squashed(lambda m, v: (m, v.exp())))
wrong("sigmoid on the log variance", "encoder.logvar-one-sided", Vae, **squashed(lambda m, v: (m, v.sigmoid())))
wrong("ReLU on the mean", "encoder.mean-one-sided", Vae, **squashed(lambda m, v: (m.relu(), v)))
wrong(
    "log deviation detached in the noise",
    "gradient.detached",
    Vae,
    draw=lambda self, m, v: m + (v / 2).exp().detach() * torch.randn_like(m),
)
wrong(
    "encoder without gradient",
    "gradient.detached",
    Vae,
    loss=lambda self, x: without_gradient(self, x),
)
wrong(
    "gradient of the divergence halved",
    "gradient.detached",
    Vae,
    combine=lambda self, nll, kl: (nll + 0.5 * kl + 0.5 * kl.detach()).mean(),
)
wrong("a plain number", "gradient.none", Vae, combine=lambda self, nll, kl: (nll + kl).mean().item())


def without_gradient(self, x):
    with torch.no_grad():
        m, v = self.encode(x)
    z = self.draw(m, v)
    return (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()


# Data, samples, bounds ----------------------------------------------------------------------------

wrong("cross entropy of data in [-1, 1]", "data.out-of-range", Vae, data="signed")
wrong(
    "data of 0 to 255 for a sigmoid",
    "data.range-mismatch",
    Narrow,
    data="bytes",
    decode=lambda self, z: torch.sigmoid(self.decoder(z)),
)
wrong(
    "data in [-1/2, 1/2] for a sigmoid",
    "data.range-mismatch",
    Narrow,
    data="centred",
    decode=lambda self, z: torch.sigmoid(self.decoder(z)),
)
wrong(
    "two sigmoids in decode",
    "data.range-mismatch",
    Vae,
    decode=lambda self, z: torch.sigmoid(torch.sigmoid(self.decoder(z))),
)
wrong(
    "samples of N(0, 1) for another prior",
    "sample.prior",
    LearnedPrior,
    prior=lambda self: Normal(self.p_loc + 1, self.p_log.exp()),
    kl=lambda self, m, v, z: kl_divergence(Normal(m, (v / 2).exp()), self.prior()).sum(-1),
    sample=Vae.sample,
)
wrong("one latent for all samples", "sample.prior", Vae, sample=lambda self, n: self.decode(torch.randn(1, LATENT).expand(n, -1)))
wrong(
    "sign of the importance bound",
    "iwae.sign",
    Vae,
    weigh=lambda self, w, K: (torch.logsumexp(w, 0) - math.log(K)).mean(),
)
wrong(
    "log weights summed over the batch",
    "iwae.axis",
    Vae,
    weigh=lambda self, w, K: -(torch.logsumexp(w, 1) - math.log(w.shape[1])).mean(),
)
wrong(
    "log p(z) missing in the weights",
    "iwae.unexplained",
    Vae,
    importance=lambda self, x, K: without_prior(self, x, K),
)
wrong(
    "one sample for all K",
    "iwae.samples",
    Vae,
    importance=lambda self, x, K: one_sample_k_times(self, x, K),
)
wrong(
    "an importance bound as the loss",
    "outside.importance-bound",
    Vae,
    loss=lambda self, x: self.importance(x, 5),
    bits=None,
)
wrong("bits without the sign", "bpd.sign", Vae, bits=lambda self, x: -self.loss(x) / (D * math.log(2)) + 8)
wrong("32 levels counted as 256", "bpd.levels", Vae, bits=lambda self, x: self.loss(x) / (D * math.log(2)) + 5)


def without_prior(self, x, K):
    m, v = self.encode(x)
    z = m + (v / 2).exp() * torch.randn(K, *m.shape)
    f = self.decode(z.reshape(-1, LATENT)).reshape(K, len(x), -1)
    log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
    return self.weigh(-log_q - self.nll(f, x.expand(f.shape)), K)


def one_sample_k_times(self, x, K):
    m, v = self.encode(x)
    z = (m + (v / 2).exp() * torch.randn(m.shape)).expand(K, *m.shape)
    f = self.decode(z.reshape(-1, LATENT)).reshape(K, len(x), -1)
    log_p = -0.5 * (z**2 + LOG_2PI).sum(-1)
    log_q = Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
    return self.weigh(log_p - log_q - self.nll(f, x.expand(f.shape)), K)


# State --------------------------------------------------------------------------------------------


def cyclical(self, nll, kl):
    self.count = getattr(self, "count", 0) + 1
    return (nll + (self.count % 4) / 4 * kl).mean()


wrong("cyclical weights", "state.schedule", Vae, combine=cyclical)
