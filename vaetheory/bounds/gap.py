"""The gap between the log evidence and an encoder's ELBO, split into what causes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import LATTICE_DIM
from vaetheory._quadrature.result import Integral
from vaetheory._validation import Array, covariances, fraction, integer, option, sequence
from vaetheory._value_equality import ByValue
from vaetheory.bounds._exact_evidence import any_log_evidence, linear_parts
from vaetheory.bounds._linear_gaussian import linear_gaussian, linear_posterior
from vaetheory.bounds._sampled_elbo import any_elbo
from vaetheory.bounds._sampled_posterior import sampled_posterior
from vaetheory.bounds.bracket import Bracket
from vaetheory.bounds.gaussian_elbo import flatten
from vaetheory.bounds.stationary import stationary_posterior
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel

#: A step in the mean and one in the precision gain more together, see `stationary_posterior`.
_COUPLED = 4.0
#: Beyond so many latents the rules of `stationary_posterior` have too many nodes, and the best
#: posteriors are searched with quasi-random points; beyond the second number not at all.
_BY_RULES, _LARGEST = 8, 64


@dataclass(frozen=True, eq=False)
class GapSplit(ByValue):
    """log p(x) - ELBO of each datum as a sum of parts, in nats.

    Attributes
    ----------
    approximation : array (...)
        What the best Gaussian posterior lacks: the posterior is no Gaussian.
    diagonal : array (...)
        What the best Gaussian with a diagonal covariance lacks beside it: the posterior has
        correlations. 0 for one latent, and for encoders of full covariances.
    amortisation : array (...)
        What the encoder's posterior lacks beside the best one of its kind.
    approximation_error, diagonal_error, amortisation_error : array (...)
        Error figures, which are estimates: those of the two values of which a part is the
        difference. They say nothing of a better Gaussian that was not found, by which
        `approximation` would be smaller and the next part larger by the same amount.
    evidence, evidence_error : array (...)
        log p(x), as given or computed.
    elbo, elbo_error : array (...)
        The ELBO of the encoder's posteriors.
    full, best : Posterior
        The best Gaussian found, and the best one of the encoder's kind.
    structure : str
        The encoder's kind: "diagonal" or "full".
    """

    approximation: Array
    diagonal: Array
    amortisation: Array
    approximation_error: Array
    diagonal_error: Array
    amortisation_error: Array
    evidence: Array
    evidence_error: Array
    elbo: Array
    elbo_error: Array
    full: Posterior
    best: Posterior
    structure: str

    @property
    def gap(self) -> Array:
        """Log p(x) - ELBO, the sum of the parts and KL(q || p(z given x)), `(...)`."""
        return self.evidence - self.elbo

    @property
    def gap_error(self) -> Array:
        """Error figure of `gap`, an estimate, `(...)`."""
        return self.evidence_error + self.elbo_error


def gap_split(
    model: LatentModel,
    X: ArrayLike,
    posterior: Posterior,
    *,
    evidence: Integral | Bracket | None = None,
    structure: str | None = None,
    restart: bool = True,
    rtol: float = 1e-8,
) -> GapSplit:
    """Split the gap between log p(x) and the ELBO of encoder outputs into what causes it.

    Approximation is what no Gaussian reaches, the diagonal part is the price of a diagonal
    covariance, and amortisation is what further optimisation of each posterior by itself would
    gain.

    Parameters
    ----------
    model : LatentModel
        Of at most 64 latents; of any number if it is linear with Gaussian noise.
    X : array (..., D)
        The data.
    posterior : Posterior
        What the encoder gives for them.
    evidence : Integral or Bracket, optional
        Log evidences `(...)` of the data with their errors, for instance from
        `evidence_estimate`. By default they are computed by `log_evidence`, which takes up to four
        latents, or in closed form for a linear model.
    structure : {"diagonal", "full"}, optional
        The kind of covariances that the encoder gives. By default "diagonal" if those given are.
    restart : bool
        Whether the best posteriors are also searched from those of the encoder, and not only from
        the highest mode. It doubles the cost and may find better ones if there are several modes.
    rtol : float
        Tolerance of ELBOs and posteriors, and of the evidence.

    Returns
    -------
    GapSplit
        Up to three latents the ELBOs are computed by quadrature. Beyond that they are means over
        replicated quasi-random points where these have the smaller error, and beyond eight latents
        the best posteriors are found with such points too.

    Raises
    ------
    ValueError
        As `elbo`; if the evidences have other shapes than the data, there are more latents than
        can be done, or the structure is "diagonal" and a covariance is not.

    Notes
    -----
    Sources: Cremer et al., arXiv:1801.03558, and claim 22a. Of a linear model with posterior
    N(m*, P^-1) and a diagonal q = N(m, diag(v)) the parts are 0,
    (log det diag P - log det P) / 2, and (m - m*)^T P (m - m*) / 2 + sum_j (P_jj v_j - 1 -
    log(P_jj v_j)) / 2; the last one is not KL(q || q*).

    Examples
    --------
    >>> from vaetheory import LatentModel, Posterior, decoders, likelihoods
    >>> from vaetheory.bounds import gap_split
    >>> model = LatentModel(decoders.Affine([[1.0, 1.0]]), likelihoods.Gaussian(scale=1.0))
    >>> found = gap_split(model, [[1.0]], Posterior([[0.0, 0.0]], scale=1.0))
    >>> parts = found.approximation, found.diagonal, found.amortisation
    >>> [round(float(part[0]), 6) for part in parts]
    [0.0, 0.143841, 0.640186]
    >>> round(float(found.gap[0]), 6)
    0.784027
    """
    fraction("rtol", rtol, low=1e-14, high=0.1)
    data, loc, cov = flatten(model, X, posterior)
    shape, d = posterior.loc.shape[:-1], model.latent_dim
    kind = _structure(structure, cov)
    given = _given(model, data, evidence, shape, rtol)
    if linear_parts(model) is None and d > _LARGEST:
        raise ValueError(
            f"latent_dim: expected at most {_LARGEST} unless the model is linear with Gaussian "
            f"noise, got {d}"
        )
    encoder = Posterior(loc, cov=cov)
    own = any_elbo(model, data, encoder, rtol)
    start = encoder if restart else None
    kinds = ("full", "diagonal") if kind == "diagonal" and d > 1 else ("full",)
    found = [_best(model, data, kind, start, rtol) for kind in kinds]
    value, error = np.asarray(own.value), np.asarray(own.error)
    best, levels = encoder, [(value, error, encoder)]
    # From the encoder upwards: a posterior of a wider kind is at least as good.
    for one, value_of, error_of in reversed(found):
        better = ~(value_of < value)
        value, error = np.where(better, value_of, value), np.where(better, error_of, error)
        best = _chosen(better, one, best)
        levels.append((value, error, best))
    if len(kinds) == 1:
        levels.append(levels[-1])
    (low, low_error, _), (middle, middle_error, kept), (high, high_error, full) = levels
    between = high_error + middle_error if len(kinds) > 1 else np.zeros(len(data))
    return GapSplit(
        approximation=(given[0] - high).reshape(shape),
        diagonal=(high - middle).reshape(shape),
        amortisation=(middle - low).reshape(shape),
        approximation_error=(given[1] + high_error).reshape(shape),
        diagonal_error=between.reshape(shape),
        amortisation_error=(middle_error + low_error).reshape(shape),
        evidence=given[0].reshape(shape),
        evidence_error=given[1].reshape(shape),
        elbo=low.reshape(shape),
        elbo_error=low_error.reshape(shape),
        full=_shaped(full, shape),
        best=_shaped(kept, shape),
        structure=kind,
    )


def block_gap(precision: ArrayLike, blocks: Sequence[int] | None = None) -> Array:
    """The least KL(q || N(m, P^-1)) of a q that is a product over blocks of coordinates, in nats.

    It is (sum_b log det P_bb - log det P) / 2, reached by the Gaussian whose precision has the
    blocks P_bb and nothing between them. For blocks of one coordinate that is the price of a
    diagonal covariance, and for two blocks the mutual information between them.

    Parameters
    ----------
    precision : array (..., d, d)
        P, the precision of the posterior.
    blocks : sequence of int, optional
        Sizes of the blocks, in the order of the coordinates; by default all are 1.

    Returns
    -------
    array (...)
        In nats.

    Raises
    ------
    ValueError
        If a matrix is not symmetric positive definite, or the sizes do not sum to d.

    Notes
    -----
    Source: claims 22a and 22b. For three blocks or more it is not the total correlation, which has
    blocks of the covariance in place of those of the precision.

    Examples
    --------
    >>> from vaetheory.bounds import block_gap
    >>> round(float(block_gap([[2.0, 1.0], [1.0, 2.0]])), 6)
    0.143841
    """
    matrix = covariances("precision", precision)
    d = matrix.shape[-1]
    sizes = (
        [1] * d
        if blocks is None
        else [integer("blocks", b, low=1) for b in sequence("blocks", blocks)]
    )
    if sum(sizes) != d:
        raise ValueError(f"blocks: expected sizes that sum to {d}, got {sizes}")
    ends = np.cumsum([0, *sizes])
    inner = sum(_gaussians.log_det(matrix[..., a:b, a:b]) for a, b in pairwise(ends))
    return np.asarray(0.5 * (inner - _gaussians.log_det(matrix)))


def _structure(structure: str | None, cov: Array) -> str:
    apart = cov * (1 - np.eye(cov.shape[-1]))
    if structure is None:
        return "full" if apart.any() else "diagonal"
    kind = option("structure", structure, ("diagonal", "full"))
    if kind == "diagonal" and apart.any():
        raise ValueError("structure: expected 'full' for covariances that are not diagonal")
    return kind


def _given(
    model: LatentModel,
    data: Array,
    evidence: Integral | Bracket | None,
    shape: tuple[int, ...],
    rtol: float,
) -> tuple[Array, Array]:
    """Log evidences `(N,)` and their errors, as given or computed."""
    if evidence is not None:
        if not isinstance(evidence, Integral | Bracket):
            raise ValueError(
                f"evidence: expected an Integral or a Bracket, got {type(evidence).__name__}"
            )
        if np.shape(evidence.value) != shape:
            raise ValueError(
                f"evidence: expected shape {shape} as the data have, got {np.shape(evidence.value)}"
            )
        return np.ravel(evidence.value), np.ravel(evidence.error)
    exact = any_log_evidence(model, data, rtol)
    return np.asarray(exact.value), np.asarray(exact.error)


def _best(
    model: LatentModel,
    data: Array,
    kind: str,
    start: Posterior | None,
    rtol: float,
) -> tuple[Posterior, Array, Array]:
    """The best posteriors of a kind that are found, their ELBOs, and the errors of these."""
    if (parts := linear_parts(model)) is not None:
        # The exact posterior is a Gaussian, and its ELBO the evidence. The values are those of the
        # best posteriors: ELBOs of posteriors that were rounded may be lower.
        law, exact = linear_posterior(*parts, data), linear_gaussian(*parts, data)
        if kind == "full":
            made = np.broadcast_to(law.cov, (len(data), *law.cov.shape))
            return Posterior(law.loc, cov=made), exact.value, exact.error
        scale = 1 / np.sqrt(np.diagonal(law.precision))
        value, error = exact.value - law.diagonal, exact.error + law.error
        return Posterior(law.loc, scale=np.broadcast_to(scale, law.loc.shape)), value, error
    value, error = np.full(len(data), -np.inf), np.full(len(data), np.inf)
    best: Posterior | None = None
    for first in (None,) if start is None else (None, start):
        there, own, lost = _stationary(model, data, kind, first, rtol)
        better = ~(own <= value)
        value, error = np.where(better, own, value), np.where(better, lost, error)
        best = there if best is None else _chosen(better, there, best)
    assert best is not None
    return best, value, error


def _stationary(
    model: LatentModel, data: Array, kind: str, start: Posterior | None, rtol: float
) -> tuple[Posterior, Array, Array]:
    """What one search finds: posteriors, their ELBOs and the errors of these."""
    if model.latent_dim > _BY_RULES:
        drawn = sampled_posterior(
            model, data, diagonal=kind == "diagonal", start=start, rtol=max(rtol, 1e-6)
        )
        there, deficit = drawn.posterior, drawn.deficit
    else:
        found = stationary_posterior(model, data, structure=kind, start=start, rtol=rtol)
        there, deficit = Posterior(found.loc, cov=found.cov), found.deficit
        if model.latent_dim <= LATTICE_DIM or found.reached.all():
            return there, np.asarray(found.value), np.asarray(found.error)
    bound = any_elbo(model, data, there, rtol)
    return there, np.asarray(bound.value), bound.error + _COUPLED * deficit


def _chosen(which: NDArray[np.bool_], one: Posterior, other: Posterior) -> Posterior:
    """One posterior where a condition `(N,)` holds, and another elsewhere."""
    return Posterior(
        np.where(which[:, None], one.loc, other.loc),
        cov=np.where(which[:, None, None], one.cov, other.cov),
    )


def _shaped(posterior: Posterior, shape: tuple[int, ...]) -> Posterior:
    d = posterior.latent_dim
    return Posterior(posterior.loc.reshape(*shape, d), cov=posterior.cov.reshape(*shape, d, d))
