"""Checks of claim 11 about training: outputs, gradients, scale, and runs that were interrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from vaetheory._gaussians import LOG_2PI
from vaetheory._validation import Array
from vaetheory.bounds import baggins, bilbo, profile_likelihood
from vaetheory.checking.comparison import Comparison
from vaetheory.claims.half_network.scenes import TinyRun, pattern, tiny_runs
from vaetheory.rounding import gamma
from vaetheory.training import OBJECTIVES, Network, Run, Units, Vae, density_of, train
from vaetheory.training._checkpoints import load, save
from vaetheory.training.runs import validation_elbo

# 11a --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Shape:
    """Dimensions of data and latent, and the widths of the hidden layers."""

    data_dim: int
    latent_dim: int
    hidden: tuple[int, ...]


def shapes() -> SearchStrategy[Shape]:
    """Small networks."""
    widths = st.lists(st.integers(1, 6), max_size=2).map(tuple)
    return st.builds(Shape, st.integers(1, 9), st.integers(1, 4), widths)


def outputs_counted(
    shape: Shape, *, half: str = "half", factor: float = 0.5, parameters: bool = False
) -> Comparison:
    """Outputs of the half-network and of the ordinary VAE, counted on what the networks return."""

    def counted(name: str) -> tuple[int, int]:
        units = Units(np.zeros(shape.data_dim), np.array(1.0))
        vae = Vae(OBJECTIVES[name], shape.data_dim, shape.latent_dim, shape.hidden, units)
        found = 0
        for network, inputs in ((vae.encoder, shape.data_dim), (vae.decoder, shape.latent_dim)):
            layers = network.layers(np.zeros(network.count))
            found += network.forward(layers, np.zeros((1, inputs)))[-1].shape[1]
        return found, vae.count

    (few, less), (many, more) = counted(half), counted("ordinary")
    left, right = (less, factor * more) if parameters else (few, factor * many)
    # One layer's weights and biases for each output that is not there.
    width, other = (shape.hidden or (shape.data_dim,))[-1], (shape.hidden or (shape.latent_dim,))[0]
    saved = (width + 1) * shape.latent_dim + (other + 1) * shape.data_dim
    parts = [Comparison.identity(left, right, scale=float(right))]
    if not parameters and half == "half":
        parts.append(Comparison.identity(more - less, saved, scale=float(saved)))
    return Comparison.all_of(*parts)


# 11b --------------------------------------------------------------------------------------------


def _traced(network: Network, params: Any, x: Any) -> Any:
    """The network written with autograd, apart from the library's."""
    at, sizes = 0, network.sizes
    for k, (inputs, outputs) in enumerate(pairwise(sizes)):
        weight = anp.reshape(params[at : at + inputs * outputs], (outputs, inputs))
        at += inputs * outputs
        x = anp.dot(x, weight.T) + params[at : at + outputs]
        at += outputs
        if k < len(sizes) - 2:
            x = anp.tanh(x)
    return x


def traced_loss(
    vae: Vae, X: Array, noise: Array, *, information: float = 1.0
) -> Callable[[Any], Any]:
    """Minus the objective as a function of the parameters, from the library's own bounds."""
    d, D, objective = vae.latent_dim, vae.data_dim, vae.objective

    def loss(params: Any) -> Any:
        encoder, decoder, extra = vae.split(params)
        code = _traced(vae.encoder, encoder, (X - vae.units.loc) / vae.units.scale)
        loc: Any = code[:, :d]
        log_scale: Any = np.zeros(d)
        if objective.posterior == "learned":
            log_scale = code[:, d:] / 2
        elif objective.posterior == "constant":
            log_scale = extra[:d]
        z = loc + anp.exp(log_scale) * noise
        out = _traced(vae.decoder, decoder, z)
        xhat = vae.units.loc + vae.units.scale * out[:, :D]
        if objective.likelihood == "profile":
            term = profile_likelihood(X, xhat).value
        elif objective.likelihood == "baggins":
            term = baggins(X, xhat, information=vae.information).value
        else:
            log_variance = out[:, D:] if objective.likelihood == "learned" else 2 * extra[-1]
            square = (X - xhat) ** 2 * anp.exp(-log_variance)
            term = -0.5 * anp.sum(LOG_2PI + log_variance + square) / len(X)
        if objective.floating:
            bound = bilbo(term * np.ones(len(X)), loc, anp.exp(log_scale))
            return (1 - information) * bound.information - bound.value
        spread = anp.exp(2 * log_scale) + 0 * loc
        divergence = 0.5 * anp.sum(loc**2 + spread - 1 - anp.log(spread)) / len(X)
        return information * divergence - term

    return loss


def gradient_by_hand(
    scene: TinyRun, *, information: float = 1.0, noise: float = 1.0, last: float = 1.0
) -> Comparison:
    """Loss and gradient by hand, against autograd through the library's bounds."""
    vae, X = scene.vae(), scene.data().train
    params = vae.initial(scene.seed) + pattern(vae.count, 0.25)
    draws = pattern(len(X) * vae.latent_dim, 1.5).reshape(len(X), -1)
    value, slope = vae.loss_and_gradient(params, X, draws)
    other, expected = value_and_grad(
        traced_loss(vae, X, noise * draws, information=information)
    )(params)  # fmt: skip
    expected = np.where(np.arange(vae.count) < vae.count - 1, expected, last * expected)
    # Chains of about as many operations as there are data and units; residuals cancel digits of
    # the data's size over sigma.
    size = 1 + np.abs(expected).max() + np.abs(value)
    amount = gamma(2000) * size * _amplification(vae, params, X, draws)
    return Comparison.all_of(
        Comparison.identity(value, other, scale=size, rounding=amount),
        Comparison.identity(slope, expected, scale=size, rounding=amount),
    )


def _amplification(vae: Vae, params: Array, X: Array, noise: Array) -> float:
    """How much larger than one unit of a slope what is added up for it can be."""
    loc, log_scale = vae.encode(params, X)
    xhat, log_sigma = vae.decode(params, loc + np.exp(log_scale) * noise)
    if vae.objective.likelihood in ("learned", "one"):
        own = vae.split(params)[2][-1:] if log_sigma is None else log_sigma
        sigma = np.exp(own) * np.ones_like(xhat)
    elif vae.objective.likelihood == "profile":
        sigma = profile_likelihood(X, xhat).scale
    else:
        sigma = baggins(X, xhat, information=vae.information).scale
    largest = ((np.abs(X) + np.abs(xhat)) / sigma).max() ** 2
    return float(1 + largest)


# 11c --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ScaledRun:
    """A run, and the power of two that its data are multiplied by."""

    run: TinyRun
    power: int


def scaled_runs() -> SearchStrategy[ScaledRun]:
    """Half-networks, and the other objective whose variances are the batch's."""
    powers = st.integers(1, 20).flatmap(lambda k: st.sampled_from((k, -k)))
    return st.builds(ScaledRun, tiny_runs(("half", "optimal-sigma")), powers)


def scale_equivariance(
    scene: ScaledRun, *, objective: str | None = None, units: str = "pooled", shift: float = 1.0
) -> Comparison:
    """Train on x and on 2^k x: the same parameters, bit for bit; the ELBO moves by -D k log 2."""
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
    """The gradient in the parameters on c x and on x: the same up to rounding, for any c."""
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
    amount = gamma(2000) * size * _amplification(vae, params, X, noise)
    return Comparison.all_of(
        Comparison.identity(moved, slope, scale=size, rounding=amount),
        Comparison.identity(other, value + shift, scale=size, rounding=amount),
    )


# 11f --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class BrokenRun:
    """A run, the look at the validation data after which it is interrupted, and Adam's rate.

    At a high rate the best parameters are soon behind.
    """

    run: TinyRun
    look: int
    rate: float


def broken_runs() -> SearchStrategy[BrokenRun]:
    """Runs of three looks, interrupted at the first or the second."""
    return st.builds(BrokenRun, tiny_runs(), st.integers(1, 2), st.sampled_from((0.02, 0.5)))


class _Interrupted(Exception):
    """Stands for a run that is killed."""


def resumed_run(scene: BrokenRun, *, forget: str = "") -> Comparison:
    """A run that is killed and resumed from its checkpoint, against one that was not."""
    run = scene.run
    settings = replace(run.settings, rate=scene.rate)
    whole = train(run.vae(), run.data(), settings, seed=run.seed)
    looks = 0

    def kill(done: float) -> None:
        nonlocal looks
        looks += 1
        if looks == scene.look:
            raise _Interrupted

    with TemporaryDirectory() as folder:
        path = Path(folder) / "run.ckpt"
        try:
            train(run.vae(), run.data(), settings, seed=run.seed, checkpoint=path, progress=kill)
        except _Interrupted:
            _forget(path, forget, run)
        resumed = train(run.vae(), run.data(), settings, seed=run.seed, checkpoint=path)
    return Comparison.all_of(
        Comparison.identity(_everything(resumed), _everything(whole), scale=1.0, rounding=0.0),
    )


def _forget(path: Path, what: str, run: TinyRun) -> None:
    """Take something out of a checkpoint."""
    arrays, values = load(path)
    if what == "rng":
        fresh = np.random.default_rng(run.seed).bit_generator.state
        values["rng"] = fresh
    elif what == "moments":
        arrays["first"], arrays["second"] = 0 * arrays["first"], 0 * arrays["second"]
    elif what == "steps":
        values["steps"] = 0
    save(path, arrays, values)


def _everything(run: Run) -> Array:
    """All that a run returns, as one vector."""
    history = np.zeros(16)
    history[: len(run.validation)] = run.validation
    return np.concatenate([run.best, history, [run.best_epoch, run.epoch, len(run.ended)]])


# 11e --------------------------------------------------------------------------------------------


def held_out_density(
    scene: TinyRun, *, fixed_by: str = "train", moments: str = "train"
) -> Comparison:
    """The validation ELBO of a half-network by moments written out, none of them held-out."""
    vae, data = scene.vae(), scene.data()
    params = vae.initial(scene.seed) + pattern(vae.count, 0.25)
    value = validation_elbo(vae, params, data, seed=scene.seed)
    density = density_of(vae, params, data.train, seed=scene.seed)
    X, source = data.validation, getattr(data, fixed_by)
    noise = np.random.default_rng([scene.seed, 200, 1])
    draws = noise.standard_normal((8, len(X), vae.latent_dim))
    loc = vae.encode(params, X)[0]
    prior = 1 + (vae.encode(params, getattr(data, moments))[0] ** 2).mean(axis=0)
    fit = np.random.default_rng([scene.seed, 200, 0])
    z = vae.encode(params, source)[0]
    z = z + fit.standard_normal((1, len(data.train), vae.latent_dim))[0, : len(z)]
    residual = ((source - vae.decode(params, z)[0]) ** 2).mean(axis=0)
    variance = residual + np.exp(-2 * vae.information) * source.var(axis=0)
    terms = []
    for e in draws:
        square = (X - vae.decode(params, loc + e)[0]) ** 2 / variance
        terms.append(-0.5 * (np.log(2 * np.pi * variance) + square).sum(axis=1))
    rate = 0.5 * (np.log(prior) + (1 + loc**2) / prior - 1).sum(axis=1)
    expected = float((np.mean(terms, axis=0) - rate).mean())
    assert density.log_sigma is not None
    size = 1 + abs(value) + float(np.abs(terms).max())
    largest = float(((np.abs(data.train).max(axis=0) * 4) ** 2 / variance).max())
    amount = gamma(2000) * (size + largest)
    return Comparison.all_of(
        Comparison.identity(value, expected, scale=size, rounding=amount),
        Comparison.identity(density.log_sigma, 0.5 * np.log(variance), scale=size, rounding=amount),
        Comparison.identity(density.prior_scale**2, prior, scale=size, rounding=amount),
    )
