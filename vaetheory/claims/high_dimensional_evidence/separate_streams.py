"""The check of 24c-drawn: what the library draws for replicates and data is independent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._sampling.importance import POINTS, replicated
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.bounds import simulate
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.concentration import log_mean_excess
from vaetheory.evidence import linear_log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Equal data, replicates of each, and draws of each replicate.
_DATA, _REPLICATES, _DRAWS = 64, 64, 2


@dataclass(frozen=True)
class RepeatedDatum:
    """A linear model of d latents and as many outputs, one datum of it, and how points are placed.

    The datum is taken many times, so that only the draws differ.
    """

    dim: int
    noise: float
    seed: int
    points: str

    @property
    def model(self) -> LatentModel:
        """The model."""
        weight = np.random.default_rng(self.seed).standard_normal((self.dim, self.dim))
        decoder = decoders.Affine(weight / np.sqrt(self.dim))
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise))


def repeated_data() -> SearchStrategy[RepeatedDatum]:
    """Few latents, and posteriors narrow enough for weights of the prior that vary."""
    return st.builds(
        RepeatedDatum,
        st.integers(4, 6),
        st.sampled_from((0.25, 0.125)),
        st.integers(0, 99),
        st.sampled_from(POINTS),
    )


@once
def log_ratios(scene: RepeatedDatum) -> tuple[Array, float, float]:
    """Logs of estimate over evidence `(N, R)` by draws of the prior, their most, their rounding."""
    X, _ = simulate(scene.model, 1, scene.seed)
    target = Target.of(scene.model, np.repeat(X, _DATA, axis=0), scene.seed)
    d = scene.dim
    prior = Mixture(
        np.ones((_DATA, 1)), np.zeros((_DATA, 1, d)), np.tile(np.eye(d), (_DATA, 1, 1, 1)), np.inf
    )
    found = replicated(
        target, prior, count=_DRAWS, replicates=_REPLICATES, purpose="below", points=scene.points
    )
    exact = linear_log_evidence(scene.model, X)
    off = float(found.rounding.max() + exact.error[0])
    most = float(scene.model.likelihood.greatest_log_prob(X)[0] - exact.value[0])
    return found.log_mean - exact.value[0], most, off


def as_drawn(logs: Array) -> Array:
    """What the library has drawn."""
    return logs


def one_replicate(logs: Array) -> Array:
    """The draws of one replicate for all."""
    return np.broadcast_to(logs[:, :1], logs.shape)


def one_datum(logs: Array) -> Array:
    """The draws of one datum for all."""
    return np.broadcast_to(logs[:1], logs.shape)


def products_of_ratios(
    scene: RepeatedDatum, *, drawn: Callable[[Array], Array] = as_drawn
) -> Comparison:
    """Check that no product of ratios over the replicates, or over the data, is too great.

    Each has expectation one if its factors are independent.
    """
    logs, most, off = log_ratios(scene)
    logs = drawn(logs)
    sums = np.concatenate([logs.sum(axis=1), logs.sum(axis=0)])
    # The level of each holds for all of them together.
    chance = log_mean_excess(sums.shape) + np.log(len(sums))
    rounding = _DATA * off + gamma(_DATA) * np.abs(logs).sum(axis=0).max()
    return Comparison.at_most(sums, 0.0, scale=_DATA * most, chance=chance, rounding=rounding)


DRAWN_APART = Proposition(
    label="24c-drawn",
    title="What is drawn for replicates and for data is independent",
    statement=(
        r"\Pr\Big(\max_n\textstyle\sum_r\log\rho_{nr} \ge \log\tfrac N\delta\Big) \le \delta,\quad"
        r"\Pr\Big(\max_r\sum_n\log\rho_{nr} \ge \log\tfrac R\delta\Big) \le \delta,"
        r"\quad \rho_{nr} = \hat Z_{nr}/p(x)"
    ),
    hypotheses=(
        ("independent draws", r"\hat Z_{nr},\ n \le N,\ r \le R"),
        ("one datum", r"x_n = x = Wz + \sigma\varepsilon,\ N = R = 64"),
        ("draws of the prior", r"\hat Z_{nr} = \tfrac12(p(x|z_1) + p(x|z_2))"),
    ),
    kind="statistical",
    instances=repeated_data(),
    check=products_of_ratios,
    controls=wrong(
        products_of_ratios,
        {
            "the draws of one replicate for all": {"drawn": one_replicate},
            "the draws of one datum for all": {"drawn": one_datum},
        },
    ),
    uses=("24c",),
    resolution=0.09,
    examples=4,
)
