"""Where the library calls itself its arguments are not checked; a user's code is outside that."""

import threading

import numpy as np
import pytest
from hypothesis import given
from likelihood_cases import instances
from user_families import Logistic

from vaetheory import (
    LatentModel,
    decoders,
    elbo,
    likelihoods,
    log_evidence,
    posterior_expectation,
    stationary_posterior,
)
from vaetheory._trust import TRUST, unchecked
from vaetheory.encoders import Posterior
from vaetheory.modes import posterior_mode

X = np.array([[0.5, -0.25], [1.0, 2.0]])
HALVES = Posterior(np.zeros((2, 1)), scale=np.full((2, 1), 0.5))
ROUTES = {
    "evidence": log_evidence,
    "expectation": lambda model, x: posterior_expectation(model, x, lambda z: seen(z)[..., 0]),
    "elbo": lambda model, x: elbo(model, x, HALVES),
    "stationary": stationary_posterior,
    "mode": posterior_mode,
}
SEEN = []


def seen(z):
    """Note whether arguments are checked where a user's code runs, and return what came."""
    SEEN.append(TRUST.given)
    return z


class Curve(decoders.Decoder):
    """A user's decoder, (z, z^2)."""

    latent_dim = 1

    def __call__(self, z):
        return np.concatenate([seen(z), z**2], axis=-1)

    def jacobian(self, z):
        return np.stack([np.ones_like(seen(z)), 2 * z], axis=-2)

    def hessian(self, z):
        return np.broadcast_to([[[0.0]], [[2.0]]], (*seen(z).shape[:-1], 2, 1, 1))


class Noted(Logistic):
    """A user's family that notes where it is called."""

    def _log_prob(self, x, params):
        return super()._log_prob(seen(x), params)

    def _score(self, x, params):
        return super()._score(seen(x), params)

    def _information(self, x, params):
        return super()._information(seen(x), params)

    def _fisher(self, params):
        return super()._fisher(seen(params))


MODELS = {
    "decoder": (Curve(), likelihoods.Gaussian(scale=0.5)),
    "function": (lambda z: seen(z) * np.ones(2), likelihoods.Gaussian(scale=0.5)),
    "family": (decoders.Affine([[1.0], [0.5]]), Noted(0.5)),
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
@pytest.mark.parametrize("parts", MODELS.values(), ids=MODELS)
def test_the_code_of_a_user_is_outside(parts, route):
    model = LatentModel(*parts, 1)
    SEEN.clear()
    route(model, X)
    assert SEEN, "the user's code was not called"
    assert not any(SEEN), f"in {sum(SEEN)} of {len(SEEN)} calls arguments would not be checked"
    assert not TRUST.given, "arguments are not checked afterwards"


@given(instance=instances())
def test_what_is_computed_is_the_same(instance):
    family, params, _, x = instance
    jacobian = np.cos(np.arange(params.size)).reshape(*params.shape, 1)
    checked = (
        family.log_prob(x, params),
        family.score(x, params),
        family.expected_information(params, jacobian),
        family.observed_information(x, params, jacobian),
    )
    with unchecked():
        found = (
            family.log_prob(x, params),
            family.score(x, params),
            family.expected_information(params, jacobian),
            family.observed_information(x, params, jacobian),
        )
    for name, a, b in zip(
        ("density", "score", "expected", "observed"), checked, found, strict=True
    ):
        assert np.array_equal(a, b, equal_nan=True), f"{name}: {a} and {b}"


def test_it_ends_with_an_error_and_belongs_to_one_thread():
    elsewhere = []
    thread = threading.Thread(target=lambda: elsewhere.append(TRUST.given))

    def fail():
        with unchecked(), unchecked():
            thread.start()
            thread.join()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert elsewhere == [False], f"another thread found {elsewhere}"
    assert not TRUST.given, "arguments are not checked after an error"


def test_a_nan_among_results_is_still_an_error():
    family = likelihoods.Gaussian(scale=1.0)
    with (
        unchecked(),
        pytest.raises(ValueError, match=r"v: expected numbers at which Gauss"),
    ):
        family.whiten(np.array([np.nan]))
