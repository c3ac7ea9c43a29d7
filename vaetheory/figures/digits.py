"""The figure of claims 5 and 6 on the handwritten digits: the cost of constant variances."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import COLOURS, DASHES, MARKERS
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking.digit_models import digit_hessians
from vaetheory.claims.bilbo.digits import digit_bounds
from vaetheory.claims.constant_variance.digits import digit_exact_penalty
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.figures._panels import Exponents, draw_panels


def spread_panel(axes: Axes) -> Exponents:
    """Eigenvalues of the Hessian of every digit's potential, in order of size."""
    _, hessians = digit_hessians(1.0)
    values = np.sort(np.linalg.eigvalsh(hessians), axis=0)
    mean = np.linalg.eigvalsh(hessians.mean(axis=0))
    share = (np.arange(len(values)) + 0.5) / len(values)
    for k, name in enumerate(("least", "greatest")):
        axes.semilogy(share, values[:, k], color=COLOURS[k], ls=DASHES[k], label=name)
        axes.axhline(
            mean[k], color=COLOURS[k], ls=DASHES[k], lw=0.8, label=f"_of the mean Hessian: {name}"
        )
    axes.plot([], [], color="grey", lw=0.8, label="of the mean Hessian")
    axes.set(
        xlabel="share of the 1,797 digits",
        ylabel="eigenvalues of A (nats/z²)",
        title=f"5-digits: how the Hessian varies, h = {values.max() / values.min():.0f}",
    )
    axes.legend()
    return {}


def penalty_panel(axes: Axes) -> Exponents:
    """The penalty by order of approximation, and its bounds."""
    penalty, exact = constant_variance_penalty(digit_hessians(1.0)[1]), digit_exact_penalty(1.0)
    bars = {
        "small variations": float(penalty.second_order),
        "exact ELBO,\nevery 18th digit": exact.value,
        "second order": float(penalty.value),
        "Specht's bound": float(penalty.specht_bound),
    }
    errors = [0.0, exact.error, float(penalty.error), 0.0]
    hatches = ("", "", "", "//")
    colours = (COLOURS[1], COLOURS[0], COLOURS[0], "white")
    axes.barh(
        list(bars), list(bars.values()), xerr=errors, color=colours, edgecolor="black",
        hatch=hatches, height=0.6, label="_bars: penalty",
    )  # fmt: skip
    for row, value in enumerate(bars.values()):
        axes.annotate(f" {value:.3f}", (value, row), va="center")
    axes.set(
        xlabel="penalty of one variance for all (nats a digit)",
        title=f"5-digits: what it costs (errors ≤ {max(errors):.0e})",
        xlim=(0, 1.2 * max(bars.values())),
    )
    return {}


def bilbo_panel(axes: Axes) -> Exponents:
    """The forms of BILBO, each below the mean log evidence under its prior."""
    digits = digit_bounds(1.0)
    bounds = [bilbo(digits.terms, digits.loc, digits.scale, form=form) for form in FORMS]
    values = np.array([float(b.value) for b in bounds])
    errors = digits.terms_error + digits.gauge_error
    at = np.arange(len(FORMS))
    axes.errorbar(at, values, errors, fmt=MARKERS[0], color=COLOURS[0], label="BILBO")
    axes.errorbar(
        at, digits.evidence, digits.evidence_error, fmt=MARKERS[1], color=COLOURS[1],
        label="mean log evidence under its prior",
    )  # fmt: skip
    for k, value in enumerate(values):
        text = f"{value:.4f}".replace("-", "\N{MINUS SIGN}")
        axes.annotate(text, (k, value), xytext=(0, -16), textcoords="offset points", ha="center")
    axes.set_xticks(at, FORMS)
    low, high = values.min(), digits.evidence.max()
    axes.set(
        xlabel="form of the floating prior",
        ylabel="nats a digit",
        title="6-digits: BILBO on every third digit, forms in order",
        xlim=(-0.5, 2.5),
        ylim=(low - 0.3 * (high - low), high + 0.6 * (high - low)),
    )
    axes.legend(loc="upper left")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw the spread of the Hessian, the penalty, and the forms of BILBO."""
    return draw_panels(figure, spread_panel, penalty_panel, bilbo_panel)
