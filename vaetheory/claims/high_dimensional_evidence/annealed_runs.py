"""The check of 24f: annealed particles with a fixed schedule estimate the evidence without bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._sampling.annealing import Schedule, frozen
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.concentration import mean_deviation
from vaetheory.evidence import linear_log_evidence
from vaetheory.models import LatentModel

#: Independent runs, and particles of each.
_RUNS, _PARTICLES = 2000, 3
#: Latents, each of which is seen with noise by an output of its own.
_LATENTS = 4


@dataclass(frozen=True)
class AnnealedRun:
    """A datum of x = z + noise, a temperature between prior and posterior, and steps of the moves.

    Attributes
    ----------
    noise : float
    x : float
        Each entry of the datum.
    between : float
        The inverse temperature between 0 and 1.
    step : float
        In standard deviations of the prior; long ones are often rejected.
    resample : float
        Share of effective particles below which they are drawn anew.
    seed : int
    """

    noise: float
    x: float
    between: float
    step: float
    resample: float
    seed: int

    @property
    def model(self) -> LatentModel:
        """The model."""
        return LatentModel(
            decoders.Affine(np.eye(_LATENTS)), likelihoods.Gaussian(scale=self.noise)
        )


def annealed_runs() -> SearchStrategy[AnnealedRun]:
    """Data whose likelihood is at most seven times the evidence."""
    return st.builds(
        AnnealedRun,
        st.sampled_from((1.0, 0.9)),
        st.sampled_from((0.0, 0.25)),
        st.sampled_from((0.25, 0.5)),
        st.sampled_from((1.4, 1.2)),
        st.sampled_from((1.0, 0.0, 0.9)),
        st.integers(0, 99),
    )


@once
def _ratios(scene: AnnealedRun, ends: tuple[float, float]) -> Array:
    """Estimates over evidence `(runs,)`, with other ends of the temperatures if given."""
    X = np.full((_RUNS, _LATENTS), scene.x)
    target = Target.of(scene.model, X, scene.seed)
    heats = np.array([ends[0], scene.between, ends[1]])
    schedule = Schedule(
        np.repeat(heats[:, None], _RUNS, axis=1),
        np.broadcast_to(np.eye(_LATENTS), (2, _RUNS, _LATENTS, _LATENTS)),
        np.full((2, _RUNS), scene.step),
    )
    found, _ = frozen(target, schedule, _PARTICLES, resample=scene.resample)
    exact = linear_log_evidence(scene.model, X[0])
    return np.exp(found - exact.value)


def unbiased(
    scene: AnnealedRun,
    *,
    ends: tuple[float, float] = (0.0, 1.0),
    factor: float = 1.0,
) -> Comparison:
    """Compare the mean of the estimates over many runs with the evidence."""
    ratio = factor * _ratios(scene, ends)
    datum, likelihood = np.full((1, _LATENTS), scene.x), scene.model.likelihood
    highest = float(likelihood.greatest_log_prob(datum)[0])
    exact = float(linear_log_evidence(scene.model, datum).value[0])
    # A mean of products of powers of the likelihood is at most the greatest likelihood, which is
    # the size of what is compared. Of numbers in [0, M] with mean one no moment is greater than
    # that of a law on the two ends.
    most = float(np.exp(highest - exact))
    orders = np.arange(2, 17)
    moments = (most - 1) * np.maximum(most - 1, 1.0) ** (orders - 2)
    return Comparison.identity(ratio.mean(), 1.0, scale=most, chance=mean_deviation(moments, _RUNS))


FROZEN_RUNS = Proposition(
    label="24f",
    title="Annealed particles with a schedule that is fixed before have no bias",
    statement=(
        r"\mathbb E\Big[\textstyle\prod_t\tfrac1K\sum_k w_{tk}\Big] = p(x),\quad "
        r"w_{tk} = p(x|z_{tk})^{\beta_{t+1} - \beta_t},\ 0 = \beta_0 < \dots < \beta_T = 1"
    ),
    hypotheses=(
        ("moves", r"\text{reversible, with the density } \propto p(z)\,p(x|z)^{\beta_t}"),
        ("a fixed schedule", r"\beta_t,\ \text{frames and steps do not depend on the particles}"),
        ("a linear model", r"x = z + \sigma\varepsilon,\ d = 4,\ K = 3,\ 2000 \text{ runs}"),
    ),
    kind="statistical",
    instances=annealed_runs(),
    check=unbiased,
    controls=wrong(
        unbiased,
        {
            "temperatures that end before the posterior": {"ends": (0.0, 0.6)},
            "the first weights left out": {"ends": (0.2, 1.0)},
            "the sum of the weights for their mean": {"factor": float(_PARTICLES)},
        },
    ),
    uses=("24c",),
    resolution=0.09,
    examples=2,
)
