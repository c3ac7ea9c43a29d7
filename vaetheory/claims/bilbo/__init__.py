"""Claim 6: the Batch Information Lower Bound."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.bilbo import (
    batch_size,
    digits,
    floating_prior,
    gradients,
    information,
)
from vaetheory.claims.bilbo.scenes import model_batches

_ENCODER = (
    "constant variances",
    r"q(z|x) = \mathcal N(m(x), S),\ S = \mathrm{diag}(s^2) \text{ the same for all data}",
)
_FLOATING = (
    "a floating prior",
    r"\mathcal N(0, \mathrm{diag}\,v),\ \mathcal N(\mu, \mathrm{diag}\,v)"
    r"\text{ or } \mathcal N(\mu, V), \text{ fitted to the batch}",
)
_MODEL = ("a model", r"p(x|z) \text{ a likelihood with parameter } f(z)")
_FINITE = ("a finite data set", r"q(z) = \tfrac1N\sum_n q(z|x_n)")
_DRAWN = ("batches", r"\text{of } B \text{ data drawn with replacement from a finite data set}")

CLAIM = Claim(
    number=6,
    label="bilbo",
    title="The Batch Information Lower Bound",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="6a",
            title="BILBO is the batch ELBO at the best floating prior",
            statement=(
                r"\mathbb E_B[\mathrm{ELBO}(\mathcal N(\mu', V'))] = \mathrm{BILBO}"
                r" - \mathrm{KL}(\mathcal N(\hat\mu, \hat V)\,\|\,\mathcal N(\mu', V')),"
                r"\quad \hat v_j = \mathbb E_B[m_j^2] + s_j^2 \text{ for the zero-mean form}"
            ),
            hypotheses=(_ENCODER, _FLOATING),
            kind="identity",
            instances=floating_prior.prior_scenes(),
            check=floating_prior.best_prior,
            controls=(
                Control(
                    "a prior that forgets half of s^2",
                    partial(
                        floating_prior.best_prior, fitted=floating_prior.half_posterior_variance
                    ),
                ),
                Control(
                    "the mean of the logs for the log of the mean",
                    partial(floating_prior.best_prior, fitted=floating_prior.mean_of_logs),
                ),
                Control(
                    "no factor 1/2",
                    partial(floating_prior.best_prior, fitted=floating_prior.no_half),
                ),
                Control(
                    "twice the divergence between the priors",
                    partial(floating_prior.best_prior, surplus=2.0),
                ),
            ),
            examples=10,
        ),
        Proposition(
            label="6a-gradient",
            title="Its gradients, and those of its correction, are the derivatives of the formulas",
            statement=(
                r"\nabla_{m, s}\,\mathrm{BILBO}_B = -\nabla_{m, s}\,I,\quad "
                r"\nabla_{m, s}\,(\mathrm{BILBO}_B - \hat c_B/B) = "
                r"-\nabla_{m, s}\,(I + \hat c_B/B),\quad "
                r"\hat c_B \text{ as } c \text{ in 6f, with the moments of the batch}"
            ),
            hypotheses=(_ENCODER, _FINITE, ("two or more", r"B \ge 2,\text{ distinct means}")),
            kind="identity",
            instances=gradients.gradient_scenes(),
            check=gradients.gradients_agree,
            controls=(
                Control(
                    "the information without its half",
                    partial(
                        gradients.gradients_agree,
                        expected=gradients.twice_the_information,
                    ),
                ),
                Control(
                    "twice the correction",
                    partial(
                        gradients.gradients_agree,
                        expected=gradients.twice_the_optimism,
                    ),
                ),
                Control(
                    "a correction of the other sign",
                    partial(gradients.gradients_agree, expected=gradients.other_sign),
                ),
            ),
            uses=("6a",),
        ),
        Proposition(
            label="6b",
            title="BILBO is the ordinary ELBO of a model with rescaled latents",
            statement=(
                r"\mathrm{BILBO} = \mathbb E_B[\mathrm{ELBO}_{\mathcal N(0, I)}(f')],"
                r"\quad f'(z') = f(\hat\mu + \hat L z'),\ \hat L\hat L^\top = \hat V;"
                r"\text{ zero-mean diagonal: } z' = z/\sqrt{v}"
            ),
            hypotheses=(_ENCODER, _FLOATING, _MODEL),
            kind="identity",
            instances=model_batches(),
            check=floating_prior.gauge,
            controls=(
                Control(
                    "the decoder not rescaled",
                    partial(floating_prior.gauge, scaled_decoder=False),
                ),
                Control(
                    "the posterior's deviations not rescaled",
                    partial(floating_prior.gauge, scaled_posterior=False),
                ),
                Control(
                    "z' = z / v for z / sqrt(v)",
                    partial(floating_prior.gauge, power=2.0),
                ),
            ),
            uses=("6a",),
        ),
        Proposition(
            label="6c",
            title="BILBO is a lower bound of the mean log evidence under its floating prior",
            statement=(
                r"\mathbb E_B[\log \hat p(x)] - \mathrm{BILBO}"
                r" = \mathbb E_B[\mathrm{KL}(q(z|x)\,\|\,\hat p(z|x))] \ge 0"
            ),
            hypotheses=(_ENCODER, _FLOATING, _MODEL),
            kind="inequality",
            instances=model_batches(),
            check=floating_prior.evidence_bound,
            controls=(
                Control(
                    "the evidence under N(0, I)",
                    partial(floating_prior.evidence_bound, floating=False),
                ),
                Control(
                    "half of the information term",
                    partial(floating_prior.evidence_bound, information=0.5),
                ),
                Control(
                    "the divergence of the wrong sign",
                    partial(floating_prior.evidence_bound, divergence=-1.0),
                ),
                Control("an upper bound", partial(floating_prior.evidence_bound, sign=-1.0)),
            ),
            uses=("3a", "6a", "6b"),
            figure="bilbo",
            examples=8,
        ),
        Proposition(
            label="6d",
            title="The forms in order: each freedom of the prior tightens the bound",
            statement=(
                r"\mathrm{BILBO}_{\mathrm{centred}} - \mathrm{BILBO}_{\mathrm{diagonal}}"
                r" = \tfrac12\sum_j\log\frac{s_j^2 + \mathbb E[m_j^2]}{s_j^2 + \mathrm{Var}[m_j]}"
                r" \ge 0,\quad "
                r"\mathrm{BILBO}_{\mathrm{full}} - \mathrm{BILBO}_{\mathrm{centred}}"
                r" = -\tfrac12\log\det\mathrm{corr}(S + \mathrm{Cov}[m]) \ge 0"
            ),
            hypotheses=(_ENCODER, _FLOATING),
            kind="inequality",
            instances=information.ordered_batches(),
            check=information.forms_in_order,
            controls=(
                Control("the other order", partial(information.forms_in_order, sign=-1.0)),
                Control(
                    "the first order of the logarithm",
                    partial(information.forms_in_order, centring=information.linear_gain),
                ),
                Control(
                    "correlations with twice the posterior variance",
                    partial(
                        information.forms_in_order,
                        correlation=information.doubled_variance,
                    ),
                ),
            ),
            uses=("6a",),
            figure="bilbo",
        ),
        Proposition(
            label="6e",
            title="The information term is the mutual information and what no Gaussian prior fits",
            statement=(
                r"\tfrac12\log\det(I + S^{-1}\mathrm{Cov}[m]) = I_q(x; z)"
                r" + \mathrm{KL}(q(z)\,\|\,\mathcal N(\hat\mu, \hat V)),\quad "
                r"\text{and so for each form with its own fitted Gaussian;}\quad \mathrm{KL} > 0"
            ),
            hypotheses=(_ENCODER, _FINITE, ("two or more", r"\text{distinct means } m(x_n)")),
            kind="identity",
            instances=information.mixtures(),
            check=information.information_is_split,
            controls=(
                Control(
                    "every form with the full form's Gaussian",
                    partial(information.information_is_split, divergence_form="full"),
                ),
                Control(
                    "the reverse divergence",
                    partial(information.information_is_split, reverse=True),
                ),
                Control(
                    "the divergence subtracted",
                    partial(information.information_is_split, sign=-1.0),
                ),
                Control(
                    "the mutual information alone",
                    partial(information.information_is_split, sign=0.0),
                ),
            ),
            uses=("6a",),
            figure="bilbo",
            examples=10,
        ),
        Proposition(
            label="6e-gaussian",
            title="Where q(z) is Gaussian the full term is the mutual information",
            statement=(
                r"x \sim \mathcal N(0, \Sigma),\ m(x) = Wx + b:\quad "
                r"\tfrac12\log\det(I + S^{-1}W\Sigma W^\top) = I_q(x; z) = H[x] + H[z] - H[x, z],"
                r"\quad \mathrm{KL}(q(z)\,\|\,\mathcal N(\hat\mu, \hat V)) = 0"
            ),
            hypotheses=(
                _ENCODER,
                ("Gaussian data", r"x \sim \mathcal N(0, \Sigma)"),
                ("linear encoder", r"m(x) = Wx + b"),
            ),
            kind="identity",
            instances=information.linear_sources(),
            check=information.gaussian_information,
            controls=(
                Control(
                    "the centred form",
                    partial(information.gaussian_information, form="centred"),
                ),
                Control(
                    "the diagonal form",
                    partial(information.gaussian_information, form="diagonal"),
                ),
                Control(
                    "a finite data set of the same moments",
                    partial(information.gaussian_information, finite=True),
                ),
            ),
            uses=("6e",),
        ),
        Proposition(
            label="6f",
            title="A small batch is optimistic, in proportion to 1 / B",
            statement=(
                r"\mathbb E[\mathrm{BILBO}_B] - \mathrm{BILBO}_\infty = c/B + O(B^{-2}),\quad "
                r"c = \sum_j\frac{\mathrm{Var}[m_j^2]}{4(s_j^2 + \mathbb E[m_j^2])^2}"
                r"\text{ (zero-mean diagonal)},\quad "
                r"c = \tfrac12\mathrm{tr}\,H + \tfrac14\big(\mathbb E[(\xi^\top \hat V^{-1}\xi)^2]"
                r" - \mathrm{tr}\,H^2\big)\text{ (full)},"
                r"\ \xi = m - \mathbb E[m],\ H = \hat V^{-1}\mathrm{Cov}[m]"
            ),
            hypotheses=(_ENCODER, _DRAWN),
            kind="rate",
            instances=batch_size.sampled_batches(),
            check=batch_size.optimism_law,
            controls=(
                Control(
                    "1/2 for 1/4",
                    partial(batch_size.optimism_law, predicted=batch_size.twice_the_coefficient),
                ),
                Control(
                    "pessimistic",
                    partial(batch_size.optimism_law, predicted=batch_size.pessimistic),
                ),
                Control(
                    "the zero-mean diagonal coefficient for every form",
                    partial(batch_size.optimism_law, predicted=batch_size.diagonal_coefficient),
                ),
                Control("1 / sqrt(B)", partial(batch_size.optimism_law, exponent=1.0)),
            ),
            uses=("6a",),
            figure="bilbo",
            resolution=0.09,
        ),
        Proposition(
            label="6f-corrected",
            title="Less its estimate from the batch itself, the optimism is of second order",
            statement=(
                r"B\,(\mathbb E[\mathrm{BILBO}_B - \hat c_B/B] - \mathrm{BILBO}_\infty) \to 0"
            ),
            hypotheses=(
                _ENCODER,
                _DRAWN,
                ("plug-in", r"\hat c_B \text{ is } c \text{ with the moments of the batch}"),
            ),
            kind="rate",
            instances=batch_size.sampled_batches(),
            check=batch_size.corrected_is_second_order,
            controls=(
                Control(
                    "twice the correction",
                    partial(batch_size.corrected_is_second_order, correction=2.0),
                ),
                Control(
                    "the correction added",
                    partial(batch_size.corrected_is_second_order, correction=-1.0),
                ),
                Control(
                    "no correction",
                    partial(batch_size.corrected_is_second_order, correction=0.0),
                ),
            ),
            uses=("6f",),
            figure="bilbo",
            resolution=0.09,
        ),
        Proposition(
            label="6f-drawn",
            title="Batches drawn at random overshoot by the expected excess",
            statement=(
                r"\tfrac1M\sum_{i \le M}\mathrm{BILBO}_{B, i} - \mathrm{BILBO}_\infty"
                r" = \mathbb E[\mathrm{BILBO}_B] - \mathrm{BILBO}_\infty"
                r"\text{ within Markov's bound, exceeded with probability } \le 10^{-9}"
            ),
            hypotheses=(_ENCODER, _DRAWN, ("independence", r"M = 2\cdot 10^6,\ B = 32")),
            kind="statistical",
            instances=batch_size.drawn_scenes(),
            check=batch_size.drawn_batches,
            controls=(
                Control("twice the excess", partial(batch_size.drawn_batches, multiple=2.0)),
                Control("pessimistic", partial(batch_size.drawn_batches, multiple=-1.0)),
                Control(
                    "batches twice as large",
                    partial(batch_size.drawn_batches, expected_size=64),
                ),
            ),
            uses=("6f",),
            resolution=0.09,
            examples=4,
        ),
        digits.BILBO,
    ),
)
