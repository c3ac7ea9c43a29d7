"""Verify propositions of the registry, here or in other processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor

from vaetheory._by_position import also_by_position
from vaetheory._profiles import PROFILES
from vaetheory._validation import integer, option
from vaetheory.checking.claim import Claim, Proposition
from vaetheory.checking.runner import Result, run_proposition, select
from vaetheory.claims import CLAIMS


def _run_by_label(label: str, profile: str, seed: int) -> Result:
    """Run a proposition of the registry: what is sent to another process is its name."""
    ((claim, proposition),) = select(label, CLAIMS)
    return run_proposition(proposition, claim=claim.label, profile=profile, seed=seed)


@also_by_position("profile", "seed")
def verify(
    labels: str | Iterable[str] | None = None,
    *,
    profile: str = "quick",
    seed: int = 0,
    executor: Executor | None = None,
    claims: Sequence[Claim] | None = None,
) -> Iterator[Result]:
    """Check propositions, yielding one `Result` each, in the order of the registry.

    Parameters
    ----------
    labels : str or iterable of str, optional
        Claims ("stationary-evidence") or propositions ("3f"); everything by default.
    profile : {"quick", "standard", "thorough"}
        How many instances are drawn for each proposition.
    seed : int
        Determines the instances, whatever the executor or the number of processes.
    executor : concurrent.futures.Executor, optional
        Where the propositions run; anything with its `submit` will do. By default, here.
    claims : sequence of Claim, optional
        A registry of your own; `CLAIMS` by default. With an executor of processes its
        propositions must be picklable, which Hypothesis strategies seldom are.

    Yields
    ------
    Result

    Raises
    ------
    ValueError
        At once, for an unknown label or profile, a seed that is not a natural number, or claims
        that cannot be sent to other processes.

    Examples
    --------
    >>> from vaetheory import verify
    >>> [(r.label, r.verdict) for r in verify("1a")]
    [('1a', 'confirmed')]
    """
    option("profile", profile, PROFILES)
    integer("seed", seed)
    chosen = select(labels, CLAIMS if claims is None else claims)
    if executor is None:
        return (run_proposition(p, claim=c.label, profile=profile, seed=seed) for c, p in chosen)
    if claims is not None and isinstance(executor, ProcessPoolExecutor):
        _require_picklable(chosen)
    # The long ones stand last in their claims: begun first, they do not keep all the rest waiting.
    futures: list[Future[Result]] = [
        executor.submit(_run_by_label, p.label, profile, seed)
        if claims is None
        else executor.submit(run_proposition, p, claim=c.label, profile=profile, seed=seed)
        for c, p in reversed(chosen)
    ]
    return _collect(futures[::-1])


def _require_picklable(chosen: Iterable[tuple[Claim, Proposition]]) -> None:
    """Raise a ValueError if a proposition cannot be sent to another process."""
    for _, proposition in chosen:
        try:
            pickle.dumps(proposition)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                "claims: expected propositions that can be pickled, for an executor of processes, "
                f"but {proposition.label} cannot ({error}); Hypothesis strategies seldom can: use "
                "an executor of threads"
            ) from None


def _collect(futures: list[Future[Result]]) -> Iterator[Result]:
    try:
        for future in futures:
            yield future.result()
    finally:
        # On an interruption what has not begun is not begun.
        for future in futures:
            future.cancel()
