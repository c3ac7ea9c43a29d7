"""Run propositions and yield results; knows no test framework and no terminal."""

from __future__ import annotations

import hashlib
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import dataclass
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import Unsatisfiable

from vaetheory._numbers_as_text import distinct_texts
from vaetheory._validation import integer, known_label, option
from vaetheory.checking.claim import Certificate, Claim, Proposition

CONFIRMED = "confirmed"
REFUTED = "refuted"
INCONCLUSIVE = "inconclusive"
CONTROL_SURVIVED = "control survived"
VERDICTS = (CONFIRMED, REFUTED, INCONCLUSIVE, CONTROL_SURVIVED)

#: Instances drawn in each profile, as a multiple of the proposition's own number.
PROFILES = {"quick": 1, "standard": 10, "thorough": 100}

# What a check may raise on an instance; anything else is a mistake in the program.
_FAILURES = (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError, Warning)

# A control that no instance of the run refuted is hunted this much longer.
_HUNT = 20


@dataclass(frozen=True)
class ControlResult:
    """How a control ended: whether an instance refuted it, and which."""

    name: str
    refuted: bool
    residual: float
    bound: float
    instance: Any


@dataclass(frozen=True)
class Result:
    """What running one proposition found.

    Attributes
    ----------
    label, claim, title, kind : str
        Of the proposition.
    verdict : str
        confirmed, refuted, inconclusive or control survived.
    residual, bound : float
        Of the instance with the greatest margin, or of the shrunk counterexample.
    terms : mapping of str to float
        The error terms that make up the bound.
    instance : object
        That instance.
    instances : int
        How many were drawn.
    controls : tuple of ControlResult
    findings : tuple of str
        What the checks found worth telling.
    message : str
        Why the verdict is not `confirmed`; empty where it is.
    seconds : float
    """

    label: str
    claim: str
    title: str
    kind: str
    verdict: str
    residual: float
    bound: float
    terms: Mapping[str, float]
    instance: Any
    instances: int
    controls: tuple[ControlResult, ...]
    findings: tuple[str, ...]
    message: str
    seconds: float

    @property
    def confirmed(self) -> bool:
        """Whether the proposition was confirmed and every control refuted."""
        return self.verdict == CONFIRMED

    def as_dict(self) -> dict[str, Any]:
        """The result as plain JSON values; instances as their readable text."""
        return {
            "label": self.label,
            "claim": self.claim,
            "title": self.title,
            "kind": self.kind,
            "verdict": self.verdict,
            "residual": self.residual,
            "bound": self.bound,
            "terms": dict(self.terms),
            "instances": self.instances,
            "worst_instance": repr(self.instance),
            "controls": [
                {
                    "name": c.name,
                    "refuted": c.refuted,
                    "residual": c.residual,
                    "bound": c.bound,
                    "instance": repr(c.instance),
                }
                for c in self.controls
            ],
            "findings": list(self.findings),
            "message": self.message,
            "seconds": self.seconds,
        }


def judge(certificate: Certificate, resolution: float) -> str:
    """Verdict of one certificate: refuted, inconclusive or confirmed.

    Examples
    --------
    >>> judge(Certificate(residual=2.0, bound=1.0, terms={}, scale=1e9), resolution=1e-6)
    'refuted'
    >>> judge(Certificate(residual=0.0, bound=1.0, terms={}, scale=1.0), resolution=1e-6)
    'inconclusive'
    """
    parts = certificate.parts or (certificate,)
    if any(not p.finite for p in parts):
        return INCONCLUSIVE
    if any(p.residual > p.bound for p in parts):
        return REFUTED
    if any(p.looseness > resolution for p in parts):
        return INCONCLUSIVE
    return CONFIRMED


class _Found(Exception):
    """Raised at an instance that ends the search, so that Hypothesis shrinks it."""


def _draw(
    proposition: Proposition,
    body: Callable[[Any], None],
    *,
    examples: int,
    seed: int,
    shrink: bool,
) -> bool:
    """Call `body` on drawn instances until it raises `_Found`; tell whether it did."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)

    @hypothesis.seed(seed)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=phases,
        verbosity=Verbosity.quiet,
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(proposition.instances)
    def search(instance: Any) -> None:
        body(instance)

    try:
        search()
    except _Found:
        return True
    except Unsatisfiable:
        return False
    return False


def run_proposition(
    proposition: Proposition,
    *,
    claim: str = "",
    profile: str = "quick",
    seed: int = 0,
    shrink: bool = True,
) -> Result:
    """Draw instances of a proposition, check each, and refute its controls on them.

    Parameters
    ----------
    proposition : Proposition
    claim : str
        Label of the claim, for the result.
    profile : {"quick", "standard", "thorough"}
        How many instances are drawn.
    seed : int
        With the label it determines the instances.
    shrink : bool
        Whether a counterexample is made small. Otherwise it is the first that was found.

    Returns
    -------
    Result
        `refuted` and `inconclusive` carry the shrunk instance. A check that raises is
        `inconclusive`, with the exception in the message.
    """
    started = time.perf_counter()
    examples = proposition.examples * PROFILES[option("profile", profile, PROFILES)]
    digest = hashlib.sha256(f"{seed}:{proposition.label}".encode()).digest()
    drawn_seed = int.from_bytes(digest[:8], "big")

    worst: tuple[Certificate, Any] | None = None
    ending: tuple[Certificate | None, Any, str] | None = None
    refuted: dict[str, ControlResult] = {}
    latest: dict[str, ControlResult] = {}
    findings: dict[str, None] = {}
    count, undecided = 0, False

    def try_controls(instance: Any) -> None:
        for control in proposition.controls:
            if control.name in refuted:
                continue
            try:
                certificate = control.check(instance)
            except _FAILURES:
                # A wrong formula may have no value here; another instance must refute it.
                continue
            wrong = judge(certificate, float("inf")) == REFUTED
            result = ControlResult(
                control.name, wrong, certificate.residual, certificate.bound, instance
            )
            latest[control.name] = result
            if wrong:
                refuted[control.name] = result

    def examine(instance: Any) -> tuple[str, Certificate | None, str]:
        try:
            certificate = proposition.check(instance)
        except _FAILURES as error:
            return INCONCLUSIVE, None, f"the check raised {type(error).__name__}: {error}"
        verdict = judge(certificate, proposition.resolution)
        return verdict, certificate, _explain(certificate, proposition.resolution)

    def refute(instance: Any) -> None:
        nonlocal worst, ending, count, undecided
        verdict, certificate, message = examine(instance)
        if verdict == REFUTED:
            ending = (certificate, instance, message)
            raise _Found
        if ending is not None:
            return
        count += 1
        undecided |= verdict == INCONCLUSIVE
        if certificate is None or verdict == INCONCLUSIVE:
            return
        if worst is None or certificate.margin >= worst[0].margin:
            worst = (certificate, instance)
        findings.update(dict.fromkeys(certificate.findings))
        try_controls(instance)

    def find_undecided(instance: Any) -> None:
        nonlocal ending
        verdict, certificate, message = examine(instance)
        if verdict == INCONCLUSIVE:
            ending = (certificate, instance, message)
            raise _Found

    _draw(proposition, refute, examples=examples, seed=drawn_seed, shrink=shrink)
    if ending is None and undecided:
        # Only when nothing is refuted is it worth shrinking what could not be decided.
        _draw(proposition, find_undecided, examples=examples, seed=drawn_seed, shrink=shrink)

    if ending is None and len(refuted) < len(proposition.controls):

        def hunt(instance: Any) -> None:
            try_controls(instance)
            if len(refuted) == len(proposition.controls):
                raise _Found

        _draw(proposition, hunt, examples=_HUNT * examples, seed=drawn_seed + 1, shrink=False)

    controls = tuple(
        latest.get(c.name, ControlResult(c.name, False, 0.0, 0.0, None))
        for c in proposition.controls
    )
    if ending is not None:
        certificate, instance, message = ending
        verdict = judge(certificate, proposition.resolution) if certificate else INCONCLUSIVE
        count += verdict == REFUTED
    elif worst is None:
        certificate, instance, verdict = None, None, INCONCLUSIVE
        message = "no instance could be drawn"
    else:
        certificate, instance = worst
        survivors = [c.name for c in controls if not c.refuted]
        if survivors:
            verdict, message = CONTROL_SURVIVED, f"not refuted: {'; '.join(survivors)}"
        elif not controls:
            verdict = INCONCLUSIVE
            message = "it has no controls: that its check can refute anything is not shown"
        else:
            verdict, message = CONFIRMED, ""
    return Result(
        label=proposition.label,
        claim=claim,
        title=proposition.title,
        kind=proposition.kind,
        verdict=verdict,
        residual=certificate.residual if certificate else float("nan"),
        bound=certificate.bound if certificate else float("nan"),
        terms=dict(certificate.terms) if certificate else {},
        instance=instance,
        instances=count,
        controls=controls,
        findings=tuple(findings),
        message=message,
        seconds=time.perf_counter() - started,
    )


def _explain(certificate: Certificate, resolution: float) -> str:
    """Say in one sentence why a certificate is not a confirmation."""
    for part in certificate.parts or (certificate,):
        if not part.finite:
            return f"residual {part.residual} and bound {part.bound} are not both numbers"
    if certificate.residual > certificate.bound:
        residual, bound = distinct_texts(certificate.residual, certificate.bound)
        return f"residual {residual} exceeds the computed bound {bound}"
    for part in certificate.parts or (certificate,):
        if part.looseness > resolution:
            return (
                f"a computed bound is {part.looseness:.3g} of the size of what it bounds, above "
                f"the resolution {resolution:.3g}"
            )
    return ""


def select(
    labels: str | Iterable[str] | None, claims: Sequence[Claim]
) -> list[tuple[Claim, Proposition]]:
    """The propositions that `labels` name, in the order of the registry.

    Raises
    ------
    ValueError
        If a label is neither a claim nor a proposition.
    """
    everything = [(c, p) for c in claims for p in c.propositions]
    if labels is None:
        return everything
    asked = [labels] if isinstance(labels, str) else list(labels)
    known = [c.label for c in claims] + [p.label for _, p in everything]
    for label in asked:
        known_label(label, known)
    return [(c, p) for c, p in everything if c.label in asked or p.label in asked]


def _run_by_label(label: str, profile: str, seed: int) -> Result:
    """Run a proposition of the registry: what is sent to another process is its name."""
    from vaetheory.claims import CLAIMS

    ((claim, proposition),) = select(label, CLAIMS)
    return run_proposition(proposition, claim=claim.label, profile=profile, seed=seed)


def verify(
    labels: str | Iterable[str] | None = None,
    profile: str = "quick",
    seed: int = 0,
    *,
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
    from vaetheory.claims import CLAIMS

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
