"""What the checks share: smooth functions, and averages over data and posteriors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.checking import strategies
from vaetheory.checking.strategies import EncodedData, Vector


@dataclass(frozen=True)
class Wave:
    """The smooth function z -> offset + amplitude sin(frequency . z)."""

    offset: Vector
    amplitude: Vector
    frequency: Vector

    def __call__(self, z: Array) -> Array:
        """Values `(..., D)` at z `(..., d)`."""
        wave = np.sin(z @ np.array(self.frequency))
        return np.array(self.offset) + wave[..., None] * np.array(self.amplitude)


@cache
def waves(dim: int, data_dim: int) -> SearchStrategy[Wave]:
    """Functions from the latent space to the data space."""
    return st.builds(
        Wave,
        strategies.vectors(data_dim),
        strategies.vectors(data_dim),
        strategies.vectors(dim),
    )


def mean_over_data(
    integrand: Callable[[Array, Array], Array], scene: EncodedData
) -> tuple[float, float]:
    """The mean over the data of E_{q(z|x_n)}[g(x_n, z)], and the estimate of its error."""
    X, encoder = scene.data, scene.encoder
    result = gaussian_expectation(
        lambda z, rows: integrand(X[rows, None], z), encoder.loc, encoder.cov, rtol=1e-11
    )
    return float(result.value.mean()), float(result.error.mean())
