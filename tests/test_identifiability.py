"""Latents from environments, decoders from densities, twists: against other routes."""

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.special import log_ndtr, logsumexp, ndtr

from vaetheory import LatentModel, decoders, flows, likelihoods, log_evidence
from vaetheory.identifiability import latents_from_environments, monotone_decoder


def exact_logs(z, means, variances):
    """Log densities up to a constant, of 40 digits, rounded once."""
    with mp.workdps(40):
        rows = []
        for mean, variance in zip(means, variances, strict=True):
            terms = [
                -((mpf(float(a)) - mpf(float(b))) ** 2) / mpf(float(v)) / 2 - mp.log(float(v)) / 2
                for a, b, v in zip(z, mean, variance, strict=True)
            ]
            rows.append(float(mp.fsum(terms)))
    return np.array(rows)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("separation", [1.0, 1e-4, 1e3])
@pytest.mark.parametrize("scaled", [False, True])
def test_latents_are_within_their_bounds(offset, separation, scaled):
    rng = np.random.default_rng(7)
    for d in (1, 3, 8):
        count = 2 * d + 2 if scaled else d + 1
        means = offset * rng.normal(size=d) + separation * rng.normal(size=(count, d))
        variances = np.exp(rng.normal(size=(count, d))) if scaled else np.ones((count, d))
        z = means.mean(axis=0) + (1 + separation) * rng.normal(size=d)
        logs = exact_logs(z, means, variances)
        found = latents_from_environments(logs, means, variances=variances)
        off = np.abs(found.value - z)
        assert (off <= found.error).all(), f"d = {d}: off by {off}, stated {found.error}"
        assert found.consistent, f"d = {d}: a misfit of {found.misfit} is called too large"


def test_errors_of_densities_are_carried_through():
    rng = np.random.default_rng(3)
    means, z = rng.normal(size=(5, 2)), np.array([0.5, -1.0])
    logs = exact_logs(z, means, np.ones((5, 2))) + 1e-3 * rng.uniform(-1, 1, (50, 5))
    found = latents_from_environments(logs, means, error=1e-3)
    off = np.abs(found.value - z)
    assert (off <= found.error).all(), f"off by {off.max()}"
    assert off.max() > 0.05 * found.error.max(), "the bound is loose where errors are random"
    assert found.consistent.all(), "densities within their errors are called inconsistent"
    gain = found.error.max(axis=0) / 1e-3
    assert np.allclose(gain, found.gain, rtol=1e-6), f"{gain} is not the gain {found.gain}"
    told = latents_from_environments(logs, means, error=1e-7)
    assert not told.consistent.any(), "a misfit of 1e-3 passes for one of 1e-7"


def test_noisy_data_contradict_the_equations():
    means = np.array([[0.0], [1.0], [3.0]])
    noise = 0.5
    model = [
        LatentModel(decoders.Affine([[2.0]], 2 * m), likelihoods.Gaussian(scale=noise))
        for m in means
    ]
    logs = [float(log_evidence(m, [1.5]).value) for m in model]
    found = latents_from_environments(logs, means, error=1e-9)
    assert not found.consistent, f"a misfit of {found.misfit} passes"


def test_a_common_factor_changes_nothing():
    means = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    logs = exact_logs([0.5, 1.5], means, np.ones((3, 2)))
    plain = latents_from_environments(logs, means)
    moved = latents_from_environments(logs[None] + np.array([[3.0], [-700.0]]), means)
    assert np.allclose(moved.value, plain.value, rtol=0, atol=1e-12), f"{moved.value}"
    assert moved.value.shape == (2, 2), f"shape {moved.value.shape}"


SPAN = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"means": SPAN[:2]}, "means: expected 3 or more affinely independent means, got 2"),
        ({"means": [[0, 0], [1, 1], [2, 2], [3, 3]]}, "got 4 of rank 1: other latents"),
        ({"means": np.zeros((4, 2)), "variances": [[1, 1], [2, 1], [1, 2], [3, 3]]},
         "means: expected environments whose natural parameters span 4"),
        ({"variances": [1.0, 0.0]}, "variances: expected positive numbers"),
        ({"means": [[0, 0], [1e200, 0], [0, 1]]}, "means: "),
        ({"variances": [1.0] * 3}, "variances: expected a number"),
        ({"error": -1.0}, "error: expected numbers that are not negative"),
        ({"error": [1.0, 1.0]}, "error: expected a number or shape"),
        ({"log_densities": [0.0, np.nan, 1.0]}, "log_densities: expected finite numbers"),
        ({"log_densities": [0.0, 1.0]}, "log_densities: expected shape"),
    ],
)  # fmt: skip
def test_environments_that_say_nothing_are_refused(change, words):
    given = {"log_densities": np.zeros(len(change.get("means", SPAN))), "means": SPAN} | change
    logs, means = given.pop("log_densities"), given.pop("means")
    with pytest.raises(ValueError) as e:
        latents_from_environments(logs, means, **given)
    assert words in str(e.value), f"{e.value}"


def atoms(places, weights, noise):
    """The log density of a law of a few points with noise."""
    places, weights = np.array(places), np.log(weights)

    def log_density(X):
        terms = weights - 0.5 * ((X - places) / noise) ** 2
        return logsumexp(terms, axis=-1) - np.log(noise * np.sqrt(2 * np.pi))

    return log_density


def check(found, exact, what):
    """Bounds hold, and the estimate is as near as it says."""
    slack = 1e-12 * (1 + np.abs(exact).max())
    assert (found.lower <= exact + slack).all(), f"{what}: {exact} is below {found.lower}"
    assert (exact <= found.upper + slack).all(), f"{what}: {exact} is above {found.upper}"
    off = np.abs(found.value - exact)
    assert (off <= found.error + slack).all(), f"{what}: off by {off}, stated {found.error}"


@pytest.mark.parametrize("noise", [0.1, 0.5, 3.0])
@pytest.mark.parametrize("centre", [0.0, 1e5])
def test_steps_of_a_decoder_lie_between_the_bounds(noise, centre):
    z = np.array([-2.0, -0.9, -0.3, 0.4, 1.0, 2.0])
    places = centre + np.array([-1.0, 0.0, 2.0])
    exact = np.select([ndtr(z) <= 0.25, ndtr(z) <= 0.75], places[:2], places[2])
    law = atoms(places, [0.25, 0.5, 0.25], noise)
    reach = (centre - 1 - 9 * noise, centre + 2 + 9 * noise)
    check(monotone_decoder(law, z, noise=noise, interval=reach), exact, "three points")


@pytest.mark.parametrize("error", [None, 1e-6])
def test_an_exponential_law_with_noise(error):
    s, z = 0.5, np.linspace(-2, 2, 9)
    wave = 0.0 if error is None else error

    def log_density(X):
        y = X[:, 0]
        return 0.5 * s**2 - y + log_ndtr(y / s - s) + wave * np.sin(7 * y)

    found = monotone_decoder(log_density, z, noise=s, interval=(-5, 40), error=error)
    check(found, -log_ndtr(-z), f"error {error}")
    assert (found.upper - found.lower)[2:7].max() < 1.5 * s, "the bounds are loose"


def test_a_smooth_decoder_is_found_to_many_digits():
    z = np.linspace(-2, 2, 5)

    def log_density(X):
        return -0.5 * X[:, 0] ** 2 / 1.25 - 0.5 * np.log(2 * np.pi * 1.25)

    found = monotone_decoder(log_density, z, noise=0.5, interval=(-10, 10))
    check(found, z, "a straight line")
    assert found.error.max() < 1e-4, f"errors {found.error}"
    moved = monotone_decoder(
        lambda X: log_density((X - 3.0) / 8.0) - np.log(8.0), z, noise=4.0, interval=(-77, 83)
    )
    assert np.allclose(moved.lower, 3 + 8 * found.lower, rtol=0, atol=4e-3), "units change bounds"


def test_the_monotone_decoder_of_two_latents():
    model = LatentModel(decoders.Affine([[0.6, 0.8]]), likelihoods.Gaussian(scale=0.5))
    z = np.array([[-1.0, 0.5]])
    found = monotone_decoder(lambda X: log_evidence(model, X), z, noise=0.5, interval=(-10, 10))
    check(found, z, "a plane seen from the side")
    assert found.value.shape == z.shape, f"shape {found.value.shape}"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"noise": 0.6}, "noise: expected at most the noise in the density"),
        ({"noise": 0.0}, "noise: expected positive numbers"),
        ({"interval": (0.0, 8.0)}, "interval: expected one that holds the mass"),
        ({"interval": (8.0, -8.0)}, "interval: expected (low, high) with low < high"),
        ({"interval": (-1e6, 1e6)}, "interval: expected at most"),
        ({"error": -1.0}, "error: expected a number that is not negative"),
        ({"z": [np.nan]}, "z: expected finite numbers"),
        ({"z": []}, "z: expected at least one latent"),
        ({"log_density": lambda X: X}, "log_density: expected to map shape"),
        ({"log_density": lambda X: 0 * X[:, 0] + np.nan}, "log_density: expected numbers"),
        ({"log_density": lambda X: 1 + atoms([0.0], [1.0], 0.5)(X)}, "interval: expected one that"),
        ({"log_density": None}, "log_density: expected"),
    ],
)
def test_densities_that_cannot_be_are_refused(change, words):
    given = {
        "log_density": atoms([0.0], [1.0], 0.5), "z": [0.0], "noise": 0.5, "interval": (-8.0, 8.0)
    } | change  # fmt: skip
    with pytest.raises(ValueError) as caught:
        monotone_decoder(given.pop("log_density"), given.pop("z"), **given)
    assert words in str(caught.value), f"{caught.value}"


def test_a_density_of_slightly_more_than_mass_one_is_refused():
    law = atoms([0.0], [1.0], 0.5)
    with pytest.raises(ValueError, match="log_density: expected a density of mass 1"):
        monotone_decoder(lambda X: 1e-6 + law(X), [0.0], noise=0.5, interval=(-8.0, 8.0))
    found = monotone_decoder(
        lambda X: 1e-6 + law(X), [0.5], noise=0.5, interval=(-8.0, 8.0), error=2e-6
    )
    check(found, np.zeros(1), "an error that is stated")


@pytest.mark.parametrize("size", [1e-8, 1.0, 30.0])
def test_a_twist_keeps_lengths_and_comes_back(size):
    f = flows.Twist(4, -0.75, (3, 1))
    z = size * np.random.default_rng(1).normal(size=(50, 4))
    x = f.forward(z)
    off = 1e-15 * (1 + 30 * size**2) * size
    assert np.allclose((x**2).sum(-1), (z**2).sum(-1), rtol=1e-14), "a length changed"
    assert np.abs(f.inverse(x) - z).max() <= off, "not the same point again"
    assert np.abs(x[:, [0, 2]] - z[:, [0, 2]]).max() == 0, "an axis across the plane moved"
    with mp.workdps(40):
        first = [mpf(float(v)) for v in z[0]]
        angle = -mpf(0.75) * mp.fsum(v**2 for v in first)
        turned = mp.cos(angle) * first[3] - mp.sin(angle) * first[1]
        assert abs(mpf(float(x[0, 3])) - turned) <= off, f"{x[0, 3]} is not {turned}"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((1, 0.5), "latent_dim: expected"),
        ((2, 0.0), "rate: expected a number other than 0"),
        ((2, np.inf), "rate: expected finite numbers"),
        ((3, 0.5, (0, 3)), "plane: expected"),
        ((3, 0.5, (1, 1)), "plane: expected two different axes"),
        ((3, 0.5, (0, 1, 2)), "plane: expected two axes, got 3"),
    ],
)
def test_twists_that_are_none(given, words):
    with pytest.raises(ValueError) as caught:
        flows.Twist(*given)
    assert words in str(caught.value), f"{caught.value}"


def test_a_composed_decoder_knows_what_its_parts_know():
    inner = decoders.LastLayer(decoders.TanhNetwork([[[1.0, 0.5]]], [[0.0]]), [[1.0], [2.0], [3.0]])
    f = decoders.Composed(inner, flows.Twist(2, 0.5))
    last, z = f.last_layer(), np.array([[0.5, -1.0]])
    assert last is not None, "the last layer is lost"
    assert np.allclose(last(z), f(z)), "the last layer is another decoder"
    assert f == decoders.Composed(inner, flows.Twist(2, 0.5)), "equal decoders are not equal"
    assert decoders.Composed(decoders.Circle(1.0), lambda z: z**2).growth_degree in (0, None)
    with pytest.raises(ValueError, match="decoder: expected"):
        decoders.Composed(3.0, flows.Twist(2, 0.5))
