"""The check of 7b: the pull-back metric is a tensor, and definite iff f is an immersion."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import autograd.numpy as anp
import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, derivatives, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES
from vaetheory.decoders import Decoder
from vaetheory.geometry import fisher_information, pullback_metric
from vaetheory.likelihoods import Likelihood, Support
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

_MONOMIALS = np.array([[1, 0], [0, 1], [2, 0], [1, 1]])


def _monomials(z: Any) -> Any:
    return anp.concatenate([z, z[..., :1] * z], axis=-1)


@dataclass(frozen=True, eq=False)
class _Composed(Decoder):
    """Two sums of monomials, one after the other; autograd differentiates them together."""

    inner: Array
    outer: Array

    def _outputs(self, y: Any) -> Any:
        return _monomials(_monomials(y) @ self.inner) @ self.outer

    def __call__(self, y: Array) -> Array:
        return np.asarray(self._outputs(y))

    def jacobian(self, y: Array) -> Array:
        return derivatives.jacobian(self._outputs, y)

    def hessian(self, y: Array) -> Array:
        return derivatives.hessian(self._outputs, y)


@dataclass(frozen=True)
class PulledBack:
    """A surface z -> sum of monomials under a family, and a change of coordinates y -> z.

    `coefficients` has a row for each monomial (u, v, u^2, u v); `change` holds the coefficients of
    the two coordinates of z as functions of y.
    """

    family: str
    constants: Vector
    coefficients: tuple[Vector, ...]
    change: tuple[Vector, ...]
    y: Vector

    @cached_property
    def likelihood(self) -> Likelihood:
        """The likelihood, of as many dimensions as the decoder has outputs."""
        if self.family == "Gaussian, diagonal":
            return likelihoods.Gaussian(scale=[1.0, 0.5, 2.0])
        if self.family == "Gaussian, full":
            return likelihoods.Gaussian(cov=[[1.0, 0.5, 0.0], [0.5, 2.0, 0.25], [0.0, 0.25, 0.5]])
        return FAMILIES[self.family].build(*self.constants)

    @cached_property
    def decoder(self) -> Decoder:
        """The surface, with its derivatives in closed form."""
        return decoders.Polynomial(_MONOMIALS, self.coefficients)

    @cached_property
    def model(self) -> LatentModel:
        """The surface under the family."""
        return LatentModel(self.decoder, self.likelihood, 2)

    @cached_property
    def metric(self) -> Array:
        """The metric of the surface at z(y), `(2, 2)`."""
        return pullback_metric(self.model, self.coordinates(np.array(self.y)))

    @cached_property
    def coordinates(self) -> Decoder:
        """The change of coordinates, with its derivatives in closed form."""
        return decoders.Polynomial(_MONOMIALS, self.change)

    @property
    def composed(self) -> Decoder:
        """The decoder y -> f(z(y)), differentiated by autograd."""
        return _Composed(np.array(self.change), np.array(self.coefficients))


@st.composite
def pulled_back_scenes(draw: DrawFn, names: Sequence[str] = tuple(FAMILIES)) -> PulledBack:
    """Surfaces with three outputs, some of which are not immersions."""
    name = draw(st.sampled_from(tuple(names)))
    row = strategies.vectors(3, -2, 2, 2)
    coefficients = draw(st.tuples(row, row, row, row))
    if draw(st.booleans()):
        # Both coordinates move the outputs alike, so that one dimension is lost.
        coefficients = (coefficients[0], coefficients[0], (0.0,) * 3, (0.0,) * 3)
    bend = draw(st.tuples(*[strategies.fractions(-2, 2, 4)] * 3))
    assume(any(coefficients[0]))
    change = ((1.0, bend[0]), (bend[1], 2.0), (0.0, bend[2]), (bend[0], 0.0))
    y = draw(strategies.vectors(2, -2, 2, 2))
    return PulledBack(name, draw(FAMILIES[name].constants), coefficients, change, y)


def both_jacobians(g: Array, change: Array) -> Array:
    """The law of a covariant tensor of second order."""
    return change.T @ g @ change


def transposed(g: Array, change: Array) -> Array:
    """The Jacobian transposed."""
    return change @ g @ change.T


def one_jacobian(g: Array, change: Array) -> Array:
    """A covector's law, applied to one index only."""
    return change.T @ g


def tensor_law(
    scene: PulledBack, *, law: Callable[[Array, Array], Array] = both_jacobians
) -> Comparison:
    """Compare the metric of f(z(y)) by autograd with the transformed metric of f."""
    y = np.array(scene.y)
    z, change = scene.coordinates(y), scene.coordinates.jacobian(y)
    here = pullback_metric(LatentModel(scene.composed, scene.likelihood, 2), y)
    params, jacobian = scene.model.decode(z), np.abs(scene.decoder.jacobian(z))
    fisher = np.abs(fisher_information(scene.likelihood, params))
    # A bound of the rounding of the products; F also changes with the rounding of its parameters.
    absolute = np.abs(change).T @ jacobian.T @ fisher @ jacobian @ np.abs(change)
    size = float(absolute.max())
    outputs = float((np.abs(_monomials(np.abs(z))) @ np.abs(scene.coefficients)).max())
    return Comparison.identity(
        here,
        law(scene.metric, change),
        scale=size,
        rounding=gamma(100) * size * (1 + outputs),
    )


def _into_distributions(likelihood: Likelihood, matrix: Array) -> Array:
    """Jacobian into the distributions: a categorical does not depend on the mean of its logits."""
    return (
        matrix - matrix.mean(axis=-2, keepdims=True)
        if likelihood.support is Support.ONE_HOT
        else matrix
    )


def definite_iff_immersion(scene: PulledBack, *, power: int = 2) -> Comparison:
    """Bound the least eigenvalue of g by those of F times the least squared stretch of the decoder.

    So it is never negative, and positive iff the decoder is an immersion into distributions.
    """
    likelihood, z = scene.likelihood, scene.coordinates(np.array(scene.y))
    g = scene.metric
    spectrum = np.linalg.eigvalsh(fisher_information(likelihood, scene.model.decode(z)))
    # A categorical's F has the null direction that `_into_distributions` takes away.
    lowest = spectrum[1 if likelihood.support is Support.ONE_HOT else 0]
    jacobian = _into_distributions(likelihood, scene.decoder.jacobian(z))
    stretch = np.linalg.svd(jacobian, compute_uv=False)
    least = float(np.linalg.eigvalsh(g)[0])
    size = float(spectrum[-1] * stretch[0] ** 2)
    rounding = gamma(200) * size
    low, high = (float(f * stretch[-1] ** power) for f in (lowest, spectrum[-1]))
    return Comparison.all_of(
        Comparison.at_most(0.0, least, scale=size, rounding=rounding),
        Comparison.at_most(low, least, scale=size, rounding=rounding),
        Comparison.at_most(least, high, scale=size, rounding=rounding),
        findings=("a surface that is no immersion has a degenerate metric",)
        if stretch[-1] <= gamma(200) * stretch[0]
        else (),
    )


def metric_is_a_tensor(
    scene: PulledBack, *, law: Callable[[Array, Array], Array] = both_jacobians, power: int = 2
) -> Comparison:
    """Both halves of 7b: the law of change of coordinates, and where the metric is definite."""
    return Comparison.all_of(tensor_law(scene, law=law), definite_iff_immersion(scene, power=power))


METRIC_IS_A_TENSOR = Proposition(
    label="7b",
    title="The pull-back metric is a tensor, definite where the decoder is an immersion",
    statement=(
        r"g_{f\circ\varphi} = D\varphi^\top\, g_f\, D\varphi,\quad "
        r"\lambda_{\min}(F)\,\sigma_{\min}(J)^2 \le \lambda_{\min}(J^\top F J)"
        r" \le \lambda_{\max}(F)\,\sigma_{\min}(J)^2"
    ),
    hypotheses=(
        ("smooth coordinates", r"z = \varphi(y)"),
        (
            "into distributions",
            r"J\text{ less what }p(x|\theta)\text{ does not depend on}"
            r"\text{ (for a categorical, what all logits share)}",
        ),
    ),
    kind="identity",
    instances=pulled_back_scenes(),
    check=metric_is_a_tensor,
    controls=wrong(
        metric_is_a_tensor,
        {
            "the Jacobian transposed": {"law": transposed},
            "one Jacobian only": {"law": one_jacobian},
            "definite whatever the decoder": {"power": 0},
            "the stretch not squared": {"power": 1},
        },
    ),
    uses=("7a",),
    examples=60,
)
