"""Check of 9c-memorised: the growth of the ELBO when a decoder memorises its data."""

from __future__ import annotations

from dataclasses import dataclass
from math import factorial

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.optimize import minimize_scalar

from vaetheory import decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instability.growth import LADDER, counterpart_is_bounded, growth
from vaetheory.claims.instability.hypotheses import GAUSSIAN
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

# Odd polynomials with p(1) = 1 and k - 1 vanishing derivatives there; p(1 + t) = 1 + c t^k + ...
_PLATEAUS: dict[int, tuple[Vector, float]] = {
    1: ((1.0, 0.0, 0.0), 1.0),
    2: ((1.5, -0.5, 0.0), -1.5),
    3: ((15 / 8, -10 / 8, 3 / 8), 2.5),
}


@dataclass(frozen=True)
class MemoryScene:
    """Data +-x that a decoder, flat to order k - 1 at the codes, memorises at the codes +-1."""

    x: Vector
    flatness: int
    coarsest: float

    @property
    def decoder(self) -> Decoder:
        """The decoder z -> x p(z), p an odd polynomial of degree 2 k - 1."""
        weights = np.array(_PLATEAUS[self.flatness][0])
        return decoders.Polynomial([[1], [3], [5]], weights[:, None] * np.array(self.x))


@st.composite
def memory_scenes(draw: DrawFn) -> MemoryScene:
    """Pairs +-x of data in one to three dimensions."""
    data_dim = draw(st.integers(1, 3))
    x = draw(st.tuples(*[strategies.nonzero_fractions(4, 2)] * data_dim))
    coarsest = draw(st.sampled_from((1.0, 1 / 4, 1 / 16)))
    return MemoryScene(x, draw(st.sampled_from((1, 2, 3))), coarsest)


@once
def memory_values(scene: MemoryScene) -> tuple[Array, Array, Array, list[Posterior]]:
    """Sigma, the best ELBO over one posterior deviation, its error, and the posteriors."""
    k, size = scene.flatness, float(np.linalg.norm(scene.x))
    bend = _PLATEAUS[k][1]
    # The k-th root of sigma halves: the remainder of the ELBO expands in its square.
    scales = size * (scene.coarsest / 16 * LADDER) ** k
    X = np.array([scene.x, tuple(-v for v in scene.x)])
    nodes, weights = hermite_rule(7, 1)
    values, errors, posteriors = [], [], []
    for scale in scales:
        # The s that minimises 1/2 E[(c s^k eps^k |x| / sigma)^2] - log s.
        moment = float(np.prod(np.arange(1, 2 * k, 2)))
        start = np.log((scale**2 / (k * (bend * size) ** 2 * moment)) ** (1 / (2 * k)))

        def loss(log_s: float, scale: float = float(scale)) -> float:
            z = 1 + np.exp(log_s) * nodes
            square = ((scene.decoder(z) - X[0]) ** 2).sum(axis=-1)
            return float(weights @ square / (2 * scale**2) + np.exp(2 * log_s) / 2 - log_s)

        search = minimize_scalar(loss, bounds=(start - 1, start + 1), method="bounded")
        posterior = Posterior(
            np.array([[1.0], [-1.0]]), cov=np.full((2, 1, 1), np.exp(2 * search.x))
        )
        model = LatentModel(scene.decoder, likelihoods.Gaussian(scale=float(scale)), 1)
        value = elbo(model, X, posterior)
        values.append(float(value.value.mean()))
        # The minimum is flat: an error of the search counts squared.
        errors.append(float(value.error.mean()) + 4 * k**2 * 1e-5**2)
        posteriors.append(posterior)
    return scales, np.array(values), np.array(errors), posteriors


def memory_limit(scene: MemoryScene) -> float:
    """The constant of the ELBO, next to -(D - 1 / k) log sigma."""
    k, size, bend = scene.flatness, float(np.linalg.norm(scene.x)), _PLATEAUS[scene.flatness][1]
    moment = factorial(2 * k) / (2**k * factorial(k))
    # At the best s the expected residual costs 1 / (2 k), and the code 1 costs 1/2 in the prior.
    best = -np.log(k * (bend * size) ** 2 * moment) / (2 * k)
    return float(-0.5 * len(scene.x) * LOG_2PI - 1 / (2 * k) + 0.5 + best - 0.5)


def memory_growth(scene: MemoryScene, *, flatness: str = "D - 1 / k") -> Comparison:
    """Check that the ELBO of two memorised data grows as -(D - 1 / k) log sigma, also for D = 1."""
    scales, values, errors, posteriors = memory_values(scene)
    data_dim, k = len(scene.x), scene.flatness
    slopes = {"D - 1 / k": data_dim - 1 / k, "D - 1": data_dim - 1.0, "D": float(data_dim)}
    X = np.array([scene.x, tuple(-v for v in scene.x)])
    counterparts = [counterpart_is_bounded(scene.decoder, X, posterior) for posterior in posteriors]
    return Comparison.all_of(
        growth(values, errors, scales, slope=slopes[flatness], constant=memory_limit(scene)),
        *counterparts,
    )


MEMORISED_DATA = Proposition(
    label="9c-memorised",
    title="Memorised data: the flatter the decoder at the codes, the faster the growth",
    statement=(
        r"\sup_s\mathrm{ELBO}(\sigma) = -(D - \tfrac1k)\log\sigma + C + o(1),\quad "
        r"f(\pm1 + t) = \pm x + c\,t^k + \dots,\ d = 1;\quad "
        r"k \to \infty:\ -D\log\sigma"
    ),
    hypotheses=(
        GAUSSIAN,
        ("memorised", r"f(\pm 1) = \pm x"),
        (
            "flat at the codes",
            r"\text{derivatives of order } 1, \dots, k - 1 \text{ vanish}",
        ),
    ),
    kind="rate",
    instances=memory_scenes(),
    check=memory_growth,
    controls=wrong(
        memory_growth,
        {
            "D - 1 for D - 1 / k": {"flatness": "D - 1"},
            "D for D - 1 / k": {"flatness": "D"},
        },
    ),
    uses=("9c",),
    figure="instability",
    resolution=0.01,
    examples=8,
)
