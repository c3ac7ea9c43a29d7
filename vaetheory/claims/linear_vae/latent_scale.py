"""Checks of 12f and 12f-trained: the scale of the latents where the ELBO is stationary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as anp
import numpy as np
from autograd import value_and_grad
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from scipy.optimize import minimize

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.bounds.stationary import StationaryPosterior, stationary_posterior
from vaetheory.checking import Comparison, Proposition, once, strategies, wrong
from vaetheory.checking.rates import extrapolate
from vaetheory.checking.strategies import Vector
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

# Factors e^h of the scale from which a derivative is extrapolated.
_STEPS = np.array([1 / 8, 1 / 16, 1 / 32])


@dataclass(frozen=True)
class ScaledScene:
    """A network of two hidden tanh units behind the scales c; data, posteriors and a gauge."""

    hidden: Vector
    scale: Vector
    noise: float
    X: Vector
    loc: tuple[Vector, ...]
    cov: strategies.Covariance
    gauge: Vector

    @property
    def dim(self) -> int:
        """The latent dimension."""
        return len(self.scale)

    def model(self, scale: Array) -> LatentModel:
        """The model with other scales c."""
        first = np.array([[1.0, 0.5], self.hidden])[:, : self.dim] * scale
        decoder = decoders.TanhNetwork([first, np.array([[1.0, -0.5]])], [[0.25, -0.5], [0.0]])
        return LatentModel(decoder, likelihoods.Gaussian(scale=self.noise), self.dim)

    @property
    def data(self) -> Array:
        """The data `(N, 1)`."""
        return np.array(self.X)[:, None]


@st.composite
def scaled_scenes(draw: DrawFn, dims: tuple[int, ...] = (1, 2)) -> ScaledScene:
    """Three data under a small network, with any posteriors."""
    dim = draw(st.sampled_from(dims))
    return ScaledScene(
        draw(st.tuples(strategies.fractions(1, 4, 2), strategies.nonzero_fractions(4, 2))),
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0))] * dim)),
        draw(st.sampled_from((0.5, 1.0))),
        draw(st.tuples(*[strategies.fractions(-4, 4, 2)] * 3)),
        draw(st.tuples(*[strategies.vectors(dim, -2, 2)] * 3)),
        draw(strategies.covariances(dim)),
        draw(st.tuples(*[st.sampled_from((0.5, 2.0, 1.25))] * dim)),
    )


@once
def gauged(scene: ScaledScene) -> tuple[float, float]:
    """The mean ELBO after the gauge less that before it, by quadrature, and its error."""
    c, a = np.array(scene.scale), np.array(scene.gauge)
    loc, cov = np.array(scene.loc), np.broadcast_to(scene.cov.matrix, (3, scene.dim, scene.dim))
    before = elbo(scene.model(c), scene.data, Posterior(loc, cov=cov))
    turned = Posterior(a * loc, cov=cov * np.outer(a, a))
    after = elbo(scene.model(c / a), scene.data, turned)
    return float((after.value - before.value).mean()), float((after.error + before.error).mean())


@once
def best_posteriors(scene: ScaledScene) -> tuple[StationaryPosterior, float, float, float]:
    """The best posteriors of the given scales, and d/dlog c of their ELBO in all c at once.

    The derivative is extrapolated from differences: value, remainder and noise.
    """
    c = np.array(scene.scale)
    centre = stationary_posterior(scene.model(c), scene.data)
    differences, errors = [], []
    for h in _STEPS:
        up, down = (
            stationary_posterior(scene.model(c * np.exp(s)), scene.data, start=centre)
            for s in (h, -h)
        )
        differences.append(float((up.value - down.value).mean()) / (2 * h))
        errors.append(float((up.error + down.error).mean()) / (2 * h))
    limit, left, lost = extrapolate(np.array(differences), np.array(errors))
    return centre, limit, left, lost


def scale_of_latents(
    scene: ScaledScene,
    *,
    variances: bool = True,
    offset: float = -1.0,
    any_scale: bool = False,
) -> Comparison:
    """Check the ELBO along the gauge, and its derivative in c at the best posteriors."""
    loc, a = np.array(scene.loc), np.array(scene.gauge)
    own = np.diag(scene.cov.matrix) if variances else np.zeros(scene.dim)
    moments = (loc**2).mean(axis=0) + own
    found, error = gauged(scene)
    # The divergence from the prior is all that the gauge changes.
    expected = -0.5 * float(((a**2 - 1) * moments - 2 * np.log(a)).sum())
    size = 1 + abs(found) + float(((1 + a**2) * moments).sum())
    best, slope, left, lost = best_posteriors(scene)
    spread = np.diagonal(best.cov, axis1=-2, axis2=-1)
    second = best.loc**2 + (spread if variances else 0.0)
    excess = 0.0 if any_scale else float((second.mean(axis=0) + offset).sum())
    # A deficit of e nats is a shift of at most sqrt(2 e) in units of the posterior's width.
    shift = np.sqrt(2 * best.deficit)[:, None]
    uncertain = (2 * np.abs(best.loc) * np.sqrt(spread) + 4 * spread) * shift
    return Comparison.all_of(
        Comparison.identity(found, expected, scale=size, elbo=error, rounding=gamma(50) * size),
        Comparison.identity(
            slope,
            excess,
            scale=1.0 + scene.dim,
            expansion=left,
            numerics=lost,
            posterior=float(uncertain.mean(axis=0).sum()),
        ),
    )


SCALE_OF_LATENTS = Proposition(
    label="12f",
    title="Where scale and encoder are stationary, every latent has second moment one",
    statement=(
        r"f(z) = h(\operatorname{diag}(c)\,z):\quad \mathrm{ELBO}(c/\alpha, \alpha m, "
        r"\alpha S\alpha) - \mathrm{ELBO}(c, m, S) = -\tfrac12\sum_j\big[(\alpha_j^2 - 1)\,"
        r"\mathbb E_n[m_j^2 + S_{jj}] - 2\log\alpha_j\big];\quad "
        r"c_j\frac{\partial}{\partial c_j}\max_{m,S}\mathrm{ELBO} = "
        r"\mathbb E_n[m_j^2 + S_{jj}] - 1,\ 0 \text{ at the best } c"
    ),
    hypotheses=(
        ("any likelihood and any h", r"f(z) = h(\operatorname{diag}(c)z),\ c_j \ne 0 \text{ free}"),
        ("the encoder", r"m_n, S_n \text{ of every datum free, or a family closed under scaling}"),
    ),
    kind="identity",
    instances=scaled_scenes(),
    check=scale_of_latents,
    controls=wrong(
        scale_of_latents,
        {
            "the means alone": {"variances": False},
            "m^2 + S + 1": {"offset": 1.0},
            "at every scale, though it is fixed": {"any_scale": True},
        },
    ),
    uses=("3b", "6b"),
    resolution=1e-3,
    examples=4,
)


def _objective(scene: ScaledScene, nodes: Array, weights: Array) -> Any:
    """Minus the mean ELBO of (log s_n, m_n, c), by a Gauss-Hermite rule, which keeps the gauge."""
    x, (slope, bend) = np.array(scene.X), scene.hidden
    log_noise = np.log(2 * np.pi * scene.noise**2)

    def value(parameters: Any) -> Any:
        log_s, loc, scale = parameters[:3], parameters[3:6], parameters[6]
        z = loc[:, None] + anp.exp(log_s)[:, None] * nodes
        away = x[:, None] - slope * scale * z - bend * anp.sin(scale * z)
        squares = away**2 @ weights / scene.noise**2
        divergence = 0.5 * (loc**2 + anp.exp(2 * log_s) - 1) - log_s
        return anp.mean(0.5 * (squares + log_noise) + divergence)

    return value


@once
def trained(scene: ScaledScene) -> tuple[Array, Array]:
    """Where BFGS ends, (log s_n, m_n, c), and the gradient that is left there."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    function = value_and_grad(_objective(scene, nodes, weights / weights.sum()))
    start = np.concatenate([np.zeros(3) - 0.5, np.array(scene.X) / 2, scene.scale])
    found = minimize(function, start, jac=True, method="BFGS", options={"gtol": 1e-9}).x
    return found, function(found)[1]


def trained_scale(
    scene: ScaledScene, *, variances: float = 1.0, total: float = 1.0, power: int = 2
) -> Comparison:
    """Check the second moment of the latents where BFGS has trained scale and encoder."""
    found, left = trained(scene)
    log_s, loc, scale = found[:3], found[3:6], found[6]
    moment = float((np.abs(loc) ** power + variances * np.exp(2 * log_s)).mean())
    # What is left of the gradient along the gauge, on which all s_n and m_n grow and c falls.
    along = float(np.abs(left[:3]).sum() + np.abs(left[3:6] * loc).sum() + abs(left[6] * scale))
    return Comparison.identity(
        moment, total, scale=1 + moment, gradient=along, rounding=gamma(500) * (1 + moment)
    )


TRAINED_SCALE = Proposition(
    label="12f-trained",
    title="A trained nonlinear VAE has latents of second moment one, to the gradient that is left",
    statement=(
        r"1 - \mathbb E_n[m_n^2 + s_n^2] = \Big(\sum_n (m_n\partial_{m_n} + s_n\partial_{s_n}) "
        r"- c\,\partial_c\Big)\,\mathbb E_n\mathrm{ELBO}(x_n) = 0 \text{ at a stationary point}"
    ),
    hypotheses=(
        ("the model", r"f(z) = h(cz),\ h(y) = ay + b\sin y,\ N = 3,\ d = D = 1"),
        ("trained", r"m_n, s_n, c \text{ by BFGS}"),
    ),
    kind="identity",
    instances=scaled_scenes(dims=(1,)),
    check=trained_scale,
    controls=wrong(
        trained_scale,
        {
            "the means alone": {"variances": 0.0},
            "second moment two": {"total": 2.0},
            "the modulus of the mean": {"power": 1},
        },
    ),
    uses=("12f",),
    resolution=1e-3,
    examples=6,
)
