"""The figure of claim 6: the forms below the evidence, the information they measure, and B."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory._plotting import EXACT
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking.batches import Batch, ModelBatch, expected_log_likelihood
from vaetheory.claims.bilbo.batch_size import SampledBatch, coefficient, mean_excess
from vaetheory.claims.bilbo.information import mixture_information
from vaetheory.evidence import log_evidence
from vaetheory.figures._panels import BOUND, Exponents, draw_panels, draw_series, head, style_of


def evidence_panel(axes: Axes) -> Exponents:
    """6c and 6d: a bent surface and four data, whose codes are spread by a factor."""
    spreads = np.linspace(0.25, 1.75, 7)
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
            bound = bilbo(likelihood, batch.means, batch.deviations, form=form)
            model = scene.rescaled(bound.prior_loc, bound.prior_cov)
            evidence = log_evidence(model, scene.data)
            values[form].append(float(bound.value))
            evidences[form].append(float(evidence.value.mean()))
            errors[form].append(float(evidence.error.mean() + lost.mean()))
    for number, form in enumerate(FORMS):
        colour, _, dash = style_of(number)
        name = f"_log evidence: {form}"
        axes.plot(spreads, evidences[form], color=colour, ls=dash, lw=1.5, label=name)
        # The sum of both errors, because the panel shows their order.
        draw_series(axes, number, f"BILBO, {form}", spreads, values[form], errors=errors[form])
    axes.plot([], [], color="grey", lw=1.5, label="log evidence, the same prior")
    axes.set(
        xlabel="spread of the codes (a factor)",
        ylabel="mean over the data (nats a datum)",
    )
    head(axes, "6c, 6d", "BILBO stays below the log evidence, in each of its forms")
    return {}


def information_panel(axes: Axes) -> Exponents:
    """6e: two data of probability 1/2 encoded at +-r, s = 1."""
    distances = np.linspace(0.25, 5, 20)
    parts = [mixture_information(Batch(((-r,), (r,)), (1.0,))) for r in distances]
    mutual, divergence = (np.array([f[k][0] for f in parts]) for k in (0, 1))
    error = np.array([f[0][1] + f[1][1] for f in parts])
    term = np.array(
        [bilbo([0.0, 0.0], [[-r], [r]], 1.0, form="full").information for r in distances]
    )
    axes.plot(distances, term, color=EXACT, lw=1, label="information term, ½ log(1 + r²)")
    draw_series(axes, 0, "I + KL, computed", distances, mutual + divergence, errors=error)
    mutual_error = [f[0][1] for f in parts]
    draw_series(
        axes, 1, "mutual information I(x; z)", distances, mutual, errors=mutual_error, filled=False
    )
    axes.axhline(np.log(2), color=EXACT, label="its bound, log 2", **BOUND)
    axes.set(
        xlabel="codes at ±r (posterior deviations s)",
        ylabel="information (nats)",
    )
    sentence = "Its information term grows on where the mutual information stops at log 2"
    head(axes, "6e", sentence)
    return {}


_DATA = Batch(((0.0, 0.0), (2.0, 0.5), (-0.5, 1.0)), (0.5, 0.5))
_SIZES = 2 ** np.arange(1, 9)


def _batches(axes: Axes, *, correction: float) -> Exponents:
    """Mean excess over all batches from three data in the plane, with or without correction."""
    axes.set(xscale="log", yscale="log", xlabel="batch size B")
    exponents: Exponents = {}
    for number, form in enumerate(FORMS):
        scene = SampledBatch(_DATA, form)
        excess, errors = np.array(
            [mean_excess(scene, int(b), correction=correction) for b in _SIZES]
        ).T
        exponents |= draw_series(
            axes, number, form, _SIZES, np.abs(excess), errors=errors, limit=np.inf,
            law=None if correction else coefficient(_DATA, form) / _SIZES,
            exponent=-2 if correction else -1, filled=not correction,
        )  # fmt: skip
    return exponents


def batch_size_panel(axes: Axes) -> Exponents:
    """6f: batches from three data in the plane, all of them enumerated."""
    exponents = _batches(axes, correction=0.0)
    axes.set_ylabel("$E[\\mathrm{BILBO}_B] - \\mathrm{BILBO}_\\infty$ (nats)")
    head(axes, "6f", "Small batches are optimistic, in proportion to 1/B")
    return exponents


def corrected_panel(axes: Axes) -> Exponents:
    """6f-corrected: the same batches minus the estimate of their optimistic bias."""
    exponents = _batches(axes, correction=1.0)
    axes.set_ylabel("|the same, corrected| (nats)")
    head(axes, "6f-corrected", "With the correction the optimism falls as 1/B²")
    return exponents


def draw(figure: Figure) -> list[Exponents]:
    """Draw BILBO below the evidence, what its information term measures, and small batches."""
    return draw_panels(figure, evidence_panel, information_panel, batch_size_panel, corrected_panel)
