"""Checks of 3a: log evidence, ELBO and divergence by three routes."""

from __future__ import annotations

import numpy as np

from vaetheory.checking.scenes import ModelScene
from vaetheory.checking.strategies import Covariance
from vaetheory.encoders import Posterior


def deviations_for_variances(scene: ModelScene) -> Posterior:
    """The bug of passing standard deviations where variances belong."""
    roots = tuple(np.sqrt(v) for v in scene.cov.variances)
    return Posterior(np.array(scene.loc), Covariance(roots, scene.cov.angles).matrix)
