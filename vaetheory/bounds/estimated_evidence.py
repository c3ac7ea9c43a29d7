"""Estimates of log evidences beyond quadrature, with an error and a word of trust."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from vaetheory._executors import in_order
from vaetheory._progress import Progress, report
from vaetheory._sampling import completion, estimation, importance
from vaetheory._sampling.proposals import Mixture
from vaetheory._sampling.streams import Streams
from vaetheory._sampling.target import Target
from vaetheory._validation import Array, Index, fraction, integer
from vaetheory.bounds._checkpoints import Checkpoint, fingerprint
from vaetheory.bounds._exact_evidence import linear_parts
from vaetheory.bounds._linear_gaussian import linear_gaussian
from vaetheory.bounds.betting import betting_lower_bound
from vaetheory.bounds.bracket import BRACKETED, ESTIMATED, UNRESOLVED, Bracket
from vaetheory.bounds.simulated_evidence import Settings as BracketSettings
from vaetheory.bounds.simulated_evidence import bracket_by, simulate
from vaetheory.models import LatentModel, require_model

#: Numbers of one batch of particles, from which the size of a part of the data follows.
_NUMBERS = 2**20
#: Most data of a part, so that there are enough parts for several workers.
_MOST = 16
#: Draws of the lower bound of a datum, and those of the bracket of the twins.
_DRAWS, _REPLICATES = 4096, 16
#: What the results of a part hold for each datum.
_ARRAYS = ("lower", "rounding", *estimation.Outcome.ARRAYS)

#: Diagnostics of each datum under their own names.
_MEASURED = (
    "spread", "greatest", "excess", "shape", "scout", "annealed", "annealed_error", "covered",
)  # fmt: skip


class Part(NamedTuple):
    """Some of the data, and how to estimate their evidences."""

    model: LatentModel
    X: Array
    indices: Index
    seed: int
    tolerance: float
    confidence: float
    most: int
    particles: int


def evidence_estimate(
    model: LatentModel,
    X: ArrayLike,
    *,
    tolerance: float = 0.25,
    confidence: float = 0.999,
    max_evaluations: int = 5_000_000,
    particles: int = 512,
    twins: int = 0,
    seed: int = 0,
    executor: Any = None,
    progress: Progress | None = None,
    checkpoint: str | PathLike[str] | None = None,
) -> Bracket:
    """Log evidences in any latent dimension, by Monte Carlo, with an estimated error.

    Particles are annealed from the prior to each posterior; searches from them find modes; a
    mixture is fitted to these; independent replicates of quasi-Monte Carlo importance sampling from
    the mixture give the value and its error. Checks compare the mixture with the particles. If one
    fails after two more tries, particles are annealed from the mixture. If that fails too, or there
    are many modes, or the error is more than half the tolerance, longer annealed runs from the
    prior give the part of the evidence for which the mixture does not account. Nothing excludes a
    mode that particles and searches all missed: then the value is too small by its share, without a
    sign of it. Only the lower bound does not depend on what was seen.

    Parameters
    ----------
    model : LatentModel
        Of any latent dimension, though for up to four `log_evidence` is better.
    X : array (..., D)
        The data.
    tolerance : float
        Largest error in nats of a value that is called estimated, 1e-6 to 2.
    confidence : float
        Of each lower bound, 0.5 to 1 - 1e-12.
    max_evaluations : int
        Calls of the decoder for each datum after which no more points are drawn to reach the
        tolerance. What comes before takes a quarter of a million to three million. Annealed runs
        beside the mixture take up to half of all, and are left out where this does not suffice:
        more calls give more of them, and errors that fall as the root of their number. Calls are
        counted as the mean of the up to 16 data that are computed together.
    particles : int
        Particles of each of two annealed runs, 32 to 65536. Twice as many see smaller modes.
    twins : int
        Number of data that are drawn from the model and estimated in the same way. Of these the
        posterior is known by an exact sample, so that their mean evidence has an upper bound as
        well, see `evidence_bracket`; see `diagnostics` below.
    seed : int
        The random numbers of a datum depend on the seed and its place in X, and on nothing else.
    executor : object, optional
        Parts of the data are given to its `submit(function, task)` or `imap(function, tasks)`:
        an executor of `concurrent.futures` or mpi4py, a client of Dask, a pool of Ray. The numbers
        do not depend on it. For other processes the model must pickle: those of the PyTorch and JAX
        bridges do not.
    progress : callable, optional
        Called with the fraction of the data that is done.
    checkpoint : path, optional
        A file that is written after each part of the data. If it exists, what it holds is not
        computed again.

    Returns
    -------
    Bracket
        Arrays `(...)` in nats. Status "estimated" where all checks passed and `error`, an estimate,
        is at most the tolerance: half the width of the replicates' 99.9 % interval, plus the share
        of the evidence that the tail of the weights has beyond the greatest one, plus the share of
        the posterior that the particles see and the mixture does not, plus 1 / M of M >= 16 modes;
        with annealed runs beside the mixture, half the width of their interval, plus the greatest
        share of one run, the difference of two ways to join both parts, and the share of which so
        many particles may show none. "unresolved" otherwise: where
        a check failed the value is NaN, and where only the tolerance was not reached, value and
        error are there. `lower` is a bound at the stated confidence for each datum by itself, and
        `upper` is infinite. If the decoder is known to be affine and the likelihood is Gaussian,
        the result is in closed form, with the status "bracketed" and bounds that are an estimate of
        the rounding.

        `diagnostics` has arrays `(...)`. "reason" is the word for what is lacking: "temperatures"
        (the annealing did not end), "modes" (there are more than the mixture holds, or 16 that no
        annealed runs confirm), "coverage" (the particles see what the mixture does not), "pareto
        shape" (the weights' tail is too heavy), "scout" (the particles' own evidence differs too
        much) or "tolerance". "estimate" is the value even where a check failed; "spread" (standard
        error), "greatest" (share of the greatest weight or run) and "excess" are what the error is
        made of; "shape" (of the weights' tail), "scout" (the particles' log evidence) and "modes"
        are what was measured. Where there were annealed runs beside the mixture, "annealed" is the
        log evidence by these alone, "annealed_error" an error that includes by how much they are
        off on what both see, and "covered" the share of the evidence for which the mixture
        accounts; this is NaN if they are too far off, so that the value is without them. Elsewhere
        all three are NaN.
        With twins "twins" has numbers: "count", "estimated", "missed" (how many exact samples lay
        where the proposal had almost no draws) and "silent" (how many of these were called
        estimated by the proposal alone), "annealed" (of how many annealed runs are part of the
        value), "rest" and "rest_stated" (summed over these, the share of the posterior for which
        the mixture does not account: by the exact samples, and by the runs), "value" (mean of the
        estimates), and "lower", "upper" and "confidence" (bounds of what this mean should be).

    Raises
    ------
    ValueError
        If the data do not fit the model or are outside the likelihood's support, an option is out
        of range, the executor has none of these methods, or the checkpoint is of another
        computation.

    Notes
    -----
    Sources: Del Moral, Doucet and Jasra, *Sequential Monte Carlo samplers*, JRSS B 68 (2006);
    Cappe et al., *Adaptive importance sampling in general mixture classes*, Stat. Comput. 18
    (2008); Vehtari et al., *Pareto smoothed importance sampling*, JMLR 25 (2024); Meng and Wong,
    *Simulating ratios of normalizing constants via a simple identity*, Statistica Sinica 6 (1996).

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory import LatentModel, decoders, likelihoods
    >>> from vaetheory.bounds import evidence_estimate
    >>> weight = np.eye(6)[:, ::-1]
    >>> model = LatentModel(decoders.Affine(weight), likelihoods.Gaussian(scale=0.5))
    >>> evidence_estimate(model, np.zeros((2, 6))).status.tolist()
    ['bracketed', 'bracketed']
    >>> bent = LatentModel(decoders.TanhNetwork([weight, weight], [np.zeros(6)] * 2),
    ...     likelihoods.Gaussian(scale=0.5))
    >>> evidence_estimate(bent, np.zeros(6), particles=64).status.tolist()
    'estimated'
    """
    require_model(model)
    data = model.check_data(X)
    rows, shape = data.reshape(-1, model.data_dim), data.shape[:-1]
    part = Part(
        model,
        rows[:0],
        np.arange(0),
        integer("seed", seed),
        fraction("tolerance", tolerance, low=1e-6, high=2.0),
        fraction("confidence", confidence, low=0.5, high=1 - 1e-12),
        integer("max_evaluations", max_evaluations, low=1),
        integer("particles", particles, low=32, high=2**16),
    )
    twins = integer("twins", twins)
    if (closed := _in_closed_form(model, rows, part.confidence)) is not None:
        return _shaped(closed, shape)
    parts, drawn = _parts(part, rows), None
    count = len(parts)
    if twins:
        other = part._replace(seed=_other(part.seed))
        drawn = simulate(model, twins, other.seed)
        parts += _parts(other, drawn.X)
    stored = None
    if checkpoint is not None:
        stored = Checkpoint(Path(checkpoint), fingerprint(model, rows, _options(part, twins)))
    results = _results(parts, executor, stored, progress)
    found = _assembled(results[:count], part)
    if drawn is not None:
        calibration = _calibration(parts[count:], results[count:], drawn.z)
        found = replace(found, diagnostics={**found.diagnostics, "twins": calibration})
    return _shaped(found, shape)


def _other(seed: int) -> int:
    """The seed of the twins, so that their random numbers are not those of the data."""
    return int(np.random.SeedSequence([seed, 0x7717]).generate_state(1, np.uint64)[0] >> 1)


def _options(part: Part, twins: int) -> dict[str, object]:
    """What the results depend on besides the model and the data."""
    names = ("seed", "tolerance", "confidence", "most", "particles")
    return {**{name: getattr(part, name) for name in names}, "twins": twins}


def _in_closed_form(model: LatentModel, rows: Array, confidence: float) -> Bracket | None:
    """The evidences of an affine decoder with Gaussian noise, or None for another model."""
    parts = linear_parts(model)
    if parts is None:
        return None
    found = linear_gaussian(*parts, rows)
    value, error = found.value, found.error
    status = np.full(value.shape, BRACKETED)
    return Bracket(value, error, value - error, value + error, confidence, status, 0)


def _parts(part: Part, rows: Array) -> list[Part]:
    """The data in parts, whose sizes do not depend on the executor."""
    size = int(np.clip(_NUMBERS // (part.particles * part.model.latent_dim), 1, _MOST))
    places = np.arange(len(rows))
    return [
        part._replace(X=rows[i : i + size], indices=places[i : i + size])
        for i in range(0, len(rows), size)
    ]


def _results(
    parts: list[Part], executor: Any, stored: Checkpoint | None, progress: Progress | None
) -> list[dict[str, Array]]:
    """The arrays of each part, from the checkpoint or computed now."""
    kept = [stored.get(str(i)) if stored else None for i in range(len(parts))]
    missing = [i for i, found in enumerate(kept) if found is None]
    total = sum(len(part.X) for part in parts)
    done = total - sum(len(parts[i].X) for i in missing)
    with closing(in_order(estimate_part, [parts[i] for i in missing], executor)) as new:
        for i, found in zip(missing, new, strict=True):
            kept[i] = found
            if stored:
                stored.put(str(i), found)
            done += len(parts[i].X)
            report(done / total, progress)
    return [found for found in kept if found is not None]


def estimate_part(part: Part) -> dict[str, Array]:
    """The estimates of some of the data, as arrays `(N, ...)`: what a worker computes."""
    target = replace(
        Target.of(part.model, part.X, part.seed), streams=Streams(part.seed, part.indices)
    )
    # Overflow far from the posterior is handled.
    with np.errstate(over="ignore", invalid="ignore"):
        found = estimation.estimated(target, part.particles, part.tolerance, part.most)
        q = found.proposal
        below = importance.replicated(
            target, q, count=_DRAWS, replicates=1, purpose="below", points=importance.INDEPENDENT
        )
    bound = betting_lower_bound(below.log_weights[:, 0], confidence=part.confidence)
    arrays = {name: getattr(found, name) for name in estimation.Outcome.ARRAYS}
    return {
        **arrays,
        "lower": bound - below.rounding,
        "rounding": below.rounding,
        "weights": q.weights,
        "means": q.means,
        "roots": q.roots,
        "df": np.array(q.df),
        "calls": np.array(target.count.calls),
    }


def _assembled(results: list[dict[str, Array]], part: Part) -> Bracket:
    """The bracket of all data `(N,)`."""
    empty = np.zeros(0)
    a = {name: np.concatenate([empty, *(found[name] for found in results)]) for name in _ARRAYS}
    error = a["error"] + a["rounding"]
    reason = a["reason"].astype(np.intp)
    reason[(reason == 0) & (error > part.tolerance)] = estimation.REASONS.index("tolerance")
    words = np.array(estimation.REASONS)[reason]
    failed = (reason > 0) & (words != "tolerance")
    diagnostics = {name: a[name] for name in _MEASURED}
    diagnostics |= {"modes": a["modes"].astype(np.intp), "estimate": a["value"], "reason": words}
    return Bracket(
        np.where(failed, np.nan, a["value"]),
        np.where(failed, np.inf, error),
        a["lower"],
        np.full(len(error), np.inf),
        part.confidence,
        np.where(reason == 0, ESTIMATED, UNRESOLVED),
        sum(int(found["calls"]) for found in results),
        diagnostics,
    )


def _calibration(parts: list[Part], results: list[dict[str, Array]], z: Array) -> dict[str, Any]:
    """How the estimates of data of the model compare with the bracket of their mean evidence."""
    first = parts[0]
    # The estimates used the streams of their seed, also those that a bracket asks for.
    data, seed = np.concatenate([part.X for part in parts]), _other(first.seed)
    target = Target.of(first.model, data, seed)
    pairs = [
        (_rows_of(part), _proposal_of(found)) for part, found in zip(parts, results, strict=True)
    ]
    settings = BracketSettings(first.confidence, False, _DRAWS, _REPLICATES, importance.SOBOL)
    bracket = bracket_by(target, pairs, z, settings)
    estimates = _assembled(results, first)
    missed = bracket.diagnostics["missed"]
    good = estimates.status == ESTIMATED
    share = 1 - estimates.diagnostics["covered"]
    joint = np.isfinite(share)
    rest = [
        _beyond(target.take(rows), q, z[rows], found)
        for (rows, q), found in zip(pairs, results, strict=True)
    ]
    return {
        "count": len(z),
        "estimated": int(good.sum()),
        "missed": int(missed.sum()),
        "silent": int((missed & good & ~joint).sum()),
        "annealed": int(joint.sum()),
        "rest": float(np.concatenate(rest)[joint].sum()),
        "rest_stated": float(share[joint].sum()),
        "value": float(estimates.diagnostics["estimate"].mean()),
        "lower": float(bracket.lower),
        "upper": float(bracket.upper),
        "confidence": bracket.confidence,
    }


def _rows_of(part: Part) -> slice:
    """The places of the data of a part."""
    return slice(int(part.indices[0]), int(part.indices[-1]) + 1)


def _proposal_of(found: dict[str, Array]) -> Mixture:
    """The mixtures of a part's results."""
    return Mixture(found["weights"], found["means"], found["roots"], float(found["df"]))


def _beyond(target: Target, q: Mixture, z: Array, found: dict[str, Array]) -> Array:
    """The share of p at exact samples `(N, d)` for which the mixture does not account, `(N,)`."""
    at = z[:, None]
    return completion.beyond(target.log_joint(at) - q.log_density(at), found["limit"])[:, 0]


def _shaped(found: Bracket, shape: tuple[int, ...]) -> Bracket:
    """The same with the data's leading axes."""
    names = ("value", "error", "lower", "upper", "status")
    arrays = {name: getattr(found, name).reshape(shape) for name in names}
    diagnostics = {
        k: v.reshape(shape) if isinstance(v, np.ndarray) else v
        for k, v in found.diagnostics.items()
    }
    return replace(found, **arrays, diagnostics=diagnostics)
