"""Noise of gradients, against closed forms, values to 17 digits, sums over pairs, and draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, Posterior, decoders, likelihoods
from vaetheory.bounds import (
    gradient_noise,
    gradient_noise_limits,
    importance_weighted_bound,
    sampled_gradient_noise,
)

#: A model whose posterior at 0 is N(0, 1/2).
LINE = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))
CURVE = LatentModel(
    decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]]), likelihoods.Gaussian(scale=0.5)
)
ALL = ("total", "path", "dreg", "decoder")

#: Mean and variance for K = 2 and q = N(0.3, 0.4), of m and log s: sums of 32 digits over pairs.
PAIRS = {
    ("total", 0): (-0.37976243767161622, 1.0278679525705354),
    ("total", 1): (0.20061783575237568, 0.81405077448861295),
    ("path", 0): (-0.65505939058209594, 0.064241747035658461),
    ("path", 1): (0.28243462693504999, 0.20965841856380288),
    ("dreg", 0): (-0.37976243767161622, 0.034984149484742170),
    ("dreg", 1): (0.20061783575237565, 0.11974318628589685),
}
#: Coefficients of mean and variance for K to infinity and q = N(0.3, 0.45): 30-digit quadrature.
LIMITS = {
    "total": (
        (-0.945094069070612518, 0.79545417480109887),
        (3.54410275901479694, 6.81772156440756),
    ),
    "path": ((-0.666666666666666667, 0.31111111111111111), (0.0437543550495653944, 0.742672445526)),
    "dreg": ((-0.945094069070612518, 0.79545417480109887), (3.01739528371681107, 28.706798060836)),
}


def inside(found, name, mean, variance, slack=1e-14):
    """Assert that both are within the stated errors, and that these say something."""
    own = found[name]
    size = 1 + np.abs(variance) + np.abs(mean)
    assert (np.abs(own.mean - mean) <= own.mean_error + slack * size).all(), f"{name}: mean"
    off = np.abs(own.variance - variance)
    assert (off <= own.variance_error + slack * size).all(), f"{name}: variance"
    assert (own.mean_error < 1e-7 * size).all(), f"{name}: mean not resolved"
    assert (own.variance_error < 1e-7 * size).all(), f"{name}: variance not resolved"


def linear(d, noise=0.5):
    """A linear model, its posterior's precision and mean for some datum, and a full Gaussian q."""
    rng = np.random.default_rng(d)
    W = rng.normal(size=(d + 1, d))
    x = rng.normal(size=d + 1)
    P = np.eye(d) + W.T @ W / noise**2
    mu = np.linalg.solve(P, W.T @ x / noise**2)
    root = np.tril(rng.normal(size=(d, d)), -1) * 0.2 + 0.5 * np.eye(d)
    model = LatentModel(decoders.Affine(W), likelihoods.Gaussian(scale=noise))
    return model, x, P, mu, Posterior(mu + 0.2, scale_tril=root), root


def closed(P, mu, q, root):
    """Means and variances of the estimators of the ELBO's gradient of a linear model."""
    d, b = len(mu), P @ (q.loc - mu)
    inner, slope = root.T @ P @ root, root.T @ b
    found = {}
    for name in ("total", "path", "kl"):
        # The likelihood alone has the precision P - I.
        minus = {"total": 0, "path": np.linalg.inv(q.cov), "kl": np.eye(d)}[name]
        own = root.T @ (P - minus) @ root
        shift = root.T @ (b - (q.loc if name == "kl" else 0))
        first = np.diagonal((P - minus) @ q.cov @ (P - minus))
        second = np.diagonal(own) ** 2 + (own**2).sum(axis=0) + shift**2
        mean = np.concatenate([-b, 1 - np.diagonal(inner)])
        found[name] = mean, np.concatenate([first, second])
    assert slope.shape == (d,), "one slope a latent"
    return found


@pytest.mark.parametrize("d", [1, 2, 3])
def test_the_elbo_of_linear_models_in_closed_form(d):
    model, x, P, mu, q, root = linear(d)
    found = gradient_noise(model, x, q, 1, ("total", "path", "dreg", "kl"))
    for name, (mean, variance) in closed(P, mu, q, root).items():
        inside(found, name, mean, variance, slack=1e-12)
    off = np.abs(found["dreg"].mean - found["path"].mean)
    assert (off <= found["path"].mean_error).all(), "DReG of one sample is the path's"


@pytest.mark.parametrize(("name", "which"), PAIRS)
def test_two_samples_to_17_digits(name, which):
    found = gradient_noise(LINE, [0.0], Posterior([0.3], cov=[[0.4]]), 2)[name]
    mean, variance = PAIRS[name, which]
    assert abs(found.mean[which] - mean) <= found.mean_error[which], "mean"
    assert abs(found.variance[which] - variance) <= found.variance_error[which], "variance"
    assert found.variance_error[which] < 1e-10, "not resolved"


def sums_of_three(x, loc, scale, step=0.25):
    """Mean and variance of the estimators for K = 3 by a sum over triples of nodes, for `CURVE`."""
    e = np.arange(-8.5, 8.5, step)
    mass = np.exp(-0.5 * e**2)
    mass /= mass.sum()
    z = loc + scale * e
    f = np.stack([z, 0.5 * z**2], axis=-1)
    score = (x - f) / 0.25
    logs = -2 * ((x - f) ** 2).sum(axis=-1) - 0.5 * z**2 + 0.5 * e**2
    slope = score[:, 0] + score[:, 1] * z - z
    w = np.exp(np.maximum(logs - logs.max(), -600))
    total = np.stack([slope, slope * scale * e + 1], axis=-1)
    path = (slope + e / scale)[:, None] * np.stack([np.ones_like(e), scale * e], axis=-1)
    told = {}
    sums = w[:, None, None] + w[:, None] + w
    u = [w.reshape(s) / sums for s in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
    for name, terms, power in (
        ("total", total, 1), ("path", path, 1), ("dreg", path, 2), ("decoder", score, 1),
    ):  # fmt: skip
        mean, square = [], []
        for h in terms.T:
            own = [h.reshape(s) for s in ((-1, 1, 1), (1, -1, 1), (1, 1, -1))]
            g = sum(a**power * b for a, b in zip(u, own, strict=True))
            mean.append(g @ mass @ mass @ mass)
            square.append(g**2 @ mass @ mass @ mass)
        told[name] = np.array(mean), np.array(square) - np.array(mean) ** 2
    return told


def test_three_samples_of_a_curve_by_a_sum_over_triples():
    x = np.array([0.7, -0.4])
    fine = sums_of_three(x, 0.2, 0.6, 0.17)
    coarse = sums_of_three(x, 0.2, 0.6, 0.19)
    found = gradient_noise(CURVE, x, Posterior([0.2], scale=0.6), 3, ALL)
    for name in ALL:
        off = np.abs(np.array(fine[name]) - coarse[name]).max() + 1e-13
        assert off < 1e-6, f"{name}: the sums do not agree, {off}"
        inside(found, name, *fine[name], slack=2 * off)


@pytest.mark.parametrize("K", [1, 2, 50, 10**6])
def test_the_path_has_no_noise_at_the_exact_posterior(K):
    found = gradient_noise(LINE, [1.0], Posterior([0.5], cov=[[0.5]]), K)
    for name in ("path", "dreg"):
        assert np.abs(found[name].mean).max() <= found[name].mean_error.max() < 1e-12, "mean"
        assert found[name].variance.max() <= found[name].variance_error.max() < 1e-20, "variance"
        assert np.isnan(found[name].snr).all(), "no ratio of nothing to nothing"
        assert np.isinf(found[name].snr_error).all(), "an unknown ratio has an infinite error"
    # The mean of K scores: the Fisher information over K.
    inside(found, "total", 0.0, np.array([2.0, 2.0]) / K, slack=1e-13)


@given(
    st.sampled_from((0.3, 0.6, 0.9)), st.sampled_from((-1.0, 0.2, 1.0)), st.sampled_from((2, 7, 90))
)
@settings(max_examples=5)
def test_dreg_has_the_mean_of_the_total_gradient(scale, loc, K):
    found = gradient_noise(CURVE, [0.5, 1.0], Posterior([loc], scale=scale), K)
    total, dreg = found["total"], found["dreg"]
    off = np.abs(total.mean - dreg.mean)
    assert (off <= total.mean_error + dreg.mean_error).all(), "biased"
    assert (off < 1e-8 * (1 + np.abs(total.mean))).all(), "not resolved"


def test_means_are_derivatives_of_the_bound():
    x, step = [0.5, 1.0], 1e-3
    counts = [2, 20]
    found = gradient_noise(CURVE, x, Posterior([0.2], scale=0.6), counts, ("total", "dreg"))

    def bound(loc, log_scale):
        q = Posterior([0.2 + loc], scale=0.6 * np.exp(log_scale))
        return importance_weighted_bound(CURVE, x, q, counts, rtol=1e-10).value

    for j, (a, b) in enumerate(((1, 0), (0, 1))):
        near = (bound(step * a, step * b) - bound(-step * a, -step * b)) / (2 * step)
        far = (bound(2 * step * a, 2 * step * b) - bound(-2 * step * a, -2 * step * b)) / (4 * step)
        told = near + (near - far) / 3
        for name in ("total", "dreg"):
            assert np.abs(found[name].mean[:, j] - told).max() < 1e-7, f"{name} {j}"


def test_shapes_and_scores():
    model, x, _, _, q, _ = linear(2)
    X = np.tile(x, (2, 1, 1))
    many = Posterior(np.tile(q.loc, (2, 1, 1)), cov=np.tile(q.cov, (2, 1, 1, 1)))
    found = gradient_noise(model, X, many, [1, 4], "decoder")
    assert list(found) == ["decoder"], "a single name"
    assert found["decoder"].mean.shape == (2, 1, 2, 3), "data, numbers of samples, outputs"
    told = gradient_noise(
        model, X, many, [1, 4], ["decoder"],
        scores=lambda data, z: model.likelihood.score(data, model.decode(z))[..., ::-1],
    )  # fmt: skip
    assert np.allclose(told["decoder"].mean[..., ::-1], found["decoder"].mean), "another order"
    drawn = sampled_gradient_noise(model, X, many, 4, draws=32)["path"]
    assert (drawn.snr.shape, drawn.overall.shape) == ((2, 1, 4), (2, 1)), "data, parameters"
    limit = gradient_noise_limits(model, X, many, ["decoder"])["decoder"]
    assert limit.mean.shape == (2, 1, 3), "data, outputs"
    evidence_gradient = np.linalg.solve(
        0.25 * np.eye(3) + model.decoder.weight @ model.decoder.weight.T, x
    )
    assert np.allclose(limit.mean, evidence_gradient, rtol=1e-8), "the gradient of log p(x)"


@pytest.mark.parametrize("name", LIMITS)
def test_limits_to_ten_digits(name):
    q = Posterior([0.3], cov=[[0.45]])
    limit = gradient_noise_limits(LINE, [0.0], q)[name]
    mean, variance = (np.array(v) for v in LIMITS[name])
    assert (np.abs(limit.mean - mean) <= limit.mean_error + 1e-14).all(), "mean"
    assert (np.abs(limit.variance - variance) <= limit.variance_error + 1e-11).all(), "variance"
    assert (limit.variance_error < 1e-6 * variance).all(), "not resolved"
    K = 10**6
    found = gradient_noise(LINE, [0.0], q, K)[name]
    assert np.abs(found.snr / K**limit.snr_power / limit.snr - 1).max() < 2e-3, "not the limit"


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [
        (0.4, {"total": np.nan, "path": 0.0, "dreg": np.nan}),
        (0.58, {"total": 1.0, "path": 1.0, "dreg": 0.0}),
        (0.74, {"total": 1.0, "path": 1.0, "dreg": 0.0}),
        (0.76, {"total": 1.0, "path": 1.0, "dreg": 1.0}),
    ],
)
def test_moments_decide_which_limits_there_are(ratio, expected):
    found = gradient_noise_limits(LINE, [0.0], Posterior([0.3], cov=[[ratio / 2]]))
    for name, value in expected.items():
        snr, error = found[name].snr, found[name].snr_error
        if np.isnan(value):
            assert (np.isnan(snr) & np.isinf(error)).all(), f"{name} is not known"
        else:
            assert ((snr > 0) == (value > 0)).all(), f"{name}: {snr}"
            assert np.isfinite(error).all(), f"{name} is known"


def test_moments_of_bounded_decoders_need_a_wide_encoder():
    model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.5))
    q = Posterior([[0.1], [0.1], [0.1]], cov=[[[0.4]], [[0.6]], [[0.8]]])
    found = gradient_noise_limits(model, np.tile([1.0, 0.2], (3, 1)), q)
    assert np.isnan(found["total"].snr[0]).all(), "no variance: no law"
    assert (found["path"].snr[0] == 0).all(), "no variance: the ratio grows more slowly"
    assert (found["dreg"].snr[1] == 0).all(), "no fourth moment"
    assert (found["dreg"].snr[2] > 0).all(), "four moments"
    unknown = LatentModel(lambda z: z * 1.5, likelihoods.Gaussian(scale=0.5), 1)
    told = gradient_noise_limits(unknown, [0.2], Posterior([0.0], scale=0.5))
    assert np.isinf(told["dreg"].snr_error).all(), "a decoder of unknown growth"


def test_draws_agree_with_the_exact_noise():
    x, q = [0.5, 1.0], Posterior([0.4], scale=0.5)
    exact = gradient_noise(CURVE, x, q, [1, 3, 40], ALL)
    drawn = sampled_gradient_noise(CURVE, x, q, [1, 3, 40], ALL, draws=4000, confidence=0.9999)
    for name in ALL:
        one, other = exact[name], drawn[name]
        assert (np.abs(one.mean - other.mean) <= other.mean_error).all(), f"{name}: mean"
        assert (np.abs(one.variance - other.variance) <= other.variance_error).all(), f"{name}"
        assert (np.abs(one.snr - other.snr) <= other.snr_error).all(), f"{name}: ratio"
        overall = np.sqrt((one.mean**2).sum(axis=-1) / one.variance.sum(axis=-1))
        held = (other.overall_low <= overall) & (overall <= other.overall_high)
        assert held.all(), f"{name}: whole gradient"


def test_intervals_of_eight_latents_hold_as_often_as_they_say():
    model, x, P, mu, q, root = linear(8, noise=1.0)
    count = 60
    X, many = np.tile(x, (count, 1)), Posterior(np.tile(q.loc, (count, 1)), cov=q.cov)
    found = sampled_gradient_noise(model, X, many, 1, ("total", "path", "kl"), draws=400)
    for name, (mean, variance) in closed(P, mu, q, root).items():
        own = found[name]
        ratio = np.abs(mean) / np.sqrt(variance)
        overall = np.sqrt((mean**2).sum() / variance.sum())
        held = {
            "mean": np.abs(own.mean - mean) <= own.mean_error,
            "variance": np.abs(own.variance - variance) <= own.variance_error,
            "ratio": np.abs(own.snr - ratio) <= own.snr_error,
            "overall": (own.overall_low <= overall) & (overall <= own.overall_high),
        }
        for what, times in held.items():
            assert times.mean() > 0.88, f"{name}: {what} holds in {times.mean():.2f}"


def test_a_signal_of_nothing_is_measured_as_nothing():
    # At the exact posterior; all 16 parameters have the same variance.
    model = LatentModel(decoders.Affine(np.eye(8)), likelihoods.Gaussian(scale=1.0))
    exact = Posterior(np.zeros((60, 8)), cov=np.eye(8) / 2)
    found = sampled_gradient_noise(model, np.zeros((60, 8)), exact, 1, ["total"], draws=64)
    held, nothing = found["total"].overall_low == 0, found["total"].overall == 0
    assert held.mean() > 0.85, f"the interval of |E g| = 0 begins at 0 in {held.mean():.2f}"
    # The estimate of |E g|^2 is negative as often as it is positive.
    assert 0.3 < nothing.mean() < 0.8, f"the estimate is 0 in {nothing.mean():.2f}"


def test_draws_depend_on_the_seed_and_the_place_alone():
    model, x, *_, q, _ = linear(3)
    X, many = np.tile(x, (3, 1)), Posterior(np.tile(q.loc, (3, 1)), cov=q.cov)
    three = sampled_gradient_noise(model, X, many, [2, 5], draws=40)["dreg"]
    two = sampled_gradient_noise(model, X[:2], Posterior(many.loc[:2], cov=q.cov), 5, draws=40)
    assert (three.mean[:2, 1] == two["dreg"].mean).all(), "the same draws"
    other = sampled_gradient_noise(model, X, many, 5, draws=40, seed=1)["dreg"]
    assert (other.mean != three.mean[:, 1]).all(), "another seed"


def test_weights_that_span_thousands_of_nats():
    # A parabola under a q as wide as the prior: log w falls like the fourth power.
    found = gradient_noise(CURVE, [0.7, -0.4], Posterior([0.2], scale=1.2), [1, 3, 100], rtol=1e-6)
    drawn = sampled_gradient_noise(
        CURVE, [0.7, -0.4], Posterior([0.2], scale=1.2), [1, 3, 100], draws=4000, confidence=0.9999
    )
    for name, own in found.items():
        assert (own.mean_error < 1e-5 * (1 + np.abs(own.mean))).all(), f"{name} is resolved"
        assert (np.abs(own.mean - drawn[name].mean) <= drawn[name].mean_error).all(), name


def test_what_spans_too_much_is_not_known():
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1e-3))
    found = gradient_noise(model, [0.0], Posterior([0.0], scale=1.0), [1, 2])["path"]
    assert (np.isnan(found.mean[1]) & np.isinf(found.mean_error[1])).all(), "K = 2"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda q: gradient_noise(LINE, [0.0], q, 0), "K: expected"),
        (lambda q: gradient_noise(LINE, [0.0], q, 2, ("kl",)), "estimators: expected others"),
        (lambda q: gradient_noise(LINE, [0.0], q, 2, ("vimco",)), "estimators: expected"),
        (lambda q: gradient_noise(LINE, [0.0], q, 2, rtol=1.0), "rtol: expected"),
        (lambda q: gradient_noise(LINE, [0.0], q, 2, max_nodes=0), "max_nodes: expected"),
        (lambda q: gradient_noise(LINE, [[0.0]], q, 2), "posterior.loc"),
        (lambda q: gradient_noise(LINE, [0.0], q, 2, scores=3), "scores: expected"),
        (
            lambda q: gradient_noise(LINE, [0.0], q, 2, "decoder", scores=lambda x, z: z[0]),
            "scores: expected shape",
        ),
        (lambda q: gradient_noise_limits(LINE, [0.0], q, ["kl"]), "estimators: expected those"),
        (lambda q: sampled_gradient_noise(LINE, [0.0], q, draws=8), "draws: expected"),
        (lambda q: sampled_gradient_noise(LINE, [0.0], q, confidence=1.0), "confidence: expected"),
        (lambda q: sampled_gradient_noise(LINE, [0.0], q, seed=-1), "seed: expected"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(Posterior([0.0], scale=1.0))


def test_four_latents_are_measured_only():
    model, x, *_, q, _ = linear(4)
    for rule in (gradient_noise, gradient_noise_limits):
        with pytest.raises(ValueError, match="at most 3 latents"):
            rule(model, x, q)


def test_the_measured_noise_of_one_datum_without_leading_axes():
    alone = sampled_gradient_noise(LINE, [0.4], Posterior([0.1], scale=0.5), draws=40)["path"]
    row = sampled_gradient_noise(LINE, [[0.4]], Posterior([[0.1]], scale=0.5), draws=40)["path"]
    assert alone.overall.shape == (), f"{alone.overall.shape}"
    assert alone.overall == row.overall[0], f"{alone.overall} and {row.overall}"
