"""Models and 30-digit helpers that the tests of the ELBO and of its stationary points share."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mpmath import mp

from vaetheory import LatentModel, decoders, likelihoods

OPERATIONS = 200
DIGITS = 40


def integers(shape, low, high):
    return arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda a: a.astype(float))


def exact(array):
    """A float array as a matrix of mpmath: no digit is lost."""
    return mp.matrix(np.atleast_2d(array).tolist())


def normal_log_density(x, loc, cov):
    """log N(x; loc, cov) of columns, in mpmath."""
    r = x - loc
    return -((r.T * mp.inverse(cov) * r)[0] + len(x) * mp.log(2 * mp.pi) + mp.log(mp.det(cov))) / 2


def divergence_from_prior(m, S):
    d = len(m)
    trace = mp.fsum(S[i, i] for i in range(d))
    return (trace + (m.T * m)[0] - d - mp.log(mp.det(S))) / 2


@st.composite
def linear(draw, most=3, posterior=True):
    """Decoder, likelihood, one datum and (loc, cov), all in small binary fractions."""
    d, size = draw(st.integers(1, most)), draw(st.integers(1, 4))
    weight, bias = draw(integers((size, d), -4, 4)) / 2, draw(integers(size, -4, 4)) / 2
    x = draw(integers(size, -8, 8)) / 2
    form = draw(st.sampled_from(["number", "small", "vector", "cov"]))
    if form == "cov":
        factor = draw(integers((size, size), -2, 2)) / 2
        likelihood = likelihoods.Gaussian(cov=factor @ factor.T + np.eye(size) / 4)
    elif form == "vector":
        likelihood = likelihoods.Gaussian(scale=2.0 ** draw(integers(size, -4, 1)))
    else:
        likelihood = likelihoods.Gaussian(scale=1.0 if form == "number" else 2.0**-10)
    model = LatentModel(decoders.Affine(weight, bias), likelihood, d)
    if not posterior:
        return model, x
    factor = draw(integers((d, d), -2, 2)) / 2
    loc, cov = draw(integers(d, -4, 4)) / 2, factor @ factor.T + np.eye(d) / 4
    return model, x, loc, cov


FAMILIES = {
    "Gaussian": (likelihoods.Gaussian(scale=0.5), [[1.0, -0.5], [4.0, 0.0]]),
    "Bernoulli": (likelihoods.Bernoulli(), [[1.0, 0.0], [1.0, 1.0]]),
    "Poisson": (likelihoods.Poisson(), [[2.0, 0.0], [9.0, 1.0]]),
    "Gamma": (likelihoods.Gamma(shape=2.0), [[0.5, 2.0], [4.0, 0.1]]),
    "Categorical": (likelihoods.Categorical(), [[1.0, 0.0], [0.0, 1.0]]),
}
NETWORKS = {
    1: decoders.TanhNetwork(
        [[[1.0], [2.0]], [[1.0, -1.0], [0.5, 1.0]]], [[0.5, -0.5], [0.0, 0.25]]
    ),
    2: decoders.TanhNetwork(
        [[[1.0, 0.5], [-0.5, 1.5], [1.0, -1.0]], [[1.0, -1.0, 0.5], [0.5, 1.0, 1.0]]],
        [[0.5, -0.5, 0.0], [0.0, 0.25]],
    ),
}
