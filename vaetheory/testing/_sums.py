"""Laws of a likelihood by sums over its support: densities, moments, samples, divergences."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from vaetheory._validation import Array
from vaetheory.differences import slopes
from vaetheory.likelihoods.base import Likelihood
from vaetheory.likelihoods.identities import MetricIdentities, metric_identities
from vaetheory.likelihoods.summation import SupportRule, support_rule
from vaetheory.likelihoods.supports import Support
from vaetheory.rounding import gamma
from vaetheory.testing._likelihoods import LAWS, Family, has_metric
from vaetheory.testing._statements import (
    NotApplicable,
    Violation,
    direction,
    require_close,
    require_slope,
    rounding_of,
)

#: Parameter vectors at which sums are taken.
_PLACES = 2
#: Largest dimension of sums over an infinite support, if they do not have too many terms.
_MOST = 3
#: Allowed error of a sum, as a multiple of its own estimate.
_SURE = 3.0
#: If the relative error of a sum is larger than this, the law is skipped.
_VAGUE = 5e-4
#: The same of the integral of a density, which may have kinks.
_MASS = 1e-2
#: How many draws are tested, and the level of the test for one family.
_DRAWS, _LEVEL = 20_000, 1e-6
#: Data of a weighted fit, and the steps away from it that are tried.
_FITTED, _AWAY = 16, 2.0 ** -np.arange(1.0, 16.0)


@dataclass(frozen=True)
class Place:
    """A parameter vector with a rule that sums over the support there."""

    params: Array
    rule: SupportRule
    log_prob: Array

    def expectation(self, values: Array) -> tuple[Array, Array]:
        """E[values] and its allowed error, `(M, K) -> (K,)`."""
        value, error = self.rule.expectation(self.log_prob, values)
        return value, _SURE * error


def _vectors(s: Family) -> Array:
    """Parameter vectors that have few enough dimensions."""
    if s.instance.elementwise and s.instance.data_dim is None:
        return s.params.reshape(-1, 1)[:: s.params.shape[-1] + 1][:_PLACES]
    # A sum over several infinite dimensions takes about a second.
    finite = s.instance.support in (Support.ONE_HOT, Support.BINARY)
    return s.params[: _PLACES if finite or s.size == 1 else 1]


def _places(s: Family) -> Iterator[Place]:
    memory: dict[int, Place] = s.__dict__.setdefault("places", {})
    for k, t in enumerate(_vectors(s)):
        if k not in memory:
            _summable(s, t)
            try:
                rule = support_rule(s.instance, t)
            except ValueError as error:
                if len(t) < _MOST:
                    raise
                raise NotApplicable(f"a sum over {len(t)} dimensions: {error}") from None
            memory[k] = Place(t, rule, s.instance.log_prob(rule.points, t.copy()))
        yield memory[k]


def _summable(s: Family, t: Array) -> None:
    support = s.instance.support
    if not isinstance(support, Support):
        raise NotApplicable("the family states no support to sum over")
    size = s.instance.data_dim_of(len(t))
    if size > {Support.ONE_HOT: 100, Support.BINARY: 10}.get(support, _MOST):
        raise NotApplicable(f"a sum over {size} dimensions has too many terms")


def _identities(s: Family) -> Iterator[tuple[Array, MetricIdentities]]:
    memory: dict[int, MetricIdentities] = s.__dict__.setdefault("identities", {})
    for k, place in enumerate(_places(s)):
        if k not in memory:
            memory[k] = metric_identities(s.instance, place.params)
        yield place.params, memory[k]


def _require_sum(
    what: str,
    t: Array,
    came: Any,
    summed: tuple[Array, Array],
    extra: Any = 0.0,
    vague: float = _VAGUE,
) -> bool:
    """Raise a `Violation` if a value differs from a sum; return whether the sum is accurate."""
    value, error = summed
    require_close(
        f"{what} at params = {t.tolist()}, by a sum over the support,", came, value, error + extra
    )
    return bool(np.max(error) <= vague * np.abs(value).max())


def _sharp(seen: list[bool]) -> None:
    if not any(seen):
        raise NotApplicable("the sums over the support are not accurate enough; try other params")


@LAWS.add("inputs")
def draws(s: Family) -> None:
    """A sample is one datum of the support per parameter vector, drawn by the given generator."""
    params = np.broadcast_to(s.params, (3, *s.params.shape)).copy()
    before, state = params.copy(), _global_state()
    rng, twin = s.stream("draws"), s.stream("draws")
    x = np.asarray(s.instance.sample(params, rng))
    shape = (*params.shape[:-1], s.instance.data_dim_of(params.shape[-1]))
    if x.shape != shape:
        raise Violation(f"expected samples of shape {shape}, got {x.shape}")
    try:
        s.instance.check_data(x.copy())
    except ValueError as error:
        raise Violation(
            f"expected samples in the support, got some that are refused: {error}"
        ) from None
    if not np.array_equal(params, before):
        raise Violation("expected sample to leave params unchanged, got other params")
    if not np.array_equal(s.instance.sample(before, twin), x):
        raise Violation("expected the same samples for the same seed, got others")
    if rng.bit_generator.state == s.stream("draws").bit_generator.state:
        raise Violation("expected samples drawn from the given generator, got one in its old state")
    if _global_state() != state:
        raise Violation("expected NumPy's global generator unchanged, got another state")


def _global_state() -> str:
    """The state of NumPy's global generator."""
    return str(np.random.get_state())  # noqa: NPY002


@LAWS.add("rows", "draws")
def density(s: Family) -> None:
    """The density integrates to one over the support."""
    seen = []
    for place in _places(s):
        mass = place.expectation(np.ones((len(place.log_prob), 1)))
        seen.append(
            _require_sum(
                "one, the integral of the density,", place.params, [1.0], mass, vague=_MASS
            )
        )
    _sharp(seen)


@LAWS.add("density")
def samples(s: Family) -> None:
    """Samples have the distribution of the density."""
    for place in _places(s):
        t, rng = place.params, s.stream("samples")
        functions = _waves(s.instance.support, s.instance.sample(np.tile(t, (2000, 1)), rng))
        x = s.instance.sample(np.tile(t, (_DRAWS, 1)), rng)
        found = functions(x)
        value, error = place.expectation(functions(place.rule.points))
        # Hoeffding's inequality for means of numbers in [-1, 1], over all waves and places.
        count = 2 * found.shape[-1] * _PLACES
        noise = np.sqrt(2 * np.log(count / _LEVEL) / _DRAWS)
        off = np.abs(found.mean(axis=0) - value)
        if (off > noise + error).any():
            k = int((off - error).argmax())
            raise Violation(
                f"expected samples with the distribution of the density, got {_DRAWS} at params = "
                f"{t.tolist()} whose mean of a wave is {found.mean(axis=0)[k]:.4g}, while the "
                f"density's is {value[k]:.4g}: chance explains {noise:.2g} at level {_LEVEL:g}"
            )


def _waves(support: Support, draws: Array) -> Callable[[Array], Array]:
    """Cosines and sines of the data, in units of the spread of some draws."""

    def inner(x: Array) -> Array:
        if support is Support.POSITIVE:
            return np.log(x)
        return np.log(x) - np.log1p(-x) if support is Support.UNIT_INTERVAL else x

    low, middle, high = np.quantile(inner(draws), [0.25, 0.5, 0.75], axis=0)
    spread = np.where(high > low, (high - low) / 1.35, 1.0)
    if support is Support.CIRCLE:
        # A whole number of waves per turn.
        middle = np.angle(np.exp(1j * draws).mean(axis=0))
        spread = np.abs(np.angle(np.exp(1j * (draws - middle)))).mean(axis=0)
        spread = 1 / np.maximum(np.round(1 / np.maximum(spread, 1e-15)), 1.0)

    def waves(x: Array) -> Array:
        u = (inner(x) - middle) / spread
        size = u.shape[-1]
        phases = [k * u[..., j] for j in range(size) for k in (1, 2)]
        phases += [
            u[..., i] + sign * u[..., j] for i in range(size) for j in range(i) for sign in (1, -1)
        ]
        return np.stack([wave(phase) for phase in phases for wave in (np.cos, np.sin)], axis=-1)

    return waves


@LAWS.add("density", "score")
def expected_score(s: Family) -> None:
    """The score has mean zero."""
    if not s.instance.no_metric:
        for t, found in _identities(s):
            unit = np.sqrt(np.abs(np.diagonal(found.score_form)))
            require_close(
                f"the mean of the score at params = {t.tolist()}",
                found.score,
                0 * unit,
                _SURE * found.score_error,
            )
        return
    if all(found.failures == () for _, found in _identities(s)):
        raise Violation(
            f"expected one of Fisher's identities to fail, because the family states "
            f"'{s.instance.no_metric}', got none that fails"
        )


@LAWS.add("expected_score", "observed_information", when=has_metric)
def fisher_information(s: Family) -> None:
    """The Fisher information is the mean of the score's square and of the observed information."""
    seen = []
    for place, (t, found) in zip(_places(s), _identities(s), strict=True):
        fisher, size = s.instance.fisher_information(t.copy()), len(t)
        extra = rounding_of(s.instance.fisher_information, t)
        square = found.score_form, _SURE * found.score_form_error
        seen.append(
            _require_sum("the Fisher information, E[score score^T],", t, fisher, square, extra)
        )
        at = np.broadcast_to(t, (len(place.rule.points), size))
        observed = s.observed(place.rule.points, at, np.eye(size)).reshape(-1, size**2)
        kept = np.where((place.log_prob > -np.inf)[:, None], observed, 0.0)
        value, error = place.expectation(kept)
        mean = value.reshape(size, size), error.reshape(size, size)
        seen.append(
            _require_sum("the Fisher information, E[observed information],", t, fisher, mean, extra)
        )
        jacobian = s.stream("jacobian").standard_normal((size, 2))
        require_close(
            f"expected_information at params = {t.tolist()}",
            s.instance.expected_information(t.copy(), jacobian.copy()),
            jacobian.T @ fisher @ jacobian,
            gamma(256) * (1 + np.abs(jacobian).T @ np.abs(fisher) @ np.abs(jacobian)).max(),
        )
    _sharp(seen)


@LAWS.add("fisher_information", when=lambda f: has_metric(f) and f.elementwise)
def fisher_diagonal(s: Family) -> None:
    """The diagonal of the Fisher information and the slope of its logarithm are correct."""
    for t in s.params:
        diagonal = s.instance.fisher_diagonal(t.copy())
        whole = s.instance.fisher_information(t.copy())
        require_close(
            f"fisher_information at params = {t.tolist()}",
            whole,
            np.diag(diagonal),
            gamma(8) * diagonal.max(),
        )
        for j, claimed in enumerate(s.instance.fisher_log_slope(t.copy())):
            unit = np.eye(len(t))[j]
            value, error = slopes(lambda p: np.log(s.instance.fisher_diagonal(p)), t, unit).best()
            require_close(
                f"fisher_log_slope {j} at params = {t.tolist()}",
                claimed,
                value[j],
                error[j] + 1e-8 * np.abs(value[j]),
            )


@LAWS.add("fisher_information", when=lambda f: has_metric(f) and f.ambient_curvature is not None)
def immersion(s: Family) -> None:
    """The immersion of the params is isometric: its Jacobian gives the Fisher information."""
    for t in s.params:
        jacobian = s.stream("jacobian").standard_normal((len(t), 2))
        immersed = s.instance.immersed_jacobian(t.copy(), jacobian.copy())
        fisher = s.instance.expected_information(t.copy(), jacobian.copy())
        require_close(
            f"the metric of the immersion at params = {t.tolist()}",
            np.swapaxes(immersed, -1, -2) @ immersed,
            fisher,
            rounding_of(partial(s.instance.expected_information, jacobian=jacobian), t)
            + gamma(256) * np.abs(immersed).sum(axis=-2).max() ** 2,
        )


# Exponential families ------------------------------------------------------------------------


def _exponential(f: Likelihood) -> bool:
    return f.exponential


@LAWS.add("rows", when=_exponential)
def statistics(s: Family) -> None:
    """Log p is T(x) . phi(params) - A(params) + h(x)."""
    f, x = s.instance, s.x
    for t in s.params:
        parts = (
            f.statistics(x.copy()) * f.natural_parameters(t.copy()),
            np.broadcast_to(f.log_partition(t.copy()), len(x))[:, None],
            f.log_base(x.copy())[:, None],
        )
        terms = np.concatenate([parts[0], -parts[1], parts[2]], axis=-1)
        slack = gamma(256) * np.abs(terms).sum(axis=-1)
        slack = slack + rounding_of(lambda p: f.log_prob(x.copy(), p), np.tile(t, (len(x), 1)))
        require_close(
            f"log_prob by the statistics, at params = {t.tolist()},",
            f.log_prob(x.copy(), t.copy()),
            terms.sum(axis=-1),
            slack,
        )


def _at(t: Array, index: tuple[int, ...]) -> str:
    return f"params = {t.tolist()}"


@LAWS.add("statistics", "density", when=_exponential)
def mean(s: Family) -> None:
    """The mean parameters are the means of the statistics, and slopes of the log partition."""
    f, seen = s.instance, []
    for place in _places(s):
        t = place.params
        summed = place.expectation(f.statistics(place.rule.points.copy()))
        extra = rounding_of(f.mean, t)
        seen.append(_require_sum("the mean parameters, E[T],", t, f.mean(t.copy()), summed, extra))
        if f.natural:
            require_slope(
                "mean . direction to be the derivative of log_partition",
                f.log_partition,
                t,
                np.asarray(f.mean(t.copy()) @ direction(len(t))),
                partial(_at, t),
            )
    _sharp(seen)


@LAWS.add("density", when=_exponential)
def divergence(s: Family) -> None:
    """The divergence is the mean of the log ratio, and zero from params to themselves."""
    f, seen = s.instance, []
    for place in _places(s):
        t = place.params
        other = t + s.stream("divergence").choice([-0.5, 0.5], len(t))
        ratio = place.log_prob - f.log_prob(place.rule.points, other.copy())
        kept = np.where(place.log_prob > -np.inf, ratio, 0.0)
        value, error = place.expectation(kept[:, None])
        # The difference of the logarithms has the rounding of both.
        points = place.rule.points
        lost = np.add(
            *(
                rounding_of(partial(f.log_prob, points), np.tile(a, (len(points), 1)))
                for a in (t, other)
            )
        )
        size = place.expectation(np.where(place.log_prob > -np.inf, lost, 0.0)[:, None])[0]
        extra = size[0] + rounding_of(partial(f.kl_divergence, other=other), t)
        came = f.kl_divergence(t.copy(), other.copy())
        seen.append(
            _require_sum(
                f"the divergence from params {other.tolist()}", t, came, (value[0], error[0]), extra
            )
        )
        same = f.kl_divergence(t.copy(), t.copy())
        require_close(f"the divergence from itself at params = {t.tolist()}", same, 0.0, extra)
    _sharp(seen)


@LAWS.add("draws", "rows", when=_exponential)
def fit(s: Family) -> None:
    """No params have a greater likelihood than the fitted ones."""
    f, rng = s.instance, s.stream("fit")
    data = f.sample(np.repeat(s.params, _FITTED, axis=0), rng)
    weights = rng.uniform(0.5, 1.5, len(data))
    weights = weights / weights.sum()
    fitted = np.asarray(f.fit(data.copy(), np.log(weights)))
    if fitted.shape != s.params.shape[1:]:
        raise Violation(f"expected fitted params of shape {s.params.shape[1:]}, got {fitted.shape}")
    if np.isnan(fitted).any():
        raise Violation(f"expected fitted params, got {fitted.tolist()}")
    # If all the weight is on an edge of the support, 40 stands for infinity.
    best = np.clip(fitted, -40.0, 40.0) if np.isinf(fitted).any() else fitted
    units = np.concatenate([np.eye(len(best)), rng.uniform(-1, 1, (4, len(best)))])
    steps = np.concatenate([_AWAY[:, None, None] * units, -_AWAY[:, None, None] * units])
    tried = best + np.where(np.isinf(fitted), 0.0, steps)
    height = s.heights(data.copy(), tried[:, :, None].copy()) @ weights
    top = f.log_prob(data.copy(), best.copy()) @ weights
    slack = weights @ rounding_of(
        lambda t: f.log_prob(data.copy(), t), np.tile(best, (len(data), 1))
    )
    if (height > top + slack).any():
        at = np.unravel_index(height.argmax(), height.shape)
        raise Violation(
            f"expected no params of greater likelihood than the fitted {fitted.tolist()}, got "
            f"{tried[at].tolist()}, greater by {height[at] - top:.3g} nats per datum"
        )
