"""Divergences that are right for a posterior or a prior that was read in another way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vaetheory.audit._shots import Shot


@dataclass(frozen=True)
class Misreading:
    """A way in which the divergence of a loss may read posterior or prior.

    Attributes
    ----------
    sentence : str
        What the divergence does.
    change : str
        What to change.
    shot : callable
        A shot as the divergence reads it.
    """

    sentence: str
    change: str
    shot: Callable[[Shot], Shot]


def _posterior(of: Callable[[np.ndarray], np.ndarray]) -> Callable[[Shot], Shot]:
    def made(shot: Shot) -> Shot:
        with np.errstate(over="ignore"):
            v = of(shot.log_variance)
        return replace(shot, log_variance=v, log_det=v.sum(-1))

    return made


def _prior(loc: float, power: float) -> Callable[[Shot], Shot]:
    return lambda shot: replace(
        shot, prior_loc=loc * shot.prior_loc, prior_scale=shot.prior_scale**power
    )


#: By the code of the finding.
OF_POSTERIOR = {
    "kl.std-as-logvar": Misreading(
        "the divergence takes the deviation s for a log variance: it has exp(s) and s, right are "
        "s^2 and log s^2",
        "write (m^2 + s^2 - 1)/2 - log s, or declare posterior='logvar'",
        _posterior(lambda v: np.exp(v / 2)),
    ),
    "kl.var-as-logvar": Misreading(
        "the divergence takes the variance for a log variance: it has its exponential, and it "
        "itself where its logarithm belongs",
        "write (m^2 + var - log var - 1)/2, or declare posterior='logvar'",
        _posterior(np.exp),
    ),
}
OF_COVARIANCE = {
    "kl.diagonal": Misreading(
        "the divergence takes the diagonal of the posterior's covariance alone: its log "
        "determinant is that of independent latents",
        "use kl_divergence of the distribution that encode returns, or its log determinant",
        lambda shot: replace(shot, log_det=shot.log_variance.sum(-1), factor=None),
    ),
}
OF_PRIOR = {
    "kl.prior-logstd-as-logvar": Misreading(
        "the divergence takes the deviation of the declared prior for its variance, as where a log "
        "deviation is read as a log variance",
        "double the prior's log deviation in the formula, or declare the prior that is used",
        _prior(1.0, 0.5),
    ),
    "kl.prior-logvar-as-logstd": Misreading(
        "the divergence takes the variance of the declared prior for its deviation, as where a log "
        "variance is read as a log deviation",
        "halve the prior's log variance in the formula, or declare the prior that is used",
        _prior(1.0, 2.0),
    ),
    "kl.prior-scale-unused": Misreading(
        "the divergence is that from a prior with the declared mean and deviation 1",
        "use the declared deviation of the prior in the divergence",
        _prior(1.0, 0.0),
    ),
    "kl.prior-mean-unused": Misreading(
        "the divergence is that from a prior with the declared deviation and mean 0",
        "use the declared mean of the prior in the divergence",
        _prior(0.0, 1.0),
    ),
}
EVERY = OF_POSTERIOR | OF_COVARIANCE | OF_PRIOR


def misread(
    shots: Mapping[int, Sequence[Shot]],
) -> Iterator[tuple[str, Mapping[int, Sequence[Shot]]]]:
    """The shots as the divergence may read them, by the code of the finding."""
    some = [s for of in shots.values() for s in of]
    tried = dict(OF_COVARIANCE if some[0].factor is not None else OF_POSTERIOR)
    if any((s.prior_loc != 0).any() or (s.prior_scale != 1).any() for s in some):
        tried |= OF_PRIOR
    for code, how in tried.items():
        yield code, {size: [how.shot(s) for s in of] for size, of in shots.items()}
