"""Bounds of K samples, against closed forms, values to 25 digits, and sums over pairs of nodes."""

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, log_evidence
from vaetheory.bounds import (
    _weight_nodes,
    gaussian_weight_moment,
    importance_weighted_bound,
    importance_weighted_expansion,
    importance_weighted_upper_bound,
)
from vaetheory.evidence import linear_log_evidence


def line(variance=0.5, noise=1.0):
    """A linear model on a line with posterior N(0, variance) at x = 0."""
    weight = noise * np.sqrt(1 / variance - 1)
    return LatentModel(decoders.Affine([[weight]]), likelihoods.Gaussian(scale=noise), 1)


def gaps(ratio, counts, *, variance=0.5, **options):
    """Log p(x) - L_K for q = N(0, ratio S), with errors."""
    model = line(variance)
    q = Posterior([[0.0]], scale=np.sqrt(ratio * variance))
    found = importance_weighted_bound(model, [[0.0]], q, counts, **options)
    exact = linear_log_evidence(model, [[0.0]])
    return exact.value - found.value, exact.error + found.error


#: log p(x) - L_K for q = N(0, ratio S): sums of 40 digits over y and over log t.
REFERENCE = {
    (0.75, 2): 0.01119583054116377574857483,
    (0.75, 10): 0.002773538735503297233361342,
    (0.75, 10**6): 3.033004963117549144834572e-8,
    (0.25, 2): 0.2569152205921399469081441,
    (0.25, 1000): 0.02338756224883787331971863,
    (0.25, 10**6): 0.001734482366096948762422751,
    (2, 3): 0.03074925948517851368832652,
    (2, 1000): 0.00007738486954349705954536142,
}


@pytest.mark.parametrize(("ratio", "count"), REFERENCE)
def test_values_to_25_digits(ratio, count):
    value, error = gaps(ratio, count)
    assert abs(value[0] - REFERENCE[ratio, count]) <= error[0], "outside the stated error"
    assert error[0] < 1e-8, "not resolved"


@given(st.sampled_from((1e-4, 0.01, 0.3, 1.0, 5.0, 50.0)), st.sampled_from((0.9, 0.1, 1e-4)))
@settings(max_examples=12)
def test_one_sample_is_the_elbo_in_closed_form(ratio, variance):
    value, error = gaps(ratio, 1, variance=variance)
    closed = (ratio - 1 - np.log(ratio)) / 2
    assert abs(value[0] - closed) <= error[0] + 1e-14 * (1 + closed), "not the closed form"
    assert error[0] < 1e-8, "not resolved"


@given(st.sampled_from((0.01, 0.3, 1.0, 5.0, 30.0)))
@settings(max_examples=5)
def test_one_sample_of_the_posterior_is_the_divergence_the_other_way(ratio):
    model, q = line(), Posterior([[0.0]], scale=np.sqrt(ratio / 2))
    found = importance_weighted_upper_bound(model, [[0.0]], q, 1)
    closed = (1 / ratio - 1 + np.log(ratio)) / 2
    excess = found.value[0] - linear_log_evidence(model, [[0.0]]).value[0]
    assert abs(excess - closed) <= found.error[0] + 1e-14, "not the closed form"


def test_far_data_keep_their_digits():
    # log p(x) is about -1e6: the weights are no numbers in float64.
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=0.001), 1)
    q = Posterior([[1.0]], scale=0.0011)
    x = [[1.5]]
    loc = 1.5 / (1 + 1e-6)
    found = importance_weighted_bound(model, x, Posterior([[loc]], scale=0.0011), [1, 5, 10**6])
    near = gaps(1.21 * (1 + 1e-6), [1, 5, 10**6], variance=1e-6 / (1 + 1e-6))
    gap = linear_log_evidence(model, x).value - found.value
    assert (np.abs(gap - near[0]) <= found.error + near[1] + 1e-9).all(), "digits are lost"
    far = importance_weighted_bound(model, [[1000.0]], q, [1, 1000])
    first = elbo(model, [[1000.0]], q)
    assert abs(far.value[0, 0] / first.value[0] - 1) < 1e-10, "one sample is not the ELBO"
    assert far.value[0, 1] > far.value[0, 0] - far.error[0].sum(), "the bound falls"


def test_bounds_close_in_from_both_sides_whatever_the_encoder():
    rng = np.random.default_rng(0)
    net = decoders.TanhNetwork(
        [rng.normal(size=(6, 2)), rng.normal(size=(3, 6))], [rng.normal(size=6), np.zeros(3)]
    )
    model = LatentModel(net, likelihoods.Gaussian(scale=0.7), 2)
    X = rng.normal(size=(2, 3))
    q = Posterior(rng.normal(size=(2, 2)) / 2, scale=[0.7, 0.9])
    counts = [1, 2, 10, 1000]
    exact = log_evidence(model, X)
    lower = importance_weighted_bound(model, X, q, counts, rtol=1e-6)
    upper = importance_weighted_upper_bound(model, X, q, counts, rtol=1e-4)
    off = lower.error + exact.error[:, None]
    assert (lower.value <= exact.value[:, None] + off).all(), "above the evidence"
    assert (upper.value >= exact.value[:, None] - upper.error - off).all(), "below the evidence"
    slack = lower.error[:, 1:] + lower.error[:, :-1]
    assert (np.diff(lower.value) >= -slack).all(), "a bound falls"
    slack = upper.error[:, 1:] + upper.error[:, :-1]
    assert (np.diff(upper.value) <= slack).all(), "an upper bound rises"
    first = elbo(model, X, q)
    assert (np.abs(lower.value[:, 0] - first.value) <= lower.error[:, 0] + first.error).all(), (
        "one sample is not the ELBO"
    )


def pairs(model, x, loc, root, step=0.4, reach=7.5):
    """L_2 of one datum of two latents by a sum over pairs of nodes of two lattices."""
    y = np.arange(-reach, reach, step)
    logs, masses = [], []
    for a, b in ((0.0, 0.1), (0.2, 0.27)):
        w = np.stack(np.meshgrid(y + a, y + b, indexing="ij"), axis=-1).reshape(-1, 2)
        w = w[(w**2).sum(axis=-1) < reach**2]
        own = -0.5 * (w**2).sum(axis=-1) - np.log(2 * np.pi)
        logs.append(model.log_joint(x, loc + w @ root.T) - own + np.linalg.slogdet(root)[1])
        masses.append(np.exp(own) / np.exp(own).sum())
    return float(masses[0] @ np.logaddexp(logs[0][:, None], logs[1]) @ masses[1] - np.log(2))


def test_two_samples_in_the_plane_against_pairs():
    model = LatentModel(
        decoders.Polynomial([[1, 0], [0, 1], [1, 1]], np.eye(3)), likelihoods.Gaussian(scale=1.0), 2
    )
    x, root = np.array([0.5, -0.3, 0.8]), np.array([[0.6, 0.0], [0.2, 0.5]])
    q = Posterior([0.2, 0.1], scale_tril=root)
    found = importance_weighted_bound(model, x, q, 2)
    assert abs(pairs(model, x, q.loc, root) - found.value) < 1e-9 + found.error, "not the pairs'"


def test_three_latents_that_are_independent_and_alike_in_law():
    # Rotations of an isotropic model do not matter; the weight's law is that of a chi-squared.
    rng = np.random.default_rng(3)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    model = LatentModel(decoders.Affine(turn), likelihoods.Gaussian(scale=1.0), 3)
    found = importance_weighted_bound(
        model, np.zeros(3), Posterior(np.zeros(3), scale=np.sqrt(0.75)), [1, 2, 100]
    )
    gap = linear_log_evidence(model, np.zeros(3)).value - found.value
    # rho = 3/2: log w = 3/2 log rho - (rho - 1)/2 s with s chi-squared of three degrees.
    r = np.arange(0.005, 13, 0.01)
    mass = np.sqrt(2 / np.pi) * r**2 * np.exp(-(r**2) / 2) * 0.01
    log_w = 1.5 * np.log(1.5) - 0.25 * r**2
    direct = -(mass @ log_w)
    v = np.arange(-45.0, 60.0, 0.25)
    for k, count in enumerate((1, 2, 100)):
        t = np.exp(v)
        phi = np.exp(-np.exp(v[:, None] - np.log(count) + log_w)) @ mass
        value = ((phi**count - np.exp(-t)) * 0.25).sum()
        assert abs(gap[k] - value) < 1e-9 + found.error[k], f"K = {count}: {gap[k]} and {value}"
    assert abs(gap[0] - 3 * (0.5 - np.log(1.5)) / 2) < found.error[0] + 1e-13, "not the divergence"
    assert abs(direct - gap[0]) < 1e-9, "the law of the weight is another"


def test_kinks_are_in_the_error():
    model = LatentModel(
        lambda z: (np.abs(z - 0.1) + 0.5 * np.abs(z + 0.37)) * 2, likelihoods.Gaussian(scale=0.5), 1
    )
    q = Posterior([[0.3]], scale=0.5)
    loose = importance_weighted_bound(model, [[1.0]], q, [1, 3, 100], rtol=1e-3)
    tight = importance_weighted_bound(model, [[1.0]], q, [1, 3, 100], rtol=1e-10, max_nodes=50_000)
    assert (np.abs(loose.value - tight.value) <= loose.error + tight.error).all(), (
        "not in the error"
    )
    first = elbo(model, [[1.0]], q)
    assert abs(first.value[0] - tight.value[0, 0]) <= tight.error[0, 0] + first.error[0], "no ELBO"


def test_what_lattices_cannot_resolve_is_not_reached_and_within_the_error():
    # The posterior is a million times narrower than q: log w falls by a million nats.
    value, error = gaps(1e6, [1, 2, 10**6], max_nodes=20_000)
    closed = (1e6 - 1 - np.log(1e6)) / 2
    assert abs(value[0, 0] - closed) <= error[0, 0], "one sample is outside the error"
    finer, off = gaps(1e6, [2, 10**6], max_nodes=300_000)
    assert (np.abs(finer - value[:, 1:]) <= error[:, 1:] + off).all(), "outside the error"


def test_shapes_and_lists():
    model = line()
    X, q = np.zeros((2, 3, 1)), Posterior(np.zeros((2, 3, 1)), scale=1.0)
    assert importance_weighted_bound(model, X, q, 5).value.shape == (2, 3), "one K"
    found = importance_weighted_bound(model, X, q, [5, 7])
    assert found.value.shape == found.error.shape == (2, 3, 2), "a list of K"
    alone = importance_weighted_bound(model, [0.0], Posterior([0.0], scale=1.0), np.int64(7))
    assert abs(alone.value - found.value[0, 0, 1]) < 1e-12, "one datum is another"
    big = np.zeros((40, 1))
    many = importance_weighted_bound(model, big, Posterior(big, scale=1.0), 10**15)
    assert np.ptp(many.value) < 1e-13, "equal data differ"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, 0), "K: expected an integer"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, 2.0), "K: expected an integer"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, np.array(0)), "K: expected an int"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, []), "K: expected an integer or"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, 10**16), "K: expected an integer"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], q, 2, rtol=1.0), "rtol: expected"),
        (lambda m, q: importance_weighted_bound(m, [[0.0]], [[0.0]], 2), "posterior: expected a"),
        (lambda m, q: importance_weighted_upper_bound(m, [0.0], q, 2), "X and posterior.loc"),
        (
            lambda m, q: importance_weighted_bound(
                LatentModel(decoders.Affine(np.eye(4)), likelihoods.Gaussian(scale=1.0), 4),
                np.zeros(4), Posterior(np.zeros(4), scale=1.0), 2,
            ),
            "model: expected at most 3 latents",
        ),
        (lambda m, q: gaussian_weight_moment(q, [0.0], 2), "posterior: expected a"),
        (lambda m, q: gaussian_weight_moment(q, q, [1.0, 2.0]), "power: expected shape"),
    ],
)  # fmt: skip
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(line(), Posterior([[0.0]], scale=1.0))


@given(
    st.integers(0, 10**6),
    st.sampled_from((-1.5, 0.0, 0.5, 1.0, 2.0, 3.0)),
    st.sampled_from((1, 2, 5)),
)
@settings(max_examples=20)
def test_moments_of_gaussian_weights_by_determinants(seed, power, dim):
    rng = np.random.default_rng(seed)
    roots = rng.normal(size=(2, dim, dim)) / 3 + np.eye(dim)
    cov = roots @ np.swapaxes(roots, -1, -2) + 0.1 * np.eye(dim)
    loc = rng.normal(size=(2, dim))
    p, q = (Posterior(m, cov=c) for m, c in zip(loc, cov, strict=True))
    found = float(gaussian_weight_moment(p, q, power))
    P, Q = np.linalg.inv(cov)
    A = power * P + (1 - power) * Q
    if np.linalg.eigvalsh(A)[0] <= 0:
        assert found == np.inf, "a moment that does not exist"
        return
    b = power * P @ loc[0] + (1 - power) * Q @ loc[1]
    square = power * loc[0] @ P @ loc[0] + (1 - power) * loc[1] @ Q @ loc[1]
    dets = power * np.linalg.slogdet(P)[1] + (1 - power) * np.linalg.slogdet(Q)[1]
    direct = 0.5 * (dets - np.linalg.slogdet(A)[1] + b @ np.linalg.solve(A, b) - square)
    scale = 1 + abs(direct) + abs(square) + np.linalg.cond(A)
    assert abs(found - direct) < 1e-11 * scale, f"{found} and {direct}"


def test_no_moment_is_claimed_that_may_not_exist():
    # Outputs are bounded: a narrow q has weights without variance, whose middle looks harmless.
    tanh = decoders.TanhNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]])
    model = LatentModel(tanh, likelihoods.Gaussian(scale=0.5), 1)
    narrow = importance_weighted_expansion(model, [[0.3]], Posterior([[0.2]], scale=0.5))
    assert np.isinf(narrow.error).all(), "a moment is claimed"
    assert not np.isfinite(narrow.gap(100)).any(), "a gap is claimed"
    wide = importance_weighted_expansion(model, [[0.3]], Posterior([[0.2]], scale=1.0))
    assert np.isfinite(wide.error).all(), "moments exist"
    found = importance_weighted_bound(model, [[0.3]], Posterior([[0.2]], scale=1.0), 10**4)
    gap = log_evidence(model, [[0.3]]).value - found.value
    third = 10 * abs(wide.third) * 1e-12
    assert abs(gap - wide.gap(10**4)) < third + found.error + 1e-11, "not the two terms"


def test_moments_of_an_affine_model_are_closed_forms_in_any_dimension():
    rng = np.random.default_rng(1)
    W = rng.normal(size=(12, 8))
    model = LatentModel(decoders.Affine(W), likelihoods.Gaussian(scale=2.0), 8)
    P = np.eye(8) + W.T @ W / 4
    X = rng.normal(size=(3, 12))
    loc = X @ W / 4 @ np.linalg.inv(P)
    own = importance_weighted_expansion(model, X, Posterior(loc, cov=np.linalg.inv(P)))
    assert (np.abs(own.variance) <= own.error[:, 0]).all(), "the exact posterior has a variance"
    diagonal = importance_weighted_expansion(model, X, Posterior(loc, scale=np.diag(P) ** -0.5))
    inner = 2 * P - np.diag(np.diag(P))
    exists = np.linalg.eigvalsh(inner)[0] > 0
    assert np.isfinite(diagonal.variance).all() == exists, "finite or not"


def test_where_the_posterior_is_not_found_nothing_is_claimed(monkeypatch):
    # So it was for a network of three latents, whose evidence costs more than the budget.
    monkeypatch.setattr(_weight_nodes, "_BUDGET", 100)
    axis = np.array([[-0.117377, 0.517889, 0.847357]])
    network = decoders.TanhNetwork(
        [np.array([[0.844], [2.958], [-1.011]]) @ axis, [[-1.345, 1.173, 0.098]]],
        [[1.743, 0.176, -0.194], [0.0]],
    )
    model = LatentModel(network, likelihoods.Gaussian(scale=0.53))
    found = importance_weighted_upper_bound(
        model, [-1.111], Posterior(-0.676 * axis[0], scale=[0.9] * 3), [1, 100], max_nodes=10_000
    )
    assert np.isinf(found.error).all(), f"{found.value} with errors {found.error}"
    assert not found.reached.any(), f"status {found.status}"


@pytest.mark.parametrize("offset", [0.0, 2e6])
def test_moments_of_weights_where_data_barely_tell_the_latents_apart(offset):
    # The precision has a condition of 1e11 or more, and q fits the posterior none the worse.
    scale, weight = 1e-4, np.array([1.5, -0.6])[:, None] * [1.0, 1 + 1e-5]
    x, bias = (offset + 0.3, offset - 0.2), (offset + 0.1, offset - 0.1)
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=scale))
    with mpmath.workdps(60):
        w = mpmath.matrix(weight.tolist()) / mpmath.mpf(scale)
        away = mpmath.matrix(x) - mpmath.matrix(bias)
        p = mpmath.eye(2) + w.T * w
        centre = (p**-1) * (w.T * away) / mpmath.mpf(scale)
        cov = 1.2 * np.array((p**-1).tolist(), dtype=float)
        loc = np.array([float(c) for c in centre]) + 0.2 * np.linalg.cholesky(cov) @ [0.5, -1.0]
        q = Posterior(loc, cov=(cov + cov.T) / 2)
        found = importance_weighted_expansion(model, x, q)
        own = mpmath.matrix(q.cov.tolist()) ** -1
        apart = mpmath.matrix(q.loc.tolist()) - centre
        # With m* for an origin q^(1 - k) p^k has the precision A and the pull (1 - k) S^-1 m.
        moments = []
        for k in (2, 3, 4):
            mixed = k * p + (1 - k) * own
            pull = (1 - k) * (own * apart)
            lift = (pull.T * mixed**-1 * pull)[0] - (1 - k) * (apart.T * own * apart)[0]
            ratio = mpmath.det(p) ** k * mpmath.det(own) ** (1 - k) / mpmath.det(mixed)
            moments.append(mpmath.exp(lift / 2) * mpmath.sqrt(ratio))
        m2, m3, m4 = moments
        told = (m2 - 1, m3 - 3 * m2 + 2, m4 - 4 * m3 + 6 * m2 - 3)
        values = (found.variance, found.third, found.fourth)
        for value, exact, error in zip(values, told, found.error, strict=True):
            off = abs(mpmath.mpf(float(value)) - exact)
            assert off <= error, f"off by {float(off):.2e}, said {error:.2e}"
            assert error < 0.05, f"an error of {error:.2e}"
