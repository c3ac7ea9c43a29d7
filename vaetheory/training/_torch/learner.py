"""Steps of PyTorch's Adam on one vector of parameters, on the CPU or another device."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vaetheory._validation import Array
from vaetheory.training._torch.loss import loss
from vaetheory.training._torch.networks import one_thread
from vaetheory.training.vae import Vae


class OnTensor:
    """Steps of Adam on a tensor; see `Learner`.

    Parameters
    ----------
    vae : Vae
        Its networks have `apply`.
    params : array (count,)
    rate : float
    X : array (N, D)
        Training data.
    device : str
        PyTorch's name of the device of the training.
    dtype : torch.dtype
        The precision of the training.
    """

    def __init__(
        self,
        vae: Vae,
        params: Array,
        rate: float,
        X: Array,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._vae, self._dtype = vae, dtype
        self._device = torch.device(device)
        with warnings.catch_warnings():
            # PyTorch warns of arrays that are read-only; nothing writes into this one.
            warnings.simplefilter("ignore", UserWarning)
            self._X = torch.from_numpy(np.asarray(X)).to(dtype=dtype, device=self._device)
        place: Any = {"dtype": dtype, "device": self._device}
        self._units = tuple(
            torch.tensor(np.array(part), **place) for part in (vae.units.loc, vae.units.scale)
        )
        self._params = torch.tensor(params, dtype=dtype, device=self._device, requires_grad=True)
        self._adam = torch.optim.Adam([self._params], lr=rate)
        self._adam.state[self._params] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(self._params),
            "exp_avg_sq": torch.zeros_like(self._params),
        }

    @property
    def steps(self) -> int:
        """Steps taken."""
        return int(self._adam.state[self._params]["step"])

    def params(self) -> Array:
        """A copy of the parameters."""
        return self._params.detach().cpu().numpy().astype(np.float64)

    def step(self, rows: NDArray[np.intp], noise: Array) -> None:
        """Take a step; a FloatingPointError if the loss or its gradient is not finite."""
        at = torch.from_numpy(rows).to(self._device)
        draws = torch.from_numpy(noise).to(device=self._device, dtype=self._dtype)
        # Where it has several, cuDNN takes an algorithm that gives the same numbers every time.
        exact = torch.backends.cudnn.flags(deterministic=True, benchmark=False)
        with one_thread(), exact:
            value = loss(self._vae, self._units, self._params, self._X[at], draws)
            (gradient,) = torch.autograd.grad(value, [self._params])
            if not bool(torch.isfinite(value) & torch.isfinite(gradient).all()):
                raise FloatingPointError("an overflow in the loss or its gradient")
            self._params.grad = gradient
            self._adam.step()

    def arrays(self) -> dict[str, Array]:
        """The arrays of a checkpoint."""
        state = self._adam.state[self._params]
        named = {"params": self._params, "first": "exp_avg", "second": "exp_avg_sq"}
        return {
            name: (state[key] if isinstance(key, str) else key).detach().cpu().numpy().copy()
            for name, key in named.items()
        }

    def restore(self, arrays: Mapping[str, Array], steps: int) -> None:
        """Go on from the arrays of a checkpoint."""
        state = self._adam.state[self._params]
        targets = (self._params, state["exp_avg"], state["exp_avg_sq"])
        with torch.no_grad():
            for target, name in zip(targets, ("params", "first", "second"), strict=True):
                found = torch.from_numpy(np.asarray(arrays[name]))
                if found.shape != target.shape:
                    raise ValueError(f"{name} of shape {tuple(found.shape)}")
                target.copy_(found)
        state["step"].fill_(int(steps))
