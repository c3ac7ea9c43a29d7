"""The cost of a constant variance on a ladder of sigma, to second order and exactly."""

from __future__ import annotations

import numpy as np

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking import once
from vaetheory.constant_variance import constant_variance_penalty, exact_penalty, mode_hessians
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.modes import climb
from vaetheory.rounding import gamma


def second_order_penalties(decoder: Decoder, Z: Array, scales: Array) -> tuple[Array, Array]:
    """Second-order penalty of the data f(z_n) for each sigma, at the modes near z_n, and errors."""
    penalties = [_second_order(decoder, Z, float(scale)) for scale in scales]
    return np.array([v for v, _ in penalties]), np.array([e for _, e in penalties])


@once
def _second_order(decoder: Decoder, Z: Array, scale: float) -> tuple[float, float]:
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scale), Z.shape[-1])
    X = decoder(Z)
    modes, _, _ = climb(model, X, Z, polish=True)
    gradient, A, _ = model.potential_derivatives(X, modes)
    nearer = modes - np.linalg.solve(A, gradient[..., None])[..., 0]
    penalty = constant_variance_penalty(mode_hessians(model, X, nearer))
    # The last Newton step is larger than the distance that is left.
    last = abs(float(penalty.value) - float(constant_variance_penalty(A).value))
    # The Hessians themselves are rounded, each in proportion to its size.
    blurred = gamma(40) * float(np.linalg.cond(A).max()) * np.sqrt(4 * float(penalty.value))
    return float(penalty.value), float(penalty.error) + last + blurred


@once
def exact_penalties(decoder: Decoder, Z: Array, scales: Array) -> tuple[Array, Array]:
    """Exact-ELBO penalty of the data f(z_n) for each sigma, on the branch near z_n, and errors."""
    J, X = decoder.jacobian(Z), decoder(Z)
    metrics = np.swapaxes(J, -1, -2) @ J
    values, errors = [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), Z.shape[-1])
        start = Posterior(Z, cov=np.linalg.inv(metrics / scale**2 + np.eye(Z.shape[-1])))
        penalty = exact_penalty(model, X, start=start)
        values.append(penalty.value)
        errors.append(penalty.error)
    return np.array(values), np.array(errors)
