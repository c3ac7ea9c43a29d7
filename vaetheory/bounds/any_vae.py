"""How much more likely given data can become under any VAE with the same likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, as_array, data_set, finite, integer, same_shape
from vaetheory._value_equality import ByValue
from vaetheory.bounds._mixtures.greatest import greatest_sum
from vaetheory.bounds.best_mixture import npmle
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True, eq=False)
class LikelihoodCertificate(ByValue):
    """What no VAE with this likelihood can exceed on these data, in nats a datum.

    Attributes
    ----------
    mean : float
        The mean of the log evidences, or of their lower bounds, of the model.
    ceiling : float
        No VAE with this likelihood has a greater mean log evidence on these data, whatever its
        decoder, prior and number of latents. It is proved, up to the proved rounding.
    reached : float
        A mean log evidence to which some VAE comes as close as one likes.
    floor : float
        Where the ceiling would be if all data were equal: the mean of their greatest log densities.
    lower, upper : float
        The maximum over the params eta of log E_n[p(x_n given eta) / c_n], with the model's own
        numbers c_n: what a search found, and what is proved. `mean + upper` is a ceiling.
    at : array (P,) or None
        Params with the value `lower`: where the model lacks most. None if they are at the boundary.
    """

    mean: float
    ceiling: float
    reached: float
    floor: float
    lower: float
    upper: float
    at: Array | None

    @property
    def gain(self) -> float:
        """What no VAE can gain more on the model, in nats a datum: `ceiling - mean`."""
        return self.ceiling - self.mean

    @property
    def possible(self) -> float:
        """What some VAE gains, in nats a datum: `reached - mean`; negative if none was found."""
        return self.reached - self.mean


def likelihood_certificate(
    model: LatentModel | Likelihood,
    X: ArrayLike,
    *,
    log_evidence: ArrayLike | None = None,
    steps: int = 4,
) -> LikelihoodCertificate:
    """Bound the mean log evidence of all VAEs with the likelihood of a model, on given data.

    Every VAE with a likelihood p(x given eta), eta = f(z), is a mixture of its densities. For any
    positive numbers c_n, and for each mixture p,

        E_n log p(x_n) <= E_n log c_n + max over eta of log E_n[p(x_n given eta) / c_n].

    With the evidences of a trained model as c_n, or lower bounds of them, the model certifies
    how far it is from the best decoder and prior. The bound is sharp for the c_n of the best
    mixture, which `npmle` approaches; the better of the two is the `ceiling`.

    Parameters
    ----------
    model : LatentModel or Likelihood
        Only its likelihood counts, and its evidences if none are given; the decoder may be a
        PyTorch module or a `JaxDecoder`.
    X : array (N, D)
        The data, training data or others.
    log_evidence : array (N,), optional
        Log evidence of each datum under the model, in nats, or ELBOs: any numbers are allowed.
        By default ELBOs of the `stationary_posterior` of each datum.
    steps : int
        Most certificates on the way to the best mixture, for Gaussian likelihoods.

    Returns
    -------
    LikelihoodCertificate

    Raises
    ------
    ValueError
        If shapes do not fit, a number is not finite, the data are outside the support, or a
        likelihood is given without log evidences.

    Notes
    -----
    Source: claims 18a to 18c. Gaussian likelihoods: the maximum of a sum of kernels is bounded in
    up to six dimensions (of the space that the data span) by halving boxes, which ends at the
    maximum; in more dimensions by the distances of the data from each other, and by second
    derivatives near the modes. This is sharp where data are far apart compared with the standard
    deviation, or all close, and about a nat too high between the two (the digits). Of learned
    scales (`GaussianMeanScale`) only the floor counts: a small floor allows to store all data. For
    binary and one-hot data the maximum is exact, and `ceiling` is minus the entropy of the data.
    Other families are bounded by the greatest density of each datum, and if they are
    probabilities by their sum; then `reached` stays far below `ceiling`.

    The ceiling is about memorising these data. That a VAE reaches it on training data says nothing
    of other data. On held-out data it bounds what any VAE could have said of them.

    Memory is bounded; time grows with the square of N (1,797 digits, D = 64: some seconds).

    Examples
    --------
    A VAE that ignores its latents, at two data that are three standard deviations apart:

    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import likelihood_certificate
    >>> model = LatentModel(decoders.Affine([[0.0]]), likelihoods.Gaussian(scale=1.0), 1)
    >>> found = likelihood_certificate(model, [[-1.5], [1.5]])
    >>> round(found.mean, 4), round(found.ceiling, 4), round(found.floor, 4)
    (-2.0439, -1.6004, -0.9189)
    >>> round(found.gain, 4), round(found.possible, 4), round(found.upper, 4)
    (0.4435, 0.4435, 0.4435)
    """
    if not isinstance(model, LatentModel | Likelihood):
        raise ValueError(
            f"model: expected a LatentModel or a Likelihood, got {type(model).__name__}"
        )
    steps = integer("steps", steps, low=1)
    if isinstance(model, Likelihood):
        likelihood, data = model, model.check_data(data_set("X", X))
    else:
        likelihood, data = model.likelihood, data_set("X", model.check_data(X))
    if log_evidence is not None:
        logs = finite("log_evidence", as_array("log_evidence", log_evidence, ndim=1))
        same_shape("log_evidence", logs, "X", data[:, 0])
    elif isinstance(model, LatentModel):
        logs = stationary_posterior(model, data).value
    else:
        raise ValueError("log_evidence: expected numbers if only a likelihood is given, got None")
    count = len(data)
    own = greatest_sum(likelihood, data, -logs - np.log(count))
    lost = gamma(count + 20) * float(np.abs(logs).mean())
    mean = float(logs.mean())
    greatest = likelihood.narrowest().greatest_log_prob(data)
    floor = float(greatest.mean()) + gamma(count + 60) * (float(np.abs(greatest).mean()) + 1)
    ceiling, reached = _best(likelihood, data, greatest, steps)
    return LikelihoodCertificate(
        mean, min(ceiling, mean + own.upper + lost, floor), reached, floor, own.lower, own.upper,
        own.at,
    )  # fmt: skip


def _best(likelihood: Likelihood, data: Array, greatest: Array, steps: int) -> tuple[float, float]:
    """What no mixture exceeds, and what some mixture reaches."""
    lost = gamma(len(data) + 60) * (float(np.abs(greatest).mean() + np.log(len(data))) + 1)
    if likelihood.narrowest().reduced(data)[0].gaussian:
        found = npmle(likelihood, data, steps=steps)
        return found.ceiling, found.value - lost
    _, which, counts = np.unique(data, axis=0, return_inverse=True, return_counts=True)
    shares = np.log(counts[which.reshape(-1)] / len(data))
    # A component at the best params of each datum; probabilities are at most the data's shares.
    reached = float((shares + greatest).mean()) - lost
    counted = likelihood.support is not None and likelihood.support.counted
    return (float(shares.mean()) + lost if counted else np.inf), reached
