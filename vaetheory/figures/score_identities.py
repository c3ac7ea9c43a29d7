"""The figure of claim 19: slopes of evidences, denoised data, van Trees' bound, and EM."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory import likelihoods
from vaetheory._validation import Array
from vaetheory.claims.score_identities.pca_em import em_slope
from vaetheory.claims.score_identities.scenes import FamilyScene
from vaetheory.claims.score_identities.van_trees import (
    Scene,
    Wave,
    averages,
    bounds,
    mean_square_errors,
)
from vaetheory.encoders import Posterior
from vaetheory.evidence import log_evidence, posterior_expectation
from vaetheory.figures._panels import Exponents, draw_bound, draw_panels, draw_series, head
from vaetheory.models import LatentModel
from vaetheory.scores import denoise, elbo_score, evidence_score, ppca_em_rates

#: Step of central differences of log evidences, whose fifth-order remainder is below 1e-9 here.
_STEP = 0.01


def differences(values: Array) -> Array:
    """Slopes from values at -2, -1, 1 and 2 steps, which are the last axis."""
    outer, inner = values[..., 3] - values[..., 0], values[..., 2] - values[..., 1]
    return np.asarray((8 * inner - outer) / (12 * _STEP))


def slope_panel(axes: Axes) -> Exponents:
    """19a: the slope of the log evidence in a parameter, and mean slopes under p(z|x) and q."""
    family = FamilyScene("parabola", (1.0, 0.5), (1.0, 1.5), (0.5,), 0.5).model
    X, q = [[1.0, 1.5]], Posterior([[0.5]], scale=0.5)
    theta = np.linspace(0.05, 2.0, 14)
    models = [family.at([1.0, t]) for t in theta]
    own = [evidence_score(m, X) for m in models]
    lower = [elbo_score(m, X, q) for m in models]
    dense = np.linspace(0.03, 2.05, 60)
    steps = _STEP * np.array([-2.0, -1.0, 1.0, 2.0])
    slopes = [
        differences(np.array([
            float(log_evidence(family.at([1.0, t + s]).model, X).value[0]) for s in steps
        ]))
        for t in dense
    ]  # fmt: skip
    draw_series(
        axes, 0, "mean slope under p(z|x)", theta, [float(f.value[0, 1]) for f in own],
        law=(dense, slopes), errors=[float(f.error[0, 1]) for f in own],
    )  # fmt: skip
    draw_series(
        axes, 1, "mean slope under q: the ELBO's", theta, [float(f.value[0, 1]) for f in lower],
        errors=[float(f.error[0, 1]) for f in lower],
    )  # fmt: skip
    axes.axhline(0.0, color="grey", lw=0.8, zorder=0, label="_level: zero")
    axes.set(xlabel="bend of the decoder", ylabel="slope (nats per unit of the bend)")
    head(axes, "19a", "The mean slope under p(z|x) is that of the log evidence (thin line)")
    return {}


def denoising_panel(axes: Axes) -> Exponents:
    """19c: the denoised datum, x plus sigma^2 times the score, and the decoded mean code."""
    noise = 0.5
    model = LatentModel(Wave(0.5, 2.0), likelihoods.Gaussian(scale=noise), 1)
    x, dense = np.linspace(-3, 3, 19), np.linspace(-3, 3, 121)
    steps = _STEP * np.array([-2.0, -1.0, 1.0, 2.0])
    logs = log_evidence(model, (dense[:, None] + steps)[..., None]).value
    found = denoise(model, x[:, None])
    codes = posterior_expectation(model, x[:, None], lambda z: z)
    decoded = model.decode(codes.value)[:, 0]
    draw_series(
        axes, 0, "E f(z), the denoised datum", x, found.value[:, 0] - x,
        law=(dense, noise**2 * differences(logs)), errors=found.error[:, 0],
    )  # fmt: skip
    draw_series(axes, 1, "f(E z), the decoded mean", x, decoded - x, errors=codes.error[:, 0])
    axes.axhline(0.0, color="grey", lw=0.8, zorder=0, label="_level: zero")
    axes.set(xlabel="datum x", ylabel="reconstruction − x")
    head(axes, "19c", "The denoised datum is x + σ² times the evidence's score (thin line)")
    return {}


def estimation_panel(axes: Axes) -> Exponents:
    """19d: the mean square error of a curve between its bounds, and a false bound."""
    scales = np.geomspace(0.2, 4.0, 25)
    many = tuple(Scene(Wave(0.5, 2.0), 1, float(s)) for s in scales)
    exact, off = mean_square_errors(many)
    lower, upper = (np.array([f.value[0, 0] for f in side]) for side in bounds(many))
    local = averages(many)[0][:, 0, 0]
    axes.set_xscale("log")
    draw_bound(axes, "best linear estimator", scales, upper)
    draw_bound(axes, "van Trees", scales, lower)
    draw_series(axes, 0, "mean of Var(z|x)", scales, exact[:, 0, 0], errors=off)
    draw_series(axes, 1, "mean of 1 / (1 + g): no bound", scales, local, filled=False)
    axes.set(xlabel="noise σ", ylabel="mean square error of z")
    axes.set_xticks([0.2, 0.5, 1.0, 2.0, 4.0], ["0.2", "0.5", "1", "2", "4"])
    axes.set_xticks([], minor=True)
    axes.text(
        0.98, 0.05, "above: the best linear estimator\nbelow: van Trees' bound", ha="right",
        transform=axes.transAxes, fontsize="small", color="grey",
    )  # fmt: skip
    head(
        axes,
        "19d, 19d-average",
        "The average of the local covariances is no bound: it crosses the error",
    )
    return {}


def em_panel(axes: Axes) -> Exponents:
    """19f: EM's distance from the maximum of a probabilistic PCA, and the rates."""
    lam = np.array([4.0, 2.0, 0.5])
    count = np.arange(61)
    for number, noise in enumerate((1.0, 0.5, 0.125)):
        best = np.diag(np.sqrt(np.maximum(lam - noise, 0.0)))[:, :2]
        # From beside the maximum, along its slowest direction that is no rotation.
        slope = em_slope(np.diag(lam), best, noise)
        values, vectors = np.linalg.eigh((slope + slope.T) / 2)
        moving = values < 1 - 1e-9
        slowest = vectors[:, moving][:, -1].reshape(best.shape)
        W, distances = best + 1e-2 * slowest, []
        for _ in count:
            distances.append(np.linalg.norm(W.T @ W - best.T @ best))
            inner = W.T @ np.diag(lam) @ W
            ridge = noise * np.eye(2)
            right = ridge + np.linalg.solve(W.T @ W + ridge, inner)
            W = np.diag(lam) @ W @ np.linalg.inv(right)
        rates = ppca_em_rates(lam, 2, variance=noise)
        rate = rates[rates < 1 - 1e-9].max()
        known = np.array(distances) > 1e-11
        shown = known & (count % 4 == 0)
        law = distances[8] * rate ** (count[known] - 8.0)
        draw_series(
            axes, number, f"σ² = {noise:g}: rate {rate:.3f}", count[shown],
            np.array(distances)[shown], law=(count[known], law),
        )  # fmt: skip
    axes.set(yscale="log", xlabel="steps of EM", ylabel="distance of WᵀW from the maximum")
    head(
        axes,
        "19f-spectrum",
        "EM shrinks its distance by the missing information; less noise, slower",
    )
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw slopes of evidences, denoised data, errors of latents and steps of EM."""
    return draw_panels(figure, slope_panel, denoising_panel, estimation_panel, em_panel)
