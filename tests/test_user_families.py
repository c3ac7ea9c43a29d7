"""Families written outside the package are full citizens: evidence, metric, posteriors."""

import json
from pathlib import Path

import autograd.numpy as anp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from user_families import FAMILIES, Cosh, Logistic, Weibull, ZeroInflatedPoisson

from vaetheory import (
    LatentModel,
    Posterior,
    decoders,
    differences,
    elbo,
    log_evidence,
    posterior_expectation,
    stationary_posterior,
)
from vaetheory.geometry import decoder_hessian, fisher_information, pullback_metric
from vaetheory.likelihoods import ElementwiseLikelihood, metric_identities
from vaetheory.modes import posterior_mode

REFERENCE = json.loads((Path(__file__).parent / "reference" / "user_families.json").read_text())
CASES = {case["name"]: case for case in REFERENCE["cases"]}


def _model(case):
    family = FAMILIES[case["family"]](float(case["constant"]))
    decoder = decoders.Polynomial(case["exponents"], np.array(case["coefficients"], dtype=float))
    return LatentModel(decoder, family, len(case["exponents"][0]))


def _unbounded(family):
    """The family without what it says of its second derivatives: it is concave, and that is all."""
    given = {"curvature_bounds", "curvature_range"} & set(vars(type(family)))
    inherited = {name: getattr(ElementwiseLikelihood, name) for name in given}
    made = type(f"Plain{type(family).__name__}", (type(family),), inherited)
    return made(*vars(family).values())


@pytest.mark.parametrize("name", CASES)
def test_evidence_is_that_of_thirty_digits(name):
    case = CASES[name]
    model, exact = _model(case), float(case["log_evidence"])
    x = np.array(case["x"], dtype=float)
    families = [model.likelihood]
    if model.likelihood.concave:
        families.append(_unbounded(model.likelihood))
    for family in families:
        found = log_evidence(model.with_likelihood(family), x)
        off = abs(float(found.value) - exact)
        assert off <= found.error, f"{name}, {family}: off by {off:.3g}, stated {found.error:.3g}"
        # Terms of a million cancel in the naive density of great counts, and the error says so.
        assert found.error <= (1e-8 if case["x"] in (["100000.0"], ["1000000.0"]) else 1e-10), (
            f"{name}, {family}: an error of {found.error:.3g}"
        )


class CoshByIntervals(Cosh):
    """The same, with the bounds of its second derivatives over intervals."""

    def curvature_range(self, x, lower, upper):
        near = np.clip(x, lower, upper)
        far = np.where(x - lower > upper - x, lower, upper)
        return -self._information(x, far), -self._information(x, near)


def _wave(z):
    return 0.1 + 0.5 * z + anp.sin(7 * z)


@pytest.mark.parametrize("kind", [Cosh, CoshByIntervals])
@pytest.mark.parametrize("x", [0.7137, 0.0123])
def test_a_datum_impossible_at_both_ends_of_a_cell_may_be_likely_inside(kind, x):
    family = kind(scale=1e-3)
    found = log_evidence(LatentModel(_wave, family, 1), [[x]])
    # Each crossing of the datum has a peak: it falls off doubly exponentially, so that a sum of
    # equal steps is exact.
    z = np.linspace(-8.0, 8.0, 2**14 + 1)
    falls = (_wave(z) - x)[1:] * (_wave(z) - x)[:-1] < 0
    roots = [brentq(lambda v: _wave(v) - x, z[k], z[k + 1]) for k in np.flatnonzero(falls)]
    total = 0.0
    for root in roots:
        step = family.scale / abs(0.5 + 7 * np.cos(7 * root)) / 64
        near = root + step * np.arange(-400, 401)[:, None]
        joint = family.log_prob([x], _wave(near)) - near[:, 0] ** 2 / 2
        total += step * np.exp(joint).sum() / np.sqrt(2 * np.pi)
    off = abs(float(found.value[0]) - np.log(total))
    assert len(roots) > 2, f"expected several peaks, got {len(roots)}"
    assert off <= found.error[0] + 1e-12, f"off by {off:.3g}, stated {found.error[0]:.3g}"
    # The error may be large, but the mass of every peak is in the value.
    assert off <= 1e-9, f"off by {off:.3g}: a peak is missing"


def test_second_derivatives_may_overflow_where_data_are_impossible():
    # At a log density of -1e299 a second derivative in units of the scale has overflown.
    for family in (Cosh(1e-6), CoshByIntervals(1e-6)):
        model = LatentModel(decoders.Affine([[1e-6]]), family, 1)
        found, exact = (
            log_evidence(m, [[x]])
            for m, x in (
                (model, 1e-6),
                (LatentModel(decoders.Affine([[1.0]]), type(family)(1.0), 1), 1.0),
            )
        )
        off = abs(float(found.value[0]) - float(exact.value[0]) - 6 * np.log(10))
        assert off <= found.error[0] + exact.error[0], f"{family}: {found} and {exact}"


def test_a_datum_has_the_same_evidence_in_any_company():
    X = np.array([[0.0], [3.0], [1e4], [0.0]])
    for family in (ZeroInflatedPoisson(0.01), Logistic(0.125), Weibull(8.0)):
        model = LatentModel(decoders.Affine([[2.0]], [1.0]), family, 1)
        data = X if family.concave is False or isinstance(family, Logistic) else X + 0.5
        together = log_evidence(model, data)
        alone = [log_evidence(model, x) for x in data]
        off = np.abs(together.value - [float(found.value) for found in alone])
        allowed = together.error + [float(found.error) for found in alone]
        assert (off <= allowed).all(), f"{family}: {off} of {allowed} allowed"


MODELS = {
    "logistic": (Logistic(0.5), [[0.3, -1.0], [4.0, 2.0]]),
    "Weibull": (Weibull(3.0), [[0.3, 1.0], [4.0, 20.0]]),
    (ZIP := "zero-inflated Poisson"): (ZeroInflatedPoisson(0.125), [[0.0, 3.0], [0.0, 0.0]]),
}


#: With what they say of their second derivatives, and the concave ones without.
ROADS = [(name, plain) for name in MODELS for plain in (False, MODELS[name][0].concave)]
ROADS = list(dict.fromkeys(ROADS))


@pytest.mark.parametrize("name", MODELS)
def test_fisher_information_is_that_of_sums_over_the_support(name):
    family, _ = MODELS[name]
    for t in (-1.0, 0.5, 2.0):
        found = metric_identities(family, [t])
        assert not found.failures, f"{name} at {t}: {found.failures}"
        off = abs(fisher_information(family, [t])[0, 0] - found.score_form[0, 0])
        assert off <= 1e-6 * found.score_form[0, 0], f"{name} at {t}: off by {off:.3g}"


@pytest.mark.parametrize("name", MODELS)
def test_metric_and_hessian_are_those_of_differences(name):
    family, X = MODELS[name]
    decoder = decoders.Polynomial([[1, 0], [0, 1], [1, 1]], [[1.0, 0.5], [-0.5, 1.0], [0.0, 0.5]])
    model, z = LatentModel(decoder, family, 2), np.array([0.25, -0.5])
    jacobian = decoder.jacobian(z)
    expected = jacobian.T @ fisher_information(family, decoder(z)) @ jacobian
    assert np.allclose(pullback_metric(model, z), expected, rtol=1e-12), f"{name}: another metric"
    for x in np.array(X):
        found = decoder_hessian(model, x, z).full
        direct = differences.hessian(lambda v, x=x: -model.log_likelihood(x, v)[..., None], z)[0]
        size = 1 + np.abs(found).max()
        assert np.abs(found - direct).max() <= 1e-5 * size, f"{name}: {found} and {direct}"


@pytest.mark.parametrize(("name", "plain"), ROADS)
def test_posteriors_and_bounds_agree_with_sums(name, plain):
    family, X = MODELS[name]
    family = _unbounded(family) if plain else family
    model, X = LatentModel(decoders.Affine([[1.0], [0.5]], [0.0, 1.0]), family, 1), np.array(X)
    exact = log_evidence(model, X)
    z = np.arange(-12.0, 12.0, 2.0**-9)[:, None]
    joint = model.log_joint(X[:, None], z)
    weights = np.exp(joint - joint.max(axis=-1, keepdims=True))
    direct = np.log(weights.sum(axis=-1) * 2.0**-9) + joint.max(axis=-1)
    assert (np.abs(exact.value - direct) <= exact.error + 1e-12).all(), f"{name}: {exact} {direct}"
    moments = posterior_expectation(model, X, lambda z: z[..., 0])
    mean = (weights @ z[:, 0]) / weights.sum(axis=-1)
    assert (np.abs(moments.value - mean) <= moments.error + 1e-12).all(), f"{name}: mean {mean}"
    fitted = stationary_posterior(model, X)
    bound = elbo(model, X, fitted)
    gap = exact.value - bound.value
    assert (gap >= -(exact.error + bound.error)).all(), f"{name}: an ELBO above the evidence: {gap}"
    assert (gap < 0.1).all(), f"{name}: the best Gaussian is {gap} nats off"
    worse = elbo(model, X, Posterior(fitted.loc + 0.1, cov=fitted.cov))
    assert (worse.value < bound.value).all(), f"{name}: a better mean than the stationary one"
    mode = posterior_mode(model, X)
    off = np.abs(mode[:, 0] - z[joint.argmax(axis=-1), 0])
    assert (off <= 2.0**-9).all(), f"{name}: modes {mode[:, 0]} are off by {off}"


@pytest.mark.parametrize(("name", "plain"), ROADS)
def test_no_log_density_exceeds_its_bound(name, plain):
    family, X = MODELS[name]
    X = np.array(X).reshape(-1, 1)
    table = (_unbounded(family) if plain else family).table(X)
    centres = np.linspace(-6.0, 6.0, 121)[:, None]
    log_prob, slope = table.dense(centres)
    for reach in (0.01, 0.1, 0.5, 2.0):
        radius = np.full(len(centres), reach)
        upper = table.upper(log_prob, slope, radius, table.curvature(centres, radius))
        for share in (-1.0, -0.5, 0.5, 1.0):
            inside = family.log_prob(X[:, None], centres + share * reach)
            size = 1 + np.abs(log_prob) + slope * reach
            worst = ((inside - upper) / size).max()
            assert worst <= 1e-13, f"{name}: log p exceeds its bound by {worst:.3g} of its size"


@pytest.mark.parametrize(("name", "plain"), ROADS)
@pytest.mark.parametrize("centre", [0.0, 1e34, -1e34])
def test_wide_balls_around_a_mode_are_not_impossible(name, plain, centre):
    family, X = MODELS[name]
    X = np.array(X).reshape(-1, 1)
    table = (_unbounded(family) if plain else family).table(X)
    with np.errstate(all="ignore"):
        ceiling = table.curvature(np.array([[centre]]), np.array([1e35])).ceiling
    inside = np.linspace(-12.0, 12.0, 193)[:, None]
    best = family.log_prob(X[:, None], inside).max(axis=-1, keepdims=True)
    assert (ceiling >= best).all(), f"{name}: at most {ceiling}, while log p is {best}"


@pytest.mark.parametrize("centre", [1e200, -1e200, 1e139])
@pytest.mark.parametrize("reach", [0.0, 1.0, 1e138, 1e250])
def test_families_are_asked_about_intervals_in_order(centre, reach):
    asked = []

    class Watched(Weibull):
        def curvature_range(self, x, lower, upper):
            asked.append((lower.item(), upper.item()))
            return super().curvature_range(x, lower, upper)

    with np.errstate(all="ignore"):
        Watched(2.0).table(np.ones((1, 1))).curvature(np.array([[centre]]), np.array([reach]))
    assert all(lower <= upper for lower, upper in asked), f"asked about {asked}"
    assert asked, "the family is asked about nothing"


@given(
    st.sampled_from((Weibull(2.0), Weibull(0.5), MODELS[ZIP][0])),
    st.sampled_from((0.0, 1.0, 40.0)),
    st.integers(-40, 40).map(lambda k: k / 8),
    st.integers(0, 12).map(lambda k: 2.0 ** (4 - k)),
)
def test_ranges_hold_and_close_in(family, x, lower, width):
    x, params = (
        np.array([x + (family.support.name == "POSITIVE")]),
        lower + width * np.linspace(0, 1, 65),
    )
    second = -family._information(x, params)
    low, high = (float(b[0]) for b in family.curvature_range(x, params[:1], params[-1:]))
    size = 1e-12 * np.abs(second).max()
    assert low - size <= second.min(), f"second derivative {second.min()} below {low}"
    assert second.max() <= high + size, f"second derivative {second.max()} above {high}"
    # They are the closer the shorter the interval is: no worse than terms each by themselves.
    spread = (1 + x[0] + np.exp(2 * min(params[-1], 4.0)) + np.abs(second).max()) * np.expm1(
        2 * width
    )
    assert high - low <= 8 * spread, f"{low}..{high} for {second.min()}..{second.max()}"


def _with_range(rule, kind=ZeroInflatedPoisson):
    """A family whose range is made by a rule from the true one."""

    class Own(kind):
        def curvature_range(self, x, lower, upper):
            return rule(self, x, lower, upper)

    return Own


def _ends(family, x, lower, upper):
    """True of a monotone second derivative only."""
    ends = -family._information(x, lower), -family._information(x, upper)
    return np.minimum(*ends), np.maximum(*ends)


def _true(family, x, lower, upper):
    return ZeroInflatedPoisson.curvature_range(family, x, lower, upper)


def _scaled(share_low, share_high):
    def rule(family, x, lower, upper):
        low, high = _true(family, x, lower, upper)
        high = np.where(high > 0, share_high, 1.0) * high
        return np.minimum(np.where(low < 0, share_low, 1.0) * low, high), high

    return rule


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            lambda s, x, a, b: (-np.inf + 0 * (x + a), np.inf + 0 * (x + a)),
            "a finite curvature_range",
        ),
        (lambda s, x, a, b: (np.nan * (x + a), 0 * (x + a)), "curvature_range, got NaN"),
        (lambda s, x, a, b: _true(s, x, a, b)[::-1], "low <= high"),
        (lambda s, x, a, b: None, "to return low and high"),
        (lambda s, x, a, b: (-np.ones(3), np.ones(3)), "curvature_range of shape"),
        (lambda s, x, a, b: (-1e3 + 0 * (x + a), 0 * (x + a)), "curvature_range that holds"),
        (_ends, "curvature_range that holds"),
        (_scaled(0.9, 1.0), "curvature_range that holds"),
        (_scaled(1.0, 0.9), "curvature_range that holds"),
    ],
)
@pytest.mark.parametrize("sampled", [True, False])
def test_false_ranges_are_refused(rule, message, sampled):
    kind = _with_range(rule)

    class Unsampled(kind):
        def sample(self, params, rng):
            raise NotImplementedError

    with pytest.raises(ValueError, match=message):
        LatentModel(decoders.Affine([[1.0]]), (kind if sampled else Unsampled)(0.125), 1)


def test_what_is_false_of_the_data_alone_is_refused_when_they_come():
    def small(family, x, lower, upper):
        low, high = _true(family, x, lower, upper)
        return np.minimum(np.where(x > 1e6, 0.5, 1.0) * low, high), high

    model = LatentModel(decoders.Affine([[1.0]], [14.0]), _with_range(small)(0.125), 1)
    with pytest.raises(ValueError, match="curvature_range that holds"):
        log_evidence(model, [[2e6]])


def test_a_family_that_is_not_concave_and_says_so_is_refused():
    class Own(ZeroInflatedPoisson):
        concave = True

    with pytest.raises(ValueError, match="concave = True of a log density concave in the params"):
        LatentModel(decoders.Affine([[1.0]]), Own(0.125), 1)


def test_a_family_of_which_nothing_is_known_is_refused_by_the_engine_alone():
    family = _unbounded(ZeroInflatedPoisson(0.125))
    model, x = LatentModel(decoders.Affine([[1.0]]), family, 1), np.array([[2.0]])
    with pytest.raises(ValueError, match=r"or a concave one \(concave = True\), got PlainZero"):
        log_evidence(model, x)
    assert np.isfinite(stationary_posterior(model, x).value).all(), "a posterior needs no bounds"
