"""Claim 8: the zero-variance limit is the change-of-variables formula."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.flow_limit import counterexamples as counterexamples
from vaetheory.claims.flow_limit import couplings as couplings
from vaetheory.claims.flow_limit import divergence as divergence
from vaetheory.claims.flow_limit import posteriors as posteriors
from vaetheory.claims.flow_limit import scenes as scenes
from vaetheory.claims.flow_limit import smoothing as laws

_GAUSSIAN = ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)")
_FLOW = ("a diffeomorphism", r"f: \mathbb R^d \to \mathbb R^d,\ D = d,\ \text{onto}")
_SMOOTH = ("a smooth density", r"f \in C^\infty \text{ near } z_0")
_EMBEDDING = (
    "an embedding at x",
    r"g = J^\top J \succ 0,\ x = f(z_0),\ \inf_{|z - z_0| > r}\|f(z) - x\| > 0"
    r"\text{ for all } r > 0",
)
_FULL = ("full covariance", r"q = \mathcal N(m, S),\ S \text{ free, stationary}")
_OWN_DATA = ("data of the flow", r"x \sim p_{\mathrm{flow}}")
_FINITE = ("a finite second moment", r"\mathbb E[(\Delta p / p)^2] < \infty,\ p \in C^4")

CLAIM = Claim(
    number=8,
    label="flow-limit",
    title="The zero-variance limit is the change-of-variables formula",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="8a",
            title="A flow under noise: half the Laplacian of its density times sigma^2",
            statement=(
                r"\log p_\sigma(x) = \log p_{\mathrm{flow}}(x)"
                r" + \frac{\sigma^2}{2}\frac{\Delta p_{\mathrm{flow}}}{p_{\mathrm{flow}}}(x)"
                r" + O(\sigma^4),\quad p_{\mathrm{flow}} = \mathcal N(f^{-1}(x); 0, I)"
                r"\,|\det J_{f^{-1}}|"
            ),
            hypotheses=(_GAUSSIAN, _FLOW, _SMOOTH),
            kind="rate",
            instances=scenes.flow_scenes().map(scenes.tame),
            check=laws.smooth_flow,
            controls=(
                Control(
                    "the log determinant of the wrong sign",
                    partial(laws.smooth_flow, limit=partial(laws.wrong_limit, volume=-1.0)),
                ),
                Control(
                    "the Laplacian without the half",
                    partial(laws.smooth_flow, coefficient=laws.whole_laplacian),
                ),
                Control(
                    "the Laplacian of log p",
                    partial(laws.smooth_flow, coefficient=laws.laplacian_of_the_log),
                ),
                Control("sigma for sigma^2", partial(laws.smooth_flow, exponent=1.0)),
                Control("a remainder of order sigma^3", partial(laws.smooth_flow, remainder=3.0)),
            ),
            figure="flow-limit",
            resolution=5e-2,
            examples=5,
        ),
        Proposition(
            label="8a-jump",
            title="Where the density jumps the limit is the mean of its two sides",
            statement=(
                r"f(z) = az\ (z < 0),\ bz\ (z > 0):\quad "
                r"p_\sigma(0) \to \tfrac12\big(p(0^-) + p(0^+)\big)"
            ),
            hypotheses=(_GAUSSIAN, ("a jump", r"f' \text{ jumps, as of a leaky rectifier}")),
            kind="counterexample",
            instances=counterexamples.kinked(jumps=(True,)),
            check=counterexamples.limit_at_the_jump,
            controls=(
                Control(
                    "the geometric mean",
                    partial(
                        counterexamples.limit_at_the_jump, limit=counterexamples.geometric_mean
                    ),
                ),
                Control(
                    "the side above",
                    partial(counterexamples.limit_at_the_jump, limit=counterexamples.side_above),
                ),
            ),
            uses=("8a",),
            resolution=1e-2,
            examples=3,
        ),
        Proposition(
            label="8b",
            title="The stationary ELBO tends to the flow's log density, less the gap of 3f",
            statement=(
                r"\mathrm{ELBO} = \log p_{\mathrm{flow}}(x) - \tfrac{D-d}2\log 2\pi\sigma^2"
                r" + \sigma^2\Big(c_1 - \frac{\|T\|_g^2}{12}\Big) + O(\sigma^4),"
                r"\quad c_1 \text{ that of 8a, 8c}"
            ),
            hypotheses=(_GAUSSIAN, _EMBEDDING, _FULL),
            kind="rate",
            instances=posteriors.any_scenes().map(scenes.tame),
            check=posteriors.elbo_law,
            controls=(
                Control(
                    "the log determinant of the wrong sign",
                    partial(posteriors.elbo_law, limit=partial(laws.wrong_limit, volume=-1.0)),
                ),
                Control(
                    "no gap",
                    partial(
                        posteriors.elbo_law, coefficient=partial(posteriors.elbo_coefficient, gap=0)
                    ),
                ),
                Control(
                    "the gap of the wrong sign",
                    partial(
                        posteriors.elbo_law,
                        coefficient=partial(posteriors.elbo_coefficient, gap=-1.0),
                    ),
                ),
                Control(
                    "the gap alone",
                    partial(
                        posteriors.elbo_law,
                        coefficient=partial(posteriors.elbo_coefficient, smoothing=0.0),
                    ),
                ),
            ),
            uses=("3a", "3f", "8a"),
            figure="flow-limit",
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="8c",
            title="On a manifold: the same, with a term that diverges and one for the curvature",
            statement=(
                r"\log p_\sigma(x) = -\tfrac{D-d}2\log 2\pi\sigma^2 + \log\mathcal N(z_0; 0, I)"
                r" - \tfrac12\log\det g + \sigma^2\Big(\frac{\Delta_M p}{2p}"
                r" + \tfrac14\|\mathrm{II}\|^2 - \tfrac18\|H\|^2\Big) + O(\sigma^4)"
            ),
            hypotheses=(_GAUSSIAN, _EMBEDDING, _SMOOTH),
            kind="rate",
            instances=scenes.embedded_scenes().map(scenes.tame),
            check=laws.smooth_embedding,
            controls=(
                Control(
                    "D for D - d",
                    partial(laws.smooth_embedding, limit=partial(laws.wrong_limit, normal=1.0)),
                ),
                Control(
                    "g without its square root",
                    partial(laws.smooth_embedding, limit=partial(laws.wrong_limit, volume=2.0)),
                ),
                Control(
                    "no curvature",
                    partial(
                        laws.smooth_embedding,
                        coefficient=partial(laws.manifold_coefficient, second=0.0, mean=0.0),
                    ),
                ),
                Control(
                    "the mean curvature of the wrong sign",
                    partial(
                        laws.smooth_embedding,
                        coefficient=partial(laws.manifold_coefficient, mean=0.125),
                    ),
                ),
                Control(
                    "the Laplacian of the prior",
                    partial(laws.smooth_embedding, coefficient=laws.latent_laplacian),
                ),
                Control("sigma for sigma^2", partial(laws.smooth_embedding, exponent=1.0)),
            ),
            uses=("8a",),
            figure="flow-limit",
            resolution=5e-2,
            examples=4,
        ),
        Proposition(
            label="8c-closed",
            title="On a closed curve the limit sums over all preimages",
            statement=(
                r"f(z) = (\cos z, \sin z):\quad \log p_\sigma(x) + \tfrac12\log 2\pi\sigma^2"
                r" \to \log\sum_k\mathcal N(z_0 + 2\pi k; 0, 1)"
            ),
            hypotheses=(_GAUSSIAN, ("not injective", r"f(z_0) = f(z_0 + 2\pi k)")),
            kind="counterexample",
            instances=counterexamples.turns(),
            check=counterexamples.closed_curve,
            controls=(
                Control(
                    "one preimage",
                    partial(counterexamples.closed_curve, limit=counterexamples.one_preimage),
                ),
                Control(
                    "one preimage counted twice",
                    partial(
                        counterexamples.closed_curve,
                        limit=counterexamples.one_preimage_twice,
                    ),
                ),
            ),
            uses=("8c",),
            resolution=1e-3,
            examples=4,
        ),
        Proposition(
            label="8d",
            title="The encoder's variance is the flow's Jacobian: S / sigma^2 tends to g^-1",
            statement=(
                r"S/\sigma^2 \to g^{-1},\quad \tfrac12\log\det(S/\sigma^2) = -\tfrac12\log\det g"
                r" - \tfrac{\sigma^2}2\mathrm{tr}(g^{-1}M) + O(\sigma^4),\quad "
                r"M = I + T\mu + \tfrac12\varphi_4{:}g^{-1},\ "
                r"\mu = -g^{-1}(z_0 + \tfrac12 T{:}g^{-1})"
            ),
            hypotheses=(_GAUSSIAN, _EMBEDDING, _FULL),
            kind="rate",
            instances=posteriors.any_scenes().map(scenes.tame),
            check=posteriors.posterior_covariance,
            controls=(
                Control("sigma for sigma^2", partial(posteriors.posterior_covariance, power=1.0)),
                Control(
                    "g without its square root",
                    partial(posteriors.posterior_covariance, volume=2.0),
                ),
                Control(
                    "g for its inverse",
                    partial(posteriors.posterior_covariance, limit=posteriors.metric),
                ),
                Control(
                    "the mean does not move",
                    partial(
                        posteriors.posterior_covariance,
                        coefficient=partial(posteriors.log_det_coefficient, shift=0.0),
                    ),
                ),
                Control(
                    "the diagonal posterior for the full one",
                    partial(posteriors.posterior_covariance, diagonal=True),
                ),
            ),
            uses=("3b", "8b"),
            figure="flow-limit",
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="8e",
            title="Over the flow's own data the noise costs sigma^4 / 8 times E[(Lap p / p)^2]",
            statement=(
                r"\mathrm{KL}(p_{\mathrm{flow}}\,\|\,p_\sigma) = \frac{\sigma^4}8"
                r"\,\mathbb E\Big[\Big(\frac{\Delta p}{p}\Big)^2\Big] + O(\sigma^6)"
            ),
            hypotheses=(_GAUSSIAN, _FLOW, _OWN_DATA, _FINITE),
            kind="rate",
            instances=divergence.line_flows(),
            check=divergence.divergence_law,
            controls=(
                Control("a factor 1/4", partial(divergence.divergence_law, factor=0.25)),
                Control("order sigma^2", partial(divergence.divergence_law, exponent=2.0)),
                Control(
                    "the Laplacian of log p",
                    partial(
                        divergence.divergence_law, square=divergence.square_of_the_logs_laplacian
                    ),
                ),
            ),
            uses=("8a",),
            figure="flow-limit",
            resolution=5e-2,
            examples=4,
        ),
        Proposition(
            label="8e-best",
            title="The best ELBO over sigma is approached as sigma tends to 0, and not before",
            statement=(
                r"\mathbb E[\log p_{\mathrm{flow}}] - \mathbb E[\mathrm{ELBO}_\sigma]"
                r" = \frac{\sigma^2}{12}\,\mathbb E\|T\|_g^2 + O(\sigma^4) > 0"
            ),
            hypotheses=(_GAUSSIAN, _FLOW, _OWN_DATA, _FINITE, _FULL),
            kind="rate",
            instances=divergence.line_flows(),
            check=divergence.mean_elbo,
            controls=(
                Control("order sigma^4", partial(divergence.mean_elbo, exponent=4.0)),
                Control(
                    "half the gap", partial(divergence.mean_elbo, coefficient=divergence.half_gap)
                ),
                Control("a limit above the entropy", partial(divergence.mean_elbo, entropy=0.01)),
            ),
            uses=("8b", "8e"),
            resolution=5e-2,
            examples=4,
        ),
        Proposition(
            label="8e-rough",
            title="A jump of the density costs order sigma, a kink sigma^3",
            statement=(
                r"\mathrm{KL}(p\,\|\,p_\sigma) \sim \sigma\int p_0\log\frac{p_0}{p_0 * \phi}"
                r"\ (\text{jump}),\qquad \sim \frac{\sigma^3}2\frac{[p']^2}{p}"
                r"\cdot\frac{2 - \sqrt2}{3\sqrt\pi}\ (\text{kink})"
            ),
            hypotheses=(
                _GAUSSIAN,
                _OWN_DATA,
                (
                    "not smooth",
                    r"f' \text{ or } f'' \text{ jumps: } (\Delta p/p)^2 \text{ has no integral}",
                ),
            ),
            kind="counterexample",
            instances=counterexamples.kinked(),
            check=counterexamples.rough_divergence,
            controls=(
                Control("order sigma^4", partial(counterexamples.rough_divergence, exponent=4.0)),
                Control("one order higher", partial(counterexamples.rough_divergence, shift=1.0)),
                Control(
                    "half the coefficient", partial(counterexamples.rough_divergence, factor=0.5)
                ),
            ),
            uses=("8e",),
            figure="flow-limit",
            resolution=5e-2,
            examples=3,
        ),
        Proposition(
            label="8e-onto",
            title="An image with an edge costs order sigma, however smooth the density",
            statement=(
                r"f = w\Phi,\ p = 1/w \text{ on } (0, w):\quad \mathrm{KL}(p\,\|\,p_\sigma)"
                r" \sim \frac{2\sigma}w\int_0^\infty -\log\Phi(s)\,ds,\quad \Delta p = 0"
            ),
            hypotheses=(_GAUSSIAN, _OWN_DATA, ("not onto", r"f(\mathbb R) = (0, w)")),
            kind="counterexample",
            instances=counterexamples.intervals(),
            check=counterexamples.edge_divergence,
            controls=(
                Control("order sigma^4", partial(counterexamples.edge_divergence, exponent=4.0)),
                Control("one edge", partial(counterexamples.edge_divergence, edges=1)),
                Control(
                    "the square of the logarithm",
                    partial(counterexamples.edge_divergence, squared=True),
                ),
            ),
            uses=("8e",),
            resolution=5e-2,
            examples=2,
        ),
        Proposition(
            label="8f",
            title="A diagonal posterior loses c_IMA in the limit",
            statement=(
                r"\mathrm{ELBO}_{\mathrm{diag}} \to \log p_{\mathrm{flow}} - c,\quad "
                r"c = \sum_k\log\|\partial_k f\| - \tfrac12\log\det J^\top J,\quad "
                r"s_k^2/\sigma^2 \to \|\partial_k f\|^{-2}"
            ),
            hypotheses=(_GAUSSIAN, _EMBEDDING, ("mean field", r"S \text{ diagonal, stationary}")),
            kind="rate",
            instances=posteriors.oblique_scenes().map(scenes.tame),
            check=posteriors.diagonal_loss,
            controls=(
                Control(
                    "the diagonal posterior taken for the full one",
                    partial(posteriors.diagonal_loss, loss=posteriors.no_loss),
                ),
                Control("the full posterior", partial(posteriors.diagonal_loss, diagonal=False)),
                Control(
                    "c without its half", partial(posteriors.diagonal_loss, loss=posteriors.twice)
                ),
                Control(
                    "the variances of the full posterior",
                    partial(posteriors.diagonal_loss, variances=posteriors.marginal_variances),
                ),
                Control("sigma for sigma^2", partial(posteriors.diagonal_loss, power=1.0)),
            ),
            uses=("3d", "8b", "8d"),
            figure="flow-limit",
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="8f-orthogonal",
            title="c_IMA is zero exactly where the columns of the Jacobian are orthogonal",
            statement=(
                r"c \ge -\tfrac12\log(1 - \rho_{jk}^2) \text{ for all } j \ne k,"
                r"\text{ equal for } d = 2;\quad c = 0 \text{ if all } \rho_{jk} = 0,\quad "
                r"\rho_{jk} = \frac{\partial_j f\cdot\partial_k f}"
                r"{\|\partial_j f\|\|\partial_k f\|}"
            ),
            hypotheses=(("an immersion", r"g = J^\top J \succ 0"),),
            kind="inequality",
            instances=posteriors.column_scenes(),
            check=posteriors.orthogonal_columns,
            controls=(
                Control("orthogonal rows", partial(posteriors.orthogonal_columns, rows=True)),
                Control("no half", partial(posteriors.orthogonal_columns, factor=2.0)),
                Control("rho for rho^2", partial(posteriors.orthogonal_columns, squared=True)),
            ),
            uses=("8f",),
            figure="flow-limit",
        ),
        Proposition(
            label="8g",
            title="Compositions of coupling layers: the log determinants add up along the way",
            statement=(
                r"\lim_{\sigma\to0}\log p_\sigma(x) = \log\mathcal N(z_0; 0, I)"
                r" - \sum_l\log|\det J_l(z_{l-1})|,\quad z_l = f_l(z_{l-1}),"
                r"\ \log|\det J_l| = \sum_b s_b"
            ),
            hypotheses=(
                _GAUSSIAN,
                ("coupling layers", r"x_a = z_a,\ x_b = e^{s(z_a)} z_b + t(z_a)"),
            ),
            kind="identity",
            instances=couplings.coupling_scenes(),
            check=couplings.coupling_limit,
            controls=(
                Control(
                    "the log determinant added",
                    partial(couplings.coupling_limit, density=couplings.added_log_det),
                ),
                Control(
                    "the last layer forgotten",
                    partial(couplings.coupling_limit, density=couplings.last_layer_forgotten),
                ),
                Control(
                    "every layer at the latent",
                    partial(couplings.coupling_limit, density=couplings.every_layer_at_the_latent),
                ),
            ),
            uses=("8a",),
            examples=5,
        ),
    ),
)
