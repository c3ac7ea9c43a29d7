"""Settings of runs with the networks of PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array, integer, option, positive, require, sequence
from vaetheory.training.data import UNITS
from vaetheory.training.networks import widths
from vaetheory.training.objectives import IMAGE_OBJECTIVES, Objective
from vaetheory.training.runs import Settings
from vaetheory.training.vae import Units, Vae

if TYPE_CHECKING:
    from vaetheory.training._torch import TorchVae

NETWORKS = ("mlp", "conv")
#: The smallest side of images for convolutions.
LEAST_SIDE = 8
# Images converted at a time.
_ROWS = 1024


@dataclass(frozen=True, kw_only=True)
class ImageSettings(Settings):
    """Settings of a run with the networks of PyTorch (extra `torch`), the same for all objectives.

    Attributes
    ----------
    latent_dim, batch, epochs, every, patience, rate, units, pooled
        As in `Settings`, with other defaults.
    hidden : tuple of int
        Widths of the fully connected layers.
    network : {"mlp", "conv"}
        Fully connected layers with tanh between them; or two convolutions 4 x 4 of stride 2 with
        tanh, below the fully connected layers, in the encoder, and their transposes in the decoder.
    channels : tuple of two int
        Channels of the two convolutions.
    shape : (channels, height, width)
        The shape of the images.
    device : str
        PyTorch's name of the device of the training, such as "cpu" or "cuda". On the CPU one thread
        computes, so that a run gives the same numbers whatever the number of cores.

    Raises
    ------
    ValueError
        If a setting is out of range, or the images are too small for convolutions.

    Examples
    --------
    >>> ImageSettings(shape=(1, 28, 28), network="conv", latent_dim=8).channels
    (16, 32)
    """

    shape: tuple[int, int, int]
    hidden: tuple[int, ...] = (256,)
    epochs: int = 300
    every: int = 200
    rate: float = 1e-3
    network: str = "mlp"
    channels: tuple[int, ...] = (16, 32)
    device: str = "cpu"

    def __post_init__(self) -> None:
        super().__post_init__()
        option("network", self.network, NETWORKS)
        shape = tuple(integer("shape", n, low=1) for n in sequence("shape", self.shape))
        if len(shape) != 3:
            raise ValueError(f"shape: expected channels, height and width, got {shape}")
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "channels", widths("channels", self.channels))
        require("device", self.device, str)
        if self.network == "conv":
            if min(shape[1:]) < LEAST_SIDE:
                raise ValueError(
                    f"shape: expected images of at least {LEAST_SIDE} x {LEAST_SIDE} pixels for "
                    f"convolutions, got {shape[1]} x {shape[2]}"
                )
            if len(self.channels) != 2 or not self.hidden:
                raise ValueError(
                    "channels and hidden: expected two convolutions and at least one fully "
                    f"connected layer, got {self.channels} and {self.hidden}"
                )

    @property
    def objectives(self) -> Mapping[str, Objective]:
        """The objectives that can be trained with these settings."""
        return IMAGE_OBJECTIVES

    def model(self, objective: Objective, train: Array, information: float) -> Vae:
        """The VAE of an objective, with units from the training data."""
        made: type[TorchVae] = _torch().TorchVae
        return made(
            objective,
            train.shape[1],
            self.latent_dim,
            self.hidden,
            _units(train, self.units),
            information,
            self.pooled,
            network=self.network,
            shape=self.shape,
            channels=self.channels,
            device=self.device,
        )


def torch_version() -> str:
    """The version of PyTorch, or a ValueError that says how to install it."""
    try:
        return metadata.version("torch")
    except metadata.PackageNotFoundError:
        raise _missing() from None


def _torch() -> Any:
    """The networks of PyTorch, or a ValueError that says how to install it."""
    try:
        from vaetheory.training import _torch
    except ImportError:
        raise _missing() from None
    return _torch


def _missing() -> ValueError:
    return ValueError("network: expected PyTorch to be installed: pip install 'vaetheory[torch]'")


def _units(X: NDArray[np.float32], kind: str) -> Units:
    """As `Units.of`, for data in single precision, of which there may be many."""
    if option("kind", kind, UNITS) == "plain":
        return Units(np.zeros(X.shape[1]), np.array(1.0))

    def mean(function: Any) -> Array:
        total = np.zeros(X.shape[1])
        for start in range(0, len(X), _ROWS):
            total += function(X[start : start + _ROWS].astype(np.float64)).sum(axis=0)
        return total / len(X)

    loc = mean(lambda part: part)
    variance = mean(lambda part: (part - loc) ** 2)
    scale = np.sqrt(variance.mean() if kind == "pooled" else variance)
    return Units(loc, positive("spread of the training data", scale, max_ndim=1))
