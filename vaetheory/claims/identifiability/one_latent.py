"""Checks of 21b: one monotone decoder of one latent belongs to a density, and many others do."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import autograd.numpy as anp
import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.special import log_ndtr, ndtr

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.lattice import lattice_integral
from vaetheory.checking.strategies import Vector
from vaetheory.decoders import Decoder, FunctionDecoder
from vaetheory.evidence import Integral, log_evidence
from vaetheory.identifiability import RecoveredDecoder, monotone_decoder
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

NOISE = ("noise of a known size", r"p(x|z) = \mathcal N(f(z), \sigma^2),\ \sigma \text{ known}")
ONE = ("one latent, one output", r"d = D = 1")


@dataclass(frozen=True)
class MonotoneScene:
    """A monotone decoder, the noise in units of its spread, and latents."""

    decoder: Decoder
    falls: bool
    noise: float
    z: Vector

    @property
    def latents(self) -> Array:
        """The latents, `(n, 1)`."""
        return np.array(self.z)[:, None]

    @cached_property
    def model(self) -> LatentModel:
        """The model."""
        return LatentModel(self.decoder, likelihoods.Gaussian(scale=self.noise), 1)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Where the data are: outputs of latents within 8.5 deviations, and nine of the noise."""
        ends = np.ravel(self.decoder(np.array([[-8.5], [8.5]])))
        return float(ends.min() - 9 * self.noise), float(ends.max() + 9 * self.noise)


@st.composite
def monotone_scenes(draw: DrawFn) -> MonotoneScene:
    """Straight, saturating and steepening decoders, rising or falling."""
    sign = draw(st.sampled_from((1.0, -1.0)))
    size = st.sampled_from((1.0, 0.5, 2.0))
    a, b, c = draw(size), draw(size), draw(strategies.fractions(-2, 2, 2))
    decoder: Decoder = draw(
        st.sampled_from(
            (
                decoders.Affine([[sign * a]], [c]),
                decoders.TanhNetwork([[[a], [b]], [[sign, sign * b]]], [[c, -c], [0.0]]),
                decoders.Polynomial([[1], [3]], [[sign * a], [sign * 0.125]]),
            )
        )
    )
    return MonotoneScene(
        decoder, sign < 0, draw(st.sampled_from((1.0, 0.5, 0.25))), draw(strategies.vectors(3))
    )


@once
def recovered(scene: MonotoneScene) -> RecoveredDecoder:
    """What the library reads from the density alone."""
    return monotone_decoder(
        lambda X: log_evidence(scene.model, X), scene.z, noise=scene.noise, interval=scene.interval
    )


def _within(found: RecoveredDecoder, told: Array, size: float) -> Comparison:
    """Check that values lie between the bounds, and as near to the estimate as it says."""
    rounding = gamma(100) * size
    return Comparison.all_of(
        Comparison.at_most(found.lower, told, scale=size, rounding=rounding),
        Comparison.at_most(told, found.upper, scale=size, rounding=rounding),
        Comparison.at_most(np.abs(found.value - told), found.error, scale=size, rounding=rounding),
    )


def determined(
    scene: MonotoneScene, *, order: str = "rising", change: tuple[float, float] = (1.0, 0.0)
) -> Comparison:
    """Compare the decoder with what the density of its data says."""
    found = recovered(scene)
    falls = scene.falls if order == "rising" else not scene.falls
    told = np.ravel(scene.decoder(scene.latents * (-1.0 if falls else 1.0)))
    size = 1 + float(np.abs(scene.interval).max())
    return _within(found, change[0] * told + change[1], size)


DETERMINED = Proposition(
    label="21b",
    title="With one latent and known noise the density determines a monotone decoder, up to z to "
    "-z",
    statement=(
        r"\varphi_{f(z)}(t) = e^{\sigma^2t^2/2}\varphi_x(t),\quad "
        r"f(z) = F^{-1}_{f(z)}(\Phi(z)) \text{ if } f \text{ rises},\quad f(-z) \text{ if it falls}"
    ),
    hypotheses=(ONE, NOISE, ("monotone", r"f \text{ continuous and monotone}")),
    kind="identity",
    instances=monotone_scenes(),
    check=determined,
    controls=wrong(
        determined,
        {
            "z and -z are told apart": {"order": "as it is"},
            "up to a factor": {"change": (1.5, 0.0)},
            "up to a shift": {"change": (1.0, 1.5)},
        },
    ),
    figure="identifiability",
    examples=4,
)


@dataclass(frozen=True)
class FoldedScene:
    """Folds of a uniform law, a data range, the noise over it, data, and a latent."""

    folds: int
    share: float
    start: float
    width: float
    noise: float
    x: Vector
    z: float

    def folded(self, u: Array) -> Array:
        """The zigzag of [0, 1] to itself, with `folds` branches of unequal widths."""
        if self.folds == 1:
            return u
        # The first branch has a share of the whole; the rest are equal.
        rest = self.folds - 1
        t = anp.where(
            u < self.share, u / self.share, 1 + (u - self.share) * rest / (1 - self.share)
        )
        return 1 - anp.abs(1 - (t % 2))

    def decoder(self, kind: str) -> Decoder:
        """The monotone decoder, the folded one, or one that is folded smoothly."""
        # This loads SciPy's statistics.
        from autograd.scipy.stats import norm

        if kind == "monotone":
            return FunctionDecoder(lambda z: self.start + self.width * norm.cdf(z))
        if kind == "smooth":
            return FunctionDecoder(lambda z: self.start + self.width * anp.sin(np.pi * norm.cdf(z)))
        return FunctionDecoder(lambda z: self.start + self.width * self.folded(norm.cdf(z)))

    def model(self, kind: str) -> LatentModel:
        """The model of a decoder."""
        return LatentModel(self.decoder(kind), likelihoods.Gaussian(scale=self.sigma), 1)

    @property
    def sigma(self) -> float:
        """The deviation of the noise."""
        return self.noise * self.width


def folded_scenes() -> st.SearchStrategy[FoldedScene]:
    """Two or more branches."""
    return st.builds(
        FoldedScene, st.integers(2, 4), st.sampled_from((0.5, 0.25, 0.75)),
        strategies.fractions(-2, 2, 2), st.sampled_from((1.0, 2.0, 0.5)),
        st.sampled_from((0.125, 0.25, 0.5)), strategies.vectors(3, -2, 6, 4),
        strategies.fractions(-6, 6, 4),
    )  # fmt: skip


@once
def folded_evidence(scene: FoldedScene, kind: str) -> tuple[Array, Array]:
    """The library's log evidences at the data and their errors."""
    x = scene.start + scene.width * np.array(scene.x)[:, None]
    found = log_evidence(scene.model(kind), x)
    return found.value, found.error


@once
def read_from_folded(scene: FoldedScene) -> RecoveredDecoder:
    """The decoder that the density of the folded one's data says."""
    reach = 9 * scene.sigma
    model = scene.model("folded")
    return monotone_decoder(
        lambda X: log_evidence(model, X), [scene.z], noise=scene.sigma,
        interval=(scene.start - reach, scene.start + scene.width + reach),
    )  # fmt: skip


def folded(scene: FoldedScene, *, kind: str = "folded", found: str = "monotone") -> Comparison:
    """Compare evidences of the folded and the monotone decoder with that of a uniform law."""
    x = np.array(scene.x)
    # Both tails, so that no difference of numbers near one is taken.
    low, high = x / scene.noise, (1 - x) / scene.noise
    uniform = np.log(ndtr(low) - ndtr(-high))
    far = np.minimum(low, high) < -2
    tails = np.where(low < high, log_ndtr(low), log_ndtr(high))
    other = np.where(low < high, log_ndtr(-high), log_ndtr(-low))
    with np.errstate(all="ignore"):
        uniform = np.where(far, tails + np.log1p(-np.exp(other - tails)), uniform)
    uniform = uniform - np.log(scene.width)
    parts = []
    for which in ("monotone", kind):
        value, error = folded_evidence(scene, which)
        size = 1 + np.abs(uniform)
        parts.append(
            Comparison.identity(
                value, uniform, scale=size, library=error, rounding=gamma(400) * size
            )
        )
    told = np.ravel(scene.decoder(found)(np.array([[scene.z]])))
    parts.append(_within(read_from_folded(scene), told, 1 + abs(scene.start) + scene.width))
    return Comparison.all_of(*parts)


FOLDED = Proposition(
    label="21b-fold",
    title="Continuous decoders with folds have the density of a monotone one",
    statement=(
        r"f(z) = a + b\,\Phi(z) \text{ and } a + b\,\tau(\Phi(z)),\ \tau \text{ a zigzag of full "
        r"branches, e.g. } 1 - |2u - 1|:\quad p(x) = \tfrac1b\Big(\Phi\big(\tfrac{x - a}\sigma"
        r"\big) - \Phi\big(\tfrac{x - a - b}\sigma\big)\Big)"
    ),
    hypotheses=(ONE, NOISE),
    kind="counterexample",
    instances=folded_scenes(),
    check=folded,
    controls=wrong(
        folded,
        {
            "continuity is enough: the density shows the fold": {"found": "folded"},
            "any fold, e.g. sin(pi u)": {"kind": "smooth"},
        },
    ),
    uses=("21b",),
    figure="identifiability",
    examples=5,
)


@dataclass(frozen=True)
class SharedNoise:
    """A straight decoder, its noise, a smaller noise to read the density with, and data."""

    slope: float
    bias: float
    noise: float
    share: float
    x: Vector
    z: float


def shared_noises() -> st.SearchStrategy[SharedNoise]:
    """Decoders with as much noise as signal, or less."""
    return st.builds(
        SharedNoise, st.sampled_from((1.0, 2.0, 0.5)), strategies.fractions(-2, 2, 2),
        st.sampled_from((1.0, 0.5)), st.sampled_from((0.5, 0.75, 0.25)),
        strategies.vectors(3, -4, 4, 1), strategies.nonzero_fractions(8, 4),
    )  # fmt: skip


@once
def with_less_noise(scene: SharedNoise) -> tuple[Integral, Integral, RecoveredDecoder]:
    """Evidences of both models, and what the density says if the noise is thought to be less."""
    less = scene.share * scene.noise
    steeper = np.sqrt(scene.slope**2 + scene.noise**2 - less**2)
    x = np.array(scene.x)[:, None]
    models = [
        LatentModel(decoders.Affine([[a]], [scene.bias]), likelihoods.Gaussian(scale=s))
        for a, s in ((scene.slope, scene.noise), (steeper, less))
    ]
    reach = 9 * np.hypot(scene.slope, scene.noise) + scene.noise
    found = monotone_decoder(
        lambda X: log_evidence(models[0], X), [scene.z], noise=less,
        interval=(scene.bias - reach, scene.bias + reach),
    )  # fmt: skip
    return log_evidence(models[0], x), log_evidence(models[1], x), found


def noise_counts(scene: SharedNoise, *, power: int = 2, known: bool = False) -> Comparison:
    """Compare both evidences with the Gaussian's, and the decoder that is read."""
    first, second, found = with_less_noise(scene)
    less = scene.share * scene.noise
    total = scene.slope**power + scene.noise**power
    x = np.array(scene.x)
    exact = -0.5 * (x - scene.bias) ** 2 / total - 0.5 * np.log(2 * np.pi * total)
    size = 1 + np.abs(exact)
    slope = scene.slope if known else np.sqrt(scene.slope**2 + scene.noise**2 - less**2)
    return Comparison.all_of(
        *(
            Comparison.identity(
                e.value, exact, scale=size, library=e.error, rounding=gamma(200) * size
            )
            for e in (first, second)
        ),
        _within(found, np.array([slope * scene.z + scene.bias]), 1 + abs(scene.bias) + slope * 2),
    )


NOISE_COUNTS = Proposition(
    label="21b-noise",
    title="If the noise is not known, the density does not say what is decoder and what is noise",
    statement=(
        r"f(z) = az + b \text{ with noise } \sigma \text{ and } f'(z) = a'z + b \text{ with } "
        r"\sigma':\quad p = p' \iff a^2 + \sigma^2 = a'^2 + \sigma'^2"
    ),
    hypotheses=(ONE, ("noise", r"0 < \sigma' < \sigma")),
    kind="counterexample",
    instances=shared_noises(),
    check=noise_counts,
    controls=wrong(
        noise_counts,
        {
            "the density determines the decoder, whatever the noise": {"known": True},
            "deviations add": {"power": 1},
        },
    ),
    uses=("21b",),
    examples=5,
)


@dataclass(frozen=True)
class RadialScene:
    """A decoder of the squared length of two latents, its noise, and a datum."""

    scale: float
    noise: float
    x: float


def radial_scenes() -> st.SearchStrategy[RadialScene]:
    """Exponential laws with noise of their own size and less."""
    return st.builds(
        RadialScene, st.sampled_from((1.0, 0.5, 2.0)), st.sampled_from((1.0, 0.5, 0.25)),
        strategies.fractions(-3, 12, 2),
    )  # fmt: skip


@once
def of_two_latents(scene: RadialScene) -> tuple[float, float]:
    """The library's log evidence of scale |z|^2 / 2, two latents, and its error."""
    half = 0.5 * scene.scale
    decoder = decoders.Polynomial([[2, 0], [0, 2]], [[half], [half]])
    model = LatentModel(decoder, likelihoods.Gaussian(scale=scene.noise * scene.scale))
    found = log_evidence(model, [scene.scale * scene.x])
    return float(found.value), float(found.error)


@once
def of_one_latent(scene: RadialScene, latents: int, factor: float) -> tuple[float, float]:
    """That of the monotone decoder of one latent by a lattice, or of wrong ones."""

    def joint(z: Array) -> Array:
        value = -log_ndtr(-z[:, 0]) if latents == 2 else 0.5 * z[:, 0] ** 2
        prior = -0.5 * z[:, 0] ** 2 - 0.5 * np.log(2 * np.pi)
        away = (scene.x - factor * value) / scene.noise
        return np.exp(prior - 0.5 * away**2)[:, None]

    value, error = lattice_integral(joint, np.array([-9.0]), np.array([12.0]), step=1 / 64)
    lost = float(error[0]) + 1e-18
    peak = -np.log(scene.noise * scene.scale) - 0.5 * np.log(2 * np.pi)
    return float(np.log(value[0]) + peak), lost / float(value[0])


def radial(scene: RadialScene, *, latents: int = 2, factor: float = 1.0) -> Comparison:
    """Compare the evidences of two latents, of one, and of an exponential law with noise."""
    left, off = of_two_latents(scene)
    right, lost = of_one_latent(scene, latents, factor)
    s = scene.noise
    # An exponential law plus noise.
    closed = 0.5 * s**2 - scene.x + float(log_ndtr(scene.x / s - s)) - np.log(scene.scale)
    size = 1 + abs(closed) + abs(scene.x) + s**2
    return Comparison.all_of(
        Comparison.identity(left, right, scale=size, quadrature=off, lattice=lost,
                            rounding=gamma(400) * size),
        Comparison.identity(left, closed, scale=size, quadrature=off, rounding=gamma(400) * size),
    )  # fmt: skip


RADIAL = Proposition(
    label="21b-latents",
    title="The density does not say how many latents there are",
    statement=(
        r"f(z_1, z_2) = \tfrac c2(z_1^2 + z_2^2) \text{ and } f'(z) = -c\log\Phi(-z): \quad p = p',"
        r"\text{ of } c\,E + \sigma\varepsilon,\ E \text{ exponential}"
    ),
    hypotheses=(("one output", r"D = 1"), NOISE),
    kind="counterexample",
    instances=radial_scenes(),
    check=radial,
    controls=wrong(
        radial,
        {
            "one of the latents alone": {"latents": 1},
            "twice the decoder": {"factor": 2.0},
        },
    ),
    uses=("21b",),
    figure="identifiability",
    examples=8,
)
