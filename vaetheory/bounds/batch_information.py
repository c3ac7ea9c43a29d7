"""BILBO, the Batch Information Lower Bound."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as anp
import numpy as np
from autograd.extend import defjvp, defvjp, primitive
from numpy.typing import ArrayLike
from scipy.linalg import qr, solve_triangular, svdvals

from vaetheory._by_position import also_by_position
from vaetheory._validation import Array, option, scales, shape_of_data, squarable
from vaetheory._value_equality import ByValue
from vaetheory.bounds._frameworks import framework

FORMS = ("diagonal", "centred", "full")


@dataclass(frozen=True, eq=False)
class BatchBound(ByValue):
    """The Batch Information Lower Bound of a batch, and the optimal floating prior.

    Under `autograd` the fields are traced like any other result.

    Attributes
    ----------
    value : float
        Mean log likelihood minus `information`, in nats per datum.
    information : float
        The information term, in nats per datum.
    information_per_dim : array (d,) or None
        The terms of its sum over dimensions; None for the full form, which is no such sum.
    prior_loc : array (d,)
        Mean of the optimal floating prior; zero for the diagonal form.
    prior_cov : array (d, d)
        Its covariance.
    size : int
        Number of data in the batch, B.
    """

    value: float
    information: float
    information_per_dim: Array | None
    prior_loc: Array
    prior_cov: Array
    size: int
    _optimism: float

    @property
    def optimism(self) -> float:
        """Estimate of the expected excess over an infinite batch, to first order in 1 / B; nats.

        It is computed from the moments of the batch.

        Raises
        ------
        ValueError
            For a batch of one, which contains no information about the spread.
        """
        if self.size < 2:
            raise ValueError(
                "optimism: expected a batch of at least two data to estimate its spread, got one"
            )
        return self._optimism

    @property
    def corrected(self) -> float:
        """`value` minus `optimism`, in nats per datum; the bias is only O(1 / B^2).

        Raises the same errors as `optimism`. It is not a lower bound: if the bias is
        over-estimated, it lies above the value for an infinite batch.
        """
        return self.value - self.optimism


class TensorBatchBound(NamedTuple):
    """The Batch Information Lower Bound of a batch of PyTorch tensors or JAX arrays.

    A named tuple of tensors, so that the frameworks' transformations can return it.

    Attributes
    ----------
    value, information, information_per_dim, prior_loc, prior_cov, size
        As those of `BatchBound`.
    optimism : tensor
        As that of `BatchBound`; NaN for a batch of one.
    """

    value: Any
    information: Any
    information_per_dim: Any
    prior_loc: Any
    prior_cov: Any
    size: int
    optimism: Any

    @property
    def corrected(self) -> Any:
        """`value` minus `optimism`, in nats per datum."""
        return self.value - self.optimism


@also_by_position("form")
def bilbo(
    log_likelihood: ArrayLike, loc: ArrayLike, scale: ArrayLike, *, form: str = "diagonal"
) -> BatchBound:
    """Batch Information Lower Bound of an encoder N(m(x), diag(s^2)) with constant s.

    It is the ELBO of the batch under a floating prior: the Gaussian of the named form that
    maximises the ELBO of the batch. The encoder therefore gains nothing by staying close to
    N(0, I), and if the decoder is free, s = 1 is as good as any other s.

    Parameters
    ----------
    log_likelihood : array (B,) or number
        Expected log likelihood E_q[log p(x|z)] of each datum in nats, or a sample of it; or its
        mean over the batch, such as the value of `baggins`.
    loc : array (B, d)
        Posterior means m(x).
    scale : array (d,) or number
        Posterior standard deviations s, the same for all data; a number is used for all dimensions.
    form : str
        The form of the floating prior, which determines the information term:

        - "diagonal": N(0, diag(v)); 1/2 sum_j log(1 + E_B[m_j^2] / s_j^2).
        - "centred": N(mu, diag(v)); 1/2 sum_j log(1 + Var_B[m_j] / s_j^2).
        - "full": N(mu, V); 1/2 log det(I + S^-1 Cov_B[m]).

        Each is at least as tight as the one before. Moments of the batch are divided by B.

    Returns
    -------
    BatchBound
        In nats per datum. The information of a batch of one is zero unless the form is "diagonal".
        For PyTorch tensors and JAX arrays it is a named tuple of tensors with the same attributes,
        `TensorBatchBound`.

    Raises
    ------
    ValueError
        If shapes do not fit, the batch is empty, an entry is not finite, a scale is not positive
        or below 1e-150, or a log likelihood, a mean or a scale is beyond 1e150. For PyTorch and JAX
        only shapes, and what is given as plain numbers, are checked: no exception depends on the
        value of a tensor, and NaN goes in and comes out.

    Notes
    -----
    Source: claims 6a, 6d and 6f.

    The arrays may be PyTorch tensors or JAX arrays, also under `torch.compile`, `jax.jit` and
    `vmap`; NumPy arrays and numbers may go with them. Half precisions are widened to float32. The
    result then has the precision of their dtype: for the full form an information below its
    rounding unit is lost, and in float32 `prior_cov` and `optimism` need means below 1e19.

    For NumPy arrays the result is exact up to rounding: a small information keeps its
    digits, and a large one does not overflow. `autograd` can differentiate it with respect to all
    three arrays, in reverse and forward mode; for the full form `value` twice, `corrected` once.

    Examples
    --------
    >>> bound = bilbo([-1.0, -3.0], [[1.0], [-1.0]], [0.5])
    >>> round(float(bound.value), 6), bound.prior_cov.tolist()
    (-2.804719, [[1.25]])
    >>> from autograd import grad
    >>> slope = grad(lambda scale: bilbo([-1.0, -3.0], [[1.0], [-1.0]], scale).value)
    >>> round(float(slope(0.5)), 6)
    1.6
    """
    option("form", form, FORMS)
    terms, means, deviations = _checked(log_likelihood, loc, scale)
    f = framework(means, deviations)
    xp = f.xp
    size, d = means.shape
    if form == "diagonal":
        prior_loc, away = f.zeros(d), means
    else:
        # Subtracting the first row gives a constant batch zero spread, however its mean is rounded.
        first = f.frozen(means)[0]
        shifted = means - first
        prior_loc = first + xp.mean(shifted, axis=0)
        away = shifted - xp.mean(shifted, axis=0)
    unit = f.frozen(deviations)
    ratio = (away / unit) / (deviations / unit)
    if form == "full":
        per_dim, information = None, _half_log_det(ratio)
        prior_cov = f.gram(away) / size + f.diagonal_matrix(deviations**2)
        optimism = _full_optimism(ratio)
    else:
        per_dim = _half_log1p_mean_square(ratio)
        information = xp.sum(per_dim)
        variance = xp.mean(away**2, axis=0) + deviations**2
        prior_cov = f.diagonal_matrix(variance)
        optimism = _diagonal_optimism(away / xp.sqrt(variance), centred=form == "centred")
    value = (xp.mean(terms) if terms.ndim else terms) - information
    if f.checked:
        return BatchBound(value, information, per_dim, prior_loc, prior_cov, size, optimism)
    if size < 2:
        optimism = optimism + math.nan
    bound: Any = TensorBatchBound(value, information, per_dim, prior_loc, prior_cov, size, optimism)
    return bound


def _checked(log_likelihood: Any, loc: Any, scale: Any) -> tuple[Any, Any, Any]:
    """The three inputs as arrays or tensors of one dtype, their shapes (and values) checked."""
    f = framework(log_likelihood, loc, scale)
    means = f.read("loc", loc)
    shape_of_data("loc", tuple(means.shape))
    size, d = means.shape
    terms = f.read("log_likelihood", log_likelihood)
    if terms.ndim > 1:
        raise ValueError(
            "log_likelihood: expected a number or one a datum, got an array of shape "
            f"{tuple(terms.shape)}"
        )
    if terms.ndim and len(terms) != size:
        raise ValueError(
            "log_likelihood and loc: expected one of each per datum, got shapes "
            f"{tuple(terms.shape)} and {tuple(means.shape)}"
        )
    deviations = f.read("scale", scale)
    if f.checked:
        scales("scale", deviations)
    elif isinstance(scale, int | float) and not scale > 0:
        raise ValueError(f"scale: expected positive numbers, got {scale}")
    if tuple(deviations.shape) not in ((), (d,)):
        raise ValueError(
            f"scale: expected a number or shape ({d},) for loc of shape "
            f"{tuple(means.shape)}, got {tuple(deviations.shape)}"
        )
    if f.checked:
        # Within these limits no ratio of a mean and a scale, no square and no sum overflows.
        squarable("loc", means)
        squarable("log_likelihood", terms)
    return (
        f.carry(log_likelihood, terms),
        f.carry(loc, means),
        f.carry(scale, deviations) * f.ones(d),
    )


def _half_log1p_mean_square(ratio: Any) -> Any:
    """1/2 log(1 + mean of squares) of each column, `(B, d) -> (d,)`, without overflow."""
    f = framework(ratio)
    xp = f.xp
    top = f.largest(ratio)
    huge = top > f.huge
    if f.checked and not huge.any():
        return 0.5 * xp.log1p(xp.mean(ratio**2, axis=0))
    unit = xp.where(huge, top, 1.0)
    square = xp.mean((ratio / unit) ** 2, axis=0)
    large = 0.5 * xp.log(xp.where(huge, square, 1.0)) + xp.log(unit)
    return xp.where(huge, large, 0.5 * xp.log1p(xp.where(huge, 0.0, square)))


def _diagonal_optimism(white: Any, *, centred: bool) -> Any:
    """Sum_j Var(w_j^2) / (4 B), plus the bias of centred moments; w has prior variance one."""
    xp = framework(white).xp
    square = xp.mean(white**2, axis=0)
    total = xp.sum(xp.mean((white**2 - square) ** 2, axis=0)) / 4
    return (total + (xp.sum(square) / 2 if centred else 0.0)) / len(white)


def _contrasts(ratio: Any) -> Any:
    """B - 1 rows with the Gram matrix of B centred rows over B, `(B, d) -> (B - 1, d)`."""
    root = math.sqrt(len(ratio))
    unit = ratio / root
    return unit[1:] - _share(len(ratio)) * unit[1:].sum(axis=0) + unit[0] / root


def _of_contrasts(top: Any) -> Any:
    """The centred rows that have these contrasts, over sqrt(B), `(B - 1, d) -> (B, d)`."""
    size = len(top) + 1
    total = top.sum(axis=0)
    first = total[None] / math.sqrt(size)
    return framework(top).xp.concatenate([first, top - _share(size) * total])


def _share(size: int) -> float:
    return 1 / (size - math.sqrt(size)) if size > 1 else 0.0


@dataclass(frozen=True)
class _Factor:
    """A factorisation of M = I + Y^T Y / B for a centred Y, `(B, d)`.

    Attributes
    ----------
    half_log_det : float
        1/2 log det M.
    root : array (B, d)
        A matrix with Y M^-1 Y^T / B = root root^T.
    slope : array (B, d)
        Y M^-1 / B, the gradient of `half_log_det` in Y.
    inverse : array (d, d)
        M^-1.
    """

    half_log_det: float
    root: Array
    slope: Array
    inverse: Array

    @classmethod
    def of(cls, ratio: Array) -> _Factor:
        """Factorise; the result is as precise as the ratios themselves.

        Centring leaves exactly B - 1 rows of contrasts. With B rows, their rounding errors would
        count as spread if a scale is tiny. With rows sorted by size and columns pivoted, the QR
        decomposition is precise for each row relative to that row.
        """
        size, d = ratio.shape
        rows = _contrasts(ratio)
        stack = np.concatenate([rows, np.eye(d)])
        order = np.argsort(-np.abs(stack).max(axis=1), kind="stable")
        q, r, pivots = qr(stack[order], mode="economic", pivoting=True)
        q[order] = q.copy()
        inverse_root = np.empty((d, d))
        inverse_root[pivots] = solve_triangular(r, np.eye(d))
        spread = _of_contrasts(q[: size - 1])
        if np.abs(rows).max(initial=0.0) <= 1:
            # If all of Y is small, singular values give log det with a small relative error.
            half = float(0.5 * np.log1p(svdvals(rows) ** 2).sum()) if rows.size else 0.0
        else:
            half = float(np.log(np.abs(np.diagonal(r))).sum())
        slope = spread @ inverse_root.T / np.sqrt(size)
        return cls(half, spread, slope, inverse_root @ inverse_root.T)

    def project(self, x: Any) -> Any:
        """Y M^-1 Y^T x / B."""
        return anp.dot(self.root, anp.dot(self.root.T, x))

    def bend(self, change: Any) -> Any:
        """Derivative of `slope` along a change of Y."""
        straight = anp.dot(change - self.project(change), self.inverse) / len(self.root)
        return straight - anp.dot(self.slope, anp.dot(change.T, self.slope))


@primitive  # type: ignore[untyped-decorator]
def _exact_half_log_det(ratio: Any) -> Any:
    return _Factor.of(ratio).half_log_det


@primitive  # type: ignore[untyped-decorator]
def _exact_half_log_det_gradient(ratio: Any) -> Any:
    return _Factor.of(ratio).slope


defvjp(_exact_half_log_det_gradient, lambda ans, y: _Factor.of(y).bend)
defjvp(_exact_half_log_det_gradient, lambda g, ans, y: _Factor.of(y).bend(g))


@primitive  # type: ignore[untyped-decorator]
def _exact_full_optimism(ratio: Any) -> Any:
    return _optimism_of(_Factor.of(ratio).root)


def _exact_full_optimism_gradient(ratio: Any) -> Any:
    # dH = (I - H) dY slope^T + its transpose.
    factor = _Factor.of(ratio)
    slope, leverage = factor.slope, (factor.root**2).sum(axis=1)
    turned = (slope - factor.project(slope)) / len(ratio) + leverage[:, None] * slope
    return turned - factor.project(turned)


for _function, _gradient in (
    (_exact_half_log_det, _exact_half_log_det_gradient),
    (_exact_full_optimism, _exact_full_optimism_gradient),
):
    defvjp(_function, lambda ans, y, slope=_gradient: lambda g: g * slope(y))
    defjvp(_function, lambda g, ans, y, slope=_gradient: anp.sum(g * slope(y)))


def _half_log_det(ratio: Any) -> Any:
    """1/2 log det(I + ratio^T ratio / B), `(B, d) -> ()`."""
    f = framework(ratio)
    return _exact_half_log_det(ratio) if f.checked else f.half_log_det(_contrasts(ratio))[0]


def _full_optimism(ratio: Any) -> Any:
    """(tr H / 2 + sum_b B H_bb^2 / 4 - tr H^2 / 4) / B, with H = Y (B I + Y^T Y)^-1 Y^T."""
    f = framework(ratio)
    if f.checked:
        return _exact_full_optimism(ratio)
    return _optimism_of(_of_contrasts(f.half_log_det(_contrasts(ratio))[1][: len(ratio) - 1]))


def _optimism_of(root: Any) -> Any:
    """The optimism for H = root root^T."""
    size = len(root)
    leverage = (root**2).sum(axis=1)
    squared = (framework(root).gram(root) ** 2).sum()
    return leverage.sum() / (2 * size) + ((leverage**2).sum() - squared / size) / 4
