"""Suites and cases of JUnit XML."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from xml.etree import ElementTree

# Characters that XML 1.0 cannot represent, not even as references.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Failure:
    """Why a case failed: one sentence, a word, and the details."""

    message: str
    kind: str
    text: str


@dataclass(frozen=True)
class Case:
    """One test, with its failure if it failed."""

    name: str
    classname: str
    seconds: float = 0.0
    failure: Failure | None = None


def add_suite(
    suites: ElementTree.Element,
    name: str,
    cases: Sequence[Case],
    *,
    properties: Mapping[str, str],
    output: str,
    finished: datetime,
) -> None:
    """Add a suite of cases to `testsuites`."""
    suite = ElementTree.SubElement(
        suites,
        "testsuite",
        {
            "name": _legal(name),
            "package": "vaetheory",
            "id": str(len(suites)),
            "tests": str(len(cases)),
            "failures": str(sum(case.failure is not None for case in cases)),
            "errors": "0",
            "time": _seconds(sum(case.seconds for case in cases)),
            "skipped": "0",
            "timestamp": finished.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": "localhost",
        },
    )
    listed = ElementTree.SubElement(suite, "properties")
    for key, value in properties.items():
        ElementTree.SubElement(listed, "property", name=key, value=_legal(value))
    for case in cases:
        made = ElementTree.SubElement(
            suite,
            "testcase",
            name=_legal(case.name),
            classname=_legal(case.classname),
            time=_seconds(case.seconds),
        )
        if case.failure is not None:
            failure = ElementTree.SubElement(
                made, "failure", message=_legal(case.failure.message), type=case.failure.kind
            )
            failure.text = _legal(case.failure.text)
    ElementTree.SubElement(suite, "system-out").text = _legal(output)
    ElementTree.SubElement(suite, "system-err")


def junit_text(suites: ElementTree.Element) -> str:
    """The document as text, which must be written as UTF-8."""
    ElementTree.indent(suites)
    return ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True).decode()


def _seconds(value: float) -> str:
    return f"{value:.3f}"


def _legal(text: str) -> str:
    """`text` with the characters that XML cannot represent replaced."""
    return _FORBIDDEN.sub("\ufffd", text)
