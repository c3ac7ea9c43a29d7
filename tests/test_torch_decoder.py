"""PyTorch modules as decoders: values, derivatives, and a module that is left as it was."""

import contextlib
import itertools

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

from torch_cases import KINKED, SMOOTH, Called  # noqa: E402

from vaetheory import LatentModel, decoders, likelihoods, log_evidence  # noqa: E402
from vaetheory.testing import check_decoder  # noqa: E402
from vaetheory.torch import TorchDecoder  # noqa: E402

LAYERS = {**SMOOTH, **KINKED}
POINTS = np.random.default_rng(5).normal(size=(3, 2))
DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, -0.8]])


def made(name, seed=0):
    torch.manual_seed(seed)
    return LAYERS[name]()


def extrapolated(quotient, step):
    """The limit of a quotient of even order in the step, by Richardson's scheme."""
    rows = [quotient(step / 2**k) for k in range(5)]
    for order in range(1, 5):
        rows = [
            (4**order * fine - coarse) / (4**order - 1) for coarse, fine in itertools.pairwise(rows)
        ]
    return rows[0]


def slopes(f, z, v, kinked):
    """First and second derivatives of f along v by differences of its values alone."""
    if kinked:
        # Between kinks a small step has nothing to extrapolate; what is not linear is smooth.
        first = (f(z + 1e-5 * v) - f(z - 1e-5 * v)) / 2e-5
        second = (f(z + 1e-4 * v) - 2 * f(z) + f(z - 1e-4 * v)) / 1e-8
        return first, second, 1e-7, 1e-5
    first = extrapolated(lambda h: (f(z + h * v) - f(z - h * v)) / (2 * h), 0.05)
    second = extrapolated(lambda h: (f(z + h * v) - 2 * f(z) + f(z - h * v)) / h**2, 0.1)
    return first, second, 1e-8, 1e-6


@pytest.mark.parametrize("name", LAYERS)
def test_derivatives_are_those_of_the_values(name):
    decoder = TorchDecoder(made(name))
    size = decoder(POINTS).shape[-1]
    weights = np.random.default_rng(1).normal(size=(len(POINTS), size))
    jacobian, hessian = decoder.jacobian(POINTS), decoder.hessian(POINTS)
    weighted = decoder.weighted_hessian(POINTS, weights)
    back = np.einsum("ni,nij->nj", weights, jacobian) - decoder.vjp(POINTS, weights)
    assert np.abs(back).max() < 1e-12 * (1 + np.abs(jacobian).max()), "the backward pass"
    assert jacobian.shape == (3, size, 2), f"a Jacobian of shape {jacobian.shape}"
    assert hessian.shape == (3, size, 2, 2), f"a Hessian of shape {hessian.shape}"
    for v in DIRECTIONS:
        first, second, near, nearer = slopes(decoder, POINTS, v, name in KINKED)
        off = np.abs(jacobian @ v - first).max() / (1 + np.abs(first).max())
        assert off < near, f"Jacobian off by {off:.2g} along {v}"
        bend = np.einsum("ndjk,j,k->nd", hessian, v, v)
        off = np.abs(bend - second).max() / (1 + np.abs(second).max())
        assert off < nearer, f"Hessian off by {off:.2g} along {v}"
    summed = np.einsum("nd,ndjk->njk", weights, hessian)
    off = np.abs(weighted - summed).max()
    assert off < 1e-11 * (1 + np.abs(hessian).max() * size), f"weighted Hessian off by {off:.2g}"


@pytest.mark.parametrize("name", LAYERS)
def test_values_are_those_of_the_module(name):
    module = made(name).eval()
    with torch.no_grad():
        own = module(torch.tensor(POINTS, dtype=torch.float32)).flatten(1).double().numpy()
    off = np.abs(TorchDecoder(module)(POINTS) - own).max()
    assert off < 2e-6 * (1 + np.abs(own).max()), f"off by {off:.2g}, more than float32 is"


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_makes_a_model(name):
    model = LatentModel(made(name), likelihoods.Gaussian(scale=0.5), 2)
    assert isinstance(model.decoder, TorchDecoder), "the module was not recognised"


@pytest.mark.parametrize("name", ["LayerNorm", "ConvTranspose2d", "BatchNorm1d", "tied", "ReLU"])
def test_the_laws_of_decoders_hold(name):
    check_decoder(TorchDecoder(made(name)), 2)


def state(module):
    """All that may be seen of a module, tensors as they are."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return (
        {name: (t.clone(), t.dtype, t.requires_grad, t.data_ptr()) for name, t in tensors.items()},
        {name: part.training for name, part in module.named_modules()},
        {
            name: [list(v) for k, v in vars(part).items() if k.endswith("_hooks")]
            for name, part in module.named_modules()
        },
        {name: t.grad is None for name, t in module.named_parameters()},
    )


def assert_the_same(before, after):
    for one, other in zip(before[1:], after[1:], strict=True):
        assert one == other, f"changed from {one} to {other}"
    assert before[0].keys() == after[0].keys(), "other tensors than before"
    for name, (tensor, *kept) in before[0].items():
        assert torch.equal(tensor, after[0][name][0]), f"{name} has other numbers"
        assert kept == list(after[0][name][1:]), f"{name} changed"


@pytest.mark.parametrize("training", [True, False])
def test_the_module_is_left_bit_identical(training):
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(2, 6),
        torch.nn.BatchNorm1d(6),
        torch.nn.Dropout(0.5),
        torch.nn.GELU(),
        torch.nn.Linear(6, 3),
    ).train(training)
    module[0].weight.requires_grad_(False)
    module[3].register_forward_hook(lambda m, args, out: 2 * out)
    module[3].register_full_backward_hook(lambda m, into, out: None)
    module(torch.randn(4, 2)).sum().backward()
    before, drawn = state(module), torch.get_rng_state()
    model = LatentModel(module, likelihoods.Gaussian(scale=0.3), 2)
    result = log_evidence(model, [[0.3, -0.2, 0.1]])
    assert result.reached.all(), "an evidence was not reached"
    assert_the_same(before, state(module))
    assert torch.equal(drawn, torch.get_rng_state()), "random numbers were drawn"


def test_what_is_trained_later_does_not_count():
    module = torch.nn.Linear(2, 3)
    decoder = TorchDecoder(module)
    before = decoder(POINTS)
    with torch.no_grad():
        module.weight.zero_()
    assert (decoder(POINTS) == before).all(), "the copy has changed with the module"


def test_hooks_that_say_what_the_values_are_count():
    module = torch.nn.Linear(2, 3)
    plain = TorchDecoder(module)(POINTS)
    module.register_forward_hook(lambda m, args, out: 2 * out)
    assert np.allclose(TorchDecoder(module)(POINTS), 2 * plain), "the hook was lost"


def test_results_of_forward_that_a_module_keeps_are_copied():
    module = made("unregistered")
    module(torch.randn(3, 2))
    assert module.kept.grad_fn is not None, "the case lost its point"
    assert TorchDecoder(module)(POINTS).shape == (3, 6), "a kept result was in the way"
    assert module.kept.grad_fn is not None, "the kept result has lost its graph"


def test_what_a_module_keeps_besides_its_weights_is_not_judged():
    module = torch.nn.Linear(2, 3)
    module.last_loss = torch.tensor(torch.nan, dtype=torch.bfloat16)
    module.history = [torch.full((2,), torch.nan)]
    assert np.isfinite(TorchDecoder(module)(POINTS)).all(), "a kept result was in the way"
    assert module.last_loss.dtype == torch.bfloat16, "a kept result was converted"


def test_the_dimension_of_the_latents_may_be_the_modules_own():
    module = torch.nn.Linear(2, 3)
    with pytest.raises(ValueError, match="latent_dim: expected the dimension of z"):
        LatentModel(module, likelihoods.Gaussian(scale=1.0))
    module.latent_dim = 2
    model = LatentModel(module, likelihoods.Gaussian(scale=1.0))
    assert model.latent_dim == model.decoder.latent_dim == 2, model.latent_dim


class Vae(torch.nn.Module):
    """As people write them."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = torch.nn.Linear(16, 4), torch.nn.Linear(2, 16)

    def decode(self, z):
        return torch.sigmoid(self.decoder(z)).reshape(-1, 1, 4, 4), z

    def picture(self, z):
        return self.decode(z)[0]

    def forward(self, x):
        loc, logvar = self.encoder(x.flatten(1)).chunk(2, -1)
        return self.decode(loc + torch.randn_like(loc) * (logvar / 2).exp())


def test_ways_to_say_how_to_decode_agree():
    vae = Vae()
    by_call = TorchDecoder(vae, call=lambda m, z: m.decode(z)[0])
    by_method = TorchDecoder(vae.picture)
    assert (by_call(POINTS) == by_method(POINTS)).all(), "two ways, two values"
    assert by_call.event_shape == (1, 4, 4), f"event shape {by_call.event_shape}"
    model = LatentModel(vae.picture, likelihoods.Gaussian(scale=0.2), 2)
    assert isinstance(model.decoder, TorchDecoder), "the method was not recognised"


def test_data_of_the_shape_of_the_outputs_are_read_in_their_order():
    vae = Vae()
    model = LatentModel(vae.picture, likelihoods.Gaussian(scale=0.2), 2)
    flat = np.random.default_rng(0).random((3, 16))
    images = flat.reshape(3, 1, 4, 4)
    expected = log_evidence(model, flat).value
    for X in (images, torch.tensor(images), list(torch.tensor(images)), images.tolist()):
        value = log_evidence(model, X).value
        assert (value == expected).all(), f"{type(X).__name__}: {value} for {expected}"
    assert log_evidence(model, images[0]).value.shape == (), "one image is one datum"
    turned = decoders.Reparametrised(model.decoder, np.eye(2))
    assert turned.event_shape == (1, 4, 4), "a change of the latent loses the shape of the data"
    for wrong in (images[:, 0], images.reshape(3, 4, 4, 1), flat[:, :15]):
        with pytest.raises(ValueError, match=r"X: expected shape \(\.\.\., 16\)"):
            log_evidence(model, wrong)


@pytest.mark.parametrize(
    "X",
    [
        torch.ones(2, 3),
        torch.ones(2, 3, requires_grad=True) * 1.0,
        torch.ones(2, 3, dtype=torch.float16),
        torch.ones(2, 3, dtype=torch.bfloat16),
        torch.ones(2, 3, dtype=torch.int64),
        torch.ones(2, 3, dtype=torch.bool),
        [torch.ones(3, requires_grad=True), torch.ones(3)],
        torch.ones(3, 2).T,
    ],
    ids=["float32", "followed", "float16", "bfloat16", "int64", "bool", "list", "transposed"],
)
def test_tensors_are_data_wherever_data_are_taken(X):
    model = LatentModel(decoders.Affine(np.eye(3)[:, :1]), likelihoods.Gaussian(scale=0.5), 1)
    assert (log_evidence(model, X).value == log_evidence(model, np.ones((2, 3))).value).all()
    assert likelihoods.Poisson().log_prob(X, np.zeros(3)).tolist() == [-3.0, -3.0], "by a family"


def test_complex_tensors_are_no_data():
    with pytest.raises(ValueError, match="x: expected an array of real numbers"):
        likelihoods.Poisson().log_prob(torch.ones(2, dtype=torch.complex64), np.zeros(2))


@pytest.mark.parametrize(
    "around",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
        lambda: torch.set_grad_enabled(True),
    ],
    ids=["no_grad", "inference_mode", "autocast", "grad"],
)
def test_what_is_set_around_it_changes_nothing(around):
    module = made("LayerNorm")
    expected = TorchDecoder(module)
    with around():
        decoder = TorchDecoder(module)
        assert (decoder(POINTS) == expected(POINTS)).all(), "other values"
        assert (decoder.hessian(POINTS) == expected.hessian(POINTS)).all(), "other derivatives"
        fresh = TorchDecoder(torch.nn.Linear(2, 2))
        assert fresh.jacobian(POINTS).shape == (3, 2, 2), "a module made here"


def test_settings_of_pytorch_are_as_before():
    def settings():
        return (
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.get_default_dtype(),
            torch.backends.cuda.flash_sdp_enabled(),
            torch.backends.cuda.mem_efficient_sdp_enabled(),
            torch.distributions.Distribution._validate_args,
        )

    before = settings()
    decoder = TorchDecoder(made("MultiheadAttention fused"))
    decoder.hessian(POINTS)
    with pytest.raises(ValueError, match="latent_dim"):
        TorchDecoder(torch.nn.Linear(3, 2))(POINTS)
    assert settings() == before, f"{settings()} for {before}"


def test_randomness_without_effect_leaves_no_trace():
    module = Called(lambda m, z: m.lift(z) + 0 * torch.randn(3), lift=torch.nn.Linear(2, 3))
    decoder, drawn = TorchDecoder(module), torch.get_rng_state()
    decoder.weighted_hessian(POINTS, np.ones((3, 3)))
    assert torch.equal(drawn, torch.get_rng_state()), "random numbers were drawn"


def test_parts_make_the_same_as_the_whole(monkeypatch):
    module = made("ConvTranspose2d")
    whole, parts = TorchDecoder(module), TorchDecoder(module)
    z = np.random.default_rng(0).normal(size=(40, 2))
    weights = np.random.default_rng(1).normal(size=(40, whole(z).shape[-1]))
    expected = whole(z), whole.jacobian(z), whole.weighted_hessian(z, weights)
    expected = *expected, whole.vjp(z, weights)
    monkeypatch.setattr("vaetheory.torch._decoder._NUMBERS", 2000)
    counted = []
    inner = parts._call
    parts(z[:1])
    parts._call = lambda z: counted.append(len(z)) or inner(z)
    found = parts(z), parts.jacobian(z), parts.weighted_hessian(z, weights), parts.vjp(z, weights)
    assert max(counted) < 40, f"parts of {counted}: nothing was parted"
    for one, other in zip(expected, found, strict=True):
        assert np.allclose(one, other, rtol=1e-12, atol=1e-12), "parts differ"


def test_a_network_of_the_library_is_known_and_is_the_same_by_pytorch():
    torch.manual_seed(0)
    linear = torch.nn.Linear
    inner = torch.nn.Sequential(linear(2, 6), torch.nn.Tanh(), torch.nn.Dropout(0.3))
    module = torch.nn.Sequential(inner, linear(6, 5, bias=False), torch.nn.Tanh(), linear(5, 4))
    known, unknown = TorchDecoder(module), TorchDecoder(module, call=lambda m, z: m(z))
    assert known._network is not None, "it was not known"
    assert unknown._network is None, "both by the same road"
    weights = np.random.default_rng(1).normal(size=(3, 4))
    for name, *others in (
        ("__call__",),
        ("jacobian",),
        ("hessian",),
        ("weighted_hessian", weights),
        ("vjp", weights),
    ):
        off = getattr(known, name)(POINTS, *others) - getattr(unknown, name)(POINTS, *others)
        assert np.abs(off).max() < 1e-13, f"{name} off by {np.abs(off).max():.2g}"


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m.register_forward_hook(lambda m, args, out: 2 * out),
        lambda m: m[0].register_forward_pre_hook(lambda m, args: (2 * args[0],)),
        lambda m: m.append(torch.nn.Tanh()),
        lambda m: m.insert(0, torch.nn.Tanh()),
        lambda m: torch.nn.utils.parametrizations.weight_norm(m[0]),
        lambda m: m.__setitem__(1, torch.nn.SiLU()),
        lambda m: setattr(m[2], "forward", lambda z: z[:, :4] * 2),
        lambda m: setattr(
            m, "__class__", type("Other", (torch.nn.Sequential,), {"forward": double})
        ),
    ],
    ids=["hook", "pre-hook", "last", "first", "parametrised", "SiLU", "forward", "subclass"],
)
def test_what_only_looks_like_a_network_is_not_taken_for_one(change):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(2, 5), torch.nn.Tanh(), torch.nn.Linear(5, 4))
    change(module)
    own = module(torch.tensor(POINTS, dtype=torch.float32)).detach().numpy()
    assert np.allclose(TorchDecoder(module)(POINTS), own, atol=1e-5), "other values"


def double(self, z):
    return 2 * torch.nn.Sequential.forward(self, z)


@pytest.mark.parametrize("shape", [(2,), (0, 2), (1, 2), (2, 3, 2)])
def test_any_number_of_leading_axes(shape):
    decoder = TorchDecoder(made("GELU"))
    z = np.random.default_rng(0).normal(size=shape)
    lead = shape[:-1]
    assert decoder(z).shape == (*lead, 8), decoder(z).shape
    assert decoder.jacobian(z).shape == (*lead, 8, 2), "the Jacobian"
    assert decoder.hessian(z).shape == (*lead, 8, 2, 2), "the Hessian"
    assert decoder.weighted_hessian(z, np.ones((*lead, 8))).shape == (*lead, 2, 2), "weighted"
    assert decoder.vjp(z, np.ones((*lead, 8))).shape == (*lead, 2), "the backward pass"


def test_compiled_and_parallel_modules_are_unwrapped():
    module = made("GELU")
    expected = TorchDecoder(module)(POINTS)
    wrapped = [torch.nn.DataParallel(module), torch.nn.Sequential(torch.nn.DataParallel(module))]
    with contextlib.suppress(ImportError):  # its own dependencies may be missing
        wrapped.append(torch.compile(module, backend="eager"))
    for one in wrapped:
        assert (TorchDecoder(one)(POINTS) == expected).all(), type(one).__name__


def test_decoders_are_equal_only_to_themselves():
    module = torch.nn.Linear(2, 3)
    one, other = TorchDecoder(module), TorchDecoder(module)
    assert one != other, "equality is by identity"
    gaussian = likelihoods.Gaussian(scale=1.0)
    assert LatentModel(one, gaussian, 2) == LatentModel(one, gaussian, 2), "models with the same"
