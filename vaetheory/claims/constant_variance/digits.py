"""Check of 5-digits: what one posterior variance for all digits costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.digit_models import digit_hessians, digit_model
from vaetheory.checking.digits import load
from vaetheory.checking.strategies import Covariance
from vaetheory.claims.constant_variance import second_order
from vaetheory.constant_variance import (
    ExactPenalty,
    Penalty,
    constant_variance_penalty,
    exact_penalty,
)
from vaetheory.models import LatentModel

# The exact ELBO is computed for every eighteenth digit: 100 of them.
_STRIDE = 18


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
def digit_exact_penalty(noise: float) -> ExactPenalty:
    """Exact-ELBO penalty of every eighteenth digit."""
    return exact_penalty(digit_model(noise), load().images[::_STRIDE], rtol=1e-7)


@once
def _penalties(noise: float) -> tuple[Penalty, Penalty]:
    """Second-order penalties of all digits, and of every eighteenth."""
    A = digit_hessians(noise)[1]
    return constant_variance_penalty(A), constant_variance_penalty(A[::_STRIDE])


def digit_penalty(
    scene: DigitScene,
    *,
    penalty: Callable[[Array, Array], float] = second_order.second_order_penalty,
    bound: float = 1.0,
) -> Comparison:
    """Check the second-order penalty by two routes and its bounds, and report the exact one."""
    identity = second_order.penalty_identity(scene, penalty=penalty)
    _, A, _ = scene.modes()
    whole, few = _penalties(scene.noise)
    exact = digit_exact_penalty(scene.noise)
    values = np.linalg.eigvalsh(A)
    finding = (
        f"digits: eigenvalues of A from {values.min():.1f} to {values.max():.1f}; one variance for "
        f"all {len(A)} costs {whole.value:.4f} nats to second order (small variations "
        f"{whole.second_order:.4f}, Specht's bound {whole.specht_bound:.4f}); for every "
        f"{_STRIDE}th {few.value:.4f} to second order and {exact.value:.4f} in the exact ELBO"
    )
    return Comparison.all_of(
        identity,
        Comparison.at_most(
            whole.value, bound * whole.sharp_bound, scale=whole.specht_bound, rounding=whole.error
        ),
        Comparison.at_most(
            whole.sharp_bound, whole.specht_bound, scale=whole.specht_bound, rounding=whole.error
        ),
        Comparison.at_most(0.0, exact.value, scale=1.0, elbo=exact.error),
        findings=(finding,),
    )


PENALTY_ON_DIGITS = Proposition(
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
    controls=wrong(
        digit_penalty,
        {
            "log E in place of E log": {"penalty": second_order.log_of_mean_determinant},
            "no factor 1/2": {"penalty": second_order.twice_the_penalty},
            "a tenth of the bound": {"bound": 0.1},
        },
    ),
    uses=("5a", "5c"),
    resolution=1e-4,
    figure="digits",
    examples=1,
)
