"""The figure of claim 22: amortisation, filled-in zeros, ignored masks, and dequantisation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds import (
    cell_model,
    dequantised_bound,
    gap_split,
    imputation_bound,
    observed_log_evidence,
)
from vaetheory.claims.structured_bounds import ignorability
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head
from vaetheory.models import LatentModel

#: A posterior of correlated latents: precision [[2, 1.5], [1.5, 3.25]].
_WEIGHT = np.array([[1.0, 1.5], [0.0, 0.0]])
_PAIR = LatentModel(decoders.Affine(_WEIGHT), likelihoods.Gaussian(scale=1.0))


def amortisation_panel(axes: Axes) -> Exponents:
    """22a, 22a-divergence: q with the best variances, moved by one in every direction."""
    precision = np.eye(2) + _WEIGHT.T @ _WEIGHT
    x = np.array([1.0, 0.0])
    mean = np.linalg.solve(precision, _WEIGHT.T @ x)
    angles = np.linspace(0.0, 180.0, 13)
    fine = np.linspace(0.0, 180.0, 181)

    def moves(degrees: Array) -> Array:
        turned = np.radians(degrees)
        return np.stack([np.cos(turned), np.sin(turned)], axis=-1)

    q = Posterior(mean + moves(angles), scale=1 / np.sqrt(np.diagonal(precision)))
    found = gap_split(_PAIR, np.broadcast_to(x, (len(angles), 2)), q)
    a = moves(fine)
    told = 0.5 * np.einsum("ni,ij,nj->n", a, precision, a)
    draw_series(
        axes, 0, "amortisation gap", angles, found.amortisation, law=(fine, told),
        errors=found.amortisation_error,
    )  # fmt: skip
    other = 0.5 * (a**2 @ np.diagonal(precision))
    axes.plot(fine, other, color="C3", ls="--", lw=1.5, label="KL(q ‖ q*)")
    axes.set_xticks([0, 45, 90, 135, 180])
    axes.set(xlabel="direction of the shift of q's mean (degrees)", ylabel="nats", ylim=(0.0, None))
    head(
        axes,
        "22a, 22a-divergence",
        "The amortisation gap is no divergence: it is above or below it",
    )
    return {}


def zeros_panel(axes: Axes) -> Exponents:
    """22c, 22c-zeros: imputed values and zeros against the evidence of what was observed."""
    noises = 2.0 ** np.arange(-5, 2)
    rows, errors = [], []
    for noise in noises:
        model = LatentModel(
            decoders.Affine([[1.0], [0.5], [-0.5]]), likelihoods.Gaussian(scale=noise)
        )
        x, mask = np.array([0.1, 0.0, 0.0]), np.array([True, False, False])
        exact = observed_log_evidence(model, x, mask)
        cov = model.decoder(np.array([1.0]))[:, None] * [[1.0, 0.5, -0.5]] + noise**2 * np.eye(3)
        across = cov[1:, 0] / cov[0, 0]
        inner = cov[1:, 1:] - np.outer(across, cov[0, 1:])
        best = Posterior(across * x[0], cov=inner)
        wide = Posterior(across * x[0], cov=4 * inner)
        bounds = [
            linear_log_evidence(model, x),
            imputation_bound(model, x, mask, best),
            imputation_bound(model, x, mask, wide),
        ]
        rows.append([float(b.value - exact.value) for b in bounds])
        errors.append([float(b.error + exact.error) for b in bounds])
    values, off = np.array(rows).T, np.array(errors).T
    axes.set_xscale("log", base=2)
    names = ("zeros filled in", "imputed from p(x_m | x_o)", "imputed with twice the deviations")
    for number, name in enumerate(names):
        draw_series(axes, number, name, noises, values[number], errors=off[number])
    axes.axhline(0.0, color="black", lw=1, label="_level: log p(x_o)")
    axes.set(xlabel="noise σ of the decoder", ylabel="value − log p(x_o) (nats)")
    head(
        axes,
        "22c, 22c-zeros",
        "What zeros for missing values give is no bound, and imputed values give one",
    )
    return {}


def masks_panel(axes: Axes) -> Exponents:
    """22d and its counterexamples: the largest mean score against how much the mask depends."""
    scene = ignorability.MaskedBits(
        (1.0, 1.5, 1.0), (2.0, 2.0, -1.5), (0.5, 0.0, -0.5), (1.0, 1.0), (1.0,) * 6, (1.0, 1.0)
    )
    rates = np.linspace(0.125, 1.0, 8)
    rows = []
    p, _, each, errors = ignorability.scores(scene)
    for rate in rates:
        one = replace(scene, second=(1.0, float(rate)), own=(1.0, float(rate)))
        at_random, hidden = (one.mask_given(random=r) for r in (True, False))
        complete = at_random * [1.0, 0.0, 0.0, 0.0]
        rows.append(
            [
                np.abs(np.einsum("n,nk,nki->i", p, masks, each)).max()
                for masks in (hidden, complete, at_random)
            ]
        )
    values = np.array(rows).T
    names = ("depends on the missing bit", "complete cases", "depends on an observed bit")
    for number, name in enumerate(names):
        draw_series(
            axes, number, name, rates, values[number], errors=np.full(len(rates), errors.max())
        )
    axes.set(
        xlabel="share of second bits that are observed if the bit is 1",
        ylabel="largest mean score at the truth",
    )
    head(
        axes,
        "22d, 22d-complete, 22d-mnar",
        "Only if a mask depends on observed values is the score zero",
    )
    return {}


def cells_panel(axes: Axes) -> Exponents:
    """22e, 22e-variational: what uniform and learned noise lack, against the width of the cell."""
    model = LatentModel(decoders.Circle(1.0), likelihoods.Gaussian(scale=0.5))
    widths, middle = 2.0 ** np.arange(-3, 3), np.array([1.25, 0.5])
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    grid = [
        Posterior([m, n], scale=s)
        for m in (-1.5, -0.75, 0.0)
        for n in (-1.5, -0.75, 0.0, 0.75)
        for s in (0.5, 1.0, 1.5)
    ]
    rows = []
    for width in widths:
        x = middle - width / 2
        exact = log_evidence(cell_model(model, width), x)
        tries = [dequantised_bound(model, x, width, noise=q) for q in grid]
        best = max(tries, key=lambda b: float(b.value))
        for found in (dequantised_bound(model, x, width), best):
            rows.append((float(exact.value - found.value), float(exact.error + found.error)))
    table = np.array(rows).reshape(len(widths), 2, 2)
    exponents = draw_series(
        axes, 0, "uniform noise", widths, table[:, 0, 0], errors=table[:, 0, 1],
        law=table[0, 0, 0] * (widths / widths[0]) ** 2, exponent=2.0,
    )  # fmt: skip
    draw_series(axes, 1, "learned noise", widths, table[:, 1, 0], errors=table[:, 1, 1])
    axes.set(xlabel="width c of the cells", ylabel="log P(x) − bound (nats)")
    head(
        axes, "22e, 22e-variational",
        "What uniform noise lacks falls as c²; in wide cells learned noise lacks less",
    )  # fmt: skip
    return exponents


def draw(figure: Figure) -> list[Exponents]:
    """Draw amortisation, zeros, masks and cells."""
    return draw_panels(figure, amortisation_panel, zeros_panel, masks_panel, cells_panel)
