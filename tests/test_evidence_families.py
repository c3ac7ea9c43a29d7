"""The evidence of families that are not concave, or not natural, against brute force."""

from dataclasses import replace

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from scipy.special import logsumexp

from vaetheory import (
    LatentModel,
    Posterior,
    decoders,
    elbo,
    log_evidence,
    posterior_expectation,
    stationary_posterior,
)
from vaetheory.likelihoods import (
    Beta,
    Exponential,
    Gamma,
    Gaussian,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    VonMises,
)


def curve(z):
    """Two outputs of one latent, which data can hold against each other."""
    return anp.concatenate([1.3 * z + 0.2 * anp.sin(3 * z), anp.tanh(z) - 0.5 * z], axis=-1)


def wrapping(z):
    """Angles that go around the circle many times under the prior."""
    return 5 * z


def surface(z):
    first, second = z[..., :1], z[..., 1:]
    return anp.concatenate([1.3 * first + 0.2 * anp.sin(2 * second), second - 0.3 * first], axis=-1)


def on_the_line(model, x, spacing):
    """Log evidence by a trapezoid rule of dyadic spacing, whose nodes are not rounded."""
    z = np.arange(-16.0, 16.0, spacing)[:, None]
    parts = [logsumexp(model.log_joint(x, z[i : i + 2**16])) for i in range(0, len(z), 2**16)]
    return logsumexp(parts) + np.log(spacing)


def on_the_plane(model, x, spacing=2.0**-6):
    line = np.arange(-9.0, 9.0, spacing)
    rows = [
        logsumexp(model.log_joint(x, np.stack([np.full_like(line, t), line], axis=-1)))
        for t in line
    ]
    return logsumexp(rows) + 2 * np.log(spacing)


def rounding_of(value):
    """What a brute-force sum may be off by: log joints are rounded, at their own size."""
    return 64 * np.finfo(float).eps * (1 + abs(value))


LINE = {
    "Student t": (StudentT(dof=3.0, scale=0.5), curve, [[0.3, 0.2], [30.0, 5.0]], 10),
    "Student t, data in conflict": (StudentT(dof=2.0, scale=0.05), curve, [[2.0, -2.0]], 12),
    "Cauchy": (StudentT(dof=1.0, scale=0.05), curve, [[0.3, 0.2], [-2.0, 2.0]], 12),
    "narrow Student t": (StudentT(dof=4.0, scale=1e-4), curve, [[0.3, 0.2], [1.3, 0.2]], 16),
    "Gaussian limit": (StudentT(dof=1e8, scale=0.1), curve, [[0.3, 0.2], [1.3, 0.2]], 10),
    "von Mises": (VonMises(concentration=50.0), curve, [[0.5, 1.0], [10.0, 2.0]], 10),
    "wrapping": (VonMises(concentration=2.0), wrapping, [[0.5], [3.0]], 10),
    "narrow, wrapping": (VonMises(concentration=1e8), wrapping, [[0.5], [3.0]], 17),
    "uniform limit": (VonMises(concentration=1e-8), wrapping, [[0.5]], 10),
    "Beta": (Beta(concentration=3.0), curve, [[0.5, 0.1], [0.999, 1e-6]], 10),
    "broad Beta": (Beta(concentration=0.01), curve, [[0.5, 0.1], [1e-6, 0.9]], 10),
    "narrow Beta": (Beta(concentration=1e8), curve, [[0.5, 0.5]], 17),
    "negative binomial": (NegativeBinomial(shape=2.0), curve, [[3.0, 0.0], [100.0, 1.0]], 10),
    "clumped counts": (NegativeBinomial(shape=1e-3), curve, [[3.0, 0.0], [100.0, 1.0]], 10),
    "large counts": (NegativeBinomial(shape=1e6), curve, [[1e6, 1e3]], 15),
    "log-normal": (LogNormal(scale=0.3), curve, [[1.0, 2.0], [1e-3, 50.0]], 10),
    "exponential": (Exponential(), curve, [[1.0, 2.0], [1e-3, 50.0]], 10),
}


@pytest.mark.parametrize("case", LINE)
def test_on_the_line(case):
    family, decoder, X, bits = LINE[case]
    model, X = LatentModel(decoder, family, 1), np.array(X)
    result = log_evidence(model, X)
    assert (result.status == "reached").all(), f"{result.status}, error {result.error}"
    for x, value, error in zip(X, result.value, result.error, strict=True):
        true = on_the_line(model, x, 2.0**-bits)
        off = abs(value - true)
        slack = rounding_of(true)
        assert off <= error + slack, f"{value}, not {true}: off by {off:.3g}, stated {error:.3g}"


PLANE = {
    "Student t": (StudentT(dof=3.0, scale=0.5), [2.0, -2.0]),
    "von Mises": (VonMises(concentration=2.0), [0.5, 3.0]),
    "Beta": (Beta(concentration=3.0), [0.5, 0.1]),
    "negative binomial": (NegativeBinomial(shape=2.0), [100.0, 1.0]),
    "log-normal": (LogNormal(scale=0.3), [1.0, 2.0]),
    "exponential": (Exponential(), [0.2, 2.0]),
}


@pytest.mark.parametrize("case", PLANE)
def test_on_the_plane(case):
    family, x = PLANE[case]
    model = LatentModel(surface, family, 2)
    result, true = log_evidence(model, x), on_the_plane(model, np.array(x))
    off = abs(result.value - true)
    assert result.status == "reached", f"{result.status}, error {result.error:.3g}"
    # The lattice ends at nine standard deviations of the prior: 1e-18 of it.
    slack = rounding_of(true) + 1e-12
    assert off <= result.error + slack, f"off by {off:.3g}, stated {result.error:.3g}"


@pytest.mark.parametrize(
    ("family", "limit", "x"),
    [
        (StudentT(dof=1e12, scale=1e-3), Gaussian(scale=1e-3), [0.3, 0.2]),
        (NegativeBinomial(shape=1e14), Poisson(), [3.0, 7.0]),
        (Exponential(), Gamma(shape=1.0), [0.3, 2.0]),
    ],
    ids=["Student t", "negative binomial", "exponential"],
)
def test_narrow_limits_on_the_plane(family, limit, x):
    one = log_evidence(LatentModel(surface, family, 2), x)
    other = log_evidence(LatentModel(surface, limit, 2), x)
    off = abs(one.value - other.value)
    # How far the families are from their limits: some hundreds of 1 / dof or 1 / shape.
    assert off <= one.error + other.error + 1e-9, f"off by {off:.3g} from the limit"


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_log_normal_datum_is_a_gaussian_of_its_logarithm(d):
    weight = np.array([[1.0, 0.5, -0.25], [0.25, -1.0, 0.5]])[:, :d]
    x = np.array([2.0, 0.5])
    one = log_evidence(LatentModel(decoders.Affine(weight), LogNormal(scale=0.1), d), x)
    other = log_evidence(LatentModel(decoders.Affine(weight), Gaussian(scale=0.1), d), np.log(x))
    off = abs(one.value - (other.value - np.log(x).sum()))
    assert off <= one.error + other.error, f"off by {off:.3g}"


def test_a_broad_student_t_in_three_dimensions():
    # The evidence of a rotation-free product of three lines is the product of the evidences.
    family, x = StudentT(dof=3.0, scale=1.0), np.array([0.5, -1.0, 2.0])
    whole = log_evidence(LatentModel(decoders.Affine(np.eye(3)), family, 3), x, rtol=1e-7)
    lines = log_evidence(LatentModel(decoders.Affine([[1.0]]), family, 1), x[:, None])
    off = abs(whole.value - lines.value.sum())
    assert off <= whole.error + lines.error.sum(), f"off by {off:.3g}, stated {whole.error:.3g}"
    assert whole.status == "reached", f"{whole.status}"


def _mp_student(x, dof, scale):
    dof, scale, x = mpf(dof), mpf(scale), mpf(x)
    constant = mp.gamma((dof + 1) / 2) / mp.gamma(dof / 2) / mp.sqrt(dof * mp.pi) / scale

    def joint(z):
        p = constant * (1 + ((x - z) / scale) ** 2 / dof) ** (-(dof + 1) / 2)
        return p * mp.npdf(z)

    ends = [x + k * scale for k in (-1000, -100, -10, -1, 0, 1, 10, 100, 1000)]
    return mp.log(mp.quad(joint, sorted([-20, *ends, -5, 0, 5, 20])))


@pytest.mark.parametrize(("x", "dof", "scale"), [("0.5", "3", "0.5"), ("2.5", "1", "0.015625")])
def test_student_t_to_thirty_digits(x, dof, scale):
    with mp.workdps(30):
        true = _mp_student(x, dof, scale)
        model = LatentModel(decoders.Affine([[1.0]]), StudentT(float(dof), float(scale)), 1)
        result = log_evidence(model, [float(x)])
        off = float(abs(mpf(float(result.value)) - true))
    assert off <= result.error, f"off by {off:.3g}, stated {result.error:.3g}"


def test_von_mises_to_thirty_digits():
    with mp.workdps(30):
        kappa, x = mpf(2), mpf("0.5")
        constant = 1 / (2 * mp.pi * mp.besseli(0, kappa))
        # E exp(kappa cos(x - 5 z)) = I0 + 2 sum of I_k cos(k x) exp(-25 k^2 / 2).
        terms = [
            2 * mp.besseli(k, kappa) * mp.cos(k * x) * mp.exp(-mpf(25) * k**2 / 2)
            for k in range(1, 5)
        ]
        true = mp.log(constant * (mp.besseli(0, kappa) + sum(terms)))
        result = log_evidence(LatentModel(wrapping, VonMises(2.0), 1), [0.5])
        off = float(abs(mpf(float(result.value)) - true))
    assert off <= result.error, f"off by {off:.3g}, stated {result.error:.3g}"


EVERY = {
    "Student t": (StudentT(dof=5.0, scale=0.5), [0.5, 0.2]),
    "von Mises": (VonMises(concentration=4.0), [0.5, 0.2]),
    "Beta": (Beta(concentration=6.0), [0.5, 0.4]),
    "negative binomial": (NegativeBinomial(shape=3.0), [2.0, 1.0]),
    "log-normal": (LogNormal(scale=0.5), [1.5, 0.8]),
    "exponential": (Exponential(), [1.5, 0.8]),
}


@pytest.mark.parametrize("case", EVERY)
def test_every_route_takes_every_family(case):
    family, x = EVERY[case]
    model, X = LatentModel(curve, family, 1), np.array([x])
    exact = log_evidence(model, X)
    for method in ("gauss-hermite", "trapezoid", "importance", "cubature"):
        other = log_evidence(model, X, method=method, rtol=1e-6)
        off = abs(other.value - exact.value)[0]
        # These routes' errors are estimates of what they have seen.
        assert off <= 10 * other.error[0] + exact.error[0], f"{method} is off by {off:.3g}"
    fitted = stationary_posterior(model, X)
    bound = elbo(model, X, fitted)
    gap = exact.value - bound.value
    assert (gap >= -(exact.error + bound.error)).all(), f"an ELBO above the evidence: {gap}"
    moments = posterior_expectation(model, X, lambda z: np.concatenate([z, z**2], axis=-1))
    z = np.arange(-16.0, 16.0, 2.0**-10)[:, None]
    weights = np.exp(model.log_joint(X[0], z) - exact.value) * 2.0**-10
    direct = weights @ np.concatenate([z, z**2], axis=-1)
    off = np.abs(moments.value[0] - direct)
    assert (off <= moments.error[0] + exact.error + 1e-12).all(), f"moments off by {off}"


BENT = {
    "Student t": (StudentT(dof=2.0, scale=0.5), [[0.3], [4.0]]),
    "von Mises": (VonMises(concentration=3.0), [[0.3], [2.5]]),
    "Beta": (Beta(concentration=8.0), [[0.01], [0.6]]),
    "broad Beta": (Beta(concentration=0.1), [[1e-6], [0.6]]),
    "negative binomial": (NegativeBinomial(shape=2.0), [[0.0], [9.0]]),
}


def _excess(family, data, convexity=1.0):
    """Greatest excess of log p over its bound in balls around many parameters."""
    data = np.array(data)
    bounds = family.table(data)
    centres = np.linspace(-8.0, 8.0, 321)[:, None]
    log_prob, slope = bounds.dense(centres)
    worst = -np.inf
    for reach in (0.01, 0.1, 0.5, 2.0):
        radius = np.full(len(centres), reach)
        known = bounds.curvature(centres, radius)
        known = replace(known, convexity=convexity * known.convexity)
        upper = bounds.upper(log_prob, slope, radius, known)
        for share in (-1.0, -0.5, 0.5, 1.0):
            inside = family.log_prob(data[:, None], centres + share * reach)
            worst = max(worst, (inside - upper).max())
    return worst


@pytest.mark.parametrize("case", BENT)
def test_no_log_density_exceeds_its_bound(case):
    family, data = BENT[case]
    excess = _excess(family, data)
    assert excess <= 1e-13, f"log p exceeds its bound by {excess:.3g}"


@pytest.mark.parametrize("case", ["Student t", "von Mises"])
def test_tangents_alone_are_no_bound(case):
    family, data = BENT[case]
    excess = _excess(family, data, convexity=0.0)
    assert excess > 0.01, "without its second derivative the bound is broken, and is to be seen so"
    # The bounds are attained: they could not be a tenth lower.
    assert _excess(family, data, convexity=0.9) > 0, "the bound of the curvature is too cautious"


EVERY_TABLE = {
    **EVERY,
    "Poisson": (Poisson(), [2.0, 1.0]),
    "clumped counts": (NegativeBinomial(shape=0.05), [2.0, 100.0]),
    "gamma": (Gamma(shape=0.1), [1.5, 0.8]),
    "Gaussian": (Gaussian(cov=[[2.0, 0.5], [0.5, 1.0]]), [1.5, 0.8]),
}
EIGHTHS = st.integers(-32, 32).map(lambda k: k / 8)


@given(
    st.sampled_from(sorted(EVERY_TABLE)), st.tuples(EIGHTHS, EIGHTHS), st.tuples(EIGHTHS, EIGHTHS)
)
def test_no_log_density_leaves_its_tangent_by_more_than_its_bend(case, centre, delta):
    family, x = EVERY_TABLE[case]
    # The simpler likelihood of a log-normal is the one that has a table.
    family, data, _ = family.reduced(np.array([x]))
    bounds, centre, delta = family.table(data), np.array([centre]), np.array([[delta]])
    score = family.score(data, centre)
    gap = family.log_prob(data, centre) + score @ delta[0, 0]
    gap = gap - family.log_prob(data, centre + delta[0])
    log_prob, in_coordinates = bounds.centre(np.zeros((1, 1), dtype=np.intp), centre)
    slope = np.linalg.norm(in_coordinates, axis=-1)
    known = bounds.curvature(centre, np.linalg.norm(delta[0], axis=-1), np.zeros((1, 1), np.intp))
    bend = bounds.bend(centre, bounds.coordinates(delta))
    most = bounds.bend_of(bend[:, None], slope, known)
    size = np.abs(log_prob).sum() + np.abs(score * delta[0]).sum() + np.abs(gap).sum() + 1
    excess = (gap - most).max()
    assert excess <= 1e-13 * size, f"log p leaves its tangent by {gap}, more than {most}"


def test_a_great_shape_costs_what_the_poisson_family_does():
    X, cost = np.array([[3.0, 9.0], [0.0, 40.0], [7.0, 2.0]]), {}
    for family in (Poisson(), NegativeBinomial(shape=1e3), NegativeBinomial(shape=50.0)):
        model = LatentModel(lambda z: 1.0 + 1.5 * surface(z), family, 2)
        cost[str(family)] = log_evidence(model, X).nodes
    least, most = min(cost.values()), max(cost.values())
    assert most <= 1.5 * least, f"evaluations {cost}, which should be about the same"


@pytest.mark.parametrize("family", [NegativeBinomial(shape=0.5), NegativeBinomial(shape=50.0)])
def test_counts_have_the_same_evidence_in_any_order(family):
    X = np.array([[0.0, 0.0], [3000.0, 2.0], [7.0, 40.0]])
    model = LatentModel(lambda z: 2.0 + 1.5 * surface(z), family, 2)
    forth, back = log_evidence(model, X), log_evidence(model, X[::-1])
    off = np.abs(forth.value - back.value[::-1])
    assert (off <= forth.error + back.error[::-1]).all(), f"evidences change by {off}"
    assert forth.nodes == back.nodes, f"{forth.nodes} evaluations, reversed {back.nodes}"


def test_posterior_of_wrong_shape_is_refused_as_ever():
    model = LatentModel(wrapping, VonMises(2.0), 1)
    with pytest.raises(ValueError, match=r"X: expected shape \(..., 1\)"):
        log_evidence(model, [[0.0, 1.0]])
    with pytest.raises(ValueError, match="posterior"):
        elbo(model, [[0.0]], Posterior(np.zeros((1, 2)), cov=np.eye(2)[None]))
