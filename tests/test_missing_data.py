"""Data with missing coordinates: marginals of all families, masks, closed forms, bad input."""

import mpmath
import numpy as np
import pytest
from instances import LIKELIHOODS

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, log_evidence
from vaetheory.bounds import (
    evidence_estimate,
    gap_split,
    imputation_bound,
    observed_log_evidence,
    observed_model,
)
from vaetheory.decoders._selected import Selected, selected
from vaetheory.likelihoods import ElementwiseLikelihood
from vaetheory.testing import check_decoder

RNG = np.random.default_rng(22)
NETWORK = decoders.TanhNetwork(
    [RNG.normal(size=(4, 1)), RNG.normal(size=(3, 4))], [RNG.normal(size=4), RNG.normal(size=3)]
)
BENT = LatentModel(NETWORK, likelihoods.Gaussian(scale=[0.5, 0.25, 1.0]))


@pytest.mark.parametrize("name", list(LIKELIHOODS))
def test_the_marginals_of_every_family(name):
    entry = LIKELIHOODS[name]
    family = entry[0] if isinstance(entry, tuple) else entry
    size = family.data_dim or 3
    if isinstance(family, likelihoods.Categorical):
        with pytest.raises(ValueError, match="likelihood: expected one of independent data"):
            family.marginal(np.array([0]))
        return
    if size < 2 or (isinstance(family, likelihoods.Gaussian) and family.cov is not None):
        return
    each = family.params_each
    params = family.typical_params(RNG.normal(size=each * size))
    x = family.sample(params, np.random.default_rng(1))
    total = 0.0
    for part in (np.array([1]), np.delete(np.arange(size), 1)):
        kept = np.concatenate([part + k * size for k in range(each)])
        total += float(family.marginal(part).log_prob(x[part], params[kept]))
    whole = float(family.log_prob(x, params))
    assert abs(total - whole) < 1e-12 * (1 + abs(whole)), f"{name}: {total} and not {whole}"


def test_a_gaussian_with_correlations():
    cov = np.array([[2.0, 0.5, 0.3], [0.5, 1.0, -0.2], [0.3, -0.2, 0.5]])
    found = likelihoods.Gaussian(cov=cov).marginal(np.array([2, 0]))
    assert found.cov.tolist() == [[0.5, 0.3], [0.3, 2.0]], "not the block of the covariance"


def test_a_family_of_the_user_without_fields():
    class Held(ElementwiseLikelihood):
        data_dim = 2

        def _log_prob(self, x, params):
            return -((x - params) ** 2)

        _score = _information = _log_prob

        def _fisher(self, params):
            return params

        _greatest_log_prob = _fisher

        def sample(self, params, rng):
            return params

    with pytest.raises(ValueError, match="expected a frozen dataclass"):
        Held().marginal(np.array([0]))


def test_selected_outputs_are_a_decoder():
    check_decoder(selected(NETWORK, np.array([2, 0])), 1)
    assert isinstance(selected(decoders.Affine([[1.0], [2.0]]), np.array([1])), decoders.Affine)
    relu = decoders.PiecewiseLinear.network([[[1.0], [-1.0]], np.eye(2)], [[0.0, 0.5]] * 2)
    part = Selected(relu, np.array([1]))
    z = np.linspace(-2, 2, 9)[:, None]
    assert (part.piecewise_linear()(z) == relu(z)[:, 1:]).all(), "pieces of other outputs"
    ends = decoders.PiecewiseLinear([*relu.layers, decoders.ElementwisePieces.relu()])
    part = Selected(ends, np.array([1]))
    assert np.abs(part.piecewise_linear()(z) - ends(z)[:, 1:]).max() < 1e-15, "after a last ReLU"
    last = part.last_layer()
    assert last is None, "there is none after a ReLU"


def test_masks_of_every_datum():
    x = np.array([[0.5, 0.1, -0.3], [0.5, np.nan, -0.3], [np.nan, np.nan, -0.3], [np.nan] * 3])
    found = observed_log_evidence(BENT, x)
    told = log_evidence(BENT, x[0])
    assert abs(found.value[0] - told.value) < 1e-10, "nothing is missing"
    assert found.value[3] == found.error[3] == 0, "nothing is observed"
    z = np.linspace(-10, 10, 20_001)
    means = NETWORK(z[:, None])
    scale = BENT.likelihood.scale
    for row in (1, 2):
        seen = ~np.isnan(x[row])
        white = (x[row, seen] - means[:, seen]) / scale[seen]
        logs = -0.5 * (white**2).sum(axis=-1) - np.log(scale[seen]).sum()
        logs += -0.5 * (z**2 + (seen.sum() + 1) * np.log(2 * np.pi))
        direct = np.log(np.exp(logs).sum() * (z[1] - z[0]))
        off = abs(found.value[row] - direct)
        assert off <= found.error[row] + 1e-12, f"row {row}: off by {off:.2e}"
    again = observed_log_evidence(BENT, np.nan_to_num(x), ~np.isnan(x))
    assert (again.value == found.value).all(), "what stands in missing coordinates counts"


def test_the_model_of_observed_coordinates_goes_everywhere():
    part = observed_model(BENT, [True, False, True])
    x = [0.5, -0.3]
    found = gap_split(part, x, Posterior([0.0], scale=0.5))
    assert found.approximation >= -found.approximation_error, "another evidence"
    assert evidence_estimate(part, x, particles=32).status == "estimated", "no estimate"
    assert observed_model(BENT, [True] * 3) is BENT, "nothing is missing"


@pytest.mark.parametrize("scale", [1.0, 0.02])
def test_imputation_in_a_linear_model(scale):
    weight = RNG.normal(size=(6, 2))
    x, mask = RNG.normal(size=6), np.array([True, False, True, False, True, False])
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=scale))
    cov = weight @ weight.T + scale**2 * np.eye(6)
    with mpmath.workdps(30):
        rows = mpmath.matrix(weight[mask].tolist())
        total = rows * rows.T + mpmath.mpf(scale) ** 2 * mpmath.eye(3)
        seen = mpmath.matrix(x[mask].tolist())
        square = (seen.T * mpmath.lu_solve(total, seen))[0]
        exact = float(-(square + mpmath.log(mpmath.det(total * 2 * mpmath.pi))) / 2)
    found = observed_log_evidence(model, x, mask)
    assert abs(found.value - exact) <= found.error, f"off by {found.value - exact:.2e}"
    # The conditional itself closes the gap.
    across = cov[np.ix_(~mask, mask)] @ np.linalg.inv(cov[np.ix_(mask, mask)])
    inner = cov[np.ix_(~mask, ~mask)] - across @ cov[np.ix_(mask, ~mask)]
    q = Posterior(across @ x[mask], cov=(inner + inner.T) / 2)
    bound = imputation_bound(model, x, mask, q)
    assert abs(bound.value - exact) < 1e-6, f"the conditional has a gap of {exact - bound.value}"
    worse = imputation_bound(model, x, mask, Posterior(q.loc, cov=4 * q.cov))
    told = 1.5 * (4 - 1 - np.log(4))
    assert abs(exact - worse.value - told) < 1e-6, f"{exact - worse.value} and not {told}"


def test_many_missing_values_are_sampled_and_covered():
    # The same mean by the closed form of a linear model, whose encoder is its exact posterior.
    weight = RNG.normal(size=(6, 2))
    model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.5))
    precision = np.eye(2) + 4 * weight.T @ weight
    back = np.linalg.solve(precision, 4 * weight.T)

    def encoder(X):
        return Posterior(X @ back.T, cov=np.linalg.inv(precision))

    mask = np.array([True, True, False, False, False, False])
    q = Posterior(np.zeros((3, 4)), scale=[0.5, 1.0, 0.3, 0.7])
    x = RNG.normal(size=(3, 6))
    exact, drawn = (
        imputation_bound(model, x, mask, q, encoder=e, rtol=1e-6) for e in (None, encoder)
    )
    off = np.abs(exact.value - drawn.value)
    assert (off <= drawn.error).all(), f"off by {off}, said {drawn.error}"
    assert (drawn.error < 2.0).all(), f"errors {drawn.error} say nothing"


def test_an_encoder_that_is_exact_loses_nothing():
    mask, x = [True, True, False], [0.5, 0.1, np.nan]
    q = Posterior([0.2], scale=0.8)
    found = imputation_bound(BENT, x, mask, q)
    some = imputation_bound(
        BENT, x, mask, q, encoder=lambda X: Posterior(0 * X[:, :1], scale=1.0), rtol=1e-6
    )
    assert some.value < found.value - 0.1, "an encoder that sees nothing costs nothing"
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    rows = np.stack([np.full(60, 0.5), np.full(60, 0.1), 0.2 + 0.8 * nodes], axis=-1)
    prior = Posterior(np.zeros((60, 1)), scale=1.0)
    told = weights @ elbo(BENT, rows, prior).value / weights.sum() + q.entropy()
    assert abs(some.value - told) < 1e-6, f"{some.value} and not {told}"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: observed_model(BENT, [1, 0, 1]), "observed: expected booleans"),
        (lambda: observed_model(BENT, [False] * 3), "observed: expected at least one"),
        (lambda: observed_model(BENT, [[True] * 3]), r"observed: expected shape \(3,\)"),
        (lambda: observed_log_evidence(BENT, [[0.0]]), r"X: expected shape \(..., 3\)"),
        (
            lambda: observed_log_evidence(BENT, [[0.0] * 3], [[True] * 3] * 2),
            "observed: expected shape",
        ),
        (
            lambda: observed_log_evidence(BENT, [[np.nan, 0.0, 0.0]], [True] * 3),
            "X: expected|x: expected",
        ),
        (
            lambda: imputation_bound(BENT, [0.0] * 3, [True] * 3, Posterior([0.0], scale=1.0)),
            "observed: expected one mask",
        ),
        (
            lambda: imputation_bound(
                BENT, [0.0] * 3, [True, False, False], Posterior([0.0], scale=1.0)
            ),
            "imputed: expected 2 coordinates",
        ),
        (
            lambda: imputation_bound(BENT, [np.nan] * 3, [True, True, False],
                                     Posterior([0.0], scale=1.0)),
            "X: expected",
        ),
    ],
)  # fmt: skip
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_imputed_values_of_a_large_offset():
    # x = w z + b + noise, with b of a million and an imputed spread that is small beside it.
    w, b, s, x, spread = (0.1, -0.07), (3e6, -1e6), 0.003, (3e6 + 0.3, -1e6 + 0.2), 0.004
    model = LatentModel(decoders.Affine(np.array(w)[:, None], b), likelihoods.Gaussian(scale=s))
    q = Posterior([x[1]], scale=spread)
    found = imputation_bound(model, (x[0], np.nan), [True, False], q)
    with mpmath.workdps(40):
        first, second = (mpmath.mpf(a) for a in w)
        away = mpmath.matrix([mpmath.mpf(x[k]) - mpmath.mpf(b[k]) for k in range(2)])
        noise, v = mpmath.mpf(s) ** 2, mpmath.mpf(float(q.cov[0, 0]))
        cross = first * second
        total = mpmath.matrix([[first**2 + noise, cross], [cross, second**2 + noise]])
        inverse = total**-1
        square = (away.T * inverse * away)[0] + inverse[1, 1] * v
        told = -(square + mpmath.log(mpmath.det(total)) + 2 * mpmath.log(2 * mpmath.pi)) / 2
        told += (1 + mpmath.log(2 * mpmath.pi * v)) / 2
        off = abs(mpmath.mpf(float(found.value)) - told)
    assert off <= found.error, f"off by {float(off):.2e}, said {found.error:.2e}"
    assert found.error < 1e-10, f"an error of {found.error:.2e}"
