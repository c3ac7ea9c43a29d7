"""Rounded data: cells to 30 digits, both bounds, many dimensions, bits, bad input."""

import mpmath
import numpy as np
import pytest

from vaetheory import LatentModel, Posterior, decoders, likelihoods, log_evidence
from vaetheory.bounds import bits_per_dim, cell_model, dequantised_bound, gap_split
from vaetheory.likelihoods._cells import GaussianCells

LINE = LatentModel(decoders.Affine([[0.6]]), likelihoods.Gaussian(scale=0.8))
CIRCLE = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.3))


@pytest.mark.parametrize("step", [1e-6, 0.1, 1.9, 2.1, 30.0])
@pytest.mark.parametrize("x", [-40.0, -5.0, -0.5, 0.2, 3.0, 38.0, 1000.0])
def test_cells_to_30_digits(step, x):
    family = GaussianCells(np.array(1.0), np.array(step))
    with mpmath.workdps(60):
        a, b = mpmath.mpf(x), mpmath.mpf(x) + mpmath.mpf(step)
        if b <= 0:
            a, b, sign = -b, -a, -1
        else:
            sign = 1
        root = mpmath.sqrt(2)
        p = (mpmath.erfc(a / root) - mpmath.erfc(b / root)) / 2
        log_p, mean = mpmath.log(p), (mpmath.npdf(a) - mpmath.npdf(b)) / p
        variance = 1 + (a * mpmath.npdf(a) - b * mpmath.npdf(b)) / p - mean**2
        log_p, mean, variance = float(log_p), sign * float(mean), float(variance)
    zero, at = np.zeros(1), np.array([x])
    found = float(family.log_prob(at, zero))
    assert abs(found - log_p) < 2e-14 * (1 + abs(log_p)), f"log p {found}, right is {log_p}"
    score = float(family.score(at, zero)[0])
    assert abs(score - mean) < 2e-14 * (1 + abs(mean)), f"score {score}, right is {mean}"
    bend = float(family.observed_information(at, zero, np.eye(1))[0, 0])
    assert abs(bend - (1 - variance)) < 1e-9, f"information {bend}, right is {1 - variance}"


def test_the_evidence_of_cells_of_a_line():
    x = np.array([[-2.0], [0.0], [3.5]])
    found = log_evidence(cell_model(LINE, 0.5), x)
    with mpmath.workdps(30):
        told = [float(mpmath.log(mpmath.ncdf(v + 0.5) - mpmath.ncdf(v))) for v in x[:, 0].tolist()]
    off = np.abs(found.value - told)
    assert (off <= found.error + 1e-14).all(), f"off by {off}, said {found.error}"
    assert (found.error < 1e-9).all(), f"errors {found.error} say nothing"


def test_cells_add_up_to_one():
    steps = np.arange(-14, 14)
    logs = log_evidence(cell_model(LINE, 0.5), steps[:, None] * 0.5)
    assert abs(np.exp(logs.value).sum() - 1) < 1e-9, "the probabilities of all cells"


def test_narrow_cells_have_the_density():
    x = np.array([0.9, 0.2])
    width = 1e-3
    found = log_evidence(cell_model(CIRCLE, width), x).value - 2 * np.log(width)
    middle = log_evidence(CIRCLE, x + width / 2).value
    assert abs(found - middle) < 1e-5, "P(x) over the volume of the cell"


def test_uniform_noise_of_a_line_and_its_product_rule():
    # A decoder that does not say that it is affine goes by the product rule.
    hidden = LatentModel(lambda z: 0.6 * z, likelihoods.Gaussian(scale=0.8), 1)
    x = [[0.0], [-2.0]]
    closed, ruled = (dequantised_bound(model, x, 2.0) for model in (LINE, hidden))
    off = np.abs(closed.value - ruled.value)
    assert (off <= closed.error + ruled.error).all(), f"off by {off}"
    # E of -(x + u)^2 / 2 over [0, 2): at 0, 2/3.
    told = -2 / 3 - 0.5 * np.log(2 * np.pi) + np.log(2.0)
    assert abs(closed.value[0] - told) < 1e-13, f"{closed.value[0]} and not {told}"


def test_many_dimensions_are_sampled_and_covered():
    weight = np.linspace(-1, 1, 5)[:, None]
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.5))
    hidden = LatentModel(lambda z: z @ weight.T, likelihoods.Gaussian(scale=0.5), 1)
    x = np.array([[0.0] * 5, [0.5, -0.5, 0.0, 0.5, 0.0]])
    exact, drawn = (dequantised_bound(m, x, 0.5, rtol=1e-6) for m in (model, hidden))
    off = np.abs(exact.value - drawn.value)
    assert (off <= drawn.error).all(), f"off by {off}, said {drawn.error}"
    assert (drawn.error < 0.05).all(), f"errors {drawn.error} say nothing"


def test_both_bounds_are_below_and_learned_noise_can_be_the_better():
    x = np.array([1.0, 0.0])
    exact = log_evidence(cell_model(CIRCLE, 1.0), x)
    uniform = dequantised_bound(CIRCLE, x, 1.0)
    learned = max(
        float(dequantised_bound(CIRCLE, x, 1.0, noise=Posterior([m, 0.0], scale=s)).value)
        for m in (-2.0, -1.0) for s in (0.75, 1.25)
    )  # fmt: skip
    assert uniform.value < exact.value - 0.1, "uniform noise lacks something in wide cells"
    assert uniform.value < learned < exact.value, "learned noise"


def test_the_gap_of_an_encoder_of_rounded_data():
    model = cell_model(LINE, 0.5)
    found = gap_split(model, [0.25], Posterior([0.1], scale=0.7))
    parts = found.approximation + found.amortisation
    assert abs(parts - found.gap) < 1e-9, "the parts are those of log P"
    assert found.approximation >= -found.approximation_error, "log P is below the ELBO"


def test_bits():
    bits = bits_per_dim([700.0, -50.0], 100, levels=256)
    told = np.array([7.0, -0.5]) / np.log(2) + 8
    assert np.abs(bits - told).max() < 1e-13, f"{bits} and not {told}"
    assert bits_per_dim(np.log(2.0), 1) == 1, "one bit"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: cell_model(LINE, 0.0), "step: expected"),
        (lambda: cell_model(CIRCLE, [1.0, 1.0, 1.0]), r"step: expected shape \(\) or \(2,\)"),
        (
            lambda: cell_model(LatentModel(decoders.Affine([[1.0]]), likelihoods.Bernoulli())),
            "likelihood: expected a Gaussian",
        ),
        (
            lambda: cell_model(
                LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(cov=[[1.0]]))
            ),
            "likelihood: expected a Gaussian",
        ),
        (
            lambda: dequantised_bound(CIRCLE, [0.0, 0.0], noise=Posterior([0.0], scale=1.0)),
            "noise: expected 2 dimensions",
        ),
        (
            lambda: dequantised_bound(
                LatentModel(decoders.Affine([[1.0]]), likelihoods.Bernoulli()), [1.0]
            ),
            "x: expected zeros and ones",
        ),
        (lambda: bits_per_dim(np.inf, 3), "nats: expected finite"),
        (lambda: bits_per_dim(1.0, 0), "dim: expected"),
        (lambda: bits_per_dim(1.0, 3, levels=0), "levels: expected"),
        (lambda: cell_model(LINE).likelihood.fisher_information([0.0]), "Fisher information"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


@pytest.mark.parametrize("normal", [False, True])
def test_small_cells_of_a_large_offset(normal):
    # x = w z + b + noise, with b of a million and cells that are small beside it.
    w, b, s, step, x = 0.02, 3e6, 0.003, 1e-3, 3e6 + 0.25
    model = LatentModel(decoders.Affine([[w]], [b]), likelihoods.Gaussian(scale=s))
    noise = Posterior([0.3], scale=0.5) if normal else None
    found = dequantised_bound(model, [x], step, noise=noise, rtol=1e-12)
    with mpmath.workdps(30):
        h, away = mpmath.mpf(step), mpmath.mpf(x) - mpmath.mpf(b)
        total = mpmath.mpf(w) ** 2 + mpmath.mpf(s) ** 2
        peak = -mpmath.log(2 * mpmath.pi * total) / 2
        if normal:
            v, spread = mpmath.mpf(0.3), mpmath.mpf(0.5)

            def integrand(e):
                share = 1 / (1 + mpmath.exp(-v - spread * e))
                value = peak - (away + h * share) ** 2 / (2 * total)
                value += mpmath.log(h * share * (1 - share) * spread)
                return mpmath.npdf(e) * (value + e**2 / 2 + mpmath.log(2 * mpmath.pi) / 2)

            told = mpmath.quad(integrand, [-14, -4, 0, 4, 14])
        else:
            told = peak - ((away + h / 2) ** 2 + h**2 / 12) / (2 * total) + mpmath.log(h)
        off = abs(mpmath.mpf(float(found.value)) - told)
    error = float(np.max(found.error))
    assert off <= error, f"off by {float(off):.2e}, said {error:.2e}"
    assert error < 1e-7, f"an error of {error:.2e}"
