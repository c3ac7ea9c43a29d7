"""The check of 1b: with a free covariance the optimal one is Cov[x|z]."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._gaussians import LOG_2PI
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.lattice import aggregate_expectation, agree
from vaetheory.checking.strategies import Covariance, EncodedData
from vaetheory.claims.optimal_decoder.scenes import Wave, mean_over_data, waves
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class FreeCovariance:
    """Data with their encoder, and another decoder with covariance (1 + sin^2 z) Lambda."""

    scene: EncodedData
    f: Wave
    cov: Covariance


@st.composite
def free_covariances(draw: DrawFn) -> FreeCovariance:
    """Affinely independent data with overlapping posteriors, so that Cov[x|z] is not singular."""
    data_dim = draw(st.integers(1, 2))
    X = draw(strategies.data_sets(data_dim, data_dim + 1, data_dim + 3))
    volumes = [v for _, v in _simplices(np.array(X))]
    assume(max(volumes) > 0.2)
    scene = draw(
        strategies.encoded_data(1, st.just(X), shared=True, reach=2, variances=(1.0, 2.0, 0.5))
    )
    return FreeCovariance(scene, draw(waves(1, data_dim)), draw(strategies.covariances(data_dim)))


def _simplices(X: Array) -> list[tuple[tuple[int, ...], float]]:
    """Each choice of D + 1 data with the squared volume that their differences span."""
    size = X.shape[1] + 1
    chosen = list(combinations(range(len(X)), size))
    return [(c, float(np.linalg.det(X[list(c[1:])] - X[c[0]]) ** 2)) for c in chosen]


def _log_det_by_simplices(scene: EncodedData, z: Array) -> Array:
    """Log det Cov_{q(x|z)}[x] by Cauchy-Binet: a sum of positive terms without cancellation."""
    logs = scene.encoder.log_responsibilities(z)
    terms = [
        logs[..., list(c)].sum(axis=-1) + np.log(v) for c, v in _simplices(scene.data) if v > 1e-20
    ]
    return np.asarray(np.logaddexp.reduce(terms, axis=0))


def _gaussian_log_prob(x: Array, mean: Array, cov: Array) -> Array:
    solved = np.linalg.solve(cov, (x - mean)[..., None])[..., 0]
    square = ((x - mean) * solved).sum(axis=-1)
    return -0.5 * (square + np.linalg.slogdet(cov)[1] + x.shape[-1] * LOG_2PI)


def _swelling(z: Array) -> Array:
    """A factor that makes the rival's covariance depend on z, `(..., 1, 1)`."""
    return 1 + np.sin(z[..., :1, None]) ** 2


def covariance_deficit(
    instance: FreeCovariance, *, inflate: float = 0.0, reverse: bool = False, log_det: bool = True
) -> Comparison:
    """Compare what (f, Lambda) loses with E_{q(z)} KL( N(f*, Lambda*) || N(f, Lambda) )."""
    scene = instance.scene
    best = OptimalDecoder(scene.data, scene.encoder)
    other = instance.cov.matrix
    data_dim = other.shape[0]
    count = len(scene.X)
    factor = 1 + inflate / (count - 1)

    def gain(x: Array, z: Array) -> Array:
        cov = factor * best.cov(z, allow_singular=True)
        rival = _gaussian_log_prob(x, instance.f(z), _swelling(z) * other)
        return _gaussian_log_prob(x, best(z), cov) - rival

    def divergence(z: Array) -> Array:
        cov = best.cov(z, allow_singular=True)
        shift = instance.f(z) - best(z)
        rival = _swelling(z) * other
        first, second = (rival, cov) if reverse else (cov, rival)
        trace = np.trace(np.linalg.solve(second, first), axis1=-2, axis2=-1)
        square = (shift * np.linalg.solve(second, shift[..., None])[..., 0]).sum(axis=-1)
        ratio = np.linalg.slogdet(rival)[1] - _log_det_by_simplices(scene, z)
        signed = -ratio if reverse else ratio
        return 0.5 * (trace + square - data_dim + (signed if log_det else 0.0))

    # A solve with Cov[x|z] loses its condition number; the average is that of the ELBO.
    nodes, weights = hermite_rule(40, 1)
    z = scene.encoder.loc[:, None] + nodes * np.sqrt(scene.encoder.cov[0])
    cov = best.cov(z, allow_singular=True)
    square = np.linalg.solve(cov, (scene.data[:, None] - best(z))[..., None])[..., 0]
    size = 1 + np.abs((scene.data[:, None] - best(z)) * square).sum(axis=-1)
    lost = gamma(40 * data_dim * count) * float((np.linalg.cond(cov) * size @ weights).mean())
    return agree(
        mean_over_data(gain, scene),
        aggregate_expectation(divergence, scene.encoder),
        size=1.0,
        rounding=lost,
    )


COVARIANCE_IS_CONDITIONAL = Proposition(
    label="1b",
    title="With a free covariance, Lambda*(z) = Cov_{q(x|z)}[x], and the deficit is a KL",
    statement=(
        r"\mathrm{ELBO}[f^*,\Lambda^*] - \mathrm{ELBO}[f,\Lambda] = \mathbb E_{q(z)}"
        r"\mathrm{KL}(\mathcal N(f^*,\Lambda^*)\,\|\,\mathcal N(f,\Lambda))"
    ),
    hypotheses=(
        ("fixed encoder", r"q(z|x_n)"),
        ("non-singular", r"\mathrm{Cov}_{q(x|z)}[x] \succ 0 \text{ for all } z"),
    ),
    kind="identity",
    instances=free_covariances(),
    check=covariance_deficit,
    controls=wrong(
        covariance_deficit,
        {
            "the N - 1 covariance": {"inflate": 1.0},
            "the reversed KL": {"reverse": True},
            "no log determinant": {"log_det": False},
        },
    ),
    uses=("1a",),
    figure="optimal-decoder",
)
