"""Check of 9c-full: with D = d and a linear decoder the ELBO is bounded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.instability.growth import LADDER
from vaetheory.claims.instability.hypotheses import GAUSSIAN
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class FullScene:
    """Centred data of a given covariance and a linear decoder, with as many latent dimensions."""

    cov: Covariance
    weight: tuple[Vector, ...]
    loc: Vector
    scale: float

    @property
    def data(self) -> Array:
        """2 D data with that covariance and mean zero."""
        root = np.linalg.cholesky(self.cov.matrix)
        root = root.T * np.sqrt(len(root))
        return np.concatenate([root, -root])


@st.composite
def full_scenes(draw: DrawFn) -> FullScene:
    """Data of one or two dimensions, and some other linear decoder and posterior."""
    dim = draw(st.integers(1, 2))
    return FullScene(
        draw(strategies.covariances(dim)),
        draw(st.tuples(*[strategies.vectors(dim)] * dim)),
        draw(strategies.vectors(dim)),
        draw(st.sampled_from((0.25, 1 / 16, 1 / 256))),
    )


def full_is_bounded(scene: FullScene, *, slope: float = 0.0, correlated: bool = True) -> Comparison:
    """Check that the best ELBO is the same for all sigma, minus the entropy of a Gaussian."""
    cov, X = scene.cov.matrix, scene.data
    most = -float(_gaussians.entropy(cov if correlated else np.diag(np.diagonal(cov))))
    values, vectors = np.linalg.eigh(cov)
    scales = scene.scale * LADDER * np.sqrt(values[0])
    rounding = gamma(1000) * (1 + abs(most)) * float(np.linalg.cond(cov))
    parts = []
    for scale in scales:
        # Principal components: W W^T + sigma^2 I equals the covariance.
        weight = vectors * np.sqrt(values - scale**2)
        loc, width = X @ weight / values, np.diag(scale**2 / values)
        best = _linear_elbo(weight, scale, X, Posterior(loc, cov=width))
        other = _linear_elbo(
            np.array(scene.weight), scale, X, Posterior(loc + np.array(scene.loc), cov=width)
        )
        limit = most - slope * np.log(scale)
        parts += [
            Comparison.identity(
                best[0], limit, scale=1 + abs(most), elbo=best[1], rounding=rounding
            ),
            Comparison.at_most(
                other[0], limit, scale=1 + abs(other[0]), elbo=other[1], rounding=rounding
            ),
        ]
    return Comparison.all_of(*parts)


@once
def _linear_elbo(
    weight: Array, scale: float, X: Array, posterior: Posterior
) -> tuple[float, float]:
    """Mean ELBO of a linear decoder, and its error."""
    model = LatentModel(
        decoders.Affine(weight), likelihoods.Gaussian(scale=float(scale)), weight.shape[1]
    )
    bound = elbo(model, X, posterior)
    return float(bound.value.mean()), float(bound.error.mean())


FULL_DIMENSION = Proposition(
    label="9c-full",
    title="With D = d and a linear decoder the ELBO is bounded, whatever sigma",
    statement=(
        r"\max_{W, q}\mathrm{ELBO}(\sigma) = -\tfrac12\log\det(2\pi e\,\Sigma)"
        r"\text{ for all } \sigma^2 < \lambda_{\min}(\Sigma)"
    ),
    hypotheses=(
        GAUSSIAN,
        ("linear, D = d", r"f(z) = Wz,\ W \in \mathbb R^{D\times D}"),
        ("full rank", r"\Sigma = \tfrac1N\sum_n x_n x_n^\top \succ 0"),
    ),
    kind="counterexample",
    instances=full_scenes(),
    check=full_is_bounded,
    controls=wrong(
        full_is_bounded,
        {
            "growth as -log sigma": {"slope": 1.0},
            "the correlations ignored": {"correlated": False},
        },
    ),
    uses=("3c", "9c"),
    examples=8,
)
