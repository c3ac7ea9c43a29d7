"""The check of 24e: brackets hold exact evidences, whatever the proposal; other estimates do not.

The instances are products of blocks of one latent behind a random rotation. Each block is
integrated by quadrature, and nothing of that is shared with the sampling.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory import decoders, likelihoods
from vaetheory._log_sums import log_sum_exp
from vaetheory._sampling.importance import SOBOL, Estimates, replicated, through
from vaetheory._sampling.laplace_mixtures import laplace_mixture
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.target import Target
from vaetheory._validation import Array
from vaetheory.bounds import simulate
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.block_products import BlockModel
from vaetheory.concentration import log_mean_excess
from vaetheory.decoders import Decoder
from vaetheory.likelihoods import Likelihood

_DATA, _DRAWS = 400, 64

LIKELIHOODS: dict[str, Likelihood] = {
    "Gaussian, 0.1": likelihoods.Gaussian(scale=0.1),
    "Gaussian, 0.5": likelihoods.Gaussian(scale=0.5),
    "Bernoulli": likelihoods.Bernoulli(),
}


@dataclass(frozen=True)
class Blocks:
    """A product of blocks of one latent and two outputs each.

    Attributes
    ----------
    smooth, folded : int
        Numbers of tanh networks, and of parabolas, which almost hide the sign of their latent.
    likelihood : str
    fitted : bool
        Whether the proposals are fitted to the data, or are the prior.
    seed : int
    """

    smooth: int
    folded: int
    likelihood: str
    fitted: bool
    seed: int

    @property
    def scene(self) -> BlockModel:
        """The model and its blocks."""
        rng = np.random.default_rng(self.seed)
        parts: list[Decoder] = [
            decoders.TanhNetwork(
                [rng.standard_normal((4, 1)), rng.standard_normal((2, 4))],
                [rng.standard_normal(4), np.zeros(2)],
            )
            for _ in range(self.smooth)
        ]
        fold = decoders.Polynomial([[0], [1], [2]], [[0.0, 0.5], [0.2, 0.0], [1.0, 0.1]])
        return BlockModel.of([*parts, *[fold] * self.folded], LIKELIHOODS[self.likelihood], 0)


def blocks() -> SearchStrategy[Blocks]:
    """Six to twelve latents."""
    return st.builds(
        Blocks,
        st.integers(6, 10),
        st.integers(0, 2),
        st.sampled_from(tuple(LIKELIHOODS)),
        st.booleans(),
        st.integers(0, 99),
    )


class Sampled(NamedTuple):
    """What is known of some data, all of it by sampling except for the truth."""

    target: Target
    proposal: Mixture
    z: Array
    below: Estimates
    above: Estimates


@once
def sampled(instance: Blocks) -> Sampled:
    """Estimates from below and from above by 64 draws a datum."""
    model = instance.scene.model
    X, z = simulate(model, _DATA, instance.seed)
    target = Target.of(model, X, instance.seed)
    if instance.fitted:
        q = laplace_mixture(target)
    else:
        d = model.latent_dim
        means, roots = np.zeros((_DATA, 1, d)), np.broadcast_to(np.eye(d), (_DATA, 1, d, d))
        q = Mixture(np.ones((_DATA, 1)), means, roots, np.inf)
    below = replicated(target, q, count=_DRAWS, replicates=1, purpose="below")
    above = through(target, q, z, count=_DRAWS, purpose="above", points=SOBOL)
    return Sampled(target, q, z, below, above)


@once
def _truth(instance: Blocks) -> tuple[Array, Array]:
    """Exact log evidences and their errors."""
    found = instance.scene.log_evidence(sampled(instance).target.given)
    return found.value, found.error


def from_below(found: Sampled) -> Array:
    """The log of the mean weight."""
    return found.below.log_mean[:, 0]


def from_above(found: Sampled) -> Array:
    """The log of the mean weight of draws and an exact sample."""
    return found.above.log_mean[:, 0]


def chi_square(found: Sampled) -> Array:
    """CUBO: half the log of the mean squared weight, which as an expectation is above."""
    logs = 2 * found.below.log_weights[:, 0]
    return 0.5 * (log_sum_exp(logs) - np.log(logs.shape[-1]))


def thermodynamic(found: Sampled) -> Array:
    """The upper thermodynamic sum with expectations by normalised weights."""
    logs = found.below.log_weights[:, 0]
    steps = np.linspace(0, 1, 21)[1:, None, None] * logs
    shares = np.exp(steps - log_sum_exp(steps)[..., None])
    return np.asarray((shares * logs).sum(axis=-1).mean(axis=0))


def seeing(found: Sampled) -> Array:
    """An estimate through the exact sample by proposals that are moved to the sample."""
    q = replace(found.proposal, weights=np.eye(1, found.proposal.components).repeat(_DATA, 0))
    means = np.repeat(found.z[:, None], q.components, axis=1)
    q = replace(q, means=means, roots=0.2 * q.roots)
    return through(found.target, q, found.z, count=_DRAWS, purpose="seen").log_mean[:, 0]


def harmonic(found: Sampled) -> Array:
    """The weight of the exact sample alone, which is an upper estimate, as a lower one."""
    return found.above.log_weights[:, 0, 0]


@once
def _annealed(instance: Blocks) -> Array:
    """Log evidences by tempered particles that adapt their schedule and moves as they go."""
    target = sampled(instance).target
    n, d, count = _DATA, target.dim, 24
    rng = np.random.default_rng(instance.seed)
    z = rng.standard_normal((n, count, d))
    log_likelihood = target.log_joint(z) + 0.5 * ((z**2).sum(axis=-1) + d * np.log(2 * np.pi))
    total, power = np.zeros(n), 0.0
    while power < 1:
        # The step at which half of the data keep half of their particles.
        steps = (1 - power) * 0.5 ** np.arange(12)
        logs = steps[:, None, None] * log_likelihood
        size = np.exp(2 * log_sum_exp(logs) - log_sum_exp(2 * logs))
        good = np.median(size, axis=1) >= 0.5 * count
        step = float(steps[good.argmax()] if good.any() else steps[-1])
        power += step
        logs = step * log_likelihood
        total += log_sum_exp(logs) - np.log(count)
        ends = np.cumsum(np.exp(logs - log_sum_exp(logs)[:, None]), axis=1)
        marks = (rng.random((n, 1)) + np.arange(count)) / count
        kept = np.minimum((marks[..., None] > ends[:, None]).sum(axis=-1), count - 1)
        z = np.take_along_axis(z, kept[..., None], axis=1)
        log_likelihood = np.take_along_axis(log_likelihood, kept, axis=1)
        trial = z + z.std(axis=1, keepdims=True) / np.sqrt(d) * rng.standard_normal(z.shape)
        square = 0.5 * ((trial**2).sum(axis=-1) - (z**2).sum(axis=-1))
        value = target.log_joint(trial) + 0.5 * ((trial**2).sum(axis=-1) + d * np.log(2 * np.pi))
        accepted = np.log(rng.random((n, count))) < power * (value - log_likelihood) - square
        z = np.where(accepted[..., None], trial, z)
        log_likelihood = np.where(accepted, value, log_likelihood)
    return total


def brackets_hold(
    instance: Blocks,
    *,
    lower: Callable[[Sampled], Array] = from_below,
    upper: Callable[[Sampled], Array] = from_above,
    annealed: bool = False,
) -> Comparison:
    """Check that the mean log evidence is between the means of the estimates, up to the slack."""
    found = sampled(instance)
    truth, error = _truth(instance)
    high = _annealed(instance) if annealed else upper(found)
    chance = log_mean_excess((2,)) / _DATA
    rounding = np.maximum(found.below.rounding, found.above.rounding).mean()
    return Comparison.at_most(
        [lower(found).mean(), truth.mean()],
        [truth.mean(), high.mean()],
        scale=1 + abs(truth.mean()),
        chance=chance,
        rounding=rounding,
        quadrature=error.mean(),
    )


BRACKETS_HOLD = Proposition(
    label="24e",
    title="Brackets hold the exact evidence of products of blocks behind a rotation",
    statement=(
        r"\tfrac1N\sum_n\log\hat Z_n - \tfrac1N\log10^9 \le \tfrac1N\sum_n\log p(x_n) \le "
        r"\tfrac1N\sum_n\log\hat Z^*_n + \tfrac1N\log10^9"
        r"\text{ with probability } 1 - 2\cdot10^{-9}"
    ),
    hypotheses=(
        ("simulated data", r"z_n \sim \mathcal N(0, I_d),\ x_n \sim p(x|z_n),\ N = 400"),
        (
            "proposals that know x only",
            r"\text{fitted to } x_n, \text{ or the prior; } 64 \text{ draws}",
        ),
        ("blocks", r"6 \le d \le 12,\ f(z) = (f_b((zQ)_b))_b"),
    ),
    kind="statistical",
    instances=blocks(),
    check=brackets_hold,
    controls=wrong(
        brackets_hold,
        {
            "proposals that have seen the sample": {"upper": seeing},
            "CUBO for the upper estimate": {"upper": chi_square},
            "the thermodynamic bound by normalised weights": {"upper": thermodynamic},
            "the evidence of adaptive particles": {"annealed": True},
            "the weight of the sample taken for the evidence": {"lower": harmonic},
            "the estimate from below for the upper one": {"upper": from_below},
        },
    ),
    uses=("24a-shift", "24c"),
    figure="high-dimensional-evidence",
    resolution=0.09,
    examples=4,
)
