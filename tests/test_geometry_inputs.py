"""Bad input to the geometry of decoders: what was expected, and what came."""

import autograd.numpy as anp
import numpy as np
import pytest
from known_metrics import half_plane, sphere, three_sphere

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory.geometry import (
    FunctionMetric,
    PullbackMetric,
    arc_length,
    arc_length_parametrisation,
    as_metric,
    christoffel_symbols,
    decoder_hessian,
    fisher_information,
    gaussian_curvature,
    geodesic,
    geodesic_between,
    pullback_metric,
    riemann_curvature,
    sectional_curvature,
)

MODEL = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=1.0), 1)
FOLD = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=1.0), 1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fisher_information(3, [0.0]), "likelihood: expected a member of"),
        (lambda: fisher_information(likelihoods.Poisson(), [np.nan]), "params: expected finite"),
        (lambda: pullback_metric(MODEL, [0.0, 1.0]), r"z: expected shape \(..., 1\)"),
        (lambda: pullback_metric(sphere, [0.0]), "model: expected a LatentModel"),
        (lambda: decoder_hessian(MODEL, [[0.0, 0.0]], [0.0]), "same leading axes"),
        (lambda: decoder_hessian(MODEL, [0.0], [0.0]), r"X: expected shape \(..., 2\)"),
        (lambda: christoffel_symbols(3, [0.0]), "metric: expected a callable"),
        (lambda: christoffel_symbols(MODEL, [0.0, 1.0]), "latent dimension 2"),
        (lambda: christoffel_symbols(lambda z: z, [0.0, 1.0]), r"metric: expected real numbers of"),
        (lambda: christoffel_symbols(sphere, [0.0, 1.0]), r"positive-definite matrix at z = \[0.0"),
        (lambda: riemann_curvature(half_plane, [[0, 1], [2, 0]]), r"at z = \[2.0, 0.0\], got"),
        (lambda: christoffel_symbols(FOLD, [0.0]), "got tangent vectors of lengths"),
        (lambda: riemann_curvature(FOLD, [0.0]), r"at z = \[0.0\], got a diagonal"),
        (
            lambda: christoffel_symbols(
                LatentModel(lambda z: z, likelihoods.Categorical(), 2), [0.0, 1.0]
            ),
            "span less than 2 dimensions",
        ),
        (
            lambda: christoffel_symbols(lambda z: anp.array([[1.0, 0.5], [0.0, 1.0]]), [0.0, 1.0]),
            "asymmetric",
        ),
        (lambda: christoffel_symbols(sphere, "z"), "z: expected an array of real numbers"),
        (lambda: gaussian_curvature(three_sphere, [1.0, 1.0, 1.0]), r"shape \(..., 2\)"),
        (lambda: sectional_curvature(sphere, [1.0, 0.0], [1, 2], [2, 4]), "got parallel ones"),
        (lambda: sectional_curvature(sphere, [1.0, 0.0], [0, 0], [2, 4]), "null vector"),
        (lambda: sectional_curvature(sphere, [1.0, 0.0], [[1, 0]], [2, 4]), "same leading axes"),
        (lambda: geodesic(sphere, [1.0, 0.0], [1.0], [0, 1]), r"velocity: expected shape"),
        (lambda: geodesic(sphere, [1.0, 0.0], [1.0, 0.0], [1, 0]), "t: expected increasing"),
        (lambda: geodesic(sphere, [1.0, 0.0], [1.0, 0.0], [-1, 0]), "t: expected increasing"),
        (lambda: geodesic_between(sphere, [1.0, 0.0], [1.0, 0.0]), "two different points"),
        (
            lambda: geodesic_between(sphere, [1, 0], [1, 1], points=1.5),
            "points: expected an integer",
        ),
        (lambda: arc_length(half_plane, lambda t: t, 0.0, 1.0), "curve: expected to map"),
        (lambda: arc_length(half_plane, lambda t: t, 1.0, 1.0), "a and b: expected a < b"),
        (lambda: arc_length_parametrisation(MODEL, 1.0, 0.0), "lower and upper"),
        (lambda: arc_length_parametrisation(FOLD, -1.0, 1.0), "positive-definite"),
        (
            lambda: arc_length_parametrisation(lambda z: 1.25 + anp.sign(z - 0.3)[..., None], 0, 1),
            "a rough one near z = 0.3",
        ),
        (
            lambda: arc_length_parametrisation(MODEL, 0.0, 1.0).latent(2.0),
            r"s: expected numbers in \[0, 1\]",
        ),
        (lambda: PullbackMetric(sphere), "model: expected a LatentModel"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_as_metric_leaves_a_metric_alone():
    metric = FunctionMetric(sphere)
    assert as_metric(metric, 2) is metric, "a Metric is what it is"
