"""Claim 5: constant posterior variances lose little."""

from __future__ import annotations

from functools import partial

from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.claims.constant_variance import (
    digits,
    exact_rates,
    flat_coordinates,
    second_order,
    spherical_cap,
    varying_hessians,
)
from vaetheory.claims.riemannian_likelihood import bent_surfaces
from vaetheory.claims.stationary_evidence import linear_gaussian

_ISOTROPIC = ("isotropic Gaussian", r"p(x|z) = \mathcal N(f(z), \sigma^2 I)")
_ON_THE_IMAGE = ("an embedding at each datum", r"g \succ 0,\ x_n = f(z_n),\ f \text{ injective}")
_NEAR = ("the branch near z_n", r"q_n \text{ continued from } \mathcal N(z_n, \sigma^2 g_n^{-1})")
_CAP = ("the cap", r"\text{uniform law on a geodesic disc of angle } R,\text{ unit sphere}")
_STRETCH = ("bounded stretch", r"M_n \succeq L^{-2}\,\bar M")
_FIGURE = "constant-variance"

CLAIM = Claim(
    number=5,
    label="constant-variance",
    title="Constant posterior variances lose little",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="5a",
            title="To second order a constant variance costs 1/2 (log det E[A] - E[log det A])",
            statement=(
                r"\max_{S_n}\mathbb E\,\mathrm{ELBO}_2 - \max_S\mathbb E\,\mathrm{ELBO}_2"
                r" = \tfrac12(\log\det\bar A - \mathbb E\log\det A) \ge 0,\quad S = \bar A^{-1},"
                r"\quad 0 \text{ iff all } A_n \text{ are equal}"
            ),
            hypotheses=(
                ("modes", r"\nabla U(\hat z_n) = 0,\ A_n \succ 0"),
                ("fixed expansion", r"U \text{ replaced by its Taylor polynomial at } \hat z_n"),
            ),
            kind="identity",
            instances=second_order.data_scenes(),
            check=second_order.penalty_identity,
            controls=(
                Control(
                    "log E in place of E log",
                    partial(
                        second_order.penalty_identity, penalty=second_order.log_of_mean_determinant
                    ),
                ),
                Control(
                    "the mean covariance as the best",
                    partial(second_order.penalty_identity, best=second_order.mean_inverse),
                ),
                Control(
                    "no factor 1/2",
                    partial(second_order.penalty_identity, penalty=second_order.twice_the_penalty),
                ),
            ),
            uses=("3e",),
        ),
        Proposition(
            label="5b",
            title="Small variations cost a quarter of their squared relative size",
            statement=(
                r"P = \tfrac14\mathbb E\|\bar A^{-1/2}(A - \bar A)\bar A^{-1/2}\|_F^2"
                r" - \tfrac16\mathbb E\operatorname{tr}\big(\bar A^{-1}(A - \bar A)\big)^3"
                r" + O(4)"
            ),
            hypotheses=(("small", r"A_n = \bar A + t V_n,\ t \to 0"),),
            kind="rate",
            instances=second_order.variations(),
            check=second_order.small_variations,
            controls=(
                Control(
                    "a coefficient 1/2",
                    partial(second_order.small_variations, coefficient=second_order.half_norm),
                ),
                Control(
                    "the variation not relative to the mean",
                    partial(second_order.small_variations, coefficient=second_order.plain_norm),
                ),
                Control("order t", partial(second_order.small_variations, exponent=1.0)),
                Control(
                    "a third order of the other sign",
                    partial(second_order.small_variations, third=1 / 6),
                ),
            ),
            uses=("5a",),
            resolution=1e-3,
        ),
        Proposition(
            label="5c",
            title="Under mild conditions the cost is small: at most d/2 times log Specht(M/m)",
            statement=(
                r"m I \preceq A \preceq M I \;\Rightarrow\; \tfrac12(\log\det\bar A"
                r" - \mathbb E\log\det A) \le \tfrac d2\log\frac{h^{1/(h-1)}}{e\log h^{1/(h-1)}},"
                r"\quad h = M/m"
            ),
            hypotheses=(("bounded Hessians", r"m I \preceq A_n \preceq M I,\ m > 0"),),
            kind="inequality",
            instances=second_order.bounded(),
            check=second_order.greatest_penalty,
            controls=(
                Control(
                    "Specht's ratio of the root of h",
                    partial(second_order.greatest_penalty, bound=second_order.specht_of_the_root),
                ),
                Control(
                    "the two ends in equal weights",
                    partial(second_order.greatest_penalty, bound=second_order.equal_weights),
                ),
                Control(
                    "no factor d",
                    partial(second_order.greatest_penalty, bound=second_order.one_dimension),
                ),
            ),
            uses=("5a",),
            figure=_FIGURE,
        ),
        Proposition(
            label="5d",
            title="In the exact ELBO the cost is the same up to a known multiple of sigma^2",
            statement=(
                r"P_{\mathrm{exact}} - P_2 = \sigma^2\,\mathbb E[c_n(g_n^{-1}) - c_n(\bar g^{-1})]"
                r" + O(\sigma^4),\quad c(S) = -\tfrac18\,\partial^4_{ijkl}\tfrac{\|f - x\|^2}2"
                r"S_{ij}S_{kl} + \tfrac18 v^\top g^{-1} v,\quad v_i = T_{ijk}S_{jk}"
            ),
            hypotheses=(_ISOTROPIC, _ON_THE_IMAGE, _NEAR),
            kind="rate",
            instances=exact_rates.graph_data().filter(exact_rates.has_coefficient),
            check=exact_rates.exact_less_second_order,
            controls=(
                Control("order sigma", partial(exact_rates.exact_less_second_order, exponent=1)),
                Control(
                    "no third derivatives",
                    partial(
                        exact_rates.exact_less_second_order,
                        coefficient=partial(exact_rates.exact_coefficient, cubic=0.0),
                    ),
                ),
                Control(
                    "a quarter of the fourth derivatives",
                    partial(
                        exact_rates.exact_less_second_order,
                        coefficient=partial(exact_rates.exact_coefficient, quartic=-1 / 4),
                    ),
                ),
                Control(
                    "what the shared covariance gains left out",
                    partial(
                        exact_rates.exact_less_second_order,
                        coefficient=exact_rates.gain_of_free_variances,
                    ),
                ),
            ),
            uses=("3f", "5a"),
            figure=_FIGURE,
            resolution=5e-2,
            examples=6,
        ),
        Proposition(
            label="5e",
            title="A linear decoder loses nothing to a constant variance, whatever its matrix",
            statement=r"f(z) = Wz + b \;\Rightarrow\; P_{\mathrm{exact}} = P_2 = 0",
            hypotheses=(
                ("Gaussian likelihood", r"p(x|z) = \mathcal N(f(z), \Lambda)"),
                ("linear decoder", r"f(z) = Wz + b"),
            ),
            kind="identity",
            instances=linear_gaussian.linear_scenes(),
            check=exact_rates.linear_is_free,
            controls=(
                Control("a bent decoder", partial(exact_rates.linear_is_free, bent=True)),
                Control(
                    "any constant variance",
                    partial(exact_rates.linear_is_free, any_constant=True),
                ),
            ),
            uses=("3c", "5a"),
            examples=10,
        ),
        Proposition(
            label="5e-speed",
            title="On a decoder of varying metric the cost tends to a positive constant",
            statement=(
                r"P_2 \to \tfrac12(\log\det\mathbb E[g] - \mathbb E\log\det g) > 0"
                r" \text{ as } \sigma \to 0"
            ),
            hypotheses=(_ISOTROPIC, _ON_THE_IMAGE, ("a metric that varies", r"g_n \ne g_m")),
            kind="identity",
            instances=exact_rates.graph_data(),
            check=exact_rates.varying_speed,
            controls=(
                Control("it vanishes", partial(exact_rates.varying_speed, factor=0.0)),
                Control("twice the constant", partial(exact_rates.varying_speed, factor=2.0)),
            ),
            uses=("5a",),
            figure="constant-variance",
            resolution=1e-2,
        ),
        Proposition(
            label="5e-isometric",
            title="On a constant metric the second-order cost is of order sigma^8",
            statement=(
                r"P_2 = \frac{\sigma^8}{16}\,\mathbb E\big\|w - \bar w\big\|_F^2 + O(\sigma^{10}),"
                r"\quad w_{ij} = f_{ij}\cdot f_{kl}\,z_k z_l;\quad "
                r"\text{circle of curvature } \kappa:\ \tfrac{\sigma^8}{16}\kappa^4\,"
                r"\mathrm{Var}(z^2)"
            ),
            hypotheses=(
                _ISOTROPIC,
                ("constant metric", r"J^\top J = I"),
                ("data on the image", r"x_n = f(z_n),\ \text{modes near } z_n"),
            ),
            kind="rate",
            instances=exact_rates.flat_data(),
            check=exact_rates.isometric_penalty,
            controls=(
                Control("order sigma^6", partial(exact_rates.isometric_penalty, exponent=6.0)),
                Control(
                    "a coefficient 1/4",
                    partial(
                        exact_rates.isometric_penalty,
                        coefficient=exact_rates.quarter_coefficient,
                    ),
                ),
                Control(
                    "the spread of |z| for that of z^2",
                    partial(exact_rates.isometric_penalty, coefficient=exact_rates.first_powers),
                ),
            ),
            uses=("5a", "5b"),
            figure=_FIGURE,
            resolution=5e-2,
        ),
        Proposition(
            label="5e-curvature",
            title="On a constant metric the exact cost is of order sigma^4: the curvature's spread",
            statement=(
                r"P_{\mathrm{exact}} = \frac{\sigma^4}{16}\mathrm{Var}(\kappa^2) + O(\sigma^6)"
            ),
            hypotheses=(
                _ISOTROPIC,
                ("unit speed", r"d = 1,\ \|f'\| = 1"),
                ("a curvature that varies", r"\kappa_n \ne \kappa_m"),
                _NEAR,
            ),
            kind="rate",
            instances=exact_rates.catenary_data(),
            check=exact_rates.curvature_penalty,
            controls=(
                Control("order sigma^2", partial(exact_rates.curvature_penalty, exponent=2.0)),
                Control(
                    "the variance of the curvature itself",
                    partial(
                        exact_rates.curvature_penalty,
                        coefficient=exact_rates.curvature_unsquared,
                    ),
                ),
                Control(
                    "a factor 1/4",
                    partial(
                        exact_rates.curvature_penalty,
                        coefficient=exact_rates.curvature_quarter,
                    ),
                ),
            ),
            uses=("5d", "5e-isometric"),
            figure=_FIGURE,
            resolution=5e-2,
            examples=8,
        ),
        Proposition(
            label="5f",
            title="Curves and flat surfaces reach zero: flat coordinates are only to be found",
            statement=(
                r"R[g] = 0 \;\Rightarrow\; \min_{\deg\psi\le k} P[f\circ\psi^{-1}]"
                r" \le \mathbb E\,q\big(D\chi_k\,(D\chi)^{-1}\big) \to 0,\quad "
                r"g = D\chi^\top D\chi,\ q(s) = \tfrac12(s^{-2} - 1) + \log s"
            ),
            hypotheses=(
                ("the limit sigma -> 0", r"A_n \propto g(z_n)"),
                ("a continuous law", r"z \sim \text{uniform on the patch}"),
                ("flat", r"R[g] = 0"),
            ),
            kind="inequality",
            instances=flat_coordinates.flat_scenes().filter(flat_coordinates.is_distorted),
            check=flat_coordinates.flat_reaches_zero,
            controls=(
                Control(
                    "a sphere's patch for the flat surface",
                    partial(
                        flat_coordinates.flat_reaches_zero,
                        surface=flat_coordinates.sphere_for_flat,
                    ),
                ),
                Control(
                    "the Jacobian transposed",
                    partial(
                        flat_coordinates.flat_reaches_zero, transform=flat_coordinates.transposed
                    ),
                ),
                Control(
                    "the Jacobian for its inverse",
                    partial(
                        flat_coordinates.flat_reaches_zero, transform=flat_coordinates.pulled_twice
                    ),
                ),
            ),
            uses=("5e-speed",),
            figure=_FIGURE,
            resolution=5e-2,
            examples=10,
        ),
        Proposition(
            label="5f-arc",
            title="On a line arc length makes the metric constant, and leaves the curve its bend",
            statement=(
                r"|\partial_s f| = 1,\quad \partial_s f\cdot\partial_s^2 f = 0,\quad "
                r"\partial_s^2 f = \frac1{|f'|^2}"
                r"\Big(f'' - \frac{f'\cdot f''}{|f'|^2}f'\Big),\quad s = \int|f'|\,dz"
            ),
            hypotheses=(("an immersed curve", r"d = 1,\ f' \ne 0"),),
            kind="identity",
            instances=bent_surfaces.arcs(),
            check=bent_surfaces.unit_speed,
            controls=(
                Control("one power of the speed", partial(bent_surfaces.unit_speed, power=1)),
                Control("the tangential part added", partial(bent_surfaces.unit_speed, sign=1.0)),
                Control("twice the bend", partial(bent_surfaces.unit_speed, bent=2.0)),
            ),
            uses=("5f",),
        ),
        Proposition(
            label="5f-sphere",
            title="A cap of the sphere keeps a penalty in all coordinates of bounded stretch",
            statement=(
                r"D\psi^{-\top} g\, D\psi^{-1} \succeq L^{-2}\,\bar M \;\Rightarrow\;"
                r"P[f\circ\psi^{-1}] \ge P_*(R) > 0,\quad "
                r"\min_{\deg\psi\le k} P[f\circ\psi^{-1}] \to P_*(R)"
            ),
            hypotheses=(
                ("the limit sigma -> 0", r"A_n \propto g(z_n)"),
                _CAP,
                _STRETCH,
            ),
            kind="inequality",
            instances=spherical_cap.caps(),
            check=spherical_cap.cap_keeps_a_penalty,
            controls=(
                Control(
                    "a plane for the sphere",
                    partial(spherical_cap.cap_keeps_a_penalty, surface=spherical_cap.plane),
                ),
                Control(
                    "a cylinder for the sphere",
                    partial(spherical_cap.cap_keeps_a_penalty, surface=spherical_cap.cylinder),
                ),
                Control(
                    "a bound one percent higher",
                    partial(spherical_cap.cap_keeps_a_penalty, factor=1.01),
                ),
            ),
            uses=("5f",),
            figure=_FIGURE,
            resolution=1e-2,
            examples=5,
        ),
        Proposition(
            label="5f-rate",
            title="A small cap keeps R^4 / 192",
            statement=r"P_*(R) = \frac{R^4}{192} + O(R^6)",
            hypotheses=(
                _CAP,
                _STRETCH,
            ),
            kind="rate",
            instances=spherical_cap.small_caps(),
            check=spherical_cap.small_cap_rate,
            controls=(
                Control("R^4 / 96", partial(spherical_cap.small_cap_rate, coefficient=1 / 96)),
                Control("order R^2", partial(spherical_cap.small_cap_rate, exponent=2.0)),
            ),
            uses=("5f-sphere",),
            resolution=1e-2,
            examples=3,
        ),
        Proposition(
            label="5f-torn",
            title="Without a bound of the stretch even the sphere's least penalty is zero",
            statement=(
                r"\inf_\psi P[f\circ\psi^{-1}] = 0:\quad n \text{ petals, tears of total share }"
                r" n^{-2} \;\Rightarrow\; P = O(n^{-2}\log n)"
            ),
            hypotheses=(
                _CAP,
                ("no bound of the stretch", r"M_n \succ 0 \text{ only}"),
            ),
            kind="counterexample",
            instances=spherical_cap.tears(),
            check=spherical_cap.tears_cost_nothing,
            controls=(
                Control(
                    "the cap's bound holds all the same",
                    partial(spherical_cap.tears_cost_nothing, obeyed=True),
                ),
                Control(
                    "tears of constant width",
                    partial(spherical_cap.tears_cost_nothing, sliver=spherical_cap.wide_slivers),
                ),
            ),
            uses=("5f-sphere",),
            resolution=1e-2,
            examples=6,
        ),
        Proposition(
            label="5g",
            title="The penalty draws each Hessian towards their mean",
            statement=(
                r"\frac{\partial P}{\partial A_n} = \frac{w_n}2\big(\bar A^{-1} - A_n^{-1}\big)"
            ),
            hypotheses=(("positive definite", r"A_n \succ 0,\ \textstyle\sum_n w_n = 1"),),
            kind="identity",
            instances=varying_hessians.moved(),
            check=varying_hessians.penalty_gradient,
            controls=(
                Control(
                    "the other sign",
                    partial(
                        varying_hessians.penalty_gradient, gradient=varying_hessians.other_sign
                    ),
                ),
                Control(
                    "no factor 1/2",
                    partial(varying_hessians.penalty_gradient, gradient=varying_hessians.no_half),
                ),
                Control(
                    "matrices for their inverses",
                    partial(
                        varying_hessians.penalty_gradient,
                        gradient=varying_hessians.difference_of_matrices,
                    ),
                ),
            ),
            uses=("5a",),
            resolution=1e-4,
        ),
        Proposition(
            label="5g-fitted",
            title="A decoder fitted with constant variances has the less varying Hessians",
            statement=(
                r"\theta_F \in \arg\max F,\ \theta_C \in \arg\max (F - P) \;\Rightarrow\;"
                r"P(\theta_C) \le P(\theta_F)"
            ),
            hypotheses=(
                ("free variances", r"F = \max_{S_n}\mathbb E\,\mathrm{ELBO}_2"),
                ("constant variance", r"F - P = \max_S\mathbb E\,\mathrm{ELBO}_2"),
                ("global maxima", r"\text{over one and the same set of parameters}"),
            ),
            kind="inequality",
            instances=varying_hessians.families(),
            check=varying_hessians.constant_variances_even_out,
            controls=(
                Control(
                    "the maximisers swapped",
                    partial(varying_hessians.constant_variances_even_out, swapped=True),
                ),
                Control(
                    "the penalty gained instead of lost",
                    partial(varying_hessians.constant_variances_even_out, sign=-1.0),
                ),
            ),
            uses=("5a", "5g"),
            examples=8,
        ),
        digits.CONSTANT_VARIANCE,
    ),
)
