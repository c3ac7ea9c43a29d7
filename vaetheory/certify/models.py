"""Models with exact parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vaetheory import models as float_models
from vaetheory._validation import dimension, short
from vaetheory.certify import _exact, decoders, likelihoods
from vaetheory.certify._exact import Vector
from vaetheory.certify.arithmetic import Arithmetic, Number
from vaetheory.certify.decoders import Decoder
from vaetheory.certify.likelihoods import Likelihood


@dataclass(frozen=True)
class Model:
    """The model p(x, z) = N(z; 0, I_d) p(x given f(z)), d = 1 or 2, with exact parameters.

    Parameters
    ----------
    decoder : certify.decoders.Decoder
        With parameters as decimal text, fractions, or doubles with their exact values.
    likelihood : certify.likelihoods.Likelihood

    Examples
    --------
    >>> from vaetheory import certify
    >>> decoder, likelihood = certify.decoders.Circle("0.1"), certify.likelihoods.Gaussian("0.3")
    >>> certify.Model(decoder, likelihood).latent_dim
    1
    """

    decoder: Decoder
    likelihood: Likelihood

    def __post_init__(self) -> None:
        if not isinstance(self.decoder, Decoder):
            raise ValueError(
                "decoder: expected a member of vaetheory.certify.decoders, "
                f"got {type(self.decoder).__name__}"
            )
        dimension("decoder.latent_dim", getattr(self.decoder, "latent_dim", None))
        if not isinstance(self.likelihood, Likelihood):
            raise ValueError(
                "likelihood: expected a member of vaetheory.certify.likelihoods, "
                f"got {type(self.likelihood).__name__}"
            )

    @property
    def latent_dim(self) -> int:
        """The dimension d of the latent."""
        return self.decoder.latent_dim

    @classmethod
    def of(cls, model: Any) -> Model:
        """The model with the exact values of the parameters of a `vaetheory.LatentModel`.

        Raises
        ------
        ValueError
            If its decoder is a plain callable, or if there is no exact version of its decoder or
            likelihood.
        """
        if isinstance(model, Model):
            return model
        if not isinstance(model, float_models.LatentModel):
            raise ValueError(
                f"model: expected a certify.Model or a LatentModel, got {type(model).__name__}"
            )
        return cls(decoders.of_floats(model.decoder), likelihoods.of_floats(model.likelihood))

    def check_data(self, x: Any, F: Arithmetic) -> Vector:
        """Return one datum as exact numbers, or raise a ValueError."""
        point = _exact.vector("x", x)
        outputs = self.decoder([F.exact(0)] * self.latent_dim, F)
        if not isinstance(outputs, list | tuple) or not all(map(F.is_number, outputs)):
            raise ValueError(
                f"decoder: expected a list of numbers of the arithmetic, got {short(outputs)}"
            )
        if len(point) != len(outputs):
            raise ValueError(
                f"x: expected {len(outputs)} entries as the decoder gives, got {len(point)}"
            )
        self.likelihood.check_data(point)
        return point

    def log_joint(self, F: Arithmetic, x: Vector, z: Sequence[Number]) -> Number:
        """Log p(x, z) minus `constant`, for real z."""
        value = self.likelihood.varying(F, x, self.decoder(z, F))
        for v in z:
            value = value - F.square(v) / 2
        return value

    def ceiling(self, F: Arithmetic, x: Vector, z: Sequence[Number]) -> Number:
        """An upper bound, of width zero, of `log_joint` on a box of real z.

        Likelihood and prior are bounded separately: if the ball of the likelihood is huge, the
        ball of their sum no longer shows the prior.
        """
        bound = F.ends(self.likelihood.greatest(F, x))[1]
        log_likelihood = self.likelihood.varying(F, x, self.decoder(z, F))
        if F.finite(log_likelihood):
            high = F.ends(log_likelihood)[1]
            bound = high if F.less(high, bound) else bound
        for v in z:
            bound = bound + F.ends(-F.square(v) / 2)[1]
        return F.ends(bound)[1]

    def joint(self, F: Arithmetic, x: Vector, z: Sequence[Number], shift: Number) -> Number:
        """The exponential of `log_joint - shift`, for real or complex z; finite where analytic."""
        exponent, divisors = self.likelihood.factors(F, x, self.decoder(z, F))
        for v in z:
            exponent = exponent - F.square(v) / 2
        density = F.exp(exponent - shift)
        for d in divisors:
            density = density / d
        return density

    def constant(self, F: Arithmetic, x: Vector) -> Number:
        """The terms of log p(x, z) that `log_joint` leaves out."""
        return self.likelihood.constant(F, x) - self.latent_dim * F.log(2 * F.pi()) / 2

    def as_json(self) -> dict[str, Any]:
        """Decoder and likelihood, parameters as text."""
        return {"decoder": self.decoder.as_json(), "likelihood": self.likelihood.as_json()}

    @classmethod
    def from_json(cls, value: Any) -> Model:
        """The inverse of `as_json`."""
        if not isinstance(value, dict) or set(value) != {"decoder", "likelihood"}:
            raise ValueError(f"model: expected decoder and likelihood, got {short(value)}")
        return cls(decoders.from_json(value["decoder"]), likelihoods.from_json(value["likelihood"]))
