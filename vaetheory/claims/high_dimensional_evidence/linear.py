"""The check of 24d: linear models of up to 128 latents, whose evidence has a closed form."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._sampling.laplace_mixtures import laplace_mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.bounds import Bracket, simulate
from vaetheory.bounds.simulated_evidence import Settings, bracket_by
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.concentration import LEVEL
from vaetheory.evidence import linear_log_evidence
from vaetheory.models import LatentModel

_DATA, _DRAWS = 3, 16


@dataclass(frozen=True)
class LinearModel:
    """A random linear map of d latents to as many outputs and three more, and its noise."""

    dim: int
    noise: float
    seed: int

    @property
    def model(self) -> LatentModel:
        """The model."""
        weight = np.random.default_rng(self.seed).standard_normal((self.dim + 3, self.dim))
        decoder = decoders.Affine(weight / np.sqrt(self.dim))
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise))


def linear_models() -> SearchStrategy[LinearModel]:
    """More latents than 32, so that proposals are normal."""
    return st.builds(
        LinearModel,
        st.sampled_from((33, 48, 64, 128)),
        st.sampled_from((1.0, 0.1, 0.01, 10.0)),
        st.integers(0, 99),
    )


@once
def _evidence(scene: LinearModel) -> tuple[Array, Array]:
    """Log evidences in closed form, and their errors."""
    X, _ = simulate(scene.model, _DATA, scene.seed)
    found = linear_log_evidence(scene.model, X)
    return found.value, found.error


def linear_bracket(scene: LinearModel, wide: float, factor: float) -> Bracket:
    """The bracket, with proposals of another width or another noise."""
    X, z = simulate(scene.model, _DATA, scene.seed)
    other = scene.model.with_likelihood(likelihoods.Gaussian(scale=factor * scene.noise))
    target = Target.of(other, X, 1)
    q = laplace_mixture(target)
    parts = iter([(slice(0, _DATA), replace(q, roots=wide * q.roots))])
    return bracket_by(target, parts, z, Settings(1 - LEVEL, False, _DRAWS, 4, "sobol"))


def linear_models_are_exact(
    scene: LinearModel, *, wide: float = 1.0, factor: float = 1.0
) -> Comparison:
    """Compare the bracket's value with the closed form, and the closed form with the bounds."""
    truth, error = _evidence(scene)
    found = linear_bracket(scene, wide, factor)
    rounding = float(found.diagnostics["rounding"].max())
    scale = 1 + float(np.abs(truth).mean())
    value = Comparison.identity(
        found.value, truth.mean(), scale=scale, rounding=rounding, closed_form=error.mean()
    )
    bounds = Comparison.at_most(
        [float(found.lower), truth.mean()],
        [truth.mean(), float(found.upper)],
        scale=scale,
        closed_form=error.mean(),
    )
    return Comparison.all_of(value, bounds)


LINEAR_MODELS = Proposition(
    label="24d",
    title="With the posterior as proposal every weight is the evidence",
    statement=(
        r"q(z) = p(z|x) \Rightarrow w(z) = p(x) \text{ for all } z:\quad"
        r"\text{linear models are exact to rounding, } 33 \le d \le 128"
    ),
    hypotheses=(
        ("a linear model", r"x = W z + \sigma\varepsilon,\ W \in \mathbb R^{(d+3) \times d}"),
        ("normal proposals", r"\text{at the mode, with the Hessian as precision}"),
    ),
    kind="identity",
    instances=linear_models(),
    check=linear_models_are_exact,
    controls=wrong(
        linear_models_are_exact,
        {
            "a proposal that is wider by a tenth": {"wide": 1.1},
            "a proposal that is narrower by a hundredth": {"wide": 0.99},
            "a noise that is larger by a thousandth": {"factor": 1.001},
        },
    ),
    uses=("24a", "24c"),
    examples=4,
)
