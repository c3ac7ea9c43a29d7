"""Encoders: what shapes a posterior takes, and that its numbers are those of its Gaussian."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import logsumexp

import vaetheory
from vaetheory import AggregatePosterior, Posterior, _gaussians
from vaetheory.rounding import gamma

OPERATIONS = 200

#: Means of three posteriors in the plane.
PLANE = np.zeros((3, 2))


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
    return AggregatePosterior(
        loc, cov=draw(matrices(1, d))[0] if shared else draw(matrices(count, d))
    )


def condition(cov):
    """Sum over a stack of the condition numbers that its solves and determinants meet."""
    return np.linalg.cond(cov) * (1 + np.abs(np.log(np.linalg.eigvalsh(cov))).sum(axis=-1))


LOWER = [[1.0, 0.0], [0.5, 2.0]]
#: How wide three posteriors in the plane are, in each accepted form, and their covariances.
FORMS = {
    "one matrix": ({"cov": [[1.0, 0.5], [0.5, 2.0]]}, [[[1.0, 0.5], [0.5, 2.0]]] * 3),
    "a stack": ({"cov": [np.diag([1.0, 2.0])] * 3}, [np.diag([1.0, 2.0])] * 3),
    "integers": ({"cov": [[1, 0], [0, 2]]}, [np.diag([1, 2])] * 3),
    "one deviation": ({"scale": 3}, [np.diag([9, 9])] * 3),
    "one a coordinate": ({"scale": [0.5, 2.0]}, [np.diag([0.25, 4.0])] * 3),
    "one a coordinate and datum": (
        {"scale": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]},
        [np.diag([1, 4]), np.diag([9, 16]), np.diag([25, 36])],
    ),
    "one factor": ({"scale_tril": LOWER}, [[[1.0, 0.5], [0.5, 4.25]]] * 3),
    "factors": (
        {"scale_tril": [LOWER, np.eye(2), 2 * np.eye(2)]},
        [[[1.0, 0.5], [0.5, 4.25]], np.eye(2), 4 * np.eye(2)],
    ),
}


@pytest.mark.parametrize("kind", [Posterior, AggregatePosterior])
@pytest.mark.parametrize("form", FORMS)
def test_every_accepted_form_is_one_matrix_a_datum(kind, form):
    spread, expected = FORMS[form]
    q = kind(np.zeros((3, 2)), **spread)
    assert q.cov.shape == (3, 2, 2), f"expected one matrix a datum, got shape {q.cov.shape}"
    assert (q.cov == np.array(expected)).all(), f"{form}: read as {q.cov.tolist()}"
    assert q.latent_dim == 2, f"latent_dim {q.latent_dim}"
    assert q == kind(loc=np.zeros((3, 2)), cov=q.cov), "a posterior is not made of its own fields"
    factors = q.scale_tril
    assert (factors == np.tril(factors)).all(), f"{form}: factors {factors.tolist()}"
    off = np.abs(factors @ np.swapaxes(factors, -1, -2) - q.cov).max()
    assert off <= gamma(8) * np.abs(q.cov).max(), f"L L^T is not the covariance: {off:.3g}"


@pytest.mark.parametrize("leading", [(), (3,), (4, 3)], ids=str)
@pytest.mark.parametrize(
    "form", ["matrix", "stack", "number", "vector", "rows", "factor", "factors"]
)
def test_a_posterior_keeps_its_leading_axes(leading, form):
    matrix, deviations = np.eye(2) * [1.0, 4.0], [1.0, 2.0]
    spread = {
        "matrix": {"cov": matrix},
        "stack": {"cov": np.broadcast_to(matrix, (*leading, 2, 2))},
        "number": {"scale": 2.0},
        "vector": {"scale": deviations},
        "rows": {"scale": np.broadcast_to(deviations, (*leading, 2))},
        "factor": {"scale_tril": np.diag(deviations)},
        "factors": {"scale_tril": np.broadcast_to(np.diag(deviations), (*leading, 2, 2))},
    }[form]
    q = Posterior(np.zeros((*leading, 2)), **spread)
    assert q.cov.shape == (*leading, 2, 2), f"cov of shape {q.cov.shape}"
    for what, value in (
        ("entropy", q.entropy()),
        ("divergence", q.kl_to_prior()),
        ("log density", q.log_prob(np.zeros(2))),
    ):
        assert value.shape == leading, f"{what}: shape {value.shape}, expected {leading}"
        assert np.ptp(value) == 0, f"{what} differs between equal posteriors: {value}"


def test_variances_are_not_standard_deviations():
    q = Posterior([[0.0]], scale=2.0)
    deviation = stats.norm(0, 2)
    assert np.isclose(q.entropy()[0], deviation.entropy()), "a variance of 4 is a deviation of 2"


@pytest.mark.parametrize("count", [2, 3])
def test_a_shape_means_the_same_whatever_n_and_d_are(count):
    loc, matrix = np.zeros((count, 2)), [[2.0, 0.5], [0.5, 1.0]]
    q = Posterior(loc, cov=matrix)
    assert (q.cov == [matrix] * count).all(), f"expected one shared matrix, got {q.cov.tolist()}"
    rows = np.arange(1.0, 2 * count + 1).reshape(count, 2)
    q = Posterior(loc, scale=rows)
    expected = [np.diag(row**2) for row in rows]
    assert (q.cov == expected).all(), f"expected one row a datum, got {q.cov.tolist()}"
    with pytest.raises(ValueError, match=r"^cov: expected .*scale=np.sqrt\(variances\)$"):
        Posterior(loc, cov=rows)


@pytest.mark.parametrize("kind", [Posterior, AggregatePosterior])
@pytest.mark.parametrize(
    ("spread", "keyword", "matrix"),
    [
        ([0.25, 2.0], "scale=np.sqrt", np.diag([0.25, 2.0])),
        ([[0.25, 2.0]] * 3, "scale=np.sqrt", np.diag([0.25, 2.0])),
        (np.eye(2), "cov=", np.eye(2)),
        ([np.eye(2)] * 3, "cov=", np.eye(2)),
    ],
)
def test_a_spread_by_position_still_means_what_it_did(kind, spread, keyword, matrix):
    with pytest.warns(DeprecationWarning, match=f"write {keyword}") as caught:
        q = kind(np.zeros((3, 2)), spread)
    assert caught[0].filename == __file__, f"the warning points at {caught[0].filename}"
    assert (q.cov == [matrix] * 3).all(), f"read as {q.cov.tolist()}"


def test_a_spread_by_position_is_not_guessed():
    with pytest.raises(ValueError, match=r"N = d = 2 .*cov= for one .*scale=np.sqrt\(\.\.\.\) for"):
        Posterior(np.zeros((2, 2)), np.eye(2))
    # Of one datum on a line both readings are the same.
    with pytest.warns(DeprecationWarning, match="write cov="):
        assert Posterior([[0.0]], [[0.5]]).cov.tolist() == [[[0.5]]], "a variance of 1/2"


def test_encoder_is_the_former_name_and_works():
    former = vaetheory.Encoder
    assert former is AggregatePosterior, "the former name is something else"
    assert former([[0.0]], scale=2.0) == AggregatePosterior([[0.0]], cov=[[4.0]]), "not the same"


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
    same = Posterior(white @ (locs[0] - locs[1]), cov=(inner + inner.T) / 2).kl_to_prior()
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
    cov = [[scale**2]] if shared else [[[scale**2]], [[scale**2 * (1 + 2**-52)]]]
    encoder = AggregatePosterior([[0.0], [scale]], cov=cov)
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
    encoder = AggregatePosterior([[0.0, 1.0], [1.0, 0.0], [2.0, 2.0]], cov=np.diag([1.0, 2.0]))
    for leading in ((), (4,), (5, 4)):
        z = np.zeros((*leading, 2))
        assert encoder.responsibilities(z).shape == (*leading, 3), "q(x|z) is (..., N)"
        assert encoder.aggregate_log_prob(z).shape == leading, "log q(z) is (...)"


def test_shared_is_read_from_the_values():
    loc = [[0.0], [1.0]]
    assert AggregatePosterior(loc, scale=2.0).shared, "one variance for all is shared"
    assert AggregatePosterior(loc, scale=[[2.0], [2.0]]).shared, "equal variances are shared"
    assert not AggregatePosterior(loc, scale=[[2.0], [3.0]]).shared, "these variances differ"


@pytest.mark.parametrize("kind", [Posterior, AggregatePosterior])
@pytest.mark.parametrize(
    ("loc", "spread", "message"),
    [
        ([[0.0, np.nan]], {"scale": 1.0}, "loc: expected finite numbers, got nan"),
        ([[0.0, np.inf]], {"scale": 1.0}, "loc: expected finite numbers, got inf"),
        ([["here"]], {"scale": 1.0}, "loc: expected an array of real numbers"),
        (1.0, {"scale": 1.0}, "loc: expected at least 1 axis"),
        (np.zeros((0, 2)), {"scale": 1.0}, "loc: expected at least one vector"),
        (np.zeros((3, 0)), {"scale": 1.0}, "loc: expected"),
        (PLANE, {}, "cov, scale or scale_tril: expected exactly one of them, got none"),
        (PLANE, {"cov": np.eye(2), "scale": 1.0}, "exactly one of them, got cov and scale"),
        (PLANE, {"scale": 1.0, "scale_tril": np.eye(2)}, "one of them, got scale and scale_tril"),
        (PLANE, {"cov": [[1.0, np.nan], [0, 1]]}, "cov: expected finite numbers, got nan"),
        (PLANE, {"cov": [[1.0, np.inf], [0, 1]]}, "cov: expected finite numbers, got inf"),
        (PLANE, {"cov": [[1.0, 0.5], [0.4, 1.0]]}, "cov: expected symmetric matrices"),
        (PLANE, {"cov": [[1.0, 2.0], [2.0, 1.0]]}, "cov: expected positive-definite"),
        (PLANE, {"cov": [[1.0, 1.0], [1.0, 1.0]]}, "cov: expected positive-definite"),
        (PLANE, {"cov": [np.eye(2), np.eye(2), -np.eye(2)]}, "cov: expected positive-definite"),
        (PLANE, {"cov": 1.0}, r"cov: expected matrices .*got \(\); variances of .*np.sqrt"),
        (
            PLANE,
            {"cov": [1.0, 2.0]},
            r"cov: expected matrices .*got \(2,\); variances of .*np.sqrt",
        ),
        (PLANE, {"cov": np.ones((3, 2))}, r"cov: expected matrices .*got \(3, 2\); variances"),
        (PLANE, {"cov": [1.0, 1.0, 1.0]}, r"cov: expected matrices .*got \(3,\)$"),
        (PLANE, {"cov": np.ones((2, 3))}, r"\(2, 2\) or \(3, 2, 2\) for loc .*got \(2, 3\)$"),
        (PLANE, {"cov": np.eye(3)}, r"cov: expected matrices .*got \(3, 3\)$"),
        (PLANE, {"cov": np.stack([np.eye(2)] * 2)}, r"cov: expected .*got \(2, 2, 2\)$"),
        (PLANE, {"cov": np.eye(2)[None]}, r"cov: expected matrices .*got \(1, 2, 2\)$"),
        (PLANE, {"scale": [1.0, np.nan]}, "scale: expected finite numbers, got nan"),
        (PLANE, {"scale": [1.0, 0.0]}, "scale: expected positive numbers, got 0"),
        (PLANE, {"scale": -1.0}, "scale: expected positive numbers, got -1"),
        (PLANE, {"scale": 1e-200}, "scale: expected numbers from 1e-150 to 1e.150, got 1e-200"),
        (PLANE, {"scale": [1.0] * 3}, r"scale: expected .*\(\), \(2,\) or \(3, 2\) .*got \(3,\)$"),
        (PLANE, {"scale": np.eye(2)}, r"got \(2, 2\); matrices are given as cov= or scale_tril="),
        (PLANE, {"scale": np.ones((3, 2, 2))}, r"got \(3, 2, 2\); matrices are given as cov="),
        (PLANE, {"scale_tril": [1.0, 2.0]}, r"scale_tril: expected shape \(2, 2\) or \(3, 2, 2\)"),
        (PLANE, {"scale_tril": [[1.0, 2.0], [0.0, 1.0]]}, "scale_tril: expected a lower triang"),
        (PLANE, {"scale_tril": [[1.0, 0.0], [1.0, 0.0]]}, "scale_tril: .*positive diagonal"),
        (PLANE, {"scale_tril": [np.eye(2), np.eye(2), -np.eye(2)]}, "scale_tril: .*positive diag"),
        (
            PLANE,
            {"scale_tril": np.eye(2) * 1e200},
            "scale_tril: expected numbers of at most 1e.150",
        ),
        (PLANE, {"scale_tril": np.diag([1e-200, 1.0])}, "scale_tril .*expected positive-definite"),
    ],
)
def test_bad_input_is_a_value_error(kind, loc, spread, message):
    with pytest.raises(ValueError, match=message):
        kind(loc, **spread)


@pytest.mark.parametrize(
    ("arguments", "named", "message"),
    [
        ((np.eye(2),), {"cov": np.eye(2)}, "by keyword, got 2 spreads"),
        ((np.eye(2), np.eye(2)), {}, "by keyword, got 2 spreads"),
        (([1.0, 0.0],), {}, r"cov \(variances\): expected positive numbers, got 0"),
        ((1.0,), {}, r"cov: expected matrices of shape .*got \(\); variances"),
        (([1.0, 1.0, 1.0],), {}, r"cov: expected matrices of shape .*got \(3,\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:the spread of a posterior by position")
def test_bad_spreads_by_position_are_refused(arguments, named, message):
    with pytest.raises(ValueError, match=message):
        Posterior(PLANE, *arguments, **named)


@pytest.mark.parametrize("loc", [[0.0, 1.0], np.zeros((2, 3, 2))], ids=["(2,)", "(2, 3, 2)"])
def test_an_encoder_is_of_a_data_set(loc):
    with pytest.raises(ValueError, match=r"loc: expected one mean a datum, \(N, d\)"):
        AggregatePosterior(loc, scale=1.0)


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
    encoder = AggregatePosterior(np.zeros((3, 2)), scale=1.0)
    with pytest.raises(ValueError, match=message):
        getattr(encoder, method)(z)
