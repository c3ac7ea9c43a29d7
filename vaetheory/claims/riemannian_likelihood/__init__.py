"""Claim 7: the analysis holds for any likelihood that induces a Riemannian metric."""

from __future__ import annotations

from functools import partial

import numpy as np

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.riemannian_likelihood import (
    bent_surfaces,
    every_family,
    fisher_identities,
    no_metric,
    repeated_data,
    tensor,
)
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, family_scenes
from vaetheory.claims.stationary_evidence.decomposition import evidence_decomposition

_FAMILY = (
    "full exponential family",
    r"\log p(x|\theta) = T(x)\cdot\phi(\theta) - A(\theta) + h(x)",
)

CLAIM = Claim(
    number=7,
    label="riemannian-likelihood",
    title="The analysis holds for any likelihood that induces a Riemannian metric",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="7a",
            title="Score, Hessian and KL give the same Fisher information",
            statement=(
                r"F(\theta) = \mathbb E[s s^\top] = -\mathbb E[\nabla^2\log p]"
                r" = \nabla^2_{\theta'}\mathrm{KL}(p_\theta\|p_{\theta'})\big|_{\theta'=\theta},"
                r"\quad \mathbb E[s] = 0,\ s = \nabla_\theta\log p(x|\theta)"
            ),
            hypotheses=(
                ("fixed support", r"\{x: p(x|\theta) > 0\}\text{ does not depend on }\theta"),
                ("smooth", r"\log p(x|\cdot)\in C^2\text{ for almost every } x"),
                (
                    "dominated",
                    r"\text{derivatives in }\theta\text{ may be taken under the integral}",
                ),
            ),
            kind="identity",
            instances=family_scenes(),
            check=fisher_identities.fisher_identities,
            controls=(
                *(
                    Control(
                        f"a factor 2 ({name})",
                        partial(fisher_identities.doubled_in_one_family, family=name),
                    )
                    for name in FAMILIES
                ),
                Control(
                    "the information of the mean parameters",
                    partial(
                        fisher_identities.fisher_identities, closed=fisher_identities.of_the_mean
                    ),
                ),
                Control(
                    "second moment of the statistics for their covariance",
                    partial(
                        fisher_identities.fisher_identities, closed=fisher_identities.second_moment
                    ),
                ),
            ),
            figure="riemannian-likelihood",
            examples=60,
        ),
        Proposition(
            label="7a-divergence",
            title="The divergence within each family is the mean of the log ratio",
            statement=(
                r"\mathrm{KL}(p_\theta\,\|\,p_{\theta'}) = "
                r"\mathbb E_{p_\theta}[\log p(x|\theta) - \log p(x|\theta')] \ge 0"
            ),
            hypotheses=(
                ("fixed support", r"\{x: p(x|\theta) > 0\}\text{ does not depend on }\theta"),
                ("a closed form", r"\text{every family but Student's } t"),
            ),
            kind="identity",
            instances=fisher_identities.pairs(),
            check=fisher_identities.divergence_is_mean_ratio,
            controls=(
                *(
                    Control(
                        f"nine tenths ({name})",
                        partial(fisher_identities.divergence_is_mean_ratio, lowered=name),
                    )
                    for name in fisher_identities.WITH_DIVERGENCE
                ),
                Control(
                    "the reverse divergence",
                    partial(fisher_identities.divergence_is_mean_ratio, reverse=True),
                ),
                Control(
                    "half the Fisher length",
                    partial(fisher_identities.divergence_is_mean_ratio, to_second_order=True),
                ),
            ),
            uses=("7a",),
            examples=6,
        ),
        Proposition(
            label="7b",
            title="The pull-back metric is a tensor, definite where the decoder is an immersion",
            statement=(
                r"g_{f\circ\varphi} = D\varphi^\top\, g_f\, D\varphi,\quad "
                r"\lambda_{\min}(F)\,\sigma_{\min}(J)^2 \le \lambda_{\min}(J^\top F J)"
                r" \le \lambda_{\max}(F)\,\sigma_{\min}(J)^2"
            ),
            hypotheses=(
                ("smooth coordinates", r"z = \varphi(y)"),
                (
                    "into distributions",
                    r"J\text{ less what }p(x|\theta)\text{ does not depend on}"
                    r"\text{ (for a categorical, what all logits share)}",
                ),
            ),
            kind="identity",
            instances=tensor.pulled_back_scenes(),
            check=tensor.metric_is_a_tensor,
            controls=(
                Control(
                    "the Jacobian transposed",
                    partial(tensor.metric_is_a_tensor, law=tensor.transposed),
                ),
                Control(
                    "one Jacobian only",
                    partial(tensor.metric_is_a_tensor, law=tensor.one_jacobian),
                ),
                Control(
                    "definite whatever the decoder",
                    partial(tensor.metric_is_a_tensor, power=0),
                ),
                Control(
                    "the stretch not squared",
                    partial(tensor.metric_is_a_tensor, power=1),
                ),
            ),
            uses=("7a",),
            examples=60,
        ),
        Proposition(
            label="7b-curvature",
            title="The curvature of the pull-back metric is Gauss's, of the surface it pulls back",
            statement=(
                r"K = \frac{N_{11}\cdot N_{22} - |N_{12}|^2}{\det g},\quad "
                r"N_{ij} = \partial_i\partial_j Y - \Gamma^k_{ij}\,\partial_k Y,\quad "
                r"R^a_{bcd} = K(\delta^a_c g_{bd} - \delta^a_d g_{bc}),\quad Y = y\circ f"
            ),
            hypotheses=(
                (
                    "isometric families",
                    r"y(\theta) \in \mathbb R^n,\ Dy^\top Dy = F(\theta)"
                    r"\text{; of a categorical on the sphere of radius 2}",
                ),
                ("an immersion", r"g = DY^\top DY \succ 0,\ d = 2"),
            ),
            kind="identity",
            instances=bent_surfaces.bent_surfaces(),
            check=bent_surfaces.curvature_is_intrinsic,
            controls=(
                Control(
                    "the product added",
                    partial(
                        bent_surfaces.curvature_is_intrinsic,
                        classical=partial(bent_surfaces.gauss, sign=1.0),
                    ),
                ),
                Control(
                    "not divided by the area",
                    partial(
                        bent_surfaces.curvature_is_intrinsic, classical=bent_surfaces.undivided
                    ),
                ),
                Control(
                    "second derivatives with their tangential part",
                    partial(
                        bent_surfaces.curvature_is_intrinsic,
                        classical=bent_surfaces.with_normal_connection,
                    ),
                ),
                Control(
                    "half the connection",
                    partial(
                        bent_surfaces.curvature_is_intrinsic,
                        classical=partial(bent_surfaces.gauss, halved=0.5),
                    ),
                ),
            ),
            uses=("7b",),
            examples=20,
        ),
        Proposition(
            label="7c",
            title="Of n observations that match z0 the posterior precision is n g(z0) + C + O(1/n)",
            statement=(
                r"S^{-1} = n\,g(z_0) + C + O(1/n),\quad "
                r"C = 1 + \ell'''\delta + \tfrac{\ell''''}{2g},\ "
                r"\delta = -\tfrac1g\big(z_0 + \tfrac{\ell'''}{2g}\big),\ "
                r"\ell(z) = -\tfrac1n\textstyle\sum_i\log p(x_i|f(z))"
            ),
            hypotheses=(
                _FAMILY,
                ("matching data", r"\tfrac1n\sum_i T(x_i) = \mathbb E_{p(x|f(z_0))}[T]"),
                ("embedded curve", r"d = 1,\ f\text{ injective},\ g(z_0) > 0"),
            ),
            kind="rate",
            instances=repeated_data.repeated_scenes(),
            check=repeated_data.repeated_observations,
            controls=(
                Control(
                    "I + n g, without the smoothing of the Hessian",
                    partial(
                        repeated_data.repeated_observations, constant=repeated_data.prior_alone
                    ),
                ),
                Control(
                    "the posterior's mean at z0",
                    partial(
                        repeated_data.repeated_observations,
                        constant=repeated_data.without_the_shift,
                    ),
                ),
                Control(
                    "2 n g",
                    partial(repeated_data.repeated_observations, metric=lambda g: 2 * g),
                ),
                Control(
                    "order 1 / sqrt(n)",
                    partial(repeated_data.repeated_observations, exponent=1.0),
                ),
                Control(
                    "data that match no point of the curve",
                    partial(repeated_data.repeated_observations, off=0.5),
                ),
            ),
            uses=("3b", "7a"),
            figure="riemannian-likelihood",
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="7d",
            title="At the optimal decoder the averaged Hessian is the pull-back metric",
            statement=(
                r"\mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f^*(z))] = J^{*\top} F(f^*(z))\, J^*"
                r" = J_\mu^\top\,\mathrm{Cov}(T)^{-1} J_\mu,\quad \mu(z) = \mathbb E_{q(x|z)}[T]"
            ),
            hypotheses=(
                _FAMILY,
                ("optimal decoder", r"\mathbb E_{p(x|f^*(z))}[T] = \mathbb E_{q(x|z)}[T]"),
                ("interior", r"f^*(z)\text{ finite}"),
            ),
            kind="identity",
            instances=every_family.encoded_families(),
            check=every_family.averaged_hessian,
            controls=(
                Control(
                    "the unweighted mean over the data",
                    partial(every_family.averaged_hessian, weights=every_family.equal_weights),
                ),
                Control(
                    "twice the metric",
                    partial(every_family.averaged_hessian, metric=lambda g, jacobian: 2 * g),
                ),
                Control(
                    "J^T J, without the Fisher information",
                    partial(
                        every_family.averaged_hessian,
                        metric=lambda g, jacobian: float(jacobian @ jacobian),
                    ),
                ),
            ),
            uses=("1c", "2a", "7a"),
            resolution=1e-4,
            examples=40,
        ),
        Proposition(
            label="7d-curved",
            title="In a family with fewer parameters than statistics the average is not the metric",
            statement=(
                r"x = \pm a\text{ of equal weight},\ f^* = 0:\quad "
                r"\mathbb E[-\nabla_z^2\log p] = J^2\kappa\cos a\text{ (von Mises)},\quad "
                r"J^2\frac{(\nu+1)(\nu - a^2/s^2)}{s^2(\nu + a^2/s^2)^2}\text{ (Student-t)},"
                r"\quad\ne J^2 F"
            ),
            hypotheses=(("curved family", r"\mathbb E_{p(x|f^*)}[T]\ne\mathbb E_{q(x|z)}[T]"),),
            kind="counterexample",
            instances=every_family.curved_pairs(),
            check=every_family.curved_average,
            controls=(
                Control(
                    "the pull-back metric",
                    partial(every_family.curved_average, closed=every_family.curved_metric),
                ),
                Control(
                    "the information at the mode",
                    partial(
                        every_family.curved_average, closed=every_family.information_at_the_mode
                    ),
                ),
            ),
            uses=("7d",),
        ),
        Proposition(
            label="7d-decoder",
            title="The optimal decoder matches mean parameters, and what others lose is a KL",
            statement=(
                r"\mathbb E_{p(x|\theta^*)}[T] = \mathbb E_{q(x|z)}[T],\quad "
                r"\mathbb E_{q(x|z)}[\log p(x|\theta^*) - \log p(x|\theta)]"
                r" = \mathrm{KL}(p_{\theta^*}\,\|\,p_\theta)"
            ),
            hypotheses=(_FAMILY, ("interior", r"\theta^*\text{ finite}")),
            kind="identity",
            instances=every_family.encoded_families(),
            check=every_family.matched_means,
            controls=(
                Control(
                    "the unweighted mean",
                    partial(every_family.matched_means, weights=every_family.equal_weights),
                ),
                Control("the reversed KL", partial(every_family.matched_means, reverse=True)),
            ),
            uses=("1c",),
            examples=40,
        ),
        Proposition(
            label="7d-evidence",
            title="log p(x) = ELBO + KL(q || p(z|x)) under the families that claim 3 leaves out",
            statement=r"\log p(x) = \mathrm{ELBO}(x; q) + \mathrm{KL}(q \,\|\, p(z|x))",
            hypotheses=(("any model", r"p(x, z) = \mathcal N(z; 0, I)\, p(x|f(z))"),),
            kind="identity",
            instances=every_family.family_models(every_family.BEYOND_CLAIM_3),
            check=evidence_decomposition,
            controls=(
                Control(
                    "the reversed KL",
                    partial(evidence_decomposition, divergence=lambda d: d.reverse),
                ),
                Control(
                    "the KL subtracted",
                    partial(evidence_decomposition, divergence=lambda d: -d.forward),
                ),
            ),
            uses=("3a",),
        ),
        Proposition(
            label="7d-penalty",
            title="A constant variance costs 1/2 (log E[A] - E[log A]) with A = I + g",
            statement=(
                r"\tfrac1N\sum_n\big(\mathrm{ELBO}_2(x_n; A_n^{-1}) - \mathrm{ELBO}_2(x_n; S)\big)"
                r" \ge \tfrac12\big(\log\mathbb E[A] - \mathbb E[\log A]\big),"
                r"\quad A_n = 1 + g(z_n);\ =\text{ iff } S = \mathbb E[A]^{-1}"
            ),
            hypotheses=(
                _FAMILY,
                ("matching data", r"T(x_n) = \mathbb E_{p(x|f(z_n))}[T]"),
                ("one dimension", r"d = 1"),
            ),
            kind="identity",
            instances=every_family.matched_codes(every_family.MATCHED),
            check=every_family.constant_variance,
            controls=(
                Control(
                    "the prior counted twice", partial(every_family.constant_variance, prior=2.0)
                ),
                Control(
                    "the mean variance for the mean precision",
                    partial(every_family.constant_variance, best=lambda a: float((1 / a).mean())),
                ),
                Control(
                    "no factor 1/2",
                    partial(
                        every_family.constant_variance,
                        closed=lambda a: float(np.log(a.mean()) - np.log(a).mean()),
                    ),
                ),
                Control(
                    "E[log A] in place of log E[A]",
                    partial(every_family.constant_variance, closed=lambda a: 0.0),
                ),
            ),
            uses=("3e", "7a"),
            examples=40,
        ),
        Proposition(
            label="7e",
            title="Uniform and Laplace have no metric: each is refused by the identity that fails",
            statement=(
                r"\text{uniform on }(0, e^\theta):\ \mathbb E[s] = -1 \ne 0;\qquad"
                r"\text{Laplace}:\ \mathbb E[s^2] = 1/b^2 \ne 0 = -\mathbb E[\nabla^2\log p]"
            ),
            hypotheses=(
                (
                    "7a without its hypotheses",
                    r"\text{a support that moves, a density with a kink at its parameter}",
                ),
            ),
            kind="counterexample",
            instances=no_metric.refused_scenes(),
            check=no_metric.metric_is_refused,
            controls=(
                Control(
                    "the mean score of the uniform vanishes",
                    partial(no_metric.metric_is_refused, mean_score=0.0),
                ),
                Control(
                    "Laplace's Hessian form is its score form",
                    partial(
                        no_metric.metric_is_refused,
                        hessian_form=no_metric.as_the_score_form,
                    ),
                ),
                Control(
                    "the Gaussian is refused as well",
                    partial(no_metric.metric_is_refused, likelihood=no_metric.a_gaussian),
                ),
            ),
            uses=("7a",),
        ),
    ),
)
