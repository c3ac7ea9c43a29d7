"""Checks of 11c and 11c-step: training on data times a factor."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._gaussians import LOG_2PI
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.half_network.gradient import amplification
from vaetheory.claims.half_network.scenes import ADAM, TINY, TinyRun, pattern, tiny_runs
from vaetheory.rounding import gamma
from vaetheory.training import train

_ENDS = (
    "ends in units of the data",
    r"\text{the encoder sees } (x - \bar x)/u,\ f = \bar x + u\,\tilde f,"
    r"\ \bar x, u \text{ mean and deviation of the training data}",
)


@dataclass(frozen=True)
class ScaledRun:
    """A run, and the power of two that its data are multiplied by."""

    run: TinyRun
    power: int


def scaled_runs() -> SearchStrategy[ScaledRun]:
    """Half-networks, and the other objective whose variances are those of the batch."""
    powers = st.integers(1, 20).flatmap(lambda k: st.sampled_from((k, -k)))
    return st.builds(ScaledRun, tiny_runs(("half", "optimal-sigma")), powers)


def scale_equivariance(
    scene: ScaledRun, *, objective: str | None = None, units: str = "pooled", shift: float = 1.0
) -> Comparison:
    """Compare training on x and on 2^k x: the same parameters, and ELBOs -D k log 2 apart."""
    run = scene.run.instead(units=units)
    run = run if objective is None else run.instead(objective=objective)
    factor = 2.0**scene.power
    plain = train(run.vae(), run.data(), run.settings, seed=run.seed)
    scaled = train(run.vae(factor), run.data(factor), run.settings, seed=run.seed)
    moved = -shift * run.data_dim * scene.power * np.log(2)
    before, after = np.array(plain.validation), np.array(scaled.validation)
    count = min(len(before), len(after))
    size = np.abs(before[:count]) + abs(moved) + run.data_dim * LOG_2PI
    return Comparison.all_of(
        Comparison.identity(scaled.best, plain.best, scale=1.0, rounding=0.0),
        Comparison.identity(float(len(after)), float(len(before)), scale=1.0),
        Comparison.identity(
            after[:count], before[:count] + moved, scale=size, rounding=gamma(1000) * size
        ),
    )


SCALE_EQUIVARIANCE = Proposition(
    label="11c",
    title="Trained on 2^k x the half-network takes the same path, bit for bit",
    statement=(
        r"\theta_t(2^k x) = \theta_t(x) \text{ for every step } t,\quad"
        r"\mathrm{ELBO}(2^k x) = \mathrm{ELBO}(x) - Dk\log 2"
    ),
    hypotheses=(
        ("variances of the batch", r"\text{BAGGINS or the profile likelihood}"),
        _ENDS,
        ADAM,
        TINY,
    ),
    kind="identity",
    instances=scaled_runs(),
    check=scale_equivariance,
    controls=wrong(
        scale_equivariance,
        {
            "one learned sigma": {"objective": "one-sigma"},
            "BILBO with one learned sigma": {"objective": "bilbo"},
            "variances learned for each datum": {"objective": "ordinary"},
            "plain ends": {"units": "plain"},
            "an ELBO that does not move": {"shift": 0.0},
        },
    ),
    uses=("10c",),
    figure="half-network",
)


@dataclass(frozen=True)
class ScaledStep:
    """A run, and the factor that its data are multiplied by."""

    run: TinyRun
    factor: float


def scaled_steps() -> SearchStrategy[ScaledStep]:
    """Half-networks, and factors that are no powers of two."""
    factors = st.sampled_from((1000.0, 0.001, 3.0, 1e-6, 1e6))
    return st.builds(ScaledStep, tiny_runs(("half", "optimal-sigma")), factors)


def scaled_gradient(
    scene: ScaledStep, *, objective: str | None = None, units: str = "pooled"
) -> Comparison:
    """Compare the gradients in the parameters on c x and on x."""
    run = scene.run.instead(units=units)
    run = run if objective is None else run.instead(objective=objective)
    vae, scaled = run.vae(), run.vae(scene.factor)
    X = run.data().train
    params = vae.initial(run.seed) + pattern(vae.count, 0.25)
    noise = pattern(len(X) * vae.latent_dim, 1.5).reshape(len(X), -1)
    value, slope = vae.loss_and_gradient(params, X, noise)
    other, moved = scaled.loss_and_gradient(params, run.data(scene.factor).train, noise)
    shift = vae.data_dim * np.log(scene.factor)
    size = 1 + np.abs(slope).max() + np.abs(value) + abs(shift)
    amount = gamma(2000) * size * amplification(vae, params, X, noise)
    return Comparison.all_of(
        Comparison.identity(moved, slope, scale=size, rounding=amount),
        Comparison.identity(other, value + shift, scale=size, rounding=amount),
    )


SCALED_GRADIENT = Proposition(
    label="11c-step",
    title="For any factor the gradient is the same up to rounding",
    statement=r"\nabla_\theta L(cx) = \nabla_\theta L(x),\quad L(cx) = L(x) + D\log c",
    hypotheses=(
        ("variances of the batch", r"\text{BAGGINS or the profile likelihood}"),
        _ENDS,
        TINY,
    ),
    kind="identity",
    instances=scaled_steps(),
    check=scaled_gradient,
    controls=wrong(
        scaled_gradient,
        {
            "one learned sigma": {"objective": "one-sigma"},
            "variances learned for each datum": {"objective": "ordinary"},
            "plain ends": {"units": "plain"},
        },
    ),
    uses=("10c",),
)
