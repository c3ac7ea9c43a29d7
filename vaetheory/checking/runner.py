"""Run one proposition: draw instances, check each, and refute its wrong versions."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis.errors import HypothesisException, Unsatisfiable

from vaetheory._numbers_as_text import distinct_texts
from vaetheory._profiles import PROFILES
from vaetheory._validation import option
from vaetheory.checking._collector import paused_collector
from vaetheory.checking._examining import (
    compared,
    examined_together,
    fixed_randomness,
    found_at,
)
from vaetheory.checking._once import kept_results
from vaetheory.checking.claim import Control, Proposition
from vaetheory.checking.comparison import Comparison

CONFIRMED = "confirmed"
REFUTED = "refuted"
INCONCLUSIVE = "inconclusive"
CONTROL_SURVIVED = "control survived"
VERDICTS = (CONFIRMED, REFUTED, INCONCLUSIVE, CONTROL_SURVIVED)

# What a check may raise on an instance; anything else is a mistake in the program.
_FAILURES = (ArithmeticError, ValueError, RuntimeError, np.linalg.LinAlgError, Warning)

# A control that no instance of the run refuted is hunted this much longer.
_HUNT = 20

# The most instances that a check is given at a time.
_AT_ONCE = 256


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
        CPU seconds of the process while it ran, over all threads.
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


def judge(comparison: Comparison, resolution: float) -> str:
    """Verdict of one comparison: refuted, inconclusive or confirmed.

    Examples
    --------
    >>> judge(Comparison(residual=2.0, bound=1.0, terms={}, scale=1e9), resolution=1e-6)
    'refuted'
    >>> judge(Comparison(residual=0.0, bound=1.0, terms={}, scale=1.0), resolution=1e-6)
    'inconclusive'
    """
    parts = comparison.parts or (comparison,)
    if any(not p.finite for p in parts):
        return INCONCLUSIVE
    if any(p.residual > p.bound for p in parts):
        return REFUTED
    if any(p.looseness > resolution for p in parts):
        return INCONCLUSIVE
    return CONFIRMED


class _Stop(Exception):
    """Raised at an instance that ends the search; Hypothesis then shrinks this instance."""


def _draw(
    proposition: Proposition,
    body: Callable[[Any], None],
    *,
    examples: int,
    seed: int,
    shrink: bool,
) -> None:
    """Call `body` on drawn instances until it raises `_Stop`."""
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
        with kept_results():
            body(instance)

    with suppress(_Stop, Unsatisfiable):
        search()


@dataclass(frozen=True)
class _Examined:
    """One instance after the check: the verdict, the comparison if there is one, and why."""

    instance: Any
    verdict: str
    comparison: Comparison | None
    message: str


def _raised(instance: Any, error: BaseException) -> _Examined:
    """An instance on which the check raised an error."""
    message = f"the check raised {type(error).__name__}: {error}"
    return _Examined(instance, INCONCLUSIVE, None, message)


class _OneAtATime(Exception):
    """Raised where instances that were drawn must be examined again, one at a time.

    Attributes
    ----------
    doubt : _Examined or None
        The instance that is not confirmed, if one is known.
    """

    def __init__(self, doubt: _Examined | None = None) -> None:
        super().__init__()
        self.doubt = doubt


class _Trial:
    """One run of one proposition: what the instances drawn so far have shown."""

    def __init__(self, proposition: Proposition) -> None:
        self.proposition = proposition
        #: Number of instances that were examined.
        self.count = 0
        #: The instance with the greatest margin among those that confirm.
        self.worst: _Examined | None = None
        #: The instance, shrunk at last, that decides the verdict against the proposition.
        self.ending: _Examined | None = None
        self.undecided = False
        self.refuted: dict[str, ControlResult] = {}
        self.latest: dict[str, ControlResult] = {}
        self.findings: dict[str, None] = {}

    @property
    def all_controls_refuted(self) -> bool:
        return len(self.refuted) == len(self.proposition.controls)

    def confirm(self, instances: Sequence[Any]) -> None:
        """Examine instances that were drawn, many at a time, and try the controls on them.

        Raises
        ------
        _OneAtATime
            If one of them is not confirmed.
        """
        size = 1 if examined_together(self.proposition.check) is None else _AT_ONCE
        for start in range(0, len(instances), size):
            some = instances[start : start + size]
            with kept_results():
                try:
                    for instance, found in found_at(self.proposition.check, some):
                        examined = self._judged(instance, compared(found, "its check"))
                        if examined.verdict != CONFIRMED:
                            raise _OneAtATime(examined)
                        self._confirmed(examined)
                except HypothesisException:
                    # The check itself draws, assumes or notes something, which it can do only
                    # while Hypothesis calls it.
                    raise _OneAtATime from None
                except _FAILURES as error:
                    raise _OneAtATime(_raised(some[0], error)) from None
                for control in self.proposition.controls:
                    if control.name not in self.refuted:
                        self._try_on(control, some)

    def refute(self, instance: Any) -> None:
        """Examine an instance; stop at one that refutes the proposition."""
        examined = self._examine(instance)
        if examined.verdict == REFUTED:
            self.ending = examined
            raise _Stop
        if self.ending is not None:
            # Hypothesis is shrinking an instance that refutes: these do not count.
            return
        if examined.verdict == INCONCLUSIVE:
            self.count += 1
            self.undecided = True
            return
        self._confirmed(examined)
        self._try_controls(instance)

    def find_undecided(self, instance: Any) -> None:
        """Stop at an instance that the check cannot decide."""
        examined = self._examine(instance)
        if examined.verdict == INCONCLUSIVE:
            self.ending = examined
            raise _Stop

    def hunt(self, instance: Any) -> None:
        """Try the controls that no instance has refuted yet; stop when there are none left."""
        self._try_controls(instance)
        if self.all_controls_refuted:
            raise _Stop

    def _examine(self, instance: Any) -> _Examined:
        try:
            comparison = compared(self.proposition.check(instance), "its check")
        except _FAILURES as error:
            return _raised(instance, error)
        return self._judged(instance, comparison)

    def _judged(self, instance: Any, comparison: Comparison) -> _Examined:
        resolution = self.proposition.resolution
        verdict = judge(comparison, resolution)
        return _Examined(instance, verdict, comparison, _explain(comparison, resolution))

    def _confirmed(self, examined: _Examined) -> None:
        """Count an instance that confirms."""
        self.count += 1
        comparison, best = examined.comparison, self.worst.comparison if self.worst else None
        assert comparison is not None
        if best is None or comparison.margin >= best.margin:
            self.worst = examined
        self.findings.update(dict.fromkeys(comparison.findings))

    def _try_controls(self, instance: Any) -> None:
        for control in self.proposition.controls:
            if control.name in self.refuted:
                continue
            # A wrong formula may have no value here; another instance must refute it.
            with suppress(*_FAILURES):
                self._tried(control, instance, control.check(instance))

    def _try_on(self, control: Control, instances: Sequence[Any]) -> None:
        """Try a control on instances, together if its check can, until one refutes it."""
        try:
            for instance, found in found_at(control.check, instances):
                self._tried(control, instance, found)
                if control.name in self.refuted:
                    return
        except HypothesisException:
            raise _OneAtATime from None
        except _FAILURES:
            # A wrong formula may have no value at one of them; the others must be tried.
            for instance in instances if len(instances) > 1 else ():
                with suppress(*_FAILURES):
                    self._tried(control, instance, control.check(instance))

    def _tried(self, control: Control, instance: Any, found: object) -> None:
        """Keep what a control found at an instance."""
        if control.name in self.refuted:
            return
        comparison = compared(found, f"control {control.name!r}")
        refuted = judge(comparison, float("inf")) == REFUTED
        self.latest[control.name] = ControlResult(
            control.name, refuted, comparison.residual, comparison.bound, instance
        )
        if refuted:
            self.refuted[control.name] = self.latest[control.name]

    def result(self, claim: str, seconds: float) -> Result:
        """The result of the trial, with the instance that decides its verdict."""
        proposition = self.proposition
        controls = tuple(
            self.latest.get(c.name, ControlResult(c.name, False, 0.0, 0.0, None))
            for c in proposition.controls
        )
        decisive, count = self._decisive(controls), self.count
        if self.ending is not None:
            count += decisive.verdict == REFUTED
        comparison = decisive.comparison
        return Result(
            label=proposition.label,
            claim=claim,
            title=proposition.title,
            kind=proposition.kind,
            verdict=decisive.verdict,
            residual=comparison.residual if comparison else float("nan"),
            bound=comparison.bound if comparison else float("nan"),
            terms=dict(comparison.terms) if comparison else {},
            instance=decisive.instance,
            instances=count,
            controls=controls,
            findings=tuple(self.findings),
            message=decisive.message,
            seconds=seconds,
        )

    def _decisive(self, controls: tuple[ControlResult, ...]) -> _Examined:
        """The instance that the result shows, with the verdict on the whole proposition."""
        if self.ending is not None:
            return self.ending
        if self.worst is None:
            return _Examined(None, INCONCLUSIVE, None, "no instance could be drawn")
        survivors = [c.name for c in controls if not c.refuted]
        if survivors:
            message = f"not refuted: {'; '.join(survivors)}"
            return replace(self.worst, verdict=CONTROL_SURVIVED, message=message)
        if not controls:
            message = "it has no controls: that its check can refute anything is not shown"
            return replace(self.worst, verdict=INCONCLUSIVE, message=message)
        return replace(self.worst, verdict=CONFIRMED, message="")


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

    Notes
    -----
    The instances are drawn first and examined afterwards; checks made by `together` examine them
    all at once. Only if one of them is not confirmed are they drawn again and examined one at a
    time, to find a small counterexample.
    """
    started = time.process_time()
    examples = proposition.examples * PROFILES[option("profile", profile, PROFILES)]
    digest = hashlib.sha256(f"{seed}:{proposition.label}".encode()).digest()
    first = int.from_bytes(digest[:8], "big")
    trial = _run(proposition, examples, first, shrink)
    return trial.result(claim, time.process_time() - started)


def _run(proposition: Proposition, examples: int, seed: int, shrink: bool) -> _Trial:
    """Examine the instances of a seed, together or one at a time."""
    trial, drawn = _Trial(proposition), list[Any]()
    with paused_collector:
        _draw(proposition, drawn.append, examples=examples, seed=seed, shrink=False)
    try:
        with fixed_randomness:
            trial.confirm(drawn)
    except _OneAtATime as failed:
        trial = _Trial(proposition)
        _draw(proposition, trial.refute, examples=examples, seed=seed, shrink=shrink)
        if trial.ending is None and trial.undecided:
            # Only when nothing is refuted is it worth shrinking what could not be decided.
            _draw(proposition, trial.find_undecided, examples=examples, seed=seed, shrink=shrink)
        if trial.ending is None and failed.doubt is not None:
            message = f"it was confirmed alone, but not with others: {failed.doubt.message}"
            trial.ending = replace(failed.doubt, verdict=INCONCLUSIVE, message=message)
    if trial.ending is None and not trial.all_controls_refuted:
        _draw(proposition, trial.hunt, examples=_HUNT * examples, seed=seed + 1, shrink=False)
    return trial


def _explain(comparison: Comparison, resolution: float) -> str:
    """Say in one sentence why a comparison does not confirm."""
    for part in comparison.parts or (comparison,):
        if not part.finite:
            return f"residual {part.residual} and bound {part.bound} are not both numbers"
    if comparison.residual > comparison.bound:
        residual, bound = distinct_texts(comparison.residual, comparison.bound)
        return f"residual {residual} exceeds the computed bound {bound}"
    for part in comparison.parts or (comparison,):
        if part.looseness > resolution:
            return (
                f"a computed bound is {part.looseness:.3g} of the size of what it bounds, above "
                f"the resolution {resolution:.3g}"
            )
    return ""
