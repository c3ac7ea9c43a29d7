"""Checks of 22b: layers of latents, and posteriors that are products of blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import logsumexp

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gap import block_gap
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.structured_bounds.amortisation import LINEAR
from vaetheory.claims.structured_bounds.scenes import EncodedScene, encoded_scenes, log_dets
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, posterior_kl
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

LAYERS = ("two groups of latents", r"z = (z_1, z_2),\ q(z|x) = q(z_1|x)\,q(z_2|z_1, x)")


@once
def gaps_of(scenes: tuple[EncodedScene, ...]) -> tuple[Array, Array]:
    """Log p(x) - ELBO of full q by the library, `(I,)`, and errors."""
    exact = [linear_log_evidence(s.linear.model, np.array(s.linear.x)) for s in scenes]
    lower = [elbo(s.linear.model, np.array(s.linear.x), s.full) for s in scenes]
    values = [float(a.value - b.value) for a, b in zip(exact, lower, strict=True)]
    errors = [float(a.error + b.error) for a, b in zip(exact, lower, strict=True)]
    return np.array(values), np.array(errors)


def _trace(left: Array, right: Array) -> Array:
    return np.einsum("nij,nji->n", left, right)


def _square(matrix: Array, vector: Array) -> Array:
    return np.einsum("ni,nij,nj->n", vector, matrix, vector)


@together(alike=lambda scene: (scene.dim, (scene.dim + 1) // 2))
def chain_rule(
    scenes: Sequence[EncodedScene],
    *,
    at_mean: bool = False,
    marginals: bool = False,
    under_posterior: bool = False,
    falling: bool = False,
) -> list[Comparison]:
    """Compare the gap with the divergence of the first layer and the mean one of the second."""
    values, errors = gaps_of(tuple(scenes))
    first = (scenes[0].dim + 1) // 2
    one, two = slice(0, first), slice(first, None)
    precision = np.array([s.precision for s in scenes])
    condition = np.array([s.condition for s in scenes])
    cov, shift = np.linalg.inv(precision), np.array([s.shift for s in scenes])
    own = np.array([s.spread.matrix for s in scenes])

    def divergence(part: slice) -> Array:
        q, p = own[:, part, part], cov[:, part, part]
        inverse = np.linalg.inv(p)
        trace = _trace(inverse, q) - q.shape[-1]
        return 0.5 * (trace + _square(inverse, shift[:, part]) + log_dets(p) - log_dets(q))

    # Of the conditional Gaussians: slopes, covariances, and the difference of the means at m_1.
    slopes = [m[:, two, one] @ np.linalg.inv(m[:, one, one]) for m in (own, cov)]
    inner = own[:, two, two] - slopes[0] @ own[:, one, two]
    inverse = precision[:, two, two]
    turn = slopes[0] - slopes[1]
    away = shift[:, two] - np.einsum("nij,nj->ni", slopes[1], shift[:, one])
    spread = own[:, one, one]
    if under_posterior:
        spread = cov[:, one, one]
        away = away - np.einsum("nij,nj->ni", turn, shift[:, one])
    mean = 0.5 * (
        _trace(inverse, inner) - inner.shape[-1] - log_dets(inverse) - log_dets(inner)
        + _square(inverse, away)
    )  # fmt: skip
    if not at_mean:
        mean = mean + 0.5 * _trace(inverse, turn @ spread @ np.swapaxes(turn, -1, -2))
    top = divergence(one)
    told = top + (divergence(two) if marginals else mean)
    size = 1 + np.abs(values) + np.abs(log_dets(precision)) + np.abs(log_dets(own))
    lost = gamma(500) * condition * size
    low, high = (values, top) if falling else (top, values)
    return [
        Comparison.all_of(*pair)
        for pair in zip(
            Comparison.identities(values, told, scale=size, library=errors, rounding=lost),
            Comparison.each_at_most(low, high, scale=size, library=errors, rounding=lost),
            strict=True,
        )
    ]


CHAIN = Proposition(
    label="22b",
    title="A second layer of latents adds its own gap to that of the first",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \mathrm{KL}(q(z_1)\,\|\,p(z_1|x)) + \mathbb E_{q(z_1)}"
        r"\mathrm{KL}(q(z_2|z_1)\,\|\,p(z_2|z_1, x)) \ge \mathrm{KL}(q(z_1)\,\|\,p(z_1|x))"
    ),
    hypotheses=(LAYERS, LINEAR, ("any Gaussian q", r"d \le 8")),
    kind="identity",
    instances=encoded_scenes(dims=(2, 2, 3, 4, 8)),
    check=chain_rule,
    controls=wrong(
        chain_rule,
        {
            "the second divergence at the mean of q(z1)": {"at_mean": True},
            "the sum of the divergences of the marginals": {"marginals": True},
            "the second mean under the posterior": {"under_posterior": True},
            "a second layer can lower the gap": {"falling": True},
        },
    ),
    uses=("3a",),
    examples=14,
)


@once
def curved_gap(scene: ModelScene) -> tuple[float, float]:
    """KL(q || p(z|x)) by the library."""
    found = posterior_kl(scene.model, np.array(scene.x), scene.posterior)
    return float(found.value), float(found.error)


@once
def on_a_grid(scene: ModelScene) -> tuple[Array, Array]:
    """KL of the first coordinate, mean KL of the second, and the latter at q's mean, `(3,)`.

    By sums over two grids, half a step apart; the error is their difference.
    """
    q, x = scene.posterior, np.array(scene.x)
    deviation = np.sqrt(np.diagonal(q.cov))
    lower, upper = np.minimum(q.loc - 9 * deviation, -9.0), np.maximum(q.loc + 9 * deviation, 9.0)
    step = np.sqrt(np.linalg.eigvalsh(q.cov)[0]) / 8
    counts = np.ceil((upper - lower) / step).astype(int) + 1
    made = []
    for offset in (0.0, 0.5):
        first, second = (
            a + step * (np.arange(n) + offset) for a, n in zip(lower, counts, strict=True)
        )
        points = np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1)
        joint, own = scene.model.log_joint(x, points), q.log_prob(points)
        made.append(_parts(joint, own, step, first, q))
    whole = (made[0] + made[1]) / 2
    return whole, np.abs(made[0] - made[1]) + gamma(5000) * (1 + np.abs(whole))


def _parts(joint: Array, own: Array, step: float, first: Array, q: Posterior) -> Array:
    # Sums over the second coordinate in the log domain: a likelihood may fall like exp(-exp(z)).
    p_one, q_one = (logsumexp(logs, axis=1) + np.log(step) for logs in (joint, own))
    weights = np.exp(q_one)
    one = (weights * (q_one - p_one)).sum() * step + logsumexp(p_one) + np.log(step)
    # log q(z2|z1) - log p(z2|z1) under q(z2|z1), for each z1.
    within = (np.exp(own - q_one[:, None]) * (own - joint)).sum(axis=1) * step + p_one - q_one
    two = (weights * within).sum() * step
    return np.array([one, two, np.interp(q.loc[0], first, within)])


def curved_chain(
    scene: ModelScene, *, at_mean: bool = False, first_only: bool = False, falling: bool = False
) -> Comparison:
    """Compare evidence minus ELBO with both divergences on a grid."""
    value, error = curved_gap(scene)
    (one, two, middle), off = on_a_grid(scene)
    told = one + (0.0 if first_only else middle if at_mean else two)
    size = 1 + value + one
    low, high = (value, one) if falling else (one, value)
    return Comparison.all_of(
        Comparison.identity(value, told, scale=size, library=error, grid=off[:2].sum()),
        Comparison.at_most(low, high, scale=size, library=error, grid=off[0]),
    )


CURVED_CHAIN = Proposition(
    label="22b-curved",
    title="The gaps of layers add up for any decoder",
    statement=(
        r"\log p(x) - \mathrm{ELBO} = \mathrm{KL}(q(z_1)\,\|\,p(z_1|x)) + \mathbb E_{q(z_1)}"
        r"\mathrm{KL}(q(z_2|z_1)\,\|\,p(z_2|z_1, x))"
    ),
    hypotheses=(LAYERS, ("any model", r"d = 2,\ \text{four families, any Gaussian } q")),
    kind="identity",
    instances=model_scenes(smallest=0.25, dims=(2,)),
    check=curved_chain,
    controls=wrong(
        curved_chain,
        {
            "the second divergence at the mean of q(z1)": {"at_mean": True},
            "the divergence of the first layer alone": {"first_only": True},
            "a second layer can lower the gap": {"falling": True},
        },
    ),
    uses=("3a", "22b"),
    examples=6,
)


@dataclass(frozen=True)
class BlockScene:
    """A posterior precision of spectrum 1 + the variances, in units, cut into blocks."""

    spectrum: Covariance
    sizes: tuple[int, ...]
    shift: Vector

    @cached_property
    def excess(self) -> Array:
        """P - I = W^T W, `(d, d)`."""
        return self.spectrum.matrix

    def of(self, precision: Array) -> tuple[LatentModel, Array, Posterior]:
        """A model whose posterior has the precision, its datum, and the best product of blocks."""
        d = len(precision)
        root = np.linalg.cholesky(precision - np.eye(d))
        model = LatentModel(decoders.Affine(root.T), likelihoods.Gaussian(scale=1.0))
        x = np.array(self.shift)
        cov, start = np.zeros((d, d)), 0
        for size in self.sizes:
            part = slice(start, start + size)
            cov[part, part] = np.linalg.inv(precision[part, part])
            start += size
        mean = np.linalg.solve(precision, root @ x)
        return model, x, Posterior(mean, cov=(cov + cov.T) / 2)


@st.composite
def block_scenes(draw: DrawFn, counts: Sequence[int] = (2,)) -> BlockScene:
    """Precisions of up to eight latents in blocks of one to three."""
    sizes = draw(st.sampled_from([s for s in _SIZES if len(s) in counts]))
    d = sum(sizes)
    spectrum = draw(strategies.covariances(d, (3.0, 0.25, 15.0, 1.0)))
    return BlockScene(spectrum, sizes, draw(strategies.vectors(d)))


_SIZES = ((1, 1), (2, 1), (2, 2), (3, 2), (4, 4), (1, 1, 1), (2, 1, 1), (2, 2, 2), (1, 1, 1, 1))


@once
def block_gaps(scenes: tuple[BlockScene, ...]) -> tuple[Array, Array, Array]:
    """Log p(x) - ELBO at the best blocks `(I,)`, errors, and the library's formula."""
    values, errors, formula = [], [], []
    for scene in scenes:
        precision = np.eye(len(scene.shift)) + scene.excess
        value, error = _gap_at(*scene.of(precision))
        values.append(value)
        errors.append(error)
        formula.append(float(block_gap(precision, scene.sizes)))
    return np.array(values), np.array(errors), np.array(formula)


def _gap_at(model: LatentModel, x: Array, q: Posterior) -> tuple[float, float]:
    exact, lower = linear_log_evidence(model, x), elbo(model, x, q)
    return float(exact.value - lower.value), float(exact.error + lower.error)


def _sum_of_logs(matrices: Array, sizes: Sequence[int]) -> Array:
    """Sum over the blocks of log det, `(...)`."""
    ends = np.cumsum([0, *sizes])
    parts = [matrices[..., a:b, a:b] for a, b in pairwise(ends)]
    return np.asarray(sum(log_dets(part) for part in parts))


@together(alike=lambda scene: scene.sizes)
def independent_blocks(
    scenes: Sequence[BlockScene],
    *,
    unhalved: bool = False,
    marginal: bool = False,
    mean_field: bool = False,
) -> list[Comparison]:
    """Compare the gap of the best product of two blocks with the mutual information."""
    values, errors, formula = block_gaps(tuple(scenes))
    precision = np.array([np.eye(len(s.shift)) + s.excess for s in scenes])
    cov, sizes = np.linalg.inv(precision), scenes[0].sizes
    information = 0.5 * (_sum_of_logs(cov, sizes) - log_dets(cov))
    if unhalved:
        information = 2 * information
    if mean_field:
        information = 0.5 * (_sum_of_logs(cov, [1] * sum(sizes)) - log_dets(cov))
    size = 1 + np.abs(log_dets(precision)) + np.abs(_sum_of_logs(precision, sizes))
    lost = gamma(200) * np.linalg.cond(precision) * size
    # KL of the product of the posterior's own marginals, which is no better.
    blocks = np.zeros_like(cov)
    for a, b in pairwise(np.cumsum([0, *sizes])):
        blocks[:, a:b, a:b] = cov[:, a:b, a:b]
    other = _trace(precision, blocks) - precision.shape[-1]
    other = 0.5 * (other - log_dets(precision) - log_dets(blocks))
    own = other if marginal else values
    parts = (
        Comparison.identities(own, information, scale=size, library=errors, rounding=lost),
        Comparison.identities(formula, information, scale=size, rounding=lost),
        Comparison.each_at_most(values, other, scale=size, library=errors, rounding=lost),
    )
    return [Comparison.all_of(*each) for each in zip(*parts, strict=True)]


BLOCKS = Proposition(
    label="22b-blocks",
    title="Two independent blocks cost the mutual information between them",
    statement=(
        r"\min_{q(z_1)q(z_2)}\mathrm{KL}(q\,\|\,p(z|x)) = \tfrac12\big(\log\det P_{11} + "
        r"\log\det P_{22} - \log\det P\big) = I(z_1; z_2 \,|\, x)"
    ),
    hypotheses=(LINEAR, ("two blocks", r"q(z|x) = q(z_1|x)\,q(z_2|x),\ d \le 8")),
    kind="identity",
    instances=block_scenes(),
    check=independent_blocks,
    controls=wrong(
        independent_blocks,
        {
            "without the 1/2": {"unhalved": True},
            "the best blocks are the posterior's marginals": {"marginal": True},
            "the total correlation of all coordinates": {"mean_field": True},
        },
    ),
    uses=("3a", "22a"),
    examples=14,
)


@once
def both_ways(scenes: tuple[BlockScene, ...]) -> tuple[Array, Array]:
    """Gaps at the best blocks for P and for a multiple of its inverse, `(I, 2)`, and errors."""
    values, errors = [], []
    for scene in scenes:
        found = [_gap_at(*scene.of(p)) for p in precisions(scene)]
        values.append([f[0] for f in found])
        errors.append([f[1] for f in found])
    return np.array(values), np.array(errors)


def precisions(scene: BlockScene) -> tuple[Array, Array]:
    """P, and the multiple of its inverse with the least eigenvalue 2."""
    direct = np.eye(len(scene.shift)) + scene.excess
    inverse = np.linalg.inv(direct)
    return direct, inverse * (2 * np.linalg.eigvalsh(direct)[-1])


@together(alike=lambda scene: scene.sizes)
def three_blocks(
    scenes: Sequence[BlockScene], *, equal: bool = False, order: int = 0
) -> list[Comparison]:
    """Compare the gap of three blocks or more with the total correlation, for P and its inverse."""
    values, errors = both_ways(tuple(scenes))
    sizes = scenes[0].sizes
    both = np.array([precisions(s) for s in scenes])
    cov = np.linalg.inv(both)
    total = 0.5 * (_sum_of_logs(cov, sizes) - log_dets(cov))
    excess = 0.5 * (_sum_of_logs(both, sizes) - _sum_of_logs(cov, sizes)) - log_dets(both)
    size = 1 + np.abs(log_dets(both)) + np.abs(_sum_of_logs(both, sizes))
    lost = gamma(200) * np.linalg.cond(both) * size
    if order:
        low, high = (total, values) if order > 0 else (values, total)
        return Comparison.each_at_most(low, high, scale=size, library=errors, rounding=lost)
    return Comparison.identities(
        values - total, 0.0 if equal else excess, scale=size, library=errors, rounding=lost
    )


THREE_BLOCKS = Proposition(
    label="22b-three",
    title="Three independent blocks do not cost the posterior's total correlation",
    statement=(
        r"\min_q\mathrm{KL} - \tfrac12\big(\textstyle\sum_b\log\det\Sigma_{bb} - \log\det\Sigma"
        r"\big) = \tfrac12\textstyle\sum_b\log\frac{\det P_{bb}}{\det\Sigma_{bb}} - \log\det P,"
        r"\ \Sigma = P^{-1} \text{: of either sign, opposite for } P \text{ and } \Sigma"
    ),
    hypotheses=(LINEAR, ("blocks", r"q(z|x) = \textstyle\prod_b q(z_b|x),\ b \ge 3")),
    kind="counterexample",
    instances=block_scenes(counts=(3, 4)),
    check=three_blocks,
    controls=wrong(
        three_blocks,
        {
            "it is the total correlation": {"equal": True},
            "the total correlation is a lower bound of it": {"order": 1},
            "the total correlation is an upper bound of it": {"order": -1},
        },
    ),
    uses=("22b-blocks",),
    examples=12,
)
