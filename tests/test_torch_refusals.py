"""PyTorch modules that are refused: each by a sentence that says what to do."""

import copy
import functools
import warnings

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_cases import Called  # noqa: E402

from vaetheory import LatentModel, evaluation_model, likelihoods  # noqa: E402
from vaetheory.torch import TorchDecoder, torch_model  # noqa: E402

GAUSSIAN = likelihoods.Gaussian(scale=0.5)


class Constant(torch.autograd.Function):
    """The identity, which cannot be differentiated."""

    @staticmethod
    def forward(ctx, z):
        return z.clone()

    @staticmethod
    def backward(ctx, gradient):
        raise NotImplementedError("its derivative is not implemented")


class SineOnce(torch.autograd.Function):
    """A sine that has one derivative only, whatever the release of PyTorch."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return z.sin()

    @staticmethod
    def backward(ctx, gradient):
        (z,) = ctx.saved_tensors
        return Constant.apply(gradient * z.cos())


class Speechless(Exception):
    def __str__(self):
        raise RuntimeError("no message")


def fail(error):
    raise error


def lifted(function):
    return Called(function, lift=nn.Linear(2, 6), head=nn.Linear(6, 3))


class NoisyVae(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(2, 2), nn.Linear(2, 3)

    def forward(self, x):
        loc = self.encoder(x)
        return self.decoder(loc + torch.randn_like(loc))


def with_weights(value):
    module = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
    with torch.no_grad():
        module[0].weight[1, 0] = value
    return module


def closing():
    inner = nn.Linear(2, 3)
    module = nn.Module()
    module.forward = lambda z: inner(z)
    return module


def kept_out():
    """A function over a module, as an attribute."""
    inner = nn.Linear(2, 3)
    return Called(lambda m, z: inner(z))


def uncopyable():
    module = nn.Linear(2, 3)
    module.lock = open(__file__)  # noqa: SIM115
    return module


def weightless(dtype):
    module = nn.Linear(2, 3)
    return module.to(dtype)


def on_meta():
    return nn.Linear(2, 3, device="meta")


def quantised():
    made = nn.Linear(2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated, and still about
        codes = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
    made.register_buffer("codes", codes)
    return made


REFUSED = {
    "dropout": (lifted(lambda m, z: m.head(F.dropout(m.lift(z), 0.5))), "it is random"),
    "rare dropout": (
        lifted(lambda m, z: m.head(F.dropout(m.lift(z), 1e-6))),
        "got F.dropout that is on in eval mode: it is random; write training=self.training",
    ),
    "sparse": (lifted(lambda m, z: m.lift(z).to_sparse()), "got a nested or sparse one: return"),
    "error without a message": (
        lifted(lambda m, z: fail(Speechless())),
        "got Speechless: an error without a message",
    ),
    "no second derivative": (
        lifted(lambda m, z: m.head(SineOnce.apply(m.lift(z)))),
        r"differentiate twice, got NotImplementedError: its derivative is not implemented",
    ),
    "class": (nn.Bilinear, "expected a module, and not the class Bilinear: make one of it"),
    "little dropout": (lifted(lambda m, z: m.head(F.dropout(m.lift(z), 0.01))), "it is random"),
    "noise": (
        NoisyVae(),
        r"it is random .*noise drawn in forward\?\); use only the part that decodes",
    ),
    "cast at the end": (
        lifted(lambda m, z: m.head(m.lift(z)).float()),
        r"it casts inside: replace x.float\(\) by x.to\(z.dtype\)",
    ),
    "cast within": (
        lifted(lambda m, z: m.head(torch.tanh(m.lift(z).float()).to(z.dtype))),
        r"a cast to torch.float32: it casts inside: replace x.float\(\) by x.to",
    ),
    "cast to half": (
        lifted(lambda m, z: m.head(torch.tanh(m.lift(z).bfloat16()).double())),
        "a cast to torch.bfloat16: it casts inside",
    ),
    "tensor of another dtype": (
        lifted(
            lambda m, z: (
                m.head(torch.ones(len(z), 6) @ torch.ones(6, 6) + 0 * m.lift(z)).relu()
                + torch.ones(6, 6) @ m.lift(z)
            )
        ),
        "it casts inside|is latent_dim right",
    ),
    "batch statistics": (
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, track_running_stats=False)),
        r"do not depend on the other points .*batch statistics.* a single point raised",
    ),
    "own batch statistics": (
        lifted(lambda m, z: m.head(m.lift(z) - m.lift(z).mean(0))),
        "batch statistics.*a single point has other outputs",
    ),
    "batch as a sequence": (
        Called(lambda m, z: m.rnn(z)[0], rnn=nn.GRU(2, 3)),
        "takes the batch for a sequence",
    ),
    "NaN": (with_weights(torch.nan), "expected numbers, got NaN in `0.weight`"),
    "infinite": (with_weights(torch.inf), "expected finite weights, got an infinite .*`0.weight`"),
    "float16": (weightless(torch.float16), r"got torch.float16 in `weight`.*copy.deepcopy\(module"),
    "bfloat16": (weightless(torch.bfloat16), "float32 or float64, got torch.bfloat16 in `weight`"),
    "quantised": (quantised(), "float32 or float64, got torch.qint8 in `codes`"),
    "meta": (on_meta(), "got none in `weight`, which is on the device `meta`: load the weights"),
    "lazy": (nn.LazyLinear(3), "got none yet in `weight` of a lazy module: call the module once"),
    "closure": (
        closing(),
        "function at `forward` that closes over another one.*make the other one a sub",
    ),
    "kept out": (kept_out(), "function at `function` that closes over another one"),
    "uncopyable": (uncopyable(), r"expected a module that copy.deepcopy can copy, got TypeError"),
    "wrong latent_dim": (nn.Linear(3, 2), r"of shape \(64, 2\) .*\(is latent_dim right\?\)"),
    "tuple": (
        lifted(lambda m, z: (m.lift(z), z)),
        r"got a tuple: select the .*call=lambda m, z: m\(z",
    ),
    "dict": (lifted(lambda m, z: {"x": m.lift(z)}), "expected a tensor, got a dict: select the"),
    "distribution": (
        lifted(lambda m, z: torch.distributions.Normal(m.lift(z), 1.0)),
        "got the distribution Normal: use vaetheory.torch.torch_model",
    ),
    "one row": (lifted(lambda m, z: m.lift(z)[0]), r"outputs of shape \(64, \.\.\.\)"),
    "one number": (lifted(lambda m, z: m.lift(z).sum(-1)), r"got \(64,\)"),
    "integers": (lifted(lambda m, z: m.lift(z).long()), "got torch.int64"),
    "complex": (lifted(lambda m, z: torch.fft.rfft(m.lift(z))), "got torch.complex128"),
    "detached": (
        lifted(lambda m, z: m.head(m.lift(z).detach())),
        "expected `jacobian` to be the derivative",
    ),
    "not a number": (lifted(lambda m, z: m.lift(z) / 0 * 0), "expected numbers, got NaN at z"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_each_is_refused_with_what_to_do(name):
    module, message = REFUSED[name]
    with pytest.raises(ValueError, match=message) as caught:
        LatentModel(module, GAUSSIAN, 2)
    text = str(caught.value)
    assert text.startswith("decoder: expected "), text
    assert "\n" not in text, "more than a sentence"


def spread(module, z):
    return torch.distributions.Independent(torch.distributions.Normal(module(z), 0.5), 1)


@pytest.mark.parametrize(
    "name",
    [
        "dropout", "rare dropout", "noise", "NaN", "infinite", "float16", "meta", "closure",
        "cast within", "batch statistics", "detached", "wrong latent_dim",
    ],
)  # fmt: skip
def test_each_is_refused_by_what_is_built_on_it(name):
    module, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        torch_model(module, 2, call=spread)
    with pytest.raises(ValueError, match=message):
        evaluation_model(module, np.ones((2, 3)), np.eye(2), information=1.0)


class Counting(nn.Module):
    """A module that has other outputs after some calls, by a number that it keeps somewhere."""

    def __init__(self, kept, count):
        super().__init__()
        self.net, self.count = nn.Linear(2, 3), count
        for name, value in kept.items():
            if isinstance(value, torch.Tensor):
                self.register_buffer(name, value)
            else:
                setattr(self, name, value)

    def forward(self, z):
        return self.net(z) + (self.count(self) > 1000)


class Settings:
    def __init__(self):
        self.calls = 0


def raised(module):
    module.calls = module.calls + 1
    return module.calls


def raised_in_place(module):
    module.calls += 1
    return module.calls


def raised_within(module):
    module.kept["calls"][0] += 1
    return module.kept["calls"][0]


def raised_elsewhere(module):
    module.settings.calls += 1
    return module.settings.calls


def raised_array(module):
    module.calls[0] += 1
    return module.calls[0]


@pytest.mark.parametrize(
    ("kept", "count", "path"),
    [
        ({"calls": 0}, raised, "calls"),
        ({"calls": 0.5}, raised, "calls"),
        ({"calls": torch.tensor(0)}, raised_in_place, "calls"),
        ({"calls": torch.tensor(0.0)}, raised_in_place, "calls"),
        ({"calls": np.zeros(1)}, raised_array, "calls.0|calls"),
        ({"kept": {"calls": [0]}}, raised_within, "kept.calls.0"),
        ({"settings": Settings()}, raised_elsewhere, "settings.calls"),
    ],
)
def test_a_module_that_counts_its_calls_is_refused(kept, count, path):
    message = f"does not change, got `({path})` .*change it only where self.training is true"
    for use in (
        lambda: LatentModel(Counting(copy.deepcopy(kept), count), GAUSSIAN, 2),
        lambda: torch_model(Counting(copy.deepcopy(kept), count), 2, call=spread),
    ):
        with pytest.raises(ValueError, match=message):
            use()
    nested = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), Counting(copy.deepcopy(kept), count))
    with pytest.raises(ValueError, match=f"got `2.({path})`"):
        LatentModel(nested, GAUSSIAN, 2)


def test_a_count_in_a_closure_is_refused():
    calls = 0

    def decode(module, z):
        nonlocal calls
        calls += 1
        return module(z) + (calls > 1000)

    with pytest.raises(ValueError, match=r"got `function\.calls` that is another"):
        LatentModel(TorchDecoder(nn.Linear(2, 3), call=decode), GAUSSIAN, 2)


class Remembering(nn.Module):
    """A module that keeps what does not change its outputs."""

    def __init__(self):
        super().__init__()
        self.net, self.norm = nn.Linear(2, 3), nn.BatchNorm1d(3)
        self.history, self.memo, self.last, self.latest = [], {}, None, torch.zeros(3)

    def forward(self, z):
        if self.training:
            raise AssertionError("it is evaluated in eval mode")
        out = self.norm(self.net(z))
        self.last, self.latest = out.mean(), out.detach().mean(0)
        self.history.append(len(z))
        self.memo.setdefault(len(z), torch.arange(len(z)))
        return out


def test_a_module_that_keeps_activations_is_none_of_these():
    model = LatentModel(Remembering(), GAUSSIAN, 2)
    assert model.data_dim == 3, f"{model.data_dim} outputs"


def test_the_old_weight_norm_is_refused_by_name():
    with pytest.warns(FutureWarning):
        module = nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 3)))
    message = r"`0` with the old torch.nn.utils.weight_norm.*: use torch.nn.utils.parametrizations"
    with pytest.raises(ValueError, match=message):
        TorchDecoder(module)


def test_a_quantised_layer_is_refused_by_name():
    module = nn.Sequential(nn.Linear(2, 3))
    module[0].__class__ = type("Linear", (nn.Linear,), {"__module__": "torch.ao.nn.quantized"})
    with pytest.raises(ValueError, match="got `0`, a quantised Linear: give the module before"):
        TorchDecoder(module)


NET = nn.Linear(2, 3)


def over_a_global(z):
    return NET(z)


def through_another(z):
    return over_a_global(z)


class Holder:
    """An object around a module, without being one."""

    def __init__(self):
        self.parts = {"net": NET}

    def __call__(self, z):
        return self.parts["net"](z)

    def decode(self, z):
        return self.parts["net"](z)

    @classmethod
    def shared(cls, z):
        return NET(z)


@pytest.mark.parametrize(
    "function",
    [
        Holder(),
        Holder().decode,
        Holder.shared,
        functools.wraps(NET.forward)(lambda z: NET(z)),
        functools.lru_cache(over_a_global),
        torch.no_grad()(over_a_global),
        lambda z: NET(z),
        over_a_global,
        through_another,
        functools.partial(lambda net, z: net(z), NET),
        lambda z: [NET(row) for row in z],
        lambda z, net=NET: net(z),
    ],
    ids=[
        "object",
        "method",
        "class method",
        "wraps",
        "cache",
        "no_grad",
        "lambda",
        "function",
        "nested",
        "partial",
        "comprehension",
        "default",
    ],
)
def test_functions_over_a_module_are_refused_by_its_name(function):
    with pytest.raises(ValueError, match="not a function over the PyTorch module `"):
        LatentModel(function, GAUSSIAN, 2)
    with pytest.raises(
        ValueError, match=r"decoder: expected a torch\.nn.Module or a method of one"
    ):
        TorchDecoder(function)
    with pytest.raises(ValueError, match="call: expected a function of its first argument, a copy"):
        TorchDecoder(NET, call=lambda m, z: function(z))


def test_a_function_that_only_gives_values_is_pointed_to_the_module():
    module = nn.Linear(2, 3).double()
    message = "expected a function written with autograd.numpy.*give a PyTorch module itself"
    with pytest.raises(ValueError, match=message):
        LatentModel(lambda z: module(torch.tensor(z)).detach().numpy(), GAUSSIAN, 2)


def test_functions_that_use_a_modules_numbers_still_work():
    weight = NET.weight.detach().double().numpy()
    model = LatentModel(lambda z: z @ (NET.weight.detach().double().numpy()).T, GAUSSIAN, 2)
    assert np.allclose(model.decode(np.eye(2)), weight.T), "refused, or other values"


def test_a_call_without_weights_of_its_own_is_allowed():
    activation = nn.Softplus()
    decoder = TorchDecoder(NET, call=lambda m, z: activation(m(z)))
    assert (decoder([[0.0, 0.0]]) > 0).all(), "the activation was lost"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((3,), "decoder: expected a torch.nn.Module or a method of one.*got int 3"),
        ((NET, 3), "call: expected a callable"),
    ],
)
def test_what_is_no_module_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TorchDecoder(*arguments)


@pytest.mark.parametrize("device", ["nowhere", "meta", "cuda:99", 3.5])
def test_devices_that_are_not_here_are_refused(device):
    with pytest.raises(ValueError, match="device: expected one that is here and computes in float"):
        TorchDecoder(NET, device=device)


def test_another_latent_dimension_is_refused():
    decoder = TorchDecoder(nn.Tanh())
    decoder([[0.0, 0.0]])
    with pytest.raises(ValueError, match=r"z: expected shape \(\.\.\., 2\), got \(\.\.\., 1\)"):
        decoder([[0.0]])


def test_weights_rounded_on_purpose_are_taken_when_said():
    rounded = copy.deepcopy(NET).to(torch.float16)
    assert TorchDecoder(copy.deepcopy(rounded).float())([[1.0, 1.0]]).shape == (1, 3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is here")
def test_a_module_on_another_device_works_through_its_copy():
    module = copy.deepcopy(NET).to("cuda")
    z = np.random.default_rng(0).normal(size=(5, 2))
    here = TorchDecoder(NET)
    for device in ("cpu", "cuda"):
        there = TorchDecoder(module, device=device)
        assert np.allclose(there(z), here(z), rtol=1e-13), device
        assert np.allclose(there.jacobian(z), here.jacobian(z), rtol=1e-13), device
    assert module.weight.is_cuda, "the module was moved"
