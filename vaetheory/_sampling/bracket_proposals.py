"""Proposals for brackets, fitted to the data alone."""

from __future__ import annotations

from vaetheory._sampling.estimation import modes_near, scouted
from vaetheory._sampling.fitting import fitted
from vaetheory._sampling.laplace_mixtures import laplace_mixture
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target


def mixture_for(target: Target, particles: int) -> Mixture:
    """A mixture for each datum; without particles at the modes to which a scan leads.

    A `Target` has no latents, so that what is fitted cannot depend on them.
    """
    if not particles:
        return laplace_mixture(target)
    return fitted(target, modes_near(target, scouted(target, particles)), "bracket")
