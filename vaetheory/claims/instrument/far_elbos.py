"""The check of 0d-rounding: stated errors of ELBOs and of KLs cover rounding on large offsets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, wrong
from vaetheory.claims.instrument.far_lines import FarLine
from vaetheory.claims.instrument.fifty_digits import (
    PI,
    Number,
    log,
    minus,
    number,
    off,
    product,
    ratio,
    total,
)
from vaetheory.claims.instrument.stated_errors import SHARPER, Figure, covered, hundredth, stated
from vaetheory.encoders import Posterior
from vaetheory.evidence import posterior_kl
from vaetheory.rounding import ULP


@dataclass(frozen=True)
class FarBound(FarLine):
    """A linear decoder with a large offset, and a posterior by its mean and variance."""

    loc: float
    variance: float

    def terms(self) -> tuple[Number, Number, Number]:
        """Expected log likelihood, KL to the prior, and log evidence, to fifty digits."""
        w, b, sigma, x, m, s = (
            number(v) for v in (self.slope, self.bias, self.scale, self.x, self.loc, self.variance)
        )
        two, square = number(2.0), product(sigma, sigma)
        misfit = total((x, minus(b), minus(product(w, m))))
        second = total((product(misfit, misfit), product(w, w, s)))
        constant = log(product(two, PI, square))
        likelihood = minus(ratio(total((constant, ratio(second, square))), two))
        divergence = ratio(total((s, product(m, m), number(-1.0), minus(log(s)))), two)
        return likelihood, divergence, self.log_evidence()


@st.composite
def far_bounds(draw: DrawFn) -> FarBound:
    """Large offsets and small scales; displaced posteriors, or so narrow that nodes coincide."""
    slope = draw(st.sampled_from((3.0, 0.7, 100.3, 1e-6)))
    return FarBound(
        slope,
        draw(st.sampled_from((0.3, 1e3, 1e6, 3e4))),
        draw(st.sampled_from((1e-3, 0.1, 1.0))),
        draw(st.sampled_from((1.7, 0.3, 40.1))) * slope,
        draw(st.sampled_from((0.3, 1.7, -2.1, 31234.7))),
        draw(st.sampled_from((0.7, 1e-3, 1e-6, 1e-24))),
    )


@st.composite
def displaced(draw: DrawFn) -> FarBound:
    """A flat decoder and a posterior far from the prior, so that the divergence dominates."""
    loc = draw(st.sampled_from((31234.7, 777.7, 1.2e5)))
    return FarBound(1e-6, 0.3, 1.0, 0.25, loc, draw(st.sampled_from((0.7, 1e-3))))


@lru_cache(maxsize=64)
def _far(scene: FarBound) -> Integral:
    posterior = Posterior(np.array([scene.loc]), cov=np.array([[scene.variance]]))
    return elbo(scene.model, np.array([scene.x]), posterior)


@lru_cache(maxsize=64)
def _far_divergence(scene: FarBound) -> Integral:
    posterior = Posterior(np.array([[scene.loc]]), cov=np.array([[[scene.variance]]]))
    computed = posterior_kl(scene.model, np.array([[scene.x]]), posterior)
    return computed.reshape(())


def bound_rounding_is_covered(
    scenes: tuple[FarBound, ...], *, figure: Figure = stated
) -> Comparison:
    """Compare ELBOs, and KLs to the posterior, of linear models with values of fifty digits."""
    parts = []
    for scene in scenes:
        likelihood, divergence, evidence = scene.terms()
        bound = total((likelihood, minus(divergence)))
        routes = ((_far(scene), bound), (_far_divergence(scene), total((evidence, minus(bound)))))
        for computed, truth in routes:
            away = off(float(computed.value), truth)
            parts.append(covered(away, float(figure(computed)), 0.0, size=1 + abs(float(truth))))
    return Comparison.all_of(*parts)


def last_digits(computed: Integral) -> Array:
    """Four units in the last place of the value."""
    return 4 * ULP * (1 + np.abs(computed.value))


ROUNDING_IS_COVERED = Proposition(
    label="0d-rounding",
    title="Stated errors of ELBOs and of divergences cover rounding on great offsets",
    statement=(
        r"\big|\widehat{\mathrm{ELBO}} - \mathrm{ELBO}\big|,\ "
        r"\big|\widehat{\mathrm{KL}} - \mathrm{KL}(q\,\|\,p(z|x))\big| \le "
        r"\text{the stated error}"
    ),
    hypotheses=(
        ("a linear decoder", r"f(z) = wz + b,\ b \text{ up to } 10^6,\ d = 1"),
        ("narrow", r"\sigma \ge 10^{-3},\ S \ge 10^{-24}"),
    ),
    kind="inequality",
    instances=st.tuples(*[far_bounds()] * 3, displaced()),
    check=bound_rounding_is_covered,
    controls=wrong(
        bound_rounding_is_covered,
        {
            "the last digits of the value alone": {"figure": last_digits},
            "a hundredth of the figure": {"figure": hundredth},
        },
    ),
    uses=("0d", "0a-rounding"),
    resolution=SHARPER,
)
