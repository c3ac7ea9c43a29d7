"""Checks of 16c and 16c-density: information between rate and distortion."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.information_terms import RateDistortion, rate_distortion
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.checking.scenes import curves
from vaetheory.checking.strategies import Covariance, EncodedData
from vaetheory.claims.rate_distortion.surgery import INFORMATION
from vaetheory.decoders import Decoder
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class BinaryScene:
    """Distinct binary data of two entries, their codes, and a decoder of their log odds."""

    codes: EncodedData
    decoder: Decoder

    @property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, likelihoods.Bernoulli(), 1)


@st.composite
def binary_scenes(draw: DrawFn) -> BinaryScene:
    """Two to four of the four binary vectors, each once."""
    every = st.lists(st.sampled_from(list(product((0.0, 1.0), repeat=2))), min_size=2, unique=True)
    codes = draw(strategies.encoded_data(1, every.map(tuple), variances=(1.0, 0.5, 0.25)))
    smooth = curves().filter(lambda f: not isinstance(f, decoders.Polynomial))
    return BinaryScene(codes, draw(smooth))


@once
def in_the_plane(scene: BinaryScene) -> RateDistortion:
    """The library's terms."""
    return rate_distortion(scene.model, scene.codes.data, scene.codes.encoder)


@once
def slacks(scene: BinaryScene) -> tuple[tuple[float, float, float], ...]:
    """E_q(z) KL(q(x|z) || p(x|z)) and KL(p_data q || p(x, z)) by lattices."""
    encoder, model, X = scene.codes.encoder, scene.model, scene.codes.data

    def log_likelihoods(z: Array) -> Array:
        return model.likelihood.log_prob(X, model.decode(z)[:, None])

    def below(z: Array) -> Array:
        logs = encoder.log_responsibilities(z)
        return (np.exp(logs) * (logs - log_likelihoods(z))).sum(axis=-1)

    def joint(z: Array) -> Array:
        prior = -0.5 * (z**2).sum(axis=-1) - 0.5 * np.log(2 * np.pi)
        each = encoder.component_log_prob(z) - np.log(len(X)) - log_likelihoods(z)
        return (encoder.responsibilities(z) * (each - prior[..., None])).sum(axis=-1)

    return aggregate_expectation(below, encoder), aggregate_expectation(joint, encoder)


def between(
    scene: BinaryScene, *, sign: float = 1.0, tight: bool = False, slack: float = 1.0
) -> Comparison:
    """Compare what is missing on both sides of the information with the divergences."""
    found = in_the_plane(scene)
    below, joint = slacks(scene)
    assert found.entropy is not None
    lower = sign * (found.entropy - found.distortion)
    missing = 0.0 if tight else slack * below[0]
    size = 1 + abs(found.distortion) + found.rate + below[2] + joint[2]
    lost = gamma(2000) * size
    return Comparison.all_of(
        Comparison.identity(
            found.information - lower, missing, scale=size, library=2 * found.error,
            lattice=below[1], rounding=lost,
        ),
        Comparison.identity(
            found.distortion + found.rate - found.entropy, joint[0], scale=size,
            library=2 * found.error, lattice=joint[1], rounding=lost,
        ),
        Comparison.identity(
            found.entropy, np.log(len(scene.codes.data)), scale=1.0, rounding=gamma(100)
        ),
        Comparison.at_most(lower, found.information, scale=size, library=2 * found.error),
        Comparison.at_most(found.information, found.rate, scale=size, library=found.error),
    )  # fmt: skip


BETWEEN = Proposition(
    label="16c",
    title="The information lies between entropy minus distortion and the rate",
    statement=(
        r"I_q = H - \mathrm{Dist} + \mathbb E_{q(z)}\mathrm{KL}(q(x|z)\,\|\,p(x|z)),\quad "
        r"H - \mathrm{Dist} \le I_q \le R,\quad \mathrm{Dist} + R - H = "
        r"\mathrm{KL}(p_{\mathrm{data}}(x)\,q(z|x)\,\|\,p(x, z))"
    ),
    hypotheses=(
        INFORMATION,
        ("a finite alphabet", r"H = -\sum_x p_{\mathrm{data}}(x)\log p_{\mathrm{data}}(x)"),
        ("the terms", r"\mathrm{Dist} = -\mathbb E_n\mathbb E_q\log p(x|z),\ "
         r"R = \mathbb E_n\mathrm{KL}(q(z|x_n)\,\|\,p)"),
    ),
    kind="identity",
    instances=binary_scenes(),
    check=between,
    controls=wrong(
        between,
        {
            "distortion minus entropy": {"sign": -1.0},
            "equality for every decoder": {"tight": True},
            "half of the divergence": {"slack": 0.5},
        },
    ),
    uses=("16a",),
    figure="rate-distortion",
    examples=10,
)  # fmt: skip


@dataclass(frozen=True)
class NarrowScene:
    """Two data at -1 and 1, coded at +-reach, with a decoder z / reach and little noise."""

    reach: float
    noise: float


def narrow_scenes() -> st.SearchStrategy[NarrowScene]:
    """Codes one to three apart, noises of 0.2 and less."""
    return st.builds(
        NarrowScene, st.sampled_from((1.0, 2.0, 3.0)), st.sampled_from((0.1, 0.05, 0.2, 0.025))
    )


def densities_break_it(
    scene: NarrowScene, *, bounded: bool = False, discrete: bool = False
) -> Comparison:
    """Check that log N minus the distortion of a narrow density exceeds the information."""
    X = ((-1.0,), (1.0,))
    variance = (scene.noise * scene.reach) ** 2
    codes = EncodedData(X, ((-scene.reach,), (scene.reach,)), (Covariance((variance,), ()),))
    decoder = decoders.Affine([[1 / scene.reach]])
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scene.noise), 1)
    found = rate_distortion(model, codes.data, codes.encoder)
    # The code's own spread is that of the noise: half a nat above the density's peak.
    exact = 0.5 * np.log(2 * np.pi * scene.noise**2) + 0.5
    lower = np.log(2) - found.distortion
    size = 1 + abs(exact)
    return Comparison.all_of(
        Comparison.identity(
            found.distortion, exact, scale=size, library=found.error, rounding=gamma(100) * size
        ),
        Comparison.at_most(found.information, np.log(2), scale=1.0, library=found.error),
        Comparison.at_most(
            lower if bounded else found.information, found.information if bounded else lower,
            scale=size, library=2 * found.error,
        ),
        Comparison.identity(
            float(found.lower is not None), float(discrete), scale=1.0, exact=0.0
        ),
    )  # fmt: skip


DENSITIES = Proposition(
    label="16c-density",
    title="With a density in place of a probability the lower bound of the information is false",
    statement=(
        r"x = \pm1,\ f(z) = z/c,\ q = \mathcal N(\pm c, \sigma^2c^2):\quad "
        r"\log 2 - \mathrm{Dist} = \log 2 - \tfrac12 - \tfrac12\log 2\pi\sigma^2 > \log 2 \ge I_q "
        r"\text{ for } \sigma^2 < 1/(2\pi e)"
    ),
    hypotheses=(
        ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \sigma^2)"),
        ("the empirical law", r"H = \log 2"),
    ),
    kind="counterexample",
    instances=narrow_scenes(),
    check=densities_break_it,
    controls=wrong(
        densities_break_it,
        {
            "H - Dist <= I_q for densities too": {"bounded": True},
            "the library gives the bound all the same": {"discrete": True},
        },
    ),
    uses=("16c",),
    examples=6,
)
