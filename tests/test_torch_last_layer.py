"""The last linear layer of a PyTorch module: found where it is the output, and nowhere else."""

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

from torch import nn  # noqa: E402

from vaetheory import LatentModel, likelihoods, log_evidence, stationary_posterior  # noqa: E402
from vaetheory.torch import TorchDecoder, torch_model  # noqa: E402

SIZE, WIDTH = 24, 6


class Net(nn.Module):
    """A decoder with its own forward."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, WIDTH), nn.Linear(WIDTH, SIZE)

    def hidden(self, z):
        return nn.functional.gelu(self.first(z))

    def forward(self, z):
        return self.last(self.hidden(z))


class Reshaped(Net):
    def forward(self, z):
        return super().forward(z).view(-1, 1, 4, 6)


class WithDropout(Net):
    def forward(self, z):
        return nn.functional.dropout(super().forward(z), 0.5, self.training)


class Catching(Net):
    def forward(self, z):
        try:
            return super().forward(z)
        except Exception:
            return torch.zeros(len(z), SIZE, dtype=z.dtype)


class Tied(Net):
    def forward(self, z):
        return nn.functional.linear(self.hidden(z), 2 * self.last.weight)


class Squashed(Net):
    def forward(self, z):
        return torch.sigmoid(super().forward(z))


class Overwritten(Net):
    def forward(self, z):
        return super().forward(z).clamp_(-3.0, 3.0)


class ClampedFarOut(Net):
    def forward(self, z):
        return super().forward(z).clamp(-1e6, 1e6)


class Permuted(Net):
    def forward(self, z):
        return super().forward(z).view(-1, 4, 6).transpose(1, 2)


class Part(Net):
    def forward(self, z):
        return super().forward(z)[:, : SIZE // 2]


class Residual(Net):
    def forward(self, z):
        return super().forward(z) + z[:, :1]


class Tokens(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(2, WIDTH), nn.Linear(2, 8)

    def forward(self, z):
        return self.last(torch.tanh(self.first(z)).view(-1, 3, 2))


class DependingOnLatents(Net):
    def forward(self, z):
        # Row by row, but the weights of the layer are those of its one row.
        rows = [
            nn.functional.linear(self.hidden(row[None]), self.last.weight * (1 + row[0] ** 2))
            for row in z
        ]
        return torch.cat(rows)


class Distributed(Net):
    def forward(self, z):
        return torch.distributions.Normal(super().forward(z), 0.3)


def sequential(last):
    return nn.Sequential(nn.Linear(2, WIDTH), nn.BatchNorm1d(WIDTH), nn.SiLU(), last)


FOUND = {
    "own forward": Net,
    "reshaped": Reshaped,
    "dropout in eval mode": WithDropout,
    "catches exceptions": Catching,
    "weight of another layer": Tied,
    "tanh network": lambda: nn.Sequential(nn.Linear(2, WIDTH), nn.Tanh(), nn.Linear(WIDTH, SIZE)),
    "sequential": lambda: sequential(nn.Linear(WIDTH, SIZE)),
    "no bias": lambda: sequential(nn.Linear(WIDTH, SIZE, bias=False)),
    "weight norm": lambda: sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(WIDTH, SIZE))
    ),
    "unflattened": lambda: nn.Sequential(Net(), nn.Identity(), nn.Unflatten(1, (4, 6))),
}
NOT_FOUND = {
    "squashed": Squashed,
    "overwritten": Overwritten,
    "clamped far out": ClampedFarOut,
    "permuted": Permuted,
    "a part": Part,
    "residual": Residual,
    "tokens": Tokens,
    "depending on the latents": DependingOnLatents,
    "convolution": lambda: nn.Sequential(
        nn.Linear(2, 8), nn.Unflatten(1, (2, 2, 2)), nn.ConvTranspose2d(2, 3, 2, stride=2)
    ),
}


def made(build):
    torch.manual_seed(0)
    return build()


@pytest.mark.parametrize("name", FOUND)
def test_last_layers_are_found_and_have_the_values_of_the_module(name):
    module = made(FOUND[name]).eval()
    before = {k: v.clone() for k, v in module.state_dict().items()}
    model = LatentModel(TorchDecoder(module), likelihoods.Gaussian(scale=0.3), 2)
    assert model.reduced(np.zeros((1, SIZE))).data.shape == (1, WIDTH), "it was not reduced"
    layer, z = model.decoder.last_layer(), np.random.default_rng(1).normal(size=(5, 2))
    for method in ("__call__", "jacobian", "hessian"):
        own, other = (getattr(f, method)(z) for f in (model.decoder, layer))
        np.testing.assert_allclose(other, own, rtol=0, atol=1e-13, err_msg=method)
    exact = module.double()(torch.tensor(z)).detach().numpy().reshape(5, -1)
    np.testing.assert_allclose(layer(z), exact, rtol=0, atol=1e-13, err_msg="the module itself")
    for key, value in module.state_dict().items():
        assert torch.equal(value, before[key].to(value.dtype)), f"{key} has changed"
    hooks = [m for m in module.modules() if m._forward_hooks or m._forward_pre_hooks]
    assert not hooks, "the user's module has hooks"


@pytest.mark.parametrize("name", NOT_FOUND)
def test_no_last_layer_is_found_where_the_output_is_another(name):
    decoder = TorchDecoder(made(NOT_FOUND[name]))
    size = decoder(np.zeros((1, 2))).shape[1]
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    assert decoder.last_layer() is None, "a last layer was found"
    assert model.reduced(np.zeros((1, size))).model is model, "it was reduced"


def test_evidences_and_posteriors_are_those_of_all_outputs():
    module = made(FOUND["own forward"])
    decoder = TorchDecoder(module)
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.3), 2)
    X = decoder(np.random.default_rng(0).normal(size=(3, 2))) + 0.1
    hiding = LatentModel(TorchDecoder(module), likelihoods.Gaussian(scale=0.3), 2)
    vars(hiding)["_last_layer"] = None
    for call in (log_evidence, stationary_posterior):
        one, other = call(model, X), call(hiding, X)
        off, allowed = np.abs(one.value - other.value), one.error + other.error
        assert (off <= allowed).all(), f"{call.__name__} is off by {off}, {allowed} is stated"


def test_the_mean_of_a_distribution_is_found():
    model = torch_model(made(Distributed), latent_dim=2)
    assert model.reduced(np.zeros((1, SIZE))).data.shape == (1, WIDTH), "it was not reduced"


def test_nothing_is_known_before_the_first_call():
    assert TorchDecoder(made(Net)).last_layer() is None, "the latent dimension is not known yet"
