"""Claim 10: BAGGINS, a bounded Gaussian likelihood, invariant to the scale of the data."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.baggins import bounded, curvature, presumed_noise

_MOMENTS = (
    "moments of the batch",
    r"r_i = \mathbb E_B[(x_i - \hat x_i)^2],\ v_i = \mathrm{Var}_B[x_i] > 0;"
    r"\text{ pooled: their means over } i",
)
_TERM = (
    "the term",
    r"T = -\tfrac12\sum_i\log 2\pi e\,\sigma_i^2,\ \sigma_i^2 = r_i + v_i e^{-2h_i},\ h_i \ge 0",
)

CLAIM = Claim(
    number=10,
    label="baggins",
    title="BAGGINS: a bounded likelihood, invariant to the scale of the data",
    source="arXiv:1912.10309, abstract; our construction",
    propositions=(
        Proposition(
            label="10a",
            title="The term is the log likelihood of data with the presumed noise, at its best",
            statement=(
                r"T = \max_{\Lambda\ \mathrm{diagonal}}"
                r"\mathbb E_B\mathbb E_\epsilon[\log\mathcal N(x + \epsilon; \hat x, \Lambda)],"
                r"\quad\epsilon_i \sim \mathcal N(0, v_i e^{-2h_i});\quad "
                r"\mathbb E_B[\log\mathcal N(x; \hat x, \sigma^2)]"
                r" = T + \tfrac12\sum_i v_i e^{-2h_i}/\sigma_i^2"
            ),
            hypotheses=(_MOMENTS, _TERM),
            kind="identity",
            instances=presumed_noise.noise_scenes(),
            check=presumed_noise.presumed_noise,
            controls=(
                Control(
                    "noise of variance v exp(-h)",
                    partial(presumed_noise.presumed_noise, power=1.0),
                ),
                Control("data without noise", partial(presumed_noise.presumed_noise, noisy=False)),
                Control(
                    "twice the deficit of another variance",
                    partial(presumed_noise.presumed_noise, surplus=2.0),
                ),
            ),
            examples=12,
        ),
        Proposition(
            label="10a-weighted",
            title="A datum of weight k counts as k data, in every moment",
            statement=(
                r"T(x, \hat x; w) = T(x^{(k)}, \hat x^{(k)}),\quad w_n \propto k_n,\quad "
                r"x^{(k)} \text{ has each } x_n \text{ repeated } k_n \text{ times}"
            ),
            hypotheses=(_MOMENTS, _TERM, ("natural weights", r"k_n \in \{0, 1, 2, \dots\}")),
            kind="identity",
            instances=bounded.weighted_fits(),
            check=bounded.weights_are_counts,
            controls=(
                Control(
                    "weights ignored",
                    partial(bounded.weights_are_counts, weighted=lambda k: k > 0),
                ),
                Control(
                    "weights squared",
                    partial(bounded.weights_are_counts, weighted=lambda k: k**2),
                ),
                Control(
                    "one datum more",
                    partial(bounded.weights_are_counts, weighted=lambda k: k + 1),
                ),
            ),
            uses=("10a",),
        ),
        Proposition(
            label="10a-evidence",
            title="BILBO + BAGGINS is a lower bound of the log evidence, noisy or not",
            statement=(
                r"\mathbb E_B\mathbb E_\epsilon[\log\hat p(x + \epsilon)] - (T - I)"
                r" = \mathbb E_B\mathbb E_\epsilon"
                r"[\mathrm{KL}(q(z|x)\,\|\,\hat p(z|x + \epsilon))] \ge 0,\quad "
                r"\mathbb E_B[\log\hat p(x)] \ge T - I"
            ),
            hypotheses=(
                _MOMENTS,
                _TERM,
                (
                    "the posterior's residual",
                    r"r_i = \mathbb E_B\mathbb E_{q(z|x)}[(x_i - f_i(z))^2]",
                ),
                (
                    "BILBO",
                    r"q(z|x) = \mathcal N(m(x), \mathrm{diag}\,s^2),\ I \text{ its information},\ "
                    r"\hat p \text{ with its floating prior},\ \Lambda = \mathrm{diag}\,\sigma^2",
                ),
            ),
            kind="inequality",
            instances=presumed_noise.bound_scenes(),
            check=presumed_noise.evidence_bound,
            controls=(
                Control(
                    "the residual at the posterior mean",
                    partial(presumed_noise.evidence_bound, at_mean=True),
                ),
                Control(
                    "half of the information term",
                    partial(presumed_noise.evidence_bound, information=0.5),
                ),
                Control(
                    "the divergence of the wrong sign",
                    partial(presumed_noise.evidence_bound, divergence=-1.0),
                ),
                Control(
                    "the evidence under N(0, I)",
                    partial(presumed_noise.evidence_bound, floating=False),
                ),
            ),
            uses=("6a", "6c", "10a"),
            figure="baggins",
            examples=8,
        ),
        Proposition(
            label="10a-sampled",
            title="With sampled reconstructions the term is optimistic, in proportion to 1 / B",
            statement=(
                r"\mathbb E[T(\hat x \text{ sampled})] - T(r) = \sum_i"
                r"\frac{\mathrm{Var}[(x_i - \hat x_i)^2]}{4B\sigma_i^4} + O(B^{-2})"
            ),
            hypotheses=(
                _MOMENTS,
                _TERM,
                (
                    "one sample a datum",
                    r"x_i - \hat x_i \text{ independent, one of two values with probability } 1/2",
                ),
            ),
            kind="rate",
            instances=presumed_noise.sampled_scenes(),
            check=presumed_noise.sampled_optimism,
            controls=(
                Control(
                    "a lower bound in the mean",
                    partial(presumed_noise.sampled_optimism, factor=-1.0),
                ),
                Control("1/2 for 1/4", partial(presumed_noise.sampled_optimism, factor=2.0)),
                Control("1 / sqrt(B)", partial(presumed_noise.sampled_optimism, exponent=1.0)),
            ),
            uses=("10a",),
            figure="baggins",
            resolution=0.09,
            examples=6,
        ),
        Proposition(
            label="10b",
            title="The term is bounded, and the aggregate information never exceeds the presumed",
            statement=(
                r"T = -\tfrac12\sum_i\log 2\pi e\,v_i + \sum_i h_i"
                r" - \tfrac12\sum_i\log\big(1 + \tfrac{r_i}{v_i}e^{2h_i}\big),\quad "
                r"\tfrac12\log\frac{v_i}{\sigma_i^2} \le h_i,"
                r"\text{ with equality iff } \hat x = x"
            ),
            hypotheses=(_MOMENTS, _TERM),
            kind="inequality",
            instances=bounded.fit_scenes(),
            check=bounded.bounded,
            controls=(
                Control(
                    "exp(-h) for exp(-2 h)",
                    partial(bounded.bounded, variance=bounded.no_two),
                ),
                Control(
                    "r + v for r + v exp(-2 h)",
                    partial(bounded.bounded, variance=bounded.no_information),
                ),
                Control(
                    "deviations added for variances",
                    partial(bounded.bounded, variance=bounded.sum_of_deviations),
                ),
                Control(
                    "half of the presumed information",
                    partial(bounded.bounded, allowance=0.5),
                ),
            ),
            figure="baggins",
        ),
        Proposition(
            label="10c",
            title="A change of units shifts the term and leaves the relative gradient",
            statement=(
                r"x \to ax + b:\quad T \to T - \sum_i\log|a_i|,\quad "
                r"a_i\,\partial T/\partial\hat x_i \text{ and } \tfrac12\log(v_i/\sigma_i^2)"
                r"\text{ unchanged}"
            ),
            hypotheses=(
                _MOMENTS,
                _TERM,
                (
                    "change of units",
                    r"a_i \ne 0;\ |a_i| \text{ the same for all } i"
                    r"\text{ where pooled}",
                ),
            ),
            kind="identity",
            instances=bounded.scaled_scenes(),
            check=bounded.change_of_units,
            controls=(
                Control(
                    "the shift of the wrong sign",
                    partial(bounded.change_of_units, sign=1.0),
                ),
                Control(
                    "the shift of the squared factor",
                    partial(bounded.change_of_units, power=2.0),
                ),
                Control(
                    "the gradient in absolute coordinates unchanged",
                    partial(bounded.change_of_units, relative=0.0),
                ),
                Control(
                    "the gradient as with a fixed sigma",
                    partial(bounded.change_of_units, relative=-1.0),
                ),
            ),
            figure="baggins",
        ),
        Proposition(
            label="10d",
            title="As the presumed information grows the term becomes the profile likelihood",
            statement=(
                r"-\tfrac12\sum_i\log 2\pi e\,r_i - T_h"
                r" = \tfrac12\sum_i\frac{v_i}{r_i}\,e^{-2h} + O(e^{-4h})"
            ),
            hypotheses=(_MOMENTS, _TERM, ("no perfect fit", r"r_i > 0")),
            kind="rate",
            instances=bounded.fit_scenes(levels=(1.0,), perfect=False),
            check=bounded.profile_limit,
            controls=(
                Control(
                    "exp(-h) for exp(-2 h)",
                    partial(bounded.profile_limit, exponent=1.0),
                ),
                Control("no factor 1/2", partial(bounded.profile_limit, share=1.0)),
                Control("r / v for v / r", partial(bounded.profile_limit, inverse=True)),
            ),
            figure="baggins",
            resolution=0.01,
        ),
        Proposition(
            label="10e",
            title="The term's curvature and gradient in the reconstructions are bounded",
            statement=(
                r"\nabla^2_{\hat x_i} T = -\frac{1}{B\sigma_i^2}\Big(I"
                r" - \frac{2\,e_i e_i^\top}{B\sigma_i^2}\Big),\quad "
                r"\|\nabla^2_{\hat x_i} T\| = \frac{1}{B\sigma_i^2}"
                r" \le \frac{1}{B\,v_i e^{-2h_i}},\quad "
                r"\|\nabla_{\hat x_i} T\| \le \frac{1}{2\sqrt{B\,v_i e^{-2h_i}}},"
                r"\quad e_i = x_i - \hat x_i \in \mathbb R^B"
            ),
            hypotheses=(_MOMENTS, _TERM),
            kind="inequality",
            instances=bounded.fit_scenes(levels=(1.0, 0.5, 0.0, 2.0, 4.0)),
            check=curvature.bounded_hessian,
            controls=(
                Control("half of the bound", partial(curvature.bounded_hessian, share=0.5)),
                Control("v for v exp(-2 h)", partial(curvature.bounded_hessian, power=0.0)),
                Control(
                    "exp(-h) for exp(-2 h)",
                    partial(curvature.bounded_hessian, power=1.0),
                ),
                Control("a concave term", partial(curvature.bounded_hessian, concave=True)),
            ),
            uses=("10b",),
            figure="baggins",
        ),
        Proposition(
            label="10e-step",
            title="As the fit improves the stable step levels off, in any units",
            statement=(
                r"\eta_{\max} = \frac{2\,\sigma^2/v}{\lambda_{\max}},\ "
                r"\lambda_{\max} = \lambda_{\max}(\mathbb E_B[\varphi\varphi^\top]);\quad "
                r"\to \frac{2e^{-2h}}{\lambda_{\max}} \text{ as } r \to 0;\quad "
                r"\text{profile likelihood: } \frac{2\,r/v}{\lambda_{\max}} \to 0;\quad "
                r"\eta \le 2e^{-2h}/\lambda_{\max}:\ T \text{ never falls}"
            ),
            hypotheses=(
                _MOMENTS,
                _TERM,
                (
                    "linear in its parameters",
                    r"\hat x = \sqrt{v}\,\theta\,\varphi(z)"
                    r"\text{: parameters in units of the spread}",
                ),
                ("near the optimum", r"\text{runs that start } 10^{-4}\sqrt r \text{ from it}"),
            ),
            kind="rate",
            instances=curvature.fit_ladders(),
            check=curvature.stable_steps,
            controls=(
                Control("exp(-h) for exp(-2 h)", partial(curvature.stable_steps, power=1.0)),
                Control("1 / lambda_max", partial(curvature.stable_steps, half=0.5)),
                Control(
                    "the profile's as the deviation of the residual",
                    partial(curvature.stable_steps, profile_exponent=1.0),
                ),
                Control(
                    "parameters in the units of the data",
                    partial(curvature.stable_steps, absolute=True),
                ),
            ),
            uses=("9a", "10c", "10e"),
            figure="baggins",
            resolution=0.05,
            examples=5,
        ),
        Proposition(
            label="10f",
            title="No spread, no scale: a constant dimension is refused unless pooled",
            statement=(
                r"v_i = 0 \text{ or } B = 1: \text{ refused};\quad "
                r"\max_{\hat x} T = -\log s + C \text{ for a column of spread } s \to 0;\quad "
                r"\text{pooled: refused iff all } v_i = 0"
            ),
            hypotheses=(_TERM, ("no spread", r"v_i = \mathrm{Var}_B[x_i] = 0")),
            kind="counterexample",
            instances=bounded.constant_scenes(),
            check=bounded.refusals,
            controls=(
                Control("a value all the same", partial(bounded.refusals, refused=False)),
                Control(
                    "refused also where pooled",
                    partial(bounded.refusals, pooled=True),
                ),
                Control(
                    "a term that falls with the spread",
                    partial(bounded.refusals, slope=1.0),
                ),
            ),
            uses=("10b", "10c"),
            examples=10,
        ),
    ),
)
