"""Checks of 13e and 13e-prior: when the exact posterior is the prior, and when the best q is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import hessian
from hypothesis import strategies as st

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, once, together, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.scenes import ModelScene, model_scenes
from vaetheory.checking.strategies import Covariance
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence, posterior_expectation
from vaetheory.rounding import gamma

_REACH = 9.0


@dataclass(frozen=True)
class Divergences:
    """KL(p || posterior), KL(posterior || p) and log p(x) by a lattice, with an error of each."""

    forward: float
    backward: float
    evidence: float
    errors: Array


@once
def lattice_divergences(scene: ModelScene) -> Divergences:
    """The divergences from the definition, with no expectation of the log likelihood alone."""
    x, model = np.array(scene.x), scene.model

    def log_likelihood(z: Array) -> Array:
        return model.likelihood.log_prob(x, model.decoder(z))

    trial = np.linspace(-_REACH, _REACH, 2001)[:, None]
    shift = float((log_likelihood(trial) - 0.5 * trial[:, 0] ** 2).max())

    def masses(z: Array) -> Array:
        prior = np.exp(-0.5 * z[:, 0] ** 2) / np.sqrt(2 * np.pi)
        logs = log_likelihood(z)
        joint = np.exp(logs - 0.5 * z[:, 0] ** 2 - shift) / np.sqrt(2 * np.pi)
        terms = [weight * (logs - shift) for weight in (joint, prior)]
        return np.stack([joint, *terms, *map(np.abs, terms)], axis=-1)

    value, error = lattice_integral(masses, np.array([-_REACH]), np.array([_REACH]), step=1 / 128)
    mass, weighted, prior_mean = value[:3]
    log_mass = float(np.log(mass))
    lost = float(error[0] / mass) + gamma(200) * (1 + abs(log_mass) + abs(shift))
    sizes = np.array([value[4], value[3] / mass, 0.0]) * gamma(200) + lost
    own = np.array([error[2], error[1] / mass, 0.0])
    return Divergences(
        log_mass - float(prior_mean),
        float(weighted / mass) - log_mass,
        log_mass + shift,
        sizes + own + gamma(200) * abs(shift),
    )


def jensen_gaps(scene: ModelScene, *, sign: float = 1.0, swapped: bool = False) -> Comparison:
    """Compare both divergences between prior and posterior with Jensen's gaps."""
    x, model = np.array([scene.x]), scene.model
    evidence = log_evidence(model, x)
    prior = elbo(model, x, Posterior([[0.0]], cov=[[[1.0]]]))
    mean = posterior_expectation(
        model, x, lambda z: model.likelihood.log_prob(x[0], model.decoder(z))
    )
    forward = sign * float(evidence.value[0] - prior.value[0])
    backward = sign * float(np.ravel(mean.value)[0] - evidence.value[0])
    if swapped:
        forward, backward = backward, forward
    found = lattice_divergences(scene)
    size = 1 + abs(float(evidence.value[0])) + abs(forward) + abs(backward)
    own = float(evidence.error[0])
    grid = np.linspace(-3, 3, 61)[:, None]
    spread = np.ptp(model.likelihood.log_prob(x[0], model.decoder(grid)))
    parts = [
        Comparison.identity(
            found.forward, forward, scale=size, lattice=found.errors[0], evidence=own,
            elbo=float(prior.error[0]),
        ),
        Comparison.identity(
            found.backward, backward, scale=size, lattice=found.errors[1], evidence=own,
            expectation=float(np.ravel(mean.error)[0]),
        ),
    ]  # fmt: skip
    # Zero exactly if the likelihood is the same for every latent.
    least = 0.0 if spread < gamma(100) * size else 1e-9
    for divergence in (found.forward, found.backward):
        parts.append(
            Comparison.at_most(least, divergence, scale=size, lattice=found.errors.max())
            if least
            else Comparison.identity(divergence, 0.0, scale=size, lattice=found.errors.max())
        )
    return Comparison.all_of(*parts)


def _models() -> st.SearchStrategy[ModelScene]:
    """Models of one latent; some decoders are constant."""
    constant = st.builds(
        lambda b, x: ModelScene(
            decoders.Affine([[0.0], [0.0]], b), likelihoods.Gaussian(scale=0.5), x, (0.0,),
            Covariance((1.0,), ()),
        ),
        st.sampled_from(((0.0, 1.0), (0.5, -1.0))),
        st.sampled_from(((1.0, 1.0), (0.0, 2.0))),
    )  # fmt: skip
    return st.one_of(model_scenes(dims=(1,)), model_scenes(dims=(1,)), constant)


JENSEN_GAPS = Proposition(
    label="13e",
    title="The exact posterior is the prior exactly if the likelihood ignores the latent",
    statement=(
        r"\mathrm{KL}(p(z)\,\|\,p(z|x)) = \log p(x) - \mathbb E_{p(z)}[\log p(x|z)],\quad "
        r"\mathrm{KL}(p(z|x)\,\|\,p(z)) = \mathbb E_{p(z|x)}[\log p(x|z)] - \log p(x);\quad "
        r"\text{each is } 0 \iff p(x|z) \text{ is constant in } z,\ p\text{-almost surely}"
    ),
    hypotheses=(("any model", r"\mathbb E_{p(z)}|\log p(x|z)| < \infty"),),
    kind="identity",
    instances=_models(),
    check=jensen_gaps,
    controls=wrong(
        jensen_gaps,
        {
            "Jensen's gaps reversed": {"sign": -1.0},
            "the two divergences exchanged": {"swapped": True},
        },
    ),
    uses=("3a",),
    examples=10,
)

#: f(z)^2 = 1 + share h(z), h = cos(z) e^(1/2) - cos(2 z) e^2 / 4, x = 0 and sigma^2 = 1/2.
_NOISE, _MEAN = 0.5, 0.75


@dataclass(frozen=True)
class Waves:
    """How much of h the decoder has, and another Gaussian posterior N(loc, exp(log_var))."""

    share: float
    loc: float
    log_var: float


def waves() -> st.SearchStrategy[Waves]:
    """Posteriors near the prior and far from it."""
    return st.builds(
        Waves,
        st.sampled_from((0.15, 0.1, 0.05)),
        st.integers(-12, 12).map(lambda k: k / 4),
        st.integers(-16, 12).map(lambda k: k / 4),
    )


def _gain(share: Any, loc: Any, log_var: Any) -> Any:
    """ELBO of N(loc, exp(log_var)) less that of the prior; E cos(k z) is cos(k m) e^(-k^2 S/2)."""
    var = anp.exp(log_var)
    h = anp.cos(loc) * anp.exp(0.5 - var / 2) - anp.cos(2 * loc) * anp.exp(2 - 2 * var) / 4
    divergence = 0.5 * (loc**2 + var - 1 - log_var)
    return -share * (h - _MEAN) / (2 * _NOISE) - divergence


@once
def wave_divergences(scenes: tuple[Waves, ...]) -> Array:
    """KL(p || posterior) of each scene by a trapezoidal sum `(I,)`."""
    z = np.linspace(-_REACH, _REACH, 1801)
    prior = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    h = np.cos(z) * np.exp(0.5) - np.cos(2 * z) * np.exp(2) / 4
    logs = -np.array([[s.share] for s in scenes]) * h / (2 * _NOISE)
    return np.asarray(np.log(np.exp(logs) @ prior) - logs @ prior)


@together
def prior_is_best(
    scenes: Sequence[Waves], *, identifiable: bool = False, gains: bool = False, bend: float = 0.0
) -> list[Comparison]:
    """Check that no Gaussian beats the prior, where the exact posterior is not the prior."""
    share, loc, log_var = (
        np.array([getattr(s, name) for s in scenes]) for name in ("share", "loc", "log_var")
    )
    gain = np.asarray(_gain(share, loc, log_var))
    divergence = wave_divergences(tuple(scenes))
    size = 1 + np.abs(gain)
    # A grid over all posteriors whose divergence from the prior is not more than h can gain.
    m, v = np.meshgrid(np.linspace(0, 3, 61), np.linspace(-4, 2, 121), indexing="ij")
    most = np.array([float(_gain(s, m, v).max()) for s in share])
    curvature = np.array(
        [np.diag(hessian(lambda t, s=s: _gain(s, t[0], t[1]))(np.zeros(2))) for s in share]
    )
    lost = gamma(200) * size
    # The second derivatives at the prior: only the divergence bends, -1 and -1/2, and h's fourth
    # Hermite coefficient enters the one in log S: E h'''' = 1 - 4.
    expected = np.stack(
        [-np.ones_like(share), -0.5 - share / (2 * _NOISE) * (-3 / 4) + bend], axis=-1
    )
    low = np.full_like(divergence, gamma(4000)) if not identifiable else divergence
    high = divergence if not identifiable else np.zeros_like(divergence)
    each = [
        Comparison.each_at_most(-gain if gains else gain, 0.0, scale=size, rounding=lost),
        Comparison.each_at_most(most, 0.0, scale=1.0, rounding=gamma(200) * 10),
        Comparison.identities(
            curvature, expected, scale=1.0, rounding=gamma(200) * (1 + share[:, None] * 10)
        ),
        Comparison.each_at_most(low, high, scale=1.0, rounding=gamma(4000)),
    ]
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


PRIOR_IS_BEST = Proposition(
    label="13e-prior",
    title="The best Gaussian posterior can be the prior although the exact one is not",
    statement=(
        r"f(z)^2 = 1 + ah(z),\ h = e^{1/2}\cos z - \tfrac14e^2\cos 2z,\ x = 0,\ "
        r"\sigma^2 = \tfrac12:\quad \mathbb E_ph' = \mathbb E_ph'' = 0,\ "
        r"\mathrm{ELBO}(m, S) \le \mathrm{ELBO}(0, 1) \text{ for all } m, S,\ "
        r"\text{and yet } \mathrm{KL}(p(z)\,\|\,p(z|x)) > 0"
    ),
    hypotheses=(
        ("the model", r"d = D = 1,\ 0 < a \le 0.15"),
        ("Gaussian posteriors", r"q = \mathcal N(m, S)"),
    ),
    kind="counterexample",
    instances=waves(),
    check=prior_is_best,
    controls=wrong(
        prior_is_best,
        {
            "the best q is the prior only if the posterior is": {"identifiable": True},
            "other Gaussians gain": {"gains": True},
            "no curvature in the variance": {"bend": 0.5},
        },
    ),
    uses=("3b", "13e"),
)
