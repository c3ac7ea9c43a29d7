"""Claim 0: what the instrument says of its own errors is true.

The other claims are judged with numbers that this package computes, and with what it says of their
errors. Here these figures are what is judged, on instances with closed forms that are made to be
hard for whoever estimates an error.
"""

from __future__ import annotations

from functools import partial

from hypothesis import strategies as st

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.instrument import (
    bounds,
    curvature_ranges,
    evidence,
    expectations,
    lattices,
    smoothing,
    standard_errors,
)
from vaetheory.claims.instrument.designed import edged, hidden, mixtures, needles, outlying
from vaetheory.claims.instrument.kinked import rectified

_DESIGNED = (
    "a posterior made to order",
    r"p(x = 1|z) = m(z),\ m \text{ a sum of Gaussian bumps and ripples in any shares}",
)
_SEEN = (
    "no bump between all samples",
    r"\text{widths of at least } 2^{-6} (d = 1),\ \tfrac18 (d = 2),\ \tfrac14 (d = 3),"
    r"\text{ or a needle at a corner of the grid}",
)
#: The reference is to be so many times sharper than the figure that it judges.
_SHARPER = 0.09

_line, _plane, _space = (
    partial(evidence.evidence_is_covered, budgets=budgets)
    for budgets in (evidence.LINE, evidence.PLANE, evidence.SPACE)
)
_expectation = partial(evidence.expectation_is_covered, budgets=evidence.LINE)

CLAIM = Claim(
    number=0,
    label="instrument",
    title="The instrument: stated errors cover the true ones",
    source="our construction",
    propositions=(
        Proposition(
            label="0a",
            title="Stated errors of log evidences cover the truth: posteriors on a line",
            statement=r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, 1)}[m(z)]\big|"
            r" \le \text{the stated error}",
            hypotheses=(_DESIGNED, _SEEN),
            kind="inequality",
            instances=st.tuples(
                mixtures(1, (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)),
                edged(),
                needles(1, (7, 14)),
                outlying(1),
                hidden(1, (0.02, 0.03, 0.015625)),
            ),
            check=_line,
            controls=(
                Control("half the figure", partial(_line, figure=evidence.half)),
                Control(
                    "the tolerance for the figure",
                    partial(_line, figure=evidence.tolerance),
                ),
                Control(
                    "the rounding of the value alone",
                    partial(_line, figure=evidence.last_digit),
                ),
            ),
            figure="instrument",
            resolution=_SHARPER,
        ),
        Proposition(
            label="0a-rounding",
            title="Where rounding is all that is lost the stated errors cover it",
            statement=r"\big|\widehat{\log p}(x) - \log\mathcal N(x; b, w^2 + \sigma^2)\big|"
            r" \le \text{the stated error, by quadrature and in closed form}",
            hypotheses=(
                ("a linear decoder", r"f(z) = wz + b,\ b \text{ up to } 10^6,\ d = 1"),
                (
                    "narrow or far",
                    r"\sigma \text{ down to } 10^{-6},\ |x - b| \text{ up to } 5000 w",
                ),
            ),
            kind="inequality",
            instances=st.tuples(*[evidence.far_lines()] * 4),
            check=evidence.rounding_is_covered,
            controls=(
                Control(
                    "a hundredth of the figure",
                    partial(evidence.rounding_is_covered, figure=evidence.hundredth),
                ),
                Control(
                    "the rounding of the value alone",
                    partial(evidence.rounding_is_covered, figure=evidence.last_digit),
                ),
                Control(
                    "the tolerance for the figure",
                    partial(evidence.rounding_is_covered, figure=evidence.tolerance),
                ),
            ),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0a-kink",
            title="Stated errors of log evidences cover the truth at kinks",
            statement=r"\big|\widehat{\log p}(x) - \log p(x)\big| \le \text{the stated error},"
            r"\quad p(x) = \sum_\pm\mathcal N(x; -w_\pm a, w_\pm^2 + \sigma^2)\,"
            r"P(\pm(z - a) > 0\,|\,x, w_\pm)",
            hypotheses=(
                ("a kink", r"f(z) = \max(w(z - a), \lambda w(z - a)),\ d = 1"),
                ("a Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2)"),
            ),
            kind="inequality",
            instances=st.tuples(*[rectified()] * 4),
            check=evidence.kinks_are_covered,
            controls=(
                Control(
                    "the rounding of the value alone",
                    partial(evidence.kinks_are_covered, figure=evidence.last_digit),
                ),
                Control(
                    "a hundredth of the figure",
                    partial(evidence.kinks_are_covered, figure=evidence.hundredth),
                ),
            ),
            uses=("0a",),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0b",
            title="Stated errors of log evidences cover the truth: posteriors on the plane",
            statement=r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, I)}[m(z)]\big|"
            r" \le \text{the stated error},\quad d = 2",
            hypotheses=(_DESIGNED, _SEEN),
            kind="inequality",
            instances=st.tuples(
                mixtures(2, (1.0, 0.5, 0.25, 0.125)),
                needles(2, (4, 7)),
                outlying(2),
                hidden(2, (0.125, 0.1, 0.05)),
            ),
            check=_plane,
            controls=(
                Control("half the figure", partial(_plane, figure=evidence.half)),
                Control(
                    "the tolerance for the figure",
                    partial(_plane, figure=evidence.tolerance),
                ),
            ),
            resolution=_SHARPER,
            examples=5,
        ),
        Proposition(
            label="0b-space",
            title="The same in space, and where the budget ends first",
            statement=r"\big|\widehat{\log p}(x) - \log\mathbb E_{\mathcal N(0, I)}[m(z)]\big|"
            r" \le \text{the stated error},\quad d = 3,\ \text{at most } n \text{ nodes}",
            hypotheses=(_DESIGNED, _SEEN, ("a budget", r"n = 6\cdot 10^5")),
            kind="inequality",
            instances=st.tuples(mixtures(3, (1.0, 0.5, 0.25)), hidden(3, (0.25,))),
            check=_space,
            controls=(
                Control(
                    "the rounding of the value alone",
                    partial(_space, figure=evidence.last_digit),
                ),
                Control(
                    "the tolerance for the figure",
                    partial(_space, figure=evidence.tolerance),
                ),
            ),
            resolution=_SHARPER,
            examples=3,
        ),
        Proposition(
            label="0c",
            title="By how much shifted lattices disagree says how far they are off",
            statement=r"\Big|\frac1L\sum_l Q_l - \int g\Big| \le "
            r"s_d\,\big(\max_l Q_l - \min_l Q_l\big) + \text{what is outside the core}",
            hypotheses=(
                (
                    "on a line",
                    r"g \text{ with ripples that lattices take for constants, the second a "
                    r"quarter of the first}",
                ),
                (
                    "on the plane, in space",
                    r"g = \mathcal N(c, \tau^2 I),\ \tau \ge \tfrac12,\ c \text{ on a grid}",
                ),
            ),
            kind="inequality",
            instances=lattices.lattices(),
            check=lattices.disagreement_covers,
            controls=(
                Control(
                    "a third of the safety factors",
                    partial(lattices.disagreement_covers, share=1 / 3),
                ),
                Control(
                    "the disagreement itself",
                    partial(lattices.disagreement_covers, share=0.1),
                ),
            ),
            resolution=_SHARPER,
            examples=30,
        ),
        Proposition(
            label="0d",
            title="Stated errors of expectations under Gaussians cover the truth",
            statement=r"\big|\hat{\mathbb E}[g] - \mathbb E_{\mathcal N(0, 4I)}[g]\big|"
            r" \le \text{the stated error},\quad g \in \{\cos kt,\ e^{at^2},\ e^{at},\ "
            r"e^{-(t - 1)^2/2w^2},\ t^k\},\ t = z_1/2",
            hypotheses=(
                ("up to three dimensions", r"d \le 3"),
                (
                    "any budget and tolerance",
                    r"40 \text{ nodes or more, } 10^{-12} \text{ to } 10^{-1}",
                ),
            ),
            kind="inequality",
            instances=expectations.expected(),
            check=expectations.expectation_is_covered,
            controls=(
                Control(
                    "the rounding of sums alone",
                    partial(
                        expectations.expectation_is_covered,
                        figure=expectations.rounding_alone,
                    ),
                ),
                Control(
                    "a thousandth of the figure",
                    partial(
                        expectations.expectation_is_covered,
                        figure=expectations.thousandth,
                    ),
                ),
            ),
            figure="instrument",
            resolution=_SHARPER,
            examples=40,
        ),
        Proposition(
            label="0d-elbo",
            title="Stated errors of ELBOs cover the truth where quadrature is what is off",
            statement=r"\big|\widehat{\mathrm{ELBO}} - \mathrm{ELBO}\big| \le "
            r"\text{the stated error},\quad \mathbb E_q[\sin(k\cdot z + \phi)] = "
            r"e^{-k^\top S k/2}\sin(k\cdot m + \phi)",
            hypotheses=(
                ("a sine", r"f(z) = \sin(k\cdot z + \phi),\ p(x|z) = \mathcal N(f(z), \sigma^2)"),
                ("a coarse tolerance", r"10^{-3} \text{ or finer}"),
            ),
            kind="inequality",
            instances=st.tuples(*[bounds.wavy_bounds()] * 4),
            check=bounds.bound_is_covered,
            controls=(
                Control(
                    "without the quadrature's part",
                    partial(bounds.bound_is_covered, figure=bounds.rounding_alone),
                ),
                Control(
                    "a thousandth of the figure",
                    partial(bounds.bound_is_covered, figure=expectations.thousandth),
                ),
            ),
            uses=("0d",),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0d-rounding",
            title="Stated errors of ELBOs and of divergences cover rounding on great offsets",
            statement=r"\big|\widehat{\mathrm{ELBO}} - \mathrm{ELBO}\big|,\ "
            r"\big|\widehat{\mathrm{KL}} - \mathrm{KL}(q\,\|\,p(z|x))\big| \le "
            r"\text{the stated error}",
            hypotheses=(
                ("a linear decoder", r"f(z) = wz + b,\ b \text{ up to } 10^6,\ d = 1"),
                ("narrow", r"\sigma \ge 10^{-3},\ S \ge 10^{-24}"),
            ),
            kind="inequality",
            instances=st.tuples(*[bounds.far_bounds()] * 3, bounds.displaced()),
            check=bounds.bound_rounding_is_covered,
            controls=(
                Control(
                    "the last digits of the value alone",
                    partial(bounds.bound_rounding_is_covered, figure=bounds.last_digits),
                ),
                Control(
                    "a hundredth of the figure",
                    partial(bounds.bound_rounding_is_covered, figure=evidence.hundredth),
                ),
            ),
            uses=("0d", "0a-rounding"),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0e",
            title="Stated errors of posterior expectations cover the truth",
            statement=r"\big|\hat{\mathbb E}[h(z)|x] - \mathbb E[h(z)|x]\big| \le "
            r"\text{the stated error},\quad h \in \{z_1^2,\ z_1,\ \cos 3z_1,\ \cos 36z_1\}",
            hypotheses=(_DESIGNED, ("bumps", r"m \text{ without ripples}"), _SEEN),
            kind="inequality",
            instances=st.tuples(
                evidence.bumps(mixtures(1, (1.0, 0.5, 0.25, 0.125, 0.0625))),
                evidence.on_a_broad_bump(edged()),
                evidence.on_a_broad_bump(needles(1, (8, 12))),
                outlying(1),
                hidden(1, (0.02, 0.03)),
            ),
            check=_expectation,
            controls=(
                Control(
                    "a thousandth of the figure",
                    partial(
                        _expectation,
                        figure=expectations.thousandth,
                    ),
                ),
                Control(
                    "the rounding of the value alone",
                    partial(_expectation, figure=evidence.last_digit),
                ),
            ),
            uses=("0a",),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0f",
            title="What a stationary ELBO still lacks is within its stated error",
            statement=r"0 \le \max_{m, S}\mathrm{ELBO} - \mathrm{ELBO}(\hat m, \hat S) \le "
            r"\text{the stated error},\quad \mathrm{ELBO} = x(wm + b) - e^{wm + b + w^2S/2}"
            r" - \log x! - \mathrm{KL}",
            hypotheses=(
                (
                    "counts",
                    r"p(x|z) = \mathrm{Poisson}(e^{wz + b}),\ d = 1;\ \text{and linear models}",
                ),
                ("a coarse tolerance", r"10^{-2} \text{ or finer, from any start}"),
            ),
            kind="inequality",
            instances=st.tuples(*[bounds.counts()] * 3, evidence.far_lines()),
            check=bounds.stationary_is_covered,
            controls=(
                Control(
                    "without the deficit",
                    partial(bounds.stationary_is_covered, figure=bounds.without_deficit),
                ),
                Control(
                    "a tenth of the deficit",
                    partial(bounds.stationary_is_covered, figure=bounds.tenth_of_deficit),
                ),
            ),
            uses=("0d",),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0f-penalty",
            title="The stated rounding of a constant variance's penalty is a bound",
            statement=r"\big|\hat P - \tfrac12(\log\det\bar A - \mathbb E\log\det A)\big| \le "
            r"\text{the stated error}",
            hypotheses=(
                ("diagonal Hessians", r"A_n \succ 0 \text{, nearly equal or far from it}"),
            ),
            kind="inequality",
            instances=bounds.diagonals(),
            check=bounds.penalty_is_covered,
            controls=(
                Control("a hundredth of it", partial(bounds.penalty_is_covered, share=0.01)),
                Control("nothing", partial(bounds.penalty_is_covered, share=0.0)),
            ),
            resolution=_SHARPER,
        ),
        Proposition(
            label="0g",
            title="What families say of the bend of their log densities is true",
            statement=r"c_-(x) \le \partial_\theta^2\log p(x|\theta) \le c_+(x)"
            r"\text{ for all } \theta,\quad \max(|c_-|, |c_+|) \le "
            r"100\,\max_\theta|\partial_\theta^2\log p|",
            hypotheses=(
                (
                    "families that are not concave, or not natural",
                    r"\text{Student's } t,\ \text{von Mises, negative binomial, Beta}",
                ),
            ),
            kind="inequality",
            instances=curvature_ranges.bends(),
            check=curvature_ranges.bends_are_bounded,
            controls=tuple(
                Control(
                    f"nine tenths of them ({name})",
                    partial(curvature_ranges.bends_are_bounded, shrunk=name),
                )
                for name in curvature_ranges.FAMILIES
            ),
            resolution=1e-3,
            examples=8,
        ),
        Proposition(
            label="0h",
            title="Standard errors are unbiased, however few the draws",
            statement=r"\mathbb E[\mathrm{error}^2] = \mathbb E[(\bar X_n - \mathbb E X)^2]"
            r" = \mathrm{Var}[X]/n,\quad n \ge 2",
            hypotheses=(
                (
                    "independent draws",
                    r"\text{from a population of two or three, all samples listed}",
                ),
                ("the estimators of claim 4", r"\text{Stein's, Price's, the Jacobian's norm}"),
            ),
            kind="identity",
            instances=standard_errors.populations(),
            check=standard_errors.errors_are_unbiased,
            controls=(
                Control(
                    "variances divided by n", partial(standard_errors.errors_are_unbiased, ddof=0)
                ),
                Control(
                    "n for its root", partial(standard_errors.errors_are_unbiased, rooted=False)
                ),
                Control(
                    "twice the variance", partial(standard_errors.errors_are_unbiased, factor=2.0)
                ),
            ),
        ),
        Proposition(
            label="0i",
            title="Stated errors of smoothed densities cover the truth, by every method",
            statement=r"\big|\hat\epsilon - \epsilon\big|,\ "
            r"\big|\widehat{\log p_\sigma}(x) - \log p_\sigma(x)\big| \le \text{the stated error},"
            r"\quad \epsilon = \tfrac12\Big(\frac{z^2 s}{1 + s} - \log(1 + s)\Big),\ "
            r"s = \sigma^2/w^2",
            hypotheses=(
                ("a linear flow", r"x = wz,\ d = 1"),
                ("any noise", r"\sigma/w \text{ from } 10^{-7} \text{ to } 1.5"),
            ),
            kind="inequality",
            instances=st.tuples(*[smoothing.noisy_lines()] * 2),
            check=smoothing.smoothing_is_covered,
            controls=(
                Control(
                    "the tolerance for the figure",
                    partial(smoothing.smoothing_is_covered, figures=smoothing.relative),
                ),
                Control(
                    "the rounding of the value alone",
                    partial(smoothing.smoothing_is_covered, figures=smoothing.last_digit),
                ),
            ),
            uses=("0a", "0d"),
            resolution=_SHARPER,
        ),
    ),
)
