"""Estimates of evidences by annealing from a fitted proposal to the posterior.

In many dimensions a posterior of many parts that are each a little skew is far from any normal or
Student t, and a few weights carry the mean. Annealed importance sampling divides each weight into a
product of ratios near one, so that their tail is thin again. Its weights are independent and
without bias. Source: Neal, *Annealed importance sampling*, Stat. Comput. 11 (2001).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._sampling import annealing
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.replicates import Replicates
from vaetheory._sampling.target import Target

#: Particles of the pilot, and the effective share of them from one temperature to the next.
_PILOT, _SHARE = 256, 0.9
#: Most temperatures: beyond, the proposal is too far off to be worth it.
_MOST = 40


def bridged(
    target: Target, q: Mixture, purpose: str, replicates: int, count: int
) -> tuple[Replicates, NDArray[np.bool_]]:
    """Annealed importance sampling from `q`, `count` particles a replicate.

    Also returns where the pilot came to the posterior, `(N,)`; elsewhere the numbers are of no use.
    """
    base = annealing.Base(q)
    schedule, _, _ = annealing.pilot(target, _PILOT, base, f"{purpose} pilot", _SHARE, _MOST)
    n = len(target)
    weights, densities = np.empty((2, n, replicates, count))
    heaviest = np.empty((n, replicates, target.dim))
    for r in range(replicates):
        at, log_weights, _ = annealing.run(
            target, schedule, count, base=base, purpose=f"{purpose} {r}", resample=0.0
        )
        weights[:, r], densities[:, r] = log_weights, at.value
        heaviest[:, r] = at.z[np.arange(n), log_weights.argmax(axis=1)]
    return Replicates.of(weights, heaviest, densities), schedule.temperatures[-1] >= 1
