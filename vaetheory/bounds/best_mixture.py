"""The greatest likelihood that data can have under any mixture of Gaussians of one covariance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._log_sums import log_sum_exp
from vaetheory._validation import Array, data_set, integer, positive, require
from vaetheory._value_equality import ByValue
from vaetheory.bounds._mixtures.climbing import BLOCK, climb, shifted, squares
from vaetheory.bounds._mixtures.greatest import ATOL, White, greatest_sum, whitened
from vaetheory.bounds._mixtures.weights import best_weights
from vaetheory.likelihoods import Gaussian, Likelihood
from vaetheory.rounding import gamma

# Most data for which the weights are found by Newton steps; EM is used for more.
_NEWTON = 300
# EM steps between two certificates.
_STEPS = 10
# Multiples of a mean shift at which components are tried.
_FURTHER = tuple(2.0**k for k in range(1, 10))
# Atoms this close, in standard deviations, are one; lighter ones are left out.
_CLOSE, _LIGHT = 1e-5, 1e-8


@dataclass(frozen=True, eq=False)
class MixtureMaximum(ByValue):
    """A mixture of Gaussians of one covariance, and how far any other can exceed it.

    Attributes
    ----------
    value : float
        Its mean log likelihood in nats; VAEs come as close to it as one likes.
    ceiling : float
        What the mean log likelihood of no mixture exceeds: a proved bound, which includes rounding.
    atoms : array (K, D)
        Means of the components.
    weights : array (K,)
        Their weights.
    log_density : array (N,)
        Its log density at the data.
    steps : int
        Number of certificates that were computed.
    """

    value: float
    ceiling: float
    atoms: Array
    weights: Array
    log_density: Array
    steps: int


def npmle(
    likelihood: Likelihood, X: ArrayLike, *, atol: float = 1e-6, steps: int = 20
) -> MixtureMaximum:
    """The mixture of Gaussians with the greatest likelihood: the best that any VAE can do.

    A VAE with the Gaussian likelihood N(f(z), Lambda) is a mixture of Gaussians of covariance
    Lambda, whatever its decoder and prior. The best of all mixtures, the nonparametric maximum
    likelihood estimate, has finitely many components. It also bounds VAEs with larger covariances.

    Parameters
    ----------
    likelihood : Likelihood
        A Gaussian likelihood of fixed covariance; of `GaussianMeanScale` the floor counts, and of
        `LogNormal` the Gaussian of the logarithms.
    X : array (N, D)
        The data.
    atol : float
        The search ends when `ceiling` exceeds `value` by no more than this.
    steps : int
        Most certificates that are computed on the way.

    Returns
    -------
    MixtureMaximum

    Raises
    ------
    ValueError
        If the data do not fit the likelihood, or the likelihood is of another kind.

    Notes
    -----
    Source: claims 18b and 18c. Components are added where the certificate finds the greatest
    value, and weights are found by Newton's method; for more than 300 data by EM, which moves the
    components as well. In more than three dimensions (of the space that the data span) the ceiling
    can stay above the value, because the certificate's maximum is bounded there and not found.

    Examples
    --------
    Two data further apart than two standard deviations have two components, which lie between them:

    >>> from vaetheory.bounds import npmle
    >>> from vaetheory.likelihoods import Gaussian
    >>> found = npmle(Gaussian(scale=1.0), [[-1.5], [1.5]])
    >>> found.atoms.round(4).tolist(), round(found.value, 6), found.ceiling - found.value < 1e-6
    ([[-1.4632], [1.4632]], -1.600433, True)
    """
    require("likelihood", likelihood, Likelihood)
    atol = float(positive("atol", atol))
    steps = integer("steps", steps, low=1)
    data = likelihood.check_data(data_set("X", X))
    simpler, reduced, offset = likelihood.narrowest().reduced(data)
    if not simpler.gaussian:
        raise ValueError(
            f"likelihood: expected a Gaussian of fixed covariance, got {type(likelihood).__name__}"
        )
    gaussian = cast(Gaussian, simpler)
    white = whitened(gaussian, reduced)
    peak = gaussian.log_peak(reduced.shape[1]) + offset
    few = len(data) <= _NEWTON
    # The data, and their mean, which is alone if the noise is broad.
    atoms = np.concatenate([white.y, np.zeros((1, white.y.shape[1]))])
    weights = np.full(len(atoms), 1 / len(atoms))
    best: MixtureMaximum | None = None
    ceiling = np.inf
    for step in range(1, steps + 1):
        if few:
            atoms, weights = _newton(white.y, atoms)
        atoms, weights = _em(white.y, atoms, weights)
        logs = _log_density(white.y, atoms, weights)
        found = greatest_sum(
            gaussian, reduced, -np.log(len(data)) - logs - peak, atol=max(atol / 4, ATOL)
        )
        value = float((logs + peak).mean())
        lost = gamma(len(data) + 40) * float(np.abs(logs + peak).mean()) + white.rounding
        ceiling = min(ceiling, float(value + found.upper + lost))
        if best is None or value > best.value:
            best = MixtureMaximum(value, ceiling, white.params(atoms), weights, logs + peak, step)
        # Where nothing greater is found, more steps would not lower the bound either.
        if ceiling - best.value <= atol or found.lower <= atol / 4:
            break
        if few:
            _, modes = climb(white.y, -logs, np.concatenate([atoms, white.y]))
            shift = shifted(white.y, -logs, atoms) - atoms
            further = [atoms + far * shift for far in _FURTHER]
            atoms = np.concatenate([atoms, modes, _seen(white, found.at), *further])
    assert best is not None
    return MixtureMaximum(best.value, ceiling, best.atoms, best.weights, best.log_density, step)


def _seen(white: White, at: Array | None) -> Array:
    """Params of the certificate's greatest value in the coordinates of the white data."""
    assert at is not None
    found: Array = white.likelihood.whiten(at - white.mean)[None] @ white.axes.T
    return found


def _log_density(y: Array, atoms: Array, weights: Array) -> Array:
    """Log density of a mixture at white data, less the peak's, `(N,)`."""
    rows = max(1, BLOCK // len(atoms))
    logs = np.log(weights)
    return np.concatenate([
        log_sum_exp(logs - 0.5 * squares(atoms, block))
        for block in np.array_split(y, -(-len(y) // rows))
    ])  # fmt: skip


def _kept(atoms: Array, weights: Array) -> tuple[Array, Array]:
    """Atoms that count, those close to each other as one."""
    heavy = weights > _LIGHT
    atoms, weights = atoms[heavy], weights[heavy]
    _, which = np.unique(np.round(atoms / _CLOSE), axis=0, return_inverse=True)
    which = which.reshape(-1)
    total = np.bincount(which, weights)
    moved = np.stack([np.bincount(which, weights * axis) for axis in atoms.T], axis=-1)
    return moved / total[:, None], total / total.sum()


def _newton(y: Array, atoms: Array) -> tuple[Array, Array]:
    """The best weights of these atoms."""
    different = np.unique(np.round(atoms / _CLOSE), axis=0, return_index=True)[1]
    atoms = atoms[different]
    half = 0.5 * squares(atoms, y)
    density = np.exp(half.min(axis=1, keepdims=True) - half)
    return _kept(atoms, best_weights(density))


def _em(y: Array, atoms: Array, weights: Array) -> tuple[Array, Array]:
    """Some steps of EM, of weights and atoms."""
    rows = max(1, BLOCK // len(atoms))
    for _ in range(_STEPS):
        logs = np.log(weights)
        mass, moment = np.zeros(len(atoms)), np.zeros_like(atoms)
        for block in np.array_split(y, -(-len(y) // rows)):
            terms = logs - 0.5 * squares(atoms, block)
            terms -= log_sum_exp(terms)[:, None]
            shares = np.exp(terms, out=terms)
            mass += shares.sum(axis=0)
            moment += shares.T @ block
        used = mass > _LIGHT * len(y)
        atoms, weights = moment[used] / mass[used, None], mass[used] / mass[used].sum()
    return _kept(atoms, weights)
