"""Check of 14a: the bounds of K samples rise to the evidence, and are one-dimensional integrals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.importance_weighting import importance_weighted_bound
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.claims.importance_weighting.scenes import (
    BOUND,
    WEIGHTS,
    CurvedScene,
    curved_scenes,
    evidences,
    lattice_over_q,
    product_values,
)
from vaetheory.rounding import gamma

COUNTS = (1, 2, 3, 4, 10, 100, 1000, 10**6)
#: The logarithms of t over which the check sums.
_LOG_T = np.arange(-40.0, 720.0, 0.25)


@once
def library_values(scenes: tuple[CurvedScene, ...]) -> tuple[Array, Array, Array, Array]:
    """L_K for all of `COUNTS` `(I, 8)` with errors, and ELBOs with errors `(I,)`."""
    found = [
        importance_weighted_bound(s.model, [s.x], s.posterior, list(COUNTS), rtol=1e-9)
        for s in scenes
    ]
    value, error = (np.array([getattr(f, name)[0] for f in found]) for name in ("value", "error"))
    first = [elbo(s.model, [s.x], s.posterior) for s in scenes]
    one, off = np.array([[f.value[0], f.error[0]] for f in first]).T
    return value, error, one, off


@once
def written_out(scenes: tuple[CurvedScene, ...], divided: bool) -> Array:
    """The integrals of (exp(-t) - phi(t / K)^K) / t plus log p, K = 1 to 3, `(I, 3)`."""
    logs, masses = lattice_over_q(scenes, 0.125, 0.25)
    top = logs.max(axis=-1)
    values = np.empty((len(logs), 3))
    for row, log_w in enumerate(logs - top[:, None]):
        for k in (1, 2, 3):
            shift = np.log(k) if divided else 0.0
            with np.errstate(under="ignore", over="ignore"):
                phi = np.exp(-np.exp(_LOG_T[:, None] - shift + log_w)) @ masses
                terms = np.exp(-np.exp(_LOG_T)) - phi**k
            values[row, k - 1] = terms.sum() * (_LOG_T[1] - _LOG_T[0])
    return values + top[:, None]


@together
def closing_bound(
    scenes: Sequence[CurvedScene],
    *,
    divided: bool = True,
    only_the_logarithm: bool = False,
    gain: float = 0.0,
    rise: float = 1.0,
) -> list[Comparison]:
    """Compare the library, the integral written out, and product quadrature; and the order."""
    key = tuple(scenes)
    value, error, one, off = library_values(key)
    product, spread = product_values(key)
    integral = written_out(key, divided)
    evidence, evidence_error = evidences(key)
    if only_the_logarithm:
        value = one[:, None] + np.log(COUNTS)
    exact = np.array([s.exact for s in scenes])
    size = 1 + np.abs(product)
    lost = gamma(4000) * (size + 50)
    each = [
        Comparison.identities(value[:, 0], one, scale=size[:, 0], library=error[:, 0], elbo=off),
        Comparison.identities(
            value[:, :3], product, scale=size, library=error[:, :3], lattices=spread, rounding=lost
        ),
        Comparison.identities(integral, product, scale=size, lattices=spread, rounding=lost),
        Comparison.each_at_most(
            value[:, :-1] + gain, value[:, 1:], scale=1.0, library=error[:, 1:] + error[:, :-1]
        ),
        Comparison.each_at_most(
            rise * (value - value[:, :1]) + value[:, :1], evidence[:, None], scale=1.0,
            library=error, evidence=evidence_error[:, None],
        ),
        # All are equal if q is the posterior.
        Comparison.identities(
            np.where(exact[:, None], value - evidence[:, None], 0.0), 0.0, scale=1.0,
            library=error, evidence=evidence_error[:, None],
        ),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


CLOSING_BOUND = Proposition(
    label="14a",
    title="The bounds of K samples rise to the evidence, and each is a one-dimensional integral",
    statement=(
        r"\mathrm{ELBO} = L_1 \le L_K \le L_{K+1} \le \log p(x),\quad "
        r"L_K - \log p(x) = \int_0^\infty\big(e^{-t} - \phi(t/K)^K\big)\frac{dt}t,\ "
        r"\phi(t) = \mathbb E_qe^{-t\bar w};\quad L_K = L_{K+1} \iff \bar w \text{ is constant}"
    ),
    hypotheses=(WEIGHTS, BOUND, ("finite", r"\mathbb E_q|\log w| < \infty")),
    kind="identity",
    instances=curved_scenes(),
    check=closing_bound,
    controls=wrong(
        closing_bound,
        {
            "phi at t and not at t / K": {"divided": False},
            "the ELBO plus log K": {"only_the_logarithm": True},
            "another sample helps every q, by a thousandth of a nat": {"gain": 1e-3},
            "twice the rise is still below the evidence": {"rise": 2.0},
        },
    ),
    uses=("3a",),
    figure="importance-weighting",
    resolution=1e-4,
    examples=8,
)
