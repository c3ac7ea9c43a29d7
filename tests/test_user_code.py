"""Decoders and likelihoods of the user's own: what is found at construction, and in what words."""

import autograd.numpy as anp
import numpy as np
import pytest
from user_families import Logistic

from vaetheory import LatentModel, decoders, flows, likelihoods, log_evidence, posterior_expectation

GAUSSIAN = likelihoods.Gaussian(scale=0.5)


class Tensor:
    """What a tensor of another library looks like from here."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype=dtype)

    def detach(self):
        return self

    def numpy(self):
        return self.values


def refuse_tracers(z):
    """As a conversion to another library's tensors does: it takes numbers only."""
    if not all(isinstance(v, float) for v in np.ravel(z).tolist()):
        raise TypeError("object of type 'numpy.float64' has no len()")
    return np.tanh(z)


def in_single_precision(z):
    return anp.tanh(z.astype(np.float32) * np.float32(1.7)).astype(np.float64)


def dropout(share, *, together, seed=0):
    rng = np.random.default_rng(seed)

    def decode(z):
        shape = (3,) if together else (*np.shape(z)[:-1], 3)
        return anp.tanh(z * anp.array([1.0, 2.0, 3.0])) * (rng.random(shape) > share)

    return decode


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (lambda z: Tensor(np.tanh(z)), "got a .*Tensor, which autograd cannot trace"),
        (refuse_tracers, "which autograd can trace, got TypeError: .* has no len.*PyTorch"),
        (lambda z: np.tanh(z).astype(np.float32), "got float32: the precision of float32"),
        (in_single_precision, "computed in float64, got some with noise of .*the precision of"),
        (lambda z: np.ma.masked_less(anp.sin(z), 0.0), "without masked entries"),
        (lambda z: [1.0, [2.0]], "expected arrays of numbers"),
    ],
    ids=["tensor", "traced", "float32", "cast", "masked", "ragged"],
)
def test_the_cause_is_named_at_construction(decoder, message):
    with pytest.raises(ValueError, match=message):
        LatentModel(decoder, GAUSSIAN, 1)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("together", [False, True])
def test_dropout_never_passes_by_chance(together, seed):
    with pytest.raises(ValueError, match=r"the same outputs for the same latents.*random"):
        LatentModel(dropout(0.5, together=together, seed=seed), GAUSSIAN, 1)


@pytest.mark.parametrize("along", [lambda z: z, lambda z: z[::-1]], ids=["forward", "backward"])
def test_what_runs_along_the_points_is_found(along):
    # As a recurrent network does that takes the batch for a sequence: one end is as if alone.
    def decode(z):
        if z.ndim != 2:
            return anp.tanh(z)
        return along(anp.cumsum(along(anp.tanh(z)), axis=0))

    with pytest.raises(ValueError, match="expected to work row by row"):
        LatentModel(decode, GAUSSIAN, 1)


def test_little_dropout_in_rows_is_found_too():
    # Of 192 outputs computed twice none differs with a chance of (1 - 0.1 * 0.95)^192 < 1e-8.
    for seed in range(10):
        with pytest.raises(ValueError, match="random"):
            LatentModel(dropout(0.05, together=False, seed=seed), GAUSSIAN, 1)


def test_an_own_decoder_is_tried_as_a_function_is():
    class Single(decoders.Affine):
        def jacobian(self, z):
            return super().jacobian(z).astype(np.float32)

    class Stale(decoders.Affine):
        def jacobian(self, z):
            return 2 * super().jacobian(z)

    for kind, message in ((Single, "decoder.jacobian: .* float32"), (Stale, "`jacobian` to be")):
        with pytest.raises(ValueError, match=message):
            LatentModel(kind([[1.0]]), GAUSSIAN, 1)


@pytest.mark.parametrize(
    "decoder",
    [
        lambda z: anp.sin(1e5 * z),
        lambda z: anp.maximum(z - 0.8, 0.0),
        lambda z: 1.0 * (z > 0.3),
        lambda z: anp.floor(100 * z) / 128,
        lambda z: (z + 1e6) - 1e6,
        lambda z: 1e6 * z**3,
        lambda z: anp.abs(z),
        lambda z: np.ones(np.shape(z), dtype=int),
    ],
)
@pytest.mark.parametrize("dim", [1, 2])
def test_rough_steep_and_rounded_decoders_are_not_mistaken_for_single_precision(decoder, dim):
    model = LatentModel(decoder, GAUSSIAN, dim)
    assert model.data_dim == dim, f"{model.data_dim} outputs of {dim}"


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        (lambda x: (np.full_like(x, -np.inf), np.zeros_like(x)), "finite curvature_bounds"),
        (lambda x: (np.full_like(x, np.nan), np.zeros_like(x)), "finite curvature_bounds"),
        (lambda x: (-1.0, 1.0), "curvature_bounds of shape"),
        (lambda x: None, "to return low and high"),
        (lambda x: (np.ones_like(x), -np.ones_like(x)), "low <= high"),
        (lambda x: (np.full_like(x, -0.05), np.full_like(x, 0.05)), "that hold for all params"),
        # 0.9 of the true ones, -(1 + 1/3) / 0.25 and an eighth of that.
        (lambda x: (np.full_like(x, -4.8), np.full_like(x, 10.0)), "that hold for all params"),
        (lambda x: (np.full_like(x, -1e3), np.full_like(x, 0.6)), "that hold for all params"),
    ],
)
def test_false_curvature_bounds_are_refused(bounds, message):
    class Own(likelihoods.StudentT):
        def curvature_bounds(self, x):
            return bounds(x)

    with pytest.raises(ValueError, match=message):
        LatentModel(anp.sin, Own(dof=3.0, scale=0.5), 1)


@pytest.mark.parametrize(
    "family",
    [
        likelihoods.StudentT(dof=dof, scale=scale)
        for dof, scale in ((1e-3, 1e-6), (1.0, 1.0), (1e9, 1e6))
    ]
    + [likelihoods.Beta(concentration=c) for c in (1e-3, 1.0, 3.0, 1e6)]
    + [likelihoods.VonMises(concentration=c) for c in (1e-3, 2.0, 1e8)]
    + [likelihoods.NegativeBinomial(shape=r) for r in (1e-6, 2.0, 1e9)],
    ids=str,
)
@pytest.mark.parametrize("size", [1, 40])
def test_true_curvature_bounds_pass(family, size):
    model = LatentModel(decoders.Affine(np.ones((size, 1))), family, 1)
    assert model.data_dim == size, f"{model.data_dim} outputs of {size}"


def test_a_coupling_tries_its_conditioner():
    with pytest.raises(ValueError, match="conditioner: expected the same outputs"):
        flows.Coupling([True, False, False, False], dropout(0.5, together=False))


def test_observables_are_tried_too():
    model = LatentModel(decoders.Affine([[1.0]]), GAUSSIAN, 1)
    for h, message in (
        (1.0, "h: expected a callable"),
        (lambda z: None, "h: expected real numbers"),
        (lambda z: np.full(z.shape[:-1], np.nan), "h: expected numbers, got NaN"),
        (lambda z: Tensor(z[..., 0]), "h: expected NumPy arrays"),
    ):
        with pytest.raises(ValueError, match=message):
            posterior_expectation(model, [[0.5]], h)


def test_decoders_that_overflow_far_out_are_still_integrated():
    # At three times the prior's width exp(z^4) and its slope overflow, and tanh has none left.
    model = LatentModel(lambda z: anp.tanh(anp.exp(z**4) - 1), GAUSSIAN, 1)
    found = log_evidence(model, [[0.5]])
    z = np.linspace(-9.0, 9.0, 400_001)
    with np.errstate(over="ignore"):
        f = np.tanh(np.exp(z**4) - 1)
    terms = np.exp(-0.5 * z**2 - 0.5 * ((0.5 - f) / 0.5) ** 2) / (2 * np.pi * 0.5)
    expected = np.log(terms.sum() * (z[1] - z[0]))
    off = abs(found.value[0] - expected)
    assert off <= found.error[0] + 1e-9, f"{found.value[0]}, not {expected}: off by {off:.3g}"


def _saturated(z):
    return 1e6 * anp.tanh(300 * z + 40) + 1e8


def _overflowing_within(z):
    return 1 / (1 + anp.exp(-1000 * (z + 5)))


def _cancelling(z):
    return (anp.sin(0.01 * z) + 1e6) - 1e6 + z


def _softmax(z):
    u = anp.exp(anp.concatenate([z, -60 - z, 0 * z], axis=-1))
    return u / anp.sum(u, axis=-1, keepdims=True)


def _kinks_whose_hessian_is_rounding(z):
    return anp.tanh(anp.abs(3.1 * z + 0.7) - anp.abs(3.1 * z - 0.2) - 0.9 + 0 * z)


@pytest.mark.parametrize(
    "function",
    [_saturated, _overflowing_within, _cancelling, _softmax, _kinks_whose_hessian_is_rounding],
    ids=lambda f: f.__name__[1:],
)
def test_derivatives_that_are_rounding_are_not_called_wrong(function):
    model = LatentModel(function, likelihoods.Gaussian(scale=0.5), 1)
    assert model.latent_dim == 1, "a decoder whose values are right is taken"


@pytest.mark.parametrize("seed", range(8))
def test_networks_of_any_size_of_weight_are_taken(seed):
    rng = np.random.default_rng(seed)
    act = (anp.tanh, anp.abs, anp.sin, lambda u: anp.maximum(u, 0.0))[seed % 4]
    w, b = 10 ** rng.uniform(-3, 3) * rng.normal(size=(2, 2, 16))
    v = 10 ** rng.uniform(-6, 6) * rng.normal(size=(16, 8))
    offset = 10 ** rng.uniform(-3, 8) * rng.normal(size=8)
    model = LatentModel(
        lambda z: act(z @ w + b[0]) @ v + offset, likelihoods.Gaussian(scale=0.5), 2
    )
    assert model.data_dim == 8, "an ordinary network is taken"


class Moving(Logistic):
    """It moves its params in place, as a user may who saves memory."""

    def _log_prob(self, x, params):
        params -= 0.25
        return super()._log_prob(x, params)


class MovingData(Logistic):
    def _score(self, x, params):
        np.subtract(x, params, out=x)
        return np.tanh(x / (2 * self.scale)) / self.scale


class MovingLatents(decoders.Decoder):
    def __call__(self, z):
        z *= 2
        return np.tanh(z)

    def jacobian(self, z):
        return 2 * (1 - np.tanh(2 * z) ** 2)[..., None]

    def hessian(self, z):
        return (-8 * np.tanh(2 * z) * (1 - np.tanh(2 * z) ** 2))[..., None, None]


def moving(z):
    z += 1
    return anp.tanh(z)


IN_PLACE = "expected arguments that stay as they are, got a change in place: write x = x"


@pytest.mark.parametrize(
    ("use", "name"),
    [
        (lambda: LatentModel(decoders.Affine([[1.0]]), Moving(0.5), 1), "Moving._log_prob"),
        (
            lambda: log_evidence(LatentModel(decoders.Affine([[1.0]]), MovingData(0.5), 1), [[1]]),
            "MovingData._score",
        ),
        (lambda: LatentModel(MovingLatents(), GAUSSIAN, 1), "MovingLatents.__call__"),
        (lambda: LatentModel(moving, GAUSSIAN, 1), "decoder"),
        (
            lambda: posterior_expectation(
                LatentModel(decoders.Affine([[1.0]]), GAUSSIAN),
                [[1.0]],
                lambda z: moving(z)[..., 0],
            ),
            "h",
        ),
    ],
)
def test_what_changes_its_arguments_is_refused(use, name):
    with pytest.raises(ValueError, match=f"^{name}: {IN_PLACE}"):
        use()


def test_users_arrays_stay_writeable_and_unchanged():
    z, x = np.zeros((2, 1)), np.ones((2, 1))
    family = Moving(0.5)
    with pytest.raises(ValueError, match=IN_PLACE):
        family.log_prob(x, z)
    assert x.flags.writeable and z.flags.writeable, "an array of the caller is frozen"  # noqa: PT018
    assert (z == 0).all(), f"the params were moved to {z.tolist()}"


def test_a_function_may_return_its_argument():
    same = LatentModel(lambda z: z, GAUSSIAN, 2)
    affine = LatentModel(decoders.Affine(np.eye(2)), GAUSSIAN)
    one, other = (log_evidence(m, [[0.3, -1.0]]) for m in (same, affine))
    assert abs(one.value - other.value)[0] <= (one.error + other.error)[0], "another evidence"
    assert same.decode(np.zeros((1, 2))).flags.writeable, "an output that cannot be changed"
