"""The figure of claims 5 and 6 on the handwritten digits: the cost of constant variances."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from vaetheory._plotting import COLOURS, DASHES, EXACT, SMALLEST, UNBOUNDED
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking.digit_models import digit_hessians
from vaetheory.claims.bilbo.digits import digit_bounds
from vaetheory.claims.constant_variance.digits import digit_exact_penalty
from vaetheory.constant_variance import constant_variance_penalty
from vaetheory.figures._finish import APART
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, errors_within, head


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
    )
    ratio = values.max() / values.min()
    head(axes, "5-digits", f"The curvature of the digits' posteriors varies {ratio:.0f}-fold")
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
    colours = (COLOURS[0], UNBOUNDED, UNBOUNDED, "white")
    axes.barh(
        list(bars), list(bars.values()), xerr=errors, color=colours, edgecolor="black",
        hatch=hatches, height=0.6, label="_bars: penalty",
    )  # fmt: skip
    for row, value in enumerate(bars.values()):
        axes.annotate(f" {value:.3f}", (value, row), va="center")
    axes.set(
        xlabel="penalty of one variance for all (nats a digit)",
        xlim=(0, 1.25 * max(bars.values())),
    )
    head(
        axes,
        f"5-digits{APART}{errors_within(max(errors))}",
        f"One variance for all digits costs {exact.value:.1f} nats, far below Specht's bound",
    )
    return {}


def bilbo_panel(axes: Axes) -> Exponents:
    """The forms of BILBO, each below the mean log evidence under its prior."""
    digits = digit_bounds(1.0)
    bounds = [bilbo(digits.terms, digits.loc, digits.scale, form=form) for form in FORMS]
    values = np.array([float(b.value) for b in bounds])
    errors = digits.terms_error + digits.gauge_error
    at = np.arange(len(FORMS))
    draw_series(axes, 0, "BILBO", at, values, errors=errors)
    draw_series(
        axes, 1, "mean log evidence", at, digits.evidence,
        errors=digits.evidence_error, colour=EXACT,
    )  # fmt: skip
    for k, value in enumerate(values):
        text = f"{value:.4f}".replace("-", "\N{MINUS SIGN}")
        axes.annotate(
            text, (k, value), xytext=(0, 8), textcoords="offset points", ha="center",
            fontsize=SMALLEST,
        )  # fmt: skip
    axes.set_xticks(at, FORMS)
    axes.set(xlabel="form of the floating prior", ylabel="nats a digit", xlim=(-0.5, 2.5))
    most = max(digits.evidence - values)
    head(axes, "6-digits", f"BILBO is {most:.2f} nats below the log evidence, whatever its form")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw how the Hessian varies over digits, what one variance costs, and BILBO."""
    return draw_panels(figure, spread_panel, penalty_panel, bilbo_panel)
