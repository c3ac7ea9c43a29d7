"""Claim 9: ordinary optimisation is unstable in the zero-variance limit."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.instability import descent, joint_curvature, unbounded

_GAUSSIAN = ("likelihood", r"p(x|z) = \mathcal N(f_\theta(z), \sigma^2 I_D)")
_HELD = (
    "encoder held",
    r"m(x_n) = z_n,\ S_n = (I + J_f^\top J_f/\sigma^2)^{-1}"
    r"\text{: stationary for the decoder that generates the data}",
)
_REALISABLE = ("data the decoder can make", r"x_n = f_{\theta_0}(z_n)")
_LINEAR = (
    "linear, one latent",
    r"f(z) = wz,\ \sum_n x_n = 0,\ \Sigma = \tfrac1N\sum_n x_n x_n^\top"
    r"\text{ with a greatest eigenvalue } v \text{ that is simple}",
)
_FREE = (
    "parameters",
    r"(w, m_1, \dots, m_N, \log s_1, \dots, \log s_N)"
    r"\text{, at the optimum of their mean ELBO}",
)

CLAIM = Claim(
    number=9,
    label="instability",
    title="Ordinary optimisation is unstable in the zero-variance limit",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="9a",
            title="The largest stable step of gradient descent shrinks as sigma squared",
            statement=(
                r"\eta_{\max} = \frac{2}{\lambda_{\max}(\nabla_\theta^2\,(-\mathrm{ELBO}))}"
                r" = \frac{2\sigma^2}{\lambda_{\max}(\mathbb E_{q(z)}[\varphi\varphi^\top])}"
                r" = \frac{2\sigma^2}{\lambda_{\max}(\mathbb E_n[\varphi(z_n)\varphi(z_n)^\top])}"
                r"\,(1 + O(\sigma^2))"
            ),
            hypotheses=(
                _GAUSSIAN,
                _HELD,
                _REALISABLE,
                ("linear in its parameters", r"f_\theta(z) = \theta\,\varphi(z)"),
            ),
            kind="rate",
            instances=descent.step_scenes(),
            check=descent.step_law,
            controls=(
                Control("sigma for sigma^2", partial(descent.step_law, exponent=1.0)),
                Control(
                    "1 / lambda_max",
                    partial(descent.step_law, predicted=descent.inverse_curvature),
                ),
                Control("2 / trace", partial(descent.step_law, predicted=descent.mean_curvature)),
                Control(
                    "2 / lambda_min",
                    partial(descent.step_law, predicted=descent.least_curvature),
                ),
            ),
            figure="instability",
            resolution=0.02,
            examples=6,
        ),
        Proposition(
            label="9a-network",
            title="The same near the optimum of a network",
            statement=(
                r"\eta_{\max} = 2\sigma^2/\lambda_{\max}(\mathbb E_n[J_\theta^\top J_\theta])"
                r"\,(1 + O(\sigma^2)),\quad J_\theta = \partial f_\theta(z_n)/\partial\theta"
            ),
            hypotheses=(
                _GAUSSIAN,
                _HELD,
                _REALISABLE,
                ("network", r"f_\theta(z) = v\tanh(wz + c) + b,\ \theta = (w, c, v, b)"),
                ("near the optimum", r"\text{runs that start } 10^{-4} \text{ from it}"),
            ),
            kind="rate",
            instances=descent.network_scenes(),
            check=descent.step_law,
            controls=(
                Control("sigma for sigma^2", partial(descent.step_law, exponent=1.0)),
                Control(
                    "1 / lambda_max",
                    partial(descent.step_law, predicted=descent.inverse_curvature),
                ),
                Control("2 / trace", partial(descent.step_law, predicted=descent.mean_curvature)),
            ),
            uses=("9a",),
            figure="instability",
            resolution=0.09,
            examples=3,
        ),
        Proposition(
            label="9a-preconditioned",
            title="A step measured in the decoder's own metric does not shrink",
            statement=(
                r"\theta \leftarrow \theta - \eta\,F^{-1}\nabla_\theta(-\mathrm{ELBO}),\ "
                r"F = \mathbb E_q[J_\theta^\top J_\theta]/\sigma^2:\quad "
                r"\eta_{\max} = 2 \text{ for every } \sigma"
            ),
            hypotheses=(
                _GAUSSIAN,
                _HELD,
                _REALISABLE,
                ("linear in its parameters", r"f_\theta(z) = \theta\,\varphi(z)"),
                ("natural gradient", r"\text{preconditioned by the Fisher information}"),
            ),
            kind="counterexample",
            instances=descent.step_scenes(),
            check=descent.preconditioned,
            controls=(
                Control("9a's law", partial(descent.preconditioned, exponent=2.0)),
                Control("no preconditioner", partial(descent.preconditioned, natural=False)),
                Control("1 for 2", partial(descent.preconditioned, threshold=1.0)),
            ),
            uses=("9a",),
            figure="instability",
            resolution=0.02,
            examples=4,
        ),
        Proposition(
            label="9b",
            title="The joint problem's condition number grows as sigma to the -2",
            statement=(
                r"\sigma^2\kappa \to \frac{1 + v/N}{\mu},\quad "
                r"\mu = \tfrac12\big(p + q - \sqrt{p^2 + q^2}\big),\ "
                r"p = \frac{4}{v + N},\ q = \frac2N"
            ),
            hypotheses=(_GAUSSIAN, _LINEAR, _FREE),
            kind="rate",
            instances=joint_curvature.joint_scenes(),
            check=joint_curvature.condition_law,
            controls=(
                Control("sigma^-1", partial(joint_curvature.condition_law, exponent=-1.0)),
                Control(
                    "the log deviations held",
                    partial(joint_curvature.condition_law, predicted=joint_curvature.gauge_alone),
                ),
                Control(
                    "the gauge w -> c w, m -> m / c held",
                    partial(
                        joint_curvature.condition_law, predicted=joint_curvature.deviations_alone
                    ),
                ),
            ),
            figure="instability",
            resolution=0.02,
            examples=10,
        ),
        Proposition(
            label="9b-noise",
            title="Reparametrised gradients have a variance that grows as sigma to the -2",
            statement=(
                r"\mathbb E_n\mathrm{tr}\,\mathrm{Var}_\epsilon[\partial_w]"
                r" \sim \frac{\mathrm{tr}\,\Sigma}{v\,\sigma^2},\quad "
                r"\mathbb E_n\mathrm{Var}_\epsilon[\partial_{m_n}] \sim \frac{v}{\sigma^2},\quad "
                r"\mathbb E_n\mathrm{Var}_\epsilon[\partial_{\log s_n}] \to 2"
            ),
            hypotheses=(
                _GAUSSIAN,
                _LINEAR,
                _FREE,
                ("one sample a datum", r"z = m_n + s_n\epsilon,\ \epsilon \sim \mathcal N(0, 1)"),
            ),
            kind="rate",
            instances=joint_curvature.joint_scenes(),
            check=joint_curvature.sampling_noise,
            controls=(
                Control(
                    "sigma^-4 for the decoder",
                    partial(joint_curvature.sampling_noise, exponents=(-4.0, -2.0, 0.0)),
                ),
                Control(
                    "sigma^-2 for the log deviations",
                    partial(joint_curvature.sampling_noise, exponents=(-2.0, -2.0, -2.0)),
                ),
                Control(
                    "1 for the decoder's coefficient",
                    partial(joint_curvature.sampling_noise, decoder=2.0),
                ),
                Control("1 for 2", partial(joint_curvature.sampling_noise, deviations=1.0)),
            ),
            uses=("9b",),
            figure="instability",
            resolution=0.02,
            examples=10,
        ),
        Proposition(
            label="9b-batch",
            title="The noise of a batch grows as sigma to the -4, or not at all",
            statement=(
                r"\mathrm{tr}\,\mathrm{Var}_n[\partial_w] \sim"
                r"\frac{\mathbb E_n[\|r_n\|^2 a_n^2]}{v\,\sigma^4}"
                r"\text{ off a line};\quad "
                r"\to \frac{\mathrm{Var}_n[a_n^2]}{v^3} \text{ on a line } (r = 0),\quad "
                r"x_n = a_n u + r_n,\ \Sigma u = vu"
            ),
            hypotheses=(
                _GAUSSIAN,
                _LINEAR,
                _FREE,
                (
                    "exact gradients",
                    r"\text{of single data, the expectation over } q \text{ taken}",
                ),
            ),
            kind="rate",
            instances=joint_curvature.noisy_scenes(),
            check=joint_curvature.batch_noise,
            controls=(
                Control(
                    "sigma^-2 in both cases", partial(joint_curvature.batch_noise, exponent=-2.0)
                ),
                Control(
                    "sigma^-4 in both cases", partial(joint_curvature.batch_noise, exponent=-4.0)
                ),
                Control("twice the coefficient", partial(joint_curvature.batch_noise, share=2.0)),
            ),
            uses=("9b",),
            figure="instability",
            resolution=0.02,
            examples=10,
        ),
        Proposition(
            label="9c",
            title="With a learned sigma and D > d the ELBO has no upper bound",
            statement=(
                r"\mathrm{ELBO}(\sigma) = -(D - d)\log\sigma - \tfrac{D - d}{2}\log 2\pi"
                r" + \mathbb E_n[\log\mathcal N(z_n; 0, I) - \tfrac12\log\det g(z_n)]"
                r" + O(\sigma^2);\quad \text{BAGGINS} - \mathrm{KL} \le"
                r"-\tfrac12\textstyle\sum_i\log 2\pi e v_i + Dh"
            ),
            hypotheses=(
                _GAUSSIAN,
                ("data on a d-dimensional set", r"x_n = f(z_n),\ f \text{ an immersion}"),
                ("posterior", r"\mathcal N(z_n, (I + g/\sigma^2)^{-1})"),
                ("spread", r"v_i > 0"),
            ),
            kind="rate",
            instances=unbounded.manifold_scenes(),
            check=unbounded.manifold_growth,
            controls=(
                Control("D for D - d", partial(unbounded.manifold_growth, slope="D")),
                Control("D + d for D - d", partial(unbounded.manifold_growth, slope="D + d")),
            ),
            uses=("3a",),
            figure="instability",
            resolution=0.01,
            examples=8,
        ),
        Proposition(
            label="9c-memorised",
            title="Memorised data: the flatter the decoder at the codes, the faster the growth",
            statement=(
                r"\sup_s\mathrm{ELBO}(\sigma) = -(D - \tfrac1k)\log\sigma + C + o(1),\quad "
                r"f(\pm1 + t) = \pm x + c\,t^k + \dots,\ d = 1;\quad "
                r"k \to \infty:\ -D\log\sigma"
            ),
            hypotheses=(
                _GAUSSIAN,
                ("memorised", r"f(\pm 1) = \pm x"),
                (
                    "flat at the codes",
                    r"\text{derivatives of order } 1, \dots, k - 1 \text{ vanish}",
                ),
            ),
            kind="rate",
            instances=unbounded.memory_scenes(),
            check=unbounded.memory_growth,
            controls=(
                Control("D - 1 for D - 1 / k", partial(unbounded.memory_growth, flatness="D - 1")),
                Control("D for D - 1 / k", partial(unbounded.memory_growth, flatness="D")),
            ),
            uses=("9c",),
            figure="instability",
            resolution=0.01,
            examples=8,
        ),
        Proposition(
            label="9c-full",
            title="With D = d and a linear decoder the ELBO is bounded, whatever sigma",
            statement=(
                r"\max_{W, q}\mathrm{ELBO}(\sigma) = -\tfrac12\log\det(2\pi e\,\Sigma)"
                r"\text{ for all } \sigma^2 < \lambda_{\min}(\Sigma)"
            ),
            hypotheses=(
                _GAUSSIAN,
                ("linear, D = d", r"f(z) = Wz,\ W \in \mathbb R^{D\times D}"),
                ("full rank", r"\Sigma = \tfrac1N\sum_n x_n x_n^\top \succ 0"),
            ),
            kind="counterexample",
            instances=unbounded.full_scenes(),
            check=unbounded.full_is_bounded,
            controls=(
                Control("growth as -log sigma", partial(unbounded.full_is_bounded, slope=1.0)),
                Control(
                    "the correlations ignored",
                    partial(unbounded.full_is_bounded, correlated=False),
                ),
            ),
            uses=("3c", "9c"),
            examples=8,
        ),
    ),
)
