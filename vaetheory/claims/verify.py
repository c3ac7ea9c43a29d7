"""Verify propositions of the registry, here or in other processes."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor

from vaetheory._by_position import also_by_position
from vaetheory._profiles import PROFILES
from vaetheory._validation import integer, option
from vaetheory.checking import _sources
from vaetheory.checking._selection import select
from vaetheory.checking.claim import Claim, Proposition
from vaetheory.checking.runner import Result, run_proposition
from vaetheory.claims import CLAIMS


def _run_by_label(source: str | None, claim: str, label: str, profile: str, seed: int) -> Result:
    """Run a proposition of the registry or of a file: another process is sent only its name."""
    claims = CLAIMS if source is None else _sources.load(source).claims
    (proposition,) = (p for c, p in select(claim, claims) if p.label == label)
    return run_proposition(proposition, claim=claim, profile=profile, seed=seed)


@also_by_position("profile", "seed")
def verify(
    labels: str | Iterable[str] | None = None,
    *,
    profile: str = "quick",
    seed: int = 0,
    executor: Executor | None = None,
    claims: Sequence[Claim] | str | None = None,
) -> Iterator[Result]:
    """Check propositions, yielding one `Result` each, in the order in which they are named.

    Parameters
    ----------
    labels : str or iterable of str, optional
        Claims ("stationary-evidence", or its number "3") and propositions ("3f"); by default
        everything in the order of the registry.
    profile : {"quick", "standard", "thorough"}
        How many instances are drawn for each proposition.
    seed : int
        Determines the instances, whatever the executor or the number of processes.
    executor : concurrent.futures.Executor, optional
        Where the propositions run; anything with its `submit` will do. By default, here.
    claims : sequence of Claim or str, optional
        A registry of your own; `CLAIMS` by default. A text names a file or an object of a module,
        as on the command line: "my_claims.py", "package.module:CLAIMS". With an executor of
        processes use a text, because Hypothesis strategies can seldom be pickled.

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
    source = claims if isinstance(claims, str) else None
    registry = _sources.load(source).claims if isinstance(claims, str) else claims
    chosen = select(labels, CLAIMS if registry is None else registry)
    if executor is None:
        return (run_proposition(p, claim=c.label, profile=profile, seed=seed) for c, p in chosen)
    by_name = registry is None or source is not None
    if not by_name and isinstance(executor, ProcessPoolExecutor):
        _require_picklable(chosen)
    # The long ones stand last in their claims: begun first, they do not keep all the rest waiting.
    futures: list[Future[Result]] = [
        executor.submit(_run_by_label, source, c.label, p.label, profile, seed)
        if by_name
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
                f"but {proposition.label} cannot ({error}); Hypothesis strategies seldom can: name "
                "their file, claims='FILE.py', or use an executor of threads"
            ) from None


def _collect(futures: list[Future[Result]]) -> Iterator[Result]:
    try:
        for future in futures:
            yield future.result()
    finally:
        # On an interruption what has not begun is not begun.
        for future in futures:
            future.cancel()
