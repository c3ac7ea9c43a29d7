"""The figure of claim 10: bound below the evidence, the cap on information, the stable step."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders
from vaetheory.claims.batch_scenes import Batch
from vaetheory.claims.bounded_curvature import FitLadder
from vaetheory.claims.presumed_noise import BoundScene, noisy_evidence
from vaetheory.gaussians import LOG_2PI
from vaetheory.objectives import baggins, profile_likelihood
from vaetheory.plotting import COLOURS, DASHES, MARKERS, Columns, draw_panels


def evidence_panel(axes: Axes) -> Columns:
    """10a-evidence: BILBO + BAGGINS below the evidence of data with the noise and without."""
    batch = Batch(((-1.0,), (0.25,), (1.0,)), (0.25,))
    decoder = decoders.Polynomial([[0], [1], [2]], [[0.0, 0.0], [1.0, 0.5], [0.25, 0.5]])
    off = np.array([[0.1, 0.0], [-0.1, 0.1], [0.0, -0.1]])
    X = tuple(map(tuple, decoder(batch.means) + off))
    levels = np.linspace(0, 3, 13)
    found = [noisy_evidence(BoundScene(decoder, X, batch, float(h))) for h in levels]
    value = np.array([f.value for f in found])
    noisy, clean = np.array([f.noisy for f in found]), np.array([f.clean for f in found])
    error = np.array([f.error for f in found])
    most = -0.5 * (1 + LOG_2PI + np.log(np.var(X, axis=0))).sum() + 2 * levels
    axes.plot(levels, clean, DASHES[1], color=COLOURS[2], label="log evidence")
    axes.plot(levels, noisy, color=COLOURS[1], label="log evidence of the noisy data")
    axes.plot(levels, value, MARKERS[0], ms=4, color=COLOURS[0], label="BILBO + BAGGINS")
    axes.plot(levels, most, ":", color="grey", label="bound of BAGGINS (10b)")
    axes.set(
        xlabel="presumed information h (nats a dimension)",
        ylabel="nats a datum",
        ylim=(value.min() - 0.5, clean.max() + 1),
        title=f"Below the evidence (errors ≤ {error.max():.0e})",
    )
    axes.legend(fontsize=7)
    return {
        "h": levels,
        "bilbo + baggins": value,
        "evidence noisy": noisy,
        "evidence": clean,
        "error": error,
        "bound": most,
    }


def information_panel(axes: Axes) -> Columns:
    """10b, 10c and 10d: aggregate information against the residual, in three units."""
    columns: Columns = {}
    x = np.array([[-1.0], [1.0]])
    shares = np.geomspace(1e-4, 2, 33)
    columns["residual deviation / spread"] = shares
    units = (1e-6, 1.0, 1e6)
    for colour, h in zip(COLOURS, (1.0, 2.0, 4.0), strict=False):
        law = -0.5 * np.log(shares**2 + np.exp(-2 * h))
        axes.semilogx(shares, law, color=colour, lw=1)
        axes.axhline(h, color=colour, ls=":", lw=1)
        for marker, unit in zip(MARKERS, units, strict=False):
            found = [
                float(baggins(unit * x, unit * (x + s), information=h).information[0])
                for s in shares
            ]
            every = slice(units.index(unit), None, 3)
            axes.semilogx(shares[every], found[every], marker, ms=4, color=colour, mfc="none")
            columns[f"information h={h:g} unit={unit:g}"] = found
    unbounded = [-float(profile_likelihood(x, x + s).log_scale[0]) for s in shares]
    axes.semilogx(shares, unbounded, DASHES[1], color="black", label="profile likelihood")
    columns["profile"] = unbounded
    for marker, unit in zip(MARKERS, units, strict=False):
        axes.plot([], [], marker, mfc="none", color="grey", label=f"data in units of {unit:g}")
    axes.plot([], [], color="grey", lw=1, label="½ log(v / (r + v exp(−2h)))")
    axes.plot([], [], ":", color="grey", label="h = 1, 2, 4")
    axes.set(
        xlabel=r"residual deviation $\sqrt{r/v}$",
        ylabel="aggregate information (nats a dimension)",
        title="Never more than h, in any units",
    )
    axes.legend(fontsize=7)
    return columns


def step_panel(axes: Axes) -> Columns:
    """10e beside 9a: the stable step as the fit improves."""
    columns: Columns = {}
    worst = 0.0
    for colour, marker, h in zip(COLOURS, MARKERS, (0.5, 1.0, 2.0), strict=False):
        ladders = [
            FitLadder((-1.0, 0.0, 0.5, 1.5), (1.0, 2.0), (1.0, 0.0, 0.0, 0.0), h, c * np.exp(h), s)
            for c, s in ((1.0, 1.0), (1 / 16, 1e6), (1 / 256, 1e-6))
        ]
        shares = np.concatenate([ladder.shares for ladder in ladders])
        found = [ladder.measured[True] for ladder in ladders]
        value = np.concatenate([f.value for f in found])
        worst = max(worst, *(float((f.bracket / f.value).max()) for f in found))
        law = 2 * (shares**2 + (1 + shares**2) * np.exp(-2 * h)) / ladders[0].curvature
        axes.loglog(shares, law, color=colour, lw=1)
        axes.loglog(shares, value, marker, ms=4, color=colour, label=f"BAGGINS, h = {h:g}")
        floor = 2 * np.exp(-2 * h) / ladders[0].curvature
        axes.axhline(floor, color=colour, ls=":", lw=1)
        columns[f"share h={h:g}"], columns[f"step h={h:g}"] = shares, value
        columns[f"law h={h:g}"] = law
    profile = np.concatenate([ladder.measured[False].value for ladder in ladders])
    axes.loglog(shares, 2 * shares**2 / ladders[0].curvature, color="black", lw=1)
    axes.loglog(shares, profile, "v", ms=4, mfc="none", color="black", label="profile (9a)")
    columns["step profile"] = profile
    axes.plot([], [], color="grey", lw=1, label=r"law $2\sigma^2/(v\,\lambda_{\max})$")
    axes.plot([], [], ":", color="grey", label=r"promised, $2e^{-2h}/\lambda_{\max}$")
    axes.set(
        xlabel=r"residual deviation $\sqrt{r/v}$",
        ylabel=r"largest stable step $\eta$ (units of the data's spread)",
        title=f"As the fit improves (brackets ≤ {worst:.0e} of $\\eta$)",
    )
    axes.legend(fontsize=7)
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the bound below the evidence, the cap on the information, and the stable step."""
    return draw_panels(figure, evidence_panel, information_panel, step_panel)
