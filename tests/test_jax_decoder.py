"""Functions of JAX as decoders: values, derivatives, and settings that stay as they were."""

import copy

import numpy as np
import pytest
from frameworks import framework

jax = framework("jax")

import jax.numpy as jnp  # noqa: E402
from jax_cases import FUNCTIONS, PARAMS, decoder, drawn, in_64_bits, mlp  # noqa: E402

from vaetheory import LatentModel, decoders, likelihoods, log_evidence  # noqa: E402
from vaetheory.jax import JaxDecoder  # noqa: E402
from vaetheory.testing import check_decoder  # noqa: E402

POINTS = np.random.default_rng(5).normal(size=(3, 2))


def widened(params):
    return jax.tree.map(lambda a: jnp.asarray(np.asarray(a), jnp.float64), params)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_are_those_of_jax(name):
    made = decoder(name)
    values = made(POINTS)
    weights = np.random.default_rng(1).normal(size=values.shape)
    jacobian, hessian = made.jacobian(POINTS), made.hessian(POINTS)
    weighted = made.weighted_hessian(POINTS, weights)
    back = np.einsum("ni,nij->nj", weights, jacobian) - made.vjp(POINTS, weights)
    assert np.abs(back).max() < 1e-12 * (1 + np.abs(jacobian).max()), "the backward pass"
    # By the mode that the bridge takes only where the other one fails.
    mode = jax.jacfwd if name == "while loop" else jax.jacrev
    with in_64_bits():
        params = widened(PARAMS)

        def one(z):
            return FUNCTIONS[name](params, z[None])[0].reshape(-1)

        own = [np.stack([f(jnp.asarray(z)) for z in POINTS]) for f in (one, mode(one))]
        own.append(np.stack([mode(mode(one))(jnp.asarray(z)) for z in POINTS]))
    for kind, found, expected in zip(
        ("values", "jacobian", "hessian"), (values, jacobian, hessian), own, strict=True
    ):
        assert found.shape == expected.shape, f"{kind} of shape {found.shape}"
        off = np.abs(found - expected).max() / (1 + np.abs(expected).max())
        assert off < 1e-13, f"{kind} off by {off:.2g}"
    off = np.abs(weighted - np.einsum("ni,nijk->njk", weights, own[2])).max()
    assert off < 1e-12 * (1 + np.abs(own[2]).sum()), f"weighted Hessian off by {off:.2g}"
    assert jnp.zeros(1).dtype == jnp.float32, "the type of new arrays has changed"


@pytest.mark.parametrize("name", ["tanh", "layer norm", "reverse mode of its own", "while loop"])
def test_the_laws_of_decoders_hold(name):
    pickling = {"pickling": "what JAX has compiled cannot be pickled"}
    check_decoder(decoder(name), 2, expected_failures=pickling)


def tanh_networks(d=2, size=6):
    """The same network by JAX, with weights in float32, and of this library."""
    params = [drawn(d, 16), drawn(16, seed=1), drawn(16, size, seed=2), drawn(size, seed=3)]
    a, b, c, e = (np.asarray(p, dtype=float) for p in params)
    own = decoders.TanhNetwork([a.T, c.T], [b, e])
    return JaxDecoder(lambda p, z: jnp.tanh(z @ p[0] + p[1]) @ p[2] + p[3], params), own


@pytest.mark.parametrize("d", [1, 2])
def test_the_evidence_is_that_of_the_same_network(d):
    by_jax, own = tanh_networks(d)
    gaussian = likelihoods.Gaussian(scale=0.3)
    rng = np.random.default_rng(0)
    X = own(rng.normal(size=(4, d))) + 0.3 * rng.normal(size=(4, 6))
    found, expected = (log_evidence(LatentModel(f, gaussian, d), X) for f in (by_jax, own))
    assert found.reached.all(), "not reached"
    assert found.nodes == expected.nodes, f"{found.nodes} evaluations for {expected.nodes}"
    off = np.abs(found.value - expected.value).max()
    assert off < 1e-12, f"off by {off:.2g}"


def test_the_evidence_is_that_of_a_dense_sum_by_jax():
    model = LatentModel(decoder("einsum"), likelihoods.Gaussian(scale=0.7), 2)
    x = model.decode(np.array([[0.3, -0.6]])) + 0.1
    with in_64_bits():
        axis = jnp.arange(-8, 8, 1 / 32)
        z = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)
        mean = FUNCTIONS["einsum"](widened(PARAMS), z).reshape(len(z), -1)
        joint = jax.scipy.stats.norm.logpdf(jnp.asarray(x), mean, 0.7).sum(-1)
        joint += jax.scipy.stats.norm.logpdf(z).sum(-1)
        dense = float(jax.scipy.special.logsumexp(joint)) - 2 * np.log(32)
    found = log_evidence(model, x)
    assert abs(found.value[0] - dense) < 1e-11, f"{found.value[0]} for {dense}"
    assert abs(found.value[0] - dense) < found.error[0] + 1e-12, "outside of its error"


def settings():
    return (
        jax.config.jax_enable_x64,
        jax.config.jax_debug_nans,
        jax.config.jax_numpy_dtype_promotion,
        jnp.zeros(1).dtype,
        jnp.asarray(1.0).dtype,
    )


def test_settings_of_jax_are_as_before():
    before = settings()
    made = decoder("tanh")
    assert settings() == before, "changed by making it"
    for call in (made, made.jacobian, made.hessian):
        call(POINTS)
        assert settings() == before, "changed by a call"
    with pytest.raises(ValueError, match="random"):
        JaxDecoder(lambda z: z + jax.random.normal(jax.random.key(0), z.shape))(POINTS)
    assert settings() == before, "changed by an error"
    assert not before[0], "the test needs the 32 bits of the start"


@pytest.mark.parametrize(
    "around",
    [
        in_64_bits,
        lambda: jax.debug_nans(True),
        lambda: jax.numpy_dtype_promotion("strict"),
        lambda: jax.transfer_guard("disallow"),
        jax.disable_jit,
        lambda: jax.default_matmul_precision("bfloat16"),
    ],
    ids=["x64", "NaNs", "promotion", "transfers", "no jit", "precision"],
)
def test_what_is_set_around_it_changes_nothing(around):
    expected = decoder("tanh")(POINTS)
    with around():
        made = decoder("tanh")
        assert (made(POINTS) == expected).all(), "other values"
        made.weighted_hessian(POINTS, np.ones((3, 5)))
        overflowing = JaxDecoder(lambda z: jnp.exp(1e3 * z) - jnp.exp(1e3 * z))
        assert np.isnan(overflowing([[1.0]])).all(), "the case lost its point"


def test_the_parameters_are_left_as_they_were():
    params = {
        "single": np.ones((2, 3), np.float32),
        "double": np.ones(3),
        "of jax": drawn(3),
        "number": 0.5,
        "flag": True,
        "none": None,
        "count": np.arange(3),
    }
    before, objects = copy.deepcopy(params), dict(params)

    def decode(p, z):
        return z @ p["single"] * p["number"] + p["double"] * p["of jax"] + p["count"]

    made = JaxDecoder(decode, params)
    first = made(POINTS)
    made.hessian(POINTS)
    for name, value in before.items():
        assert params[name] is objects[name], f"{name} was replaced"
        assert np.array_equal(np.asarray(params[name]), np.asarray(value)), f"{name} changed"
        assert getattr(params[name], "dtype", None) == getattr(value, "dtype", None), name
    params["single"][:] = 7.0
    params["double"][:] = 7.0
    assert (made(POINTS) == first).all(), "later training counts"


def test_few_sizes_are_compiled():
    traced = []

    def decode(p, z):
        traced.append(z.shape)
        return mlp(p, z)

    made = JaxDecoder(decode, PARAMS)
    expected = decoder("tanh")
    rng = np.random.default_rng(0)
    for count in [*range(1, 90, 4), 126, 127, 128, 129, 333, 1000, 1024, 1025, 2500, 5000]:
        z = rng.normal(size=(count, 2))
        assert made(z).shape == (count, 5), f"{count} rows"
        off = np.abs(made(z) - expected(z)).max()
        assert off < 1e-14, f"{count} rows off by {off:.2g}"
    sizes = {shape[0] for shape in traced}
    assert sizes <= {64, 128, 256, 512, 1024}, f"compiled for {sizes}"
    assert len(traced) < 12, f"traced {len(traced)} times"


def test_parts_make_the_same_as_the_whole(monkeypatch):
    whole, parts = decoder("convolution"), decoder("convolution")
    z = np.random.default_rng(0).normal(size=(300, 2))
    weights = np.random.default_rng(1).normal(size=whole(z).shape)
    expected = whole(z), whole.jacobian(z), whole.weighted_hessian(z, weights)
    expected = *expected, whole.vjp(z, weights)
    monkeypatch.setattr("vaetheory.jax._decoder._NUMBERS", 1)
    found = parts(z), parts.jacobian(z), parts.weighted_hessian(z, weights), parts.vjp(z, weights)
    for one, other in zip(expected, found, strict=True):
        assert np.allclose(one, other, rtol=1e-13, atol=1e-13), "parts differ"


@pytest.mark.parametrize("shape", [(2,), (0, 2), (1, 2), (2, 3, 2)])
def test_any_number_of_leading_axes(shape):
    made = decoder("tanh")
    z = np.random.default_rng(0).normal(size=shape)
    lead = shape[:-1]
    assert made(z).shape == (*lead, 5), made(z).shape
    assert made.jacobian(z).shape == (*lead, 5, 2), "the Jacobian"
    assert made.hessian(z).shape == (*lead, 5, 2, 2), "the Hessian"
    assert made.weighted_hessian(z, np.ones((*lead, 5))).shape == (*lead, 2, 2), "weighted"
    assert made.vjp(z, np.ones((*lead, 5))).shape == (*lead, 2), "the backward pass"


def test_functions_of_one_point():
    one = JaxDecoder(lambda p, z: mlp(p, z).reshape(5, 1), PARAMS, batched=False)
    assert np.allclose(one(POINTS), decoder("tanh")(POINTS), rtol=1e-14), "other values"
    assert one.event_shape == (5, 1), one.event_shape


def test_data_of_the_shape_of_the_outputs_are_read_in_their_order():
    model = LatentModel(decoder("attention"), likelihoods.Gaussian(scale=0.5), 2)
    flat = np.random.default_rng(0).normal(size=(3, 8))
    images = flat.reshape(3, 4, 2)
    expected = log_evidence(model, flat).value
    assert model.decoder.event_shape == (4, 2), model.decoder.event_shape
    assert model.decoder.latent_dim == 2, model.decoder.latent_dim
    with in_64_bits():
        of_jax = jnp.asarray(images)
    for X in (images, of_jax, list(of_jax), images.tolist()):
        assert (log_evidence(model, X).value == expected).all(), type(X).__name__
    assert log_evidence(model, images[0]).value.shape == (), "one image is one datum"
    with pytest.raises(ValueError, match=r"X: expected shape \(\.\.\., 8\)"):
        log_evidence(model, images[:, :2])


@pytest.mark.parametrize(
    "kind", ["float32", "float16", "bfloat16", "float8_e4m3fn", "int32", "uint8", "bool"]
)
def test_arrays_of_jax_are_data_wherever_data_are_taken(kind):
    X = jnp.ones((2, 3), kind)
    model = LatentModel(decoders.Affine(np.eye(3)[:, :1]), likelihoods.Gaussian(scale=0.5), 1)
    expected = log_evidence(model, np.ones((2, 3))).value
    for given in (X, np.asarray(X), list(X)):
        assert (log_evidence(model, given).value == expected).all(), type(given).__name__
    assert likelihoods.Poisson().log_prob(X, np.zeros(3)).tolist() == [-3.0, -3.0], "by a family"


def test_decoders_are_equal_only_to_themselves():
    one, other = decoder("tanh"), decoder("tanh")
    assert one != other, "equality is by identity"
    assert copy.deepcopy(one) is one, "a copy"


def test_a_change_of_the_latent_keeps_the_shape_of_data():
    turned = decoders.Reparametrised(decoder("attention"), np.eye(2))
    turned(POINTS)
    assert turned.event_shape == (4, 2), turned.event_shape


def test_a_function_may_have_no_parameters():
    made = JaxDecoder(lambda z: jnp.sin(z) * PARAMS["b"][:2])
    expected = np.sin(POINTS) * np.asarray(PARAMS["b"][:2], float)
    assert np.allclose(made(POINTS), expected, rtol=1e-15), "other values"


def test_the_weights_of_a_partial_are_copied():
    made = JaxDecoder(jax.tree_util.Partial(mlp, PARAMS))
    assert np.allclose(made(POINTS), decoder("tanh")(POINTS), rtol=1e-14), "other values"
