"""VAEs whose networks are trained by PyTorch (extra `torch`)."""

from vaetheory.training._torch.vae import TorchVae

__all__ = ["TorchVae"]
