"""Encoders: what shapes a posterior takes, and that its numbers are those of its Gaussian."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import logsumexp

from vaetheory import Encoder, Posterior, _gaussians
from vaetheory.rounding import gamma

OPERATIONS = 200


def integers(shape, low, high):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(float))


@st.composite
def matrices(draw, count, d):
    """Positive-definite matrices `(count, d, d)` that shrink to the identity over 2."""
    factor = draw(integers((count, d, d), -2, 2))
    return factor @ np.swapaxes(factor, -1, -2) / 4 + np.eye(d) / 2


@st.composite
def encoders(draw, most=3):
    d, count = draw(st.integers(1, most)), draw(st.integers(1, 4))
    loc = draw(integers((count, d), -8, 8)) / 2
    shared = draw(st.booleans())
    return Encoder(loc, draw(matrices(1, d))[0] if shared else draw(matrices(count, d)))


def condition(cov):
    """Sum over a stack of the condition numbers that its solves and determinants meet."""
    return np.linalg.cond(cov) * (1 + np.abs(np.log(np.linalg.eigvalsh(cov))).sum(axis=-1))


FORMS = {
    "shared diagonal": ([0.5, 2.0], np.broadcast_to(np.diag([0.5, 2.0]), (3, 2, 2))),
    "shared matrix": ([[1.0, 0.5], [0.5, 2.0]], np.broadcast_to([[1, 0.5], [0.5, 2]], (3, 2, 2))),
    "diagonals": (
        [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
        [np.diag([1, 2]), np.diag([3, 4]), np.diag([5, 6])],
    ),
    "stack": ([np.diag([1.0, 2.0])] * 3, [np.diag([1.0, 2.0])] * 3),
    "integers": ([1, 2], [np.diag([1, 2])] * 3),
}


@pytest.mark.parametrize("kind", [Posterior, Encoder])
@pytest.mark.parametrize("form", FORMS)
def test_every_accepted_form_of_cov_is_one_matrix_a_datum(kind, form):
    given_cov, expected = FORMS[form]
    q = kind(np.zeros((3, 2)), given_cov)
    assert q.cov.shape == (3, 2, 2), f"expected one matrix a datum, got shape {q.cov.shape}"
    assert (q.cov == np.array(expected)).all(), f"{form}: read as {q.cov.tolist()}"
    assert q.latent_dim == 2, f"latent_dim {q.latent_dim}"


@pytest.mark.parametrize("leading", [(), (3,), (4, 3)], ids=str)
@pytest.mark.parametrize("form", ["shared diagonal", "shared matrix", "diagonals", "stack"])
def test_a_posterior_keeps_its_leading_axes(leading, form):
    base = np.eye(2) * [1.0, 2.0]
    cov = {
        "shared diagonal": [1.0, 2.0],
        "shared matrix": base,
        "diagonals": np.broadcast_to([1.0, 2.0], (*leading, 2)),
        "stack": np.broadcast_to(base, (*leading, 2, 2)),
    }[form]
    q = Posterior(np.zeros((*leading, 2)), cov)
    assert q.cov.shape == (*leading, 2, 2), f"cov of shape {q.cov.shape}"
    for what, value in (
        ("entropy", q.entropy()),
        ("divergence", q.kl_to_prior()),
        ("log density", q.log_prob(np.zeros(2))),
    ):
        assert value.shape == leading, f"{what}: shape {value.shape}, expected {leading}"
        assert np.ptp(value) == 0, f"{what} differs between equal posteriors: {value}"


def test_variances_are_not_standard_deviations():
    q = Posterior([[0.0]], [4.0])
    deviation = stats.norm(0, 2)
    assert np.isclose(q.entropy()[0], deviation.entropy()), "a variance of 4 is a deviation of 2"


def test_where_n_equals_d_a_square_array_is_one_shared_matrix():
    matrix = [[2.0, 0.5], [0.5, 1.0]]
    q = Posterior(np.zeros((2, 2)), matrix)
    assert (q.cov == [matrix, matrix]).all(), f"expected one shared matrix, got {q.cov.tolist()}"
    for diagonals in ([[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [2.0, 1.0]]):
        with pytest.raises(ValueError, match=r"with N = d = 2 .*one shared matrix.*\(2, 2, 2\)"):
            Posterior(np.zeros((2, 2)), diagonals)
    with pytest.raises(ValueError) as refused:
        Posterior(np.zeros((3, 2)), [[1.0, 2.0], [2.0, 1.0]])
    assert "N = d" not in str(refused.value), "no ambiguity between N = 3 and d = 2 to speak of"


@given(encoders())
def test_log_prob_entropy_and_divergence_are_those_of_the_gaussian(q):
    d = q.latent_dim
    z = q.loc[::-1] + 0.5
    kappa = condition(q.cov)
    ours = q.log_prob(z)
    for n in range(len(z)):
        theirs = stats.multivariate_normal(q.loc[n], q.cov[n])
        away = ((z[n] - q.loc[n]) ** 2).sum() / np.linalg.eigvalsh(q.cov[n])[0]
        bound = gamma(OPERATIONS) * kappa[n] * (1 + away + 2 * d)
        off = abs(ours[n] - theirs.logpdf(z[n]))
        assert off <= bound, f"log density of datum {n} off by {off:.3g}, bound {bound:.3g}"
        off = abs(q.entropy()[n] - theirs.entropy())
        assert off <= bound, f"entropy of datum {n} off by {off:.3g}, bound {bound:.3g}"
        # E_q[log q - log p] = -entropy + cross entropy, the latter from second moments.
        size = np.trace(q.cov[n]) + q.loc[n] @ q.loc[n]
        cross = 0.5 * (d * np.log(2 * np.pi) + size)
        off = abs(q.kl_to_prior()[n] - (cross - theirs.entropy()))
        bound = gamma(OPERATIONS) * kappa[n] * (1 + size + 2 * d)
        assert off <= bound, f"divergence of datum {n} off by {off:.3g}, bound {bound:.3g}"
        assert q.kl_to_prior()[n] >= -bound, f"a negative divergence {q.kl_to_prior()[n]}"


@given(st.integers(1, 3), st.data())
def test_divergence_between_two_gaussians(d, data):
    locs = data.draw(integers((2, d), -4, 4), label="locs")
    covs = data.draw(matrices(2, d), label="covs")
    divergence = _gaussians.kl_divergence(locs[0], covs[0], locs[1], covs[1])
    # Whitening by the second makes it a divergence from the prior, which is checked by itself.
    white = np.linalg.inv(np.linalg.cholesky(covs[1]))
    inner = white @ covs[0] @ white.T
    same = Posterior(white @ (locs[0] - locs[1]), (inner + inner.T) / 2).kl_to_prior()
    size = np.linalg.norm(white, 2) ** 2 * (np.trace(covs[0]) + ((locs[0] - locs[1]) ** 2).sum())
    bound = gamma(OPERATIONS) * condition(covs).sum() * (1 + size + 2 * d)
    off = abs(divergence - same)
    assert off <= bound, f"the divergence is not invariant: {off:.3g}, bound {bound:.3g}"
    itself = _gaussians.kl_divergence(locs[0], covs[0], locs[0], covs[0])
    assert abs(itself) <= bound, f"the divergence of a Gaussian from itself is {itself}"


@given(encoders(), st.data())
def test_aggregate_density_is_the_mean_of_the_posteriors(encoder, data):
    z = data.draw(integers((2, encoder.latent_dim), -8, 8), label="z") / 2
    components = encoder.component_log_prob(z)
    count = len(encoder.loc)
    assert components.shape == (2, count), f"component table of shape {components.shape}"
    away = ((z[:, None] - encoder.loc) ** 2).sum(-1) / np.linalg.eigvalsh(encoder.cov)[:, 0]
    bound = gamma(OPERATIONS) * (condition(encoder.cov) * (1 + away + 2 * encoder.latent_dim)).max()
    for m in range(2):
        for n in range(count):
            single = stats.multivariate_normal(encoder.loc[n], encoder.cov[n]).logpdf(z[m])
            off = abs(components[m, n] - single)
            assert off <= bound, f"log q(z_{m}|x_{n}) is off by {off:.3g}, bound {bound:.3g}"
    mean = logsumexp(components, axis=-1, b=1 / count)
    off = np.abs(encoder.aggregate_log_prob(z) - mean).max()
    bound = gamma(OPERATIONS) * (1 + np.abs(components).max())
    assert off <= bound, f"log q(z) is off by {off:.3g}, bound {bound:.3g}"


@given(encoders(), st.data())
def test_responsibilities_are_bayes_rule_over_the_data(encoder, data):
    z = data.draw(integers((2, encoder.latent_dim), -8, 8), label="z") / 2
    weights = encoder.responsibilities(z)
    components = encoder.component_log_prob(z)
    bayes = components - np.log(len(encoder.loc)) - encoder.aggregate_log_prob(z)[:, None]
    bound = gamma(OPERATIONS) * (1 + np.abs(components).max())
    off = np.abs(encoder.log_responsibilities(z) - bayes).max()
    assert off <= bound, f"log q(x|z) is off Bayes' rule by {off:.3g}, bound {bound:.3g}"
    off = np.abs(weights.sum(axis=-1) - 1).max()
    assert off <= bound, f"responsibilities sum to one up to {off:.3g}"
    assert (weights >= 0).all(), f"a negative responsibility {weights.min()}"


@pytest.mark.parametrize("scale", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize("shared", [True, False])
def test_responsibilities_forty_deviations_out(scale, shared):
    # Codes at 0 and at one deviation: the log odds at k deviations are k - 1/2, exactly.
    cov = [scale**2] if shared else [[[scale**2]], [[scale**2 * (1 + 2**-52)]]]
    encoder = Encoder([[0.0], [scale]], cov)
    z = np.array([[40 * scale], [-40 * scale]])
    logs = encoder.log_responsibilities(z)
    odds = logs[:, 1] - logs[:, 0]
    # Both squares, 800 nats, round; the covariance that differs by one unit moves them by another.
    np.testing.assert_allclose(
        odds, [39.5, -40.5], rtol=0, atol=1700 * gamma(20), err_msg="log odds 40 deviations out"
    )
    weights = encoder.responsibilities(z)
    assert np.isfinite(encoder.aggregate_log_prob(z)).all(), "the aggregate density underflowed"
    assert np.abs(weights.sum(axis=-1) - 1).max() <= 1700 * gamma(20), f"sums {weights.sum(-1)}"


def test_leading_axes_of_z():
    encoder = Encoder([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], [1.0, 2.0])
    for leading in ((), (4,), (5, 4)):
        z = np.zeros((*leading, 2))
        assert encoder.responsibilities(z).shape == (*leading, 3), "q(x|z) is (..., N)"
        assert encoder.aggregate_log_prob(z).shape == leading, "log q(z) is (...)"


def test_shared_is_read_from_the_values():
    loc = [[0.0], [1.0]]
    assert Encoder(loc, [2.0]).shared, "one variance for all is shared"
    assert Encoder(loc, [[2.0], [2.0]]).shared, "equal variances are shared"
    assert not Encoder(loc, [[2.0], [3.0]]).shared, "these variances differ"


@pytest.mark.parametrize("kind", [Posterior, Encoder])
@pytest.mark.parametrize(
    ("loc", "cov", "message"),
    [
        ([[0.0, np.nan]], [1.0, 1.0], "loc: expected finite numbers, got nan"),
        ([[0.0, np.inf]], [1.0, 1.0], "loc: expected finite numbers, got inf"),
        ([["here"]], [1.0], "loc: expected an array of real numbers"),
        (1.0, [1.0], "loc: expected at least 1 axis"),
        (np.zeros((0, 2)), [1.0, 1.0], "loc: expected at least one vector"),
        (np.zeros((3, 0)), [1.0], "loc: expected"),
        (np.zeros((3, 2)), [1.0, np.nan], "cov: expected finite numbers, got nan"),
        (np.zeros((3, 2)), [1.0, np.inf], "cov: expected finite numbers, got inf"),
        (np.zeros((3, 2)), [1.0, 0.0], "cov.*: expected positive numbers, got 0"),
        (np.zeros((3, 2)), [1.0, -1.0], "cov.*: expected positive numbers, got -1"),
        (np.zeros((3, 2)), [[1.0, 0.5], [0.4, 1.0]], "cov: expected symmetric matrices"),
        (np.zeros((3, 2)), [[1.0, 2.0], [2.0, 1.0]], "cov: expected positive-definite"),
        (np.zeros((3, 2)), [[1.0, 1.0], [1.0, 1.0]], "cov: expected positive-definite"),
        (np.zeros((3, 2)), [np.eye(2), np.eye(2), -np.eye(2)], "cov: expected positive-definite"),
        (np.zeros((3, 2)), 1.0, "cov: expected shape"),
        (np.zeros((3, 2)), [1.0, 1.0, 1.0], "cov: expected shape"),
        (np.zeros((3, 2)), np.ones((2, 3)), "cov: expected shape"),
        (np.zeros((3, 2)), np.ones((1, 2)), "cov: expected shape"),
        (np.zeros((3, 2)), np.eye(3), "cov: expected shape"),
        (np.zeros((3, 2)), np.stack([np.eye(2)] * 2), "cov: expected shape"),
        (np.zeros((3, 2)), np.eye(2)[None], "cov: expected shape"),
    ],
)
def test_bad_input_is_a_value_error(kind, loc, cov, message):
    with pytest.raises(ValueError, match=message):
        kind(loc, cov)


@pytest.mark.parametrize("loc", [[0.0, 1.0], np.zeros((2, 3, 2))], ids=["(2,)", "(2, 3, 2)"])
def test_an_encoder_is_of_a_data_set(loc):
    with pytest.raises(ValueError, match=r"loc: expected one mean a datum, \(N, d\)"):
        Encoder(loc, [1.0, 1.0])


@pytest.mark.parametrize(
    "method", ["log_prob", "component_log_prob", "aggregate_log_prob", "responsibilities"]
)
@pytest.mark.parametrize(
    ("z", "message"),
    [
        ([[0.0]], r"z: expected shape \(..., 2\)"),
        ([[0.0, np.nan]], "z: expected finite"),
        (0.0, "z: expected at least 1 axis"),
    ],
)
def test_bad_latents_are_refused(method, z, message):
    encoder = Encoder(np.zeros((3, 2)), [1.0, 1.0])
    with pytest.raises(ValueError, match=message):
        getattr(encoder, method)(z)
