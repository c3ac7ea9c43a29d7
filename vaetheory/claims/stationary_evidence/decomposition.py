"""The proposition 3a: log evidence, ELBO and divergence, each by a route of its own."""

from __future__ import annotations

import numpy as np

from vaetheory.checking import Proposition, wrong
from vaetheory.checking.decomposition import evidence_decomposition
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.checking.strategies import Covariance
from vaetheory.encoders import Posterior


def deviations_for_variances(scene: ModelScene) -> Posterior:
    """The posterior with standard deviations in place of variances."""
    roots = tuple(np.sqrt(v) for v in scene.cov.variances)
    return Posterior(np.array(scene.loc), cov=Covariance(roots, scene.cov.angles).matrix)


DECOMPOSITION = Proposition(
    label="3a",
    title="log p(x) = ELBO + KL(q || p(z|x)), the three computed independently",
    statement=r"\log p(x) = \mathrm{ELBO}(x; q) + \mathrm{KL}(q \,\|\, p(z|x))",
    hypotheses=(("any model", r"p(x, z) = \mathcal N(z; 0, I)\, p(x|f(z))"),),
    kind="identity",
    instances=model_scenes(),
    check=evidence_decomposition,
    controls=wrong(
        evidence_decomposition,
        {
            "the reversed KL": {"divergence": lambda d: d.reverse},
            "the KL subtracted": {"divergence": lambda d: -d.forward},
            "standard deviations for variances": {"posterior": deviations_for_variances},
            "no log det S": {"entropy": 0.0},
        },
    ),
    figure="stationary-evidence",
)
