"""What each change of a VAE would gain on given data, in nats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._numbers_as_text import rounded_up
from vaetheory._validation import Array, integer, sequence
from vaetheory._value_equality import ByValue
from vaetheory.bounds.any_vae import likelihood_certificate
from vaetheory.bounds.gap import GapSplit, gap_split
from vaetheory.bounds.gradient_moments import gradient_noise
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel, require_model

#: The most latents for which bounds of several draws are integrals.
_LATTICES = 3
#: Tolerances: of those bounds, in nats, and of variances, relative.
_RTOL, _NOISE = 1e-4, 1e-3


@dataclass(frozen=True)
class PossibleGain:
    """What one change would gain.

    Attributes
    ----------
    change : str
        What is changed.
    nats : float
        The mean over the data of what it gains, in nats a datum.
    error : float
        Error figure of `nats`, an estimate.
    at_most : bool
        Whether `nats` is what the change gains at most.
    proposition : str
        The label of the proposition that says so.
    """

    change: str
    nats: float
    error: float
    at_most: bool
    proposition: str

    @property
    def text(self) -> str:
        """The gain as text, as a bound where it is one or is no greater than its error."""
        if self.at_most:
            return f"at most {rounded_up(self.nats + self.error)}"
        if abs(self.nats) > 2 * self.error:
            return f"{self.nats:.3g}"
        return f"below {rounded_up(abs(self.nats) + self.error, digits=1)}"


@dataclass(frozen=True, eq=False)
class PossibleGains(ByValue):
    """What changes of a VAE would gain on given data, in nats a datum.

    Attributes
    ----------
    elbo, elbo_error : float
        The mean ELBO of the encoder, and its error figure, an estimate.
    gains : tuple of PossibleGain
        In this order: a better encoder, full covariances, another family of posteriors, several
        draws a datum, and any other decoder and prior. What cannot be computed is absent.
    landing, landing_error : float
        The variance of the encoder's gradient by the path estimator ("sticking the landing"),
        divided by that with the divergence in closed form, and its error figure. Variances are
        those of one draw, summed over the derivatives in means and logs of scales and over the
        data. NaN for more than three latents.
    split : GapSplit
        The gap of each datum.

    Notes
    -----
    The first three gains add up to the gap between the evidence and the ELBO. Draws gain a part of
    the same gap. The last gain is on top of it. Another estimator of the gradient gains no nats: it
    has the same mean.
    """

    elbo: float
    elbo_error: float
    gains: tuple[PossibleGain, ...]
    landing: float
    landing_error: float
    split: GapSplit

    @property
    def landing_text(self) -> str | None:
        """What the path estimator changes, or None where it is not known."""
        if not self.landing_error < self.landing:
            return None
        return f"no nats; the gradient's variance is multiplied by {self.landing:.3g}"

    def __str__(self) -> str:
        landing = self.landing_text
        rows = [(gain.change, f"{gain.text}  ({gain.proposition})") for gain in self.gains]
        rows += [("sticking the landing", f"{landing}  (20b)")] if landing else []
        width = max(len(change) for change, _ in rows)
        lines = [f"mean ELBO {self.elbo:.6g} nats a datum; what would gain how much:"]
        return "\n".join([*lines, *(f"  {change:<{width}}  {text}" for change, text in rows)])


def possible_gains(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    *,
    draws: Sequence[int] = (8, 64),
    max_nodes: int = 100_000,
    split: GapSplit | None = None,
    any_model: bool = True,
) -> PossibleGains:
    """Say what a better encoder, full covariances, more draws or another model would gain.

    Parameters
    ----------
    model : LatentModel
        With the decoder of the VAE, a PyTorch module or a `JaxDecoder` among others.
    X : array (N, D), or (N, ...) for a decoder with an event shape
        The data.
    posterior : Posterior
        What the encoder gives for them, as `vaetheory.torch.posterior_of` reads it.
    draws : sequence of int
        Numbers of draws of the importance weighted bound. For models of more than three latents
        its exact values are not computed, and absent.
    max_nodes : int
        Most evaluations of the decoder for the draws of a datum.
    split : GapSplit, optional
        Of the same model, data and posteriors, if there is one already, as with evidences that
        `evidence_estimate` gave. By default `gap_split` computes it.

    any_model : bool
        Whether to bound what any other decoder and prior would gain; of a few data it says little.

    Returns
    -------
    PossibleGains

    Raises
    ------
    ValueError
        As `gap_split`, and if the data are not (N, D), `draws` are not positive integers, or a
        split is that of other data.

    Notes
    -----
    Source: claims 14 (draws), 18 (any other model), 20 (the gradient) and 22 (the parts of the
    gap). A change of the encoder, its covariances or their family is judged with the decoder as it
    is; training the decoder with it gains at least as much. "Any decoder and prior" is what
    `likelihood_certificate` proves of these very data: a VAE that reaches it has memorised them.

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import possible_gains
    >>> model = LatentModel(decoders.Circle(radius=1.0), likelihoods.Gaussian(scale=0.3))
    >>> X, q = [[1.0, 0.2], [-0.8, 0.9]], Posterior([[0.5], [2.0]], scale=0.3)
    >>> print(possible_gains(model, X, q, draws=[10]))
    mean ELBO -2.42886 nats a datum; what would gain how much:
      a better encoder              0.363  (22a)
      another family of posteriors  0.00384  (22a)
      10 draws a datum              0.316  (14a)
      any decoder and prior         at most 2.31  (18c)
      sticking the landing          no nats; the gradient's variance is multiplied by 0.0644  (20b)
    """
    counts = [integer("draws", k, low=1) for k in sequence("draws", draws)]
    if posterior.loc.ndim != 2:
        raise ValueError(f"posterior: expected means (N, d), got shape {posterior.loc.shape}")
    require_model(model)
    data = model.check_data(X)
    split = gap_split(model, data, posterior) if split is None else split
    if split.elbo.shape != posterior.loc.shape[:-1]:
        raise ValueError(
            f"split: expected that of {len(posterior.loc)} data, got shape {split.elbo.shape}"
        )

    def mean(value: Array, error: Array) -> tuple[float, float]:
        return float(np.mean(value)), float(np.mean(error))

    def part(change: str, value: Array, error: Array, proposition: str) -> PossibleGain:
        return PossibleGain(change, *mean(value, error), at_most=False, proposition=proposition)

    made = [part("a better encoder", split.amortisation, split.amortisation_error, "22a")]
    if split.structure == "diagonal" and model.latent_dim > 1:
        made.append(part("full covariances", split.diagonal, split.diagonal_error, "22a"))
    made.append(
        part("another family of posteriors", split.approximation, split.approximation_error, "22a")
    )
    if counts and model.latent_dim <= _LATTICES:
        bound = importance_weighted_bound(
            model, data, posterior, counts, rtol=_RTOL, max_nodes=max_nodes
        )
        for k, count in enumerate(counts):
            gained = bound.value[:, k] - split.elbo
            error = bound.error[:, k] + split.elbo_error
            made.append(part(f"{count:,} draws a datum", gained, error, "14a"))
    own, own_error = mean(split.elbo, split.elbo_error)
    if any_model:
        # The bound holds for any numbers in place of the log evidences.
        finite = np.where(np.isfinite(split.elbo), split.elbo, 0.0)
        ceiling = likelihood_certificate(model.likelihood, data, log_evidence=finite).ceiling
        made.append(PossibleGain("any decoder and prior", ceiling - own, own_error, True, "18c"))
    return PossibleGains(
        own, own_error, tuple(made), *_landing(model, data, posterior, max_nodes), split
    )


def _landing(
    model: LatentModel, data: Array, posterior: Posterior, max_nodes: int
) -> tuple[float, float]:
    """The ratio of the gradient's variances, path to closed form, and its error figure."""
    if model.latent_dim > _LATTICES:
        return np.nan, np.inf
    found = gradient_noise(
        model, data, posterior, estimators=("kl", "path"), rtol=_NOISE, max_nodes=max_nodes
    )
    path, usual = (float(found[name].variance.sum()) for name in ("path", "kl"))
    off, usual_off = (float(found[name].variance_error.sum()) for name in ("path", "kl"))
    if not usual > usual_off:
        return np.nan, np.inf
    return path / usual, (off + path / usual * usual_off) / (usual - usual_off)
