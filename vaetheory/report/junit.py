"""Results as JUnit's XML, which continuous integration reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from vaetheory.claims.runner import Result
from vaetheory.files import replacing
from vaetheory.report.document import environment
from vaetheory.report.text import details

# XML 1.0 has no way of writing these, not even as references.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(
    results: Sequence[Result], *, profile: str, seed: int, finished: datetime
) -> ElementTree.Element:
    """A test suite a claim, a test case a proposition, a failure for whatever is not confirmed.

    Parameters
    ----------
    results : sequence of Result
    profile, seed : str, int
        Of the run; properties of every suite, with the versions of what it rests on.
    finished : datetime
        When the run ended.

    Returns
    -------
    Element
        `testsuites`, with the attributes and the order of children that the schemas in use ask for.

    Examples
    --------
    >>> from vaetheory import verify
    >>> now = datetime(2020, 1, 1)
    >>> suites = as_junit(list(verify("1b")), profile="quick", seed=0, finished=now)
    >>> suites.find("testsuite/testcase").get("name")
    '1b: With a free covariance, Lambda*(z) = Cov_{q(x|z)}[x], and the deficit is a KL'
    """
    suites = ElementTree.Element("testsuites", {"name": "vaetheory", **_counts(results)})
    told = {"profile": profile, "seed": str(seed), **environment()}
    for claim, group in groupby(results, lambda result: result.claim):
        members = list(group)
        suite = ElementTree.SubElement(
            suites,
            "testsuite",
            {
                "name": _legal(claim),
                **_counts(members),
                "skipped": "0",
                "timestamp": finished.strftime("%Y-%m-%dT%H:%M:%S"),
                "hostname": "localhost",
            },
        )
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in told.items():
            ElementTree.SubElement(properties, "property", name=name, value=_legal(value))
        for result in members:
            _add_case(suite, result)
    return suites


def write_junit(path: Path, suites: ElementTree.Element) -> None:
    """Write the document to `path`, whole or not at all."""
    tree = ElementTree.ElementTree(suites)
    ElementTree.indent(tree)
    with replacing(path) as draft:
        tree.write(draft, encoding="utf-8", xml_declaration=True)


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
    told = "\n".join(text.strip() for text in details(result))
    if not result.confirmed:
        failure = ElementTree.SubElement(
            case, "failure", message=_legal(result.message), type=result.verdict
        )
        failure.text = _legal(told)
    out = ElementTree.SubElement(case, "system-out")
    refuted = sum(c.refuted for c in result.controls)
    out.text = _legal(
        f"{result.verdict}: residual {result.residual:.3g}, bound {result.bound:.3g}, "
        f"{result.instances} instances, {refuted} of {len(result.controls)} wrong versions refuted"
        + (f"\n{told}" if told and result.confirmed else "")
    )


def _legal(text: str) -> str:
    """`text` with what XML cannot hold replaced."""
    return _FORBIDDEN.sub("\ufffd", text)
