"""Exact log evidence: against 30-digit references, closed forms and an independent trapezoid."""

import json
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from mpmath import mp, mpf
from scipy.special import logsumexp

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory.evidence import linear_log_evidence, log_evidence

REFERENCE = Path(__file__).parent / "reference" / "log_evidence.json"
CASES = json.loads(REFERENCE.read_text())["cases"]


def _floats(value):
    return [_floats(v) for v in value] if isinstance(value, list) else float(value)


def _decoder(spec):
    kind = spec["kind"]
    if kind == "affine":
        return decoders.Affine(_floats(spec["weight"]), _floats(spec["bias"]))
    if kind == "polynomial":
        return decoders.Polynomial(spec["powers"], _floats(spec["coefficients"]))
    if kind == "circle":
        return decoders.Circle(float(spec["radius"]))
    if kind == "tanh":
        return decoders.TanhNetwork(_floats(spec["weights"]), _floats(spec["biases"]))
    if kind == "sine":
        names = ("amplitude", "frequency", "phase")
        return decoders.Sine(*(_floats(spec[name]) for name in names))
    assert kind == "sinh", f"unknown decoder {kind}"
    a = float(spec["scale"])
    return lambda z: anp.sinh(a * z) / a


def _likelihood(spec):
    kind = spec["kind"]
    if kind == "gaussian":
        options = {k: _floats(v) for k, v in spec.items() if k != "kind"}
        return likelihoods.Gaussian(**options)
    if kind == "gamma":
        return likelihoods.Gamma(shape=float(spec["shape"]))
    plain = {
        "bernoulli": likelihoods.Bernoulli,
        "poisson": likelihoods.Poisson,
        "categorical": likelihoods.Categorical,
    }
    return plain[kind]()


def _model(case):
    return LatentModel(
        _decoder(case["decoder"]), _likelihood(case["likelihood"]), case["latent_dim"]
    )


def _network(rng, d, size, hidden=12, gain=1.0):
    weights = [gain * rng.normal(size=(hidden, d)), rng.normal(size=(size, hidden)) / 2]
    return decoders.TanhNetwork(weights, [gain * rng.normal(size=hidden), rng.normal(size=size)])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_thirty_digit_references(case):
    result = log_evidence(_model(case), np.array(_floats(case["x"])))
    with mp.workdps(40):
        true = abs(float(mpf(float(result.value)) - mpf(case["log_evidence"])))
    assert result.value.shape == (), f"one datum gives shape (), got {result.value.shape}"
    assert true <= result.error, f"true error {true:.3g}, stated {result.error:.3g}"
    assert true <= 1e-9, f"the evidence is off by a relative {true:.3g}"
    assert result.error <= 1e-10, f"stated error {result.error:.3g}, expected 1e-10 or less"
    assert result.status == "reached", f"status {result.status}, error {result.error:.3g}"


@pytest.mark.parametrize("d", [1, 2, 3])
@pytest.mark.parametrize("scale", [1.0, 0.01, 1e-4])
def test_affine_models_agree_with_their_closed_form(d, scale):
    rng = np.random.default_rng(d)
    decoder = decoders.Affine(rng.normal(size=(4, d)), rng.normal(size=4))
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), d)
    X = model.decode(rng.normal(size=(3, d))) + scale * rng.normal(size=(3, 4))
    if d < 3:
        X[0] *= 4
    engine, closed = log_evidence(model, X), linear_log_evidence(model, X)
    off = np.abs(engine.value - closed.value)
    assert (off <= engine.error + closed.error).all(), f"off by {off}, stated {engine.error}"


@pytest.mark.parametrize("d", [5, 40])
def test_linear_route_in_many_dimensions(d):
    rng = np.random.default_rng(d)
    weight, x = rng.normal(size=(6, d)), rng.normal(size=(3, 6))
    cov = 0.3 * np.eye(6) + 0.1
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(cov=cov), d)
    total = weight @ weight.T + cov
    expected = -0.5 * (
        np.einsum("ni,ij,nj->n", x, np.linalg.inv(total), x)
        + np.linalg.slogdet(2 * np.pi * total)[1]
    )
    result = linear_log_evidence(model, x)
    assert np.allclose(result.value, expected, rtol=1e-12), f"{result.value} is not {expected}"


def test_a_mixed_batch_equals_its_data_one_at_a_time():
    model = LatentModel(
        decoders.Sine([1.0, 0.7], [[5.0], [2.0]], [0.3, 0.0]), likelihoods.Gaussian(scale=0.1), 1
    )
    # In the data's middle, between modes, and far beyond the reach of the decoder.
    X = np.array([[[0.5, 0.2], [0.9, -0.6]], [[1.5, 0.9], [9.0, -3.0]]])
    together = log_evidence(model, X)
    assert together.value.shape == (2, 2), f"leading axes kept, got {together.value.shape}"
    assert together.reached.all(), f"status {together.status}"
    for index in np.ndindex(2, 2):
        alone = log_evidence(model, X[index])
        off = abs(alone.value - together.value[index])
        stated = alone.error + together.error[index]
        assert off <= stated, f"datum {index}: off by {off:.3g}, stated {stated:.3g}"


def test_progress_counts_to_one_and_budgets_hold():
    model = LatentModel(_network(np.random.default_rng(0), 2, 3), likelihoods.Bernoulli(), 2)
    seen = []
    X = np.eye(3)
    full = log_evidence(model, X, progress=seen.append)
    assert seen[-1] == 1, f"progress ended at {seen[-1]}"
    assert seen == sorted(seen), f"progress went back: {seen}"
    small = log_evidence(model, X, rtol=1e-13, max_nodes=8000)
    assert set(small.status) == {"gave up"}, f"status {small.status}"
    assert small.nodes <= 3 * 8000, f"{small.nodes} evaluations for a budget of 8000 a datum"
    off = np.abs(full.value - small.value)
    assert (off <= full.error + small.error).all(), f"off by {off}, stated {small.error}"
    nothing = log_evidence(model, X, max_nodes=1)
    assert set(nothing.status) == {"gave up"}, f"status {nothing.status}"
    assert not np.isnan(nothing.value).any(), "NaN left the engine"
    assert not np.isnan(nothing.error).any(), "NaN left the engine"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.zeros((3, 2))}, "X: expected shape"),
        ({"X": np.array([np.nan])}, "X: expected finite"),
        ({"rtol": 0.0}, "rtol: expected a number in"),
        ({"rtol": 0.5}, "rtol: expected a number in"),
        ({"max_nodes": 0}, "max_nodes: expected an integer"),
    ],
)
def test_bad_input_is_a_value_error(change, message):
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)
    options = {"X": np.zeros(1), **change}
    data = options.pop("X")
    with pytest.raises(ValueError, match=message):
        log_evidence(model, data, **options)


def test_many_latent_dimensions_and_nonlinear_models_are_refused():
    model = LatentModel(decoders.Affine(np.eye(5)), likelihoods.Gaussian(scale=1.0), 5)
    with pytest.raises(ValueError, match="latent_dim: expected at most 4"):
        log_evidence(model, np.zeros(5))
    circle = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=1.0), 1)
    with pytest.raises(ValueError, match="model: expected an Affine decoder"):
        linear_log_evidence(circle, np.zeros(2))


def test_four_latent_dimensions_are_answered_with_a_status():
    model = LatentModel(decoders.Affine(np.eye(4)), likelihoods.Gaussian(scale=1.0), 4)
    result = log_evidence(model, np.zeros(4), rtol=1e-4, max_nodes=2_000_000)
    off = abs(result.value - linear_log_evidence(model, np.zeros(4)).value)
    assert off <= result.error, f"off by {off:.3g}, stated {result.error:.3g}"


@pytest.mark.parametrize(("frequency", "scale"), [(2, 0.01), (5, 0.03), (8, 0.1)])
def test_cells_are_not_halved_for_ever_along_the_wrong_axis(frequency, scale):
    # Waves along one axis are seen as slopes along the other where the samples tell no better.
    def waves(z):
        t = frequency * z[..., -1]
        return anp.stack([anp.cos(t), anp.cos(1.7 * t + 1)], axis=-1)

    def decoder(z):
        return anp.concatenate([anp.tanh(z[..., :1]), waves(z)], axis=-1)

    x = np.array([[0.3, 0.9, 1.5], [0.0, 0.2, 0.3]])
    gaussian = likelihoods.Gaussian(scale=scale)
    result = log_evidence(LatentModel(decoder, gaussian, 2), x, max_nodes=2_500_000)
    assert result.reached.all(), f"{result.status} after {result.nodes} evaluations"
    # The evidence of two independent parts, one latent each.
    parts = [
        log_evidence(LatentModel(anp.tanh, gaussian, 1), x[:, :1]),
        log_evidence(LatentModel(waves, gaussian, 1), x[:, 1:]),
    ]
    off = np.abs(result.value - sum(p.value for p in parts))
    stated = result.error + sum(p.error for p in parts)
    assert (off <= stated).all(), f"off by {off}, stated {stated}"


@pytest.mark.parametrize("width", [0.03, 0.1, 0.3])
@pytest.mark.parametrize("height", [1e-7, 1e-6, 1e-5, 1e-4])
def test_bumps_of_little_weight_are_in_the_error(height, width):
    # Their spectrum is flat where that of all else has ended.
    gaussian, x = likelihoods.Gaussian(scale=0.2), np.array([[0.0, 0.6]])
    z = (np.arange(400_000) + 0.5)[:, None] * 6.5e-5 - 13
    for place in (-1.1, 0.05, 0.3, 0.71, 1.37):

        def decoder(z, place=place):
            bump = height / (1 + ((z - place) / width) ** 2)
            return anp.concatenate([anp.tanh(z), z / 2], axis=-1) + bump

        model = LatentModel(decoder, gaussian, 1)
        result = log_evidence(model, x)
        true = logsumexp(model.log_joint(x[0], z)) + np.log(6.5e-5)
        off = abs(result.value[0] - true)
        assert off <= result.error[0] + 1e-13, f"at {place} off by {off}, stated {result.error[0]}"


def _trapezoid(model, X, step, offset, radius=12.0):
    """The log evidence for d = 1 by a dense trapezoid: it shares nothing with the engine."""
    z = (np.arange(int(2 * radius / step)) + offset)[:, None] * step - radius
    params = model.decode(z)
    rows = [logsumexp(model.likelihood.log_prob(x, params) - 0.5 * z[:, 0] ** 2) for x in X]
    return np.array(rows) + np.log(step / np.sqrt(2 * np.pi))


@pytest.mark.parametrize("seed", range(40))
def test_random_models_against_a_trapezoid(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 5))
    likelihood = [
        likelihoods.Gaussian(scale=10 ** rng.uniform(-1.5, 0.3)),
        likelihoods.Bernoulli(),
        likelihoods.Poisson(),
        likelihoods.Gamma(shape=10 ** rng.uniform(-0.3, 1)),
        likelihoods.Categorical(),
    ][seed % 5]
    network = _network(rng, 1, size, gain=10 ** rng.uniform(-0.3, 0.5))
    # Every second decoder is folded: two exact modes, placed symmetrically.
    decoder = (
        network
        if seed % 2
        else decoders.FunctionDecoder(
            lambda z: anp.dot(anp.tanh(anp.dot(z * z, network.weights[0].T)), network.weights[1].T)
        )
    )
    model = LatentModel(decoder, likelihood, 1)
    X = likelihood.sample(model.decode(rng.normal(size=(4, 1))), rng)
    rtol = 10.0 ** -rng.integers(3, 13)
    result = log_evidence(model, X, rtol=rtol)
    coarse, fine = _trapezoid(model, X, 7e-4, 0.3), _trapezoid(model, X, 5e-4, 0.8)
    doubt = np.abs(coarse - fine) + 4e-15 * np.abs(fine)
    off = np.abs(result.value - fine)
    assert (doubt < 1e-9).all(), f"the trapezoid itself is off by {doubt.max():.3g}"
    assert (off <= result.error + doubt).all(), f"off by {off}, stated {result.error}"
    assert result.reached.all(), f"tolerance {rtol}: stated {result.error}"
