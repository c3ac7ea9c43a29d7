"""Checks of 15a: Renyi bounds fall with their order, from CUBO over the evidence to the ELBO."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.renyi import cubo, renyi_bound
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.claims.evidence_sandwich.scenes import WeightScene, moments_of, weight_scenes
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.rounding import gamma

#: Powers s = 1 - a, of which none is at a threshold of the instances.
_POWERS = (-2.0, -1.0, -0.5, 0.5, 1.5, 2.0, 3.0)
WEIGHTS = ("weights", r"w(z) = p(x, z) / q(z|x),\ V_a = \tfrac{1}{1-a}\log\mathbb E_q[w^{1-a}]")


@once
def bounds_of(scenes: tuple[WeightScene, ...]) -> tuple[Array, Array]:
    """The library's bounds at the powers, at 0 and at 1, `(I, 9)`, and their errors."""
    values, errors = [], []
    for scene in scenes:
        found = [renyi_bound(scene.model, scene.x, scene.q, 1 - s) for s in (*_POWERS, 0.0, 1.0)]
        values.append([float(f.value) for f in found])
        errors.append([float(f.error) for f in found])
    return np.array(values), np.array(errors)


@once
def ends_of(scenes: tuple[WeightScene, ...]) -> tuple[Array, Array, Array]:
    """ELBO and log evidence by other routes `(I, 2)`, their errors, and CUBO_2."""
    lower = [elbo(s.model, s.x, s.q) for s in scenes]
    exact = [linear_log_evidence(s.model, np.array(s.x)) for s in scenes]
    twice = [float(cubo(s.model, s.x, s.q).value) for s in scenes]
    pairs = list(zip(lower, exact, strict=True))
    values = np.array([[float(a.value), float(b.value)] for a, b in pairs])
    return values, np.array([[float(a.error), float(b.error)] for a, b in pairs]), np.array(twice)


@together(alike=lambda scene: scene.dim)
def fall_with_order(
    scenes: Sequence[WeightScene],
    *,
    unscaled: bool = False,
    reverse: bool = False,
    rising: bool = False,
    exchanged: bool = False,
) -> list[Comparison]:
    """Compare the closed form from log w with Renyi's divergence, and look where it is infinite."""
    given = tuple(scenes)
    values, errors = bounds_of(given)
    ends, end_errors, twice = ends_of(given)
    moments = moments_of(given)
    condition = np.array([s.condition for s in scenes])
    powers = np.array(_POWERS)
    expected, sizes, finite = [], [], []
    for s in _POWERS:
        divergence, size = moments.renyi(s, reverse=reverse)
        expected.append(ends[:, 1] + (s - 1) * (1.0 if unscaled else 1 / s) * divergence)
        sizes.append(1 + np.abs(ends[:, 1]) + abs(s - 1) / abs(s) * size)
        by = 1 - s if exchanged else s
        finite.append([scene.finite(by) for scene in scenes])
    told, right, size = np.array(finite).T, np.array(expected).T, np.array(sizes).T
    here = np.isfinite(values[:, : len(powers)])
    lost = gamma(1000) * condition[:, None] * size
    both = here & np.isfinite(right)
    left = np.where(both, values[:, : len(powers)], 0.0)
    identity = Comparison.identities(
        left, np.where(both, right, 0.0), scale=size,
        library=np.where(both, errors[:, : len(powers)], 0.0), rounding=lost,
        evidence=end_errors[:, 1:],
    )  # fmt: skip
    # No number is neither a finite bound nor an infinite one.
    word = np.nan_to_num(np.sign(values[:, : len(powers)]), nan=2.0)
    infinite = np.where(here, 0.0, word)
    decided = Comparison.identities(
        infinite, np.where(told, 0.0, np.sign(powers)), scale=1.0, exact=0.0
    )
    same = Comparison.identities(
        values[:, len(powers) :], ends, scale=1 + np.abs(ends),
        library=errors[:, len(powers) :] + end_errors,
    )  # fmt: skip
    alias = Comparison.identities(
        np.where(np.isfinite(twice), twice, 0.0),
        np.where(np.isfinite(values[:, 5]), values[:, 5], 0.0), scale=1.0, exact=0.0,
    )  # fmt: skip
    # In the order of the powers; infinite bounds at the ends are in order by their signs.
    order = np.argsort([*_POWERS, 0.0, 1.0])
    ordered, off = values[:, order], errors[:, order]
    steps = np.isfinite(ordered[:, 1:]) & np.isfinite(ordered[:, :-1])
    low, high = (np.where(steps, v, 0.0) for v in (ordered[:, :-1], ordered[:, 1:]))
    if rising:
        low, high = high, low
    monotone = Comparison.each_at_most(
        low, high, scale=1 + np.abs(low), library=np.where(steps, off[:, 1:] + off[:, :-1], 0.0)
    )
    parts = (identity, decided, same, alias, monotone)
    return [Comparison.all_of(*each) for each in zip(*parts, strict=True)]


RENYI = Proposition(
    label="15a",
    title="Renyi bounds fall with their order: CUBO, the evidence, the ELBO",
    statement=(
        r"V_a \ge V_b \text{ for } a \le b,\quad V_1 = \mathrm{ELBO},\ V_0 = \log p(x),\ "
        r"V_{1-n} = \mathrm{CUBO}_n;\quad V_{1-s} = \log p(x) + \tfrac{s-1}{s}"
        r"D_s(p(z|x)\,\|\,q);\quad |V_{1-s}| < \infty \iff sP + (1-s)Q \succ 0"
    ),
    hypotheses=(
        WEIGHTS,
        ("linear model, Gaussian noise", r"p(z|x) = \mathcal N(\mu, P^{-1}),\ q = \mathcal N(m, "
         r"Q^{-1}),\ d \le 8"),
        ("Renyi's divergence", r"D_s(p\,\|\,q) = \tfrac{1}{s-1}\log\textstyle\int p^sq^{1-s}"),
    ),
    kind="identity",
    instances=weight_scenes(),
    check=fall_with_order,
    controls=wrong(
        fall_with_order,
        {
            "(n - 1) D_n without the 1/n": {"unscaled": True},
            "D_n(q || p(z|x))": {"reverse": True},
            "rises with the order": {"rising": True},
            "finite iff (1 - s) P + s Q is definite": {"exchanged": True},
        },
    ),
    uses=("3a",),
    figure="evidence-sandwich",
    examples=12,
)  # fmt: skip

_ORDERS = (0.75, 0.5)


@once
def curved_bounds(scene: ModelScene) -> tuple[Array, Array]:
    """ELBO, bounds of falling order, and log evidence, with their errors, `(4,)`."""
    found = [renyi_bound(scene.model, scene.x, scene.posterior, a) for a in (1.0, *_ORDERS, 0.0)]
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


@once
def by_lattice(scene: ModelScene) -> tuple[Array, Array]:
    """Log E_q[w^(1 - a)] at the orders by a lattice over p^(1 - a) q^a, and errors, `(2,)`."""
    q, x = scene.posterior, np.array(scene.x)
    wide = 9.0 / np.sqrt(min(_ORDERS))
    deviation = np.sqrt(np.diagonal(q.cov))
    powers = np.array([1 - a for a in _ORDERS])

    def logs(z: Array) -> Array:
        joint, own = scene.model.log_joint(x, z), q.log_prob(z)
        return own[:, None] + powers * (joint - own)[:, None]

    near = np.linspace(-3.0, 3.0, 13)[:, None] * deviation
    height = logs(q.loc + near).max(axis=0)
    step = np.sqrt(np.linalg.eigvalsh(q.cov)[0]) * (0.05 if len(deviation) == 1 else 0.2)
    value, error = lattice_integral(
        lambda z: np.exp(logs(z) - height), q.loc - wide * deviation, q.loc + wide * deviation,
        step=step,
    )  # fmt: skip
    return (np.log(value) + height) / powers, error / value / powers


def between_bounds(
    scene: ModelScene, *, exchanged: bool = False, rising: bool = False, whole: bool = False
) -> Comparison:
    """Compare quadrature under the tilted Gaussian with a lattice, and the order of the bounds."""
    values, errors = curved_bounds(scene)
    expected, off = by_lattice(scene)
    evidence = log_evidence(scene.model, scene.x)
    told = expected[::-1] if exchanged else expected
    if whole:
        told = expected * (1 - np.array(_ORDERS))
    size = 1 + np.abs(values)
    low, high = (values[1:], values[:-1]) if rising else (values[:-1], values[1:])
    return Comparison.all_of(
        Comparison.identity(
            values[1:-1], told, scale=size[1:-1], library=errors[1:-1], lattice=off,
            rounding=gamma(1000) * size[1:-1],
        ),
        Comparison.identity(
            values[-1], evidence.value, scale=size[-1], library=errors[-1], evidence=evidence.error
        ),
        Comparison.at_most(low, high, scale=size[1:], library=errors[1:] + errors[:-1]),
    )  # fmt: skip


CURVED = Proposition(
    label="15a-curved",
    title="For any decoder the bounds of orders from 0 to 1 lie between the evidence and the ELBO",
    statement=(
        r"\mathrm{ELBO} \le V_{3/4} \le V_{1/2} \le \log p(x),\quad "
        r"V_a = \tfrac{1}{1-a}\log\textstyle\int p(x, z)^{1-a}q(z|x)^a\,dz"
    ),
    hypotheses=(WEIGHTS, ("any model", r"d \le 2,\ \text{four families, any Gaussian } q")),
    kind="identity",
    instances=model_scenes(smallest=0.25, dims=(1, 1, 1, 1, 2)),
    check=between_bounds,
    controls=wrong(
        between_bounds,
        {
            "the order is 1 - a": {"exchanged": True},
            "rises with the order": {"rising": True},
            "without the factor 1 / (1 - a)": {"whole": True},
        },
    ),
    uses=("3a", "15a"),
    examples=6,
)
