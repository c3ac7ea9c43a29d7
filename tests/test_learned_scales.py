"""Means and scales from the decoder: evidences, bounds and everything else, by other routes."""

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp

from vaetheory import (
    LatentModel,
    Posterior,
    decoders,
    elbo,
    likelihoods,
    log_evidence,
    posterior_expectation,
    posterior_kl,
    posterior_mode,
    stationary_posterior,
)
from vaetheory._quadrature.grid import Boxes
from vaetheory._quadrature.tilted_bounds import look_at_cells
from vaetheory.decoders import TanhNetwork
from vaetheory.evidence import linear_log_evidence
from vaetheory.geometry import pullback_metric

LOG_2PI = np.log(2 * np.pi)


def network(d, size, low, high, *, seed=0, hidden=8, gain=1.5):
    """A tanh network with means and log scales; the scales lie between two numbers."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(size, hidden))
    rows *= 0.5 * np.log(high / low) / np.abs(rows).sum(axis=1, keepdims=True)
    return TanhNetwork(
        [
            rng.normal(size=(hidden, d)) * gain,
            np.concatenate([rng.normal(size=(size, hidden)) / np.sqrt(hidden), rows]),
        ],
        [
            rng.normal(size=hidden),
            np.r_[rng.normal(size=size), np.full(size, 0.5 * np.log(low * high))],
        ],
    )


def model_of(decoder, floor, d):
    return LatentModel(decoder, likelihoods.GaussianMeanScale(least_scale=floor), d)


def drawn(decoder, d, count, seed=1):
    rng = np.random.default_rng(seed)
    mean, log_scale = np.split(decoder(rng.normal(size=(count, d))), 2, axis=-1)
    return mean + np.exp(log_scale) * rng.normal(size=mean.shape)


def log_joint(decoder, x, z):
    """Written again, with residuals that are not expanded."""
    mean, log_scale = np.split(decoder(z), 2, axis=-1)
    residual = (x - mean) / np.exp(log_scale)
    terms = -0.5 * residual**2 - log_scale - 0.5 * LOG_2PI
    return terms.sum(axis=-1) - 0.5 * (z**2).sum(axis=-1) - 0.5 * z.shape[-1] * LOG_2PI


def nodes(decoder, x, d, count):
    """Nodes of a rule over the box that holds all but exp(-55) of the peak, and their spacing."""
    low, high = np.full(d, -14.0), np.full(d, 14.0)
    for _ in range(8):
        axes = [
            np.linspace(a, b, {1: 401, 2: 61, 3: 31}[d]) for a, b in zip(low, high, strict=True)
        ]
        z = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d)
        height = log_joint(decoder, x, z)
        step = np.array([axis[1] - axis[0] for axis in axes])
        inside = z[height > height.max() - 55]
        low, high = inside.min(axis=0) - 2 * step, inside.max(axis=0) + 2 * step
    axes = [np.linspace(a, b, count) for a, b in zip(low, high, strict=True)]
    spacing = [axis[1] - axis[0] for axis in axes]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, d), np.prod(spacing)


#: Nodes an axis of the two rules, by dimension.
COUNTS = {1: (3001, 4001), 2: (260, 331), 3: (70, 85)}


def brute_force(decoder, X, d, counts=None):
    """Log evidences by trapezoid rules of two sizes, and the difference."""
    found = []
    for x in X:
        rules = [nodes(decoder, x, d, count) for count in counts or COUNTS[d]]
        found.append([logsumexp(log_joint(decoder, x, z)) + np.log(volume) for z, volume in rules])
    found = np.array(found)
    return found[:, 1], np.abs(found[:, 1] - found[:, 0])


def require_right(result, expected, own, *, share=1.0):
    off = np.abs(result.value - expected)
    bound = share * result.error + 2 * own + 1e-13 * (1 + np.abs(expected))
    assert (off <= bound).all(), f"off by {off.max():.3g}, stated {result.error.max():.3g}"


# Against dense rules --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "size", "low", "high", "gain"),
    [
        (1, 1, 0.02, 0.5, 1.5),
        (1, 6, 0.02, 0.5, 1.5),
        (1, 6, np.exp(-6), 1.0, 1.0),
        (2, 1, 0.2, 0.6, 1.0),
        (2, 6, 0.2, 0.6, 1.5),
        (2, 6, 0.02, 0.5, 1.5),
        (2, 6, np.exp(-6), 1.0, 1.0),
    ],
)
def test_evidences_are_those_of_dense_rules(d, size, low, high, gain):
    decoder = network(d, size, low, high, gain=gain)
    X = drawn(decoder, d, 2)
    result = log_evidence(model_of(decoder, low, d), X)
    assert result.reached.all(), f"status {result.status}, error {result.error}"
    require_right(result, *brute_force(decoder, X, d))


def test_as_many_dimensions_as_digits_have():
    low = np.exp(-2.5)
    decoder = network(2, 784, low, 0.5, gain=0.5)
    X = drawn(decoder, 2, 1)
    result = log_evidence(model_of(decoder, low, 2), X)
    assert result.reached.all(), f"status {result.status}, error {result.error}"
    assert result.nodes < 30_000, f"{result.nodes} evaluations of one datum"
    require_right(result, *brute_force(decoder, X, 2, counts=(60, 71)))


def test_three_latents():
    decoder = network(3, 30, 0.3, 0.6, gain=0.5)
    X = drawn(decoder, 3, 1)
    result = log_evidence(model_of(decoder, 0.3, 3), X, max_nodes=2_000_000)
    require_right(result, *brute_force(decoder, X, 3))
    assert np.isfinite(result.error).all(), "no error figure"


def test_evidences_to_thirty_digits():
    """On a line, by a trapezoid rule in multiple precision."""
    decoder = network(1, 2, np.exp(-4), 0.5, hidden=3, gain=1.0)
    X = np.concatenate([drawn(decoder, 1, 2), [[3.0, -2.0]]])
    result = log_evidence(model_of(decoder, np.exp(-4), 1), X)
    with mpmath.workdps(30):
        first, last = (mpmath.matrix(w.tolist()) for w in decoder.weights)
        bias, shift = (mpmath.matrix(b.tolist()) for b in decoder.biases)
        step, sums = mpmath.mpf(1) / 400, [mpmath.mpf(0)] * len(X)
        for k in range(-4000, 4001):
            z = k * step
            hidden = mpmath.matrix([mpmath.tanh(w) for w in first * z + bias])
            out = last * hidden + shift
            for n, x in enumerate(X):
                log = -(z**2) / 2 - mpmath.log(2 * mpmath.pi) * mpmath.mpf(3) / 2
                for i in range(2):
                    log -= ((mpmath.mpf(float(x[i])) - out[i]) * mpmath.exp(-out[i + 2])) ** 2 / 2
                    log -= out[i + 2]
                sums[n] += mpmath.exp(log) * step
        expected = np.array([float(mpmath.log(s)) for s in sums])
    assert result.reached.all(), f"status {result.status}"
    off = np.abs(result.value - expected)
    assert (off <= result.error).all(), f"off by {off}, stated {result.error}"
    assert off.max() < 1e-11, f"off by {off}"


def test_a_datum_has_the_same_evidence_alone_and_beside_others():
    decoder = network(2, 6, 0.05, 0.5)
    X = np.concatenate([drawn(decoder, 2, 3), np.full((1, 6), 12.0)])
    model = model_of(decoder, 0.05, 2)
    together = log_evidence(model, X)
    alone = [log_evidence(model, x) for x in X]
    for n, one in enumerate(alone):
        off = abs(together.value[n] - one.value)
        assert off <= together.error[n] + one.error, f"datum {n} is off by {off:.3g}"
    require_right(together, *brute_force(decoder, X, 2))


def test_data_far_apart_in_units_of_the_scales():
    """Means of up to 1e4 and scales of 1e-2, so that shared bounds of all data are useless."""
    decoder = network(1, 2, 0.01, 0.1, gain=0.5)
    weights = [decoder.weights[0], decoder.weights[1] * np.r_[1e4, 1e4, 1, 1][:, None]]
    wide = TanhNetwork(weights, decoder.biases)
    z = np.array([[-0.5], [0.0], [0.7]])
    X = wide(z)[:, :2] + 0.02
    result = log_evidence(model_of(wide, 0.01, 1), X)
    # Posteriors of width 1e-6: their mass is near the points from which the data were made.
    expected = []
    for x, centre in zip(X, z[:, 0], strict=True):
        line = centre + np.linspace(-2e-3, 2e-3, 1_000_001)[:, None]
        height = log_joint(wide, x, line)
        assert height[[0, -1]].max() < height.max() - 60, "the rule leaves out mass"
        expected.append(logsumexp(height) + np.log(4e-3 / 1_000_000))
    require_right(result, np.array(expected), 1e-10)


# Special cases --------------------------------------------------------------------------------

WEIGHT = np.array([[1.0, 0.5], [-0.5, 2.0], [0.25, 0.0]])
SCALES = np.array([0.3, 0.5, 0.2])


def constant_scales(floor=0.1):
    """An affine decoder whose scales do not vary, and the same with a fixed scale."""
    whole = decoders.Affine(
        np.concatenate([WEIGHT, np.zeros_like(WEIGHT)]), np.r_[0.0, 1.0, -1.0, np.log(SCALES)]
    )
    fixed = decoders.Affine(WEIGHT, [0.0, 1.0, -1.0])
    return model_of(whole, floor, 2), LatentModel(fixed, likelihoods.Gaussian(scale=SCALES), 2)


X = np.array([[0.5, 1.0, -1.0], [2.0, -3.0, 0.5]])


def test_scales_that_do_not_vary_are_a_fixed_scale():
    ours, theirs = constant_scales()
    exact = linear_log_evidence(theirs, X)
    require_right(log_evidence(ours, X), exact.value, exact.error)
    q = Posterior(np.array([[0.2, 0.1], [-0.5, 0.3]]), cov=np.array([[0.2, 0.05], [0.05, 0.1]]))
    q = Posterior(q.loc, cov=np.broadcast_to(q.cov, (2, 2, 2)).copy())
    a, b = elbo(ours, X, q), elbo(theirs, X, q)
    assert (np.abs(a.value - b.value) <= a.error + b.error).all(), f"{a.value}, not {b.value}"
    modes = posterior_mode(ours, X), posterior_mode(theirs, X)
    assert np.allclose(*modes, atol=1e-12), f"modes {modes[0]}, not {modes[1]}"
    best = stationary_posterior(ours, X)
    assert best.reached.all(), f"status {best.status}"
    off = np.abs(best.elbo - exact.value)
    assert (off <= best.error + exact.error).all(), f"a linear model has no gap, got {off}"
    metrics = pullback_metric(ours, np.zeros((1, 2))), pullback_metric(theirs, np.zeros((1, 2)))
    assert np.allclose(*metrics, rtol=1e-13), "another metric"


def test_the_metric_adds_that_of_the_log_scales():
    decoder = network(2, 3, 0.1, 0.5)
    z = np.array([[0.3, -0.2]])
    jacobian = decoder.jacobian(z)[0]
    scale = np.exp(decoder(z)[0, 3:])
    expected = jacobian[:3].T @ (jacobian[:3] / scale[:, None] ** 2)
    expected += 2 * jacobian[3:].T @ jacobian[3:]
    found = pullback_metric(model_of(decoder, 0.1, 2), z)[0]
    assert np.allclose(found, expected, rtol=1e-12), f"{found}, not {expected}"


def test_derivatives_of_the_potential_are_those_of_the_log_joint():
    decoder = network(2, 4, 0.1, 0.6)
    model, x, z = model_of(decoder, 0.1, 2), drawn(decoder, 2, 1)[0], np.array([0.2, -0.4])
    gradient, hessian, safe = model.potential_derivatives(x, z)
    h = 1e-4
    units = h * np.eye(2)
    by_differences = np.array(
        [
            (log_joint(decoder, x, (z - u)[None])[0] - log_joint(decoder, x, (z + u)[None])[0])
            / (2 * h)
            for u in units
        ]
    )
    assert np.allclose(gradient, by_differences, rtol=1e-5), f"{gradient}, not {by_differences}"
    columns = np.array(
        [
            (model.potential_derivatives(x, z + u)[0] - model.potential_derivatives(x, z - u)[0])
            / (2 * h)
            for u in units
        ]
    )
    assert np.allclose(hessian, columns, rtol=1e-5), f"{hessian}, not {columns}"
    assert (np.linalg.eigvalsh(safe) > 0).all(), "the definite form is not definite"


def test_bounds_and_posteriors_agree_with_each_other():
    decoder = network(2, 6, 0.1, 0.5, gain=0.7)
    model, data = model_of(decoder, 0.1, 2), drawn(decoder, 2, 2)
    evidence, best = log_evidence(model, data), stationary_posterior(model, data)
    gap = posterior_kl(model, data, best)
    assert best.reached.all(), f"status {best.status}"
    assert (gap.value > -gap.error).all(), f"an ELBO above the evidence: {gap.value}"
    for move in ([0.05, 0.0], [0.0, -0.05]):
        other = elbo(model, data, Posterior(best.loc + move, cov=best.cov))
        assert (other.value < best.elbo).all(), "a better posterior beside the stationary one"
    wider = elbo(model, data, Posterior(best.loc, cov=1.1 * best.cov))
    assert (wider.value < best.elbo).all(), "a better covariance than the stationary one"
    modes = posterior_mode(model, data)
    for x, mode in zip(data, modes, strict=True):
        z, _ = nodes(decoder, x, 2, 301)
        top = log_joint(decoder, x, mode[None])[0]
        assert top >= log_joint(decoder, x, z).max(), "a higher point than the mode"
    moments = posterior_expectation(model, data, lambda z: z)
    for n, x in enumerate(data):
        z, _ = nodes(decoder, x, 2, 331)
        weights = np.exp(log_joint(decoder, x, z) - evidence.value[n])
        expected = weights @ z / weights.sum()
        off = np.abs(moments.value[n] - expected)
        assert (off <= moments.error[n] + 1e-11).all(), f"moments off by {off}"


def test_the_other_methods_integrate_learned_scales():
    decoder = network(2, 6, 0.2, 0.5, gain=0.5)
    model, data = model_of(decoder, 0.2, 2), drawn(decoder, 2, 2)
    exact = log_evidence(model, data)
    for method in ("trapezoid", "gauss-hermite"):
        other = log_evidence(model, data, method=method, rtol=1e-6)
        assert np.allclose(other.value, exact.value, atol=1e-3), f"{method}: {other.value}"


# Bounds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("d", "size", "low", "seed"),
    [(1, 4, 0.05, 0), (2, 4, 0.05, 1), (2, 60, 0.1, 2), (3, 6, 0.1, 3)],
)
def test_bounds_of_cells_hold_at_random_points(d, size, low, seed):
    rng = np.random.default_rng(seed)
    decoder = network(d, size, low, 0.6, seed=seed)
    model, data = model_of(decoder, low, d), drawn(decoder, d, 4)
    table = model.likelihood.reduced(data)[0].table(data)
    count = 300
    half = np.repeat(2.0 ** -rng.integers(1, 6, (count, 1)), d, axis=1)
    boxes = Boxes(rng.normal(size=(count, d)), half)
    cell, datum = np.repeat(np.arange(count), 4), np.tile(np.arange(4), count)
    seen = look_at_cells(model, table, boxes, np.zeros((count, 2)), cell, datum, None, True)
    u = rng.uniform(-1, 1, (count, 100, d))
    z = boxes.centre[:, None] + boxes.half[:, None] * u
    height = log_joint(decoder, data[:, None, None], z) + 0.5 * d * LOG_2PI
    least = 0.5 * boxes.least_square()
    above = height.max(axis=-1).T.ravel() + least[cell] - seen.upper
    # The bound is that of log p where the prior is greatest; it is an estimate, not a proof.
    assert (above > 1e-9).sum() <= 2, f"{(above > 1e-9).sum()} of {len(above)} bounds fail"
    best = log_joint(decoder, data[datum], seen.points[cell, seen.where])
    assert (np.abs(best - seen.best) < 1e-9 * (1 + np.abs(best))).all(), "another best point"


# Refusals -------------------------------------------------------------------------------------


def test_a_decoder_below_the_floor_is_refused_where_it_is():
    steep = decoders.Affine([[1.0], [-0.25]], [0.0, -1.0])
    model = model_of(steep, 0.1, 1)
    message = (
        r"decoder: expected log scales of at least -2\.3.*, the logarithm of least_scale = 0\.1 "
        r".* in dimension 0 at z = \["
    )
    with pytest.raises(ValueError, match=message):
        log_evidence(model, [[0.5]])


@pytest.mark.parametrize("method", ["log_prob", "score"])
def test_params_below_the_floor_are_refused(method):
    family = likelihoods.GaussianMeanScale(least_scale=[0.5, 0.1])
    below = np.array([0.0, 0.0, np.log(0.6), np.log(0.05)])
    with pytest.raises(
        ValueError, match=r"params: expected log scales of at least -2\.3.* dimension 1"
    ):
        getattr(family, method)(np.zeros(2), below)
    at = np.array([0.0, 0.0, np.log(0.5), np.log(0.1)])
    assert np.isfinite(getattr(family, method)(np.zeros(2), at)).all(), (
        "the floor itself is allowed"
    )


@pytest.mark.parametrize(
    ("x", "params", "message"),
    [
        (np.zeros(2), np.zeros(2), r"x and params: expected vectors \(..., D\) and \(..., 2 D\)"),
        (np.zeros(2), np.zeros(5), r"x and params: expected vectors \(..., D\) and \(..., 2 D\)"),
        (np.full(2, 1e200), np.zeros(4), "x: expected numbers of at most"),
    ],
)
def test_what_does_not_fit_is_refused(x, params, message):
    with pytest.raises(ValueError, match=message):
        likelihoods.GaussianMeanScale(least_scale=0.1).log_prob(x, params)


@pytest.mark.parametrize("floor", [0.0, -1.0, np.nan, np.inf, [[0.1]], []])
def test_floors_are_positive_numbers(floor):
    with pytest.raises(ValueError, match="least_scale: expected"):
        likelihoods.GaussianMeanScale(least_scale=floor)
