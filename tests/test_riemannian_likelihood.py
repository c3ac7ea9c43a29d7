"""Claim 7 beside its registry: the sums it rests on, and where the statements end."""

import numpy as np
import pytest
from hypothesis import find
from likelihood_cases import scipy_law
from scipy import stats

from vaetheory import LatentModel, Posterior, decoders, likelihoods, stationary_posterior
from vaetheory.claims.riemannian_likelihood import repeated_data
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, FamilyScene
from vaetheory.claims.riemannian_likelihood.repeated_data import Repeated, RepeatedScene
from vaetheory.geometry import pullback_metric


def _bump(x):
    return 1 / (1 + x**2)


@pytest.mark.parametrize(
    "name",
    [n for n in FAMILIES if n not in ("Categorical", "Gaussian, diagonal", "Gaussian, full")],
)
def test_sums_over_the_supports_agree_with_scipy(name):
    scene = FamilyScene(name, find(FAMILIES[name].constants, lambda constants: True), (0.5,))
    law = scipy_law(scene.likelihood, np.array(0.5))
    circle = scene.likelihood.support is likelihoods.Support.CIRCLE
    function = np.cos if circle else _bump
    value, error, size = scene.expectation(
        lambda x: np.concatenate([np.ones_like(x), function(x)], axis=-1)
    )
    assert abs(value[0] - 1) <= error[0], f"{name}: the density sums to {value[0]}"
    assert (error <= 1e-9 * np.maximum(size, 1)).all(), f"{name}: a loose error figure {error}"
    options = {} if hasattr(law.dist, "pmf") else {"epsabs": 1e-12, "limit": 500}
    if circle:
        options |= {"lb": -np.pi, "ub": np.pi}
    expected = law.expect(function, **options)
    assert abs(value[1] - expected) < 1e-9, (
        f"{name}: E[{function.__name__}] {value[1]}, SciPy's {expected}"
    )


def test_the_constant_of_a_linear_gaussian_model_is_the_prior():
    scene = RepeatedScene("Gaussian", (2.0, 1.0), (0.0, 0.0), 0.5)
    assert abs(repeated_data.next_order(scene) - 1) < 1e-14, "S^-1 = I + n g exactly"
    counts = np.array([1.0, 100.0])
    found, errors, g = repeated_data.measured_precisions(scene, counts)
    assert (np.abs(found - g - 1 / counts) <= errors).all(), f"{found}, g = {g}"


def test_a_datum_off_the_curve_keeps_its_residual():
    """7c read literally: repeat any datum, and the precision grows as n g(z). It does not."""
    parabola = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 1.0]])
    family, n = likelihoods.Gaussian(scale=1.0), 4.0**8
    model = LatentModel(parabola, Repeated(family, n), 1)
    # Half a unit along the normal at 0: -Hess = f'.f' - r.f'' = 1 - 0.25 * 2.
    best = stationary_posterior(model, [0.0, 0.25], start=Posterior([0.0], cov=[[1 / n]]))
    g = pullback_metric(LatentModel(parabola, family, 1), [0.0])[0, 0]
    assert abs(g - 1) < 1e-14, f"the metric at the foot is {g}"
    precision = 1 / best.cov[0, 0] / n
    assert abs(precision - 0.5) < 1e-3, f"precision / n tends to {precision}, not to g"


def test_a_repeated_datum_of_a_curved_family_does_not_see_its_metric():
    """One datum n times is no sample of a Student-t: its information is that at the mode."""
    family, n = likelihoods.StudentT(dof=3.0, scale=1.0), 4.0**8
    model = LatentModel(decoders.Affine([[1.0]]), Repeated(family, n), 1)
    best = stationary_posterior(model, [0.5], start=Posterior([0.5], cov=[[1 / n]]))
    precision = 1 / best.cov[0, 0] / n
    assert abs(precision - 4 / 3) < 1e-3, f"{precision}: (nu + 1) / nu was expected"
    fisher = family.fisher_information(np.zeros(1))[0, 0]
    assert abs(fisher - 4 / 6) < 1e-14, f"the Fisher information is {fisher}"


def test_a_fold_has_no_metric_at_its_edge():
    fold = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Poisson(), 1)
    g = pullback_metric(fold, [[-1.0], [0.0], [1.0]])[:, 0, 0]
    assert g[1] == 0, f"definite at the fold: {g}"
    assert (g[[0, 2]] > 0).all(), f"degenerate beside the fold: {g}"


def test_the_divergence_of_laplaces_family_has_a_second_derivative():
    """KL = |d| / s + exp(-|d| / s) - 1 is twice differentiable: the Hessian form alone fails."""
    s, h = 0.5, 2.0 ** -np.arange(4.0, 10.0)
    x = np.linspace(-30.0, 30.0, 2_000_001)
    p = stats.laplace.pdf(x, 0, s)
    for step in h[:2]:
        ratio = stats.laplace.logpdf(x, 0, s) - stats.laplace.logpdf(x, step, s)
        divergence = float((p * ratio).sum() * (x[1] - x[0]))
        closed = step / s + np.expm1(-step / s)
        assert abs(divergence - closed) < 1e-8, f"KL {divergence}, closed form {closed}"
    second = 2 * (h / s + np.expm1(-h / s)) / h**2
    assert (np.abs(second - 1 / s**2) < h / s**3).all(), f"{second} does not tend to 1 / s^2"
