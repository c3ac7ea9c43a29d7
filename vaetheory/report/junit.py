"""Results as JUnit XML, for continuous integration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from xml.etree import ElementTree

from vaetheory._environment import environment
from vaetheory.checking.runner import Result
from vaetheory.report._suites import Case, Failure, add_suite, junit_text
from vaetheory.report.text import Table, details

__all__ = ["as_junit", "junit_text"]


def as_junit(
    results: Sequence[Result], *, profile: str, seed: int, finished: datetime
) -> ElementTree.Element:
    """A suite for each claim, a case for each proposition, a failure for each unconfirmed one.

    Parameters
    ----------
    results : sequence of Result
    profile, seed : str, int
        Those of the run; they are properties of every suite, as are the versions of packages.
    finished : datetime
        The end of the run.

    Returns
    -------
    Element
        `testsuites`, valid under the schema of Ant, the strictest in use, and that of Jenkins.

    Examples
    --------
    >>> from vaetheory import verify
    >>> now = datetime(2020, 1, 1)
    >>> suites = as_junit(list(verify("1b")), profile="quick", seed=0, finished=now)
    >>> suites.find("testsuite/testcase").get("name")
    '1b: With a free covariance, Lambda*(z) = Cov_{q(x|z)}[x], and the deficit is a KL'
    """
    suites = ElementTree.Element("testsuites")
    versions = {"profile": profile, "seed": str(seed), **environment()}
    for claim, group in groupby(results, lambda result: result.claim):
        members = list(group)
        table = Table([result.label for result in members])
        output = [text for r in members for text in (table.row(r), *details(r))]
        add_suite(
            suites,
            claim,
            [_case(result) for result in members],
            properties=versions,
            output="\n".join(output),
            finished=finished,
        )
    return suites


def _case(result: Result) -> Case:
    failure = None
    if not result.confirmed:
        failure = Failure(result.message, result.verdict, "\n".join(details(result)))
    return Case(
        f"{result.label}: {result.title}",
        f"vaetheory.{result.claim}",
        result.seconds,
        failure,
    )
