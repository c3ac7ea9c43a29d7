"""PyTorch modules as decoders and encoders (extra `torch`): their exact evidence, in float64.

A module needs no rewriting: `LatentModel(module, likelihood, latent_dim)` wraps it in a
`TorchDecoder`, `torch_model` makes the whole model of a decoder that returns a distribution, and
`posterior_of` reads what an encoder returned. The caller's modules are never called nor changed.
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
