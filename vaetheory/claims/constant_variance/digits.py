"""Claim 5 on real data: what one posterior variance for all digits costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
from hypothesis import strategies as st

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.checking.claim import Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.digits import fitted_decoder, load
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.constant_variance import second_order
from vaetheory.constant_variance import ExactPenalty, constant_variance_penalty, exact_penalty
from vaetheory.models import LatentModel
from vaetheory.modes import posterior_mode

# The exact ELBO is taken on every eighteenth digit: 100 of them.
_STRIDE = 18


def digit_model(noise: float) -> LatentModel:
    """The model fitted to the digits, with its noise scaled by a factor."""
    decoder, scale = fitted_decoder()
    return LatentModel(decoder, likelihoods.Gaussian(scale=noise * scale), 2)


@dataclass(frozen=True)
class DigitScene:
    """The fitted model with its noise scaled by a factor, and a constant covariance."""

    noise: float
    other: Covariance

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return digit_model(self.noise)

    @property
    def X(self) -> Array:
        """The images."""
        return load().images

    def modes(self) -> tuple[Array, Array, Array]:
        """Modes, Hessians there, and equal weights."""
        modes, A = digit_hessians(self.noise)
        return modes, A, np.full(len(A), 1 / len(A))


@lru_cache(maxsize=4)
def digit_hessians(noise: float) -> tuple[Array, Array]:
    """Mode of every digit and Hessian of the potential there, computed once a process."""
    model, X = digit_model(noise), load().images
    modes = posterior_mode(model, X)
    return modes, model.potential_derivatives(X, modes)[1]


@lru_cache(maxsize=4)
def digit_exact_penalty(noise: float) -> ExactPenalty:
    """Exact-ELBO penalty of every eighteenth digit."""
    return exact_penalty(digit_model(noise), load().images[::_STRIDE], rtol=1e-7)


def digit_penalty(
    scene: DigitScene,
    *,
    penalty: Callable[[Array, Array], float] = second_order.second_order_penalty,
    bound: float = 1.0,
) -> Comparison:
    """All digits: second-order penalty by two routes, below its bounds; the exact one beside it."""
    identity = second_order.penalty_identity(scene, penalty=penalty)
    _, A, _ = scene.modes()
    found, few = constant_variance_penalty(A), constant_variance_penalty(A[::_STRIDE])
    exact = digit_exact_penalty(scene.noise)
    values = np.linalg.eigvalsh(A)
    told = (
        f"digits: eigenvalues of A from {values.min():.1f} to {values.max():.1f}; one variance for "
        f"all {len(A)} costs {found.value:.4f} nats to second order (small variations "
        f"{found.second_order:.4f}, Specht's bound {found.specht_bound:.4f}); for every "
        f"{_STRIDE}th {few.value:.4f} to second order and {exact.value:.4f} in the exact ELBO"
    )
    return Comparison.all_of(
        identity,
        Comparison.at_most(
            found.value, bound * found.sharp_bound, scale=found.specht_bound, rounding=found.error
        ),
        Comparison.at_most(
            found.sharp_bound, found.specht_bound, scale=found.specht_bound, rounding=found.error
        ),
        Comparison.at_most(0.0, exact.value, scale=1.0, elbo=exact.error),
        findings=(told,),
    )


CONSTANT_VARIANCE = Proposition(
    label="5-digits",
    title="One posterior variance for 1,797 digits costs 0.3 nats each",
    statement=(
        r"\tfrac12(\log\det\bar A - \mathbb E\log\det A)"
        r" = \mathbb E\,\mathrm{ELBO}_2^{\mathrm{free}}"
        r" - \mathbb E\,\mathrm{ELBO}_2^{\mathrm{constant}} \le \tfrac d2\log\mathrm{Specht}(h)"
    ),
    hypotheses=(
        ("the model", r"d = 2,\ \text{a tanh network fitted to the digits, Gaussian noise}"),
        ("modes", r"A_n \succ 0"),
    ),
    kind="identity",
    instances=st.just(DigitScene(1.0, Covariance((0.03, 0.025), (30,)))),
    check=digit_penalty,
    controls=(
        Control(
            "log E in place of E log",
            partial(digit_penalty, penalty=second_order.log_of_mean_determinant),
        ),
        Control("no factor 1/2", partial(digit_penalty, penalty=second_order.twice_the_penalty)),
        Control("a tenth of the bound", partial(digit_penalty, bound=0.1)),
    ),
    uses=("5a", "5c"),
    resolution=1e-4,
    figure="digits",
    examples=1,
)
