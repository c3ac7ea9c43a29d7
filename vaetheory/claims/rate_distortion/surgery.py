"""Checks of 16a and 16b: what the divergence from the prior is made of, and which prior is best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds.information_terms import Surgery, elbo_surgery
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.encoders import AggregatePosterior
from vaetheory.rounding import gamma

CODES = ("Gaussian codes", r"q(z|x_n) = \mathcal N(m_n, S_n),\ n = 1, \dots, N")
INFORMATION = (
    "information",
    r"I_q = \mathbb E_n\mathrm{KL}(q(z|x_n)\,\|\,q(z)),\ q(z) = \mathbb E_n q(z|x_n)",
)


@dataclass(frozen=True)
class Priors:
    """Codes, and a prior that is a mixture of two Gaussians."""

    codes: EncodedData
    weight: float
    centres: tuple[Vector, Vector]
    variance: float

    @property
    def encoder(self) -> AggregatePosterior:
        """The codes."""
        return self.codes.encoder

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.centres[0])

    def log_prior(self, z: Array) -> Array:
        """Log density of the mixture at `(..., d)`."""
        cov = self.variance * np.eye(self.dim)
        first, second = (_gaussians.log_prob(z, np.array(c), cov) for c in self.centres)
        return np.asarray(
            np.logaddexp(first + np.log(self.weight), second + np.log1p(-self.weight))
        )


@st.composite
def priors(draw: DrawFn, dims: tuple[int, ...] = (1, 1, 1, 2)) -> Priors:
    """Two to four codes, and a prior of two parts."""
    dim = draw(st.sampled_from(dims))
    codes = draw(
        strategies.encoded_data(dim, strategies.data_sets(1, 2, 4), variances=(1.0, 0.5, 0.25))
    )
    centre = strategies.vectors(dim, -2, 2)
    return Priors(
        codes,
        draw(st.sampled_from((0.5, 0.25, 0.9))),
        (draw(centre), draw(centre)),
        draw(st.sampled_from((1.0, 2.0, 0.5))),
    )


@once
def surgery_of(encoder: AggregatePosterior) -> Surgery:
    """The library's parts."""
    return elbo_surgery(encoder)


def _standard(z: Array) -> Array:
    return np.asarray(-0.5 * (z**2).sum(axis=-1) - 0.5 * z.shape[-1] * np.log(2 * np.pi))


@once
def lattice_parts(encoder: AggregatePosterior) -> tuple[tuple[float, float, float], ...]:
    """I_q, KL(q(z) || p) and KL(p || q(z)) by lattices: value, error and size of each."""

    def information(z: Array) -> Array:
        components = encoder.component_log_prob(z)
        shares = encoder.responsibilities(z)
        return (shares * (components - encoder.aggregate_log_prob(z)[..., None])).sum(axis=-1)

    def apart(z: Array) -> Array:
        return encoder.aggregate_log_prob(z) - _standard(z)

    def other_way(z: Array) -> Array:
        # As an expectation under the prior, with its density in place of that of q(z).
        return np.exp(_standard(z) - encoder.aggregate_log_prob(z)) * -apart(z)

    one_way = [aggregate_expectation(f, encoder) for f in (information, apart)]
    return (*one_way, aggregate_expectation(other_way, encoder))


def surgery(
    scene: Priors, *, reverse: bool = False, all_of_it: bool = False, share: float = 1.0
) -> Comparison:
    """Compare the rate in closed form with information and divergence, each by a lattice."""
    encoder = scene.encoder
    found = surgery_of(encoder)
    information, apart, other_way = lattice_parts(encoder)
    second = other_way if reverse else apart
    told = found.rate if all_of_it else information[0]
    rate = share * information[0] + second[0]
    size = 1 + found.rate + information[2] + second[2]
    lost = gamma(2000) * size
    count = len(encoder.loc)
    return Comparison.all_of(
        Comparison.identity(
            found.rate, rate, scale=size, information=information[1], divergence=second[1],
            rounding=lost,
        ),
        Comparison.identity(
            found.information, told, scale=size, library=found.error, lattice=information[1],
            rounding=lost,
        ),
        Comparison.identity(
            found.divergence, second[0], scale=size, library=found.error, lattice=second[1],
            rounding=lost,
        ),
        Comparison.at_most(0.0, found.information, scale=1.0, library=found.error),
        Comparison.at_most(found.information, np.log(count), scale=1.0, library=found.error),
    )  # fmt: skip


SURGERY = Proposition(
    label="16a",
    title="The rate is the information of the codes plus the divergence of their aggregate",
    statement=(
        r"\mathbb E_n\mathrm{KL}(q(z|x_n)\,\|\,p) = I_q + \mathrm{KL}(q(z)\,\|\,p),\quad "
        r"0 \le I_q \le \log N"
    ),
    hypotheses=(CODES, INFORMATION),
    kind="identity",
    instances=priors(),
    check=surgery,
    controls=wrong(
        surgery,
        {
            "KL(p || q(z)) for KL(q(z) || p)": {"reverse": True},
            "the information is the rate": {"all_of_it": True},
            "half of the information": {"share": 0.5},
        },
    ),
    uses=("6e",),
    examples=12,
)


@once
def mixture_rates(scene: Priors) -> tuple[float, float]:
    """E_n KL(q(z|x_n) || r) for the mixture r, by quadrature under each code, and its error."""
    encoder = scene.encoder
    found = gaussian_expectation(
        lambda z, rows: scene.log_prior(z), encoder.loc, encoder.cov, rtol=1e-12
    )
    value = -float(found.value.mean()) - float(encoder.entropy().mean())
    return value, float(found.error.mean())


@once
def losses(scene: Priors) -> tuple[tuple[float, float, float], ...]:
    """KL(q(z) || r) and KL(r || q(z)) by lattices."""
    encoder = scene.encoder

    def loss(z: Array) -> Array:
        return encoder.aggregate_log_prob(z) - scene.log_prior(z)

    def other_way(z: Array) -> Array:
        return np.exp(-loss(z)) * -loss(z)

    return aggregate_expectation(loss, encoder), aggregate_expectation(other_way, encoder)


def best_prior(
    scene: Priors, *, share: float = 1.0, reverse: bool = False, gaussian: bool = False
) -> Comparison:
    """Compare what a prior loses against q(z) with its divergence, and find the best Gaussian."""
    encoder = scene.encoder
    found = surgery_of(encoder)
    rate, rate_error = mixture_rates(scene)
    loss = losses(scene)[int(reverse)]
    size = 1 + abs(rate) + loss[2]
    # The best N(0, diag v), 6a, and others of its kind.
    v = (encoder.loc**2 + np.diagonal(encoder.cov, axis1=-2, axis2=-1)).mean(axis=0)
    zero = np.zeros(scene.dim)
    rates = [
        float(_gaussians.kl_divergence(encoder.loc, encoder.cov, zero, np.diag(f * v)).mean())
        for f in (1.0, 0.8, 1.25)
    ]
    lost = gamma(2000) * size
    least = found.information if not gaussian else rates[0]
    return Comparison.all_of(
        Comparison.identity(
            rate - found.information, share * loss[0], scale=size, quadrature=rate_error,
            library=found.error, lattice=loss[1], rounding=lost,
        ),
        Comparison.at_most(rates[0], rates[1:], scale=1 + rates[0], rounding=lost),
        Comparison.at_most(least, found.information, scale=1 + rates[0], library=found.error,
                           rounding=lost),
        Comparison.at_most(found.information, [rate, *rates], scale=size, library=found.error,
                           quadrature=rate_error, rounding=lost),
    )  # fmt: skip


BEST_PRIOR = Proposition(
    label="16b",
    title="For a fixed encoder the best prior is q(z), and others lose their divergence from it",
    statement=(
        r"\mathbb E_n\mathrm{KL}(q(z|x_n)\,\|\,r) - \mathbb E_n\mathrm{KL}(q(z|x_n)\,\|\,q(z)) = "
        r"\mathrm{KL}(q(z)\,\|\,r) \ge 0;\quad \text{the best } \mathcal N(0, \operatorname{diag}v)"
        r"\text{ has } v_j = \mathbb E_n[m_{nj}^2 + S_{n,jj}]"
    ),
    hypotheses=(CODES, INFORMATION, ("any prior", r"r(z) > 0;\ \text{the check: mixtures}")),
    kind="identity",
    instances=priors(),
    check=best_prior,
    controls=wrong(
        best_prior,
        {
            "half the divergence": {"share": 0.5},
            "KL(r || q(z))": {"reverse": True},
            "a learned Gaussian prior loses nothing": {"gaussian": True},
        },
    ),
    uses=("6a", "16a"),
    examples=12,
)
