"""The check of 7d-penalty: claim 5 under every exponential family, with A = I + g."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import second_order_elbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.encoded_families import EXPONENTIAL
from vaetheory.claims.riemannian_likelihood.families import FAMILIES, FULL_FAMILY
from vaetheory.claims.riemannian_likelihood.repeated_data import Repeated
from vaetheory.encoders import Posterior
from vaetheory.geometry import pullback_metric
from vaetheory.likelihoods import ExponentialFamily
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

#: Families that admit any number of outputs.
MATCHED = tuple(name for name in EXPONENTIAL if not name.startswith("Gaussian, "))


@dataclass(frozen=True)
class MatchedCodes:
    """A curve of parameters under a family, and latent points whose data match their means."""

    family: str
    constants: Vector
    slope: Vector
    bend: Vector
    z: tuple[float, ...]

    @property
    def decoder(self) -> decoders.Polynomial:
        """Z -> slope z + bend z^2."""
        return decoders.Polynomial([[1], [2]], [self.slope, self.bend])


@st.composite
def matched_codes(draw: DrawFn, names: Sequence[str]) -> MatchedCodes:
    """Two to four latent points on a bent curve with two outputs."""
    name = draw(st.sampled_from(tuple(names)))
    pair = strategies.vectors(2, -2, 2, 2)
    points = st.lists(strategies.fractions(-4, 4, 4), min_size=2, max_size=4, unique=True)
    constants = draw(FAMILIES[name].constants)
    return MatchedCodes(name, constants, draw(pair), draw(pair), tuple(draw(points)))


def constant_variance(
    scene: MatchedCodes,
    *,
    closed: Callable[[Array], float] | None = None,
    prior: float = 1.0,
    best: Callable[[Array], float] = lambda a: 1 / float(a.mean()),
) -> Comparison:
    """Compare the loss of second-order ELBO by one variance with 1/2 (log E[A] - E[log A]).

    The ELBO is the library's at the data whose statistics are the means at their latent points,
    where the Hessian is A = I + g. No other variance loses less.
    """
    z = np.array(scene.z)[:, None]
    family = cast(ExponentialFamily, FAMILIES[scene.family].build(*scene.constants))
    model = LatentModel(scene.decoder, Repeated(family, 1.0), 1)
    one = LatentModel(scene.decoder, family, 1)
    precision = prior + pullback_metric(one, z)[:, 0, 0]
    data = FAMILIES[scene.family].from_statistic(family, family.mean(one.decode(z)))
    free = second_order_elbo(model, data, Posterior(z, cov=1 / precision[:, None, None]))

    def common(variance: float) -> Array:
        return second_order_elbo(model, data, Posterior(z, cov=[[variance]]))

    variance = best(precision)
    penalty = float((free - common(variance)).mean())
    if closed is None:
        value = 0.5 * float(np.log(precision.mean()) - np.log(precision).mean())
    else:
        value = closed(precision)
    log_joint = np.abs(model.log_joint(data, z)).mean()
    carried = (np.abs(model.likelihood.score(data, one.decode(z))) * np.abs(one.decode(z))).sum()
    size = float(1 + log_joint + carried + np.abs(np.log(precision)).mean())
    rounding = gamma(300) * size * float(1 + (precision / precision.min()).max())
    others = [float((free - common(variance * t)).mean()) for t in (0.9, 1.1)]
    return Comparison.all_of(
        Comparison.identity(penalty, value, scale=size, rounding=rounding),
        *[Comparison.at_most(penalty, v, scale=size, rounding=rounding) for v in others],
    )


CONSTANT_VARIANCE = Proposition(
    label="7d-penalty",
    title="A constant variance costs 1/2 (log E[A] - E[log A]) with A = I + g",
    statement=(
        r"\tfrac1N\sum_n\big(\mathrm{ELBO}_2(x_n; A_n^{-1}) - \mathrm{ELBO}_2(x_n; S)\big)"
        r" \ge \tfrac12\big(\log\mathbb E[A] - \mathbb E[\log A]\big),"
        r"\quad A_n = 1 + g(z_n);\ =\text{ iff } S = \mathbb E[A]^{-1}"
    ),
    hypotheses=(
        FULL_FAMILY,
        ("matching data", r"T(x_n) = \mathbb E_{p(x|f(z_n))}[T]"),
        ("one dimension", r"d = 1"),
    ),
    kind="identity",
    instances=matched_codes(MATCHED),
    check=constant_variance,
    controls=wrong(
        constant_variance,
        {
            "the prior counted twice": {"prior": 2.0},
            "the mean variance for the mean precision": {"best": lambda a: float((1 / a).mean())},
            "no factor 1/2": {"closed": lambda a: float(np.log(a.mean()) - np.log(a).mean())},
            "E[log A] in place of log E[A]": {"closed": lambda a: 0.0},
        },
    ),
    uses=("3e", "7a"),
    examples=40,
)
