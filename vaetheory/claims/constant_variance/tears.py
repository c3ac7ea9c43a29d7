"""Check of 5f-torn: without a bound of the stretch the least cost of a cap is zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.claims.constant_variance.coordinates import reparametrised
from vaetheory.claims.constant_variance.spherical_cap import CAP, ORDER, cap_rule, dual_bound
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Torn:
    """A cap torn into petals; four times as many each time, up to `petals`."""

    angle: float
    petals: int


def tears() -> st.SearchStrategy[Torn]:
    """Caps of up to one radian, and thousands of petals."""
    return st.builds(Torn, st.sampled_from((1.0, 0.75, 0.5)), st.sampled_from((1024, 2048, 4096)))


@once
def torn_penalty(angle: float, petals: int, sliver: float) -> tuple[float, float, float]:
    """Penalty of a torn cap, its rounding, and its greatest stretch.

    Circles keep their distance from the pole. A petal turns by sin(r) / r times its angle and keeps
    its width; the share `sliver` of the circle between petals takes up the rest. The map is
    continuous and has creases along radii; to smooth them costs arbitrarily little.
    """
    r, weights = cap_rule(angle, ORDER)
    half = np.pi / petals
    x, w = np.polynomial.legendre.leggauss(6)
    x, w = (x + 1) / 2, w / 2
    turn = np.sin(r) / r
    drift = (np.cos(r) - turn) / r
    wide = (1 - turn * (1 - sliver)) / sliver
    # Stretch along the circle, and shear, at the nodes of half a petal and of half a sliver.
    along = np.stack([np.ones_like(r), wide * r / np.sin(r)], axis=-1)
    shear = np.stack([drift * (1 - sliver) * half, drift * (1 - sliver) * half], axis=-1)
    J = np.zeros((len(r), 2, len(x), 2, 2))
    J[..., 0, 0] = 1.0
    J[..., 1, 1] = along[..., None]
    J[..., 1, 0] = (r[:, None] * shear)[..., None] * x
    parts = np.array([1 - sliver, sliver])
    mass = (weights[:, None, None] * parts[:, None] * w).ravel()
    metrics = reparametrised(np.broadcast_to(np.eye(2), J.shape), J).reshape(-1, 2, 2)
    # The petals lie in all directions: each metric is paired with itself turned by 90 degrees.
    quarter = np.array([[0.0, -1.0], [1.0, 0.0]])
    both = np.concatenate([metrics, quarter @ metrics @ quarter.T])
    cost = constant_variance_penalty(both, weights=np.concatenate([mass, mass]) / 2)
    mean = np.linalg.inv(cost.cov)[0, 0]
    greatest = float((np.linalg.eigvalsh(metrics)[:, 0].min() / mean) ** -0.5)
    return float(cost.value), float(cost.error), greatest


def torn_limit(angle: float, petals: int, sliver: float) -> float:
    """The most that a torn cap costs: half its squared shear, and its slivers' log stretch."""
    r, weights = cap_rule(angle, ORDER)
    turn = np.sin(r) / r
    shear = (np.cos(r) - turn) * np.pi / petals
    stretch = (1 - turn * (1 - sliver)) / (sliver * turn)
    return float(weights @ (shear**2 / 2 + sliver * np.log(stretch)))


def tears_cost_nothing(
    scene: Torn, *, sliver: Callable[[float], float] = lambda n: n**-2.0, obeyed: bool = False
) -> Comparison:
    """Check that finer tears cost less and less, far below the bound that holds without tears."""
    counts = scene.petals // 4 ** np.arange(3, -1, -1)
    bound, error = dual_bound(scene.angle, 2.5)
    torn = [torn_penalty(scene.angle, int(n), sliver(float(n))) for n in counts]
    values, roundings = np.array([t[0] for t in torn]), np.array([t[1] for t in torn])
    if obeyed:
        return Comparison.at_most(
            bound, values[-1], scale=bound, dual=error, rounding=roundings[-1]
        )
    limits = np.array([torn_limit(scene.angle, int(n), float(n) ** -2.0) for n in counts])
    return Comparison.all_of(
        Comparison.at_most(values, limits, scale=limits, rounding=roundings),
        # The limit is of order log(n) / n^2.
        Comparison.at_most(limits[1:], limits[:-1] / 4, scale=limits[:-1], rounding=roundings[1:]),
        Comparison.at_most(limits[-1], bound / 8, scale=bound, dual=error),
        Comparison.at_most(2.5, torn[-1][2], scale=2.5, rounding=gamma(1000)),
    )


def wide_slivers(n: float) -> float:
    """Tears take up a tenth of the circle, however many there are."""
    return 0.1


TORN_CAP = Proposition(
    label="5f-torn",
    title="Without a bound of the stretch even the sphere's least penalty is zero",
    statement=(
        r"\inf_\psi P[f\circ\psi^{-1}] = 0:\quad n \text{ petals, tears of total share }"
        r" n^{-2} \;\Rightarrow\; P = O(n^{-2}\log n)"
    ),
    hypotheses=(
        CAP,
        ("no bound of the stretch", r"M_n \succ 0 \text{ only}"),
    ),
    kind="counterexample",
    instances=tears(),
    check=tears_cost_nothing,
    controls=wrong(
        tears_cost_nothing,
        {
            "the cap's bound holds all the same": {"obeyed": True},
            "tears of constant width": {"sliver": wide_slivers},
        },
    ),
    uses=("5f-sphere",),
    resolution=1e-2,
    examples=6,
)
