"""Decoders of PyTorch's layers, one a kind of layer."""

import torch
import torch.nn.utils.prune
from torch import nn


class Called(nn.Module):
    """Layers, and a function that says how they are put together."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, z):
        return self.function(self, z)


def around(layer, width=8, shape=(8,)):
    """A layer between a linear one and what mixes its outputs."""
    return nn.Sequential(nn.Linear(2, width), nn.Unflatten(1, shape), layer, nn.Flatten())


def trained(norm):
    """A norm with statistics and weights that are not those of the start."""
    norm.train()
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(torch.randn_like(parameter))
        shape = {"1": (32, 8), "2": (32, 4, 3, 3), "3": (32, 4, 2, 2, 2)}[type(norm).__name__[-2]]
        norm(0.5 + 2 * torch.randn(shape))
    return norm


def run(module):
    """A module that has been called in training."""
    module(torch.randn(4, 2))
    return module


def tied():
    """Two layers with one weight."""
    made = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2))
    made[2].weight = made[0].weight
    return made


class Positions(nn.Module):
    """Tensors that are kept in lists and as attributes, not registered."""

    def __init__(self):
        super().__init__()
        self.scale = torch.linspace(0.5, 2.0, 6)
        self.layers = [nn.Linear(2, 5), nn.Linear(5, 6)]
        self.table = {"shift": torch.randn(6)}

    def forward(self, z):
        self.kept = self.layers[1](torch.tanh(self.layers[0](z)))
        return (self.kept.unsqueeze(1) @ torch.diag(self.scale)).squeeze(1) + self.table["shift"]


def recurrent(kind):
    return Called(
        lambda m, z: m.head(m.cell(z.unsqueeze(1).repeat(1, 3, 1) * m.steps)[0]),
        cell=kind(2, 4, num_layers=2, batch_first=True),
        head=nn.Linear(4, 3),
        steps=nn.Parameter(torch.tensor([[1.0], [0.5], [-1.0]])),
    )


def attended(m, z):
    tokens = m.lift(z).reshape(-1, 3, 4)
    return m.attention(tokens, tokens, tokens, need_weights=m.weights)[0].flatten(1)


def attention(weights):
    made = Called(
        attended, lift=nn.Linear(2, 12), attention=nn.MultiheadAttention(4, 2, batch_first=True)
    )
    made.weights = weights
    return made


#: Smooth ones.
SMOOTH = {
    "Linear": lambda: nn.Linear(2, 5),
    "Bilinear": lambda: Called(lambda m, z: m.pair(z, torch.tanh(z)), pair=nn.Bilinear(2, 2, 4)),
    "Identity": lambda: nn.Identity(),
    "Tanh": lambda: around(nn.Tanh()),
    "Sigmoid": lambda: around(nn.Sigmoid()),
    "LogSigmoid": lambda: around(nn.LogSigmoid()),
    "Softplus": lambda: around(nn.Softplus(beta=2.0)),
    "Softsign": lambda: around(nn.Softsign()),
    "Tanhshrink": lambda: around(nn.Tanhshrink()),
    "GELU": lambda: around(nn.GELU()),
    "GELU tanh": lambda: around(nn.GELU(approximate="tanh")),
    "SiLU": lambda: around(nn.SiLU()),
    "Mish": lambda: around(nn.Mish()),
    "GLU": lambda: around(nn.GLU()),
    "Softmax": lambda: around(nn.Softmax(dim=-1)),
    "LogSoftmax": lambda: around(nn.LogSoftmax(dim=-1)),
    "CosineSimilarity": lambda: Called(
        lambda m, z: m.cosine(m.lift(z).reshape(-1, 4, 3), m.other),
        lift=nn.Linear(2, 12),
        cosine=nn.CosineSimilarity(dim=-1),
        other=nn.Parameter(torch.ones(3)),
    ),
    "LayerNorm": lambda: around(nn.LayerNorm(8)),
    "RMSNorm": lambda: around(nn.RMSNorm(8) if hasattr(nn, "RMSNorm") else nn.LayerNorm(8)),
    "GroupNorm": lambda: around(nn.GroupNorm(2, 4), 36, (4, 3, 3)),
    "InstanceNorm2d": lambda: around(nn.InstanceNorm2d(4, affine=True), 36, (4, 3, 3)),
    "InstanceNorm2d with statistics": lambda: around(
        trained(nn.InstanceNorm2d(4, affine=True, track_running_stats=True)), 36, (4, 3, 3)
    ),
    "LocalResponseNorm": lambda: around(nn.LocalResponseNorm(2), 36, (4, 3, 3)),
    "BatchNorm1d": lambda: around(trained(nn.BatchNorm1d(8))),
    "BatchNorm2d": lambda: around(trained(nn.BatchNorm2d(4)), 36, (4, 3, 3)),
    "BatchNorm3d": lambda: around(trained(nn.BatchNorm3d(4)), 32, (4, 2, 2, 2)),
    "Conv1d": lambda: around(nn.Conv1d(2, 3, 3, padding=1), 10, (2, 5)),
    "Conv2d": lambda: around(nn.Conv2d(2, 3, 3, stride=2, padding=1), 32, (2, 4, 4)),
    "Conv3d": lambda: around(nn.Conv3d(1, 2, 2), 27, (1, 3, 3, 3)),
    "ConvTranspose1d": lambda: around(nn.ConvTranspose1d(2, 3, 3, stride=2), 8, (2, 4)),
    "ConvTranspose2d": lambda: around(nn.ConvTranspose2d(2, 1, 4, stride=2), 18, (2, 3, 3)),
    "Upsample": lambda: around(nn.Upsample(scale_factor=2, mode="bilinear"), 8, (2, 2, 2)),
    "PixelShuffle": lambda: around(nn.PixelShuffle(2), 16, (4, 2, 2)),
    "AvgPool2d": lambda: around(nn.AvgPool2d(2), 16, (1, 4, 4)),
    "AdaptiveAvgPool2d": lambda: around(nn.AdaptiveAvgPool2d(2), 18, (2, 3, 3)),
    "ReflectionPad2d": lambda: around(nn.ReflectionPad2d(1), 18, (2, 3, 3)),
    "Fold": lambda: around(nn.Fold((4, 4), 2, stride=2), 16, (4, 4)),
    "Unfold": lambda: around(nn.Unfold(2), 18, (2, 3, 3)),
    "Dropout": lambda: around(nn.Dropout(0.5)),
    "AlphaDropout": lambda: around(nn.AlphaDropout(0.5)),
    "Embedding": lambda: Called(
        lambda m, z: torch.tanh(m.lift(z)) * m.table.weight[1],
        lift=nn.Linear(2, 4),
        table=nn.Embedding(3, 4),
    ),
    "RNN": lambda: recurrent(nn.RNN),
    "GRU": lambda: recurrent(nn.GRU),
    "LSTM": lambda: recurrent(nn.LSTM),
    "GRUCell": lambda: Called(lambda m, z: m.cell(z), cell=nn.GRUCell(2, 4)),
    "LSTMCell": lambda: Called(lambda m, z: m.cell(z)[0], cell=nn.LSTMCell(2, 4)),
    "MultiheadAttention": lambda: attention(True),
    "MultiheadAttention fused": lambda: attention(False),
    "TransformerEncoderLayer": lambda: Called(
        lambda m, z: m.layer(m.lift(z).reshape(-1, 3, 4)),
        lift=nn.Linear(2, 12),
        layer=nn.TransformerEncoderLayer(4, 2, 8, activation="gelu", batch_first=True),
    ),
    "weight_norm": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 4)),
    "spectral_norm": lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(2, 4)),
    "old spectral_norm": lambda: run(nn.Sequential(nn.utils.spectral_norm(nn.Linear(2, 4)))),
    "pruned": lambda: nn.utils.prune.random_unstructured(nn.Linear(2, 6), "weight", 0.5),
    "lazy, once run": lambda: run(nn.LazyLinear(3)),
    "einsum": lambda: Called(
        lambda m, z: torch.einsum("ni,ijk,nj->nk", z, m.core, torch.sin(z)),
        core=nn.Parameter(torch.randn(2, 2, 5)),
    ),
    "unregistered": Positions,
    "in place": lambda: Called(lambda m, z: m.lift(z).mul_(2.0).tanh_(), lift=nn.Linear(2, 4)),
    "latents overwritten": lambda: Called(lambda m, z: m.lift(z.mul_(0.5)), lift=nn.Linear(2, 4)),
    "tied": tied,
    "complex": lambda: Called(
        lambda m, z: torch.fft.irfft(m.filter * torch.fft.rfft(m.lift(z).tanh())),
        lift=nn.Linear(2, 8),
        filter=nn.Parameter(torch.randn(5, dtype=torch.complex64)),
    ),
    "constant": lambda: Called(
        lambda m, z: m.value.expand(len(z), 3), value=nn.Parameter(torch.randn(3))
    ),
}

#: With kinks: what they are between these has no more curvature than a small step sees.
KINKED = {
    "ReLU": lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 4)),
    "ReLU in place": lambda: nn.Sequential(nn.Linear(2, 8), nn.ReLU(inplace=True), nn.Linear(8, 4)),
    "LeakyReLU": lambda: nn.Sequential(nn.Linear(2, 8), nn.LeakyReLU(0.1), nn.Linear(8, 4)),
    "PReLU": lambda: around(nn.PReLU()),
    "RReLU": lambda: around(nn.RReLU()),
    "ReLU6": lambda: around(nn.ReLU6()),
    "Hardtanh": lambda: around(nn.Hardtanh()),
    "Hardsigmoid": lambda: around(nn.Hardsigmoid()),
    "Hardswish": lambda: around(nn.Hardswish()),
    "Hardshrink": lambda: around(nn.Hardshrink()),
    "Softshrink": lambda: around(nn.Softshrink()),
    "Threshold": lambda: around(nn.Threshold(0.1, 0.1)),
    "ELU": lambda: around(nn.ELU()),
    "CELU": lambda: around(nn.CELU()),
    "SELU": lambda: around(nn.SELU()),
    "MaxPool2d": lambda: around(nn.MaxPool2d(2), 16, (1, 4, 4)),
    "Upsample nearest": lambda: around(nn.Upsample(scale_factor=2), 8, (2, 2, 2)),
    "abs": lambda: Called(lambda m, z: m.lift(z).abs(), lift=nn.Linear(2, 4)),
}
