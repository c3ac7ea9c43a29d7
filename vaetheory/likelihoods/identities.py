"""Fisher's identities by sums over the support: they show whether a family has a metric."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._validation import Array, require, vectors
from vaetheory._value_equality import ByValue
from vaetheory.likelihoods.base import Likelihood
from vaetheory.likelihoods.summation import SupportRule, support_rule
from vaetheory.rounding import ULP

#: Step of the differences of scores, in units of the root of the Fisher information.
_STEP = 2e-3
#: An identity fails if its two sides differ by more than this many times the estimated error.
_SURE = 3.0
#: If differences of two widths disagree by this share, there is a kink and no Hessian.
_KINK = 0.1


@dataclass(frozen=True, eq=False)
class MetricIdentities(ByValue):
    """Both sides of Fisher's identities at one parameter vector, with their errors.

    Attributes
    ----------
    mass : float
        The integral of the density, which should be 1.
    score : array (D,)
        E[score].
    score_form, hessian_form : arrays (D, D)
        E[score score^T] and -E[Hessian].
    mass_error, score_error, score_form_error, hessian_form_error : float and arrays
        Estimates of the errors of the sums over the support and of the differences.
    """

    mass: float
    mass_error: float
    score: Array
    score_error: Array
    score_form: Array
    score_form_error: Array
    hessian_form: Array
    hessian_form_error: Array

    @property
    def failures(self) -> tuple[str, ...]:
        """The identities that fail by more than three times their errors, in words."""
        found = []
        if not abs(self.mass - 1) <= _SURE * self.mass_error:
            found.append(f"the integral of the density = 1 fails: it is {self.mass:.6g}")
        if not (np.abs(self.score) <= _SURE * self.score_error).all():
            found.append(f"E[score] = 0 fails: it is {_short(self.score)}")
        off = np.abs(self.score_form - self.hessian_form)
        if not (off <= _SURE * (self.score_form_error + self.hessian_form_error)).all():
            found.append(
                "E[score score^T] = -E[Hessian] fails: the score form is "
                f"{_short(self.score_form)}, the Hessian form {_short(self.hessian_form)}"
            )
        return tuple(found)


def _short(value: Array) -> str:
    numbers = np.array2string(value, separator=", ", formatter={"float_kind": "{:.3g}".format})
    return numbers.replace("-0,", "0,").replace("-0]", "0]")


def metric_identities(likelihood: Likelihood, params: ArrayLike) -> MetricIdentities:
    """Both sides of Fisher's identities of a family, by sums over its support.

    If they hold, the Fisher information is a Riemannian metric on the parameters; if one fails, the
    family has no metric. Only `log_prob`, `score`, `sample` and `support` of the family are used.
    The Hessian is computed from differences of the score.

    Parameters
    ----------
    likelihood : Likelihood
        Any family with a `support`, also one of your own.
    params : array (D,)
        One parameter vector of at most 3 data dimensions, unless the support is finite.

    Returns
    -------
    MetricIdentities
        Its `failures` name the identities that fail; the errors are estimates, not bounds.

    Raises
    ------
    ValueError
        As `support_rule`.

    Notes
    -----
    Source: claims 7a and 7e.

    Examples
    --------
    >>> from vaetheory.likelihoods import Laplace, Poisson
    >>> metric_identities(Poisson(), [0.5]).failures
    ()
    >>> metric_identities(Laplace(scale=0.5), [0.0]).failures
    ('E[score score^T] = -E[Hessian] fails: the score form is [[4]], the Hessian form [[0]]',)
    """
    require("likelihood", likelihood, Likelihood, "a member of vaetheory.likelihoods")
    centre = vectors("params", params, likelihood.param_dim)
    rule = support_rule(likelihood, centre)
    log_prob = likelihood.log_prob(rule.points, centre)
    mass, mass_error = rule.expectation(log_prob, np.ones((len(rule.points), 1)))
    score = _score(likelihood, rule, log_prob, centre)
    first, first_error = rule.expectation(log_prob, score)
    size = len(centre)
    outer = (score[:, :, None] * score[:, None, :]).reshape(-1, size**2)
    second, second_error = rule.expectation(log_prob, outer)
    unit = np.sqrt(np.maximum(np.diagonal(second.reshape(size, size)), 1e-300))
    hessian, hessian_error = np.empty((2, size, size))
    for i in range(size):
        step = np.zeros(size)
        # A power of two, so that the steps themselves are not rounded by much.
        step[i] = 2.0 ** np.round(np.log2(_STEP / max(unit[i], 1.0)))
        at = {
            k: _score(likelihood, rule, log_prob, centre + k * step) for k in (-4, -2, -1, 1, 2, 4)
        }
        fine = (8 * (at[1] - at[-1]) - (at[2] - at[-2])) / (12 * step[i])
        wide = (8 * (at[2] - at[-2]) - (at[4] - at[-4])) / (24 * step[i])
        kink = np.abs(fine - wide) > _KINK * (np.abs(wide) + unit[i] * unit)
        fine, wide = np.where(kink, 0.0, fine), np.where(kink, 0.0, wide)
        hessian[i], hessian_error[i] = rule.expectation(log_prob, -fine)
        hessian_error[i] += rule.expectation(log_prob, kink * unit[i] * unit)[0]
        # The error of the wide differences is sixteen times as large.
        hessian_error[i] += np.abs(rule.expectation(log_prob, fine - wide)[0])
        size_of_score = rule.expectation(log_prob, np.abs(score))[0] + unit
        moved = ULP * (1 + np.abs(centre[i])) / step[i]
        hessian_error[i] += 8 * moved * (size_of_score + unit[i] * unit)
    found = MetricIdentities(
        float(mass[0]),
        float(mass_error[0]),
        first,
        first_error,
        second.reshape(size, size),
        second_error.reshape(size, size),
        hessian,
        hessian_error,
    )
    if any(np.isnan(value).any() for value in vars(found).values()):
        raise ValueError(
            f"params: expected ones at which sums over the support fit in float64, got {centre}"
        )
    return found


def _score(likelihood: Likelihood, rule: SupportRule, log_prob: Array, params: Array) -> Array:
    """Scores at the points of the rule; zero where the density is zero and there is no score."""
    score = likelihood.score(rule.points, params)
    return np.where((log_prob > -np.inf)[:, None], score, 0.0)
