"""Claim 4: the posterior variance is part of a stochastic estimator of the decoder Hessian."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.hessian_estimator.averaged_residual import (
    elsewhere,
    noise_for_its_inverse,
    noisy_points,
    residual_averages_out,
    residual_remains,
    transposed_jacobian,
)
from vaetheory.claims.hessian_estimator.hutchinson import decoder_points, hutchinson_rate, spectral
from vaetheory.claims.hessian_estimator.sampled import (
    baseline_like_gradients,
    deviation_for_error,
    doubled,
    independent_entries,
    one_order_more,
    sampled_estimators,
    sampled_functions,
    uncentred,
    unsymmetrised,
    variances_scale,
)
from vaetheory.claims.hessian_estimator.smoothed import (
    covariance_for_precision,
    derivative_in_covariance,
    halved_draw,
    smooth_functions,
    stein_identities,
    transposed_root_draw,
    uncentred_draw,
    unwhitened_draw,
)
from vaetheory.claims.hessian_estimator.stationary import (
    trained_posteriors,
    variance_carries_hessian,
)

_SMOOTH = ("smooth", r"g \in C^2,\ \text{of moderate growth}")
_SAMPLE = ("a Gaussian sample", r"z = m + L\varepsilon,\ S = LL^\top,\ \varepsilon \sim N(0, I)")
_OPTIMAL = ("the optimal decoder", r"f^*(z) = \mathbb E_{q(x|z)}[x]")
_GAUSSIAN = ("Gaussian likelihood", r"\mathcal N(f(z), \Lambda),\ \Lambda \succ 0")

CLAIM = Claim(
    number=4,
    label="hessian-estimator",
    title="The posterior variance is part of a stochastic estimator of the decoder Hessian",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="4a",
            title="The derivative of a smoothed function in S is half its smoothed Hessian",
            statement=(
                r"\frac{d}{dt}\Big|_0 \mathbb E_{\mathcal N(m, S + tB)}[g]"
                r" = \tfrac12\operatorname{tr}(\mathbb E[\nabla^2 g]\,B)"
                r"\quad\text{for every symmetric } B"
            ),
            hypotheses=(
                _SMOOTH,
                ("symmetric steps", r"S_{ij} \text{ and } S_{ji} \text{ move together}"),
            ),
            kind="identity",
            instances=smooth_functions(),
            check=derivative_in_covariance,
            controls=(
                Control("no factor 1/2", partial(derivative_in_covariance, factor=1.0)),
                Control(
                    "the Hessian at the mean", partial(derivative_in_covariance, smoothed=False)
                ),
                Control("Gauss-Newton part", partial(derivative_in_covariance, residual=False)),
                Control(
                    "off-diagonal entries counted once",
                    partial(derivative_in_covariance, pairs_once=True),
                ),
            ),
            uses=("3b",),
        ),
        Proposition(
            label="4b",
            title="Values, gradients and Hessians all estimate the smoothed Hessian without bias",
            statement=(
                r"\mathbb E[(S^{-1}(z-m)(z-m)^\top S^{-1} - S^{-1})\,g(z)]"
                r" = \mathbb E[S^{-1}(z-m)\nabla g(z)^\top] = \mathbb E[\nabla^2 g(z)]"
            ),
            hypotheses=(_SMOOTH, _SAMPLE),
            kind="identity",
            instances=smooth_functions(),
            check=stein_identities,
            controls=(
                Control("no term -S^-1", partial(stein_identities, stein=uncentred_draw)),
                Control("S for S^-1", partial(stein_identities, stein=covariance_for_precision)),
                Control("a factor 1/2", partial(stein_identities, stein=halved_draw)),
                Control("eps for L^-T eps", partial(stein_identities, price=unwhitened_draw)),
                Control(
                    "L^-1 eps for L^-T eps", partial(stein_identities, price=transposed_root_draw)
                ),
            ),
            uses=("4a",),
            figure="hessian-estimator",
            examples=15,
        ),
        Proposition(
            label="4b-sampled",
            title="The sampled estimators are unbiased and vary as much as computed",
            statement=(
                r"\Pr\big(|\bar h_n - \mathbb E[\nabla^2 g]| > t\big) \le 10^{-9},\quad "
                r" t = \min_p \big(\mathbb E|\bar h_n - \mathbb E[\nabla^2 g]|^{2p}\,10^9"
                r"\big)^{1/2p};\text{ likewise for the sample variance}"
            ),
            hypotheses=(
                _SAMPLE,
                ("independent draws", r"\varepsilon_1, \dots, \varepsilon_n \text{ i.i.d.}"),
                ("light tails", r"g(z) = O(\|z\|^2),\ \text{no unit saturated at } m"),
            ),
            kind="statistical",
            instances=sampled_functions(),
            check=sampled_estimators,
            controls=(
                Control(
                    "no term -S^-1", partial(sampled_estimators, replaced="values", by=uncentred)
                ),
                Control(
                    "no 1/2 in the symmetric part",
                    partial(sampled_estimators, replaced="gradients", by=doubled),
                ),
                Control(
                    "the deviation of a draw for that of the mean",
                    partial(sampled_estimators, replaced="gradients", by=deviation_for_error),
                ),
                Control("half the Hessian", partial(sampled_estimators, term=0.5)),
            ),
            uses=("4b",),
            figure="hessian-estimator",
            resolution=9e-2,
            examples=5,
        ),
        Proposition(
            label="4b-variances",
            title="What an estimator does not see costs powers of the posterior's width",
            statement=(
                r"S = s^2 I:\quad \operatorname{tr}\operatorname{Var} \sim"
                r" \frac{(d^2+d)\,g^2}{s^4},\ \frac{((d+2)^2+d)\,\|\nabla g\|^2}{s^2},\ "
                r" \frac{(d+1)\,\|\nabla g\|^2}{2 s^2},\ s^2\,\|\nabla^3 g\|^2"
                r"\quad\text{for values, values less } g(m)\text{, gradients, Hessians}"
            ),
            hypotheses=(
                ("smooth", r"g \in C^4,\ \text{of moderate growth}"),
                ("isotropic", r"S = s^2 I,\ s \to 0"),
            ),
            kind="rate",
            instances=smooth_functions(),
            check=variances_scale,
            controls=(
                Control(
                    "d^2 independent entries",
                    partial(variances_scale, leading=independent_entries),
                ),
                Control("no symmetric part", partial(variances_scale, leading=unsymmetrised)),
                Control(
                    "a baseline as good as gradients",
                    partial(variances_scale, leading=baseline_like_gradients),
                ),
                Control("one power of s more", partial(variances_scale, leading=one_order_more)),
            ),
            uses=("4b",),
            figure="hessian-estimator",
            resolution=5e-2,
            examples=10,
        ),
        Proposition(
            label="4c",
            title="Hutchinson's form tends to the Jacobian's norm as s^2, with this coefficient",
            statement=(
                r"\frac{\mathbb E\|f(m+s\varepsilon)-f(m)\|^2}{s^2} = \|J\|_F^2 + s^2\Big("
                r"\tfrac12\sum_a\|H_a\|_F^2 + \tfrac14\sum_a(\operatorname{tr}H_a)^2"
                r" + \sum_a\nabla f_a\cdot\nabla\Delta f_a\Big) + O(s^4)"
            ),
            hypotheses=(("smooth", r"f \in C^6,\ \text{of moderate growth}"),),
            kind="rate",
            instances=decoder_points(),
            check=hutchinson_rate,
            controls=(
                Control("no third derivatives", partial(hutchinson_rate, weights=(1.0, 1.0, 0.0))),
                Control("no trace of H", partial(hutchinson_rate, weights=(1.0, 0.0, 1.0))),
                Control("||H||^2 twice", partial(hutchinson_rate, weights=(2.0, 1.0, 1.0))),
                Control("the spectral norm", partial(hutchinson_rate, norm=spectral)),
                Control("order s", partial(hutchinson_rate, exponent=1.0)),
            ),
            figure="hessian-estimator",
            resolution=5e-2,
        ),
        Proposition(
            label="4d",
            title="At the optimal decoder the Hessian's residual term averages out exactly",
            statement=(
                r"\mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f^*(z))] = J^{*\top}\Lambda^{-1}J^*"
            ),
            hypotheses=(_OPTIMAL, _GAUSSIAN),
            kind="identity",
            instances=noisy_points(),
            check=residual_averages_out,
            controls=(
                Control("the data unweighted", partial(residual_averages_out, weighted=False)),
                Control("a decoder off by 1/2", partial(residual_averages_out, miss=0.5)),
                Control(
                    "Lambda for its inverse",
                    partial(residual_averages_out, right=noise_for_its_inverse),
                ),
                Control(
                    "the Jacobian transposed",
                    partial(residual_averages_out, right=transposed_jacobian),
                ),
            ),
            uses=("1a", "2a"),
        ),
        Proposition(
            label="4d-elsewhere",
            title="At any other decoder the residual term does not average out",
            statement=(
                r"f = f^* + h:\quad \mathbb E_{q(x|z)}[-\nabla_z^2\log p(x|f(z))]"
                r" - J^\top\Lambda^{-1}J = \sum_a(\Lambda^{-1}h)_a\nabla^2 f^*_a"
            ),
            hypotheses=(("not optimal", r"h \ne 0 \text{ constant}"), _GAUSSIAN),
            kind="counterexample",
            instances=elsewhere(),
            check=residual_remains,
            controls=(
                Control("it averages out", partial(residual_remains, factor=0.0)),
                Control("the residual's sign", partial(residual_remains, factor=-1.0)),
            ),
            uses=("4d",),
        ),
        Proposition(
            label="4e",
            title="At a stationary point the variance carries the smoothed Hessian, nothing else",
            statement=(
                r"S\,(I + \mathbb E_q[-\nabla^2\log p(x|z)]) = I;\quad S \text{ diagonal: }"
                r" S_{jj}\,(1 + \mathbb E_q[-\partial_j^2\log p(x|z)]) = 1"
            ),
            hypotheses=(
                ("stationary", r"\nabla_{m,S}\mathrm{ELBO} = 0"),
                ("smooth", r"f \in C^2,\ \text{any likelihood smooth in its parameters}"),
            ),
            kind="identity",
            instances=trained_posteriors(),
            check=variance_carries_hessian,
            controls=(
                Control("no prior precision", partial(variance_carries_hessian, prior=0.0)),
                Control("Gauss-Newton part", partial(variance_carries_hessian, residual=False)),
                Control(
                    "the Hessian at the mean", partial(variance_carries_hessian, smoothed=False)
                ),
                Control(
                    "marginal variances for a diagonal S",
                    partial(variance_carries_hessian, marginal=True),
                ),
                Control("half the Hessian", partial(variance_carries_hessian, factor=0.5)),
            ),
            uses=("3b", "4a"),
            figure="hessian-estimator",
            resolution=1e-5,
            examples=12,
        ),
    ),
)
