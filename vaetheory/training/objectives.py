"""The training objectives: posterior, prior and likelihood of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vaetheory._validation import boolean, option, require

POSTERIORS = ("learned", "constant", "unit", "bounded")
LIKELIHOODS = (
    "learned", "one", "profile", "baggins", "bounded", "bernoulli", "continuous", "varying",
)  # fmt: skip
#: Kinds of posteriors and likelihoods whose variances the networks return.
OWN_VARIANCES = ("learned", "bounded")
#: Kinds of likelihoods that presume an information h.
OF_INFORMATION = ("baggins", "varying")
#: Kinds of likelihoods whose variances depend on the latent.
OF_LATENTS = (*OWN_VARIANCES, "varying")
#: Coefficients of the function by which "varying" variances follow the reconstruction.
VARYING_COUNT = 7
#: Kinds of likelihoods of data in [0, 1], of which the decoder returns the logits.
OF_LOGITS = ("bernoulli", "continuous")
#: Bounded log variances are between minus and plus this.
MOST_LOG_VARIANCE = 12.0


@dataclass(frozen=True)
class Objective:
    """A training objective, by its posterior, its prior and its likelihood.

    Parameters
    ----------
    title : str
    posterior : {"learned", "constant", "unit", "bounded"}
        Variances that the encoder returns for each datum; learned variances s_j^2 that are the
        same for all data; s = 1; or as the first, with log variances 12 tanh(a / 12), where a is
        what the encoder returns.
    likelihood : str
        One of "learned", "one", "profile", "baggins", "bounded", "bernoulli", "continuous" and
        "varying":
        Variances that the decoder returns for each latent and data dimension; one learned sigma;
        the batch-optimal sigma_i^2 = r_i; BAGGINS' sigma_i^2 = r_i + v_i exp(-2h); as the first,
        bounded; or, for data in [0, 1], the cross-entropy of the logits that the decoder returns,
        or the continuous Bernoulli density of them. "varying" is BAGGINS with variances that follow
        the reconstruction by a learned function of seven coefficients.
    floating : bool
        Whether the prior floats with the batch. If it does, the objective is BILBO, and the
        posterior must have constant variances. Otherwise the prior is N(0, I).

    Raises
    ------
    ValueError
        If a part is unknown, or the prior floats but the posterior variances are learned.

    Examples
    --------
    >>> OBJECTIVES["half"].outputs(latent_dim=2, data_dim=64)
    (2, 64)
    >>> OBJECTIVES["ordinary"].outputs(latent_dim=2, data_dim=64)
    (4, 128)
    """

    title: str
    posterior: str
    likelihood: str
    floating: bool = False

    def __post_init__(self) -> None:
        require("title", self.title, str)
        boolean("floating", self.floating)
        option("posterior", self.posterior, POSTERIORS)
        option("likelihood", self.likelihood, LIKELIHOODS)
        if self.floating and self.posterior in OWN_VARIANCES:
            raise ValueError(
                "posterior: expected constant variances under a floating prior, got learned ones"
            )

    def outputs(self, *, latent_dim: int, data_dim: int) -> tuple[int, int]:
        """Numbers of outputs of the encoder and of the decoder."""
        encoder = 2 if self.posterior in OWN_VARIANCES else 1
        decoder = 2 if self.likelihood in OWN_VARIANCES else 1
        return encoder * latent_dim, decoder * data_dim

    def extra(self, *, latent_dim: int) -> int:
        """Number of learned parameters outside the networks."""
        constant = latent_dim if self.posterior == "constant" else 0
        return constant + {"one": 1, "varying": VARYING_COUNT}.get(self.likelihood, 0)


#: (a) to (f) of claim 11, in order.
OBJECTIVES: Mapping[str, Objective] = {
    "ordinary": Objective("ordinary VAE, all variances learned", "learned", "learned"),
    "one-sigma": Objective("posterior variances learned, one sigma", "learned", "one"),
    "optimal-sigma": Objective("posterior variances learned, optimal sigma", "learned", "profile"),
    "constant": Objective("constant posterior variances, one sigma", "constant", "one"),
    "bilbo": Objective("BILBO, one sigma", "unit", "one", floating=True),
    "half": Objective("BILBO + BAGGINS: the half-network", "unit", "baggins", floating=True),
}

#: What the networks of PyTorch can be trained with: the six, the ordinary VAE as practice has it
#: (one learned sigma is "one-sigma"), and a half-network with more variances.
IMAGE_OBJECTIVES: Mapping[str, Objective] = {
    **OBJECTIVES,
    "bounded": Objective("ordinary VAE, bounded log variances", "bounded", "bounded"),
    "bernoulli": Objective("ordinary VAE, cross-entropy of grey values", "learned", "bernoulli"),
    "continuous-bernoulli": Objective(
        "ordinary VAE, continuous Bernoulli", "learned", "continuous"
    ),
    "half-varying": Objective(
        "half-network, variances vary with the reconstruction", "unit", "varying", floating=True
    ),
}
