"""Checks of 22d: when the mask of missing values may be ignored, and what it costs otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.missing_data import observed_model
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.evidence import Integral, log_evidence, posterior_expectation
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: All data of three bits, and all masks in which the first one is observed.
_DATA = np.array(list(product((0.0, 1.0), repeat=3)))
_MASKS = np.array([(True, a, b) for a in (True, False) for b in (True, False)])


@dataclass(frozen=True)
class MaskedBits:
    """Three bits from one latent, and how likely it is that the last two are observed.

    The second is observed with the probability `second[x_1]`, the third with `third[x_1, x_2]`,
    where a missing x_2 counts as the value 2. If it is not random, the second has `own[x_2]`.
    """

    first_layer: Vector
    weights: Vector
    bias: Vector
    second: Vector
    third: Vector
    own: Vector

    @cached_property
    def model(self) -> LatentModel:
        """The latent model: logits tanh(w z) v + b."""
        inner = np.array(self.first_layer)[:, None]
        layer = decoders.TanhNetwork(
            [inner, np.diag(self.weights)], [np.zeros(3), np.array(self.bias)]
        )
        return LatentModel(layer, likelihoods.Bernoulli(), 1)

    def mask_given(self, *, random: bool) -> Array:
        """The probability of each mask given each datum, `(8, 4)`."""
        x = _DATA.astype(int)
        rate = np.array(self.second)[x[:, 0]] if random else np.array(self.own)[x[:, 1]]
        made = np.empty((len(_DATA), len(_MASKS)))
        for k, (_, two, three) in enumerate(_MASKS):
            after = np.array(self.third)[3 * x[:, 0] + np.where(two, x[:, 1], 2)]
            made[:, k] = np.where(two, rate, 1 - rate) * np.where(three, after, 1 - after)
        return made


def masked_bits() -> st.SearchStrategy[MaskedBits]:
    """Slopes away from zero, so that the bits depend on each other; rates between 1/8 and 1."""
    slopes = st.tuples(*[strategies.nonzero_fractions(4, 2)] * 3)
    weights = st.tuples(*[strategies.nonzero_fractions(6, 2)] * 3)
    rates = st.sampled_from((0.25, 1.0, 0.5, 0.125))
    pair = st.tuples(rates, rates)
    apart = st.sampled_from(((0.25, 1.0), (1.0, 0.125), (0.5, 0.125)))
    return st.builds(
        MaskedBits, slopes, weights, strategies.vectors(3, -2, 2), apart,
        st.tuples(*[pair] * 3).map(lambda p: sum(p, ())), apart,
    )  # fmt: skip


def _bit_means(model: LatentModel, X: Array) -> Integral:
    """The posterior means of the bits' probabilities."""
    return posterior_expectation(model, X, lambda z: 1 / (1 + np.exp(-model.decode(z))))


@once
def scores(scene: MaskedBits) -> tuple[Array, Array, Array, Array]:
    """Probabilities of the data, and scores of what is observed, in the bias of the logits.

    Returns p `(8,)`, its relative errors, and scores `(8, 4, 3)` of each datum with each mask, and
    their errors: x_i - E[mean of x_i given what is observed], 0 for a missing bit.
    """
    model = scene.model
    evidence = log_evidence(model, _DATA)
    values, errors = np.zeros((2, len(_DATA), len(_MASKS), 3))
    for k, mask in enumerate(_MASKS):
        means = _bit_means(observed_model(model, mask), _DATA[:, mask])
        values[:, k, mask] = _DATA[:, mask] - means.value
        errors[:, k, mask] = means.error
    return np.exp(evidence.value), np.asarray(evidence.error), values, errors


@once
def by_lattice(scene: MaskedBits) -> tuple[Array, Array, Array]:
    """P `(8,)`, its derivatives in the bias `(8, 3)`, by a sum over z, and their error."""
    made = []
    for step in (0.03125, 0.0625):
        z = step * np.arange(-round(10 / step), round(10 / step) + 1)
        means = 1 / (1 + np.exp(-scene.model.decode(z[:, None])))
        prior = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * step
        each = np.where(_DATA[:, None] > 0, means, 1 - means).prod(axis=-1) * prior
        slopes = np.einsum("nm,nmi->ni", each, _DATA[:, None] - means)
        made.append(np.concatenate([each.sum(axis=-1, keepdims=True), slopes], axis=-1))
    fine, coarse = made
    return fine[:, 0], fine[:, 1:], np.abs(fine - coarse).max() + gamma(1000)


@once
def zero_scores(scene: MaskedBits) -> Array:
    """Scores of data whose missing bits are zero, `(8, 4, 3)`."""
    whole = scores(scene)[2][:, 0]
    filled = np.where(_MASKS[None], _DATA[:, None], 0.0)
    places = (filled @ [4, 2, 1]).astype(int)
    return np.asarray(whole[places])


def _mean(p: Array, masks: Array, each: Array) -> Array:
    return np.einsum("n,nk,nki->i", p, masks, each)


def ignorable(
    scene: MaskedBits, *, random: bool = True, complete: bool = False, zeros: bool = False
) -> Comparison:
    """Compare the mean score of what is observed, at the truth, with zero."""
    p, lost, each, errors = scores(scene)
    masks = scene.mask_given(random=random)
    if complete:
        masks = masks * [1.0, 0.0, 0.0, 0.0]
    used = zero_scores(scene) if zeros else each
    off = _mean(p, masks, errors) + _mean(p * lost, masks, np.abs(used))
    return Comparison.identity(
        _mean(p, masks, used), 0.0, scale=1.0, library=off, rounding=gamma(200)
    )


BITS = (
    "three bits from one latent",
    r"\mathrm{logit}\,p(x_i = 1|z) = f_i(z) + b_i,\ \theta = b",
)

IGNORABLE = Proposition(
    label="22d",
    title="A mask that depends on observed values only may be ignored",
    statement=(
        r"p(r|x) = p(r|x_{o(r)}) \;\Rightarrow\; \mathbb E_{p_\theta(x)p(r|x)}\big[\nabla_\theta"
        r"\log p_\theta(x_{o(r)})\big] = 0"
    ),
    hypotheses=(BITS, ("missing at random", r"x_1 \text{ always observed},\ p(r_2|x_1),\ "
                       r"p(r_3|x_1, x_2 \text{ if observed})")),
    kind="identity",
    instances=masked_bits(),
    check=ignorable,
    controls=wrong(
        ignorable,
        {
            "complete cases only": {"complete": True},
            "a mask that depends on a missing value": {"random": False},
            "zeros for missing values": {"zeros": True},
        },
    ),
    figure="structured-bounds",
    examples=6,
)  # fmt: skip


def complete_cases(
    scene: MaskedBits, *, none: bool = False, share: bool = False, reversed_sign: bool = False
) -> Comparison:
    """Compare the mean score of complete cases with the slope of their probability."""
    p, lost, each, errors = scores(scene)
    whole = scene.mask_given(random=True)[:, 0]
    left = np.einsum("n,n,ni->i", p, whole, each[:, 0])
    _, slopes, error = by_lattice(scene)
    told = whole @ slopes
    if none:
        told = 0 * told
    if share:
        told = told / (whole @ p)
    if reversed_sign:
        told = -told
    off = np.einsum("n,n,ni->i", p, whole, errors[:, 0] + lost[:, None] * np.abs(each[:, 0]))
    return Comparison.identity(
        left, told, scale=1.0, library=off, lattice=8 * error, rounding=gamma(200)
    )


COMPLETE = Proposition(
    label="22d-complete",
    title="Complete cases are biased by the slope of the probability to be complete",
    statement=(
        r"\mathbb E\big[r_{\text{all}}\nabla_\theta\log p_\theta(x)\big] = "
        r"\nabla_\theta P_\theta(\text{complete}) \ne 0,\quad "
        r"P_\theta(\text{complete}) = \mathbb E_{p_\theta(x)}[p(r = 1|x)]"
    ),
    hypotheses=(BITS, ("missing at random", r"p(r|x) = p(r|x_{o(r)})")),
    kind="counterexample",
    instances=masked_bits(),
    check=complete_cases,
    controls=wrong(
        complete_cases,
        {
            "complete cases have mean score 0": {"none": True},
            "the slope of the log of the probability": {"share": True},
            "of the other sign": {"reversed_sign": True},
        },
    ),
    uses=("22d",),
    figure="structured-bounds",
    examples=6,
)


def not_at_random(
    scene: MaskedBits, *, none: bool = False, reversed_sign: bool = False, at_random: bool = False
) -> Comparison:
    """Compare what an ignored mask costs with the mean score of the mask given what is observed."""
    p, lost, each, errors = scores(scene)
    masks = scene.mask_given(random=False)
    left = _mean(p, masks, each)
    mass, slopes, error = by_lattice(scene)
    used = scene.mask_given(random=True) if at_random else masks
    told = np.zeros(3)
    for k, mask in enumerate(_MASKS):
        # Sums over the missing bits, for each value of the observed ones.
        _, group = np.unique(_DATA[:, mask], axis=0, return_inverse=True)
        alike = group.reshape(-1)[:, None] == group.reshape(-1)
        # Joint probabilities of mask and observed bits, and of the observed bits, and slopes.
        joint, marginal = alike @ (used[:, k] * mass), alike @ mass
        joint_slope, slope = alike @ (used[:, k, None] * slopes), alike @ slopes
        # Where a mask has no probability, none of its score counts.
        safe = np.where(joint > 0, joint, 1.0)
        of_mask = joint_slope / safe[:, None] - slope / marginal[:, None]
        told -= (used[:, k] * mass) @ of_mask
    if none:
        told = 0 * told
    if reversed_sign:
        told = -told
    off = _mean(p, masks, errors) + _mean(p * lost, masks, np.abs(each))
    return Comparison.identity(
        left, told, scale=1.0, library=off, lattice=64 * error, rounding=gamma(500)
    )


NOT_AT_RANDOM = Proposition(
    label="22d-mnar",
    title="A mask that depends on missing values costs the score of the mask when ignored",
    statement=(
        r"\mathbb E\big[\nabla_\theta\log p_\theta(x_{o(r)})\big] = -\mathbb E\big[\nabla_\theta"
        r"\log p_\theta(r|x_{o(r)})\big] \ne 0,\quad p_\theta(r|x_o) = "
        r"\mathbb E_{p_\theta(x_m|x_o)}[p(r|x)]"
    ),
    hypotheses=(BITS, ("not at random", r"p(r_2|x_2)")),
    kind="counterexample",
    instances=masked_bits(),
    check=not_at_random,
    controls=wrong(
        not_at_random,
        {
            "the mask may be ignored": {"none": True},
            "of the other sign": {"reversed_sign": True},
            "the score of a mask at random": {"at_random": True},
        },
    ),
    uses=("22d",),
    figure="structured-bounds",
    examples=6,
)
