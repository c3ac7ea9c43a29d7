"""The check of 0h: standard errors are unbiased, however small the sample.

Draws come from a population of a few equally likely values. So all samples can be listed, and
expectations over them are sums without chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.hessian_estimators import Estimate, jacobian_norm, price_hessian, stein_hessian
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Population:
    """Equally likely noises, the values seen there, the size of a sample, and the scale."""

    noise: Vector
    seen: Vector
    size: int
    scale: float

    def samples(self) -> tuple[Array, Array]:
        """Noise and values of every sample, `(M, n)`."""
        rows = np.array(list(product(range(len(self.noise)), repeat=self.size)))
        return np.array(self.noise)[rows], np.array(self.seen)[rows]

    def estimates(self) -> list[tuple[Estimate, Array]]:
        """For each estimator its estimate from every sample, and its draw for each member."""
        noise, seen = self.samples()
        s, root = self.scale, [[self.scale]]
        eps, values = np.array(self.noise), np.array(self.seen)
        return [
            (jacobian_norm(seen[..., None], np.zeros((len(seen), 1)), s), (values / s) ** 2),
            (price_hessian(seen[..., None], noise[..., None], root), eps * values / s),
            (stein_hessian(seen, noise[..., None], root), (eps**2 - 1) * values / s**2),
        ]


@st.composite
def populations(draw: DrawFn) -> Population:
    """Populations of two or three members, and samples of two to four draws."""
    kinds = draw(st.integers(2, 3))
    scene = Population(
        draw(strategies.vectors(kinds)),
        draw(strategies.vectors(kinds)),
        draw(st.integers(2, 4)),
        draw(st.sampled_from((1.0, 0.5, 2.0))),
    )
    assume(all(np.ptp(draws) > 0 for _, draws in scene.estimates()))
    return scene


def errors_are_unbiased(
    scene: Population, *, ddof: int = 1, rooted: bool = True, factor: float = 1.0
) -> Comparison:
    """Mean squares of stated and of true errors over all samples are the variance over n."""
    parts = []
    for estimate, draws in scene.estimates():
        n = scene.size
        expected = float(draws.var()) / n
        stated = np.asarray(estimate.error).reshape(-1) ** 2 * (n - 1) / (n - ddof)
        if not rooted:
            stated = stated / n
        away = (np.asarray(estimate.value).reshape(-1) - draws.mean()) ** 2
        size = float((draws**2).mean())
        for values, right in ((stated, factor * expected), (away, expected)):
            parts.append(
                Comparison.identity(values.mean(), right, scale=size, rounding=gamma(200) * size)
            )
    return Comparison.all_of(*parts)


ERRORS_ARE_UNBIASED = Proposition(
    label="0h",
    title="Standard errors are unbiased, however few the draws",
    statement=(
        r"\mathbb E[\mathrm{error}^2] = \mathbb E[(\bar X_n - \mathbb E X)^2]"
        r" = \mathrm{Var}[X]/n,\quad n \ge 2"
    ),
    hypotheses=(
        (
            "independent draws",
            r"\text{from a population of two or three, all samples listed}",
        ),
        ("the estimators of claim 4", r"\text{Stein's, Price's, the Jacobian's norm}"),
    ),
    kind="identity",
    instances=populations(),
    check=errors_are_unbiased,
    controls=wrong(
        errors_are_unbiased,
        {
            "variances divided by n": {"ddof": 0},
            "n for its root": {"rooted": False},
            "twice the variance": {"factor": 2.0},
        },
    ),
)
