"""What certify takes for a number, and what it says of anything else; proofs that cannot end."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp

from vaetheory import certify
from vaetheory import decoders as float_decoders
from vaetheory.certify import NotProved, _exact, decoders, likelihoods
from vaetheory.certify._balls import balls
from vaetheory.certify._intervals import intervals
from vaetheory.certify.arithmetic import TooLong, fraction_of

LINE = certify.Model(decoders.Affine([["2"]]), likelihoods.Gaussian("1"))
FOLD = certify.Model(decoders.Polynomial([[2]], [["1"]]), likelihoods.Gaussian("0.3"))
TORUS = certify.Model(decoders.FlatTorus("0.05", "0.07"), likelihoods.Gaussian("0.1"))


class NoWords:
    """An object that does not even tell what it is."""

    def __repr__(self):
        raise KeyError("no words")

    def __array__(self, *args, **kwargs):
        raise KeyError("no numbers")


NO_NUMBERS = [
    None, "", "abc", "1e-3x", "nan", "1/0", b"1", True, 1j, math.nan, math.inf, -math.inf, [], {},
    object(), NoWords(), np.datetime64("2020"), np.timedelta64(1, "D"), np.ma.masked,
    np.array([1.0, 2.0]), np.array("abc"), np.array(np.nan), np.array(1j), Decimal("nan"),
    Decimal("sNaN"), Decimal("Infinity"), 10**5000, -(10**5000), Fraction(1, 10**5000), "1e9999",
    "1" * 5000, "1" * 100_000, Decimal("1e1000000000"), Decimal("1e-1000000000"), lambda z: z,
    decoders.Circle,
]  # fmt: skip
#: No vectors of one entry either.
NO_VECTORS = [
    *[v for v in NO_NUMBERS if not isinstance(v, list)], 1.0, "1", np.array(1.0), [[1.0]], [None],
    [1.0, 2.0], np.zeros((1, 28, 28)), np.ma.array([1e6], mask=[True]),
    [np.ma.array(1e6, mask=True)], np.array([1j]), np.array(["a"]),
    np.zeros(1, dtype=[("a", float)]), (v for v in [1.0]), {1.0}, [10**5000],
]  # fmt: skip
VECTORS = {
    "x of log_evidence": lambda v: certify.log_evidence(LINE, v),
    "x of maximum": lambda v: certify.maximum(LINE, v),
    "x of gap": lambda v: certify.gap(LINE, v),
    "loc of elbo": lambda v: certify.elbo(LINE, ["1"], v, ["1"]),
    "var of elbo": lambda v: certify.elbo(LINE, ["1"], ["1"], v),
    "start": lambda v: certify.stationary_point(LINE, ["1"], start=(v, ["1"])),
    "variance of start": lambda v: certify.stationary_point(LINE, ["1"], start=(["1"], v)),
    "bias": lambda v: decoders.Affine([["1"]], v),
    "weight": lambda v: decoders.Affine([["1"], v]),
    "coefficients": lambda v: decoders.Polynomial([["1"], ["2"]], [["1"], v]),
    "biases": lambda v: decoders.TanhNetwork([[["1"]]], [v]),
    "amplitude": lambda v: decoders.Sine(v, [["1"]]),
    "cov": lambda v: likelihoods.Gaussian(cov=[v]),
}  # fmt: skip
NUMBERS = {
    "radius of a circle": decoders.Circle,
    "size": lambda v: decoders.Sinh("1", v),
    "powers": lambda v: decoders.Polynomial([[v]], [["1"]]),
    "scale": lambda v: likelihoods.Gaussian(v),
    "radius": lambda v: certify.log_evidence(LINE, ["1"], radius=v),
    "steps": lambda v: certify.log_evidence(LINE, ["1"], steps=v),
    "mid": lambda v: certify.Enclosure(v, "1"),
    "rad": lambda v: certify.Enclosure("1", v),
    "low": lambda v: certify.Enclosure.between(v, Fraction(1)),
    "contains": certify.Enclosure("1", "1").contains,
    "canonical": certify.Enclosure("1", "1").canonical,
}
OTHERS = {
    "start": lambda v: certify.stationary_point(LINE, ["1"], start=v),
    "weights": lambda v: decoders.TanhNetwork(v, [["1"]]),
    "decoder": lambda v: certify.Model(v, likelihoods.Poisson()),
    "likelihood": lambda v: certify.Model(decoders.Circle("1"), v),
    "model": lambda v: certify.log_evidence(v, ["1"]),
    "inner": lambda v: decoders.Reparametrised(v, [["1"]]),
    "overlaps": certify.Enclosure("1", "1").overlaps,
}


def _refused(call, value):
    with pytest.raises(ValueError, match=r"^[\w\[\]. ]+: expected ") as caught:
        call(value)
    assert len(str(caught.value)) < 400, "a refusal that no one reads"


@pytest.mark.parametrize("name", [*VECTORS])
def test_what_is_no_vector_is_refused(name):
    for value in NO_VECTORS:
        if value is not None or name != "bias":
            _refused(VECTORS[name], value)


@pytest.mark.parametrize("name", [*NUMBERS])
def test_what_is_no_number_is_refused(name):
    for value in NO_NUMBERS:
        # None stands for the default, and several scales are one a dimension.
        fitting = name == "scale" and getattr(value, "shape", ()) == (2,)
        # What was computed may be a fraction of any length.
        fitting |= name in ("mid", "rad", "low") and isinstance(value, Fraction)
        if not fitting and not (name == "radius" and value is None):
            _refused(NUMBERS[name], value)


@pytest.mark.parametrize("name", [*OTHERS])
def test_what_is_of_another_kind_is_refused(name):
    for value in NO_NUMBERS:
        if value is not None or name != "start":
            _refused(OTHERS[name], value)


@given(value=st.fractions() | st.floats(allow_nan=False, allow_infinity=False) | st.integers())
def test_numbers_of_every_type_are_the_numbers_that_they_are(value):
    wanted = Fraction(value)
    spellings = [value, wanted, np.array(value, dtype=object), _exact.text(wanted)]
    if isinstance(value, float):
        spellings += [np.float64(value), np.array(value), np.longdouble(value), Decimal(value)]
    for other in spellings:
        assert _exact.number("x", other) == wanted, f"{other!r} is read as another number"
    rows = [
        [value], (value,), np.array([value], dtype=object), np.ma.array([value], dtype=object),
    ]  # fmt: skip
    for row in rows:
        assert _exact.vector("x", row) == (wanted,), f"{row!r} is read as another vector"


def test_digits_beyond_the_doubles_are_not_dropped():
    third = np.longdouble(1) / 3
    assert _exact.number("x", third) == Fraction(*third.as_integer_ratio()), "it was rounded"
    assert _exact.vector("x", range(3)) == (0, 1, 2), "a range is a vector"


BEYOND = [
    [1e200], [-1e308], [10**400], ["1e2999"], [5e-324], ["1e-2999"], [1e30], [1e100],
]  # fmt: skip


def attempt(function, *arguments, **options):
    """What is proved, or None where it is said that nothing is, or what was expected."""
    try:
        found = function(*arguments, **options)
    except NotProved as error:
        message, found = str(error), None
    except ValueError as error:
        message, found = str(error).partition("expected ")[2], None
    else:
        message = repr(found)
    assert message, "no reason is given"
    return found


@pytest.mark.parametrize("x", BEYOND, ids=str)
@pytest.mark.parametrize("model", [LINE, FOLD], ids=["line", "fold"])
def test_data_of_any_size_are_enclosed_or_not_proved(model, x):
    """Whatever is proved is checked: q = p(z given x) where the decoder is affine."""
    for function in (certify.log_evidence, certify.maximum, certify.gap):
        found = attempt(function, model, x, steps=100_000)
        if found and model is LINE and function is not certify.gap:
            ball = found.elbo if isinstance(found, certify.Maximum) else found
            _holds_the_evidence(ball, _exact.number("x", x[0]))


def _holds_the_evidence(ball, x):
    """Log N(x; 0, 5), of which everything but a logarithm is rational."""
    with mp.workdps(60):
        log = Fraction(str(mp.log(2 * mp.pi * 5) / 2))
    slack = Fraction(1, 10**50)
    value = -(x**2) / 10 - log
    assert ball.lower - slack <= value <= ball.upper + slack, f"{ball} leaves out the truth"


@pytest.mark.parametrize("x", BEYOND, ids=str)
def test_a_closed_form_holds_at_any_size(x):
    """Nothing is searched for there: the ELBO at m = 0.5, v = 0.25 is a rational and a log."""
    point = _exact.number("x", x[0])
    found = certify.elbo(LINE, x, ["0.5"], ["0.25"], radius="1e-10")
    with mp.workdps(60):
        logs = Fraction(str(mp.log(mp.mpf(1) / 4) / 2 - mp.log(2 * mp.pi) / 2))
    value = -((point - 1) ** 2 + 1) / 2 + (1 - Fraction(1, 4) - Fraction(1, 4)) / 2 + logs
    slack = Fraction(1, 10**50)
    assert found.lower - slack <= value <= found.upper + slack, f"{found} leaves out {x}"
    shown, radius = (Fraction(part) for part in str(found).split(" +/- "))
    assert shown - radius <= found.lower <= found.upper <= shown + radius, "words leave it out"
    assert repr(found), "it cannot be shown"


@pytest.mark.parametrize(
    "start",
    [([1e200], [1]), ([0], [1e300]), (["1e400"], [1]), ([0], ["1e400"]), ([0], [5e-324]),
     ([0], ["1e-400"]), ([0], [1e-310]), np.array([[1e-321], [1e-320]])],
    ids=str,
)  # fmt: skip
def test_a_climb_from_anywhere_ends(start):
    found = attempt(certify.stationary_point, LINE, ["1"], start=start)
    if found:
        assert found.loc[0].contains("2/5"), "another mean"
        assert found.var[0].contains("1/5"), "another variance"


@pytest.mark.parametrize("scale", [1e-200, 1e200, "1e-1000", 5e-324, 1e-8])
def test_scales_of_any_size_are_enclosed_or_not_proved(scale):
    model = certify.Model(decoders.Circle("1"), likelihoods.Gaussian(scale))
    for function in (certify.log_evidence, certify.stationary_point, certify.maximum):
        attempt(function, model, ["1", "0"], steps=100_000)


@pytest.mark.parametrize(
    "decoder",
    [
        lambda v: decoders.Sine(["1"], [[v]]), lambda v: decoders.Sine([v], [["1"]]),
        lambda v: decoders.Polynomial([[1], [2]], [[v], ["1"]]), decoders.Sinh,
        lambda v: decoders.TanhNetwork([[[v]]], [["0"]]), lambda v: decoders.Affine([["1"]], [v]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", [1e300, 2**63, 1e-320, "1e2000"])
def test_parameters_of_any_size_are_enclosed_or_not_proved(decoder, value):
    """Ends of numbers like exp(-1e300) were written out as fractions; 3^1e300 was computed."""
    for likelihood in (likelihoods.Gaussian("0.3"), likelihoods.Poisson()):
        model = certify.Model(decoder(value), likelihood)
        attempt(certify.stationary_point, model, [1], steps=20_000)
        attempt(certify.elbo, model, [1], [0], [1], steps=20_000)
        attempt(certify.log_evidence, model, [1], steps=20_000)


def test_a_proof_ends_after_the_steps_that_it_may_take():
    with pytest.raises(TooLong, match="more than 5000 steps"):
        certify.log_evidence(TORUS, ["0", "0", "0", "0"], steps=5000)
    with pytest.raises(NotProved, match="more than 300 steps"):
        certify.maximum(FOLD, ["1"], steps=300)
    with pytest.raises(NotProved, match="more than 300 steps"):
        certify.stationary_point(FOLD, ["1"], steps=300)
    with pytest.raises(TooLong, match="more than 5 steps"):
        certify.elbo(FOLD, ["1"], ["1"], ["1"], steps=5)
    # Evidence and maximum share the steps of a gap.
    with pytest.raises(NotProved, match="more than 10000 steps"):
        certify.gap(FOLD, ["1"], steps=10_000)
    assert certify.log_evidence(FOLD, ["1"], steps=10_000), "the evidence alone takes fewer"
    with balls(64) as F:
        for _ in range(10):
            F.exact(1)
    assert certify.gap(FOLD, ["1"]).lower > 0, "a limit outlived its call"


def test_balls_of_any_size_can_be_shown():
    ten = Fraction(10)
    pairs = ((ten**9000, 0), (ten**5000 / 3, ten**4000), (Fraction(7) ** -9000, ten**-9999))
    for mid, rad in (*pairs, (-(ten**9000), 1)):
        ball = certify.Enclosure(Fraction(mid), Fraction(rad))
        middle, radius = (Fraction(part) for part in str(ball).split(" +/- "))
        assert middle - radius <= ball.lower <= ball.upper <= middle + radius, "words leave it out"
        assert repr(ball), "it cannot be shown"
        assert ball.radius >= ball.rad, "a radius rounded down"
    with pytest.raises(ValueError, match="mid: expected"):
        float(certify.Enclosure(Fraction(10) ** 400, Fraction(0)))
    with pytest.raises(ValueError, match="rad: expected"):
        certify.Enclosure("1", "-1")
    with pytest.raises(ValueError, match="low: expected"):
        certify.Enclosure.between(Fraction(1), Fraction(0))


@pytest.mark.parametrize("arithmetic", [balls, intervals])
def test_ends_far_out_are_no_fractions_and_tiny_ones_are_rounded_outwards(arithmetic):
    with arithmetic(64) as F:
        with pytest.raises(NotProved, match="exceeds"):
            F.bounds(F.exp(F.exact(10**9)))
        for sign in (1, -1):
            low, high = F.bounds(sign * F.exp(F.exact(-(10**9))))
            assert low <= 0 <= high, "it leaves out what is next to nought"
            assert high - low <= Fraction(4, 2**131072), "wider than it has to be"
        low, high = F.bounds(F.exp(F.exact(-80_000)))
        assert 0 < low < high, "a number that has a fraction"


@given(mantissa=st.integers(-(2**70), 2**70), exponent=st.integers(-200_000, 131_000))
def test_fractions_of_balls_are_right_within_what_they_say(mantissa, exponent):
    value, wrong = fraction_of(mantissa, exponent)
    true = mantissa * Fraction(2) ** exponent
    assert abs(value - true) <= wrong, "an end is wrong by more than it says"


class Own(decoders.Decoder):
    """A decoder of one's own, of which one knows little."""

    latent_dim = 1

    def __init__(self, out):
        self.out = out

    def __call__(self, z, F):
        return self.out(z)


@pytest.mark.parametrize(
    "out", [lambda z: 1.0, lambda z: None, lambda z: [1.0], lambda z: z[0], lambda z: "ab",
            lambda z: [z[0], NoWords()], lambda z: np.array([1.0])],
)  # fmt: skip
def test_a_decoder_of_ones_own_gives_a_list_of_numbers(out):
    with pytest.raises(ValueError, match="decoder: expected a list of numbers"):
        certify.log_evidence(certify.Model(Own(out), likelihoods.Gaussian("1")), ["1"])
    for dim in (None, "1", 0, 1.5, [1]):
        decoder = Own(out)
        decoder.latent_dim = dim
        with pytest.raises(ValueError, match="latent_dim: expected"):
            certify.Model(decoder, likelihoods.Gaussian("1"))


def test_what_a_decoder_of_ones_own_raises_comes_out_of_the_integrator():
    """FLINT's integrator went on, and then answered with a SystemError."""

    def fails(z):
        if not hasattr(z[0], "lower"):
            raise KeyError("complex")
        return z

    with pytest.raises(KeyError, match="complex"):
        certify.log_evidence(certify.Model(Own(fails), likelihoods.Gaussian("1")), ["1"])


def test_many_data_dimensions_take_no_elimination():
    """Exact elimination with a scale a dimension took minutes; the evidence has a closed form."""
    size, scale = 120, Fraction(1, 2)
    weight = [Fraction(i % 7, 20) for i in range(size)]
    x = [Fraction(i % 5, 4) for i in range(size)]
    model = certify.Model(decoders.Affine([[w] for w in weight]), likelihoods.Gaussian(scale))
    found = certify.log_evidence(model, x)
    # Sherman, Morrison and Woodbury, with a = w.w / s^2 and b = w.x / s^2.
    a, b = (sum(w * t for w, t in zip(weight, v, strict=True)) / scale**2 for v in (weight, x))
    square = sum(t * t for t in x) / scale**2 - b**2 / (1 + a)
    with mp.workdps(60):
        logs = size * mp.log(2 * mp.pi * mp.mpf(1) / 4)
        logs += mp.log(mp.mpf(a.numerator) / a.denominator + 1)
        value = -(square + Fraction(str(logs))) / 2
    assert found.contains(value), f"{found} leaves out {float(value)}"


@given(
    scale=st.lists(st.fractions(Fraction(1, 10), 10, max_denominator=20), min_size=1, max_size=4)
)
def test_scales_and_their_covariance_are_one_likelihood(scale):
    size = len(scale)
    cov = [[s**2 if i == j else 0 for j in range(size)] for i, s in enumerate(scale)]
    one, other = likelihoods.Gaussian(scale), likelihoods.Gaussian(cov=cov)
    assert one.squares(size) == other.squares(size), "two precisions"
    x = tuple(Fraction(1, k + 1) for k in range(size))
    with balls(100) as F:
        left, right = one.constant(F, x), other.constant(F, x)
        assert not F.less(left, right), "the covariance has a greater constant"
        assert not F.less(right, left), "the scales have a greater constant"


def test_a_covariance_too_large_for_exact_elimination_is_refused():
    with pytest.raises(ValueError, match="cov: expected at most 40 rows, got 41"):
        likelihoods.Gaussian(cov=np.eye(41))


@settings(max_examples=30)
@given(x=st.lists(st.integers(0, 100_000), min_size=1, max_size=6))
def test_logarithms_of_factorials(x):
    with balls(120) as F, mp.workdps(40):
        low, high = F.bounds(likelihoods.Poisson().constant(F, tuple(Fraction(v) for v in x)))
        value = Fraction(str(-mp.fsum(mp.loggamma(v + 1) for v in x)))
        slack = Fraction(1, 10**25)
        assert low - slack <= value <= high + slack, "log x! is outside"
        assert high - low < slack, "it is not enclosed narrowly"


def test_a_network_of_the_floats_is_read_as_its_doubles():
    network = float_decoders.TanhNetwork([[[0.1]], [[2.0], [1.0]]], [[0.0], [0.5, 0.0]])
    exactly = decoders.TanhNetwork(network.weights, network.biases)
    assert exactly.weights[0] == ((Fraction(0.1),),), "another weight"
    with pytest.raises(ValueError, match="one of each a layer"):
        decoders.TanhNetwork([[["1"]]], [])
    with pytest.raises(ValueError, match="Circle: expected radius"):
        decoders.Circle("1", "2")
