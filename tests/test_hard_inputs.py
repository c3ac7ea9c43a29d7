"""Inputs at the edges of float64 and of the supports: right to the last digits, or refused."""

import concurrent.futures
import dataclasses

import autograd.numpy as anp
import mpmath
import numpy as np
import pytest
from known_metrics import half_plane

from vaetheory import (
    LatentModel,
    decoders,
    elbo,
    exact_penalty,
    geometry,
    likelihoods,
    log_evidence,
)
from vaetheory.checking.claim import Claim
from vaetheory.checking.runner import INCONCLUSIVE, run_proposition
from vaetheory.claims import CLAIMS
from vaetheory.claims.verify import verify
from vaetheory.constant_variance import (
    constant_variance_penalty,
    log_specht_ratio,
    specht_ratio,
)
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.hessian_estimators import jacobian_norm, stein_hessian
from vaetheory.likelihoods.base import ExponentialFamily

FAMILIES = {
    "Gaussian": (likelihoods.Gaussian(scale=0.5), 0.25, ("nan", "inf")),
    "Gaussian, cov": (likelihoods.Gaussian(cov=[[2.0]]), 0.25, ("nan", "inf")),
    "Student-t": (likelihoods.StudentT(dof=3.0, scale=0.5), 0.25, ("nan", "inf")),
    "von Mises": (likelihoods.VonMises(concentration=2.0), 0.25, ("nan", "inf")),
    "Bernoulli": (likelihoods.Bernoulli(), 1, ("nan", "inf", "0.5", "-1")),
    "Poisson": (likelihoods.Poisson(), 3, ("nan", "inf", "0.5", "-1")),
    "negative binomial": (likelihoods.NegativeBinomial(shape=2.0), 3, ("nan", "inf", "0.5", "-1")),
    "Gamma": (likelihoods.Gamma(shape=2.0), 3, ("nan", "inf", "0", "-1")),
    "exponential": (likelihoods.Exponential(), 3, ("nan", "inf", "0", "-1")),
    "log-normal": (likelihoods.LogNormal(scale=0.5), 3, ("nan", "inf", "0", "-1")),
    "Beta": (likelihoods.Beta(concentration=2.0), 0.25, ("nan", "inf", "0", "1", "2")),
    "Categorical": (likelihoods.Categorical(), 1, ("nan", "inf", "0.5", "2")),
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "method", ["log_prob", "score", "observed_information", "greatest_log_prob"]
)
def test_data_outside_the_support_are_refused_wherever_they_come_in(name, method):
    likelihood, good, bad = FAMILIES[name]
    arguments = {"observed_information": ([0.5], np.eye(1)), "greatest_log_prob": ()}.get(
        method, ([0.5],)
    )
    call = getattr(likelihood, method)
    # Integers and lists are data as good as floats.
    assert np.isfinite(call([good], *arguments)).all(), f"{name}.{method} of {good}"
    assert call([good], *arguments) == call(np.array([float(good)]), *arguments), f"{name}: types"
    for x in bad:
        with pytest.raises(ValueError, match="x: expected"):
            call([float(x)], *arguments)
    if arguments:
        with pytest.raises(ValueError, match="params: expected numbers, got NaN"):
            call([good], [np.nan], *arguments[1:])
        with pytest.raises(ValueError, match="params: expected an array of real numbers"):
            call([good], ["a"], *arguments[1:])
        with pytest.raises(ValueError, match="leading axes that broadcast"):
            call([[good]] * 2, [[0.5]] * 3, *arguments[1:])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("size", [5, 40, 700])
def test_certain_outcomes_keep_their_digits(sign, size):
    logit = sign * size
    with mpmath.workdps(700):
        p, q = 1 / (1 + mpmath.exp(-logit)), 1 / (1 + mpmath.exp(logit))
        fisher = float(p * q)
        expected = np.array([[-float(p)], [float(q)]])
    found = likelihoods.Bernoulli().score([[0.0], [1.0]], [float(logit)])
    assert np.allclose(found, expected, rtol=1e-14, atol=0), f"Bernoulli: {found}, {expected}"
    family, logits = likelihoods.Categorical(), np.array([0.0, float(logit)])
    score = family.score(np.eye(2), logits)
    expected = np.array([[float(p), -float(p)], [-float(q), float(q)]])
    assert np.allclose(score, expected, rtol=1e-14, atol=0), f"categorical: {score}, {expected}"
    found = geometry.fisher_information(family, logits)
    expected = fisher * np.array([[1, -1], [-1, 1]])
    assert np.allclose(found, expected, rtol=1e-14, atol=0), f"categorical: {found}, {expected}"
    pulled = family.expected_information(logits, np.array([[1.0], [3.0]]))
    assert np.allclose(pulled, 4 * fisher, rtol=1e-13, atol=0), f"{pulled} for {4 * fisher}"


@pytest.mark.parametrize("concentration", [0.3, 2.0, 1e3])
@pytest.mark.parametrize("logit", [-40.0, -30.0, 0.5, 40.0])
def test_the_observed_information_of_a_beta_far_out(concentration, logit):
    x = 0.999
    with mpmath.workdps(60):

        def log_prob(t):
            p, q = 1 / (1 + mpmath.exp(-t)), 1 / (1 + mpmath.exp(t))
            a, b = concentration * p, concentration * q
            logs = (a - 1) * mpmath.log(x) + (b - 1) * mpmath.log(1 - mpmath.mpf(x))
            return logs - mpmath.loggamma(a) - mpmath.loggamma(b)

        expected = -float(mpmath.diff(log_prob, mpmath.mpf(logit), 2))
    family = likelihoods.Beta(concentration=concentration)
    found = float(family.observed_information([x], [logit], np.eye(1))[0, 0])
    assert abs(found - expected) <= 1e-11 * abs(expected), f"{found}, expected {expected}"


def test_the_fisher_information_of_a_full_gaussian_is_symmetric():
    rotation = np.linalg.qr(np.arange(16.0).reshape(4, 4) ** 1.5 + np.eye(4))[0]
    cov = rotation * np.logspace(0, -10, 4) @ rotation.T
    found = geometry.fisher_information(likelihoods.Gaussian(cov=(cov + cov.T) / 2), np.zeros(4))
    assert (found == found.T).all(), "an asymmetric Fisher information"


def test_numbers_that_float64_cannot_hold_are_refused():
    rng = np.random.default_rng(0)
    for likelihood in (
        likelihoods.Poisson(),
        likelihoods.NegativeBinomial(shape=2.0),
        likelihoods.Gamma(shape=2.0),
        likelihoods.LogNormal(scale=0.5),
    ):
        with pytest.raises(ValueError, match="params: expected"):
            likelihood.sample([800.0], rng)
    with pytest.raises(ValueError, match="log rates of at most 700"):
        geometry.fisher_information(likelihoods.Poisson(), [800.0])
    with pytest.raises(ValueError, match="rates of at most 9e"):
        likelihoods.Poisson().sample([60.0], rng)
    with pytest.raises(ValueError, match="scale: expected numbers from"):
        likelihoods.Gaussian(scale=1e-160)
    model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.1), 1)
    for call in (
        lambda X: elbo(model, X, Posterior([[0.0]], scale=1.0)),
        lambda X: exact_penalty(model, X),
        lambda X: geometry.decoder_hessian(model, X, [[0.0]]),
    ):
        with pytest.raises(ValueError, match="at most 1e\\+150 standard deviations"):
            call([[1e300, 0.0]])
    steep = likelihoods.Gamma(shape=2.0)
    found = steep.observed_information([1e300], [-800.0], np.eye(1))
    assert np.isfinite(found).all(), "the data over their mean overflow"


def test_estimates_that_overflow_are_refused():
    with pytest.raises(ValueError, match="estimates that fit in float64"):
        jacobian_norm([[1e200], [2.0]], [0.0], 0.1)
    with pytest.raises(ValueError, match="estimates that fit in float64"):
        stein_hessian([1e308, 1.0], [[10.0], [2.0]], [[1e-160]])
    # Large ones that fit have a spread that does, too.
    found = jacobian_norm([[1e100], [2e100]], [0.0], 1.0)
    assert np.allclose([found.value, found.error], [2.5e200, 1.5e200]), f"{found}"


# Specht's ratio and the penalty ------------------------------------------------------------------


@pytest.mark.parametrize("h", [5e-324, 1e-300, 1e-12, 0.3, 1 - 1e-9, 1 + 1e-12, 1e12, 1.7e308])
def test_specht_over_all_of_float64(h):
    with mpmath.workdps(400):
        r = mpmath.log(h) / (mpmath.mpf(h) - 1)
        log_ratio = r - 1 - mpmath.log(r)
        expected, ratio = float(log_ratio), mpmath.exp(log_ratio)
    assert abs(log_specht_ratio(h) - expected) <= 4e-15 * expected, f"log Specht({h:g})"
    if ratio > 1.7e308:
        with pytest.raises(ValueError, match="fit in float64"):
            specht_ratio(h)
    else:
        assert abs(specht_ratio(h) - float(ratio)) <= 4e-15 * float(ratio), f"Specht({h:g})"


def test_a_light_datum_does_not_loosen_the_error_of_a_penalty():
    found = constant_variance_penalty([[1.0], [1e12]], [1.0, 1e-12])
    with mpmath.workdps(40):
        w = [1 / (1 + mpmath.mpf(1e-12)), mpmath.mpf(1e-12) / (1 + mpmath.mpf(1e-12))]
        mean = w[0] + w[1] * mpmath.mpf(1e12)
        expected = float((mpmath.log(mean) - w[1] * mpmath.log(mpmath.mpf(1e12))) / 2)
    assert abs(found.value - expected) <= found.error < 1e-13, f"{found.value}, {found.error}"


def test_hessians_that_are_refused():
    with pytest.raises(ValueError, match="within a factor of 1e308"):
        constant_variance_penalty([[1e-300], [1e300]])
    # Beside a large matrix a small asymmetric one is none the less asymmetric.
    with pytest.raises(ValueError, match="expected symmetric matrices"):
        constant_variance_penalty([1e15 * np.eye(2), [[1.0, 0.5], [0.1, 1.0]]])


# Curvature and geodesics -------------------------------------------------------------------------


@pytest.mark.parametrize("logits", [(0.0, 0.0), (20.0, 0.0), (300.0, -30.0), (-80.0, -80.0)])
def test_the_simplex_is_a_sphere_of_radius_two_to_its_very_corners(logits):
    model = LatentModel(
        lambda z: anp.concatenate([z, 0 * z[..., :1]], axis=-1), likelihoods.Categorical(), 2
    )
    found = geometry.gaussian_curvature(model, list(logits))
    assert abs(4 * found - 1) < 1e-13, f"curvature {found} at {logits}"


def test_a_surface_in_the_simplex_is_bent_as_by_its_metric_alone():
    weight = np.array([[1.0, 0.5], [-0.5, 1.0], [0.25, -1.0], [0.0, 0.5]])
    model = LatentModel(
        lambda z: anp.tanh(anp.dot(z, weight.T)) + 0.5 * anp.dot(z**2, weight.T),
        likelihoods.Categorical(),
        2,
    )
    z = np.array([[0.2, -0.3], [0.5, 0.1]])
    closed = geometry.riemann_curvature(model, z)
    plain = geometry.riemann_curvature(lambda z: geometry.pullback_metric(model, z), z)
    assert np.abs(closed - plain).max() < 1e-8 * np.abs(closed).max(), f"{closed} and {plain}"


def stereographic(z):
    return 4 / (1 + anp.sum(z**2, axis=-1))[..., None, None] ** 2 * anp.eye(3)


@pytest.mark.parametrize("distance", [1e-8, 1.0, 1e4])
def test_the_symmetries_of_the_curvature_do_not_wait_for_its_digits(distance):
    z = distance * np.array([0.5, -1.0, 0.25])
    tensor = geometry.as_metric(stereographic, 3).curvature(z)
    size = np.abs(tensor).max()
    assert (tensor == -np.swapaxes(tensor, 2, 3)).all(), "antisymmetric in c, d"
    assert (tensor == -np.swapaxes(tensor, 0, 1)).all(), "antisymmetric in a, b"
    assert (tensor == np.einsum("abcd->cdab", tensor)).all(), "symmetric in the pairs"
    cyclic = tensor + np.einsum("acdb->abcd", tensor) + np.einsum("adbc->abcd", tensor)
    assert np.abs(cyclic).max() <= 4e-16 * size, "the first Bianchi identity"


def test_differences_of_a_metric_stop_where_its_domain_does():
    def cap(z):
        z = np.asarray(z, dtype=float)
        if (np.sum(z**2, axis=-1) >= 1).any():
            raise ValueError("outside the disc")
        out = z[..., :, None] * z[..., None, :] / (1 - np.sum(z**2, axis=-1))[..., None, None]
        return out + np.eye(2)

    found = geometry.gaussian_curvature(cap, [0.9, 0.3])
    assert abs(found - 1) < 1e-4, f"curvature {found}"


def test_a_geodesic_that_was_lost_is_refused():
    with pytest.raises(ValueError, match="its speed, which is conserved, changed"):
        geometry.geodesic(half_plane, [0.0, 1.0], [0.0, 800.0], [0.0, 1.0], rtol=1e-4)
    with pytest.raises(ValueError, match="curve: expected a callable"):
        geometry.arc_length(half_plane, 3, 0.0, 1.0)


def test_a_geodesic_to_a_far_point():
    found = geometry.geodesic_between(half_plane, [0.0, 1.0], [20.0, 1.0], rtol=1e-8)
    expected = np.arccosh(201.0)
    assert abs(found.length - expected) <= found.error < 1e-5, f"{found.length}, {expected}"


# Models ------------------------------------------------------------------------------------------


class Parabola(Decoder):
    """(z, z^2), with its derivatives off by some factors."""

    def __init__(self, first=1.0, second=1.0, weighted=1.0, back=1.0):
        self.first, self.second, self.weighted, self.back = first, second, weighted, back

    def __call__(self, z):
        return np.concatenate([z, z**2], axis=-1)

    def jacobian(self, z):
        return self.first * np.stack([np.ones_like(z), 2 * z], axis=-2)

    def hessian(self, z):
        return self.second * np.stack([0 * z, 2 + 0 * z], axis=-2)[..., None]

    def weighted_hessian(self, z, weights):
        return self.weighted * super().weighted_hessian(z, weights)

    def vjp(self, z, weights):
        return self.back * super().vjp(z, weights)


def test_derivatives_that_are_not_those_of_the_decoder():
    gaussian = likelihoods.Gaussian(scale=1.0)
    LatentModel(Parabola(), gaussian, 1)
    with pytest.raises(ValueError, match="`jacobian` to be the derivative of its values"):
        LatentModel(Parabola(first=1.01), gaussian, 1)
    for second in (0.0, -1.0, 0.5):
        with pytest.raises(ValueError, match="`hessian` to be the derivative of its Jacobian"):
            LatentModel(Parabola(second=second), gaussian, 1)
    with pytest.raises(ValueError, match="`weighted_hessian` to be the weighted sum"):
        LatentModel(Parabola(weighted=-1.0), gaussian, 1)
    with pytest.raises(ValueError, match="`vjp` to be the weighted sum of `jacobian`"):
        LatentModel(Parabola(back=-1.0), gaussian, 1)


def test_rough_decoders_are_not_suspected():
    for frequency in (2 * np.pi * 64, 1e5, 1e9):
        fast = decoders.Sine([1.0], [[frequency]], [0.3])
        LatentModel(fast, likelihoods.Gaussian(scale=1.0), 1)
    wide = decoders.Polynomial([[1], [3]], [[1e8, 1e-8], [1.0, 1e8]])
    LatentModel(wide, likelihoods.Gaussian(scale=1.0), 1)


def test_models_compare_and_hash_by_value():
    def model(scale, bias=0.0):
        affine = decoders.Affine([[2.0], [1.0]], [bias, 1.0])
        return LatentModel(affine, likelihoods.Gaussian(scale=[scale, 1.0]), 1)

    assert model(1.0) == model(1.0), "the same model"
    assert hash(model(1.0)) == hash(model(1.0)), "one hash"
    assert model(0.0 + 1.0, bias=-0.0) == model(1.0), "a negative nought is nought"
    assert len({model(1.0), model(2.0), model(1.0, bias=0.5)}) == 3, "three models"
    assert likelihoods.LogNormal([1.0, 2.0]) != likelihoods.Gaussian([1.0, 2.0]), "families"
    families = [family for family, _, _ in FAMILIES.values()]
    assert len(set(families)) == len(families), "every family can be hashed"


# The registry ------------------------------------------------------------------------------------


def test_a_proposition_without_controls_is_not_confirmed():
    some = CLAIMS[0].propositions[0]
    result = run_proposition(dataclasses.replace(some, controls=(), examples=1))
    assert result.verdict == INCONCLUSIVE, f"came out {result.verdict}"
    assert "controls" in result.message, result.message


def test_claims_that_cannot_be_sent_to_processes_say_so():
    claim = Claim("mine", "", "", CLAIMS[0].propositions[:1])
    with (
        concurrent.futures.ProcessPoolExecutor(1) as pool,
        pytest.raises(ValueError, match="claims: expected propositions that can be pickled"),
    ):
        verify(claims=[claim], executor=pool)


def test_statistics_of_the_exponential_families_are_of_their_mean_parameters():
    rng = np.random.default_rng(1)
    for name, (family, _, _) in FAMILIES.items():
        if not isinstance(family, ExponentialFamily):
            continue
        params = np.array([0.25])
        draws = family.statistics(family.sample(np.tile(params, (20_000, 1)), rng))
        off = np.abs(draws.mean(axis=0) - family.mean(params))
        assert (off <= 6 * draws.std(axis=0) / 140 + 1e-12).all(), f"{name}: means off by {off}"


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("far", [1e12, 1e30, 1e100])
def test_a_datum_beyond_the_digits_of_float64_is_given_up_at_once_and_alone(d, far):
    # The last digit of its log joint is many nats; a search as far out as it is took minutes.
    rng = np.random.default_rng(d)
    network = decoders.TanhNetwork(
        [rng.normal(size=(8, d)), rng.normal(size=(3, 8))], [rng.normal(size=8), np.zeros(3)]
    )
    model = LatentModel(network, likelihoods.Gaussian(scale=0.5), d)
    near = np.array([0.3, -0.2, 0.1])
    both = log_evidence(model, np.array([near, [0.0, 0.0, far]]), max_nodes=2_000_000)
    alone = log_evidence(model, near[None], max_nodes=2_000_000)
    assert both.status[1] == "gave up", f"{far:g} came out {both.status[1]}"
    assert both.error[1] == np.inf, f"{far:g} has an error of {both.error[1]:g}"
    assert both.status[0] == alone.status[0], "the other datum ends as it does alone"
    off = abs(both.value[0] - alone.value[0])
    assert off <= both.error[0] + alone.error[0], f"the other datum moved by {off:.3g}"
    assert both.nodes < alone.nodes + 300_000, f"{both.nodes} nodes for a lost cause"
