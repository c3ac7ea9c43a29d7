"""PyTorch modules as decoders and encoders (extra `torch`).

`LatentModel(module, likelihood, latent_dim)` wraps a module in a `TorchDecoder`. `torch_model`
makes the model of a decoder that returns a distribution. `posterior_of` converts the output of an
encoder. The user's modules are never called or changed.
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ImportError("vaetheory.torch needs PyTorch: pip install 'vaetheory[torch]'") from None

from vaetheory.torch._decoder import TorchDecoder
from vaetheory.torch._models import torch_model
from vaetheory.torch._posteriors import posterior_of

__all__ = ["TorchDecoder", "posterior_of", "torch_model"]
