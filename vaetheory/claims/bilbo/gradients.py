"""Check of 6a-gradient: the derivatives of BILBO and of its correction, by the complex step.

Both are analytic in the means and the deviations. A step of 1e-30 along the imaginary axis gives
their derivatives to the last digit, from formulas written here with moments and determinants.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from autograd import grad
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.checking.batches import Batch, batches
from vaetheory.claims.bilbo.scenes import ENCODER, FINITE
from vaetheory.rounding import gamma

_STEP = 1e-30


@dataclass(frozen=True)
class GradientScene:
    """A batch and the form of its information term."""

    batch: Batch
    form: str


def gradient_scenes() -> SearchStrategy[GradientScene]:
    """Batches of two to four in one or two dimensions, in each form."""
    some = [batches(dim, min_size=2, distinct=True) for dim in (1, 2)]
    return st.builds(GradientScene, st.one_of(some), st.sampled_from(FORMS))


def _terms(means: Array, deviations: Array, form: str) -> tuple[complex, complex]:
    """Information and optimism, of real or complex means `(B, d)` and deviations `(d,)`."""
    count = len(means)
    away = means if form == "diagonal" else means - means.mean(axis=0)
    if form == "full":
        cov, noise = away.T @ away / count, np.diag(deviations**2)
        information = 0.5 * np.log(np.linalg.det(cov + noise) / np.prod(deviations**2))
        share = np.linalg.solve(cov + noise, cov)
        squares = np.einsum("bi,ij,bj->b", away, np.linalg.inv(cov + noise), away)
        spread = (squares**2).mean() - np.trace(share @ share)
        return information, (np.trace(share) / 2 + spread / 4) / count
    second = (away**2).mean(axis=0)
    total = second + deviations**2
    spread = ((away**4).mean(axis=0) - second**2) / total**2
    own = (second / total).sum() / 2 if form == "centred" else 0.0
    information = 0.5 * np.log(total / deviations**2).sum()
    return information, (spread.sum() / 4 + own) / count


def complex_step(means: Array, deviations: Array, form: str) -> tuple[Array, Array]:
    """Derivatives `(B d + d,)` of the information and of the optimism."""
    count, dim = means.shape
    flat = np.concatenate([means.ravel(), deviations])
    rows = []
    for unit in np.eye(len(flat)):
        moved = flat + 1j * _STEP * unit
        terms = _terms(moved[: count * dim].reshape(count, dim), moved[count * dim :], form)
        rows.append([f.imag / _STEP for f in terms])
    information, optimism = np.array(rows).T
    return information, optimism


def _changed(means: Array, deviations: Array, form: str, factors: tuple[float, float]) -> Any:
    information, optimism = complex_step(means, deviations, form)
    return factors[0] * information, factors[1] * optimism


def twice_the_information(means: Array, deviations: Array, form: str) -> Any:
    """The gradient without the factor 1/2 of the information."""
    return _changed(means, deviations, form, (2.0, 1.0))


def twice_the_optimism(means: Array, deviations: Array, form: str) -> Any:
    """The gradient of the correction doubled."""
    return _changed(means, deviations, form, (1.0, 2.0))


def other_sign(means: Array, deviations: Array, form: str) -> Any:
    """A correction whose gradient has the other sign."""
    return _changed(means, deviations, form, (1.0, -1.0))


def gradients_agree(
    scene: GradientScene,
    *,
    expected: Callable[[Array, Array, str], tuple[Array, Array]] = complex_step,
) -> Comparison:
    """Compare autograd through the library's bound with the complex step."""
    means, deviations, form = scene.batch.means, scene.batch.deviations, scene.form
    count, dim = means.shape

    def of(field: str) -> Array:
        def value(flat: Any) -> Any:
            loc, scale = flat[: count * dim].reshape(count, dim), flat[count * dim :]
            return getattr(bilbo(np.zeros(count), loc, scale, form=form), field)

        return np.asarray(grad(value)(np.concatenate([means.ravel(), deviations])))

    information, optimism = expected(means, deviations, form)
    value, corrected = of("value"), of("corrected")
    # Rounding grows with the ratio of means to deviations and with the condition of the matrices.
    reach = float((np.abs(means) / deviations).max()) + 1
    condition = float(deviations.max() / deviations.min()) ** 2 * reach**2
    size = (1 + reach**2) / float(deviations.min())
    rounding = gamma(200 * count) * condition * size
    parts = [
        Comparison.identity(value, -information, scale=size, rounding=rounding),
        Comparison.identity(corrected - value, -optimism, scale=size, rounding=rounding),
    ]
    return Comparison.all_of(*parts)


GRADIENTS = Proposition(
    label="6a-gradient",
    title="Its gradients, and those of its correction, are the derivatives of the formulas",
    statement=(
        r"\nabla_{m, s}\,\mathrm{BILBO}_B = -\nabla_{m, s}\,I,\quad "
        r"\nabla_{m, s}\,(\mathrm{BILBO}_B - \hat c_B/B) = "
        r"-\nabla_{m, s}\,(I + \hat c_B/B),\quad "
        r"\hat c_B \text{ as } c \text{ in 6f, with the moments of the batch}"
    ),
    hypotheses=(ENCODER, FINITE, ("two or more", r"B \ge 2,\text{ distinct means}")),
    kind="identity",
    instances=gradient_scenes(),
    check=gradients_agree,
    controls=wrong(
        gradients_agree,
        {
            "the information without its half": {"expected": twice_the_information},
            "twice the correction": {"expected": twice_the_optimism},
            "a correction of the other sign": {"expected": other_sign},
        },
    ),
    uses=("6a",),
)
