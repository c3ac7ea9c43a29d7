"""Checks of 15b: means of weights under the posterior, and what the harmonic mean needs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from hypothesis import strategies as st
from scipy.special import log_ndtr

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.bounds.from_the_posterior import eubo, harmonic_mean
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.claims.evidence_sandwich.renyi import WEIGHTS
from vaetheory.evidence import log_evidence
from vaetheory.likelihoods import Support
from vaetheory.rounding import gamma


def gentle_scenes() -> st.SearchStrategy[ModelScene]:
    """Models whose posteriors have tails of Gaussians, and narrow q, so that 1/w is in sight.

    Its mass is that of q: where q has some, the joint density must not underflow.
    """

    def narrower(scene: ModelScene) -> ModelScene:
        variances = tuple(v / 4 for v in scene.cov.variances)
        return replace(scene, cov=replace(scene.cov, variances=variances))

    light = model_scenes(smallest=0.25, dims=(1, 1, 1, 1, 2)).filter(
        lambda s: (
            not isinstance(s.decoder, decoders.Polynomial)
            and s.likelihood.support is not Support.COUNTS
        )
    )
    return light.map(narrower)


@once
def of_library(scene: ModelScene) -> tuple[Array, Array]:
    """ELBO, log evidence, EUBO and harmonic mean, with their errors."""
    model, x, q = scene.model, scene.x, scene.posterior
    found = (
        elbo(model, x, q),
        log_evidence(model, np.array(x)),
        eubo(model, x, q),
        harmonic_mean(model, x, q),
    )
    return np.array([float(f.value) for f in found]), np.array([float(f.error) for f in found])


@once
def under_the_posterior(scene: ModelScene) -> tuple[Array, Array]:
    """E[log w given x], log E[1/w given x] and E_q[1/w] by a lattice, with error estimates.

    The posterior is normalised by its own sum, so that nothing is used of the library's evidence.
    """
    q, x = scene.posterior, np.array(scene.x)
    deviation = np.sqrt(np.diagonal(q.cov))
    grid = np.linspace(-6.0, 6.0, 61)[:, None] * np.ones(len(deviation))
    height = float(scene.model.log_joint(x, grid).max())

    def terms(z: Array) -> Array:
        joint, own = scene.model.log_joint(x, z), q.log_prob(z)
        mass = np.exp(joint - height)
        # 1/w is q over the joint: of the joint, weighted, only q's density is left.
        inverse = np.exp(np.clip(own - joint + height, None, 600.0))
        return np.stack(
            [mass, mass * (joint - own), mass * inverse, np.exp(own) * inverse], axis=-1
        )

    lower = np.minimum(q.loc - 9 * deviation, -9.0)
    upper = np.maximum(q.loc + 9 * deviation, 9.0)
    step = np.sqrt(np.linalg.eigvalsh(q.cov)[0]) * (0.05 if len(deviation) == 1 else 0.2)
    value, error = lattice_integral(terms, lower, upper, step=step)
    log_mass = np.log(value[0]) + height
    relative = error[0] / value[0]
    mean = value[1] / value[0]
    inverse = np.log(value[2] / value[0]) - height
    off = np.array(
        [error[1] / value[0] + abs(mean) * relative, error[2] / value[2] + relative, error[3]]
    )
    return np.array([mean, inverse, np.log(value[3]) - height, log_mass]), off


def means_of_weights(
    scene: ModelScene, *, under_q: bool = False, reverse: bool = False, below: bool = False
) -> Comparison:
    """Compare both means under the posterior with a lattice, and with the evidence."""
    (lower, exact, upper, harmonic), errors = of_library(scene)
    (mean, inverse, under, _), off = under_the_posterior(scene)
    told = 2 * exact - lower if reverse else mean
    size = 1 + abs(upper) + abs(exact)
    return Comparison.all_of(
        Comparison.identity(
            -(under if under_q else inverse), exact, scale=size, lattice=off[1],
            evidence=errors[1], rounding=gamma(2000) * size,
        ),
        Comparison.identity(harmonic, exact, scale=size, library=errors[3] + errors[1]),
        Comparison.identity(
            upper, told, scale=size, library=errors[2] + errors[0] + errors[1], lattice=off[0],
            rounding=gamma(2000) * size,
        ),
        Comparison.at_most(lower, exact, scale=size, library=errors[0] + errors[1]),
        Comparison.at_most(
            upper if below else exact, exact if below else upper, scale=size,
            library=errors[1] + errors[2],
        ),
    )  # fmt: skip


HARMONIC = Proposition(
    label="15b",
    title="The evidence is a harmonic mean under the posterior, and below the mean of log w there",
    statement=(
        r"\mathbb E_{p(z|x)}[1/w] = 1/p(x),\quad \mathrm{ELBO} \le \log p(x) \le "
        r"\mathbb E_{p(z|x)}[\log w] = \log p(x) + \mathrm{KL}(p(z|x)\,\|\,q)"
    ),
    hypotheses=(
        WEIGHTS,
        ("the supports", r"p(x, z) > 0 \text{ wherever } q(z|x) > 0"),
        (
            "any model",
            r"d \le 2,\ \text{any Gaussian } q;\ "
            r"\text{the check: decoders of at most linear growth}",
        ),
    ),
    kind="identity",
    instances=gentle_scenes(),
    check=means_of_weights,
    controls=wrong(
        means_of_weights,
        {
            "E_q[1/w] = 1/p(x)": {"under_q": True},
            "KL(q || p(z|x)) for KL(p(z|x) || q)": {"reverse": True},
            "the mean of log w is a lower bound": {"below": True},
        },
    ),
    uses=("3a",),
    figure="evidence-sandwich",
    examples=6,
)


@dataclass(frozen=True)
class HalfLine:
    """z from half a normal, z > 0; x given z from N(z, sigma^2); q a Gaussian on the whole line."""

    noise: float
    x: float
    mean: float
    deviation: float


def half_lines() -> st.SearchStrategy[HalfLine]:
    """Gaussians that have from a tenth to all of their mass on the half line."""
    return st.builds(
        HalfLine,
        st.sampled_from((1.0, 0.5)),
        strategies.fractions(-2, 4, 2),
        st.sampled_from((0.0, 0.5, 1.0, -0.5)),
        st.sampled_from((1.0, 0.5)),
    )


@together
def half_line(
    scenes: list[HalfLine], *, whole: bool = False, other: bool = False
) -> list[Comparison]:
    """Compare E[1/w given x] by a lattice in log z with q's mass on the half line over p(x)."""
    noise, x, mean, deviation = (
        np.array([getattr(s, n) for s in scenes]) for n in ("noise", "x", "mean", "deviation")
    )
    centre, spread = x / (1 + noise**2), noise / np.sqrt(1 + noise**2)
    total = 1 + noise**2
    log_p = np.log(2) - 0.5 * (np.log(2 * np.pi * total) + x**2 / total)
    log_p += log_ndtr(centre / spread)

    def terms(u: Array) -> Array:
        z, jacobian = np.exp(u), u
        joint = np.log(2) - 0.5 * (z**2 + ((x - z) / noise) ** 2) - np.log(2 * np.pi * noise)
        own = -0.5 * ((z - mean) / deviation) ** 2 - 0.5 * np.log(2 * np.pi * deviation**2)
        mass = np.exp(joint + jacobian)
        # 1/w under the joint; where the joint underflows q has nothing left either.
        return np.concatenate([mass, mass * np.exp(np.minimum(own - joint, 600.0))], axis=-1)

    value, error = lattice_integral(terms, np.array([-38.0]), np.array([2.5]), step=0.02)
    count = len(scenes)
    mass, inverse = value[:count], value[count:]
    left = np.log(inverse / mass)
    off = error[count:] / inverse + error[:count] / mass
    share = 0.0 if whole else log_ndtr((-1.0 if other else 1.0) * mean / deviation)
    size = 1 + np.abs(log_p)
    identities = Comparison.identities(
        left, share - log_p, scale=size, lattice=off, rounding=gamma(2000) * size
    )
    evidences = Comparison.identities(
        np.log(mass), log_p, scale=size, lattice=error[:count] / mass, rounding=gamma(2000) * size
    )
    return [Comparison.all_of(*pair) for pair in zip(identities, evidences, strict=True)]


HALF_LINE = Proposition(
    label="15b-support",
    title="Where q has mass but the joint has none, the harmonic mean overestimates the evidence",
    statement=(
        r"p(z) = 2\mathcal N(z; 0, 1)\,[z > 0],\ q = \mathcal N(m, s^2):\quad "
        r"\mathbb E_{p(z|x)}[1/w] = \frac{\Phi(m/s)}{p(x)} < \frac1{p(x)}"
    ),
    hypotheses=(
        WEIGHTS,
        ("half a normal as the prior", r"p(x|z) = \mathcal N(z, \sigma^2),\ p(x) = "
         r"2\mathcal N(x; 0, 1 + \sigma^2)\,\Phi\big(x / (\sigma\sqrt{1+\sigma^2})\big)"),
    ),
    kind="counterexample",
    instances=half_lines(),
    check=half_line,
    controls=wrong(
        half_line,
        {
            "1/p(x) all the same": {"whole": True},
            "the mass outside the support": {"other": True},
        },
    ),
    uses=("15b",),
    examples=20,
)  # fmt: skip
