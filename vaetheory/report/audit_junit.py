"""The audit of a loss as JUnit XML, for continuous integration."""

from __future__ import annotations

from datetime import datetime
from xml.etree import ElementTree

from vaetheory._environment import environment
from vaetheory.audit import Audit, Finding
from vaetheory.report._suites import Case, Failure, add_suite

#: The test of which a verdict is the result.
_QUESTION = "the loss is the ELBO of the declared model"


def audit_as_junit(
    result: Audit, *, name: str, seconds: float, finished: datetime
) -> ElementTree.Element:
    """A suite with a case for the verdict, and one for each finding.

    A finding fails if it is "wrong". Those that are harmless for training, and notes, are cases
    that pass; the report, which is the output of the suite, says what they are.

    Parameters
    ----------
    result : Audit
    name : str
        What was audited.
    seconds : float
        How long that took.
    finished : datetime
        When it ended.

    Returns
    -------
    Element
        `testsuites`.

    Examples
    --------
    >>> made = Audit("is not", (), {}, 0.5, None, {}, "nothing explains it")
    >>> suites = audit_as_junit(made, name="vae", seconds=1.0, finished=datetime(2020, 1, 1))
    >>> suites.find("testsuite/testcase/failure").get("message")
    'is not: nothing explains it'
    """
    suites = ElementTree.Element("testsuites")
    verdict = None
    if result.status != "is":
        verdict = Failure(result.verdict, result.status, str(result))
    cases = [Case(_QUESTION, "vaetheory.audit", seconds, verdict)]
    cases += [_case(finding) for finding in result.findings]
    add_suite(
        suites,
        name,
        cases,
        properties=environment(),
        output=str(result),
        finished=finished,
    )
    return suites


def _case(finding: Finding) -> Case:
    failure = None
    if finding.severity == "wrong":
        failure = Failure(
            finding.sentence,
            finding.code,
            f"number: {finding.number:.10g} ({finding.meaning})\nchange: {finding.change}",
        )
    return Case(f"{finding.severity}: {finding.code}", "vaetheory.audit", 0.0, failure)
