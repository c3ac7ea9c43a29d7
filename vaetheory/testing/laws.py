"""Laws, their outcomes, expected failures, and the cases for pytest."""

from __future__ import annotations

import unittest
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, TypeAlias

import numpy as np

from vaetheory._validation import short
from vaetheory.testing._statements import NotApplicable, Violation

#: Reasons why laws are expected to fail, by the name of the law.
ExpectedFailures: TypeAlias = Mapping[str, str]


@dataclass(frozen=True)
class Outcome:
    """The outcome of one law.

    Attributes
    ----------
    law : str
        Its name.
    status : str
        ``"passed"``; ``"failed"``; ``"skipped"`` if the law does not apply to the instance or
        depends on a law that fails; ``"xfailed"`` if it fails as expected; ``"xpassed"`` if it
        holds although it is expected to fail.
    message : str
        What was expected and what came, or why the law was skipped; empty for a law that holds.
    reason : str
        Why the law is expected to fail, if it is.
    """

    law: str
    status: str
    message: str = ""
    reason: str = ""

    def __str__(self) -> str:
        if self.status == "xpassed":
            return f"{self.law}: expected to fail ({self.reason}), but it holds"
        return f"{self.law}: {self.message or self.status}"


class LawError(AssertionError):
    """Laws fail; the message has a line for each.

    Attributes
    ----------
    failures : tuple of Outcome
        The laws that fail, and those that hold although they are expected to fail.
    """

    def __init__(self, subject: str, failures: Sequence[Outcome], count: int) -> None:
        self.failures = tuple(failures)
        lines = "".join(f"\n- {failure}" for failure in failures)
        super().__init__(
            f"{subject}: expected {count} law{'s' * (count != 1)} to hold, got {len(failures)} "
            f"failure{'s' * (len(failures) != 1)}:{lines}"
        )


@dataclass
class Subject:
    """An instance with the points at which its laws are tested, and the outcomes so far.

    Attributes
    ----------
    instance : object
    seed : int
        The seed of all random draws; each purpose has a stream of its own.
    """

    instance: Any
    seed: int
    outcomes: dict[str, Outcome] = field(default_factory=dict)

    def stream(self, name: str) -> np.random.Generator:
        """The random numbers for one purpose; they do not depend on which laws are run."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])


Check: TypeAlias = Callable[[Any], None]


def always(instance: object) -> bool:
    """Return True: the law applies to every instance."""
    return True


@dataclass(frozen=True)
class Law:
    """One thing that is true of every correct instance.

    Attributes
    ----------
    name : str
    statement : str
        What is true, in a sentence.
    check : callable
        Takes a `Subject` and raises a `Violation` if it is false.
    rests_on : tuple of str
        Laws that must hold for this one to mean anything.
    when : callable
        Whether the law applies to an instance.
    """

    name: str
    statement: str
    check: Check
    rests_on: tuple[str, ...] = ()
    when: Callable[[Any], bool] = always


class Laws:
    """An ordered collection of laws by name; `add` is a decorator."""

    def __init__(self, laws: Iterable[Law] = ()) -> None:
        self._laws = {law.name: law for law in laws}

    def add(self, *rests_on: str, when: Callable[[Any], bool] = always) -> Callable[[Check], Check]:
        """Add the decorated function as a law with its name; its docstring is the statement."""

        def adding(check: Check) -> Check:
            name = check.__name__
            missing = [other for other in rests_on if other not in self._laws]
            assert not missing, f"{name} depends on {missing}, which come later"
            words = " ".join((check.__doc__ or "").split()).rstrip(".")
            statement = words if words[1:2].isupper() else words[:1].lower() + words[1:]
            self._laws[name] = Law(name, statement, check, rests_on, when)
            return check

        return adding

    def __iter__(self) -> Iterator[Law]:
        return iter(self._laws.values())

    def of(self, instance: object) -> list[Law]:
        """The laws that apply to an instance."""
        return [law for law in self if law.when(instance)]

    def expected(self, given: ExpectedFailures | None) -> dict[str, str]:
        """Read expected failures, or raise a ValueError."""
        if given is None:
            return {}
        if not isinstance(given, Mapping):
            raise ValueError(
                "expected_failures: expected a mapping from names of laws to reasons, got "
                f"{short(given)}"
            )
        for name, reason in given.items():
            if name not in self._laws:
                near = get_close_matches(str(name).lower(), self._laws, n=1, cutoff=0.0)
                raise ValueError(
                    f"expected_failures: expected names of laws ({', '.join(self._laws)}), "
                    f"perhaps {near[0]}; got {name!r:.80}"
                )
            if not isinstance(reason, str) or not reason.strip():
                raise ValueError(
                    f"expected_failures: expected a reason why {name} fails, got {short(reason)}"
                )
        return dict(given)

    def outcome(self, subject: Subject, law: Law) -> Outcome:
        """The outcome of one law, after the laws that it depends on."""
        if law.name not in subject.outcomes:
            subject.outcomes[law.name] = self._tried(subject, law)
        return subject.outcomes[law.name]

    def _tried(self, subject: Subject, law: Law) -> Outcome:
        for name in law.rests_on:
            if not self._laws[name].when(subject.instance):
                continue
            below = self.outcome(subject, self._laws[name])
            if below.status == "failed":
                return Outcome(law.name, "skipped", f"it depends on {name}, which fails")
            if below.message.startswith("it depends on"):
                return Outcome(law.name, "skipped", below.message)
        try:
            # Warnings from an instance are ignored, even if pytest turns warnings into errors.
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                law.check(subject)
        except Violation as violation:
            return Outcome(law.name, "failed", str(violation))
        except NotApplicable as reason:
            return Outcome(law.name, "skipped", str(reason))
        except Exception as error:
            came = " ".join(f"{type(error).__name__}: {error}".split())
            return Outcome(law.name, "failed", f"expected that {law.statement}, got {came}")
        return Outcome(law.name, "passed")

    def run(
        self, subject: Subject, expected_failures: ExpectedFailures | None, strict: bool
    ) -> tuple[Outcome, ...]:
        """Run all laws of a subject; raise a `LawError` if some fail unexpectedly."""
        reasons, laws = self.expected(expected_failures), self.of(subject.instance)
        outcomes = [_judged(self.outcome(subject, law), reasons) for law in laws]
        bad = ("failed", "xpassed") if strict else ("failed",)
        failures = [outcome for outcome in outcomes if outcome.status in bad]
        if failures:
            raise LawError(_name(subject.instance), failures, len(laws))
        return tuple(outcomes)


def _judged(outcome: Outcome, reasons: Mapping[str, str]) -> Outcome:
    reason = reasons.get(outcome.law, "")
    status = {"failed": "xfailed", "passed": "xpassed"}.get(outcome.status)
    if not reason or status is None:
        return outcome
    return Outcome(outcome.law, status, outcome.message, reason)


def _name(instance: object) -> str:
    """A short text for an instance, for error messages."""
    if type(instance).__repr__ is object.__repr__:
        return type(instance).__name__
    return short(instance).removeprefix(f"{type(instance).__name__} ")


def seed_of(rng: object) -> int:
    """The seed from an integer or from a NumPy generator."""
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(2**63))
    if isinstance(rng, int | np.integer) and not isinstance(rng, bool) and rng >= 0:
        return int(rng)
    raise ValueError(
        f"rng: expected an integer of at least 0 or a numpy.random.Generator, got {short(rng)}"
    )


# pytest --------------------------------------------------------------------------------------


@dataclass
class BoundLaw:
    """A law of one instance; call it with that instance."""

    laws: Laws
    law: Law
    subject: Subject

    def __call__(self, instance: object) -> None:
        """Raise a `LawError` if the law fails, or unittest's SkipTest if it does not apply."""
        if instance is not self.subject.instance:
            raise ValueError(
                f"instance: expected {_name(self.subject.instance)}, for which this check was "
                f"made, got {_name(instance)}"
            )
        outcome = self.laws.outcome(self.subject, self.law)
        if outcome.status == "failed":
            raise LawError(_name(instance), [outcome], 1)
        if outcome.status == "skipped":
            raise unittest.SkipTest(outcome.message)


#: Maps an instance and its options to the laws and the subject.
Subjects: TypeAlias = Callable[[object, Mapping[str, Any]], tuple[Laws, Subject]]


def parameters(
    instances: Iterable[object] | Mapping[str, object],
    expected_failures: ExpectedFailures | Callable[[Any], ExpectedFailures | None] | None,
    strict: bool,
    subject_of: Subjects,
) -> list[Any]:
    """The cases of `parametrize_with_checks`."""
    import pytest

    named = instances.items() if isinstance(instances, Mapping) else ((None, i) for i in instances)
    cases = []
    for name, given in named:
        pair = isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping)
        instance, options = given if pair else (given, {})  # type: ignore[misc]
        laws, subject = subject_of(instance, options)
        asked = expected_failures(instance) if callable(expected_failures) else expected_failures
        reasons = laws.expected(asked)
        for law in laws.of(subject.instance):
            marks = []
            if law.name in reasons:
                marks = [
                    pytest.mark.xfail(reason=reasons[law.name], strict=strict, raises=LawError)
                ]
            cases.append(
                pytest.param(
                    subject.instance,
                    BoundLaw(laws, law, subject),
                    id=f"{name or _name(instance)}-{law.name}",
                    marks=marks,
                )
            )
    return cases
