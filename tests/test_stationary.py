"""Stationary points of the ELBO: closed forms, and no neighbour that is better."""

from functools import lru_cache

import numpy as np
import pytest
from elbo_cases import (
    DIGITS,
    FAMILIES,
    NETWORKS,
    OPERATIONS,
    exact,
    integers,
    linear,
    normal_log_density,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp, mpf

from vaetheory import LatentModel, Posterior, decoders, elbo, likelihoods, stationary_posterior
from vaetheory.rounding import EPS, gamma


@lru_cache(maxsize=1)
def solved(model, size):
    """What the data do not change: W, b, the noise and its inverse, and of A and S the logs too."""
    with mp.workdps(DIGITS):
        W, b = exact(model.decoder.weight), exact(model.decoder.bias).T
        L = exact(model.likelihood.covariance(size))
        precision = mp.inverse(L)
        A = mp.eye(model.latent_dim) + W.T * precision * W
        return W, b, L, precision, A, mp.inverse(A), mp.log(mp.det(A)), mp.log(mp.det(L))


def linear_truth(model, x, diagonal):
    """Log evidence less the diagonal gap, and the stationary mean and covariance; 3c, 3d."""
    W, b, L, precision, A, S, log_det, log_noise = solved(model, len(x))
    with mp.workdps(DIGITS):
        d, datum = model.latent_dim, exact(x).T
        value = normal_log_density(datum, b, W * W.T + L)
        m = S * W.T * precision * (datum - b)
        condition = mp.mnorm(A, mp.inf) * mp.mnorm(S, mp.inf)
        if diagonal:
            value -= (mp.fsum(mp.log(A[i, i]) for i in range(d)) - log_det) / 2
            S = mp.diag([1 / A[i, i] for i in range(d)])
        # The terms that make up the value: the squares at the mean and at the origin, and logs.
        r = datum - W * m - b
        terms = (r.T * precision * r)[0] + (m.T * m)[0] + abs(log_noise)
        terms += len(x) * 2 + log_det + d
        loc, cov = np.array(m.tolist(), dtype=float)[:, 0], np.array(S.tolist(), dtype=float)
        return value, float(terms), loc, cov, float(condition)


@pytest.mark.parametrize("structure", ["full", "diagonal"])
@settings(max_examples=40)
@given(instance=linear(most=8, posterior=False))
def test_stationary_points_of_linear_models(structure, instance):
    model, x = instance
    q = stationary_posterior(model, x, structure=structure)
    value, terms, loc, cov, condition = linear_truth(model, x, structure == "diagonal")
    with mp.workdps(DIGITS):
        off = float(abs(mpf(float(q.value)) - value))
    assert q.status == "reached", f"status {q.status}, deficit {q.deficit:.3g}"
    assert off <= q.error, f"the ELBO is off by {off:.3g}, stated {q.error:.3g}"
    assert off <= 1e-10 * terms, f"the ELBO is off by {off:.3g}, terms of {terms:.3g}"
    # An ELBO that is short by t leaves the mean short by sqrt(2 t) posterior deviations.
    deviation = np.sqrt(np.diagonal(cov))
    short = np.sqrt(2 * (off + q.error)) + gamma(OPERATIONS) * condition * (1 + np.abs(loc))
    assert (np.abs(q.loc - loc) <= short * deviation * 2).all(), f"mean {q.loc}, not {loc}"
    short = 4 * np.sqrt(off + q.error) + gamma(OPERATIONS) * condition
    scale = np.sqrt(np.outer(np.diagonal(cov), np.diagonal(cov)))
    assert (np.abs(q.cov - cov) <= short * scale).all(), f"covariance {q.cov}, not {cov}"


@pytest.mark.parametrize("structure", ["full", "diagonal"])
@pytest.mark.parametrize("d", [4, 8])
@pytest.mark.parametrize("scale", [1.0, 2.0**-7, 2.0**-14])
@settings(max_examples=5)
@given(data=st.data())
def test_stationary_points_of_linear_models_with_more_outputs_than_latents(
    scale, d, structure, data
):
    weight = data.draw(integers((10, d), -8, 8), label="weight") / 4
    codes = data.draw(integers((3, d), -8, 8), label="codes") / 4
    noise = data.draw(integers((3, 10), -8, 8), label="noise") / 4
    decoder = decoders.Affine(weight)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), d)
    X = decoder(codes) + scale * noise
    q = stationary_posterior(model, X, structure=structure)
    # A precision that is singular to float64 leaves less than the default tolerance asks, and so do
    # outputs whose rounding, in units of the scale, is more than the tolerance.
    regular = np.linalg.cond(np.eye(d) + weight.T @ weight / scale**2) < 1e9
    regular &= EPS * np.abs(X).max() < 2e-11 * scale
    assert not regular or (q.status == "reached").all(), f"{q.status}, deficit {q.deficit}"
    for n, x in enumerate(X):
        value, terms, *_ = linear_truth(model, x, structure == "diagonal")
        with mp.workdps(DIGITS):
            off = float(abs(mpf(float(q.value[n])) - value))
        assert off <= q.error[n], f"datum {n}: off by {off:.3g}, stated {q.error[n]:.3g}"
        assert off <= 1e-10 * terms, f"datum {n}: off by {off:.3g}, terms of {terms:.3g}"


def neighbours(q, structure):
    """Posteriors near q: means moved by deviations, covariances stretched and tilted."""
    d = q.latent_dim
    root = np.linalg.cholesky(q.cov)
    for h in (2.0**-3, 2.0**-6, 2.0**-10):
        for sign in (h, -h):
            for e in np.eye(d):
                move = root @ e
                yield f"mean moved by {sign} along {e}", Posterior(q.loc + sign * move, cov=q.cov)
                # Stretches of the covariance: along an axis where it has to stay diagonal.
                stretch = np.diag(1 + sign * e)
                yield f"stretched by {sign}", Posterior(q.loc, cov=stretch @ q.cov @ stretch)
                if structure == "full" and d > 1:
                    shear = np.eye(d) + sign * np.outer(e, np.roll(e, 1))
                    tilted = root @ shear @ shear.T @ np.swapaxes(root, -1, -2)
                    yield f"tilted by {sign}", Posterior(q.loc, cov=tilted)


@pytest.mark.parametrize("structure", ["full", "diagonal"])
@pytest.mark.parametrize("d", [1, 2])
@pytest.mark.parametrize("name", FAMILIES)
def test_no_neighbour_of_a_stationary_posterior_has_a_higher_elbo(name, d, structure):
    likelihood, X = FAMILIES[name]
    model = LatentModel(NETWORKS[d], likelihood, d)
    q = stationary_posterior(model, X, structure=structure)
    assert (q.status == "reached").all(), f"status {q.status}, deficit {q.deficit}"
    if structure == "diagonal":
        off_diagonal = q.cov * (1 - np.eye(d))
        assert (off_diagonal == 0).all(), f"a diagonal posterior has covariance {q.cov}"
    own = elbo(model, X, Posterior(q.loc, cov=q.cov))
    assert np.array_equal(q.elbo, q.value), "the ELBO has two values"
    assert np.array_equal(q.reached, q.status == "reached"), "reached and status contradict"
    off = np.abs(own.value - q.value)
    assert (off <= own.error + q.error).all(), f"the stated value is off the ELBO by {off}"
    for what, near in neighbours(q, structure):
        there = elbo(model, X, near)
        gain = there.value - q.value
        assert (gain <= there.error + q.error).all(), f"{what}: the ELBO rises by {gain.max():.3g}"


def test_stationarity_conditions_hold_where_the_posterior_is_not_gaussian():
    # S^-1 = E[A] and E[grad U] = 0 for Poisson with log rate z: A = 1 + exp(z), by the m.g.f.
    model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Poisson(), 1)
    for x in (0.0, 1.0, 50.0):
        q = stationary_posterior(model, [x])
        m, s = q.loc[0], q.cov[0, 0]
        rate = np.exp(m + s / 2)
        # A deficit of t leaves conditions short by sqrt(2 t) in units of the posterior's width.
        short = np.sqrt(2 * q.error) * 2
        assert abs(m + rate - x) * np.sqrt(s) <= short, f"E[grad U] = {m + rate - x:.3g} at x = {x}"
        assert abs(s * (1 + rate) - 1) <= 2 * short, f"S E[A] = {s * (1 + rate)} at x = {x}"


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_start_chooses_among_stationary_points(sign):
    model = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=0.1), 1)
    q = stationary_posterior(model, [1.0], start=Posterior([sign * 0.9], scale=0.1))
    assert q.status == "reached", f"status {q.status}, deficit {q.deficit:.3g}"
    assert sign * q.loc[0] > 0.5, f"started at {sign * 0.9}, ended at {q.loc[0]}"
    default = stationary_posterior(model, [1.0])
    off = abs(q.value - default.value)
    assert off <= q.error + default.error, f"two mirror images differ by {off:.3g}"
    again = stationary_posterior(model, [1.0], start=q)
    off = abs(again.value - q.value)
    assert off <= again.error + q.error, f"started from the result, it moved by {off:.3g} nats"


def test_a_search_that_stalls_does_not_spend_its_patience_with_every_rule():
    # From a Gaussian over both modes of z^2 the iteration ends where nothing is stationary.
    model = LatentModel(decoders.Polynomial([[2]], [[1.0]]), likelihoods.Gaussian(scale=0.1), 1)
    q = stationary_posterior(model, [[1.0]], start=Posterior([[0.0]], scale=[[1.0]]))
    assert q.status.tolist() == ["not reached"], f"{q.status} after {q.iterations} steps"
    assert q.deficit[0] > 1, f"a deficit of {q.deficit[0]} nats"
    assert q.iterations <= 100, f"{q.iterations} steps for a point that does not move"
