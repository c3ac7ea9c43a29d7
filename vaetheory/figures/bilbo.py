"""The figure of claim 6: the forms below the evidence, the information they measure, and B."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory.claims.batch_information import mixture_information
from vaetheory.claims.batch_scenes import Batch, ModelBatch, expected_log_likelihood
from vaetheory.claims.batch_size import SampledBatch, coefficient, mean_excess
from vaetheory.evidence import log_evidence
from vaetheory.objectives import FORMS, bilbo
from vaetheory.plotting import COLOURS, Columns, draw_panels

_MARKERS = dict(zip(FORMS, ("o", "s", "^"), strict=True))
_LINES = dict(zip(FORMS, ("-", "--", ":"), strict=True))


def evidence_panel(axes: Axes) -> Columns:
    """6c and 6d: a bent surface and four data, whose codes are spread by a factor."""
    columns: Columns = {}
    spreads = np.linspace(0.25, 1.75, 7)
    columns["spread"] = spreads.tolist()
    codes = np.array([[0.0, 0.5], [1.0, 1.0], [0.5, 1.0], [1.5, 2.0]])
    decoder = decoders.Polynomial([[1, 0], [0, 1], [1, 1]], [[1.0, 0.0], [0.0, 1.0], [0.25, 0.25]])
    X = tuple(map(tuple, decoder(codes)))
    values: dict[str, list[float]] = {f: [] for f in FORMS}
    evidences: dict[str, list[float]] = {f: [] for f in FORMS}
    errors: dict[str, list[float]] = {f: [] for f in FORMS}
    for spread in spreads:
        batch = Batch(tuple(map(tuple, spread * codes)), (0.5, 0.5))
        scene = ModelBatch(decoder, likelihoods.Gaussian(scale=1.0), X, batch)
        likelihood, lost = expected_log_likelihood(scene)
        for form in FORMS:
            bound = bilbo(likelihood, batch.means, batch.deviations, form)
            model = scene.rescaled(bound.prior_loc, bound.prior_cov)
            evidence = log_evidence(model, scene.data)
            values[form].append(float(bound.value))
            evidences[form].append(float(evidence.value.mean()))
            errors[form].append(float(evidence.error.mean() + lost.mean()))
    for colour, form in zip(COLOURS, FORMS, strict=False):
        axes.plot(spreads, evidences[form], color=colour, ls=_LINES[form], lw=1)
        axes.plot(
            spreads, values[form], color=colour, marker=_MARKERS[form], ls="", ms=4, label=form
        )
        columns[f"bilbo {form}"], columns[f"evidence {form}"] = values[form], evidences[form]
        columns[f"error {form}"] = errors[form]
    largest = max(max(e) for e in errors.values())
    axes.plot([], [], color="grey", label="mean log evidence, its own prior")
    axes.set(
        xlabel="spread of the codes",
        ylabel="nats a datum",
        title=f"BILBO below the evidence (errors ≤ {largest:.0e})",
    )
    axes.legend()
    return columns


def information_panel(axes: Axes) -> Columns:
    """6e: two data of probability 1/2 encoded at +-r, s = 1."""
    columns: Columns = {}
    distances = np.linspace(0.25, 5, 20)
    found = [mixture_information(Batch(((-r,), (r,)), (1.0,))) for r in distances]
    mutual, divergence = (np.array([f[k][0] for f in found]) for k in (0, 1))
    error = np.array([f[0][1] + f[1][1] for f in found])
    term = np.array([bilbo([0.0, 0.0], [[-r], [r]], 1.0, "full").information for r in distances])
    axes.plot(distances, term, color=COLOURS[0], label="information term, ½ log(1 + r²)")
    axes.plot(distances, mutual + divergence, "o", ms=4, color=COLOURS[1], label="I + KL, computed")
    axes.plot(distances, mutual, "--", color=COLOURS[2], label="mutual information I(x; z)")
    axes.axhline(np.log(2), color="grey", ls=":", label="log 2")
    axes.set(
        xlabel="codes at ±r, in deviations s",
        ylabel="nats",
        title=f"What the term measures (errors ≤ {error.max():.0e})",
    )
    axes.legend()
    columns["r"], columns["information term"] = distances.tolist(), term.tolist()
    columns["mutual information"], columns["divergence"] = mutual.tolist(), divergence.tolist()
    columns["error of their sum"] = error.tolist()
    return columns


def batch_size_panel(axes: Axes) -> Columns:
    """6f: batches from three data in the plane, all of them enumerated."""
    columns: Columns = {}
    data = Batch(((0.0, 0.0), (2.0, 0.5), (-0.5, 1.0)), (0.5, 0.5))
    sizes = 2 ** np.arange(1, 9)
    columns["B"] = sizes.astype(float).tolist()
    for colour, form in zip(COLOURS, FORMS, strict=False):
        scene, law = SampledBatch(data, form), coefficient(data, form) / sizes
        excess, errors = np.array([mean_excess(scene, int(b)) for b in sizes]).T
        left = np.abs([mean_excess(scene, int(b), correction=1.0)[0] for b in sizes])
        slope = np.log2(excess[-2] / excess[-1])
        second = np.log2(left[-2] / left[-1])
        axes.loglog(sizes, law, color=colour, lw=1)
        axes.loglog(
            sizes,
            excess,
            _MARKERS[form],
            ms=4,
            color=colour,
            label=rf"{form}: $B^{{-{slope:.2f}}}$, corrected $B^{{-{second:.2f}}}$",
        )
        axes.loglog(sizes, left, _MARKERS[form], ms=4, color=colour, mfc="none", ls=":", lw=1)
        axes.loglog(sizes, errors, "_", ms=6, color=colour, alpha=0.6)
        columns[f"excess {form}"], columns[f"law {form}"] = excess.tolist(), law.tolist()
        columns[f"corrected {form}"] = left.tolist()
        columns[f"rounding {form}"] = errors.tolist()
    axes.plot([], [], color="grey", lw=1, label="law c / B")
    axes.plot([], [], "o", mfc="none", color="grey", label="|excess| corrected")
    axes.plot([], [], "_", color="grey", label="computed error")
    axes.set(
        xlabel="batch size B",
        ylabel="$E[\\mathrm{BILBO}_B] - \\mathrm{BILBO}_\\infty$ (nats)",
        title="Small batches are optimistic",
    )
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(0, 0.36))
    return columns


def draw(figure: Figure) -> Columns:
    """Draw the forms below the evidence, what the term measures, and small batches."""
    return draw_panels(figure, evidence_panel, information_panel, batch_size_panel)
