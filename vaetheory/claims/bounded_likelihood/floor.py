"""Check of 18a: the floor of the noise bounds the likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory.bounds.any_vae import likelihood_certificate
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.evidence import Integral, log_evidence
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class Floored:
    """Data, the least deviation of each dimension, and a VAE whose scales grow with the latent."""

    X: tuple[Vector, ...]
    least: Vector
    slope: Vector
    growth: float

    @property
    def model(self) -> LatentModel:
        """Means x_1 + slope z, and log scales log xi + growth z^2."""
        dim = len(self.least)
        means = np.stack([np.array(self.X[0]), np.array(self.slope), np.zeros(dim)])
        scales = np.stack([np.log(self.least), np.zeros(dim), np.full(dim, self.growth)])
        decoder = decoders.Polynomial([[0], [1], [2]], np.concatenate([means, scales], axis=1))
        return LatentModel(decoder, likelihoods.GaussianMeanScale(least_scale=self.least), 1)


@st.composite
def floored(draw: DrawFn) -> Floored:
    """One to three data of one to three dimensions."""
    dim = draw(st.sampled_from((1, 2, 3)))
    return Floored(
        draw(strategies.data_sets(dim, 1, 3)),
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0, 0.25))] * dim)),
        draw(strategies.vectors(dim, -2, 2)),
        draw(st.sampled_from((0.0, 0.25, 1.0))),
    )


@once
def evidences(scene: Floored) -> Integral:
    """The model's evidence of each datum, by quadrature."""
    return log_evidence(scene.model, np.array(scene.X))


def floor_bound(
    scene: Floored, *, power: float = 2.0, latents: bool = False, half: float = 0.5
) -> Comparison:
    """Check the floor, and that a VAE that knows one datum by heart has it."""
    found, least = evidences(scene), np.array(scene.least)
    dim = len(least)
    terms = np.log(2 * np.pi * least**power)
    bound = -half * float(terms.mean() if latents else terms.sum())
    size = 1 + abs(bound) + float(np.abs(found.value).max())
    constant = LatentModel(
        decoders.Affine(np.zeros((dim, 1)), np.array(scene.X[0])),
        likelihoods.Gaussian(scale=least), 1,
    )  # fmt: skip
    known = log_evidence(constant, np.array(scene.X[:1]))
    library = likelihood_certificate(
        likelihoods.GaussianMeanScale(least_scale=least), np.array(scene.X[:1]),
        log_evidence=known.value,
    )  # fmt: skip
    rounding = gamma(100) * size
    return Comparison.all_of(
        Comparison.at_most(found.value, bound, scale=size, evidence=found.error, rounding=rounding),
        Comparison.identity(
            known.value, bound, scale=size, evidence=known.error, rounding=rounding
        ),
        # The floor of the scales may be missed by a millionth of a millionth.
        Comparison.identity(
            [library.floor, library.ceiling], bound, scale=size, rounding=rounding,
            floor=dim * 4e-12 * (1 + np.abs(np.log(least)).max()),
            search=library.upper - library.lower,
        ),
    )  # fmt: skip


FLOOR = Proposition(
    label="18a",
    title="No VAE whose noise has a floor is likelier than the peak of the narrowest noise",
    statement=(
        r"\mathbb E_n\log p(x_n) \le -\tfrac12\sum_{i \le D}\log 2\pi\xi_i, \quad "
        r"\text{with equality iff all data are equal and } p(x|z) = \mathcal N(x_1, "
        r"\operatorname{diag}\xi) \text{ for almost every } z"
    ),
    hypotheses=(
        ("a floor", r"p(x|z) = \mathcal N(m(z), \Lambda(z)),\ \Lambda(z) \succeq "
         r"\operatorname{diag}\xi"),
        ("any VAE", r"\text{any decoder, prior and } d; \text{ the check: } d = 1"),
    ),
    kind="inequality",
    instances=floored(),
    check=floor_bound,
    controls=wrong(
        floor_bound,
        {
            "the square of xi": {"power": 4.0},
            "d = 1 for D": {"latents": True},
            "without the half": {"half": 1.0},
        },
    ),
    uses=("9c",),
    figure="bounded-likelihood",
    examples=6,
)  # fmt: skip
