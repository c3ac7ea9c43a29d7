"""The smoothed density of flows against 30-digit references, and where the local routes fail."""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd.scipy.special import erf, expit
from flow_cases import cases
from hypothesis import given, settings
from scipy import special

from vaetheory import LatentModel, decoders, derivatives, flows, likelihoods, log_evidence
from vaetheory._gaussians import standard_log_prob
from vaetheory.claims.flow_limit.manifolds import manifold_coefficient
from vaetheory.claims.flow_limit.scenes import embedded_scenes, flow_scenes, tame

CASES = list(cases())
IDS = [f"{name} {z.tolist()} {s:g}" for name, _, z, s, _, _ in CASES]
FINE = 1e-15


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_excess_and_coefficient_have_the_references_digits(case):
    name, f, z, sigma, limit, excess = case
    x = f.forward(z)
    if sigma == FINE:
        # The excess over sigma^2 is the first coefficient to 30 digits.
        wanted = excess / sigma**2
        (found,) = flows.smoothing_coefficients(f, x, terms=1)
        assert abs(found - wanted) < 1e-13 * abs(wanted), f"{found} for {wanted}"
        if f.data_dim == f.latent_dim:
            half = flows.laplacian_ratio(f, x) / 2
            assert abs(half - wanted) < 1e-14 * abs(wanted), f"{half} for {wanted}"
        else:
            geometric = manifold_coefficient(f, z)
            assert abs(geometric - wanted) < 1e-13 * abs(wanted), f"{geometric} for {wanted}"
        return
    normal = 0.5 * (f.data_dim - f.latent_dim) * np.log(2 * np.pi * sigma**2)
    rounding = 1e-14 * (1 + abs(limit))
    assert abs(flows.flow_log_density(f, x) - limit) < rounding, "flow_log_density"
    for method in ("auto", "quadrature", "evidence", "series"):
        found = flows.smoothed_log_density(f, x, sigma, method=method)
        off = abs(found.excess - excess)
        assert off <= found.excess_error, f"{name}, {method}: {off:.1e} > {found.excess_error:.1e}"
        assert abs(found.limit - (limit - normal)) < rounding, f"{method}: the limit"
        assert abs(found.value - (limit - normal + excess)) <= found.error + rounding, f"{method}"
        if method == "auto" or (method == "quadrature" and sigma < 0.1):
            assert off < 1e-11 * abs(excess), f"{method}: relative error {off / abs(excess):.1e}"
            assert found.reached, f"{method}: not reached at sigma = {sigma}"
        if method == "series" and sigma <= 1e-3:
            assert off < 1e-13 * abs(excess), f"{method}: relative error {off / abs(excess):.1e}"


def test_the_naive_difference_has_lost_what_is_kept():
    f = flows.Cubic(1)
    x = f.forward([0.5])
    found = flows.smoothed_log_density(f, x, 1e-4)
    model = LatentModel(f, likelihoods.Gaussian(scale=1e-4), 1)
    naive = log_evidence(model, x).value - flows.flow_log_density(f, x)
    assert abs(naive - found.excess) > 1e-7 * abs(found.excess), "the difference kept its digits"
    assert found.excess_error < 1e-11 * abs(found.excess), f"error {found.excess_error}"


@given(flow_scenes().map(tame))
@settings(max_examples=15)
def test_the_laplacian_is_autograds(scene):
    f, z = scene.flow, scene.latent
    x = f.forward(z)[None]

    def log_density(y):
        u = f.inverse(y)
        return (-0.5 * anp.sum(u**2, axis=-1) - f.log_det(u))[..., None]

    gradient = derivatives.jacobian(log_density, x)[0, 0]
    hessian = derivatives.hessian(log_density, x)[0, 0]
    wanted = np.trace(hessian) + gradient @ gradient
    found = float(flows.laplacian_ratio(f, x[0]))
    size = np.abs(hessian).max() + gradient @ gradient + np.linalg.cond(f.jacobian(z))
    assert abs(found - wanted) < 1e-11 * (1 + size), f"{found} for {wanted}"
    series = 2 * flows.smoothing_coefficients(f, x[0], terms=1)[0]
    assert abs(found - series) < 1e-11 * (1 + size), f"{found} and {series}"


@given(embedded_scenes().map(tame))
@settings(max_examples=10)
def test_series_and_quadrature_agree(scene):
    f, z = scene.flow, scene.latent
    sigma = np.array([1e-2, 1e-3, 1e-4])
    x = f.forward(z)
    one, other = (
        flows.smoothed_log_density(f, x, sigma, method=m, latent=z)
        for m in ("series", "quadrature")
    )
    off = np.abs(one.excess - other.excess)
    assert (off <= one.excess_error + other.excess_error).all(), f"{off} apart"


def test_batches_and_scales_broadcast():
    f = flows.Cubic(2)
    x = f.forward(np.random.default_rng(0).normal(size=(3, 1, 2)))
    sigma = np.array([1e-1, 1e-2, 1e-3, 1e-4])
    found = flows.smoothed_log_density(f, x, sigma)
    assert found.excess.shape == (3, 4), f"shape {found.excess.shape}"
    for i in range(3):
        for j, s in enumerate(sigma):
            alone = flows.smoothed_log_density(f, x[i, 0], float(s))
            off = abs(alone.excess - found.excess[i, j])
            assert off <= alone.excess_error + found.excess_error[i, j], f"row {i}, scale {s}"
    assert flows.smoothed_log_density(f, x[0, 0], 0.1).value.shape == (), "one datum, one scale"
    assert flows.smoothing_coefficients(f, x, terms=3).shape == (3, 1, 3), "coefficients"


def test_affine_flows_are_exact_at_any_scale_and_far_out():
    W, x = np.array([[2.0, 0.5], [0.0, 0.25]]), np.array([[0.5, -1.0], [60.0, 8.0], [0.0, 0.0]])
    f = flows.Affine(W)
    for sigma in (1e-4, 1e-2, 1.0, 30.0):
        cov = W @ W.T
        noisy = cov + sigma**2 * np.eye(2)
        exact = [
            -0.5 * (x @ np.linalg.inv(c) * x).sum(-1) - 0.5 * np.linalg.slogdet(c)[1]
            for c in (cov, noisy)
        ]
        found = flows.smoothed_log_density(f, x, sigma)
        # The difference of the closed forms has lost digits itself.
        lost = 1e-14 * (1 + np.abs(exact[0])) * np.linalg.cond(cov)
        off = np.abs(found.excess - (exact[1] - exact[0]))
        assert (off <= found.excess_error + lost).all(), f"sigma {sigma}: off by {off}"
        assert np.isfinite(found.error).all(), f"sigma {sigma}: no error figure"


def test_other_preimages_are_seen():
    circle = flows.Immersion(decoders.Circle(1.0), 1)
    z = np.array([[2.5], [0.5]])
    found = flows.smoothed_log_density(circle, circle.forward(z), 0.01, latent=z)
    turns = z + 2 * np.pi * np.arange(-3, 4)
    wanted = special.logsumexp(-(turns**2) / 2, axis=-1) + z[:, 0] ** 2 / 2
    assert found.method[0] == "evidence", f"2.5: by {found.method[0]}, blind to 2.5 - 2 pi"
    assert np.allclose(found.excess, wanted, atol=1e-3), f"{found.excess} for {wanted}"
    blind = flows.smoothed_log_density(circle, circle.forward(z), 0.01, latent=z, method="series")
    assert abs(blind.excess[0]) < 1e-3, "the local series sees one preimage only"


def test_a_valley_filled_from_afar_is_seen():
    # Two heaps of data and almost nothing between them: at sigma = 1 the valley is all leakage.
    def forward(z):
        return z + 12 * anp.tanh(40 * z)

    f = flows.Immersion(forward, 1)
    found = flows.smoothed_log_density(f, [0.0], [3.0, 1.0, 0.3], latent=[0.0])
    model = [LatentModel(forward, likelihoods.Gaussian(scale=s), 1) for s in (3.0, 1.0, 0.3)]
    exact = np.array([float(log_evidence(m, [0.0]).value) for m in model])
    assert np.allclose(found.value, exact, atol=1e-8), f"{found.value} for {exact}"


class Asinh(flows.Flow):
    """A flow of one's own, with super-Gaussian tails: x = arcsinh(z)."""

    latent_dim = 1

    def forward(self, z):
        return anp.arcsinh(z)

    def inverse(self, x):
        return anp.sinh(x)

    def log_det(self, z):
        return -0.5 * anp.sum(anp.log1p(z**2), axis=-1)


class Opaque(flows.Cubic):
    """The cubic, written with what has no Taylor series here."""

    def value(self, z):
        return np.asarray(z, dtype=np.longdouble).astype(float) * (1 + np.asarray(z) ** 2 / 3)

    def log_slope(self, z):
        return np.log1p(np.asarray(z, dtype=float) ** 2)


def test_flows_of_ones_own():
    f = Asinh()
    reference = flows.Inverse(flows.Sinh(1))
    x = f.forward(np.array([[0.5], [-2.0]]))
    sigma = np.array([[1e-4], [1e-2], [0.1]])
    one, other = (flows.smoothed_log_density(g, x, sigma) for g in (f, reference))
    assert np.allclose(one.excess, other.excess, rtol=1e-9, atol=0), "another excess"
    assert one.reached.all(), "not reached"
    assert np.allclose(flows.laplacian_ratio(f, x), flows.laplacian_ratio(reference, x), rtol=1e-12)


def _identity(x):
    return x


@pytest.mark.parametrize(
    ("saturating", "same", "latents"),
    [
        (anp.tanh, lambda z: 1 - 2 / (1 + anp.exp(2 * z)), (3.0, 6.0, 8.0)),
        (expit, lambda z: 1 / (1 + anp.exp(-z)), (9.0, 18.0, 24.0)),
    ],
)
def test_where_a_flow_saturates_the_error_figures_hold(saturating, same, latents):
    # Autograd's slope of expit is y (1 - y), which has lost digits; its latents are known here.
    f, reference = (flows.Immersion(g, 1, _identity) for g in (saturating, same))
    for z in latents:
        sigma = 1e-4 * reference.jacobian(np.array([z])).item()
        x = f.forward(np.array([z]))
        one, other = (flows.smoothed_log_density(g, x, sigma, latent=[z]) for g in (f, reference))
        assert other.excess_error < 1e-11 * abs(other.excess), f"{z}: no reference"
        off = abs(one.excess - other.excess)
        assert off <= one.excess_error + other.excess_error, f"{z}: {off:.1e} off"
        assert abs(one.value - other.value) <= one.error + other.error, f"{z}: the value"


class Rescaled(flows.Cubic):
    """The cubic in other units."""

    def __init__(self, unit):
        super().__init__(1)
        self.unit = unit

    def value(self, z):
        return self.unit * super().value(z)

    def solve(self, x):
        return super().solve(x / self.unit)

    def log_slope(self, z):
        return super().log_slope(z) + np.log(self.unit)

    def slope(self, z):
        return self.unit * super().slope(z)

    def bend(self, z):
        return self.unit * super().bend(z)


def test_units_make_no_difference():
    sigma = np.array([1e-4, 1e-2, 0.3])
    z = np.array([0.75])
    plain = flows.smoothed_log_density(flows.Cubic(1), flows.Cubic(1).forward(z), sigma)
    for unit in (2.0**-330, 2.0**-60, 2.0**100):
        f = Rescaled(unit)
        for method in ("auto", "series", "quadrature"):
            found = flows.smoothed_log_density(f, f.forward(z), unit * sigma, method=method)
            off = np.abs(found.excess - plain.excess)
            allowed = found.excess_error + plain.excess_error
            assert (off <= allowed).all(), f"{unit:g}, {method}: {off} > {allowed}"
    with pytest.raises(ValueError, match="in the range of float64"):
        flows.smoothing_coefficients(Rescaled(2.0**-330), Rescaled(2.0**-330).forward(z))


def test_noise_far_larger_than_the_data():
    found = flows.smoothed_log_density(flows.Cubic(1), [1.0], 1e40)
    wanted = -0.5 * np.log(2 * np.pi) - 40 * np.log(10)
    assert abs(found.value - wanted) <= found.error + 1e-13, f"{found.value} for {wanted}"


def test_noise_below_the_resolution_of_the_data_is_left_to_the_series():
    f = flows.Immersion(erf, 1, _identity)
    slope = f.jacobian(np.array([6.0])).item()
    found = flows.smoothed_log_density(f, f.forward([6.0]), 1e-4 * slope, latent=[6.0])
    # Every double beyond 5.93 has the image 1: to the evidence all of them fit.
    assert found.method == "series", f"by {found.method}"
    assert abs(found.excess) < 1e-4, f"excess {found.excess}"


class Owned(flows.Flow):
    """A flow whose log determinant is given."""

    latent_dim = 1

    def __init__(self, log_det, power=1):
        self._log_det, self.power = log_det, power

    def forward(self, z):
        return 2 * z**self.power

    def inverse(self, x):
        return np.cbrt(x / 2) if self.power == 3 else x / 2

    def log_det(self, z):
        return self._log_det(z)


def test_the_evidence_sees_a_wrong_log_det():
    for sigma in (1e-4, 0.1):
        wrong = Owned(lambda z: anp.zeros(anp.shape(z)[:-1]))
        right = flows.smoothed_log_density(flows.Affine([2.0]), [[1.0]], sigma)
        found = flows.smoothed_log_density(wrong, [[1.0]], sigma)
        off = abs(found.value - right.value)
        assert (off <= found.error + right.error).all(), f"{off} off, error {found.error}"
        assert abs(found.excess[0] + np.log(2)) < 1e-2, f"excess {found.excess}"


@pytest.mark.parametrize(
    ("flow", "message"),
    [
        (Owned(lambda z: np.log(2) + 0 * z), r"log_det: expected shape \(2,\) .* got \(2, 1\)"),
        (Owned(lambda z: np.log(2)), r"log_det: expected shape \(2,\) .* got \(\)"),
        (Owned(lambda z: np.nan * z[..., 0]), "log_det: expected finite numbers, got nan"),
        (Owned(lambda z: np.log(6 * z[..., 0] ** 2), 3), "finite numbers, got -inf at z = "),
    ],
)
def test_a_log_det_that_is_none_is_refused(flow, message):
    x = np.array([[2.0], [0.0]])
    for call in (
        flows.flow_log_density,
        flows.laplacian_ratio,
        lambda f, x: flows.smoothed_log_density(f, x, 0.1),
    ):
        with pytest.raises(ValueError, match=message):
            call(flow, x)


def test_a_function_without_a_series_loses_digits_and_says_so():
    f, reference = Opaque(1), flows.Cubic(1)
    x = f.forward([0.5])
    for sigma in (0.3, 1e-2, 1e-4):
        found = flows.smoothed_log_density(f, x, sigma)
        exact = flows.smoothed_log_density(reference, x, sigma)
        off = abs(found.excess - exact.excess)
        assert off <= found.excess_error + exact.excess_error, f"sigma {sigma}: off by {off}"
    assert not found.reached, "1e-4: says it has digits that it cannot have"
    assert np.isclose(flows.laplacian_ratio(f, x), flows.laplacian_ratio(reference, x), rtol=1e-7)
    with pytest.raises(ValueError, match="Taylor series"):
        flows.smoothed_log_density(f, x, 0.1, method="series")
    with pytest.raises(ValueError, match="Taylor series"):
        flows.smoothing_coefficients(f, x)


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((decoders.Circle(1.0), [1.0, 0.0], 0.1), {}, "expected a vaetheory Flow or Embedding"),
        ((flows.Cubic(1), [1.0], 0.0), {}, "scale: expected positive numbers, got 0.0"),
        ((flows.Cubic(1), [1.0], []), {}, "scale: expected positive numbers, got an empty"),
        ((flows.Cubic(1), [[1.0], [2.0]], [0.1, 0.2, 0.3]), {}, "broadcasts against"),
        ((flows.Cubic(1), [1.0, 2.0], 0.1), {}, r"x: expected shape \(..., 1\)"),
        ((flows.Cubic(1), [np.inf], 0.1), {}, "finite"),
        ((flows.Cubic(1), [1.0], 0.1), {"method": "exact"}, "method: expected one of auto"),
        ((flows.Cubic(1), [1.0], 0.1), {"rtol": 0.0}, "rtol: expected a number in"),
        ((flows.Cubic(5), np.ones(5), 0.1), {}, "at most 4 latent dimensions, got 5"),
        ((flows.Immersion(decoders.Circle(1.0), 1), [2.0, 0.0], 0.1), {}, "image"),
    ],
)
def test_bad_requests_get_a_clear_error(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        flows.smoothed_log_density(*arguments, **options)


def test_more_latents_than_two():
    f = flows.Composition(flows.Affine(np.diag([1.0, 2.0, 0.5]) + 0.25), flows.Cubic(3))
    z = np.array([0.5, -0.25, 0.75])
    found = flows.smoothed_log_density(f, f.forward(z), [1e-4, 1e-2])
    law = 0.5 * flows.laplacian_ratio(f, f.forward(z)) * np.array([1e-4, 1e-2]) ** 2
    assert found.reached.all(), f"not reached: {found.excess_error / found.excess}"
    assert abs(found.excess[0] / law[0] - 1) < 1e-6, f"{found.excess[0]} for {law[0]}"
    assert np.isclose(found.limit[0], standard_log_prob(z) - f.log_det(z)), "the limit"


def test_data_far_out_in_the_tails():
    z = np.array([[30.0], [-38.0]])
    f = flows.Sinh(1)
    found = flows.smoothed_log_density(f, f.forward(z), [1e-4, 1.0])
    # At e^30 noise of scale 1 is nothing: the excess is that of the local slope.
    law = 0.5 * flows.laplacian_ratio(f, f.forward(z)) * np.array([1e-8, 1.0])
    assert np.allclose(found.excess, law, rtol=1e-6), f"{found.excess} for {law}"
    assert (found.excess_error < 1e-9 * np.abs(law)).all(), f"errors {found.excess_error}"
    g = flows.compose(flows.Sinh(1), flows.Affine([3.0]), flows.Sinh(1))
    assert np.isfinite(g([[250.0], [-1e300]])).all(), "the decoder overflows"
