"""Results and families are values: they compare as such, and nobody can write into them."""

import copy
import dataclasses
import pickle

import autograd.numpy as anp
import numpy as np
import pytest

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
    exact_penalty,
    flows,
    geometry,
    likelihoods,
    log_evidence,
    stationary_posterior,
    training,
)
from vaetheory._value_equality import ByValue
from vaetheory.hessian_estimators import stein_hessian
from vaetheory.stability import largest_stable_step

X = [[0.2], [1.0]]
MODEL = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=0.5), 1)
DATA = np.stack([np.arange(40.0), np.arange(40.0) ** 2], axis=-1)


def _line(t):
    return anp.stack([t, t], axis=-1)


def _vae():
    settings = training.Settings(latent_dim=1, hidden=(4,))
    return settings.model(training.OBJECTIVES["half"], DATA, 1.5)


VALUES = {
    "Integral": lambda: log_evidence(MODEL, X),
    "elbo": lambda: elbo(MODEL, X, Posterior([[0.0], [0.5]], cov=[[0.5]])),
    "Posterior": lambda: Posterior([[0.0, 1.0]], scale=[0.5, 2.0]),
    "AggregatePosterior": lambda: AggregatePosterior([[0.0], [1.0]], cov=[[[0.5]], [[2.0]]]),
    "StationaryPosterior": lambda: stationary_posterior(MODEL, X),
    "ExactPenalty": lambda: exact_penalty(MODEL, X),
    "Penalty": lambda: constant_variance_penalty([[1.0], [4.0]]),
    "Estimate": lambda: stein_hessian([1.0, 2.0], [[0.1], [0.2]], [[0.5]]),
    "StableStep": lambda: largest_stable_step(lambda t: 4 * t, [[0.0]]),
    "BatchBound": lambda: bilbo([-1.0, -2.0], [[0.0], [1.0]], 1.0, "full"),
    "BoundedLikelihood": lambda: baggins([[0.0], [2.0]], [[0.1], [1.8]], information=1.0),
    "SmoothedDensity": lambda: flows.smoothed_log_density(flows.Cubic(1), [[0.0]], 1e-3),
    "Geodesic": lambda: geometry.geodesic(decoders.SpherePatch(1.0), [0, 0], [1, 0], [0, 0.5]),
    "Segment": lambda: geometry.geodesic_between(decoders.SpherePatch(1.0), [0, 0], [0.2, 0]),
    "ArcLength": lambda: geometry.arc_length(decoders.Affine(np.eye(2)), _line, 0.0, 1.0),
    "DecoderHessian": lambda: geometry.decoder_hessian(MODEL, [0.1], [[0.2]]),
    "MetricIdentities": lambda: likelihoods.metric_identities(likelihoods.Poisson(), [0.5]),
    "SupportRule": lambda: likelihoods.support_rule(likelihoods.Poisson(), [0.5]),
    "LatentModel": lambda: LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1), 1),
    "Gaussian": lambda: likelihoods.Gaussian(scale=[1.0, 2.0]),
    "covariance": lambda: likelihoods.Gaussian(cov=[[1.0, 0.5], [0.5, 2.0]]),
    "TanhNetwork": lambda: decoders.TanhNetwork([[[1.0]], [[2.0]]], [[0.0], [0.5]]),
    "Source": lambda: training.Source("line", DATA),
    "Split": lambda: training.split_data(training.Source("line", DATA), seed=0),
    "Units": lambda: training.Units.of(DATA, "each"),
    "Vae": _vae,
    "Density": lambda: training.density_of(_vae(), _vae().initial(0), DATA, seed=0),
    "Experiment": lambda: training.Experiment(training.Source("line", DATA), seeds=1),
}


def _arrays(value):
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from _arrays(part)
    elif dataclasses.is_dataclass(value):
        for part in vars(value).values():
            yield from _arrays(part)


@pytest.mark.parametrize("name", VALUES)
def test_values_compare_hash_and_stay(name):
    one, other = VALUES[name](), VALUES[name]()
    assert (one == other) is True, f"{name}: two of the same are unequal"
    assert hash(one) == hash(other), f"{name}: equal values of unequal hash"
    assert (one != "text") is True, f"{name}: equal to a text"
    for twin in (copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert twin == one, f"{name}: a copy is unequal"
        for array in _arrays(twin):
            assert not array.flags.writeable, f"{name}: a copy can be written to"
    for array in _arrays(one):
        if array.size:
            with pytest.raises(ValueError, match="read-only"):
                array[...] = array.flat[0]


def test_another_value_is_unequal():
    q = Posterior([[0.0]], cov=[[0.5]])
    for other in (
        Posterior([[0.1]], cov=[[0.5]]),
        Posterior([[0.0]], cov=[[0.6]]),
        AggregatePosterior([[0.0]], cov=[[0.5]]),
    ):
        assert (q == other) is False, f"{q} equals {other}"
    twins = {q, Posterior([[0.0]], cov=[[0.5]]), Posterior([[-0.0]], cov=[[0.5]])}
    assert len(twins) == 1, "a set keeps twins"


def test_nan_equals_nan_and_every_type_is_apart():
    @dataclasses.dataclass(frozen=True, eq=False)
    class Pair(ByValue):
        array: object
        number: float

    same = Pair(np.array([np.nan, -0.0]), np.nan), Pair(np.array([-np.nan, 0.0]), float("nan"))
    assert same[0] == same[1], "NaN is unlike NaN"
    assert hash(same[0]) == hash(same[1]), "equal values of unequal hash"
    assert Pair(np.array(1.0), 0.0) != Pair(np.array([1.0]), 0.0), "shapes do not count"
    box = [object()]
    assert Pair({"a": np.ones(1)}, 0.0) == Pair({"a": np.ones(1)}, 0.0), "mappings by identity"
    assert Pair(box, 0.0) == Pair(box, 0.0), "an object is unlike itself"


@pytest.mark.parametrize(
    "make",
    [
        lambda a: likelihoods.Gaussian(scale=a),
        lambda a: likelihoods.StudentT(dof=2.0, scale=a),
        lambda a: likelihoods.LogNormal(scale=a),
        lambda a: Posterior(a, scale=a),
        lambda a: decoders.Sine(a, np.ones((2, 1)), a),
        lambda a: OptimalDecoder(np.stack([a, a]), AggregatePosterior([[0.0], [1.0]], scale=1.0)),
    ],
)
def test_the_arrays_of_the_caller_are_neither_kept_nor_frozen(make):
    given = np.array([1.0, 2.0])
    made = make(given)
    kept = [a for a in vars(made).values() if isinstance(a, np.ndarray)]
    before = [a.copy() for a in kept]
    assert given.flags.writeable, "the caller's array was made read-only"
    given[...] = 7.0
    for a, b in zip(kept, before, strict=True):
        assert np.array_equal(a, b), "an array of the caller's is part of a value"


def test_results_made_by_hand_copy_their_arrays():
    value = np.zeros(2)
    found = type(log_evidence(MODEL, X))(value, value, np.array(["reached"] * 2), 3)
    value[0] = 1.0
    assert found.value.tolist() == [0.0, 0.0], "a result follows the caller's array"
    assert found.reshape((2, 1)).value.shape == (2, 1), "another shape"


def test_a_start_is_not_moved():
    start = Posterior([[0.0], [0.5]], cov=[[0.5]])
    stationary_posterior(MODEL, X, start=start)
    assert start == Posterior([[0.0], [0.5]], cov=[[0.5]]), f"the start has become {start}"
