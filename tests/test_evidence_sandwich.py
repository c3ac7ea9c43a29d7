"""Renyi bounds, EUBO and the harmonic mean: other routes, infinite cases, far data, bad input."""

import re

import mpmath
import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal, norm

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, log_evidence
from vaetheory.bounds import (
    cubo,
    eubo,
    gaussian_weight_moment,
    harmonic_mean,
    harmonic_mean_variance,
    importance_weighted_bound,
    importance_weighted_upper_bound,
    renyi_bound,
)
from vaetheory.bounds._growth import Fall, fall_of
from vaetheory.certify._checker import Checker
from vaetheory.certify.propositions import PROPOSITIONS
from vaetheory.evidence import linear_log_evidence

CIRCLE = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.5))
BITS = LatentModel(
    decoders.TanhNetwork([[[1.5], [0.5]], [[2.0, -1.0], [1.0, 3.0]]], [[0.5, -1.0], [0.0, 0.5]]),
    likelihoods.Bernoulli(),
)
PARABOLA = LatentModel(
    decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 1.0]]), likelihoods.Gaussian(scale=0.5)
)
LINE = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0))


def dense(model, x, q, power):
    """(1 / s) log E_q[w^s] by trapezoids of a step of 1e-3, one latent, and how far two differ."""
    z = np.linspace(-40, 40, 80001)[:, None]
    own = norm.logpdf(z[:, 0], float(q.loc[0]), float(np.sqrt(q.cov[0, 0])))
    logs = own + power * (model.log_joint(np.array(x), z) - own)
    height = logs.max()
    values = np.exp(logs - height)
    sums = [1e-3 * values.sum(), 2e-3 * values[::2].sum()]
    return (np.log(sums[0]) + height) / power, abs(np.log(sums[1] / sums[0]) / power) + 1e-12


STEEP = LatentModel(
    decoders.TanhNetwork([[[-2.0]], [[5.0]]], [[0.0], [0.0]]), likelihoods.Gaussian(scale=0.5)
)


@pytest.mark.parametrize("order", [-20.0, -3.0, 5.0, 20.0])
def test_mass_far_from_the_tilted_gaussian_is_seen_or_admitted(order):
    # The tilted Gaussian is some 16 standard deviations away from where the integrand is greatest.
    q = Posterior([-0.8], scale=0.9998)
    told, own = dense(STEEP, [1.0], q, 1 - order)
    found = renyi_bound(STEEP, [1.0], q, order)
    off = abs(float(found.value) - told)
    assert off <= found.error + own, f"order {order}: off by {off:.2e}, said {found.error:.2e}"
    assert found.error < 1e-9, f"order {order}: an error of {found.error:.2e}"
    # Two such latents, each with outputs of its own: the bound is twice that.
    decoder = decoders.TanhNetwork([-2 * np.eye(2), 5 * np.eye(2)], [np.zeros(2), np.zeros(2)])
    twice = LatentModel(decoder, likelihoods.Gaussian(scale=0.5))
    both = renyi_bound(twice, [1.0, 1.0], Posterior([-0.8, -0.8], scale=[0.9998] * 2), order)
    off = abs(float(both.value) - 2 * told)
    assert off <= both.error + 2 * own, f"order {order}: off by {off:.2e}, said {both.error:.2e}"


def test_a_small_share_that_only_nodes_near_q_see_is_in_the_error():
    # A ten-thousandth of the integral lies between nodes that follow a Gaussian 20 units away.
    decoder = decoders.TanhNetwork(
        [
            [[2.7291, 2.2829], [5.2372, -0.6385], [-2.9176, 2.2286], [1.8783, -0.6372]],
            [[-1.1511, -0.1424, 0.7625, -1.902], [-0.4075, 1.9541, -0.0372, -0.6277]],
        ],
        [[1.4249, 0.7527, -1.2253, -0.2889], [0.0, 0.0]],
    )
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.9168))
    x, q = [0.4421, -1.9364], Posterior([0.1666, -1.4119], cov=[[0.843, 0.2326], [0.2326, 0.7131]])
    z = np.stack(np.meshgrid(*[np.linspace(-40, 40, 801)] * 2, indexing="ij"), axis=-1)
    own = multivariate_normal(q.loc, q.cov).logpdf(z).ravel()
    joint = model.log_joint(np.array(x), z.reshape(-1, 2))
    told = (logsumexp(-19 * joint + 20 * own) + 2 * np.log(0.1)) / -19
    found = renyi_bound(model, x, q, 20.0)
    off = abs(float(found.value) - told)
    assert off <= found.error + 1e-9, f"off by {off:.2e}, said {found.error:.2e}"


@pytest.mark.parametrize("model", [CIRCLE, BITS, PARABOLA], ids=["circle", "bits", "parabola"])
@pytest.mark.parametrize("order", [0.9, 0.5, 0.02, -0.5, -2.0, 1.5, 3.0])
def test_bounds_are_those_of_a_dense_rule(model, order):
    x, q = [1.0, 0.0], Posterior([0.3], scale=0.9)
    found = renyi_bound(model, x, q, order)
    if not np.isfinite(found.value):
        assert order > 1 or order < 0, f"order {order}: {found.value}"
        assert found.error == 0, f"order {order}: an error of {found.error}"
        return
    told, error = dense(model, x, q, 1 - order)
    off = abs(float(found.value) - told)
    assert off <= found.error + error, f"order {order}: off by {off:.2e}, said {found.error:.2e}"
    assert found.error < 1e-8, f"order {order}: an error of {found.error:.2e}"


@pytest.mark.parametrize("power", [1e-3, 1e-8, -1e-8, 3e-16, -2.3e-16, 9.9e-3, 1.01e-2, -1.01e-2])
def test_orders_next_to_one_are_next_to_the_elbo(power):
    x, q = [1.0, 0.0], Posterior([0.3], scale=0.9)
    for model in (CIRCLE, BITS, LINE):
        lower = elbo(model, x[: model.data_dim], q)
        found = renyi_bound(model, x[: model.data_dim], q, 1 - power)
        assert found.error < 1e-9, f"an error of {found.error}"
        if abs(power) > 1e-4:
            told, error = dense(model, x[: model.data_dim], q, 1 - (1 - power))
        else:
            # The slope at s = 0 is half the variance of log w, some nats.
            told, error = float(lower.value), 10 * abs(power) + float(lower.error)
        off = abs(float(found.value) - told)
        assert off <= found.error + error, f"off by {off}"


def test_what_is_infinite():
    narrow, wide = Posterior([0.0], scale=0.3), Posterior([0.0], scale=0.9)
    x = [1.0, 0.0]
    # Bounded outputs: CUBO_n needs a variance above (n - 1) / n, and order a one below a / (a - 1).
    assert np.isposinf(cubo(CIRCLE, x, narrow).value)
    assert np.isfinite(cubo(CIRCLE, x, wide, 5).value), "0.81 > 4/5"
    assert np.isposinf(cubo(CIRCLE, x, wide, 6).value), "0.81 < 5/6"
    broad = Posterior([0.0], scale=1.5)
    assert np.isneginf(renyi_bound(CIRCLE, x, broad, 2).value), "2.25 > 2"
    assert np.isfinite(renyi_bound(CIRCLE, x, broad, 1.5).value), "2.25 < 3"
    # A quartic potential: never from above, always from below.
    for q in (narrow, wide):
        assert np.isfinite(renyi_bound(PARABOLA, x, q, -1).value)
        assert np.isneginf(renyi_bound(PARABOLA, x, q, 1.01).value)


def test_a_sum_over_nodes_would_have_been_finite():
    # With q of variance 1/4 the mean square weight of a circle is infinite; what the nodes within
    # twelve deviations of any frame give is not.
    q = Posterior([0.0], scale=0.5)
    z = np.linspace(-6, 6, 4001)[:, None]
    logs = 2 * CIRCLE.log_joint(np.array([1.0, 0.0]), z) - q.log_prob(z)
    assert np.isfinite(np.log(np.exp(logs).sum())), "expected a finite sum"
    assert np.isposinf(cubo(CIRCLE, [1.0, 0.0], q).value)


def test_the_threshold_itself_is_refused():
    # S = 1/2 exactly, and CUBO_2 of bounded outputs; P = 2 and Q = 4 of a linear model.
    for model, x, variance in ((CIRCLE, [1.0, 0.0], 0.5), (LINE, [0.0], 0.25)):
        with pytest.raises(ValueError, match=r"order: expected one at which .* within rounding"):
            cubo(model, x, Posterior([0.0], cov=[[variance]]))


def test_unknown_tails_are_refused():
    unknown = LatentModel(lambda z: z**3, likelihoods.Gaussian(scale=0.5), 1)
    q = Posterior([[0.0]], scale=0.5)
    assert fall_of(unknown) is Fall.UNKNOWN
    for order in (-1.0, 2.0):
        with pytest.raises(ValueError, match=re.escape("how the likelihood falls far out")):
            renyi_bound(unknown, [[0.1]], q, order)
    # From 0 to 1 nothing need be known, nor with a wide q: the prior to the power n is enough.
    assert renyi_bound(unknown, [[0.1]], q, 0.5).reached.all()
    assert renyi_bound(unknown, [[0.1]], Posterior([[0.0]], scale=0.9), -1).reached.all()


def test_a_decoder_of_ones_own_says_that_it_is_bounded():
    class Bounded(decoders.Decoder):
        latent_dim = 1
        growth_degree = 0

        def __call__(self, z):
            return np.tanh(z)

        def jacobian(self, z):
            return (1 - np.tanh(z) ** 2)[..., None]

        def hessian(self, z):
            return (-2 * np.tanh(z) * (1 - np.tanh(z) ** 2))[..., None, None]

    model = LatentModel(Bounded(), likelihoods.Gaussian(scale=0.5))
    same = LatentModel(
        decoders.TanhNetwork([[[1.0]], [[1.0]]], [[0.0], [0.0]]), likelihoods.Gaussian(scale=0.5)
    )
    q = Posterior([0.2], scale=0.8)
    pair = [renyi_bound(m, [0.3], q, -0.5) for m in (model, same)]
    off = abs(float(pair[0].value - pair[1].value))
    assert off <= pair[0].error + pair[1].error, f"off by {off}"


@pytest.mark.parametrize(
    ("decoder", "degree"),
    [
        (decoders.Circle(2.0), 0),
        (decoders.FlatTorus(1.0, 1.0), 0),
        (decoders.SpherePatch(1.0), 0),
        (decoders.Sine([1.0], [[2.0]]), 0),
        (decoders.Helix(1.0, 1.0), 1),
        (decoders.Catenary(1.0), 1),
        (decoders.Cylinder(1.0), 1),
        (decoders.Affine([[3.0]]), 1),
        (decoders.Polynomial([[1], [3]], [[1.0], [2.0]]), 3),
        (decoders.Polynomial([[1], [3]], [[1.0], [0.0]]), 1),
        (decoders.TanhNetwork([[[2.0]], [[1.0]]], [[0.0], [0.0]]), 0),
        (decoders.TanhNetwork([[[2.0]]], [[0.0]]), 1),
        (decoders.PiecewiseLinear.network([[[2.0]], [[1.0]]], [[0.0], [0.0]]), 1),
        (decoders.Reparametrised(decoders.Circle(1.0), [[2.0]]), 0),
    ],
)  # fmt: skip
def test_outputs_grow_no_faster_than_the_decoder_says(decoder, degree):
    assert decoder.growth_degree == degree
    z = 10.0 ** np.arange(2, 7)[:, None] * np.ones(decoder.latent_dim)
    growth = np.abs(np.asarray(decoder(z))).max(axis=-1)
    assert (growth[1:] <= 1.001 * 10**degree * growth[:-1] + 10).all(), f"grew as {growth}"


@pytest.mark.parametrize(
    ("family", "x"),
    [
        (likelihoods.Gaussian(scale=0.5), [1.0, 0.0, -2.0]),
        (likelihoods.Bernoulli(), [1.0, 0.0, 1.0]),
        (likelihoods.Categorical(), [1.0, 0.0, 0.0]),
        (likelihoods.StudentT(3.0, 0.5), [1.0, 0.0, -2.0]),
    ],
)
def test_log_densities_fall_no_faster_than_the_family_says(family, x):
    lengths = 10.0 ** np.arange(2, 7)
    direction = np.array([1.0, -2.0, 0.5])
    fall = -family.log_prob(np.array(x), lengths[:, None] * direction)
    assert (fall[1:] <= 1.001 * 10**family.growth_degree * fall[:-1] + 30).all(), f"fell as {fall}"


def test_powers_of_a_polynomial_that_cancel_say_nothing():
    cancels = decoders.Polynomial([[2], [2], [1]], [[1.0], [-1.0], [1.0]])
    assert fall_of(LatentModel(cancels, likelihoods.Gaussian(scale=1.0))) is Fall.UNKNOWN


@pytest.mark.parametrize("dim", [1, 3, 8, 20])
def test_linear_models_of_any_dimension(dim):
    rng = np.random.default_rng(dim)
    weight, bias = rng.normal(size=(dim + 3, dim)), rng.normal(size=dim + 3)
    model = LatentModel(decoders.Affine(weight, bias), likelihoods.Gaussian(scale=0.5))
    X = rng.normal(size=(5, dim + 3))
    cov = np.linalg.inv(np.eye(dim) + 4 * weight.T @ weight)
    exact = Posterior(4 * (X - bias) @ weight @ cov, cov=(cov + cov.T) / 2)
    q = Posterior(exact.loc + 0.05, cov=1.3 * exact.cov)
    log_p = linear_log_evidence(model, X)
    for order in (1.7, 1.0, 0.5, 0.0, -1.0, -2.0):
        found = renyi_bound(model, X, q, order)
        power = 1 - order
        told = log_p.value + gaussian_weight_moment(exact, q, power) / (power or 1)
        if power == 0:
            away = ((q.loc - exact.loc)[:, None] @ np.linalg.inv(exact.cov))[:, 0]
            square = (away * (q.loc - exact.loc)).sum(axis=-1)
            told = log_p.value - 0.5 * (0.3 * dim - dim * np.log(1.3) + square)
        off = np.abs(found.value - told)
        allowed = found.error + log_p.error + 1e-13 * dim * np.abs(told)
        assert (off <= allowed).all(), f"order {order}: off by {off}, allowed {allowed}"
        assert (found.error < 1e-8).all(), f"order {order}: errors of {found.error}"
    upper = eubo(model, X, q)
    away = np.linalg.solve(q.cov, (exact.loc - q.loc)[..., None])[..., 0]
    kl = 0.5 * (dim / 1.3 - dim + dim * np.log(1.3) + ((exact.loc - q.loc) * away).sum(axis=-1))
    off = np.abs(upper.value - log_p.value - kl)
    assert (off <= upper.error + log_p.error).all(), f"EUBO off by {off}"


def test_log_normal_data_are_linear_too():
    weight = [[1.0], [-0.5]]
    plain = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.5))
    logs = LatentModel(decoders.Affine(weight), likelihoods.LogNormal(scale=0.5))
    x, q = np.array([0.5, -1.0]), Posterior([0.2], scale=0.4)
    for order in (2.0, 0.5, -1.0):
        a, b = renyi_bound(plain, x, q, order), renyi_bound(logs, np.exp(x), q, order)
        off = abs(float(a.value - x.sum() - b.value))
        assert off <= a.error + b.error, f"order {order}: off by {off}"


@pytest.mark.parametrize("far", [1.0, 10.0, 1000.0])
def test_far_data_keep_their_bounds(far):
    # The evidence is e^-5e7 at last; only differences of log weights matter.
    model = LatentModel(decoders.Affine([[0.5], [0.0]]), likelihoods.Gaussian(scale=0.5))
    x, q = [2.0, 5.0 * far], Posterior([1.0], scale=0.8)
    exact = linear_log_evidence(model, np.array(x))
    near = linear_log_evidence(model, np.array([2.0, 0.0]))
    bounds = (
        lambda x: importance_weighted_bound(model, x, q, [1, 16], rtol=1e-6),
        lambda x: importance_weighted_upper_bound(model, x, q, [1, 16], rtol=1e-6),
        lambda x: renyi_bound(model, x, q, -0.5),
        lambda x: eubo(model, x, q),
    )
    for bound in bounds:
        here, there = bound(x), bound([2.0, 0.0])
        off = np.abs((here.value - exact.value) - (there.value - near.value))
        allowed = here.error + there.error + exact.error + near.error
        assert (off <= allowed).all(), f"off by {off}, allowed {allowed}"


def test_eubo_is_the_upper_bound_of_one_sample():
    x = [[1.0, 0.2], [0.5, -0.7]]
    q = Posterior([[0.1], [-0.8]], scale=0.5)
    for model in (CIRCLE, PARABOLA):
        upper, one = eubo(model, x, q), importance_weighted_upper_bound(model, x, q, 1, rtol=1e-4)
        off = np.abs(upper.value - one.value)
        assert (off <= upper.error + one.error).all(), f"off by {off}"


def test_harmonic_means_and_what_they_need():
    x = [[1.0, 0.2], [0.5, -0.7]]
    q = Posterior([[0.1], [-0.8]], scale=0.5)
    exact, mean = log_evidence(CIRCLE, x), harmonic_mean(CIRCLE, x, q)
    off = np.abs(mean.value - exact.value)
    assert (off <= mean.error + exact.error).all(), f"off by {off}"
    variance = harmonic_mean_variance(CIRCLE, x, q)
    second = renyi_bound(CIRCLE, x, q, 2)
    assert np.allclose(variance.value, np.expm1(exact.value - second.value), rtol=1e-8)
    infinite = harmonic_mean_variance(PARABOLA, x, q)
    assert np.isposinf(infinite.value).all(), f"{infinite.value}"
    # q far wider than the posterior: the value is true, but the nodes do not show it.
    wide = harmonic_mean(PARABOLA, x, Posterior([[0.0], [0.0]], scale=3.0))
    assert (np.abs(wide.value - log_evidence(PARABOLA, x).value) <= wide.error).all()


@pytest.mark.parametrize("order", [-3.0, -1.0, -0.5, 0.01])
@pytest.mark.parametrize(("loc", "scale"), [(-0.67, 0.27), (-0.06, 0.05), (2.5, 0.17)])
def test_a_quartic_potential_and_a_narrow_q(order, loc, scale):
    # The mass of w^s q lies where the posterior has e^-46 and less of its greatest density: means
    # under the posterior by the engine were off by hundreds of nats, with small errors.
    for bend, noise in ((0.5, 1.0), (-1.5, 0.05)):
        model = LatentModel(
            decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, bend]]),
            likelihoods.Gaussian(scale=noise),
        )
        q = Posterior([loc], scale=scale)
        found = renyi_bound(model, [0.5, 0.2], q, order)
        told, error = dense(model, [0.5, 0.2], q, 1 - order)
        off = abs(float(found.value) - told)
        assert off <= found.error + error + 1e-14 * abs(told), f"off by {off}, said {found.error}"
        assert found.reached, f"an error of {found.error}"


def test_where_the_nodes_do_not_suffice_the_neighbours_are_a_bound():
    # Next to the evidence, of a posterior with many narrow modes.
    model = LatentModel(decoders.FlatTorus(0.3, 0.3), likelihoods.Gaussian(scale=0.02))
    x, q = np.array([0.3, 0.0, 0.0, 0.3]), Posterior([0.0, 0.47], scale=0.2)
    found = renyi_bound(model, x, q, 0.01, rtol=1e-4)
    low, high = elbo(model, x, q), log_evidence(model, x, rtol=1e-4)
    assert np.isfinite(found.error), "expected the bound of the neighbours at least"
    assert low.value - found.error <= found.value <= high.value + found.error, f"{found}"


def test_two_modes_far_from_q():
    # q at one of two modes that are twelve of its deviations apart; the other counts below order 0.
    model = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=0.3))
    q = Posterior([1.2], scale=0.2)
    for order in (0.5, 0.05, -0.2):
        found = renyi_bound(model, [1.44], q, order)
        told, error = dense(model, [1.44], q, 1 - order)
        off = abs(float(found.value) - told)
        assert off <= found.error + error, f"order {order}: off by {off}, said {found.error}"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_certificates_are_of_the_same_numbers(number):
    inputs = PROPOSITIONS["15a"].instances[number]
    proved = PROPOSITIONS["15a"].prove(Checker(), inputs, {})
    P, Q = (np.array(inputs[name], dtype=float) for name in ("P", "Q"))
    n, away = int(inputs["n"]), np.array(inputs["away"], dtype=float)
    exact, q = Posterior(0 * away, cov=np.linalg.inv(P)), Posterior(away, cov=np.linalg.inv(Q))
    found = float(gaussian_weight_moment(exact, q, n)) / n
    # A linear model with the posterior N(0, P^-1) for x = 0.
    model = LatentModel(
        decoders.Affine(np.linalg.cholesky(P - 0.5 * np.eye(len(P))).T * np.sqrt(2)),
        likelihoods.Gaussian(scale=1.0),
    )
    if proved["finite"]:
        assert abs(found - float(proved["excess"].mid)) < 1e-12, f"{found}"
        scaled = Posterior(away * np.sqrt(2) / 2, cov=q.cov / 2)
        x = np.zeros(model.data_dim)
        own = cubo(model, x, scaled, n).value - linear_log_evidence(model, x).value
        assert abs(own - found) < 1e-10, f"{own} for {found}"
    else:
        assert proved["minor"] <= 0, f"{proved['minor']}"


def test_leading_axes_and_data_of_a_batch_by_themselves():
    rng = np.random.default_rng(3)
    X, loc = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 4, 1))
    q = Posterior(loc, scale=rng.uniform(0.4, 1.3, size=(3, 4, 1)))
    for order in (2.0, 0.5, -0.5):
        together = renyi_bound(CIRCLE, X, q, order)
        assert together.value.shape == (3, 4)
        for at in ((0, 0), (2, 3), (1, 2)):
            alone = renyi_bound(CIRCLE, X[at], Posterior(loc[at], cov=q.cov[at]), order)
            same = np.isinf(alone.value) and alone.value == together.value[at]
            off = np.inf if np.isinf(alone.value) else abs(alone.value - together.value[at])
            assert same or off <= alone.error + together.error[at], f"{order}, {at}: {off}"


@pytest.mark.parametrize("bound", [eubo, harmonic_mean, lambda m, X, q: renyi_bound(m, X, q, 0.5)])
def test_more_than_three_latents_need_a_linear_model(bound):
    model = LatentModel(lambda z: z**2, likelihoods.Gaussian(scale=1.0), 4)
    with pytest.raises(ValueError, match="latent_dim: expected at most 3 unless"):
        bound(model, np.zeros((1, 4)), Posterior(np.zeros((1, 4)), scale=1.0))


@pytest.mark.parametrize("order", [np.nan, np.inf, "one", [1.0, 2.0]])
def test_an_order_is_a_finite_number(order):
    with pytest.raises(ValueError, match="order: expected"):
        renyi_bound(LINE, [0.0], Posterior([0.0], scale=1.0), order)


@pytest.mark.parametrize("n", [1, 0, 2.5, True])
def test_cubo_has_an_order_of_two_or_more(n):
    with pytest.raises(ValueError, match="n: expected"):
        cubo(LINE, [0.0], Posterior([0.0], scale=1.0), n)


@pytest.mark.parametrize("order", [0.5, 2.0, -1.0, 1.0])
def test_linear_models_whose_data_barely_tell_the_latents_apart(order):
    # The precision has a condition of 1e10; of order 1 it is the upper bound from the posterior.
    scale, weight, x = 1e-5, np.array([[1.5, 0.7, -0.4]]), (0.3,)
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=scale))
    with mpmath.workdps(60):
        w = mpmath.matrix(weight.tolist()) / mpmath.mpf(scale)
        away, p = mpmath.matrix(x) / mpmath.mpf(scale), mpmath.eye(3) + w.T * w
        centre = (p**-1) * (w.T * away)
        cov = 1.2 * np.array((p**-1).tolist(), dtype=float)
        loc = np.array([float(c) for c in centre]) + 0.5 * np.linalg.cholesky(cov) @ [
            0.5,
            -1.0,
            0.8,
        ]
        q = Posterior(loc, cov=(cov + cov.T) / 2)
        total = (w * w.T + mpmath.eye(1)) * mpmath.mpf(scale) ** 2
        square = (mpmath.matrix(x).T * total**-1 * mpmath.matrix(x))[0]
        told = -(square + mpmath.log(mpmath.det(total) * 2 * mpmath.pi)) / 2
        own, apart = mpmath.matrix(q.cov.tolist()) ** -1, mpmath.matrix(q.loc.tolist()) - centre
        far, k = (apart.T * own * apart)[0], 1 - mpmath.mpf(order)
        log_dets = mpmath.log(mpmath.det(p)), mpmath.log(mpmath.det(own))
        if order == 1.0:
            trace = sum((own * p**-1)[j, j] for j in range(3))
            told += (trace - 3 + far + log_dets[0] - log_dets[1]) / 2
            found = eubo(model, x, q)
        else:
            mixed, pull = k * p + (1 - k) * own, (1 - k) * (own * apart)
            lift = (pull.T * mixed**-1 * pull)[0] - (1 - k) * far
            bend = k * log_dets[0] + (1 - k) * log_dets[1] - mpmath.log(mpmath.det(mixed))
            told += (lift + bend) / (2 * k)
            found = renyi_bound(model, x, q, order)
        off = abs(mpmath.mpf(float(found.value)) - told)
    assert off <= found.error, f"off by {float(off):.2e}, said {found.error:.2e}"
    assert found.error < 0.01, f"an error of {found.error:.2e}"
