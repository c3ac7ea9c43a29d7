"""Check of 5e: linear decoders lose nothing to a constant variance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.linear_models import LinearScene, linear_scenes
from vaetheory.constant_variance import (
    ExactPenalty,
    constant_variance_penalty,
    exact_penalty,
    mode_hessians,
)
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class _Bent(Decoder):
    """A linear decoder with a quarter of the first latent's square added to every output."""

    linear: Decoder

    def __call__(self, z: Array) -> Array:
        return self.linear(z) + 0.25 * z[..., :1] ** 2

    def jacobian(self, z: Array) -> Array:
        slopes = self.linear.jacobian(z)
        slopes[..., 0] += 0.5 * z[..., :1]
        return slopes

    def hessian(self, z: Array) -> Array:
        bends = self.linear.hessian(z)
        bends[..., 0, 0] += 0.5
        return bends


@once
def _penalty(scene: LinearScene, bent: bool) -> tuple[LatentModel, Array, ExactPenalty]:
    """The model, three data, and what a shared covariance costs them."""
    model, x = scene.model, np.array(scene.x)
    if bent:
        model = LatentModel(_Bent(model.decoder), model.likelihood, model.latent_dim)
    X = np.stack([x, np.array(scene.bias), 2 - x])
    return model, X, exact_penalty(model, X)


def linear_is_free(
    scene: LinearScene, *, bent: bool = False, any_constant: bool = False
) -> Comparison:
    """Check that a shared covariance costs a linear decoder nothing, exactly or to second order."""
    model, X, penalty = _penalty(scene, bent)
    lost, error = penalty.value, penalty.error
    if any_constant:
        covs = np.broadcast_to(np.eye(model.latent_dim), penalty.free.cov.shape)
        other = elbo(model, X, Posterior(penalty.free.loc, cov=covs))
        lost = float((penalty.free.value - other.value).mean())
        error = float((penalty.free.error + other.error).mean())
    size = 1 + float(np.abs(penalty.free.value).max())
    second = constant_variance_penalty(mode_hessians(model, X, penalty.free.loc))
    return Comparison.all_of(
        Comparison.identity(lost, 0.0, scale=size, numerics=error),
        Comparison.identity(second.value, 0.0, scale=1.0, rounding=second.error),
    )


LINEAR_IS_FREE = Proposition(
    label="5e",
    title="A linear decoder loses nothing to a constant variance, whatever its matrix",
    statement=r"f(z) = Wz + b \;\Rightarrow\; P_{\mathrm{exact}} = P_2 = 0",
    hypotheses=(
        ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \Lambda)"),
        ("linear decoder", r"f(z) = Wz + b"),
    ),
    kind="identity",
    instances=linear_scenes(),
    check=linear_is_free,
    controls=wrong(
        linear_is_free,
        {
            "a bent decoder": {"bent": True},
            "any constant variance": {"any_constant": True},
        },
    ),
    uses=("3c", "5a"),
    examples=10,
)
