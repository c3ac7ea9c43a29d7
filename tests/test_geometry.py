"""Geometry of decoders: metrics, connection, curvature, geodesics and arc length."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import polygamma
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from known_metrics import (
    cone,
    diagonal,
    half_plane,
    normal_family,
    sphere,
    stereographic,
    three_sphere,
    tilted,
)
from scipy.special import i0, i1

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory.geometry import (
    christoffel_symbols,
    decoder_hessian,
    fisher_information,
    gaussian_curvature,
    pullback_metric,
    ricci_curvature,
    riemann_curvature,
    scalar_curvature,
    sectional_curvature,
)
from vaetheory.rounding import gamma

OPERATIONS = 500


def coordinates(dim, low=-1.5, high=1.5):
    entry = st.integers(int(low * 8), int(high * 8)).map(lambda k: k / 8)
    return arrays(np.float64, (3, dim), elements=entry)


CONSTANT = {
    "sphere in polar angles": (sphere, 1.0, (0.25, 2.5)),
    "sphere in stereographic coordinates": (stereographic, 1.0, (-2.0, 2.0)),
    "hyperbolic half-plane": (half_plane, -1.0, (0.125, 4.0)),
    "Fisher metric of the normal family": (normal_family, -0.5, (0.125, 4.0)),
    "cone": (cone, 0.0, (0.125, 4.0)),
}


@pytest.mark.parametrize("name", CONSTANT)
@given(data=st.data())
@settings(max_examples=12)
def test_surfaces_of_constant_curvature(name, data):
    metric, value, (low, high) = CONSTANT[name]
    z = data.draw(coordinates(2, low, high))
    found = gaussian_curvature(metric, z)
    g = metric(z)
    # The second derivatives of g are of its size over the squared distance to a pole.
    reach = np.minimum(np.abs(z), np.abs(np.pi - z)).min(axis=-1) if low > 0 else 1.0
    condition = np.linalg.cond(g) / np.minimum(reach, 1.0) ** 2
    bound = gamma(OPERATIONS) * condition
    assert (np.abs(found - value) <= bound).all(), f"{name}: curvature {found}, expected {value}"
    assert (np.abs(scalar_curvature(metric, z) - 2 * value) <= 4 * bound).all(), f"{name}: scalar"
    ricci = ricci_curvature(metric, z)
    size = np.abs(g).max(axis=(-2, -1))
    off = np.abs(ricci - value * g).max(axis=(-2, -1))
    assert (off <= 4 * bound * size).all(), f"{name}: Ricci curvature is not K g"
    turned = sectional_curvature(metric, z, [1.0, 0.5], [-0.5, 2.0])
    assert (np.abs(turned - value) <= 4 * bound).all(), f"{name}: sectional curvature {turned}"


def test_the_three_sphere():
    z = np.array([[1.0, 0.5, 0.2], [2.0, 1.0, -1.0]])
    assert np.abs(scalar_curvature(three_sphere, z) - 6).max() < gamma(OPERATIONS) * 100, "not 6"
    for u, v in (([1, 0, 0], [0, 1, 0]), ([1, 2, 0], [0, 1, 1])):
        found = sectional_curvature(three_sphere, z, u, v)
        assert np.abs(found - 1).max() < gamma(OPERATIONS) * 100, f"sectional curvature {found}"
    assert np.abs(ricci_curvature(three_sphere, z) - 2 * three_sphere(z)).max() < 1e-12, "Einstein"


def test_a_product_of_a_sphere_and_a_line_is_curved_in_one_plane_only():
    def product(z):
        one = anp.ones_like(z[..., 0])
        return diagonal(one, anp.sin(z[..., 0]) ** 2, one)

    z = np.array([0.75, 0.0, 2.0])
    found = [sectional_curvature(product, z, *p) for p in ((np.eye(3)[[0, 1]]), np.eye(3)[[0, 2]])]
    assert np.abs(np.array(found) - [1.0, 0.0]).max() < 1e-13, f"curvatures {found}"
    assert abs(scalar_curvature(product, z) - 2) < 1e-13, "the line adds nothing"


# Symmetries --------------------------------------------------------------------------------------


@given(z=coordinates(3))
@settings(max_examples=20)
def test_the_symmetries_of_the_connection_and_the_curvature(z):
    g = tilted(z)
    christoffel = christoffel_symbols(tilted, z)
    raised = riemann_curvature(tilted, z)
    lowered = np.einsum("...ae,...ebcd->...abcd", g, raised)
    scale = np.abs(lowered).max() + np.linalg.norm(g, axis=(-2, -1)).max()
    bound = gamma(OPERATIONS) * np.linalg.cond(g).max() * scale
    bianchi = lowered + np.einsum("...acdb->...abcd", lowered)
    bianchi = bianchi + np.einsum("...adbc->...abcd", lowered)
    torsion = christoffel - np.swapaxes(christoffel, -1, -2)
    for name, off in {
        "torsion": torsion,
        "antisymmetry in c, d": raised + np.swapaxes(raised, -1, -2),
        "antisymmetry in a, b": lowered + np.swapaxes(lowered, -3, -4),
        "symmetry of the pairs": lowered - np.einsum("...cdab->...abcd", lowered),
        "first Bianchi identity": bianchi,
    }.items():
        assert np.abs(off).max() <= bound, f"{name}: off by {np.abs(off).max()}"


@given(z=coordinates(3))
@settings(max_examples=12)
def test_the_curvature_is_the_one_of_its_definition(z):
    """R from the derivative of Gamma by complex-free differences, in the order of the docstring."""
    gam = christoffel_symbols(tilted, z)
    h = 2.0**-9
    slope = np.stack(
        [
            (
                8
                * (christoffel_symbols(tilted, z + h * e) - christoffel_symbols(tilted, z - h * e))
                - christoffel_symbols(tilted, z + 2 * h * e)
                + christoffel_symbols(tilted, z - 2 * h * e)
            )
            / (12 * h)
            for e in np.eye(3)
        ],
        axis=-1,
    )
    # slope[a, b, c, k] = d_k Gamma^a_bc
    expected = np.einsum("...adbc->...abcd", slope) - np.einsum("...acbd->...abcd", slope)
    expected = expected + np.einsum("...ace,...edb->...abcd", gam, gam)
    expected = expected - np.einsum("...ade,...ecb->...abcd", gam, gam)
    found = riemann_curvature(tilted, z)
    size = 1 + np.abs(gam).max() ** 2 + np.abs(slope).max()
    # Fourth-order differences: h^4 times a fifth derivative, which is at most some 1e3 of the size.
    bound = size * (1e3 * h**4 + gamma(OPERATIONS) * np.linalg.cond(tilted(z)).max() / h)
    assert np.abs(found - expected).max() <= bound, f"off by {np.abs(found - expected).max()}"


@settings(max_examples=20)
@given(z=coordinates(2), shear=st.integers(-4, 4), bend=st.integers(-2, 2))
def test_the_tensor_laws_under_reparametrisation(z, shear, bend):
    """y -> z(y): the metric and R are tensors, Gamma gains the second derivative."""
    a, b = shear / 4, bend / 4

    def change(y):
        u, v = y[..., 0], y[..., 1]
        return anp.stack([u + a * v + b * v**2, 2 * v + anp.sin(u) / 2], axis=-1)

    def metric(y):
        return stereographic(y) + diagonal(y[..., 1] ** 2, 1 + y[..., 0] ** 2)

    change_decoder = decoders.FunctionDecoder(change)
    J, H = change_decoder.jacobian(z), change_decoder.hessian(z)
    if np.abs(np.linalg.det(J)).min() < 0.25:
        return

    def pulled(y):
        u, v = y[..., 0], y[..., 1]
        one = anp.ones_like(u)
        rows = [anp.stack([one, a + 2 * b * v], -1), anp.stack([anp.cos(u) / 2, 2 * one], -1)]
        jacobian = anp.stack(rows, axis=-2)
        return anp.einsum("...ia,...ij,...jb->...ab", jacobian, metric(change(y)), jacobian)

    inverse = np.linalg.inv(J)
    image = change(z)
    gam, curvature = christoffel_symbols(metric, image), riemann_curvature(metric, image)
    expected = np.einsum("...ai,...ijk,...jb,...kc->...abc", inverse, gam, J, J)
    expected = expected + np.einsum("...ai,...ibc->...abc", inverse, H)
    tensor = np.einsum("...ai,...ijkl,...jb,...kc,...ld->...abcd", inverse, curvature, J, J, J)
    condition = np.linalg.cond(J).max() ** 4 * np.linalg.cond(metric(image)).max() ** 2
    size = 1 + max(np.abs(expected).max(), np.abs(tensor).max(), np.abs(gam).max() ** 2)
    bound = gamma(OPERATIONS) * condition * size
    off = np.abs(christoffel_symbols(pulled, z) - expected).max()
    assert off <= bound, f"Christoffel symbols off by {off}, bound {bound}"
    off = np.abs(riemann_curvature(pulled, z) - tensor).max()
    assert off <= bound, f"curvature off by {off}, bound {bound}"
    here, there = gaussian_curvature(pulled, z), gaussian_curvature(metric, image)
    assert np.abs(here - there).max() <= bound, "the Gaussian curvature is no matter of coordinates"


# Models ------------------------------------------------------------------------------------------


def beta_information(alpha, beta):
    """(d alpha / d logit)^2 (psi'(alpha) + psi'(beta)) of Beta(alpha, beta), alpha + beta = 4."""
    return (alpha * beta / 4) ** 2 * (polygamma(1, alpha) + polygamma(1, beta))


FAMILIES = {
    "Gaussian": (likelihoods.Gaussian(scale=0.5), lambda t: 4 * anp.ones_like(t)),
    "Gaussian, scales": (
        likelihoods.Gaussian(scale=[0.5, 1.0, 2.0]),
        lambda t: anp.ones_like(t) / anp.array([0.5, 1.0, 2.0]) ** 2,
    ),
    "Bernoulli": (likelihoods.Bernoulli(), lambda t: 1 / (2 + anp.exp(t) + anp.exp(-t))),
    "Poisson": (likelihoods.Poisson(), anp.exp),
    "Gamma": (likelihoods.Gamma(shape=2.0), lambda t: 2 * anp.ones_like(t)),
    "exponential": (likelihoods.Exponential(), anp.ones_like),
    "negative binomial": (
        likelihoods.NegativeBinomial(shape=2.0),
        lambda t: 2 * anp.exp(t) / (2 + anp.exp(t)),
    ),
    "log-normal": (likelihoods.LogNormal(scale=0.5), lambda t: 4 * anp.ones_like(t)),
    "Beta": (
        likelihoods.Beta(concentration=4.0),
        lambda t: beta_information(4 / (1 + anp.exp(-t)), 4 / (1 + anp.exp(t))),
    ),
    "Student-t": (likelihoods.StudentT(dof=3.0, scale=2.0), lambda t: anp.ones_like(t) / 6),
    "von Mises": (
        likelihoods.VonMises(concentration=2.0),
        lambda t: 2 * i1(2.0) / i0(2.0) * anp.ones_like(t),
    ),
}
COVARIANCE = np.array([[1, 0.5, 0], [0.5, 2, 0.25], [0, 0.25, 0.5]])


def surface(z):
    """A bent surface in three dimensions."""
    u, v = z[..., 0], z[..., 1]
    return anp.stack([anp.sin(u) + v, u * v - v, anp.cos(v) + u**2 / 2], axis=-1)


def surface_jacobian(z):
    u, v = z[..., 0], z[..., 1]
    one = anp.ones_like(u)
    rows = [(anp.cos(u), one), (v, u - one), (u, -anp.sin(v))]
    return anp.stack([anp.stack(r, axis=-1) for r in rows], axis=-2)


def family_metric(name):
    """J^T F J written for autograd, from formulas of its own."""
    if name == "Gaussian, cov":
        inverse = np.linalg.inv(COVARIANCE)
        return likelihoods.Gaussian(cov=COVARIANCE), lambda z: anp.einsum(
            "...ia,ij,...jb->...ab", surface_jacobian(z), inverse, surface_jacobian(z)
        )
    if name == "Categorical":

        def metric(z):
            t, J = surface(z), surface_jacobian(z)
            p = anp.exp(t) / anp.sum(anp.exp(t), axis=-1)[..., None]
            mean = anp.einsum("...i,...ia->...a", p, J)
            second = anp.einsum("...i,...ia,...ib->...ab", p, J, J)
            return second - mean[..., :, None] * mean[..., None, :]

        return likelihoods.Categorical(), metric
    likelihood, fisher = FAMILIES[name]

    def elementwise(z):
        J = surface_jacobian(z)
        return anp.einsum("...ia,...i,...ib->...ab", J, fisher(surface(z)), J)

    return likelihood, elementwise


@pytest.mark.parametrize("name", [*FAMILIES, "Gaussian, cov", "Categorical"])
@given(z=coordinates(2))
@settings(max_examples=15)
def test_the_closed_forms_of_a_model_agree_with_autograd(name, z):
    likelihood, metric = family_metric(name)
    model = LatentModel(surface, likelihood, 2)
    g = metric(z)
    condition = np.linalg.cond(g).max()
    if condition > 1e3:
        return
    assert np.abs(pullback_metric(model, z) - g).max() <= gamma(200) * np.abs(g).max(), f"{name}: g"
    F = fisher_information(likelihood, model.decode(z))
    J = surface_jacobian(z)
    full = np.swapaxes(J, -1, -2) @ F @ J
    assert (
        np.abs(pullback_metric(model, z) - full).max()
        <= gamma(200) * np.abs(F).max() * (J**2).sum(axis=(-2, -1)).max()
    ), f"{name}: J^T F J"
    gam = christoffel_symbols(metric, z)
    curvature = riemann_curvature(metric, z)
    size = 1 + np.abs(curvature).max() + np.abs(gam).max() ** 2 * 8
    bound = gamma(OPERATIONS) * condition**2 * size
    off = np.abs(christoffel_symbols(model, z) - gam).max()
    assert off <= bound, f"{name}: Christoffel symbols off by {off}"
    off = np.abs(riemann_curvature(model, z) - curvature).max()
    assert off <= bound, f"{name}: curvature off by {off}"


@pytest.mark.parametrize("name", FAMILIES)
def test_log_slopes_of_the_fisher_information(name):
    likelihood, _ = FAMILIES[name]
    if not isinstance(likelihood, likelihoods.ElementwiseLikelihood):
        return
    t = np.array([[-3.0, 0.0, 0.5], [2.0, 10.0, -20.0]])
    h = 2.0**-6
    logs = [np.log(likelihood.fisher_diagonal(t + k * h)) for k in (-2, -1, 1, 2)]
    slope = (logs[0] - 8 * logs[1] + 8 * logs[2] - logs[3]) / (12 * h)
    off = np.abs(likelihood.fisher_log_slope(t) - slope).max()
    assert off < 1e-7, f"{name}: the slope of log F is off by {off}"


def test_a_categorical_of_three_classes_is_a_sphere_of_radius_two():
    model = LatentModel(decoders.Affine([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]), CATEGORICAL, 2)
    z = np.array([[0.0, 0.0], [1.0, -2.0], [5.0, 3.0]])
    found = gaussian_curvature(model, z)
    assert np.abs(found - 0.25).max() < 1e-12, f"curvature {found}, expected 1/4"


CATEGORICAL = likelihoods.Categorical()


def log_of_square(t):
    """Poisson at constant metric: 2 sqrt(rate) = t."""
    return 2 * anp.log(t / 2)


def logit_of_sine(t):
    """Bernoulli at constant metric: 2 arcsin sqrt(p) = t."""
    return 2 * anp.log(anp.tan(t / 2))


@pytest.mark.parametrize(
    ("likelihood", "stabiliser", "shift"),
    [(likelihoods.Poisson(), log_of_square, 9.0), (likelihoods.Bernoulli(), logit_of_sine, 1.5)],
    ids=["Poisson, 2 sqrt(rate)", "Bernoulli, 2 arcsin sqrt(p)"],
)
def test_variance_stabilising_maps_flatten(likelihood, stabiliser, shift):
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    model = LatentModel(lambda z: stabiliser(shift + z @ turn.T), likelihood, 2)
    z = np.array([[0.0, 0.0], [0.25, -0.5], [-0.5, 0.5]])
    g = pullback_metric(model, z)
    assert np.abs(g - np.eye(2)).max() < 1e-13, f"the metric is not the identity: {g}"
    assert np.abs(christoffel_symbols(model, z)).max() < 1e-12, "Christoffel symbols are not nought"
    assert np.abs(riemann_curvature(model, z)).max() < 1e-12, "the curvature is not nought"


def test_flat_tori_and_cylinders_are_flat_and_round_tori_are_not():
    def flat_torus(z):
        return anp.stack(
            [
                anp.cos(z[..., 0]),
                anp.sin(z[..., 0]),
                2 * anp.cos(z[..., 1] / 2),
                2 * anp.sin(z[..., 1] / 2),
            ],
            axis=-1,
        )

    def round_torus(z):
        r = 2 + anp.cos(z[..., 1])
        return anp.stack([r * anp.cos(z[..., 0]), r * anp.sin(z[..., 0]), anp.sin(z[..., 1])], -1)

    def cylinder(z):
        return anp.stack([anp.cos(z[..., 0]), anp.sin(z[..., 0]), z[..., 1]], axis=-1)

    z = np.array([[0.5, 0.25], [2.0, -1.0]])
    for name, f in {"flat torus": flat_torus, "cylinder": cylinder}.items():
        model = LatentModel(f, likelihoods.Gaussian(scale=0.1), 2)
        assert np.abs(riemann_curvature(model, z)).max() < 1e-11, f"{name} is curved"
    torus = LatentModel(round_torus, likelihoods.Gaussian(scale=1.0), 2)
    expected = np.cos(z[:, 1]) / (2 + np.cos(z[:, 1]))
    assert np.abs(gaussian_curvature(torus, z) - expected).max() < 1e-13, "the round torus"


def test_the_decoder_hessian_in_full_and_in_part():
    square = decoders.Polynomial([[2]], [[1.0]])
    model = LatentModel(square, likelihoods.Gaussian(scale=0.5), 1)
    z, x = np.array([[1.0], [-2.0], [0.0]]), np.array([[0.0], [4.0], [3.0]])
    found = decoder_hessian(model, x, z)
    # -log p = (x - z^2)^2 / (2 s^2): second derivative (6 z^2 - 2 x) / s^2.
    expected = 4 * (6 * z**2 - 2 * x)
    assert np.abs(found.full[..., 0] - expected).max() < 1e-13, f"{found.full}"
    assert np.abs(found.gauss_newton[..., 0] - 16 * z**2).max() < 1e-13, f"{found.gauss_newton}"
    one = decoder_hessian(model, [3.0], z)
    assert one.full.shape == (3, 1, 1), "one datum serves all points"
    assert one.full[2, 0, 0] == found.full[2, 0, 0], "and gives what it gives alone"


def test_a_tiny_hessian_keeps_its_digits():
    model = LatentModel(decoders.Affine([[1e-9]]), likelihoods.Gaussian(scale=1.0), 1)
    found = decoder_hessian(model, [0.0], [1.0]).full[0, 0]
    assert abs(found / 1e-18 - 1) < 1e-15, f"{found}: it was not obtained by subtracting I"
