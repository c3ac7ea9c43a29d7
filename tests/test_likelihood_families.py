"""Single families: all digits in hard regimes, limits, laws of samples, bounds of curvature."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from likelihood_cases import OPERATIONS, families, instances, terms
from mpmath import mp, mpf
from scipy import stats
from scipy.special import expit

from vaetheory.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    Exponential,
    Gamma,
    Gaussian,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    VonMises,
)
from vaetheory.rounding import gamma


def log_bessel(kappa):
    """Log I_0(kappa); by its asymptotic series where that has 30 digits."""
    if kappa < 1e4:
        return mp.log(mp.besseli(0, kappa))
    ratios = [mp.rf(mpf("0.5"), j) ** 2 / mp.factorial(j) / (2 * kappa) ** j for j in range(12)]
    return kappa - mp.log(2 * mp.pi * kappa) / 2 + mp.log(mp.fsum(ratios))


def exact(family, x, t):
    """Log density of one number in mpmath, as in the books."""
    if isinstance(family, NegativeBinomial):
        r, m = mpf(family.shape), mp.exp(t)
        log_choose = mp.loggamma(x + r) - mp.loggamma(r) - mp.loggamma(x + 1)
        return log_choose - r * mp.log1p(m / r) - x * mp.log1p(r / m)
    if isinstance(family, Exponential):
        return -t - x * mp.exp(-t)
    if isinstance(family, LogNormal):
        s = mpf(float(family.scale))
        return -(((mp.log(x) - t) / s) ** 2) / 2 - mp.log(s * mp.sqrt(2 * mp.pi)) - mp.log(x)
    if isinstance(family, StudentT):
        nu, s = mpf(family.dof), mpf(float(family.scale))
        constant = mp.loggamma((nu + 1) / 2) - mp.loggamma(nu / 2) - mp.log(nu * mp.pi) / 2
        return constant - mp.log(s) - (nu + 1) / 2 * mp.log1p(((x - t) / s) ** 2 / nu)
    if isinstance(family, VonMises):
        kappa = mpf(family.concentration)
        return kappa * mp.cos(x - t) - mp.log(2 * mp.pi) - log_bessel(kappa)
    c = mpf(family.concentration)
    a, b = c / (1 + mp.exp(-t)), c / (1 + mp.exp(t))
    log_constant = mp.loggamma(a) + mp.loggamma(b) - mp.loggamma(c)
    return (a - 1) * mp.log(x) + (b - 1) * mp.log1p(-x) - log_constant


HARD = [
    *((NegativeBinomial(r), (0.0, 1.0, 30.0, 12345.0, 1e8)) for r in (1e-3, 0.5, 10.0, 1e3, 1e8)),
    (Exponential(), (1e-300, 0.3, 5.0, 1e5)),
    *((LogNormal(s), (1e-300, 0.3, 5.0, 1e5)) for s in (0.01, 3.0)),
    *((StudentT(nu, s), (0.0, 1e-3, 2.0, 1e150)) for nu in (1.0, 30.0, 1e8) for s in (1.0, 1e-3)),
    *((VonMises(kappa), (0.0, 1e-3, 3.0, 50.0)) for kappa in (1e-8, 1e-2, 2.0, 700.0, 1e4, 1e8)),
    *(
        (Beta(c), (1e-300, 1e-5, 0.25, 0.5, 1 - 2.0**-40, 1 - 2.0**-53))
        for c in (1e-3, 0.5, 2.0, 1e3, 1e8)
    ),
]
FAR = (-700.0, -20.0, -1.0, 0.0, 0.5, 3.4, 18.4, 700.0)


@pytest.mark.parametrize(("family", "data"), HARD, ids=lambda v: str(v) if v in FAR else None)
def test_hard_regimes_keep_their_digits(family, data):
    # The second differences keep a third of the digits.
    with mp.workdps(110):
        h = mpf(10) ** -30
        for x in data:
            for t in FAR:
                if isinstance(family, Exponential) and np.log(x) - t > 700:
                    continue
                low, at, high = (exact(family, mpf(x), mpf(t) + k * h) for k in (-1, 0, 1))
                score, information = (high - low) / (2 * h), -(high - 2 * at + low) / h**2
                fisher = family.fisher_information([t])[0, 0]
                # A change of the params, or of the data's logarithm, by its rounding.
                moved = abs(score) * (abs(mpf(t)) + 40)
                if isinstance(family, VonMises | StudentT):
                    moved = abs(score) * (abs(mpf(t)) + mpf(x))
                bent = (abs(information) + fisher) * (abs(mpf(t)) + 40 + abs(mpf(x)) % 100)
                lost = mpf(10) ** -40 * (1 + abs(at))
                found = (
                    ("log density", family.log_prob([x], [t]), at, abs(at) + moved + 1),
                    ("score", family.score([x], [t])[0], score, abs(score) + bent),
                )
                for what, came, expected, size in found:
                    off, bound = (
                        float(abs(mpf(float(came)) - expected)),
                        float(gamma(64) * size + lost),
                    )
                    assert off <= bound, f"{what} at {x}, {t}: off by {off:.3g}, bound {bound:.3g}"
                came = family.observed_information([x], [t], np.eye(1))[0, 0]
                off = float(abs(mpf(float(came)) - information))
                bound = float(gamma(64) * (abs(information) + fisher + moved) + lost)
                assert off <= bound, f"information at {x}, {t}: off by {off:.3g}, {bound:.3g}"


@pytest.mark.parametrize(
    "family",
    [*(StudentT(nu, 0.5) for nu in (1.0, 3.0, 1e8)), *map(VonMises, (1e-8, 1.0, 50.0, 1e8))],
    ids=str,
)
def test_fisher_information_of_the_location_families(family):
    with mp.workdps(50):
        if isinstance(family, VonMises):
            kappa = mpf(family.concentration)
            if kappa < 1e4:
                expected = kappa * mp.besseli(1, kappa) / mp.besseli(0, kappa)
            else:
                series = mpf("0.5") + 1 / (8 * kappa) + 1 / (8 * kappa**2)
                expected = kappa - series
        else:
            nu = mpf(family.dof)
            expected = (nu + 1) / (nu + 3) / mpf("0.25")
        came = family.fisher_information([0.7])[0, 0]
        off = float(abs(mpf(float(came)) / expected - 1))
    assert off <= gamma(20), f"Fisher information {came}, not {float(expected)}"


@pytest.mark.parametrize("c", [1e-3, 0.5, 2.0, 1e3, 1e8])
@pytest.mark.parametrize("t", [-700.0, -5.0, 0.0, 1.0, 30.0])
def test_beta_moments_keep_their_digits(c, t):
    family, other = Beta(c), t + 0.5
    with mp.workdps(350):
        shapes = [
            (mpf(c) / (1 + mp.exp(-mpf(s))), mpf(c) / (1 + mp.exp(mpf(s)))) for s in (t, other)
        ]
        (a, b), (a2, b2) = shapes
        mean = mp.psi(0, a) - mp.psi(0, b)
        slope = mpf(c) / (1 + mp.exp(-mpf(t))) / (1 + mp.exp(mpf(t)))
        fisher = slope**2 * (mp.psi(1, a) + mp.psi(1, b))
        log_b, log_b2 = (mp.loggamma(p) + mp.loggamma(q) - mp.loggamma(p + q) for p, q in shapes)
        divergence = log_b2 - log_b + (a - a2) * mp.psi(0, a) + (b - b2) * mp.psi(0, b)
        found = (
            # The mean moves by F / slope for one of the logit.
            ("mean", family.mean(np.array([t]))[0], mean, abs(mean) + abs(t) * fisher / slope),
            (
                "Fisher information",
                family.fisher_information([t])[0, 0],
                fisher,
                fisher * (1 + abs(t)),
            ),
            (
                "divergence",
                family.kl_divergence([t], [other]),
                divergence,
                1 + fisher * (1 + abs(t)),
            ),
        )
        for what, came, expected, size in found:
            off, bound = float(abs(mpf(float(came)) - expected)), gamma(64) * float(size)
            assert off <= bound, f"{what} at {t}: {came}, off by {off:.3g}, bound {bound:.3g}"


@given(instances(), st.integers(-60, 60))
def test_concave_families_are_and_the_others_are_bounded(instance, quarter):
    family, params, _, x = instance
    if family.params_each > 1:
        return
    params = params + quarter / 4
    size = len(x)
    second = -family.observed_information(x, params, np.eye(size))
    rounding = gamma(OPERATIONS) * terms(family, x, params) * (1 + np.abs(second).max())
    if family.concave:
        top = np.linalg.eigvalsh(second).max()
        assert top <= rounding, f"concave, but a second derivative of {top:.3g}"
        return
    low, high = family.curvature_bounds(x)
    entries = np.diagonal(second)
    assert low.shape == high.shape == x.shape, f"shapes {low.shape}, {high.shape} for {x.shape}"
    assert (low <= entries + rounding).all(), f"{entries} below the bound {low}"
    assert (entries <= high + rounding).all(), f"{entries} above the bound {high}"


@pytest.mark.parametrize("c", [1e-4, 0.5, 1.0, 2.0, 20.0, 1e3, 1e7])
@pytest.mark.parametrize("x", [1e-300, 1e-4, 0.3, 0.5, 0.99, 1 - 1e-9])
def test_beta_curvature_bounds_hold_and_are_close(c, x):
    family, params = Beta(c), np.linspace(-60, 60, 24001)[:, None]
    second = -family.observed_information([x], params, np.eye(1)).ravel()
    low, high = (float(b[0]) for b in family.curvature_bounds(np.array([x])))
    assert low <= second.min(), f"second derivative {second.min()} below {low}"
    assert second.max() <= high, f"second derivative {second.max()} above {high}"
    # The bounds of three terms are summed: for a great c at most half as wide again as needed.
    if c >= 20:
        needed, width = np.ptp(second), high - low
        assert width <= 1.5 * needed, f"bounds {width:.3g} apart, where {needed:.3g} would do"


def test_student_and_von_mises_curvature_bounds_are_attained():
    student, x = StudentT(dof=3.0, scale=0.5), np.zeros(1)
    low, high = student.curvature_bounds(x)
    at_peak, at_steepest = (
        -student.observed_information(x, [t], np.eye(1))[0, 0] for t in (0.0, 0.5 * np.sqrt(9.0))
    )
    assert np.isclose(low[0], at_peak, rtol=gamma(20)), f"lower bound {low}, attained {at_peak}"
    assert np.isclose(high[0], at_steepest, rtol=gamma(40)), f"{high}, attained {at_steepest}"
    bounds = np.ravel(VonMises(2.0).curvature_bounds(x))
    assert bounds.tolist() == [-2.0, 2.0], f"bounds {bounds}, not those of 2 cos"


def test_concave_families_have_no_curvature_bounds():
    with pytest.raises(ValueError, match=r"curvature_range, or a concave one .*, got Poisson"):
        Poisson().curvature_bounds(np.zeros(1))


@given(st.integers(0, 40), st.integers(-8, 8))
def test_the_negative_binomial_of_a_great_shape_is_poisson(x, quarter):
    x, params = np.array([float(x)]), np.array([quarter / 4])
    mean = np.exp(params[0])
    for shape in (1e4, 1e8):
        off = NegativeBinomial(shape).log_prob(x, params) - Poisson().log_prob(x, params)
        # The first order in 1 / shape; the next one is less than the size of its terms.
        first = ((x[0] - mean) ** 2 - x[0]) / (2 * shape)
        bound = (1 + x[0] + mean) ** 3 / shape**2 + gamma(OPERATIONS) * (1 + x[0]) * 6
        assert abs(off - first) <= bound, f"off by {off - first:.3g}, bound {bound:.3g}"


@given(st.integers(-12, 12), st.integers(-12, 12))
def test_limits_of_many_degrees_of_freedom_and_of_high_concentration_are_gaussian(x, t):
    x, t = np.array([x / 4]), np.array([t / 4])
    y = float(x[0] - t[0])
    normal = Gaussian(scale=1.0).log_prob(x, t)
    off = StudentT(dof=1e8, scale=1.0).log_prob(x, t) - normal
    first = (y**4 - 2 * y**2 - 1) / 4e8
    bound = (1 + abs(y)) ** 6 / 1e16 + gamma(40) * (1 + y**2)
    assert abs(off - first) <= bound, f"Student-t off by {off - first:.3g}, bound {bound:.3g}"
    # In units of its width 1 / sqrt(kappa), of which the first order is y^4 / 24 - 1/8 over kappa.
    width = 1e-4
    off = VonMises(1e8).log_prob(width * x, width * t) + np.log(width) - normal
    first = (y**4 / 24 - 1 / 8) / 1e8
    rounding = gamma(40) * (10 + y**2 + abs(y) * (abs(x[0]) + abs(t[0])))
    bound = (1 + abs(y)) ** 6 / 1e16 + rounding
    assert abs(off - first) <= bound, f"von Mises off by {off - first:.3g}, bound {bound:.3g}"


@given(instances(), st.integers(-3, 3))
def test_von_mises_angles_count_modulo_a_turn(instance, turns):
    _, params, _, x = instance
    family, params = VonMises(3.0), params[: len(x)]
    off = abs(family.log_prob(x + 2 * np.pi * turns, params) - family.log_prob(x, params))
    bound = gamma(OPERATIONS) * 3 * (1 + np.abs(x) + 8 * abs(turns)).sum()
    assert off <= bound, f"{turns} turns change the log density by {off:.3g}, bound {bound:.3g}"


def test_the_exponential_is_the_gamma_of_shape_one():
    x, params = np.array([[0.2, 3.0]]), np.array([[0.1, -1.0]])
    ours, theirs = (f.log_prob(x, params) for f in (Exponential(), Gamma(1.0)))
    assert ours == theirs, f"{ours} of Exponential, {theirs} of Gamma(1)"
    assert repr(Exponential()) == "Exponential()", f"written as {Exponential()!r}"


#: Level of each of the tests of samples below; their seeds are fixed.
LEVEL = 1e-6


@pytest.mark.parametrize(
    ("family", "t", "law"),
    [
        (Exponential(), 0.5, stats.expon(scale=np.exp(0.5))),
        (LogNormal(0.5), -1.0, stats.lognorm(0.5, scale=np.exp(-1.0))),
        (StudentT(1.0, 2.0), 3.0, stats.t(1.0, 3.0, 2.0)),
        (StudentT(1e8, 0.5), -700.0, stats.norm(-700.0, 0.5)),
        (VonMises(1e-8), 0.0, stats.uniform(-np.pi, 2 * np.pi)),
        (VonMises(3.0), 0.0, stats.vonmises(3.0)),
        (VonMises(1e8), 0.25, stats.norm(0.25, 1e-4)),
        (Beta(0.5), 1.0, stats.beta(0.5 * expit(1.0), 0.5 * expit(-1.0))),
        (Beta(1e8), -3.0, stats.beta(1e8 * expit(-3.0), 1e8 * expit(3.0))),
    ],
    ids=lambda value: None if hasattr(value, "cdf") else str(value),
)
def test_samples_have_their_law(family, t, law):
    x = family.sample(np.full((20_000, 1), t), np.random.default_rng(5))
    family.check_data(x)
    # Beta draws within one unit of 1 are moved inside, where the law has no smaller numbers.
    p = stats.kstest(x.ravel(), law.cdf).pvalue
    assert p >= LEVEL, f"Kolmogorov and Smirnov give {p:.3g} to a sample of {family}"


@pytest.mark.parametrize("shape", [1e-3, 0.5, 20.0, 1e8])
def test_negative_binomial_samples_have_their_law(shape):
    mean, count = 2.0, 20_000
    x = NegativeBinomial(shape).sample(np.full((count, 1), np.log(mean)), np.random.default_rng(6))
    law = stats.nbinom(shape, shape / (shape + mean))
    cells = np.arange(6.0)
    observed = np.array([*(x == cells).sum(axis=0), (x > cells[-1]).sum()])
    expected = count * np.array([*law.pmf(cells), law.sf(cells[-1])])
    p = stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue
    # scipy's p of the nbinom has lost 1 - p where the shape is great, which is far below the noise.
    assert p >= LEVEL, f"chi-square gives {p:.3g} to {observed} where {expected} is expected"


@given(st.data(), st.integers(1, 3))
def test_methods_take_lists_and_name_wrong_shapes(data, size):
    family = data.draw(families(size), label="family")
    params = [0.5] * size * family.params_each
    x = family.sample(params, np.random.default_rng(0))
    size = len(params)
    came = family.log_prob(x.tolist(), params), family.log_prob(x, np.array(params))
    assert came[0] == came[1], f"a list gives {came[0]}, an array {came[1]}"
    shape = family.fisher_information(params).shape
    assert shape == (size, size), f"Fisher information of shape {shape} from a list of {size}"
    shape = family.observed_information(x.tolist(), params, np.eye(size)).shape
    assert shape == (size, size), f"information of shape {shape} from lists of {size}"
    for call in (family.log_prob, family.score):
        with pytest.raises(ValueError, match="x and params: expected vectors"):
            call(x, [0.5] * (size + 1))
    with pytest.raises(ValueError, match="params: expected at least 1 axis"):
        family.fisher_information(0.5)
    with pytest.raises(ValueError, match="params: expected finite numbers, got nan"):
        family.sample([np.nan] * size, np.random.default_rng(0))


@pytest.mark.parametrize(
    "family",
    [Gaussian(scale=[1.0, 2.0]), StudentT(1.0, [1.0, 2.0]), LogNormal([1.0, 2.0])],
    ids=lambda f: type(f).__name__,
)
def test_families_of_two_scales_take_two_dimensions(family):
    three = np.ones(3)
    for call in (
        lambda: family.log_prob(three, three),
        lambda: family.score(three, three),
        lambda: family.observed_information(three, three, np.eye(3)),
        lambda: family.fisher_information(three),
        lambda: family.sample(three, np.random.default_rng(0)),
    ):
        with pytest.raises(ValueError, match=r"expected shape \(..., 2\), got"):
            call()


def test_natural_families_are_concave():
    class Own(Bernoulli):
        concave = False

    flags = [f.concave for f in (Bernoulli(), Categorical(), Poisson(), Own())]
    assert all(flags), f"a log partition is convex in the natural parameters, got {flags}"
