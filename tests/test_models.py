"""Latent models: what a decoder must be, the log joint and its derivatives, and the modes."""

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

import vaetheory
from vaetheory import (
    AggregatePosterior,
    LatentModel,
    OptimalDecoder,
    decoders,
    flows,
    likelihoods,
    log_evidence,
    stationary_posterior,
)
from vaetheory.modes import posterior_mode
from vaetheory.rounding import EPS, gamma

OPERATIONS = 200
GAUSSIAN = likelihoods.Gaussian(scale=0.5)


def integers(shape, low, high):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(float))


FAMILIES = {
    "Gaussian": (GAUSSIAN, [1.0, -0.5]),
    "Gaussian with cov": (likelihoods.Gaussian(cov=[[0.5, 0.2], [0.2, 0.3]]), [1.0, -0.5]),
    "Bernoulli": (likelihoods.Bernoulli(), [1.0, 0.0]),
    "Poisson": (likelihoods.Poisson(), [3.0, 0.0]),
    "Gamma": (likelihoods.Gamma(shape=2.0), [0.5, 2.0]),
    "Categorical": (likelihoods.Categorical(), [0.0, 1.0]),
}
DECODERS = {
    "affine": decoders.Affine([[1.0, 0.5], [-0.5, 1.0]], [0.25, 0.0]),
    "polynomial": decoders.Polynomial(
        [[1, 0], [1, 1], [0, 2]], [[1.0, 0.5], [0.5, 0.0], [0, 0.25]]
    ),
    "tanh": decoders.TanhNetwork(
        [[[1.0, 0.5], [-0.5, 1.5], [1.0, -1.0]], [[1.0, -1.0, 0.5], [0.5, 1.0, 1.0]]],
        [[0.5, -0.5, 0.0], [0.0, 0.25]],
    ),
    "sine": decoders.Sine([1.0, 0.5], [[1.0, 0.5], [0.0, 2.0]], [0.0, 0.5]),
    "function": lambda z: anp.sin(z) * z[..., :1],
    "optimal": OptimalDecoder(
        [[0.0, 1.0], [1.0, -1.0], [2.0, 0.0]], AggregatePosterior(np.eye(3)[:, :2], scale=1.0)
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DECODERS)
def test_the_log_joint_is_the_prior_times_the_likelihood(name, family):
    likelihood, x = FAMILIES[family]
    model, x = LatentModel(DECODERS[name], likelihood, 2), np.array(x)
    z = np.array([[0.0, 0.0], [1.0, -0.5], [-2.0, 3.0]])
    prior = stats.norm.logpdf(z).sum(axis=-1)
    given_z = likelihood.log_prob(x, model.decode(z))
    joint = model.log_joint(x, z)
    size = 1 + np.abs(prior) + np.abs(given_z)
    assert joint.shape == (3,), f"one log joint a latent, got shape {joint.shape}"
    assert (np.abs(joint - prior - given_z) <= gamma(OPERATIONS) * size).all(), f"{joint}"
    table = model.log_joint(np.stack([x, x])[:, None], z)
    assert table.shape == (2, 3), f"leading axes broadcast, got shape {table.shape}"


def differences(function, z, h):
    """Fourth-order central differences of a batched function along each latent axis, last."""
    out = []
    for e in np.eye(z.shape[-1]):
        near = function(z + h * e) - function(z - h * e)
        far = function(z + 2 * h * e) - function(z - 2 * h * e)
        out.append((8 * near - far) / (12 * h))
    return np.stack(out, axis=-1)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DECODERS)
@settings(max_examples=5)
@given(point=integers((2, 2), -6, 6))
def test_potential_derivatives_are_differences_of_the_potential(name, family, point):
    likelihood, x = FAMILIES[family]
    model = LatentModel(DECODERS[name], likelihood, 2)
    z, X = point / 4, np.array([x, x])
    gradient, hessian, gauss_newton = model.potential_derivatives(X, z)
    steps = 2.0**-7, 2.0**-8
    height = 1 + np.abs(model.log_joint(X, z))
    for what, ours, function, size in (
        ("gradient", gradient, lambda y: -model.log_joint(X, y), height),
        (
            "Hessian",
            hessian,
            lambda y: model.potential_derivatives(X, y)[0],
            1 + np.abs(gradient).max(axis=-1) + height,
        ),
    ):
        coarse, fine = (differences(function, z, h) for h in steps)
        # Halving the step divides the truncation by 16: what remains is less than the change.
        bound = np.abs(coarse - fine).max() + 3 * OPERATIONS * EPS * size.max() / steps[1]
        off = np.abs(ours - fine).max()
        assert ours.shape == fine.shape, f"{what}: shape {ours.shape}, not {fine.shape}"
        assert bound < 1e-3 * (1 + np.abs(fine).max()), f"{what}: bound {bound:.3g} says nothing"
        assert off <= bound, f"the {what} is off by {off:.3g}, bound {bound:.3g}"
    least = np.linalg.eigvalsh(gauss_newton)[:, 0].min()
    assert least >= 1 - gamma(OPERATIONS) * (1 + np.abs(gauss_newton).max()), (
        f"the Gauss-Newton part is at least the prior's identity, least eigenvalue {least}"
    )
    first, second = model.gauss_newton(X, z)
    assert (first == gradient).all(), "gauss_newton returns another gradient"
    assert (second == gauss_newton).all(), "gauss_newton returns another matrix"
    alone = model.definite_information(X, z)
    assert (alone == gauss_newton).all(), "definite_information returns another matrix"


@given(integers((3, 2), -4, 4), integers(3, -4, 4), integers((2, 2), -4, 4))
def test_a_linear_gaussian_potential_is_quadratic(weight, x, z):
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.5), 2)
    gradient, hessian, gauss_newton = model.potential_derivatives(np.array([x, x]), z)
    expected = np.eye(2) + 4 * weight.T @ weight
    # All of these are small integers, so that not one bit may differ.
    assert (hessian == expected).all(), f"Hessian {hessian}, not I + W^T W / sigma^2 = {expected}"
    assert (gauss_newton == expected).all(), "a linear decoder has no second derivative"
    assert (gradient == z - 4 * (x - z @ weight.T) @ weight).all(), f"gradient {gradient}"


def test_attributes():
    model = LatentModel(decoders.Helix(3.0, 4.0), GAUSSIAN, 1)
    assert (model.latent_dim, model.data_dim) == (1, 3), "a helix decodes one latent to three data"
    wrapped = LatentModel(anp.sin, GAUSSIAN, 2)
    assert isinstance(wrapped.decoder, decoders.Decoder), "a function is given derivatives"
    assert wrapped.decode(np.zeros((4, 5, 2))).shape == (4, 5, 2), "leading axes are kept"


class Named(decoders.Decoder):
    """A decoder of the user's own that knows the dimension of its latents, or says it does."""

    def __init__(self, latent_dim):
        self.latent_dim = latent_dim

    def __call__(self, z):
        return 2.0 * z

    def jacobian(self, z):
        return np.broadcast_to(2.0 * np.eye(z.shape[-1]), (*z.shape, z.shape[-1]))

    def hessian(self, z):
        return np.zeros((*z.shape, *2 * z.shape[-1:]))


OPTIMAL = OptimalDecoder([[0.0], [1.0]], AggregatePosterior(np.eye(2), scale=1.0))


@pytest.mark.parametrize(
    ("decoder", "d"),
    [
        (decoders.Affine(np.ones((4, 3))), 3),
        (decoders.Polynomial([[1, 1, 0]], [[1.0, 2.0]]), 3),
        (decoders.TanhNetwork([[[1.0, 0.5]], [[2.0], [1.0]]], [[0.0], [0.0, 1.0]]), 2),
        (decoders.Sine([1.0], [[1.0, 2.0]]), 2),
        (decoders.Circle(1.0), 1),
        (decoders.Helix(3.0, 4.0), 1),
        (decoders.Catenary(1.0), 1),
        (decoders.Cylinder(1.0), 2),
        (decoders.FlatTorus(1.0, 2.0), 2),
        (decoders.SpherePatch(1.0), 2),
        (decoders.Reparametrised(decoders.Circle(1.0), [[0.5, 0.25]]), 2),
        (flows.Cubic(3), 3),
        (flows.Affine([2.0, -0.5]), 2),
        (flows.Immersion(decoders.Helix(3.0, 4.0), 1), 1),
        (OPTIMAL, 2),
        (Named(2), 2),
    ],
    ids=lambda v: type(v).__name__,
)
def test_a_decoder_that_knows_its_latents_need_not_be_told(decoder, d):
    model = LatentModel(decoder, GAUSSIAN)
    assert model.latent_dim == d, f"read latent_dim {model.latent_dim}"
    for told in (LatentModel(decoder, GAUSSIAN, d), LatentModel(decoder, GAUSSIAN, latent_dim=d)):
        assert told.data_dim == model.data_dim, "it is another model when it is told"
    if not isinstance(decoder, Named):
        with pytest.raises(ValueError, match=rf"expected shape \(\.\.\., {d}\)"):
            LatentModel(decoder, GAUSSIAN, d + 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3.0, GAUSSIAN, 1), "decoder: expected a callable"),
        ((None, GAUSSIAN, 1), "decoder: expected a callable"),
        (
            (anp.sin, "gaussian", 1),
            "likelihood: expected a member of vaetheory.likelihoods, got str",
        ),
        ((anp.sin, None, 1), "likelihood: expected a member"),
        ((anp.sin, likelihoods.Gaussian, 1), "likelihood: expected a member"),
        ((anp.sin, GAUSSIAN, 0), "latent_dim: expected an integer of at least 1, got int 0"),
        ((anp.sin, GAUSSIAN, -2), "latent_dim: expected an integer"),
        ((anp.sin, GAUSSIAN, 1.0), "latent_dim: expected an integer"),
        ((anp.sin, GAUSSIAN, True), "latent_dim: expected an integer"),
        ((anp.sin, GAUSSIAN, "two"), "latent_dim: expected an integer"),
        (
            (anp.sin, GAUSSIAN),
            "latent_dim: expected the dimension of z, .* got none with a function",
        ),
        ((Named(None), GAUSSIAN), "latent_dim: expected the dimension of z, .* none with a Named"),
        ((Named("two"), GAUSSIAN), "decoder.latent_dim: expected an integer"),
        ((3.0, GAUSSIAN), "decoder: expected a callable"),
        (
            (lambda z: np.zeros(3), GAUSSIAN, 2),
            r"expected to map shape \(2, 2\) to \(2, D\), got .*\(3,\)",
        ),
        ((lambda z: z.sum(axis=-1), GAUSSIAN, 2), r"decoder: expected to map .* got shape \(2,\)"),
        ((lambda z: z.T, GAUSSIAN, 3), r"decoder: expected to map .* got shape \(3, 2\)"),
        (
            (lambda z: z[..., None], GAUSSIAN, 2),
            r"decoder: expected to map .* got shape \(2, 2, 1\)",
        ),
        ((lambda z: z[..., :0], GAUSSIAN, 2), r"decoder: expected to map .* got shape \(2, 0\)"),
        ((lambda z: 1.0, GAUSSIAN, 2), r"decoder: expected to map .* got shape \(\)"),
        (
            (lambda z: z * np.nan, GAUSSIAN, 2),
            "decoder: expected numbers, got NaN at z = .0.0, 0.0",
        ),
        ((lambda z: None, GAUSSIAN, 2), "decoder: expected"),
        ((lambda z: z + 1j, GAUSSIAN, 2), "decoder: expected"),
        ((lambda z: np.full(z.shape, "a"), GAUSSIAN, 2), "decoder: expected"),
        (
            (anp.sin, likelihoods.Gaussian(scale=[1.0, 1.0, 1.0]), 2),
            "decoder and likelihood: expected 3 outputs as the likelihood has, got 2",
        ),
        ((anp.sin, likelihoods.Gaussian(cov=np.eye(3)), 2), "decoder and likelihood: expected 3"),
        ((decoders.Circle(1.0), GAUSSIAN, 2), "z: expected shape"),
        ((decoders.Affine(np.eye(3)), GAUSSIAN, 2), "z: expected shape"),
    ],
    ids=lambda v: None,
)
def test_bad_models_are_value_errors(arguments, message):
    with pytest.raises(ValueError, match=message):
        LatentModel(*arguments)


def test_a_decoder_that_is_nan_somewhere_is_found_where_it_is():
    model = LatentModel(lambda z: anp.where(z > 1, np.nan, z), GAUSSIAN, 1)
    assert model.decode(np.array([[0.5]])) == 0.5, "where it is a number it is used"
    with pytest.raises(ValueError, match=r"decoder: expected numbers, got NaN at z = \[1.5\]"):
        model.decode(np.array([[0.0], [1.5], [2.0]]))


def test_a_decoder_whose_shape_depends_on_the_batch_is_refused():
    # It does well with (2, d), and sums over the last axis but one elsewhere.
    with pytest.raises(
        ValueError, match=r"map shape \(2, 1, 2\) to \(2, 1, 2\), got shape \(2, 2\)"
    ):
        LatentModel(lambda z: z if z.ndim == 2 else z.sum(axis=-2), GAUSSIAN, 2)


def test_a_decoder_that_mixes_rows_is_refused():
    with pytest.raises(ValueError, match="decoder: expected to work row by row"):
        LatentModel(lambda z: z - np.mean(z), GAUSSIAN, 2)


@pytest.mark.parametrize("function", [log_evidence, stationary_posterior])
def test_a_decoder_in_place_of_a_model_is_refused(function):
    with pytest.raises(ValueError, match="model: expected a LatentModel, got function"):
        function(lambda z: z, [[0.0]])


def test_a_family_the_engine_does_not_know_is_refused():
    class Unknown(likelihoods.StudentT):
        curvature_bounds = likelihoods.ElementwiseLikelihood.curvature_bounds

    model = LatentModel(decoders.Affine([[1.0]]), Unknown(dof=3.0, scale=1.0), 1)
    with pytest.raises(ValueError, match=r"curvature_range, or a concave one .*, got Unknown"):
        log_evidence(model, [[1.0]])


def test_outputs_that_overflow_are_cut_and_leave_no_nan():
    def explosive(z):
        with np.errstate(over="ignore"):
            return np.exp(np.exp(20 * z))

    model = LatentModel(explosive, GAUSSIAN, 1)
    value = model.log_joint(np.zeros(1), np.array([[1.0]]))
    assert np.isfinite(value).all(), f"an infinite output gives a log joint of {value}"
    assert (value < -1e200).all(), f"and a density of about nought, not {value}"


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([0.0, 0.0, 0.0], r"X: expected shape \(..., 2\), got \(3,\)"),
        ([[0.0]], "X: expected shape"),
        ([np.nan, 0.0], "X: expected finite numbers, got nan"),
        ([np.inf, 0.0], "X: expected finite numbers, got inf"),
        (np.zeros((0, 2)), "X: expected at least one vector, got an empty array"),
        (1.0, "X: expected at least 1 axis"),
        ("data", "X: expected an array of real numbers"),
        ([0.5, 0.0], "x: expected zeros and ones"),
    ],
    ids=str,
)
def test_bad_data_are_refused(x, message):
    model = LatentModel(anp.sin, likelihoods.Bernoulli(), 2)
    with pytest.raises(ValueError, match=message):
        model.check_data(x)


@pytest.mark.parametrize("family", FAMILIES)
def test_checked_data_are_a_copy(family):
    likelihood, x = FAMILIES[family]
    model = LatentModel(DECODERS["affine"], likelihood, 2)
    X = np.array([x, x])
    checked = model.check_data(X)
    assert not np.shares_memory(checked, X), "the user's array was returned"
    assert (checked == X).all(), f"the data were changed: {checked}"


def assert_highest_modes(model, X, grid):
    """The modes are stationary to rounding, and no point of the grid is higher."""
    z = posterior_mode(model, X)
    assert z.shape == (len(X), model.latent_dim), f"one mode a datum, got shape {z.shape}"
    height = model.log_joint(X, z)
    gradient, hessian, _ = model.potential_derivatives(X, z)
    least = np.linalg.eigvalsh(hessian)[:, 0]
    assert (least >= -gamma(OPERATIONS) * np.abs(hessian).max()).all(), f"a saddle: {least}"
    # The height still to gain by a Newton step, against the rounding of the height itself.
    gain = 0.5 * (gradient * np.linalg.solve(hessian, gradient[..., None])[..., 0]).sum(axis=-1)
    slack = gamma(OPERATIONS) * (1 + np.abs(height))
    assert (gain <= slack).all(), f"a Newton step still gains {gain.max():.3g} nats"
    best = np.array([model.log_joint(x, grid).max() for x in X])
    short = best - height
    assert (short <= slack).all(), f"the grid is higher by {short.max():.3g} nats"


LINE = np.linspace(-6, 6, 24001)[:, None]
PLANE = np.stack(np.meshgrid(*[np.linspace(-5, 5, 401)] * 2), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize("scale", [1.0, 0.1, 1e-3])
def test_the_highest_mode_of_folded_and_wavy_decoders(scale):
    likelihood = likelihoods.Gaussian(scale=scale)
    folded = LatentModel(decoders.Polynomial([[2], [1]], [[1.0], [0.01]]), likelihood, 1)
    assert_highest_modes(folded, np.array([[1.0], [0.0], [-3.0], [4.0]]), LINE)
    wavy = LatentModel(decoders.Sine([1.0, 1.0], [[3.0], [5.0]], [0.3, 0.0]), likelihood, 1)
    assert_highest_modes(wavy, wavy.decode(np.array([[0.3], [-1.1], [2.0]])), LINE)
    circle = LatentModel(decoders.Circle(0.5), likelihood, 1)
    assert_highest_modes(circle, circle.decode(np.array([[0.2], [1.5], [-1.4]])) * 1.1, LINE)


@pytest.mark.parametrize("scale", [1.0, 0.1])
def test_the_highest_mode_in_the_plane(scale):
    likelihood = likelihoods.Gaussian(scale=scale)
    folded = LatentModel(
        decoders.Polynomial([[2, 0], [0, 2], [1, 1]], [[1.0, 0.0], [1.0, 0.2], [0.0, 1.0]]),
        likelihood,
        2,
    )
    assert_highest_modes(folded, np.array([[1.0, 0.2], [3.0, -1.0], [0.0, 0.0]]), PLANE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", DECODERS)
def test_the_highest_mode_of_every_family(name, family):
    likelihood, x = FAMILIES[family]
    model = LatentModel(DECODERS[name], likelihood, 2)
    assert_highest_modes(model, np.array([x]), PLANE[::7])


def test_modes_have_the_leading_axes_of_the_data():
    model = LatentModel(decoders.Affine([[1.0], [2.0]]), GAUSSIAN)
    X = np.arange(12.0).reshape(3, 2, 2) / 4
    modes = posterior_mode(model, X)
    assert modes.shape == (3, 2, 1), f"modes of shape {modes.shape}"
    assert np.array_equal(posterior_mode(model, X[1, 0]), modes[1, 0]), "rows meet"
    assert vaetheory.posterior_mode is posterior_mode, "the public function is another one"
    for bad, message in (
        ((model, [[1.0]]), r"X: expected shape \(..., 2\)"),
        ((model, [[1.0, np.nan]]), "X: expected finite"),
        ((3.0, X), "model: expected a LatentModel"),
    ):
        with pytest.raises(ValueError, match=message):
            posterior_mode(*bad)


@given(integers((3, 2), -4, 4), integers(3, -8, 8))
@settings(max_examples=25)
def test_the_mode_of_a_linear_model_is_its_posterior_mean(weight, x):
    model = LatentModel(decoders.Affine(weight / 2), likelihoods.Gaussian(scale=0.5), 2)
    z = posterior_mode(model, x[None])[0]
    precision = np.eye(2) + weight.T @ weight
    mean = np.linalg.solve(precision, weight.T @ x) * 2
    # A height known to rounding leaves the mode within the root of twice that, in deviations.
    slack = np.sqrt(2 * gamma(OPERATIONS) * (1 + abs(model.log_joint(x, z))))
    assert np.abs(z - mean).max() <= slack, f"mode {z}, mean {mean}"
