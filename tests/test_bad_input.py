"""Input that means something else: read for what it is, or refused in a sentence."""

import fractions

import autograd.numpy as anp
import numpy as np
import pytest
from scipy import sparse

from vaetheory import (
    AggregatePosterior,
    LatentModel,
    OptimalDecoder,
    Posterior,
    baggins,
    bilbo,
    constant_variance_penalty,
    decoders,
    elbo,
    flows,
    geometry,
    likelihoods,
    log_evidence,
    posterior_expectation,
    specht_ratio,
    stationary_posterior,
    training,
)
from vaetheory.constant_variance import log1pmx
from vaetheory.evidence import linear_log_evidence
from vaetheory.hessian_estimators import jacobian_norm, price_hessian, stein_hessian
from vaetheory.jets import Jet, NoSeriesError, exp, push, taylor
from vaetheory.optimal_decoder import optimal_parameters
from vaetheory.stability import largest_stable_step

MODEL = LatentModel(decoders.Affine([[1.0], [0.5]]), likelihoods.Gaussian(scale=0.5), 1)
X = np.array([[0.2, 0.1], [1.0, -0.5]])
POSTERIOR = Posterior([[0.1], [0.2]], cov=[[[0.5]], [[0.4]]])
ENCODER = AggregatePosterior([[-1.0], [1.0]], scale=1.0)
OPTIMAL = OptimalDecoder(X, ENCODER)
SPHERE = decoders.SpherePatch(1.0)
Z = np.array([[0.0, 1.0], [0.5, 0.2]])

#: Calls by one argument, with what it is as a rule.
CALLS = {
    "log_evidence": (lambda v: log_evidence(MODEL, v, max_nodes=100_000), X),
    "posterior_expectation": (
        lambda v: posterior_expectation(MODEL, v, lambda z: z[..., 0], max_nodes=100_000),
        X,
    ),
    "linear_log_evidence": (lambda v: linear_log_evidence(MODEL, v), X),
    "elbo": (lambda v: elbo(MODEL, v, POSTERIOR), X),
    "stationary_posterior": (lambda v: stationary_posterior(MODEL, v), X),
    "Posterior": (lambda v: Posterior(v, scale=[0.5, 1.0]), X),
    "OptimalDecoder": (lambda v: OptimalDecoder(v, ENCODER), X),
    "OptimalDecoder()": (OPTIMAL, np.array([[0.1]])),
    "cov": (lambda v: OPTIMAL.cov(v, allow_singular=True), np.array([[0.1]])),
    "optimal_parameters": (
        lambda v: optimal_parameters(v, ENCODER, likelihoods.Gaussian(scale=1.0), [[0.1]]),
        X,
    ),
    "responsibilities": (ENCODER.responsibilities, np.array([[0.1]])),
    "posterior.log_prob": (POSTERIOR.log_prob, np.array([[0.1], [0.2]])),
    "penalty": (constant_variance_penalty, np.array([[1.0, 2.0], [4.0, 1.0]])),
    "specht_ratio": (specht_ratio, np.array([1.0, 2.0])),
    "log1pmx": (log1pmx, np.array([0.1, 2.0])),
    "baggins": (lambda v: baggins(v, 0.9 * X, information=1.0), X),
    "bilbo": (lambda v: bilbo([-1.0, -2.0], v, 1.0), X),
    "stein_hessian": (lambda v: stein_hessian(v, [[0.1], [0.2]], [[0.5]]), np.array([1.0, 2.0])),
    "price_hessian": (lambda v: price_hessian(v, [[0.1], [0.2]], [[0.5]]), np.array([[1.0], [2]])),
    "jacobian_norm": (lambda v: jacobian_norm(v, [0.5], 0.1), np.array([[1.0], [2.0]])),
    "stable_step": (lambda v: largest_stable_step(lambda t: 4 * t, v), np.array([[0.5]])),
    "Affine": (decoders.Affine, X),
    "SpherePatch()": (SPHERE, Z),
    "hessian of a function": (decoders.FunctionDecoder(anp.sin).hessian, Z),
    "decode": (MODEL.decode, np.array([[0.1], [0.2]])),
    "potential_derivatives": (
        lambda v: MODEL.potential_derivatives(X, v),
        np.array([[0.1], [0.2]]),
    ),
    "Bernoulli.log_prob": (lambda v: likelihoods.Bernoulli().log_prob([1.0, 0.0], v), X),
    "Poisson.mean": (likelihoods.Poisson().mean, X),
    "VonMises.score": (lambda v: likelihoods.VonMises(2.0).score(X, v), X),
    "Gaussian.fit": (lambda v: likelihoods.Gaussian(scale=1.0).fit(v, np.log([0.5, 0.5])), X),
    "Gamma.sample": (lambda v: likelihoods.Gamma(2.0).sample(v, np.random.default_rng(0)), X),
    "stirling_remainder": (likelihoods.stirling_remainder, np.array([1.0, 20.0])),
    "curvature": (lambda v: geometry.gaussian_curvature(SPHERE, v), Z),
    "christoffel": (lambda v: geometry.christoffel_symbols(SPHERE, v), Z),
    "geodesic": (lambda v: geometry.geodesic(SPHERE, v, 0.1 * Z, [0.0, 0.5]), Z),
    "sectional": (lambda v: geometry.sectional_curvature(SPHERE, Z, v, [1.0, 1.0]), Z[1]),
    "pullback_metric": (lambda v: geometry.pullback_metric(MODEL, v), np.array([[0.1]])),
    "flow.inverse": (flows.Cubic(2).inverse, X),
    "flow_log_density": (lambda v: flows.flow_log_density(flows.Sinh(2), v), X),
    "Rotation": (flows.Rotation, np.array([1.0, 0.5])),
    "taylor": (lambda v: taylor(anp.sin, v, np.ones((1, 1)), 3), np.zeros((1, 1))),
    "confidence_interval": (training.confidence_interval, np.array([1.0, 2.0])),
    "Units.of": (lambda v: training.Units.of(v, "each"), X),
}


class Frame:
    """A table of another library, such as pandas, as it looks from here."""

    def __init__(self, values):
        self.values = values
        self.shape = np.shape(values)

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)

    def __getitem__(self, index):
        raise KeyError(index)

    def __iter__(self):
        raise TypeError("columns, not rows")


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no repr")

    def __array__(self, dtype=None, copy=None):
        raise RuntimeError("no array")


def numbers_in(found):
    if isinstance(found, np.ndarray | float | np.floating):
        yield np.asarray(found)
    elif isinstance(found, tuple):
        for part in found:
            yield from numbers_in(part)
    elif hasattr(found, "__dict__"):
        for part in vars(found).values():
            yield from numbers_in(part)


def nan_in(found):
    return any(np.isnan(a).any() for a in numbers_in(found) if a.dtype.kind == "f")


def attempt(call, argument):
    """What a call returns, or the sentence by which it refuses."""
    try:
        return call(argument), ""
    except ValueError as error:
        return None, str(error)


def strided(a):
    wide = np.zeros((*a.shape[:-1], 2 * a.shape[-1]))
    wide[..., ::2] = a
    return wide[..., ::2]


def frozen(a):
    a = a.copy()
    a.flags.writeable = False
    return a


@pytest.mark.parametrize("name", CALLS)
def test_other_kinds_of_arrays_are_read_as_the_same_numbers(name):
    call, value = CALLS[name]
    expected = list(numbers_in(call(value)))
    kinds = {
        "a frame": Frame(value), "a list": value.tolist(), "without masked": np.ma.array(value),
        "Fortran's order": np.asfortranarray(value), "strided": strided(value),
        "read-only": frozen(value), "big-endian": value.astype(">f8"),
        "long": value.astype(np.longdouble),
    }  # fmt: skip
    for kind, other in kinds.items():
        found = list(numbers_in(call(other)))
        for a, b in zip(found, expected, strict=True):
            assert a.shape == b.shape, f"{name} of {kind}: shape {a.shape}, not {b.shape}"
            if a.dtype.kind == "f":
                same = np.allclose(a, b, rtol=1e-12, atol=1e-14, equal_nan=True)
                assert same, f"{name} of {kind}: {a}, not {b}"


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_array_of_numbers_is_refused_in_a_sentence(name):
    call, value = CALLS[name]
    masked = np.ma.array(value, mask=False)
    masked[(0,) * value.ndim] = np.ma.masked
    # Behind the mask is a number that would mean something else.
    masked.data[(0,) * value.ndim] = 1e6
    hostile = [
        None, "abc", b"x", object(), Unspeakable(), 1j, {}, {1.0}, [], np.empty((0, 2)), [None],
        [[1.0, 2.0], [3.0]], ["a"], 10**400, [10**400], 10**5000, iter([1.0]), print,
        np.array([1.0], dtype=object), np.array(["2020"], dtype="M8[D]"),
        np.zeros(2, dtype=[("a", float)]), sparse.csr_matrix(np.eye(2)), fractions.Fraction,
        np.full_like(value, np.nan), np.full_like(value, np.inf), value + 1j, value.astype(str),
        value.astype(object), np.longdouble("1e400") * np.ones_like(value), Frame(value + 1j),
        masked, [masked], np.ma.masked,
    ]  # fmt: skip
    for bad in hostile:
        found, said = attempt(call, bad)
        assert found is not None or "expected" in said, f"{name}: {said}"
        if found is not None:
            # At infinite parameters a density has its limit, and its mean may be infinite; of no
            # numbers at all there may be no results.
            limits = "log_prob" in name or "mean" in name
            nothing = np.size(bad) == 0 and isinstance(bad, np.ndarray | list)
            assert limits or nothing, f"{name} took {type(bad)}: {found}"
            assert not nan_in(found), f"{name}: NaN of {bad}"
    assert value.flags.writeable, f"{name}: the caller's array was frozen"


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("size", [1e308, 1e200, 1e30, 1e-300, 5e-324])
def test_extreme_numbers_give_no_nan_and_no_warning(name, size):
    call, value = CALLS[name]
    extreme = value.copy()
    extreme[(-1,) * value.ndim] = size
    found, said = attempt(call, extreme)
    assert found is not None or "expected" in said, f"{name} at {size:g}: {said}"
    reached = (getattr(found, "status", np.array("reached")) == "reached").all()
    assert not reached or not nan_in(found), f"{name} at {size:g}: NaN in {found}"


def test_images_are_no_vectors():
    model = LatentModel(decoders.Affine(np.ones((784, 1)) / 28), likelihoods.Gaussian(scale=1.0), 1)
    images = np.zeros((3, 1, 28, 28))
    for shape, call in (
        ("(..., 784)", lambda: log_evidence(model, images)),
        ("(..., 784)", lambda: elbo(model, images, POSTERIOR)),
        ("(N, D)", lambda: OptimalDecoder(images, ENCODER)),
        ("(N, D)", lambda: baggins(images, images, information=1.0)),
    ):
        with pytest.raises(ValueError, match="3, 1, 28, 28") as caught:
            call()
        for part in (shape, "flatten them: reshape to (3, 784)"):
            assert part in str(caught.value), f"{part!r} is not in {caught.value}"
    with pytest.raises(ValueError, match="flatten them"):
        likelihoods.Bernoulli().log_prob(images, np.zeros((3, 784)))
    # Of vectors of 28 the leading axes are free.
    small = LatentModel(decoders.Affine(np.ones((28, 1))), likelihoods.Gaussian(scale=1.0), 1)
    assert small.check_data(images).shape == images.shape, "leading axes are not free"


COUNTS = (likelihoods.Poisson(), likelihoods.NegativeBinomial(2.0))
LOCATIONS = {
    "Gaussian": (likelihoods.Gaussian(scale=0.5), 0.25),
    "covariance": (likelihoods.Gaussian(cov=[[0.5]]), 0.25),
    "Student-t": (likelihoods.StudentT(3.0, 0.5), 0.25),
    "Laplace": (likelihoods.Laplace(0.5), 0.25),
    "Gamma": (likelihoods.Gamma(2.0), 0.5),
    "exponential": (likelihoods.Exponential(), 0.5),
    "log-normal": (likelihoods.LogNormal(0.5), 0.5),
    "Beta": (likelihoods.Beta(3.0), 0.25),
    "uniform": (likelihoods.Uniform(), 0.5),
}


@pytest.mark.parametrize("name", LOCATIONS)
@pytest.mark.parametrize("sign", [1, -1])
def test_log_densities_have_their_limits_at_infinite_params(name, sign):
    family, x = LOCATIONS[name]
    # Finite parameters far out show where it goes.
    way = [float(family.log_prob([x], [sign * t])) for t in (20.0, 200.0, 2000.0)]
    assert way[2] <= way[1] <= way[0] < -10, f"{name} goes along {way}"
    found = family.log_prob([x], [sign * np.inf])
    assert found == -np.inf, f"{name} at {sign} infinity: {found}"


@pytest.mark.parametrize("family", COUNTS, ids=lambda f: type(f).__name__)
def test_counts_of_an_infinite_log_mean(family):
    found = family.log_prob([[0.0], [3.0]], [-np.inf]).tolist()
    assert found == [0.0, -np.inf], f"{found} where nothing is ever counted"
    assert family.log_prob([[0.0], [3.0]], [np.inf]).tolist() == [-np.inf] * 2, "an infinite mean"


def test_classes_of_infinite_logits():
    coin = likelihoods.Bernoulli().log_prob([[1.0], [0.0]], [[np.inf], [np.inf]])
    assert coin.tolist() == [0.0, -np.inf], f"a certain one: {coin}"
    family, eye = likelihoods.Categorical(), np.eye(3)
    found = family.log_prob(eye, [0.5, -np.inf, 0.5])
    assert np.allclose(found, [-np.log(2), -np.inf, -np.log(2)]), f"{found} without a class"
    assert family.log_prob(eye, [0.5, np.inf, 3.0]).tolist() == [-np.inf, 0.0, -np.inf], "certain"
    for logits in ([np.inf, np.inf, 0.0], [-np.inf] * 3):
        with pytest.raises(ValueError, match="no limit at infinity"):
            family.log_prob(eye, logits)
    with pytest.raises(ValueError, match="no limit at infinity"):
        likelihoods.VonMises(2.0).log_prob([0.3], [np.inf])


@pytest.mark.parametrize("name", [n for n in LOCATIONS if n != "uniform"])
def test_slopes_and_divergences_ask_for_finite_params(name):
    family, x = LOCATIONS[name]
    calls = [lambda: family.score([x], [np.inf])]
    if hasattr(family, "kl_divergence"):
        calls += [
            lambda: family.kl_divergence([np.inf], [0.0]),
            lambda: family.kl_divergence([0.0], [-np.inf]),
        ]
    if family.no_metric is None:
        calls.append(lambda: family.observed_information([x], [np.inf], [[1.0]]))
    for call in calls:
        with pytest.raises(ValueError, match=r"expected finite numbers, got -?inf"):
            call()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: likelihoods.metric_identities(1.0, [0.0]), "likelihood: expected a member"),
        (lambda: linear_log_evidence(1.0, X), "model: expected a LatentModel, got float"),
        (lambda: baggins(X, X, information=1.0, pooled=10**400), "pooled: expected True or False"),
        (lambda: decoders.TanhNetwork(weights=1.0, biases=1.0), "weights: expected a list"),
        (lambda: posterior_expectation(MODEL, X, 1.0), "h: expected a callable"),
        (lambda: log_evidence(MODEL, X, progress=3), "progress: expected a callable"),
        (lambda: optimal_parameters(X, 3, likelihoods.Gaussian(scale=1.0), [[0]]), "encoder: exp"),
        (lambda: LatentModel(anp.sin, likelihoods.Poisson(), 10**400), "latent_dim: expected"),
        (lambda: LatentModel(anp.sin, likelihoods.Poisson(), np.timedelta64(1, "D")), "latent_dim"),
        (lambda: geometry.geodesic_between(SPHERE, [0, 0], [1, 0], rtol=[1e-8]), "rtol: expected"),
        (lambda: geometry.geodesic_between(SPHERE, [0, 0], [1, 0], rtol="a"), "rtol: expected"),
        (lambda: likelihoods.stirling_remainder(-1.0), "a: expected positive"),
        (lambda: likelihoods.stirling_remainder([1, "a"]), "a: expected an array of real"),
        (lambda: OPTIMAL([[1e200]]), "z: expected log densities"),
        (lambda: OptimalDecoder([[1e200], [0.0]], ENCODER), "X: expected numbers of at most"),
        (lambda: geometry.arc_length_parametrisation(PARABOLA, 0.0, 1e200), "lower and upper: exp"),
        (lambda: likelihoods.Poisson().kl_divergence([800.0], [0.0]), "params: expected log rates"),
        (lambda: likelihoods.Poisson().sample([0.0], None), "rng: expected a numpy.random"),
        (lambda: likelihoods.Bernoulli().mean("a"), "params: expected an array of real"),
        (lambda: decoders.Circle(1.0).weighted_hessian([[0.1]], [[1.0] * 3]), "weights: expected"),
        (lambda: exp(3.0), "series: expected a Jet"),
        (lambda: taylor(anp.sin, [[0.0]], [[1.0]], 10**400), "order: expected"),
        (lambda: flows.Coupling(3, decoders.Circle(1.0)), "mask: expected booleans"),
        (lambda: flows.smoothing_coefficients(flows.Cubic(1), [[0.0]], terms=2**31), "terms"),
        (lambda: decoders.Polynomial([[1e200]], [[1.0]]), "powers: expected at most"),
        (lambda: training.Network(3), "sizes: expected a list"),
        (lambda: training.Experiment(3), "source: expected a Source"),
        (lambda: training.run_task(None), "task: expected a Task"),
        (lambda: training.split_data("digits", 0), "source: expected a Source"),
        (lambda: training.Source(3, X), "name: expected a str"),
        (lambda: training.tables.table([3]), r"results\[0\]: expected a result of run_task"),
        (lambda: training.sampled_measures(3, X, draws=3, rng=None), "density: expected a Density"),
        (lambda: training.lattice_evidence(3, X), "density: expected a Density"),
    ],
)
def test_each_of_these_was_another_exception(call, message):
    with pytest.raises(ValueError, match=message):
        call()


PARABOLA = decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 0.5]])


@pytest.mark.parametrize("length", [5e-324, 1e-310, 1e-200, 1.0, 1e200, 1e308])
def test_planes_do_not_depend_on_the_lengths_of_what_spans_them(length):
    u, v = np.array([length, 0.0]), np.array([length, length])
    found = geometry.sectional_curvature(decoders.SpherePatch(2.0), [0.3, 0.2], u, v)
    assert abs(found - 0.25) < 1e-13, f"curvature {found}, not 1/4"


def test_what_has_no_series_says_so_and_is_a_value_error():
    with pytest.raises(NoSeriesError, match="Taylor series here"):
        push(lambda z: "a", Jet([[1.0], [1.0]]))
    assert issubclass(NoSeriesError, ValueError), "a ValueError it is not"


def test_a_matrix_near_the_greatest_number_is_read():
    q = Posterior([[0.0, 0.0]], cov=[[[1e308, 0.0], [0.0, 1e308]]])
    assert np.isfinite(q.cov).all(), f"covariance {q.cov}"
