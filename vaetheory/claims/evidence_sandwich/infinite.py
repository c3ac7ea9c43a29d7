"""Checks of two cases in which CUBO is infinite: correlated latents, and bounded decoders."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.renyi import cubo
from vaetheory.checking import Comparison, Proposition, once, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.claims.evidence_sandwich.renyi import WEIGHTS
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.evidence import linear_log_evidence, log_evidence
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class EqualCorrelations:
    """A linear model whose posterior precision is 4 ((1 - r) I + r 1 1^T), and the best diagonal q.

    The correlation is `hundredths` / 100.
    """

    dim: int
    hundredths: int

    @property
    def precision(self) -> Array:
        """P."""
        r = self.hundredths / 100
        return 4 * ((1 - r) * np.eye(self.dim) + r * np.ones((self.dim, self.dim)))

    @cached_property
    def model(self) -> LatentModel:
        """The model with the decoder's weight a root of P - I."""
        weight = np.linalg.cholesky(self.precision - np.eye(self.dim)).T
        return LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=1.0))

    @property
    def q(self) -> Posterior:
        """N(0, diag(P)^-1), the diagonal Gaussian of the greatest ELBO for x = 0."""
        return Posterior(np.zeros(self.dim), scale=0.5)


def correlations() -> st.SearchStrategy[EqualCorrelations]:
    """Two to five latents; correlations of 1/2 itself are left to rational arithmetic."""
    return st.builds(
        EqualCorrelations,
        st.sampled_from((2, 3, 5)),
        st.sampled_from((25, 40, 45, 55, 60, 70, 0)),
    )


def correlated_latents(
    scene: EqualCorrelations,
    *,
    always: bool = False,
    exchanged: bool = False,
    fewer: bool = False,
) -> Comparison:
    """Compare CUBO_2 with its closed form in r, and see the integrand grow where it is infinite."""
    d, r = scene.dim, Fraction(scene.hundredths, 100)
    x = np.zeros(d)
    found = cubo(scene.model, x, scene.q)
    exact = linear_log_evidence(scene.model, x)
    # Eigenvalues of 2 P - diag P, over those of diag P, along a difference and along 1.
    least = min(1 - 2 * r, 1 + 2 * (d - 1) * r)
    if exchanged:
        least = min(1 + r, 1 - (d - 1) * r)
    if always:
        least = 1 - r
    finite = least > 0
    along = np.zeros(d)
    along[:2] = 1.0, -1.0

    def log_square(z: Array) -> float:
        return float(2 * scene.model.log_joint(x, z) - scene.q.log_prob(z))

    heights = [log_square(reach * along) for reach in (4.0, 8.0, 16.0)]
    own = not np.isposinf(found.value)
    size = 1 + abs(heights[-1])
    parts = [
        Comparison.identity(float(own), float(finite), scale=1.0, exact=0.0),
        # The integrand falls along the difference of two latents if and only if it is finite.
        Comparison.at_most(
            heights[1:] if own else heights[:-1], heights[:-1] if own else heights[1:],
            scale=size, rounding=gamma(200) * size,
        ),
    ]  # fmt: skip
    if own and 2 * r < 1:
        t = float(r)
        above = (d - 1) * np.log1p(-t) + np.log1p((d - 1) * t)
        below = (d - 1) * np.log1p(-2 * t) + np.log1p(2 * (d - 1) * t)
        told = exact.value + (0.5 if not fewer else 0.25) * (above - 0.5 * below)
        condition = 1 / min(1 - 2 * t, 1.0)
        lost = gamma(200 * d) * condition * (1 + abs(above) + abs(below))
        parts.append(
            Comparison.identity(
                found.value, told, scale=1 + abs(told), library=found.error, evidence=exact.error,
                rounding=lost,
            )
        )  # fmt: skip
    return Comparison.all_of(*parts)


CORRELATED = Proposition(
    label="15a-infinite",
    title="CUBO of a diagonal encoder is infinite as soon as latents correlate by one half",
    statement=(
        r"P = c\,((1-r)I + r\,\mathbf 1\mathbf 1^\top),\ Q = \operatorname{diag}P:\quad "
        r"\mathrm{CUBO}_2 = \infty \iff r \ge \tfrac12;\quad \mathrm{CUBO}_2 - \log p(x) = \tfrac12"
        r"\log\frac{(1-r)^{d-1}(1+(d-1)r)}{\sqrt{(1-2r)^{d-1}(1+2(d-1)r)}}"
    ),
    hypotheses=(
        WEIGHTS,
        ("linear model, Gaussian noise", r"d \ge 2,\ r = P_{ij}/\sqrt{P_{ii}P_{jj}} \ge 0"),
        ("the best diagonal q", r"m = \mu,\ S_{jj} = 1/P_{jj}"),
    ),
    kind="counterexample",
    instances=correlations(),
    check=correlated_latents,
    controls=wrong(
        correlated_latents,
        {
            "finite for every posterior": {"always": True},
            "finite iff 2 diag P - P is definite": {"exchanged": True},
            "half the excess": {"fewer": True},
        },
    ),
    uses=("14d", "15a"),
    examples=12,
)


@dataclass(frozen=True)
class BoundedScene:
    """A decoder with bounded outputs, a datum, and q by its mean and its variance in sixteenths."""

    decoder: Decoder
    likelihood: Likelihood
    x: tuple[float, ...]
    mean: float
    sixteenths: int
    n: int

    @cached_property
    def model(self) -> LatentModel:
        """The latent model."""
        return LatentModel(self.decoder, self.likelihood, 1)

    @property
    def q(self) -> Posterior:
        """The Gaussian."""
        return Posterior([self.mean], cov=[[self.sixteenths / 16]])


@st.composite
def bounded_scenes(draw: DrawFn) -> BoundedScene:
    """Circles, networks of tanh and sines; n = 2 and 3; variances off (n - 1) / n."""
    half = st.sampled_from((0.0, 0.5, 1.0, -0.5))
    decoder = draw(
        st.one_of(
            st.builds(decoders.Circle, st.sampled_from((1.0, 2.0))),
            st.builds(
                lambda w, b: decoders.TanhNetwork(
                    [[[w], [1.0]], [[1.0, 0.0], [b, 1.0]]], [[b, 0.0], [0.0, 0.0]]
                ),
                st.sampled_from((1.0, 2.0)),
                half,
            ),
            st.builds(
                lambda w: decoders.Sine([1.0, 0.5], [[w], [1.0]]), st.sampled_from((0.5, 1.0))
            ),
        )
    )
    likelihood = draw(
        st.sampled_from(
            (likelihoods.Gaussian(scale=0.5), likelihoods.Gaussian(scale=0.25),
             likelihoods.Bernoulli())
        )
    )  # fmt: skip
    x = draw(st.sampled_from(((1.0, 0.0), (0.0, 1.0), (1.0, 1.0))))
    variance = st.sampled_from((12, 16, 20, 9, 6, 2, 1))
    return BoundedScene(decoder, likelihood, x, draw(half), draw(variance), draw(st.integers(2, 3)))


@once
def cubo_of(scene: BoundedScene) -> tuple[float, ...]:
    """The library's CUBO_n and log evidence with their errors."""
    found = cubo(scene.model, scene.x, scene.q, scene.n)
    exact = log_evidence(scene.model, np.array(scene.x))
    return tuple(float(v) for v in (found.value, found.error, exact.value, exact.error))


@once
def mean_power(scene: BoundedScene) -> tuple[float, float]:
    """Log E_q[w^n] / n by a lattice over the Gaussian that is left, and an estimate of its error.

    It is a sum of values of w^n q itself, shifted by a constant.
    """
    n, v, x = scene.n, scene.sixteenths / 16, np.array(scene.x)
    precision = n - (n - 1) / v
    centre = -(n - 1) * scene.mean / v / precision

    def logs(z: Array) -> Array:
        return n * scene.model.log_joint(x, z) - (n - 1) * scene.q.log_prob(z)

    reach = 12 / np.sqrt(precision)
    height = logs(centre + np.linspace(-reach, reach, 400)[:, None]).max()
    value, error = lattice_integral(
        lambda z: np.exp(logs(z) - height)[:, None], np.array([centre - reach]),
        np.array([centre + reach]), step=0.01,
    )  # fmt: skip
    return (float(np.log(value[0])) + height) / n, float(error[0] / value[0]) / n


@once
def laplace_precision(scene: BoundedScene) -> float:
    """The precision of the posterior at its highest point on a grid."""
    z = np.linspace(-4.0, 4.0, 801)[:, None]
    x = np.array(scene.x)
    top = z[scene.model.log_joint(x, z).argmax()]
    return float(scene.model.potential_derivatives(x, top)[1][0, 0])


def bounded_decoders(
    scene: BoundedScene, *, posterior: bool = False, always: bool = False, other: bool = False
) -> Comparison:
    """Decide by q's variance alone whether CUBO_n is infinite, and compare it where it is not."""
    n, v = scene.n, Fraction(scene.sixteenths, 16)
    value, error, exact, off = cubo_of(scene)
    finite = integrable = v > Fraction(n - 1, n)
    if posterior:
        # As if the posterior's own precision were that of its tails.
        finite = n * laplace_precision(scene) - (n - 1) / float(v) > 0
    if other:
        finite = v < Fraction(n, n - 1)
    own = not np.isposinf(value)
    parts = [Comparison.identity(float(own), float(finite or always), scale=1.0, exact=0.0)]
    if own and integrable:
        told, lost = mean_power(scene)
        parts += [
            Comparison.identity(
                value, told, scale=1 + abs(told), library=error, lattice=lost,
                rounding=gamma(2000) * (1 + abs(told)),
            ),
            Comparison.at_most(exact, value, scale=1 + abs(told), library=error, evidence=off),
        ]  # fmt: skip
    else:
        # Beyond all outputs' influence the integrand of E_q[w^n] does not fall any more.
        x = np.array(scene.x)
        reaches = np.array([[64.0], [128.0], [256.0]])
        joint, density = scene.model.log_joint(x, reaches), scene.q.log_prob(reaches)
        heights = n * joint - (n - 1) * density
        size = 1 + np.abs(heights[1:])
        parts.append(
            Comparison.at_most(heights[:-1], heights[1:], scale=size, rounding=gamma(200) * size)
        )
    return Comparison.all_of(*parts)


BOUNDED = Proposition(
    label="15a-bounded",
    title="With a bounded decoder CUBO is infinite for every narrow encoder, however good it is",
    statement=(
        r"\sup_z |\log p(x|z)| < \infty:\quad \mathrm{CUBO}_n < \infty \iff S \succ \tfrac{n-1}{n}I"
    ),
    hypotheses=(
        WEIGHTS,
        ("bounded outputs", r"\text{a last layer after tanh, circles, sines; any family whose log "
         r"density is continuous}"),
        ("Gaussian q", r"q = \mathcal N(m, S),\ p(z) = \mathcal N(0, I)"),
    ),
    kind="counterexample",
    instances=bounded_scenes(),
    check=bounded_decoders,
    controls=wrong(
        bounded_decoders,
        {
            "the posterior's precision decides": {"posterior": True},
            "CUBO is always finite": {"always": True},
            "S < n / (n - 1)": {"other": True},
        },
    ),
    uses=("14d-bounded", "15a"),
    figure="evidence-sandwich",
    examples=14,
)  # fmt: skip
