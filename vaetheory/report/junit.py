"""Results as JUnit XML, for continuous integration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from xml.etree import ElementTree

from vaetheory._environment import environment
from vaetheory.checking.runner import Result
from vaetheory.report.text import Table, details

# Characters that XML 1.0 cannot represent, not even as references.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


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
    for number, (claim, group) in enumerate(groupby(results, lambda result: result.claim)):
        members = list(group)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            {
                "name": _legal(claim),
                "package": "vaetheory",
                "id": str(number),
                **_counts(members),
                "skipped": "0",
                "timestamp": finished.strftime("%Y-%m-%dT%H:%M:%S"),
                "hostname": "localhost",
            },
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in versions.items():
            ElementTree.SubElement(properties, "property", name=name, value=_legal(value))
        for result in members:
            _add_case(suite, result)
        table = Table([result.label for result in members])
        output = [text for r in members for text in (table.row(r), *details(r))]
        ElementTree.SubElement(suite, "system-out").text = _legal("\n".join(output))
        ElementTree.SubElement(suite, "system-err")
    return suites


def junit_text(suites: ElementTree.Element) -> str:
    """The document as text, which must be written as UTF-8."""
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True).decode()


def _counts(results: Sequence[Result]) -> dict[str, str]:
    return {
        "tests": str(len(results)),
        "failures": str(sum(not r.confirmed for r in results)),
        "errors": "0",
        "time": _seconds(sum(r.seconds for r in results)),
    }


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _add_case(suite: ElementTree.Element, result: Result) -> None:
    case = ElementTree.SubElement(
        suite,
        "testcase",
        name=_legal(f"{result.label}: {result.title}"),
        classname=_legal(f"vaetheory.{result.claim}"),
        time=_seconds(result.seconds),
    )
    if not result.confirmed:
        failure = ElementTree.SubElement(
            case, "failure", message=_legal(result.message), type=result.verdict
        )
        failure.text = _legal("\n".join(details(result)))


def _legal(text: str) -> str:
    """`text` with the characters that XML cannot represent replaced."""
    return _FORBIDDEN.sub("\ufffd", text)
