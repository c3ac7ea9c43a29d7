"""Outputs of encoders of JAX as posteriors: arrays, and distributions by names of classes."""

import numpy as np
import pytest
from frameworks import framework

jax = framework("jax")
import jax.numpy as jnp  # noqa: E402

from vaetheory import Posterior  # noqa: E402
from vaetheory.jax import posterior_of  # noqa: E402

LOC = jnp.array([[0.0, 1.0], [2.0, -1.0]])
STD = jnp.array([[0.5, 2.0], [0.25, 1.5]])
LOWER = jnp.array([[1.0, 0.0], [0.5, 2.0]])


class _Distribution:
    """What numpyro, distrax and TensorFlow Probability have in common."""

    def __init__(self, **parts):
        vars(self).update(parts)

    def log_prob(self, value):
        raise AssertionError("a posterior is read, and not evaluated")


class Normal(_Distribution):
    pass


class LogStddevNormal(Normal):
    pass


class LogNormal(_Distribution):
    pass


class Independent(_Distribution):
    pass


class MultivariateNormal(_Distribution):
    pass


class LowRankMultivariateNormal(_Distribution):
    pass


class MultivariateNormalDiag(_Distribution):
    def covariance(self):
        return self.scale_diag[..., None] ** 2 * jnp.eye(2)


@pytest.mark.parametrize(
    "posterior",
    [
        lambda: posterior_of(LOC, std=STD),
        lambda: posterior_of(LOC, var=STD**2),
        lambda: posterior_of(LOC, logstd=np.log(np.asarray(STD, dtype=float))),
        lambda: posterior_of(LOC.astype(jnp.bfloat16), logvar=2 * np.log(np.asarray(STD, float))),
        lambda: posterior_of(Normal(loc=LOC, scale=STD)),
        lambda: posterior_of(LogStddevNormal(loc=LOC, scale=STD)),
        lambda: posterior_of(Independent(base_dist=Normal(loc=LOC, scale=STD))),
        lambda: posterior_of(Independent(distribution=Normal(loc=LOC, scale=STD))),
        lambda: posterior_of(MultivariateNormal(loc=LOC, scale_tril=STD[..., None] * jnp.eye(2))),
        lambda: posterior_of(MultivariateNormalDiag(loc=LOC, scale_diag=STD)),
        lambda: posterior_of(
            LowRankMultivariateNormal(loc=LOC, cov_factor=jnp.zeros((2, 1)), cov_diag=STD**2)
        ),
    ],
)
def test_posteriors_have_one_full_covariance_a_datum(posterior):
    # With N = d a stack of diagonals could be read as one shared matrix.
    q = posterior()
    assert isinstance(q, Posterior), type(q)
    assert q.loc.dtype == q.cov.dtype == np.float64, "less than double precision"
    expected = np.asarray(STD, dtype=float)[..., None] ** 2 * np.eye(2)
    assert np.allclose(q.cov, expected, rtol=1e-15, atol=0), q.cov
    assert (q.loc == np.asarray(LOC, dtype=float)).all(), q.loc


def test_what_is_shared_goes_with_every_datum():
    lower = np.asarray(LOWER, dtype=float)
    for factor in (LOWER, LOWER[None]):
        q = posterior_of(MultivariateNormal(loc=jnp.zeros((3, 2)), scale_tril=factor))
        assert np.allclose(q.cov, [lower @ lower.T] * 3, rtol=1e-15), q.cov
    wide = jnp.ones((2, 1))
    shared = LowRankMultivariateNormal(loc=jnp.zeros((3, 2)), cov_factor=wide, cov_diag=jnp.ones(2))
    assert np.allclose(posterior_of(shared).cov, [[[2.0, 1.0], [1.0, 2.0]]] * 3), "another cov"
    q = posterior_of(Normal(loc=jnp.zeros(()), scale=STD))
    assert q.loc.shape == (2, 2), f"means of shape {q.loc.shape}"


@pytest.mark.parametrize(
    ("output", "spread", "message"),
    [
        ((LOC, STD), {}, r"got a tuple of 2: name its parts, as in `loc, logvar = encoder\(x\)`"),
        (LOC, {}, "exactly one of logvar, logstd, std, var with the means, got none"),
        (LOC, {"std": STD, "var": STD}, "got std and var"),
        (LOC, {"std": -STD}, "std: expected positive numbers, got -2"),
        (LOC, {"var": STD[0]}, r"var: expected the shape of the means \(2, 2\), got \(2,\)"),
        (LOC, {"logvar": STD * jnp.nan}, "logvar: expected finite numbers, got nan"),
        (Normal(loc=LOC, scale=STD), {"std": STD}, "expected means to go with std, got the distr"),
        (LogNormal(loc=LOC, scale=STD), {}, "expected a Normal, .*got .*LogNormal"),
    ],
)
def test_encoders_that_say_too_little_or_too_much(output, spread, message):
    with pytest.raises(ValueError, match=message):
        posterior_of(output, **spread)


def test_traced_means_are_refused():
    with pytest.raises(ValueError, match="encoder_output: expected"):
        jax.jit(lambda loc: posterior_of(loc, std=1.0).loc)(LOC)
