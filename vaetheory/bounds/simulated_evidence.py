"""Bounds of the log evidence of simulated data in any latent dimension, at a stated confidence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._executors import in_order
from vaetheory._log_sums import log_sum_exp
from vaetheory._progress import Progress, report
from vaetheory._sampling.bracket_proposals import mixture_for
from vaetheory._sampling.importance import POINTS, SOBOL, block_size, replicated, through
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import MOST_BITS, Streams
from vaetheory._sampling.target import Count, Target
from vaetheory._validation import Array, boolean, fraction, integer, option, same_leading, vectors
from vaetheory.bounds.betting import betting_lower_bound
from vaetheory.bounds.bracket import BRACKETED, UNRESOLVED, Bracket
from vaetheory.models import LatentModel, require_model
from vaetheory.rounding import gamma

#: Nats by which the weight of the exact sample exceeds the estimate if it lies in a missed mode.
MISSED = 5.0
#: Nats by which all estimates together exceed the weights of the latents where these are refused.
_IMPOSSIBLE = 70.0
#: Most data for which particles look for modes at once, so that there is work for several workers.
_MOST = 32


class Simulated(NamedTuple):
    """Data of a model, and the latents from which they were drawn.

    Attributes
    ----------
    X : array (N, D)
    z : array (N, d)
        Each is an exact sample of the posterior p(z given x) of its datum.
    """

    X: Array
    z: Array


def simulate(model: LatentModel, count: int, seed: int = 0) -> Simulated:
    """Draw latents from the prior, and data from the likelihood.

    Parameters
    ----------
    model : LatentModel
    count : int
        Number N of data.
    seed : int

    Returns
    -------
    Simulated
        X `(N, D)` and z `(N, d)`.

    Raises
    ------
    ValueError
        If the decoder's outputs or the data drawn are outside their ranges.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> model = LatentModel(decoders.Affine(np.ones((3, 2))), likelihoods.Gaussian(scale=1.0))
    >>> X, z = simulate(model, 5, seed=1)
    >>> X.shape, z.shape
    ((5, 3), (5, 2))
    """
    require_model(model)
    count, seed = integer("count", count, low=1), integer("seed", seed)
    z = Streams.of(seed, count).normals("simulated latents", model.latent_dim)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 0x5EED]))
    X = model.check_data(model.likelihood.sample(model.decode(z), rng))
    return Simulated(X, z)


def evidence_bracket(
    model: LatentModel,
    X: ArrayLike,
    z: ArrayLike,
    *,
    confidence: float = 0.999,
    per_datum: bool = False,
    draws: int = 4096,
    replicates: int = 16,
    points: str = SOBOL,
    particles: int = 64,
    seed: int = 0,
    executor: Any = None,
    progress: Progress | None = None,
) -> Bracket:
    """Bounds of the mean log evidence of simulated data, in any latent dimension.

    They hold at the stated confidence for any decoder and likelihood, any number of draws and
    however bad the proposal is; then they are wide. Nothing is assumed but that the latents are
    those from which the data were drawn, and the random numbers.

    Parameters
    ----------
    model : LatentModel
    X : array (..., D)
        Data drawn from the model, for example by `simulate`.
    z : array (..., d)
        The latents from which they were drawn. They are used for the upper bound only: the
        proposals are fitted to X alone. Latents from anywhere else make the upper bound false.
    confidence : float
        Probability with which both bounds hold, 0.5 to 1 - 1e-12.
    per_datum : bool
        Bounds of each log evidence, each at this confidence by itself, instead of bounds of their
        mean. Their upper bounds are never nearer than log(2 / (1 - confidence)), 7.6 nats at
        99.9 %: one exact sample says no more.
    draws : int
        Draws for each datum and each bound, a power of two.
    replicates : int
        Independent parts of the draws for the lower bound of the mean, a power of two.
    points : str
        How the draws are placed: "sobol", "lattice" or "independent".
    particles : int
        Annealed particles of each datum that look for modes before the proposal is fitted, 16 or
        more. With 0 the modes to which a scan of the prior leads are taken as they are: for about
        1000 calls of the decoder in the place of 50,000 and more, the bounds are farther apart.
    seed : int
        The random numbers of a datum depend on the seed and its place in X, and on nothing else.
    executor : object, optional
        Computes parts of the data on other processes or machines: with `submit`, as those of
        `concurrent.futures`, mpi4py and Dask, or with `imap` or `map`, as the pools of
        multiprocessing and Ray. The numbers do not depend on it.
    progress : callable, optional
        Called with the fraction of the data that is done.

    Returns
    -------
    Bracket
        `lower` and `upper` are bounds at the stated confidence, and count rounding in. `value` is
        the estimate by all draws of the lower bound. For one number in `mean`, `(...)` if
        `per_datum`: status "bracketed", or "unresolved" where a bound is infinite. `diagnostics`
        are arrays over the data: "lower" and "upper", the estimates below and above in nats
        (their means are the bounds without the slack); "missed", whether the sample lies where the
        proposal has almost no draws, so that the upper bound is far; "rounding" in nats.

    Raises
    ------
    ValueError
        If data, latents or options are out of range, the leading axes of X and z differ, or the
        data were surely not drawn from the latents: the product of evidence / weight at the latents
        has expectation one as well, and is beyond e^70 of estimates with expectation one. Also if
        the executor has none of these methods, or cannot send the model to its processes.

    Notes
    -----
    For N data, R replicates and c = 1 - confidence the slack is log(2 / c) / (N R) below and
    log(2 / c) / N above: the products over the data of (estimate / evidence) and of (evidence /
    estimate through the exact sample) have expectation one, and Markov's inequality does the rest
    (claim 24).

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import evidence_bracket, simulate
    >>> from vaetheory.evidence import linear_log_evidence
    >>> model = LatentModel(
    ...     decoders.Affine(np.eye(6)[:, ::-1]), likelihoods.Gaussian(scale=0.5)
    ... )
    >>> X, z = simulate(model, 50, seed=1)
    >>> bracket = evidence_bracket(model, X, z, draws=256, particles=0)
    >>> bool(bracket.contains(linear_log_evidence(model, X).value.mean()))
    True
    >>> bool(bracket.width < 0.3)
    True
    """
    require_model(model)
    data = model.check_data(X)
    latents = _latents(z, model.latent_dim)
    same_leading("X", data, "z", latents)
    settings = Settings(
        fraction("confidence", confidence, low=0.5, high=1 - 1e-12),
        boolean("per_datum", per_datum),
        _power("draws", draws),
        _power("replicates", replicates),
        option("points", points, POINTS),
    )
    if settings.replicates > settings.draws:
        raise ValueError(
            f"replicates: expected at most {settings.draws}, the number of draws, got {replicates}"
        )
    target = Target.of(model, data.reshape(-1, model.data_dim), integer("seed", seed))
    particles, points_of = _particles(particles), latents.reshape(len(target), -1)
    tasks = [
        Task(target.take(rows), points_of[rows], particles, settings)
        for rows in _blocks(target, settings, particles)
    ]
    with closing(in_order(bounds_of_part, tasks, executor)) as bounds:
        found = _assembled(list(_told(bounds, len(target), progress)), settings)
    return found if not per_datum else _shaped(found, data.shape[:-1])


class Settings(NamedTuple):
    """The checked options of `evidence_bracket`."""

    confidence: float
    per_datum: bool
    draws: int
    replicates: int
    points: str


class Task(NamedTuple):
    """Some of the data, their latents, and how to find the bounds: what a worker gets."""

    target: Target
    latents: Array
    particles: int
    settings: Settings


class PartBounds(NamedTuple):
    """Estimates for some of the data, each `(N,)` in nats, and all calls of their target so far.

    `lower` and `upper` are those whose means have the slack, `pin` is the weight of the exact
    sample, and `seen` the mean log of the replicates below.
    """

    lower: Array
    upper: Array
    value: Array
    rounding: Array
    pin: Array
    seen: Array
    calls: int


def bounds_of_part(task: Task) -> PartBounds:
    """Fit proposals to some data, and estimate from below and from above."""
    # The count is the part's own: workers do not share one.
    target = replace(task.target, count=Count())
    # What is fitted knows the data only: a `Target` has no latents.
    proposal = mixture_for(target, task.particles)
    return _part_bounds(target, proposal, task.latents, task.settings)


def bracket_by(
    target: Target,
    parts: Iterable[tuple[slice, Mixture]],
    latents: Array,
    settings: Settings,
) -> Bracket:
    """The bracket with given proposals, which must not depend on the latents `(N, d)`.

    The parts are slices of all data, in their order.
    """
    found = [
        _part_bounds(target.take(rows), proposal, latents[rows], settings)
        for rows, proposal in parts
    ]
    # With the calls for the proposals, as far as the target has counted them.
    return replace(_assembled(found, settings), evaluations=target.count.calls)


def _part_bounds(
    target: Target, proposal: Mixture, latents: Array, settings: Settings
) -> PartBounds:
    """The estimates of some data with given proposals."""
    draws = settings.draws
    if settings.per_datum:
        below = replicated(
            target, proposal, count=draws, replicates=1, purpose="below", points="independent"
        )
        # The middle between the confidence and one may be rounded down.
        bet = float(np.nextafter(0.5 * (1 + settings.confidence), 1.0))
        lower = betting_lower_bound(below.log_weights[:, 0], confidence=bet)
    else:
        below = replicated(
            target,
            proposal,
            count=draws // settings.replicates,
            replicates=settings.replicates,
            purpose="below",
            points=settings.points,
        )
        lower = below.log_mean.mean(axis=1)
    above = through(target, proposal, latents, count=draws, purpose="above", points=settings.points)
    return PartBounds(
        lower=lower,
        upper=above.log_mean[:, 0],
        value=_log_mean_of(below.log_mean),
        rounding=np.maximum(below.rounding, above.rounding),
        pin=above.log_weights[:, 0, 0],
        seen=below.log_mean.mean(axis=1),
        calls=target.count.calls,
    )


def _assembled(parts: list[PartBounds], settings: Settings) -> Bracket:
    """The bracket of all data, from the estimates of their parts in order."""
    names = ("lower", "upper", "value", "rounding", "pin", "seen")
    empty = np.empty(0)
    lower, upper, value, off, pin, seen = (
        np.concatenate([empty, *(getattr(part, name) for part in parts)]) for name in names
    )
    n = len(value)
    replicates = settings.draws if settings.per_datum else settings.replicates
    _require_drawn(seen - pin)
    diagnostics = {"lower": lower, "upper": upper, "missed": pin - value > MISSED, "rounding": off}
    low, high = lower - off, upper + off
    if settings.per_datum:
        high = high + slack(settings.confidence, 1)
    else:
        # The sums over data are rounded as well.
        low, high, value = np.asarray(low.mean()), np.asarray(high.mean()), value.mean()
        low = low - slack(settings.confidence, n * replicates) - gamma(n + 8) * np.abs(lower).mean()
        high = high + slack(settings.confidence, n) + gamma(n + 8) * np.abs(upper).mean()
    value = np.clip(value, low, high)
    return Bracket(
        value=value,
        error=np.maximum(value - low, high - value),
        lower=low,
        upper=high,
        confidence=settings.confidence,
        status=np.where(np.isfinite(low) & np.isfinite(high), BRACKETED, UNRESOLVED),
        evaluations=sum(part.calls for part in parts),
        diagnostics=diagnostics,
    )


def slack(confidence: float, count: int) -> float:
    """Slack in nats of each of two bounds of a mean log ratio over `count` independent ratios.

    Examples
    --------
    >>> round(slack(0.999, 1000), 4)
    0.0076
    """
    return float(-np.log(0.5 * (1 - confidence)) / count)


def _require_drawn(excess: Array) -> None:
    """Raise unless the data may have been drawn from the latents, given log estimate - weight."""
    total = float(excess.sum())
    if np.isnan(total) or total > _IMPOSSIBLE:
        worst = int(np.nan_to_num(excess, nan=np.inf).argmax())
        raise ValueError(
            "z: expected the latents from which the data were drawn, got some that are certainly "
            f"others: their weights are {total:.3g} nats below the estimated evidences in all, "
            f"{float(excess[worst]):.3g} of them at index {worst}"
        )


def _log_mean_of(logs: Array) -> Array:
    """Log of the mean over the replicates `(N, R)`."""
    safe = np.maximum(logs, -1e300)
    found = log_sum_exp(safe) - np.log(logs.shape[1])
    return np.where(np.isfinite(logs).any(axis=1), found, -np.inf)


def _latents(z: ArrayLike, dim: int) -> Array:
    return vectors("z", z, dim)


def _power(name: str, value: object) -> int:
    number = integer(name, value, low=1, high=2**MOST_BITS)
    if number & (number - 1):
        raise ValueError(f"{name}: expected a power of two, got {number}")
    return number


def _particles(value: object) -> int:
    number = integer("particles", value)
    if 0 < number < 16:
        raise ValueError(f"particles: expected 0, or an integer of at least 16, got {number}")
    return number


def _blocks(target: Target, settings: Settings, particles: int) -> list[slice]:
    """Parts of the data, which fit in memory; their sizes do not depend on the executor."""
    size, n = block_size(target.dim, settings.draws), len(target)
    if particles:
        size = min(size, _MOST)
    return [slice(i, min(i + size, n)) for i in range(0, n, size)]


def _told(
    found: Iterator[PartBounds], count: int, progress: Progress | None
) -> Iterator[PartBounds]:
    """The results of the parts, after each of which the share of the data is reported."""
    done = 0
    for part in found:
        done += len(part.value)
        report(done / count, progress)
        yield part


def _shaped(found: Bracket, shape: tuple[int, ...]) -> Bracket:
    """The bounds of each datum in the data's leading axes."""
    return Bracket(
        value=found.value.reshape(shape),
        error=found.error.reshape(shape),
        lower=found.lower.reshape(shape),
        upper=found.upper.reshape(shape),
        confidence=found.confidence,
        status=found.status.reshape(shape),
        evaluations=found.evaluations,
        diagnostics={k: np.reshape(v, shape) for k, v in found.diagnostics.items()},
    )
