"""The figure of claim 10: the bound, its two limits, the optimism of sampling, and the step."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from autograd import hessian
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders
from vaetheory._gaussians import LOG_2PI
from vaetheory._plotting import BOUNDED, DASHES, EXACT, MARKERS, UNBOUNDED
from vaetheory._validation import Array
from vaetheory.bounds import baggins, profile_likelihood
from vaetheory.checking.batches import Batch
from vaetheory.claims.baggins.bounded import profile_excess
from vaetheory.claims.baggins.noisy_evidence import BoundScene, noisy_evidence
from vaetheory.claims.baggins.sampled_reconstructions import (
    SampledScene,
    sampled_coefficient,
    sampled_excess,
)
from vaetheory.claims.baggins.scenes import FitScene
from vaetheory.claims.baggins.stable_step import FitLadder, hessians
from vaetheory.figures._panels import (
    BOUND,
    Exponents,
    draw_bound,
    draw_panels,
    draw_series,
    head,
    style_of,
)
from vaetheory.rounding import gamma

# The marker and dashes of each presumed information h, the same in all panels.
_LOOK = {0.0: 4, 0.5: 3, 1.0: 1, 2.0: 2, 4.0: 0}


def evidence_panel(axes: Axes) -> Exponents:
    """10a-evidence: BILBO + BAGGINS below the evidence of data with the noise and without."""
    batch = Batch(((-1.0,), (0.25,), (1.0,)), (0.25,))
    decoder = decoders.Polynomial([[0], [1], [2]], [[0.0, 0.0], [1.0, 0.5], [0.25, 0.5]])
    off = np.array([[0.1, 0.0], [-0.1, 0.1], [0.0, -0.1]])
    X = tuple(map(tuple, decoder(batch.means) + off))
    levels = np.linspace(0, 2, 9)
    bounds = [noisy_evidence(BoundScene(decoder, X, batch, float(h))) for h in levels]
    term, value = np.array([f.term for f in bounds]), np.array([f.value for f in bounds])
    error = np.array([f.error for f in bounds])
    most = -0.5 * (1 + LOG_2PI + np.log(np.var(X, axis=0))).sum() + 2 * levels
    axes.plot(levels, [f.clean for f in bounds], ls=DASHES[1], color=EXACT, label="log evidence")
    axes.plot(levels, [f.noisy for f in bounds], color=EXACT, label="log evidence, noisy data")
    draw_series(axes, 0, "BILBO + BAGGINS", levels, value, errors=error, colour=BOUNDED)
    draw_series(axes, 1, "BAGGINS alone", levels, term, errors=error, filled=False, colour=BOUNDED)
    axes.plot(levels, most, color=BOUNDED, label="its bound (10b)", **BOUND)
    axes.set(
        xlabel="presumed information h (nats a dimension)",
        ylabel="mean over the data (nats a datum)",
    )
    sentence = "BILBO + BAGGINS stays below the log evidence; BAGGINS alone need not"
    head(axes, "10a-evidence, 10b", sentence)
    return {}


def information_panel(axes: Axes) -> Exponents:
    """10b and 10c: aggregate information against the residual, in three units."""
    x = np.array([[-1.0], [1.0]])
    shares = np.geomspace(1e-4, 2, 33)
    units = (1e-6, 1.0, 1e6)
    axes.set(xscale="log")
    for h in (1.0, 2.0, 4.0):
        dash = style_of(_LOOK[h])[2]
        law = -0.5 * np.log(shares**2 + np.exp(-2 * h))
        axes.plot(shares, law, color=BOUNDED, ls=dash, lw=1, label=f"_law: h = {h:g}")
        axes.axhline(h, color=BOUNDED, label=f"_bound: h = {h:g}", **BOUND)
        for k, (marker, unit) in enumerate(zip(MARKERS, units, strict=False)):
            few = shares[k::3]
            information = [
                float(baggins(unit * x, unit * (x + s), information=h).information[0]) for s in few
            ]
            name = f"_points: h = {h:g}, data in units of {unit:g}"
            axes.plot(few, information, marker, ms=4.5, color=BOUNDED, mfc="none", label=name)
    unbounded = [-float(profile_likelihood(x, x + s).log_scale[0]) for s in shares]
    axes.plot(shares, unbounded, color=UNBOUNDED, label="profile likelihood")
    for marker, unit in zip(MARKERS, units, strict=False):
        axes.plot([], [], marker, mfc="none", color=BOUNDED, label=f"data times {unit:g}")
    axes.plot([], [], color=BOUNDED, label="bounds h = 1, 2, 4", **BOUND)
    axes.set(
        xlabel="residual deviation √(r/v) (share of the data's)",
        ylabel="aggregate information (nats a dimension)",
    )
    head(axes, "10b, 10c", "The information of a dimension is never more than h, in any units")
    return {}


def profile_panel(axes: Axes) -> Exponents:
    """10d: how the term tends to the profile likelihood as the presumed information grows."""
    axes.set(xscale="log", yscale="log")
    levels = np.log(2) * np.arange(0.0, 13.0)
    x = ((0.0, 1.0), (1.0, -0.5), (2.0, 0.25))
    fits = {
        "a good fit": ((0.25, 1.0), (1.0, -0.25), (2.0, 0.0)),
        "a poor fit": ((1.0, 0.5), (0.0, 0.5), (1.0, 0.5)),
    }
    exponents: Exponents = {}
    for number, (name, fit) in enumerate(fits.items()):
        scene = FitScene(x, fit, (0.0, 0.0), pooled=False)
        excess, errors = profile_excess(scene, levels)
        residual, spread = scene.moments()
        law = 0.5 * (spread / residual).sum() * np.exp(-2 * levels)
        exponents |= draw_series(
            axes, number, name, np.exp(-levels), excess,
            law=law, exponent=2, errors=errors, colour=BOUNDED,
        )  # fmt: skip
    axes.set(
        xlabel="presumed noise exp(−h) (shares of the spread)",
        ylabel="profile likelihood − term (nats a datum)",
    )
    head(axes, "10d", "As h grows BAGGINS becomes the likelihood of the best σ (the profile)")
    return exponents


def sampled_panel(axes: Axes) -> Exponents:
    """10a-sampled: with sampled reconstructions the term is optimistic, by all draws of a batch."""
    axes.set(xscale="log", yscale="log")
    sizes = 4 * 4 ** np.arange(6)
    exponents: Exponents = {}
    for h in (0.0, 1.0):
        scene = SampledScene(0.5, 2.0, h)
        excess, errors = np.array([sampled_excess(scene, int(b)) for b in sizes]).T
        law = sampled_coefficient(scene) / sizes
        exponents |= draw_series(
            axes, _LOOK[h], f"h = {h:g}", sizes, excess,
            law=law, exponent=-1, errors=errors, limit=np.inf, colour=BOUNDED,
        )  # fmt: skip
    axes.set(
        xlabel="batch size B",
        ylabel="E[sampled term] − term (nats a datum)",
    )
    head(axes, "10a-sampled", "Sampled reconstructions flatter a batch, in proportion to 1/B")
    return exponents


def curvature_panel(axes: Axes) -> Exponents:
    """10e: the norm of the term's Hessian in the reconstructions, by autograd, and its bound."""
    axes.set(xscale="log", yscale="log")
    x, pattern = np.array([[-1.0], [1.0], [-1.0], [1.0]]), np.array([[1.0], [1.0], [-1.0], [-1.0]])
    shares = 10.0 ** np.linspace(-3, 0.5, 15)
    for h in (0.5, 1.0, 2.0):

        def norm(share: float, h: float = h) -> float:
            def value(fit: Any) -> Any:
                return baggins(x, fit, information=h).value

            found: Array = hessian(value)(x + share * pattern).reshape(len(x), len(x))
            return float(np.linalg.norm(found, 2))

        law = 1 / (len(x) * (shares**2 + np.exp(-2 * h)))
        draw_series(
            axes, _LOOK[h], f"h = {h:g}", shares, [norm(s) for s in shares],
            law=law, errors=gamma(1000) * law, colour=BOUNDED,
        )  # fmt: skip
        most = np.full(2, np.exp(2 * h) / len(x))
        draw_bound(axes, f"h = {h:g}", shares[[0, -1]], most, colour=BOUNDED)
    axes.plot([], [], color=BOUNDED, label="bounds exp(2h) / (B v)", **BOUND)
    axes.set(
        xlabel="residual deviation √(r/v) (share of the data's)",
        ylabel="norm of the Hessian in x̂ (nats per v)",
    )
    head(axes, "10e", "However good the fit, the curvature stays below its bound")
    return {}


def step_panel(axes: Axes) -> Exponents:
    """10e-step beside 9a: the stable step as the fit improves."""
    axes.set(xscale="log", yscale="log")
    exponents: Exponents = {}
    for h in (0.5, 1.0, 2.0):
        ladders = _ladders(h)
        shares = np.concatenate([ladder.shares for ladder in ladders])
        value, errors = _measured(ladders, bounded=True)
        law = 2 * (shares**2 + (1 + shares**2) * np.exp(-2 * h)) / ladders[0].curvature
        exponents |= draw_series(
            axes, _LOOK[h], f"BAGGINS, h = {h:g}", shares, value,
            law=law, exponent=0, errors=errors, colour=BOUNDED,
        )  # fmt: skip
        floor = np.full(2, 2 * np.exp(-2 * h) / ladders[0].curvature)
        ends = shares[[-1, 0]]
        draw_bound(axes, f"h = {h:g}", ends, floor, colour=BOUNDED)
    value, errors = _measured(ladders, bounded=False)
    law = 2 * shares**2 / ladders[0].curvature
    exponents |= draw_series(
        axes, 0, "the best σ instead (9a)", shares, value,
        law=law, exponent=2, errors=errors, colour=UNBOUNDED,
    )  # fmt: skip
    axes.set(
        xlabel="residual deviation √(r/v) (share of the data's)",
        ylabel="largest stable step η (units of v per nat)",
    )
    sentence = "As the fit improves the largest stable step vanishes, but not with BAGGINS"
    head(axes, "10e-step", sentence)
    return exponents


@lru_cache(maxsize=8)
def _ladders(h: float) -> tuple[FitLadder, ...]:
    """Fits that improve, in three units; cached because two figures use their measurements."""
    return tuple(
        FitLadder((-1.0, 0.0, 0.5, 1.5), (1.0, 2.0), (1.0, 0.0, 0.0, 0.0), h, c * np.exp(h), s)
        for c, s in ((1.0, 1.0), (1 / 16, 1e6), (1 / 256, 1e-6))
    )


def _measured(ladders: Sequence[FitLadder], *, bounded: bool) -> tuple[Array, Array]:
    """Largest stable steps and their computed errors."""
    values = [ladder.measured[bounded].value for ladder in ladders]
    errors = []
    for ladder, bends in zip(ladders, hessians(tuple(ladders)), strict=True):
        causes = ladder.errors(ladder.measured[bounded], bends[bounded])
        errors.append(np.sum(list(causes.values()), axis=0))
    return np.concatenate(values), np.concatenate(errors)


def draw(figure: Figure) -> list[Exponents]:
    """Draw BAGGINS below the evidence, bounded information, curvature and step, and its limits."""
    return draw_panels(
        figure,
        evidence_panel,
        information_panel,
        profile_panel,
        sampled_panel,
        curvature_panel,
        step_panel,
    )
