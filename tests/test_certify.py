"""Enclosures: arithmetic, decoders, evidences, stationary points and gaps."""

import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from flint import ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import iv, mp

from vaetheory import LatentModel, certify
from vaetheory import decoders as float_decoders
from vaetheory import elbo as float_elbo
from vaetheory import likelihoods as float_likelihoods
from vaetheory.certify import _exact, api, decoders, likelihoods
from vaetheory.certify._balls import balls
from vaetheory.certify._cells import integrate
from vaetheory.certify._global_maximum import compact_region
from vaetheory.certify._integrals import integral
from vaetheory.certify._intervals import intervals
from vaetheory.certify._prover import Prover
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.models import Model
from vaetheory.encoders import Posterior

ARITHMETICS = {"balls": balls, "intervals": intervals}
REFERENCES = json.loads(
    (Path(__file__).parent / "reference" / "log_evidence.json").read_text(encoding="utf-8")
)["cases"]

# Each decoder of both libraries, with the box of latents that is tried.
DECODERS = [
    float_decoders.Affine([[1.5], [-0.5]], [0.25, 0.1]),
    float_decoders.Affine([[1.5, 0.3], [-0.5, 1.0]], [0.25, 0.1]),
    float_decoders.Polynomial([[1], [2], [3]], [[1.0, 0.5], [0.0, -1.0], [0.25, 0.1]]),
    float_decoders.Polynomial([[1, 0], [0, 2], [1, 1]], [[1.0, 0.5], [0.3, -1.0], [0.25, 0.1]]),
    float_decoders.Circle(0.7),
    float_decoders.Helix(1.0, 1.5),
    float_decoders.Catenary(0.8),
    float_decoders.Cylinder(1.3),
    float_decoders.FlatTorus(1.0, 0.6),
    float_decoders.SpherePatch(1.2),
    float_decoders.Sine([1.0, 0.5], [[3.0], [1.0]], [0.0, 0.25]),
    float_decoders.TanhNetwork([[[1.0, 0.2], [-0.5, 1.0]], [[1.0, 0.5]]], [[0.1, 0.2], [0.3]]),
    float_decoders.Reparametrised(float_decoders.Circle(0.7), [[0.5]], [0.2]),
]


def test_every_named_decoder_is_compared_with_its_namesake():
    names = {kind.__name__ for kind in decoders.KINDS.values() if kind.has_floats}
    missing = names - {type(decoder).__name__ for decoder in DECODERS}
    assert not missing, f"not among the DECODERS of this file: {missing}"


def exact_model(decoder, likelihood, dim):
    return Model.of(LatentModel(decoder, likelihood, dim))


@pytest.mark.parametrize("name", list(ARITHMETICS))
@pytest.mark.parametrize("decoder", DECODERS, ids=lambda d: type(d).__name__)
@settings(max_examples=15)
@given(data=st.data())
def test_the_two_definitions_of_a_decoder_agree_on_points_and_boxes(name, decoder, data):
    dim = 2 if _dim(decoder) == 2 else 1
    model = exact_model(decoder, float_likelihoods.Gaussian(scale=1.0), dim)
    z = data.draw(st.tuples(*[st.floats(-3, 3)] * dim))
    width = data.draw(st.sampled_from([0.0, 0.01, 0.5]))
    wanted = decoder(np.array(z))
    with ARITHMETICS[name](100) as F:
        box = model.decoder([F.hull(t - width, t + width) for t in z], F)
        for value, number in zip(wanted, box, strict=True):
            low, high = F.floats(number)
            slack = 1e-13 * (1 + abs(value))
            assert low - slack <= value <= high + slack, f"{value} is not in [{low}, {high}]"
            if width == 0:
                assert high - low < 1e-13 * (1 + abs(value)), "a point has a wide enclosure"
        # The complex extension agrees on the real line.
        line = model.decoder([F.complex(F.exact(t), F.exact(0)) for t in z], F)
        for value, number in zip(wanted, line, strict=True):
            low, high = F.floats(F.real(number))
            assert low - 1e-12 <= value <= high + 1e-12, "the complex extension is another function"


def _dim(decoder):
    for dim in (1, 2):
        try:
            decoder(np.zeros((1, dim)))
        except ValueError:
            continue
        return dim
    raise AssertionError("a decoder of neither one nor two latents")


@pytest.mark.parametrize("name", list(ARITHMETICS))
@settings(max_examples=40)
@given(
    re=st.floats(-6, 6), im=st.floats(-2, 2), a=st.floats(0, 1), b=st.floats(0, 1),
    u=st.floats(-1, 1), v=st.floats(-1, 1),
)  # fmt: skip
@pytest.mark.parametrize(
    "function", ["exp", "log", "sqrt", "sin", "cos", "tanh", "asinh", "square"]
)
def test_functions_of_boxes_hold_those_of_points(name, function, re, im, a, b, u, v):
    with mp.workdps(40):
        point = mp.mpc(mp.mpf(re) + mp.mpf(u) * a, mp.mpf(im) + mp.mpf(v) * b)
        if function in ("log", "sqrt") and point.real <= 0:
            return
        wanted = point**2 if function == "square" else getattr(mp, function)(point)
    with ARITHMETICS[name](60) as F:
        box = F.complex(F.widen(F.exact(re), F.exact(a)), F.widen(F.exact(im), F.exact(b)))
        found = getattr(F, function)(box)
        if not F.finite(found):
            return
        for part, value in ((found.real, wanted.real), (found.imag, wanted.imag)):
            low, high = F.floats(part)
            slack = 1e-12 * (1 + abs(float(value)))
            assert low - slack <= value <= high + slack, (
                f"{function}: {value} outside [{low}, {high}]"
            )


def test_branch_cuts_are_not_finite():
    for arithmetic in ARITHMETICS.values():
        with arithmetic(60) as F:
            across = F.complex(F.hull(-1, 1), F.hull(-1, 1))
            for function in (F.log, F.sqrt):
                assert not F.finite(function(across)), "a cut was stepped over"
            assert not F.finite(F.asinh(F.complex(F.hull(-1, 1), F.hull(0, 2)))), "a cut of asinh"
            pole = F.complex(F.hull(-1, 1), F.hull(1, 2))
            assert not F.finite(F.tanh(pole)), "a pole of tanh was stepped over"


@pytest.mark.parametrize("order", [2, 5, 10, 30])
def test_legendre_rules_of_both_arithmetics_overlap_and_are_exact(order):
    rules = []
    for arithmetic in ARITHMETICS.values():
        with arithmetic(120) as F:
            rule = F.legendre(order)
            rules.append([[Enclosure.between(*F.bounds(t)) for t in pair] for pair in rule])
            power = sum((w * F.power(t, 2 * order - 2) for t, w in rule), F.exact(0))
            found = Enclosure.between(*F.bounds(power))
            assert found.contains(Fraction(2, 2 * order - 1)), "not exact where it must be"
            assert found.radius < 1e-25, "a wide rule"
    ours = sorted(rules[0], key=lambda p: p[0].mid)
    theirs = sorted(rules[1], key=lambda p: p[0].mid)
    for pair, other in zip(ours, theirs, strict=True):
        assert all(a.overlaps(b) for a, b in zip(pair, other, strict=True)), "two rules"


def test_cells_enclose_what_is_known():
    for arithmetic in ARITHMETICS.values():
        with arithmetic(120) as F:
            (value,) = integrate(
                F, lambda z: [F.exp(z[0])], ((0.0, 1.0),), tolerance=1e-30, order=20
            )
            assert Enclosure.between(*F.bounds(value - F.exp(F.exact(1)) + 1)).contains(0), "e - 1"
            # A pole beside the interval.
            (value,) = integrate(
                F, lambda z: [1 / (1 + F.square(z[0]))], ((-1.0, 1.0),), tolerance=1e-25, order=20
            )
            found = Enclosure.between(*F.bounds(value - F.pi() / 2))
            assert found.contains(0), "pi / 2 is not enclosed"
            assert found.radius < 1e-22, "a wide integral"
            with pytest.raises(NotProved, match=r"cells|split"):
                integrate(
                    F, lambda z: [1 / z[0]], ((-1.0, 2.0),), tolerance=1e-9, order=8, most=500
                )


def test_limits_of_evaluations_are_no_verdict():
    with balls(100) as F:
        with pytest.raises(NotProved, match="evaluations"):
            integral(F, lambda z: (50 * z).sin() / (z * z + 1), 0.0, 9.0, bits=90, evaluations=50)
        with pytest.raises(NotProved):
            integral(F, lambda z: 1 / z, -1.0, 1.0, bits=50)
    with pytest.raises(NotProved, match="not finite"):
        Prover().enclose(lambda F, bits: F.log(F.exact(0)), Fraction(1, 100))
    with pytest.raises(NotProved, match="not reached"):
        Prover().enclose(lambda F, bits: F.hull(0, 1), Fraction(1, 100))
    with intervals(60) as F, pytest.raises(NotProved):
        F.bounds(F.exact(1) / F.hull(-1, 1))


def test_precision_does_not_leak():
    before = ctx.prec, iv.prec
    model = Model(decoders.Circle("1"), likelihoods.Gaussian("0.3"))
    certify.log_evidence(model, ["0.6", "0.8"])
    with intervals(200), balls(77) as F:
        assert (ctx.prec, iv.prec) == (77, 200), "the precision was not set"
        with pytest.raises(NotProved):
            F.demand(F.exact(1), F.exact(0), "1 < 0")
    assert (ctx.prec, iv.prec) == before, "precision was left behind"


def _reference_model(case):
    decoder, kind = case["decoder"], case["decoder"]["kind"]
    parameters = {k: _doubles(v) for k, v in decoder.items() if k not in ("kind", "powers")}
    if kind == "polynomial":
        parameters["powers"] = decoder["powers"]
    cls = {
        "affine": decoders.Affine, "polynomial": decoders.Polynomial, "circle": decoders.Circle,
        "tanh": decoders.TanhNetwork, "sine": decoders.Sine, "sinh": decoders.Sinh,
    }[kind]  # fmt: skip
    if kind == "sinh":
        parameters["size"] = case["latent_dim"]
    noise = {k: _doubles(v) for k, v in case["likelihood"].items() if k != "kind"}
    likelihood = {
        "gaussian": likelihoods.Gaussian, "bernoulli": likelihoods.Bernoulli,
        "poisson": likelihoods.Poisson,
    }.get(case["likelihood"]["kind"])  # fmt: skip
    return None if likelihood is None else Model(cls(**parameters), likelihood(**noise))


def _doubles(value):
    return [_doubles(v) for v in value] if isinstance(value, list) else float(value)


ON_THE_LINE = [c for c in REFERENCES if c["latent_dim"] == 1 and _reference_model(c) is not None]
QUICK_PLANES = ("graph_0.1",)


@pytest.mark.parametrize("case", ON_THE_LINE, ids=lambda c: c["name"])
def test_reference_evidences_lie_inside(case):
    found = certify.log_evidence(_reference_model(case), _doubles(case["x"]))
    wanted = Fraction(case["log_evidence"])
    # Half a unit of the reference's last digit.
    places = len(case["log_evidence"].split(".")[1])
    assert abs(found.mid - wanted) <= found.rad + Fraction(1, 2 * 10**places), f"{found}"
    assert found.rad <= Fraction(1, 10**30), f"a radius of {found.radius:.2g}"


@pytest.mark.parametrize("name", QUICK_PLANES)
def test_reference_evidences_of_the_plane_lie_inside(name):
    (case,) = [c for c in REFERENCES if c["name"] == name]
    found = certify.log_evidence(_reference_model(case), _doubles(case["x"]))
    assert abs(found.mid - Fraction(case["log_evidence"])) <= found.rad + Fraction(1, 10**28), name
    assert found.rad <= Fraction(1, 10**12), f"a radius of {found.radius:.2g}"


def test_decimals_are_decimals_and_doubles_are_doubles():
    tenth = Model(decoders.Affine([["1"]]), likelihoods.Gaussian("0.1"))
    double = Model(decoders.Affine([[1.0]]), likelihoods.Gaussian(0.1))
    one, other = (certify.log_evidence(m, ["1"]) for m in (tenth, double))
    assert not one.overlaps(other), "a tenth is not the double nearest to it"
    same = LatentModel(float_decoders.Affine([[1.0]]), float_likelihoods.Gaussian(scale=0.1), 1)
    assert certify.log_evidence(same, [1.0]).overlaps(other), "a LatentModel's doubles were changed"


def test_an_evidence_in_closed_form_for_a_full_covariance():
    cov = [["0.5", "0.1"], ["0.1", "0.4"]]
    model = Model(decoders.Affine([["1"], ["2"]], ["0.5", "0"]), likelihoods.Gaussian(cov=cov))
    marginal = [[Fraction("1.5"), Fraction("2.1")], [Fraction("2.1"), Fraction("4.4")]]
    inverse = _exact.inverse(marginal)
    away = [Fraction("0.7"), Fraction("-0.3")]
    square = _exact.dot(away, [_exact.dot(r, away) for r in inverse])
    with mp.workdps(50):
        det = _exact.determinant(marginal)
        log_det = mp.log(mp.mpf(det.numerator) / det.denominator)
        wanted = -(mp.mpf(square.numerator) / square.denominator + log_det) / 2 - mp.log(2 * mp.pi)
    found = certify.log_evidence(model, ["1.2", "-0.3"])
    assert found.contains(mp.nstr(wanted, 38)), f"{found} and {wanted}"


def test_elbos_agree_with_the_library():
    for decoder in DECODERS:
        dim = _dim(decoder)
        if dim != 1:
            continue
        for likelihood in (float_likelihoods.Gaussian(scale=0.5), float_likelihoods.Bernoulli()):
            model = LatentModel(decoder, likelihood, 1)
            x = np.ones(model.data_dim)
            if isinstance(decoder, float_decoders.Reparametrised):
                continue
            found = certify.elbo(model, x, [0.25], [0.5], radius="1e-20")
            q = Posterior(np.array([0.25]), cov=np.array([[0.5]]))
            value = float_elbo(model, x, q)
            error = float(value.error) + 1e-9
            assert abs(float(value.value) - float(found)) < error, type(decoder).__name__


def test_a_closed_form_and_a_quadrature_agree():
    from vaetheory.certify._objective import ByQuadrature, ClosedForm

    model = Model(
        decoders.Polynomial([[1], [2]], [["1", "0"], ["0", "0.5"]]), likelihoods.Gaussian("0.5")
    )
    with balls(200) as F:
        x = model.check_data(["0.5", "0.25"], F)
        m, v = [F.exact(Fraction(1, 3))], [F.exact(Fraction(1, 5))]
        one, other = ClosedForm(F, model, x), ByQuadrature(F, model, x, 90)
        for a, b in zip(one.gradient(m, v), other.gradient(m, v), strict=True):
            assert a.overlaps(b), "gradients differ"
        for row, line in zip(one.hessian(m, v), other.hessian(m, v), strict=True):
            for a, b in zip(row, line, strict=True):
                assert a.overlaps(b), "Hessians differ"
                assert b.rad() < 1e-20, "a wide Hessian"


def test_gradients_and_hessians_are_derivatives():
    from vaetheory.certify._objective import ClosedForm

    model = Model(
        decoders.Polynomial([[1, 0], [0, 1], [2, 1]], [["1", "0"], ["0", "1"], ["0.5", "0.25"]]),
        likelihoods.Gaussian("0.5"),
    )
    for other in (model, Model(decoders.FlatTorus("1", "0.5"), likelihoods.Gaussian("0.4"))):
        with balls(300) as F:
            x = other.check_data(["0.5"] * (2 if other is model else 4), F)
            target = ClosedForm(F, other, x)
            point = [Fraction(1, 3), Fraction(-1, 4), Fraction(1, 5), Fraction(1, 7)]
            h = Fraction(1, 2**60)

            def at(values, get):
                numbers = F.vector(values)
                return get(numbers[:2], numbers[2:])

            for i in range(4):
                up, down = ([p + s * h * (i == j) for j, p in enumerate(point)] for s in (1, -1))
                slope = (at(up, target.value) - at(down, target.value)) / F.exact(2 * h)
                assert abs(float(slope - at(point, target.gradient)[i])) < 1e-25, "a slope is wrong"
                rises = zip(at(up, target.gradient), at(down, target.gradient), strict=True)
                for j, (a, b) in enumerate(rises):
                    second = (a - b) / F.exact(2 * h)
                    wrong = abs(float(second - at(point, target.hessian)[i][j]))
                    assert wrong < 1e-25, "a second derivative is wrong"


def test_linear_models_have_no_gap_and_others_do():
    linear = Model(decoders.Affine([["1"], ["2"]], ["0", "1"]), likelihoods.Gaussian("0.1"))
    gap = certify.gap(linear, ["0.6", "0.8"])
    assert gap.contains(0), "a linear model's gap is not 0"
    assert gap.radius < 1e-29, "a wide gap"
    for decoder, x in (
        (decoders.Circle("1"), ["0.6", "0.8"]),
        (decoders.Sine(["1", "1"], [["3"], ["1"]]), ["0.5", "0.3"]),
        (decoders.Sinh("0.5"), ["0.5"]),
    ):
        found = certify.gap(Model(decoder, likelihoods.Gaussian("0.2")), x)
        assert found.lower > 0, f"{type(decoder).__name__}: no gap is proved"


def test_a_false_maximum_is_not_proved():
    """Leave one of the two maximisers of z^2 out: branch and bound must not end."""
    from vaetheory.certify._global_maximum import prove_maximum
    from vaetheory.certify._search import objective_at, wide_candidate

    model = Model(decoders.Polynomial([[2]], [["1"]]), likelihoods.Gaussian("0.3"))
    both = certify.maximum(model, ["1"])
    assert len(both.points) == 2, "there are two maximisers"
    point = both.points[0]
    with balls(80) as F:
        x = model.check_data(["1"], F)
        one = wide_candidate(model, x, tuple(e.mid for e in (*point.loc, *point.var)))
        target = objective_at(F, model, x, 50)
        low = F.exact(point.elbo.lower) - model.likelihood.constant(F, x)
        with pytest.raises(NotProved):
            prove_maximum(F, model, x, target, [one], F.exact(F.low(low)), most=1000)


def test_a_box_without_a_stationary_point_is_not_proved():
    from vaetheory.certify._search import objective_at
    from vaetheory.certify._stationary import Candidate, krawczyk

    model = Model(decoders.Circle("1"), likelihoods.Gaussian("0.1"))
    with balls(100) as F:
        x = model.check_data(["0.6", "0.8"], F)
        small = (Fraction(1, 10**6),) * 2
        with pytest.raises(NotProved, match="within"):
            krawczyk(
                F, objective_at(F, model, x), Candidate((Fraction("0.9"), Fraction("0.01")), small)
            )
        wide = (Fraction(1, 2), Fraction(1, 200))
        with pytest.raises(NotProved):
            krawczyk(
                F, objective_at(F, model, x), Candidate((Fraction("0.9"), Fraction("0.01")), wide)
            )


def test_the_gap_over_a_range_agrees_with_gaps_at_points():
    from vaetheory.certify.propositions.stationary_evidence.gap_range import GAP_RANGE

    inputs = {"f": [["0", "0"], ["1", "0"], ["0", "0.5"]], "z0": "1", "sigma_0": "0.05"}
    ratio = GAP_RANGE.prove(Prover(), inputs, {"pieces": "12"})["ratio"]
    assert ratio.radius < 0.03, "bounds that say little"
    for scale in ("0.05", "0.01"):
        model = Model(
            decoders.Polynomial([[1], [2]], [["1", "0"], ["0", "0.5"]]), likelihoods.Gaussian(scale)
        )
        found = certify.gap(model, ["1", "0.5"])
        over = Fraction(scale) ** 2
        assert ratio.lower <= found.lower / over <= found.upper / over <= ratio.upper, scale


def test_the_flow_remainder_agrees_with_evidences():
    from vaetheory.certify.propositions.flow_limit import REMAINDER

    proved = REMAINDER.prove(Prover(), REMAINDER.instances[0], {})
    for scale in ("0.05", "0.01"):
        model = Model(
            decoders.Polynomial([[1], [3]], [["1"], ["1/3"]]), likelihoods.Gaussian(scale)
        )
        evidence = certify.log_evidence(model, [proved["x"]], radius="1e-30")
        with mp.workdps(40):
            flow = -mp.mpf(1) / 8 - mp.log(2 * mp.pi) / 2 - mp.log(mp.mpf(5) / 4)
            s = mp.mpf(scale)
            value = mp.mpf(evidence.mid.numerator) / evidence.mid.denominator
            rest = (value - flow - s**2 * mp.mpf("0.2464")) / s**4
        assert proved["remainder"].lower <= Fraction(str(rest)) <= proved["remainder"].upper, scale


CIRCLE, CYLINDER = decoders.Circle("1"), decoders.Cylinder("1")
NOISE = likelihoods.Gaussian("1")
BITS = Model(CIRCLE, likelihoods.Bernoulli())
PLAIN = LatentModel(lambda z: z, float_likelihoods.Gaussian(scale=1.0), 1)
PATCH = Model(decoders.SpherePatch("1"), NOISE)


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: certify.log_evidence(3, ["1"]), "model: expected"),
        (lambda: certify.log_evidence(BITS, ["1"]), "x: expected 2"),
        (lambda: certify.log_evidence(BITS, ["1", "2"]), "zeros and ones"),
        (lambda: decoders.Circle("-1"), "positive"),
        (lambda: decoders.Circle("one"), "finite number"),
        (lambda: decoders.Circle(math.inf), "finite number"),
        (lambda: likelihoods.Gaussian(), "exactly one"),
        (lambda: likelihoods.Gaussian(cov=[["1", "2"], ["2", "1"]]), "positive-definite"),
        (lambda: decoders.Polynomial([[1]], [["1"], ["2"]]), "one vector a monomial"),
        (lambda: Model.of(PLAIN), "decoder: expected"),
        (lambda: certify.maximum(Model(CYLINDER, NOISE), ["1", "1", "0"]), "1 latent"),
        (lambda: certify.elbo(Model(CIRCLE, NOISE), ["1", "0"], ["0"], ["-1"]), "positive number"),
        (lambda: certify.stationary_point(PATCH, ["1", "0", "0"]), "closed form"),
    ],
)
def test_bad_inputs_are_value_errors(call, expected):
    with pytest.raises(ValueError, match=expected):
        call()


@given(
    mid=st.fractions(-(10**6), 10**6),
    rad=st.fractions(0, 10),
    exponent=st.integers(-400, 400),
    scale=st.integers(-400, 60),
)
def test_a_ball_in_words_holds_the_ball(mid, rad, exponent, scale):
    """Digits were rounded without a word in the radius; radii below the doubles were an error."""
    ball = Enclosure(mid * Fraction(10) ** min(exponent, 60), rad * Fraction(10) ** scale)
    middle, radius = (Fraction(part) for part in str(ball).split(" +/- "))
    assert middle - radius <= ball.lower, f"{ball} leaves out the lower end"
    assert ball.upper <= middle + radius, f"{ball} leaves out the upper end"


def test_a_wide_box_that_does_not_hold_the_maximiser_is_no_proof(monkeypatch):
    model = certify.Model(
        certify.decoders.Polynomial([[2]], [["1"]]), certify.likelihoods.Gaussian("0.3")
    )
    right = api.wide_candidate

    def mirrored(model, x, centre):
        """Boxes that are proved as well, but each about the other maximiser."""
        return right(model, x, (-centre[0], centre[1]))

    monkeypatch.setattr(api, "wide_candidate", mirrored)
    with pytest.raises(NotProved, match="does not hold it"):
        certify.maximum(model, ["1"])


@given(greatest=st.floats(0, 1e15))
def test_the_compact_region_is_not_rounded_inwards(greatest):
    model = certify.Model(certify.decoders.Affine([["1"]]), certify.likelihoods.Gaussian("1"))
    with balls(200) as F:
        region = compact_region(F, model, (Fraction(0),), F.exact(-greatest))
        K = F.exact(Fraction(greatest))
        margin = F.exact(Fraction(1, 10**10)) * (2 * K + 1)
        assert F.less(F.exact(region.low), -2 * K - 1 - margin), "the least variance"
        assert F.less(F.sqrt(2 * K), F.exact(region.mean)), "the greatest mean"
        top = F.log(F.exact(Fraction(8, 5)) * (2 * K + 1))
        assert F.less(top, F.exact(region.high)), "the greatest variance"


def test_radii_below_the_doubles_are_refused_and_small_ones_reached():
    model = certify.Model(certify.decoders.Circle("1"), certify.likelihoods.Gaussian("0.1"))
    with pytest.raises(ValueError, match="radius: expected at least"):
        certify.log_evidence(model, ["0.6", "0.8"], radius="1e-330")
    found = certify.log_evidence(model, ["0.6", "0.8"], radius="1e-120")
    assert found.rad <= Fraction(1, 10**120), f"the radius reached is {found.radius}"


def test_a_ball_that_is_not_finite_has_no_ends():
    with balls(64) as F, pytest.raises(NotProved, match="not finite"):
        F.bounds(F.log(F.exact(-1)))
