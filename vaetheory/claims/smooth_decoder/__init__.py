"""Claim 2: the optimal decoder is always smooth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory._validation import Array
from vaetheory.checking import digits, strategies
from vaetheory.checking.claim import Claim, Control, Proposition
from vaetheory.checking.comparison import Comparison
from vaetheory.checking.strategies import EncodedData, Vector
from vaetheory.claims.smooth_decoder import analytic_radius, sharpening, varying_covariances
from vaetheory.optimal_decoder import OptimalDecoder
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class EncodedPoint:
    """Data with their encoder and a point of the latent space."""

    scene: EncodedData
    z: Vector


@st.composite
def encoded_points(draw: DrawFn, *, shared: bool | None = None) -> EncodedPoint:
    """Data, encoder and a point, in one or two latent dimensions; the point may lie far out."""
    dim, data_dim = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    scene = draw(strategies.encoded_data(dim, strategies.data_sets(data_dim), shared=shared))
    far = draw(st.sampled_from((1.0, 1.0, 5.0)))
    z = draw(strategies.vectors(dim))
    return EncodedPoint(scene, tuple(far * v for v in z))


def _exponents(scene: EncodedData, z: Array) -> Array:
    """-1/2 (z - m)^T S^-1 (z - m) - 1/2 log det S for a real or complex z `(d,)`: `(N,)`."""
    away = z - scene.encoder.loc
    precision = np.linalg.inv(scene.encoder.cov)
    square = np.einsum("ni,nij,nj->n", away, precision, away)
    return -0.5 * square - 0.5 * np.linalg.slogdet(scene.encoder.cov)[1]


def _direct(scene: EncodedData, z: Array) -> Array:
    """f*(z) by its definition, for a real or complex z `(d,)`."""
    exponents = _exponents(scene, z)
    weights = np.exp(exponents - exponents.real.max())
    return (weights @ scene.data) / weights.sum()


def _weight_error(scene: EncodedData, z: Array) -> float:
    """Relative error bound of the weights q(x|z): their exponents' size and conditioning."""
    exponents = _exponents(scene, z)
    # Only weights that matter carry their error into the sum.
    alive = exponents > exponents.max() - 45
    condition = float(np.linalg.cond(scene.encoder.cov).max())
    return gamma((30 + 10 * float(np.abs(exponents[alive]).max())) * condition + len(scene.X))


# 2a ---------------------------------------------------------------------------------------------


def _score_covariance(instance: EncodedPoint) -> Array:
    """The library's closed form."""
    scene = instance.scene
    return OptimalDecoder(scene.data, scene.encoder).jacobian(np.array(instance.z))


def jacobian_is_covariance(
    instance: EncodedPoint, *, formula: Callable[[EncodedPoint], Array] = _score_covariance
) -> Comparison:
    """Cov[x, s] against the complex-step derivative of the definition of f*."""
    scene, z = instance.scene, np.array(instance.z)
    step = 1e-30
    columns = [_direct(scene, z + 1j * step * e).imag / step for e in np.eye(len(z))]
    derivative = np.stack(columns, axis=-1)
    weights = scene.encoder.responsibilities(z)
    away = np.linalg.norm(scene.data - scene.data[weights.argmax()], axis=-1)
    reach = _score_size(scene, z)
    size = weights @ (away * reach) + (weights @ away) * (weights @ reach)
    spread = float(np.linalg.norm(np.ptp(scene.data, axis=0)))
    return Comparison.identity(
        formula(instance),
        derivative,
        scale=spread * (1 + reach.max()),
        weights=_weight_error(scene, z) * size,
        # The library centres at the data mean, which leaves the rounding of the whole spread.
        rounding=gamma(30 * len(scene.X)) * spread * (weights @ reach),
    )


def _score_size(scene: EncodedData, z: Array) -> Array:
    """|S^-1| (|m| + |z|), the size of the terms that cancel in the score, `(N,)`."""
    inverse = np.linalg.norm(np.linalg.inv(scene.encoder.cov), ord=2, axis=(-2, -1))
    return inverse * (np.linalg.norm(scene.encoder.loc, axis=-1) + np.linalg.norm(z))


def _moments(instance: EncodedPoint) -> tuple[Array, Array, Array, Array]:
    scene, z = instance.scene, np.array(instance.z)
    scores = np.linalg.solve(scene.encoder.cov, (scene.encoder.loc - z)[..., None])[..., 0]
    return scene.encoder.responsibilities(z), scene.data, scores, np.array(z)


def _uncentred(instance: EncodedPoint) -> Array:
    w, x, s, _ = _moments(instance)
    return np.einsum("n,ni,nj->ij", w, x, s)


def _inflated(instance: EncodedPoint) -> Array:
    count = len(instance.scene.X)
    return _score_covariance(instance) * count / (count - 1)


def _even_weights(instance: EncodedPoint) -> Array:
    _, x, s, _ = _moments(instance)
    return (x - x.mean(axis=0)).T @ (s - s.mean(axis=0)) / len(x)


def _without_precision(instance: EncodedPoint) -> Array:
    w, x, _, z = _moments(instance)
    away = instance.scene.encoder.loc - z
    return np.einsum("n,ni,nj->ij", w, x - w @ x, away - w @ away)


# 2b ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Direction:
    """A point with a direction, and the order of the derivative along it."""

    point: EncodedPoint
    v: Vector
    order: int


@st.composite
def directions(draw: DrawFn) -> Direction:
    """A shared covariance, a point, and a direction that is not zero."""
    point = draw(encoded_points(shared=True))
    v = draw(strategies.vectors(len(point.z), denominator=1, low=-2, high=2))
    assume(any(v))
    return Direction(point, v, draw(st.integers(1, 3)))


def _series_derivative(instance: Direction) -> tuple[Array, float]:
    """k-th derivative of f* along v by dividing power series; and the size of its terms."""
    scene, z, k = instance.point.scene, np.array(instance.point.z), instance.order
    exponents = _exponents(scene, z)
    w = np.exp(exponents - np.logaddexp.reduce(exponents))
    slope = np.linalg.solve(scene.encoder.cov[0], scene.encoder.loc.T).T @ np.array(instance.v)
    # A common factor exp(t c) cancels between numerator and denominator.
    slope = slope - w @ slope
    factorial = np.cumprod([1, 1, 2, 3])[: k + 1]
    powers = w * slope ** np.arange(k + 1)[:, None] / factorial[:, None]
    below, above = powers.sum(axis=1), powers @ (scene.data - w @ scene.data)
    quotient: list[Array] = []
    for j in range(k + 1):
        carried = sum((quotient[i] * below[j - i] for i in range(j)), np.zeros(above.shape[1]))
        quotient.append((above[j] - carried) / below[0])
    away = np.abs(scene.data - w @ scene.data).max()
    moments = [float(w @ np.abs(slope) ** j) for j in range(k + 1)]
    size = away * (moments[k] + 3 * moments[k - 1] * moments[1] + moments[1] ** k)
    return quotient[k] * factorial[k], size


def derivative_is_cumulant(
    instance: Direction, *, wrong: Callable[[Direction], Array] | None = None
) -> Comparison:
    """The library's closed forms along v against the division of power series."""
    scene, z = instance.point.scene, np.array(instance.point.z)
    lopsided = 0.0
    if wrong is None:
        cumulant = OptimalDecoder(scene.data, scene.encoder).derivative(z, order=instance.order)
        for axis in range(2, cumulant.ndim):
            # Derivatives along one direction alone would not see an antisymmetric part.
            lopsided = max(lopsided, float(np.abs(cumulant - cumulant.swapaxes(1, axis)).max()))
        for _ in range(instance.order):
            cumulant = cumulant @ np.array(instance.v)
    else:
        cumulant = wrong(instance)
    derivative, size = _series_derivative(instance)
    slope = np.linalg.solve(scene.encoder.cov[0], scene.encoder.loc.T).T @ np.array(instance.v)
    spread = float(np.ptp(scene.data, axis=0).max())
    range_before = spread * (1 + np.ptp(slope)) ** (instance.order - 1)
    reach = 1 + _score_size(scene, z).max() * float(np.linalg.norm(instance.v))
    rounding = gamma(200 * len(scene.X)) * range_before * reach
    return Comparison.all_of(
        Comparison.identity(
            cumulant,
            derivative,
            scale=range_before * (1 + np.ptp(slope)),
            weights=20 * _weight_error(scene, z) * size,
            rounding=rounding,
        ),
        Comparison.identity(
            lopsided, 0.0, scale=range_before * (1 + _score_size(scene, z).max()), rounding=rounding
        ),
    )


def _weighted_moment(
    instance: Direction, *, precision: bool, central: bool, weighted: bool
) -> Array:
    scene, z = instance.point.scene, np.array(instance.point.z)
    w = scene.encoder.responsibilities(z)
    if not weighted:
        w = np.full_like(w, 1 / len(w))
    codes = scene.encoder.loc
    if precision:
        codes = np.linalg.solve(scene.encoder.cov[0], codes.T).T
    along = codes @ np.array(instance.v)
    if central:
        along = along - w @ along
    return (w * along**instance.order) @ (scene.data - w @ scene.data)


# 2c ---------------------------------------------------------------------------------------------


def diameter(points: Array) -> float:
    """Greatest distance between two of the points `(N, k)`."""
    return float(max(np.linalg.norm(a - b) for a, b in combinations(points, 2)))


def slope_is_bounded(
    instance: EncodedPoint, *, factor: float = 0.25, precision: bool = True
) -> Comparison:
    """||J*(z)|| <= 1/4 diam(X) diam(S^-1 m(X)), with equality for two data, half-way between."""
    scene = instance.scene
    encoder = scene.encoder
    codes = encoder.loc
    if precision:
        codes = np.linalg.solve(encoder.cov[0], codes.T).T
    bound = factor * diameter(scene.data) * diameter(codes)
    pairs = [(encoder.loc[i] + encoder.loc[j]) / 2 for i, j in combinations(range(len(codes)), 2)]
    grid = np.linspace(-3, 3, 13)
    axes = np.meshgrid(*[grid] * len(instance.z), indexing="ij")
    points = np.concatenate(
        [np.array([instance.z]), np.array(pairs), np.stack([a.ravel() for a in axes], axis=-1)]
    )
    slopes = np.linalg.norm(
        OptimalDecoder(scene.data, encoder).jacobian(points), ord=2, axis=(-2, -1)
    )
    rounding = (
        gamma(200 * len(codes))
        * float(np.linalg.cond(encoder.cov[0]))
        * max(bound, float(slopes.max()))
    )
    parts = [Comparison.at_most(slopes.max(), bound, scale=max(bound, 1e-300), rounding=rounding)]
    if len(codes) == 2:
        # Sharp: f* = mean + half-difference tanh, whose slope half-way attains the bound when
        # the data differ in one direction only, which two data always do.
        parts.append(
            Comparison.identity(slopes[1], bound, scale=max(bound, 1e-300), rounding=rounding)
        )
        along = (points - pairs[0]) @ np.linalg.solve(
            encoder.cov[0], encoder.loc[1] - encoder.loc[0]
        )
        half = (scene.data[1] - scene.data[0]) / 2
        tanh = scene.data.mean(axis=0) + np.tanh(along / 2)[:, None] * half
        spread = float(np.abs(scene.data).max() + np.abs(half).max())
        reach = 1 + float(np.abs(along).max()) * float(np.linalg.cond(encoder.cov[0]))
        parts.append(
            Comparison.identity(
                OptimalDecoder(scene.data, encoder)(points),
                tanh,
                scale=spread,
                rounding=gamma(200) * reach * spread,
            )
        )
    return Comparison.all_of(*parts)


@st.composite
def distinct_codes(draw: DrawFn) -> EncodedPoint:
    """A shared covariance and codes that are not all equal."""
    point = draw(encoded_points(shared=True))
    assume(len(set(point.scene.loc)) > 1)
    return point


CLAIM = Claim(
    number=2,
    label="smooth-decoder",
    title="The optimal decoder is always smooth",
    source="arXiv:1912.10309, abstract; our derivation",
    propositions=(
        Proposition(
            label="2a",
            title="The Jacobian of f* is the covariance of x with the score of the encoder",
            statement=(
                r"J^*(z) = \mathrm{Cov}_{q(x|z)}[x, s(x,z)],\quad "
                r" s = \nabla_z \log q(z|x) = -S(x)^{-1}(z-m(x))"
            ),
            hypotheses=(("Gaussian encoder", r"q(z|x) = \mathcal N(m(x), S(x))"),),
            kind="identity",
            instances=encoded_points(),
            check=jacobian_is_covariance,
            controls=(
                Control(
                    "the score with the wrong sign",
                    partial(jacobian_is_covariance, formula=lambda i: -_score_covariance(i)),
                ),
                Control("E[x s], not centred", partial(jacobian_is_covariance, formula=_uncentred)),
                Control("the N - 1 covariance", partial(jacobian_is_covariance, formula=_inflated)),
                Control(
                    "unweighted covariance", partial(jacobian_is_covariance, formula=_even_weights)
                ),
                Control(
                    "z - m for S^-1 (z - m)",
                    partial(jacobian_is_covariance, formula=_without_precision),
                ),
            ),
            uses=("1a",),
            examples=50,
        ),
        Proposition(
            label="2b",
            title="With a shared covariance the derivatives of f* are joint cumulants",
            statement=(
                r"\partial_{v}^k f^*(z) = \kappa_{q(x|z)}"
                r"(x, \underbrace{v\cdot S^{-1}m(x), \dots}_{k}),\quad k = 1, 2, 3"
            ),
            hypotheses=(("constant covariance", r"S(x) = S"),),
            kind="identity",
            instances=directions(),
            check=derivative_is_cumulant,
            controls=(
                Control(
                    "central moments for cumulants",
                    partial(
                        derivative_is_cumulant,
                        wrong=partial(
                            _weighted_moment, precision=True, central=True, weighted=True
                        ),
                    ),
                ),
                Control(
                    "raw moments",
                    partial(
                        derivative_is_cumulant,
                        wrong=partial(
                            _weighted_moment, precision=True, central=False, weighted=True
                        ),
                    ),
                ),
                Control(
                    "m for S^-1 m",
                    partial(
                        derivative_is_cumulant,
                        wrong=partial(
                            _weighted_moment, precision=False, central=True, weighted=True
                        ),
                    ),
                ),
                Control(
                    "unweighted",
                    partial(
                        derivative_is_cumulant,
                        wrong=partial(
                            _weighted_moment, precision=True, central=True, weighted=False
                        ),
                    ),
                ),
            ),
            uses=("2a",),
            examples=50,
        ),
        Proposition(
            label="2b-varying",
            title="Where the covariances differ the second derivative has a term of the precision",
            statement=(
                r"\partial_i\partial_j f^*(z) = \mathrm{Cov}_{q(x|z)}"
                r"\big[x,\ \tilde s_i\tilde s_j - (S(x)^{-1})_{ij}\big],\quad "
                r"\tilde s = s - \mathbb E_{q(x|z)}[s]"
            ),
            hypotheses=(("Gaussian encoder", r"q(z|x) = \mathcal N(m(x), S(x))"),),
            kind="identity",
            instances=varying_covariances.varying_points(),
            check=varying_covariances.hessian_has_the_precision,
            controls=(
                Control(
                    "no precision",
                    partial(
                        varying_covariances.hessian_has_the_precision,
                        formula=varying_covariances.without_precision,
                    ),
                ),
                Control(
                    "the precision added",
                    partial(
                        varying_covariances.hessian_has_the_precision,
                        formula=varying_covariances.added_precision,
                    ),
                ),
            ),
            uses=("2a",),
        ),
        Proposition(
            label="2c",
            title="The slope of f* is at most a quarter of two diameters, and this is sharp",
            statement=(
                r"\|J^*(z)\| \le \tfrac14\, \mathrm{diam}(X)\, \mathrm{diam}(S^{-1} m(X));"
                r"\quad \text{two data } \pm a \text{ at } \pm m:\ f^* = a\tanh(mz/s^2)"
            ),
            hypotheses=(("constant covariance", r"S(x) = S"),),
            kind="inequality",
            instances=distinct_codes(),
            check=slope_is_bounded,
            controls=(
                Control("an eighth", partial(slope_is_bounded, factor=0.125)),
                Control("diam m(X) for diam S^-1 m(X)", partial(slope_is_bounded, precision=False)),
            ),
            uses=("2a",),
            figure="smooth-decoder",
            examples=50,
        ),
        Proposition(
            label="2d",
            title="f* is analytic up to the nearest complex zero of q(z) that is a pole",
            statement=(
                r"c_k(z) = -\sum_{|p-z|<r} \frac{R_p}{(p-z)^{k+1}} + O(r^{-k}),"
                r"\quad q(p) = 0;\quad \text{radius} = \min_p |p - z|"
            ),
            hypotheses=(
                ("constant covariance", r"S(x) = S,\ d = 1"),
                ("a pole", r"R_p \ne 0 \text{ at the nearest zero}"),
            ),
            kind="identity",
            instances=analytic_radius.commensurate_codes(),
            check=analytic_radius.radius_is_nearest_zero,
            controls=(
                Control(
                    "poles twice as far",
                    partial(analytic_radius.radius_is_nearest_zero, distance=2.0),
                ),
                Control(
                    "poles a tenth nearer",
                    partial(analytic_radius.radius_is_nearest_zero, distance=0.9),
                ),
                Control(
                    "residues of the other sign",
                    partial(analytic_radius.radius_is_nearest_zero, residue=-1),
                ),
                Control(
                    "entire: no poles", partial(analytic_radius.radius_is_nearest_zero, residue=0)
                ),
            ),
            uses=("2a",),
            figure="smooth-decoder",
            resolution=1e-2,
        ),
        Proposition(
            label="2e",
            title="As the posterior variance vanishes the decoder becomes a step, with slope s^-2",
            statement=(
                r"f^*(z) \to x_{\text{nearest}},\quad s^2 J^*(\text{half-way}) \to"
                r" \tfrac14 \Delta x\, \Delta m"
            ),
            hypotheses=(("constant covariance", r"S = s^2,\ d = 1,\ s \to 0"),),
            kind="rate",
            instances=sharpening.lines(),
            check=sharpening.decoder_sharpens,
            controls=(
                Control(
                    "a slope of order 1/s", partial(sharpening.decoder_sharpens, exponent=-1.0)
                ),
                Control(
                    "half for a quarter", partial(sharpening.decoder_sharpens, coefficient=0.5)
                ),
                Control(
                    "the second nearest code", partial(sharpening.decoder_sharpens, nearest=False)
                ),
            ),
            uses=("2a", "2c"),
            figure="smooth-decoder",
            resolution=1e-3,
        ),
        digits.SMOOTH_DECODER,
    ),
)
