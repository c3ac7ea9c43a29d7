"""Wrong terms, weights and reductions."""

import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from audit_zoo.models import LOG_2PI, Beta, D, Gauss, Learned, Narrow, Vae
from audit_zoo.register import wrong
from audit_zoo.right_models import Counts, Logits, Prior


def kl(function):
    return {"kl": lambda self, m, v, z: function(m, v).sum(-1)}


wrong(
    "logvar read as logstd",
    "kl.logvar-as-logstd",
    Vae,
    **kl(lambda m, v: 0.5 * (m**2 + (2 * v).exp() - 2 * v - 1)),
)

wrong(
    "logstd read as logvar",
    "kl.logstd-as-logvar",
    Vae,
    **kl(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - v / 2 - 1)),
)

wrong(
    "square of the deviation missing",
    "kl.mixed-terms",
    Vae,
    **kl(lambda m, v: 0.5 * (m**2 + (v / 2).exp() - v - 1)),
)

wrong(
    "log term twice", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m**2 + v.exp() - 2 * v - 1))
)

wrong("log term half", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m**2 + v.exp() - v / 2 - 1)))

wrong(
    "sign of the log term", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m**2 + v.exp() + v - 1))
)

wrong("log variance squared", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m**2 + v**2 - v - 1)))

wrong("mean not squared", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m + v.exp() - v - 1)))

wrong("mean missing", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (v.exp() - v - 1)))

wrong("only the mean", "kl.variance-terms-missing", Vae, **kl(lambda m, v: 0.5 * m**2))

wrong("log term missing", "kl.mixed-terms", Vae, **kl(lambda m, v: 0.5 * (m**2 + v.exp() - 1)))

wrong("no divergence", "kl.missing", Vae, **kl(lambda m, v: 0 * m))

wrong("sign of the divergence", "kl.sign", Vae, **kl(lambda m, v: -0.5 * (m**2 + v.exp() - v - 1)))

wrong(
    "reversed divergence",
    "kl.reversed",
    Vae,
    **kl(lambda m, v: 0.5 * ((1 + m**2) * (-v).exp() + v - 1)),
)

wrong("constant missing", "kl.constant", Vae, **kl(lambda m, v: 0.5 * (m**2 + v.exp() - v)))

wrong(
    "constant of one latent",
    "kl.constant",
    Vae,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v).sum(-1) - 0.5,
)

wrong(
    "another prior's variance",
    "kl.prior-scale",
    Vae,
    kl=lambda self, m, v, z: kl_divergence(
        Normal(m, (v / 2).exp()), Normal(torch.zeros_like(m), 2.0)
    ).sum(-1),
)

wrong("declared prior not used", "kl.standard-prior", Prior, kl=Vae.kl)

wrong(
    "KL over latents",
    "weight.kl-mean-over-latents",
    Vae,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
)

wrong(
    "KL over pixels",
    "weight.kl-over-pixels",
    Vae,
    combine=lambda self, nll, kl: (nll + kl / D).mean(),
)

wrong(
    "recon over pixels",
    "weight.recon-mean-over-pixels",
    Vae,
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
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(f, x, reduction="none").mean(-1),
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).mean(-1),
)

wrong(
    "declared beta not used",
    "weight.declared-beta",
    Beta,
    combine=lambda self, nll, kl: (nll + kl).mean(),
)

wrong("KL times 0.1", "weight.kl", Vae, combine=lambda self, nll, kl: (nll + 0.1 * kl).mean())

wrong(
    "KL times 0.00025", "weight.kl", Vae, combine=lambda self, nll, kl: (nll + 2.5e-4 * kl).mean()
)

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
    Vae,
    combine=lambda self, nll, kl: nll.sum() + kl.mean(),
)

wrong(
    "KL summed over the batch",
    "reduction.batch-mismatch",
    Vae,
    combine=lambda self, nll, kl: nll.mean() + kl.sum(),
)

wrong(
    "KL over the batch twice",
    "reduction.batch-mismatch",
    Vae,
    combine=lambda self, nll, kl: nll.mean() + kl.mean() / len(kl),
)

wrong(
    "BCE mean over all, KL sum",
    "reduction.batch-mismatch",
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(f, x),
    combine=lambda self, nll, kl: nll + kl.sum(),
)

wrong(
    "sign of the reconstruction", "recon.sign", Vae, combine=lambda self, nll, kl: (kl - nll).mean()
)

wrong("the ELBO itself", "loss.sign", Vae, combine=lambda self, nll, kl: -(nll + kl).mean())

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
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy_with_logits(f, x, reduction="none").sum(-1),
)

wrong(
    "MSE for Bernoulli",
    "recon.other-likelihood",
    Vae,
    nll=lambda self, f, x: 0.5 * ((x - f) ** 2).sum(-1),
)

wrong(
    "L1 for normal", "recon.other-likelihood", Gauss, nll=lambda self, f, x: (x - f).abs().sum(-1)
)

wrong(
    "arguments exchanged",
    "recon.arguments-swapped",
    Vae,
    nll=lambda self, f, x: F.binary_cross_entropy(x, f, reduction="none").sum(-1),
)

wrong(
    "only x log p", "recon.cross-entropy-terms", Vae, nll=lambda self, f, x: -(x * f.log()).sum(-1)
)

wrong(
    "positive weight",
    "recon.cross-entropy-terms",
    Logits,
    nll=lambda self, f, x: F.binary_cross_entropy_with_logits(
        f, x, reduction="none", pos_weight=torch.tensor(3.0)
    ).sum(-1),
)

wrong("no reconstruction", "recon.missing", Vae, combine=lambda self, nll, kl: kl.mean())

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

wrong(
    "other weight in training",
    "weight.modes",
    Vae,
    combine=lambda self, nll, kl: (nll + (0.00025 if self.training else 1.0) * kl).mean(),
)

wrong(
    "free bits after the mean",
    "kl.free-bits-of-the-batch",
    Vae,
    loss=lambda self, x: free_bits_of_the_batch(self, x),
)


def free_bits_of_the_batch(self, x):
    m, v = self.encode(x)
    each = (0.5 * (m**2 + v.exp() - v - 1)).mean(0).clamp(min=0.25).sum()
    return self.nll(self.decode(self.draw(m, v)), x).mean() + each


class OtherPrior(Vae):
    """Another prior is declared; `kl` must be that from it."""

    prior = Normal(0.3, 1.7)

    def kl(self, m, v, z):
        prior = Normal(torch.tensor(0.3), torch.tensor(1.7))
        return kl_divergence(Normal(m, (v / 2).exp()), prior).sum(-1)


wrong(
    "the declared prior is not used",
    "kl.standard-prior",
    OtherPrior,
    kl=lambda self, m, v, z: 0.5 * (m**2 + v.exp() - v - 1).sum(-1),
)

wrong(
    "log p(z) missing",
    "kl.mixed-terms",
    Vae,
    kl=lambda self, m, v, z: Normal(m, (v / 2).exp()).log_prob(z).sum(-1),
)

wrong(
    "divergence clamped above",
    "kl.clamped",
    Vae,
    kl=lambda self, m, v, z: Vae.kl(self, m, v, z).clamp(max=300),
)

wrong(
    "reconstruction clamped above",
    "recon.clamped",
    Gauss,
    nll=lambda self, f, x: Gauss.nll(self, f, x).clamp(max=2000),
)
