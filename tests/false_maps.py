"""A decoder and a flow of a user's, and decoders and flows with one thing wrong each.

The name of a class says what is wrong with it. The tables name the laws that must refuse it; no
other law may.
"""

from dataclasses import dataclass, field

import autograd.numpy as anp
import numpy as np

from vaetheory import decoders, flows

# Decoders --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Bowl(decoders.Decoder):
    """A user's own decoder, z -> (z, a sin(z_1) + |z|^2 / 2)."""

    a: float = 2.0
    latent_dim = 2

    def _read(self, z):
        z = np.asarray(z, dtype=float)
        if z.shape[-1] != self.latent_dim:
            raise ValueError(f"z: expected shape (..., 2), got {z.shape}")
        return z

    def __call__(self, z):
        z = self._read(z)
        last = self.a * np.sin(z[..., :1]) + 0.5 * (z**2).sum(axis=-1, keepdims=True)
        return np.concatenate([z, last], axis=-1)

    def jacobian(self, z):
        z = self._read(z)
        out = np.zeros((*z.shape[:-1], 3, 2))
        out[..., :2, :] = np.eye(2)
        out[..., 2, :] = z
        out[..., 2, 0] += self.a * np.cos(z[..., 0])
        return out

    def hessian(self, z):
        z = self._read(z)
        out = np.zeros((*z.shape[:-1], 3, 2, 2))
        out[..., 2, :, :] = np.eye(2)
        out[..., 2, 0, 0] -= self.a * np.sin(z[..., 0])
        return out


class JacobianOff(Bowl):
    def jacobian(self, z):
        return 1.001 * super().jacobian(z)

    def hessian(self, z):
        return 1.001 * super().hessian(z)


class HessianOff(Bowl):
    def hessian(self, z):
        return 1.001 * super().hessian(z)


class HessianAsymmetric(Bowl):
    def hessian(self, z):
        out = super().hessian(z)
        out[..., 2, 0, 1] += 1e-3
        return out


class WeightedHessianOff(Bowl):
    def weighted_hessian(self, z, weights):
        return 1.001 * super().weighted_hessian(z, weights)


class BackwardPassOff(Bowl):
    def vjp(self, z, weights):
        return 1.001 * super().vjp(z, weights)


class BackwardPassThatDoesNotBroadcast(Bowl):
    def vjp(self, z, weights):
        return np.einsum("ni,nij->nj", weights, self.jacobian(z))


class LastLayerOff(Bowl):
    def last_layer(self):
        return decoders.LastLayer(Bowl(self.a), 1.001 * np.eye(3))


class DecoderRandom(Bowl):
    def __call__(self, z):
        return super().__call__(z) + 1e-3 * np.random.default_rng().random()


class DecoderMixingRows(Bowl):
    def __call__(self, z):
        z = self._read(z)
        return super().__call__(z) + np.ptp(z.reshape(-1, 2), axis=0).sum()


class DecoderChangingItsInput(Bowl):
    def __call__(self, z):
        z *= 2.0
        return super().__call__(z / 2.0)


class DecoderInSinglePrecision(Bowl):
    def __call__(self, z):
        return super().__call__(z).astype(np.float32)


class DecoderFlat(Bowl):
    def __call__(self, z):
        return super().__call__(np.reshape(z, (-1, np.shape(z)[-1])))


class DecoderOverflowingFarOut(Bowl):
    def __call__(self, z):
        return super().__call__(z) * np.where(np.abs(z).max(axis=-1) > 30, np.inf, 1.0)[..., None]


class DecoderOfAnySize(Bowl):
    def _read(self, z):
        return np.asarray(z, dtype=float)[..., :2]


class DecoderEqualToItselfOnly(Bowl):
    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


@dataclass(frozen=True)
class DecoderHoldingALambda(Bowl):
    power: object = field(default_factory=lambda: lambda x: x, compare=False)


FALSE_DECODERS = [
    (JacobianOff(), {"jacobian"}),
    (HessianOff(), {"hessian"}),
    (HessianAsymmetric(), {"hessian"}),
    (WeightedHessianOff(), {"weighted_hessian"}),
    (BackwardPassOff(), {"vjp"}),
    (BackwardPassThatDoesNotBroadcast(), {"shapes"}),
    (LastLayerOff(), {"last_layer"}),
    (DecoderRandom(), {"purity"}),
    (DecoderMixingRows(), {"rows"}),
    (DecoderChangingItsInput(), {"inputs"}),
    (DecoderInSinglePrecision(), {"types"}),
    (DecoderFlat(), {"shapes"}),
    (DecoderOverflowingFarOut(), {"far_latents"}),
    (DecoderOfAnySize(), {"latent_dim"}),
    (DecoderEqualToItselfOnly(), {"equality"}),
    (DecoderHoldingALambda(), {"pickling"}),
]


# Flows -----------------------------------------------------------------------------------------


class Shear(flows.Flow):
    """A user's own flow, z -> (2 z_1, z_2 + a z_1^2)."""

    latent_dim = 2

    def __init__(self, a=0.75):
        self.a = a

    def _read(self, z):
        if np.shape(z)[-1] != 2:
            raise ValueError(f"z: expected shape (..., 2), got {np.shape(z)}")
        return z

    def forward(self, z):
        z = self._read(z)
        return anp.concatenate([2 * z[..., :1], z[..., 1:] + self.a * z[..., :1] ** 2], axis=-1)

    def inverse(self, x):
        x = self._read(x)
        z = x[..., :1] / 2
        return anp.concatenate([z, x[..., 1:] - self.a * z**2], axis=-1)

    def log_det(self, z):
        return np.log(2.0) + anp.zeros(anp.shape(self._read(z))[:-1])


class InverseOff(Shear):
    def inverse(self, x):
        return super().inverse(x) + 1e-9


class InverseChangingItsInput(Shear):
    def inverse(self, x):
        out = super().inverse(x)
        x += 1.0
        return out


class InverseOfAnySize(Shear):
    def inverse(self, x):
        return super().inverse(x[..., :2])


class LogDetOff(Shear):
    def log_det(self, z):
        return super().log_det(z) + 1e-6


class LogDetOfTheInverse(Shear):
    def log_det(self, z):
        return -super().log_det(z)


class JacobianOfTheFlowOff(Shear):
    def jacobian(self, z):
        return 1.001 * super().jacobian(z)

    def hessian(self, z):
        return 1.001 * super().hessian(z)


class AnotherMapAsADecoder(Shear):
    def __call__(self, z):
        return self.forward(z) + 1e-6


class FlowMixingRows(Shear):
    def log_det(self, z):
        return super().log_det(z) * np.size(z) / 2


class FlowEqualToItselfOnly(Shear):
    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__


class FlowHoldingALambda(Shear):
    def __init__(self):
        super().__init__()
        self.power = lambda x: x


FALSE_FLOWS = [
    (InverseOff(), {"inverse"}),
    (InverseChangingItsInput(), {"inputs"}),
    (InverseOfAnySize(), {"data_dim"}),
    (LogDetOff(), {"log_det"}),
    (LogDetOfTheInverse(), {"log_det"}),
    (JacobianOfTheFlowOff(), {"jacobian"}),
    (AnotherMapAsADecoder(), {"decodes"}),
    (FlowMixingRows(), {"rows"}),
    (FlowEqualToItselfOnly(), {"equality"}),
    (FlowHoldingALambda(), {"pickling"}),
]
