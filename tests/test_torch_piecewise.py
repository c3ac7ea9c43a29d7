"""PyTorch modules that are piecewise linear, or end smoothly, are known as layers."""

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch_cases import KINKED, SMOOTH  # noqa: E402

from vaetheory import log_evidence  # noqa: E402
from vaetheory._quadrature.told_kinks import kinks_on_the_line  # noqa: E402
from vaetheory.decoders import PiecewiseLinear, Reparametrised  # noqa: E402
from vaetheory.torch import TorchDecoder, torch_model  # noqa: E402

POINTS = 2.0 * np.random.default_rng(5).normal(size=(40, 2))
#: Those of `KINKED` that have jumps, or kinks where two units are equal.
UNKNOWN = {"Hardshrink", "MaxPool2d"}
#: Those that are not straight between their kinks.
BENT = {"Hardswish", "ELU", "CELU", "SELU"}


def decoder_of(module, dim=2, **options):
    made = TorchDecoder(module, **options)
    made(np.zeros((1, dim)))
    return made


def assert_the_same(layers, module, points=POINTS, name=""):
    decoder = decoder_of(module, points.shape[-1])
    assert isinstance(layers, PiecewiseLinear), f"{name}: {layers} instead of layers"
    own = decoder(points)
    off = np.abs(layers(points) - own).max() / np.abs(own).max()
    assert off < 1e-13, f"{name}: values off by {off:.2g}"
    slopes = decoder.jacobian(points)
    off = np.abs(layers.jacobian(points) - slopes).max() / np.abs(slopes).max()
    assert off < 1e-12, f"{name}: Jacobian off by {off:.2g}"


@pytest.mark.parametrize("name", KINKED)
def test_layers_with_kinks_are_known_or_not(name):
    torch.manual_seed(0)
    module = KINKED[name]()
    decoder = decoder_of(module)
    if name in UNKNOWN | BENT:
        assert decoder.piecewise_linear() is None, "not straight, but taken for it"
        assert (decoder.kinks() is None) == (name in UNKNOWN), f"kinks are {decoder.kinks()}"
    else:
        assert_the_same(decoder.piecewise_linear(), module, name=name)
        assert decoder.kinks() is decoder.piecewise_linear(), "they are where it is not straight"


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_layers_have_no_kinks_and_linear_ones_one_piece(name):
    torch.manual_seed(0)
    decoder = decoder_of(SMOOTH[name]())
    curved = np.abs(decoder.hessian(POINTS)).max() > 1e-12
    layers = decoder.piecewise_linear()
    if curved:
        assert layers is None, "a curved decoder was taken for a straight one"
        assert decoder.kinks() is None, "kinks of a smooth decoder"
    elif layers is not None:
        assert len(layers.layers) == 1, f"{len(layers.layers)} layers for an affine map"


LINEAR = ["Linear", "BatchNorm1d", "BatchNorm2d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d"]
LINEAR += ["ConvTranspose2d", "Upsample", "PixelShuffle", "AvgPool2d", "AdaptiveAvgPool2d"]
LINEAR += ["ReflectionPad2d", "Fold", "Unfold", "Dropout", "AlphaDropout", "weight_norm"]


@pytest.mark.parametrize("name", LINEAR)
def test_affine_layers_are_matrices(name):
    torch.manual_seed(0)
    module = SMOOTH[name]()
    assert_the_same(decoder_of(module).piecewise_linear(), module, name=name)


class Mixed(nn.Module):
    """As people write them: functions, shortcuts, methods, sizes, options."""

    def __init__(self, width=6):
        super().__init__()
        self.first, self.second = nn.Linear(2, width), nn.Linear(width, width)
        self.slopes = nn.PReLU(width)
        with torch.no_grad():
            self.slopes.weight.uniform_(-0.5, 0.5)
        self.weight = nn.Parameter(torch.randn(4, width))
        self.kept = None

    def forward(self, z, condition=None, scale=2.0):
        count = z.size(0)
        h = F.relu(self.first(z))
        if condition is not None:
            h = h + condition
        self.kept = h = h + F.leaky_relu(self.second(h), 0.2)
        h = self.slopes(h - 0.3).clone()
        return (F.linear(h, self.weight).abs() * scale / 3).view(count, 2, -1)

    def decode(self, z):
        return torch.sigmoid(self(z)), z


def test_functions_shortcuts_and_slopes_of_channels():
    torch.manual_seed(1)
    module = Mixed()
    assert_the_same(decoder_of(module).piecewise_linear(), module)
    assert module.kept is None, "the module itself was called"


def test_methods_and_calls_are_read_like_modules():
    torch.manual_seed(1)
    module = Mixed()
    whole = decoder_of(module).piecewise_linear()
    by_call = decoder_of(module, call=lambda m, z: m(z)[:, 0]).piecewise_linear()
    assert np.allclose(by_call(POINTS), whole(POINTS)[:, :2], rtol=1e-13), "a part of the outputs"
    ended = decoder_of(module, call=lambda m, z: m.decode(z)[0])
    assert ended.piecewise_linear() is None, "the sigmoid was lost"
    assert isinstance(ended.kinks(), PiecewiseLinear), "nothing known of the layers before it"
    assert decoder_of(module.forward).piecewise_linear() is not None, "a method"


@pytest.mark.parametrize("dim", [1, 2])
def test_a_convolutional_decoder_is_a_chain_of_matrices(dim):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(dim, 4 * 9),
        nn.Unflatten(1, (4, 3, 3)),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(4, 3, 3, padding=1, padding_mode="reflect"),
        nn.LeakyReLU(0.2),
        nn.Dropout2d(0.5),
        nn.ConvTranspose2d(3, 1, 4, 2, 1),
        nn.Flatten(),
    )
    module[2].running_mean.normal_(), module[2].running_var.uniform_(0.5, 2.0)
    layers = decoder_of(module, dim).piecewise_linear()
    assert_the_same(layers, module, POINTS[:, :dim])
    shapes = [layer.weight.shape for layer in layers.layers[::2]]
    assert shapes == [(36, dim), (108, 36), (144, 108)], f"matrices {shapes}"


SMOOTH_ENDS = {
    "Sigmoid": lambda: [nn.Linear(5, 3), nn.Sigmoid()],
    "Softplus after a norm": lambda: [nn.Linear(5, 4), nn.LayerNorm(4), nn.Softplus()],
    "Tanh, then linear": lambda: [nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)],
    "ELU": lambda: [nn.Linear(5, 4), nn.ELU(), nn.Linear(4, 3), nn.SiLU()],
    "Hardswish": lambda: [nn.Hardswish(), nn.Linear(5, 3)],
}


@pytest.mark.parametrize("name", SMOOTH_ENDS)
def test_between_its_kinks_a_decoder_is_smooth(name):
    torch.manual_seed(2)
    module = nn.Sequential(nn.Linear(1, 5), nn.ReLU(), nn.Linear(5, 5), *SMOOTH_ENDS[name]())
    decoder = decoder_of(module, 1)
    kinks = decoder.kinks()
    assert decoder.piecewise_linear() is None, "it is not straight"
    # Where the slopes of the layers jump on a fine grid there are kinks, and nowhere else.
    z = np.linspace(-4, 4, 80_001)[:, None]
    inside = (np.diff(kinks.jacobian(z), axis=0) == 0).all(axis=(1, 2))
    second = decoder.hessian(z)[:, :, 0, 0]
    jumps = np.abs(np.diff(second, axis=0)) > 1e-2
    assert inside.sum() > 79_950, f"kinks in {(~inside).sum()} cells"
    assert not jumps[inside].any(), "the second derivative jumps where no kink was told of"
    assert not inside.all(), "there are kinks"
    turned = Reparametrised(decoder, [[2.0]]).kinks()
    assert np.allclose(turned(z), kinks(2 * z)), "a change of the latent moves the kinks"


def test_a_softplus_with_a_low_threshold_jumps_there():
    module = nn.Sequential(nn.Linear(1, 1), nn.Softplus(beta=2.0, threshold=0.5))
    nn.init.ones_(module[0].weight)
    nn.init.zeros_(module[0].bias)
    kinks = decoder_of(module, 1).kinks()
    assert kinks is not None, "smooth on both sides of the threshold"
    below, above = kinks.jacobian(np.array([[0.249], [0.251]]))
    assert below != above, "no kink was told of where the values jump by a fifth"


class Signed(nn.ReLU):
    def forward(self, x):
        return x * (x > 0.3)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(2, 3)

    def forward(self, z):
        return self.lift(z).relu() if float(z.detach().abs().max()) < 100 else self.lift(z)


def changed(change):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 5), nn.ReLU(), nn.Linear(5, 4))
    change(module)
    return module


@pytest.mark.parametrize(
    "module",
    [
        lambda: changed(lambda m: m.register_forward_hook(lambda m, args, out: 2 * out)),
        lambda: changed(lambda m: m[1].register_forward_pre_hook(lambda m, args: (args[0] - 1,))),
        lambda: changed(lambda m: setattr(m[2], "forward", lambda z: (z[:, :4] * 2) ** 2)),
        lambda: changed(lambda m: m.__setitem__(1, Signed())),
        lambda: changed(lambda m: m.insert(1, nn.Tanh())),
        lambda: changed(lambda m: m.__setitem__(1, nn.Softsign())),
        lambda: changed(lambda m: m.append(nn.Threshold(0.1, 0.0))),
        Branching,
    ],
    ids=["hook", "pre-hook", "forward", "subclass", "smooth first", "Softsign", "jumps", "branch"],
)
def test_what_is_not_known_is_not_guessed(module):
    decoder = decoder_of(module())
    assert decoder.piecewise_linear() is None, "guessed to be straight"
    assert decoder.kinks() is None, "guessed where the kinks are"


def test_layers_that_do_not_agree_with_the_outputs_are_not_used(monkeypatch):
    module = nn.Sequential(nn.Linear(2, 5), nn.LeakyReLU(0.1), nn.Linear(5, 4))
    module.eval()
    decoder = decoder_of(module)
    own = decoder._outputs
    monkeypatch.setattr(decoder, "_outputs", lambda z: own(z) * (1 + 1e-9))
    assert decoder.piecewise_linear() is None, "not compared with the module"
    ended = decoder_of(nn.Sequential(module, nn.Sigmoid()))
    monkeypatch.setattr(ended, "_outputs", lambda z, own=ended._outputs: own(z) + 1e-9)
    assert ended.kinks() is None, "not compared with the module"


def test_matrices_that_would_fill_the_memory_are_not_made(monkeypatch):
    monkeypatch.setattr("vaetheory.torch._piecewise._NUMBERS", 20)
    assert decoder_of(changed(lambda m: None)).piecewise_linear() is None, "made in spite of it"


def test_nothing_is_known_before_the_first_call():
    made = TorchDecoder(changed(lambda m: None))
    assert made.piecewise_linear() is None, "the dimension is not known yet"
    made(POINTS)
    assert made.piecewise_linear() is not None, "it is known after the first call"


def line(model, lik, X, radius=9.0):
    """Log evidences by Gauss panels between kinks, with PyTorch's own densities."""
    kinks = kinks_on_the_line(model)
    edges = np.unique(np.concatenate([np.linspace(-radius, radius, 361), kinks]))
    edges = edges[np.abs(edges) <= radius]
    nodes, weights = np.polynomial.legendre.leggauss(8)
    half = np.diff(edges) / 2
    z = ((edges[:-1] + half)[:, None] + half[:, None] * nodes).ravel()
    logs = np.log((half[:, None] * weights).ravel()) - 0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    with torch.no_grad():
        law = lik(torch.tensor(z[:, None]))
        logs = logs + np.stack([law.log_prob(x).flatten(1).sum(1).numpy() for x in X])
    return np.logaddexp.reduce(logs, axis=-1)


class Images(nn.Module):
    """A convolutional decoder of images of 8 x 8 pixels."""

    def __init__(self, end):
        super().__init__()
        self.lift = nn.Linear(1, 4 * 16)
        self.grow = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(4, 3, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(3, 1, 3, 1, 1),
        )
        self.end = end

    def forward(self, z):
        return self.end(self.grow(2 * self.lift(z).view(-1, 4, 4, 4)))


LAWS = {
    "Gaussian": (nn.Identity(), lambda f: torch.distributions.Normal(f, 0.1)),
    "Gaussian around a sigmoid": (nn.Sigmoid(), lambda f: torch.distributions.Normal(f, 0.1)),
    "Bernoulli": (nn.Identity(), lambda f: torch.distributions.Bernoulli(logits=f)),
    "Poisson": (nn.Identity(), lambda f: torch.distributions.Poisson(f.exp())),
}


@pytest.mark.parametrize("name", LAWS)
def test_evidences_of_a_convolutional_relu_decoder(name):
    torch.manual_seed(0)
    end, law = LAWS[name]
    module = Images(end).double()
    model = torch_model(module, 1, call=lambda m, z: law(m(z)))
    assert model.decoder.kinks() is not None, "its kinks are not known"
    with torch.no_grad():
        X = law(module(torch.randn(3, 1, dtype=torch.float64))).sample()
    result = log_evidence(model, X)
    off = np.abs(result.value - line(model, lambda z: law(module(z)), X))
    assert result.reached.all(), f"{result.status} with {result.error}"
    assert (off <= result.error + 1e-11).all(), f"off by {off}, stated {result.error}"
    exact = name == "Gaussian"
    assert (result.nodes < 2000) == exact, f"{result.nodes} evaluations"


@pytest.mark.parametrize("around", [lambda q: q, lambda q: torch.distributions.Independent(q, 1)])
def test_decoders_that_return_a_distribution_are_read(around):
    module = changed(lambda m: None)
    laws = torch.distributions
    made = {
        "logits": lambda m, z: around(laws.Bernoulli(logits=m(z))),
        "a fixed scale": lambda m, z: around(laws.Normal(m(z), 0.1)),
        "scales as a tensor": lambda m, z: around(laws.Normal(m(z), 0.1 * torch.ones_like(m(z)))),
    }
    for name, call in made.items():
        model = torch_model(module, 2, call=call)
        assert_the_same(model.decoder.piecewise_linear(), module, name=name)
    before = laws.Independent.__init__
    assert torch_model(module, 2, call=made["logits"]).decoder.kinks() is not None, "no kinks"
    assert laws.Independent.__init__ is before, "PyTorch was changed"
