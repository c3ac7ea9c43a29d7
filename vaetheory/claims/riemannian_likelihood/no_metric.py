"""The check of 7e: families that induce no Riemannian metric, and the identity that fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.geometry import fisher_information, pullback_metric
from vaetheory.likelihoods import Likelihood, NoMetricError
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_CELLS = 64
_STEP = 2.0**-10


@dataclass(frozen=True)
class Refused:
    """A member of a family without a metric: uniform on (0, exp(param)), or Laplace."""

    family: str
    param: float
    scale: float

    @property
    def likelihood(self) -> Likelihood:
        """The library's family."""
        if self.family == "Uniform":
            return likelihoods.Uniform()
        return likelihoods.Laplace(scale=self.scale)

    def log_density(self, x: Array, param: float) -> Array:
        """Log density by SciPy."""
        from scipy import stats

        if self.family == "Uniform":
            return stats.uniform.logpdf(x, 0, np.exp(param))
        return stats.laplace.logpdf(x, param, self.scale)


def refused_scenes() -> SearchStrategy[Refused]:
    """Both families at small parameters."""
    return st.builds(
        Refused,
        st.sampled_from(("Uniform", "Laplace")),
        strategies.fractions(-4, 4, 2),
        st.sampled_from((1.0, 0.5, 2.0)),
    )


@dataclass(frozen=True)
class Forms:
    """E[score], E[score^2] and -E[Hessian] over the support, and the error of each."""

    mean_score: float
    score_form: float
    hessian_form: float
    error: float


def measured_forms(scene: Refused) -> Forms:
    """Differences of the log density, averaged over equally likely cells of the support.

    The score is constant on either side of the mode, so the only error of the averages is
    rounding; the middles of the cells are away from the mode and from the end of the support.
    """
    from scipy import stats

    middles = (np.arange(_CELLS) + 0.5) / _CELLS
    unit = stats.uniform() if scene.family == "Uniform" else stats.laplace(scale=scene.scale)
    x = unit.ppf(middles)
    x = x * np.exp(scene.param) if scene.family == "Uniform" else x + scene.param
    h = _STEP * scene.scale
    low, here, high = (scene.log_density(x, scene.param + k * h) for k in (-1, 0, 1))
    score, hessian = (high - low) / (2 * h), (high - 2 * here + low) / h**2
    size = 1 + float(np.abs(here).max()) + abs(scene.param) / scene.scale
    return Forms(
        float(score.mean()),
        float((score**2).mean()),
        -float(hessian.mean()),
        error=float(gamma(20) * size / h**2),
    )


def library_refuses(likelihood: Likelihood, failing: str) -> float:
    """1 if Fisher and pull-back metric raise an error that names the failing identity, else 0."""
    refusals: tuple[Callable[[], object], ...] = (
        lambda: fisher_information(likelihood, [0.0]),
        lambda: pullback_metric(LatentModel(decoders.Affine([[1.0]]), likelihood, 1), [0.0]),
    )
    for attempt in refusals:
        try:
            attempt()
        except NoMetricError as error:
            if failing not in str(error):
                return 0.0
        else:
            return 0.0
    return 1.0


def asked_for(scene: Refused) -> Likelihood:
    """The family itself."""
    return scene.likelihood


def a_gaussian(scene: Refused) -> Likelihood:
    """A family that has a metric."""
    return likelihoods.Gaussian(scale=scene.scale)


def as_the_score_form(scene: Refused) -> float:
    """The Hessian form that the identity would give: 1 / scale^2 for Laplace."""
    return 1 / scene.scale**2 if scene.family == "Laplace" else 0.0


def metric_is_refused(
    scene: Refused,
    *,
    mean_score: float = -1.0,
    hessian_form: Callable[[Refused], float] = lambda scene: 0.0,
    likelihood: Callable[[Refused], Likelihood] = asked_for,
) -> Comparison:
    """Measure the identity that fails, and check that the library's error names it."""
    forms = measured_forms(scene)
    uniform = scene.family == "Uniform"
    failing = "E[score] = 0" if uniform else "E[score score^T] = -E[Hessian]"
    scale = 1 + 1 / scene.scale**2
    squared = 1.0 if uniform else 1 / scene.scale**2
    parts = (
        (forms.mean_score, mean_score if uniform else 0.0),
        (forms.score_form, squared),
        (forms.hessian_form, hessian_form(scene)),
    )
    return Comparison.all_of(
        *[
            Comparison.identity(measured, value, scale=scale, rounding=forms.error)
            for measured, value in parts
        ],
        Comparison.identity(library_refuses(likelihood(scene), failing), 1.0, scale=1.0),
    )


METRIC_IS_REFUSED = Proposition(
    label="7e",
    title="Uniform and Laplace have no metric: each is refused by the identity that fails",
    statement=(
        r"\text{uniform on }(0, e^\theta):\ \mathbb E[s] = -1 \ne 0;\qquad"
        r"\text{Laplace}:\ \mathbb E[s^2] = 1/b^2 \ne 0 = -\mathbb E[\nabla^2\log p]"
    ),
    hypotheses=(
        (
            "7a without its hypotheses",
            r"\text{a support that moves, a density with a kink at its parameter}",
        ),
    ),
    kind="counterexample",
    instances=refused_scenes(),
    check=metric_is_refused,
    controls=wrong(
        metric_is_refused,
        {
            "the mean score of the uniform vanishes": {"mean_score": 0.0},
            "Laplace's Hessian form is its score form": {"hessian_form": as_the_score_form},
            "the Gaussian is refused as well": {"likelihood": a_gaussian},
        },
    ),
    uses=("7a",),
)
