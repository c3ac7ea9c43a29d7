"""Scales of a normal likelihood that vary with z, and what is assumed of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.audit._evidence import Budget, split
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: Latents at which varying scales are seen, and their distances from the centre of the prior.
_PLACES, _RADII = 600, (0.5, 1.0, 2.0, 4.0, 8.0, 40.0)
#: The words by which `GaussianMeanScale` refuses a scale.
_BELOW = "expected log scales of at least"
#: Floors of the scales that are tried in turn, as shares of the least scale seen.
_SHARES = (1e-3, 1e-6, 1e-12)


def places(d: int) -> Array:
    """Latents of d dimensions at which scales are compared."""
    z = np.random.default_rng(0).normal(size=(_PLACES, d))
    return np.asarray(
        z * np.resize(_RADII, _PLACES)[:, None] / np.linalg.norm(z, axis=1, keepdims=True)
    )


@dataclass(frozen=True)
class Scales:
    """The least scale of each output at `places`.

    An evidence needs a floor of the scales, which nobody has declared. It is assumed, and the
    assumption is among the facts. Wherever the computation decodes, the floor is compared with the
    scales: it can be wrong only at latents that are never decoded.
    """

    least: Array

    @classmethod
    def of(cls, scale: Array) -> Scales | None:
        """The least of scales (places, D); None where they do not vary."""
        if (scale == scale[:1]).all():
            return None
        return cls(scale.min(axis=0))

    def split(
        self,
        model_of: Callable[[Array], LatentModel],
        x: Array,
        posterior: Posterior,
        budget: Budget,
    ) -> dict[str, Any]:
        """The gap, with the first assumed floor that is not refuted.

        `model_of` gives the model with a floor of the scales.
        """
        if not (self.least > 0).all():
            return {"not computed": f"the decoder gives a scale of {self.least.min():g}"}
        for share in _SHARES:
            floor = share * self.least
            assumed = {
                "least_scale": float(floor.min()),
                "least_scale_seen": float(self.least.min()),
                "assumed": (
                    f"no scale of an output falls below {share:g} times the least one seen at "
                    f"{_PLACES} latents out to {_RADII[-1]:g} from the centre of the prior, since "
                    "the declared likelihood has no floor; no scale that was decoded does"
                ),
            }
            try:
                return {**split(model_of(floor), x, posterior, budget), **assumed}
            except ValueError as error:
                if _BELOW not in str(error) or budget.spent:
                    raise
        return {
            "not computed": (
                f"the scales of the decoder have no floor that could be assumed: one is below "
                f"{_SHARES[-1]:g} times the least one seen at {_PLACES} latents; clamp them"
            )
        }
