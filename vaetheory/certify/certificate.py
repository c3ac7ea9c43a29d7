"""The certificate file: what is written, and how it is read back; nothing is re-proved here."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

from vaetheory.certify import exact
from vaetheory.certify.enclosure import Enclosure, Range
from vaetheory.certify.propositions.base import Certified, Proved
from vaetheory.documents import digest, read_json, unsealed
from vaetheory.files import replacing

FORMAT = "vaetheory-certificate/1"
_KEYS = (
    "format", "label", "title", "verdict", "sentence", "statement", "inputs", "witness", "proved",
    "versions", "digest",
)  # fmt: skip
_DEPENDENCIES = ("vaetheory", "python-flint", "mpmath")
_VERSION = re.compile(r"\d[0-9A-Za-z.+!_-]{0,60}|not installed")
_MOST_BITS = 10_000
# A longer file is no certificate of ours.
_LARGEST = 5_000_000


@dataclass(frozen=True)
class Certificate:
    """What a file holds, of the right types but not yet believed."""

    label: str
    title: str
    sentence: str
    statement: str
    inputs: dict[str, Any]
    witness: dict[str, Any]
    proved: dict[str, Proved]
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The document; its digest is over all the rest of it."""
        document: dict[str, Any] = {
            "format": FORMAT,
            "label": self.label,
            "title": self.title,
            "verdict": "certified",
            "sentence": self.sentence,
            "statement": self.statement,
            "inputs": self.inputs,
            "witness": self.witness,
            "proved": {name: _write(value) for name, value in self.proved.items()},
            "versions": self.versions,
        }
        return document | {"digest": digest(document)}


def of(
    proposition: Certified,
    inputs: Mapping[str, Any],
    witness: Mapping[str, Any],
    found: Mapping[str, Proved],
) -> Certificate:
    """The certificate of what was proved, its balls widened as `Enclosure.published` says."""
    proved = {k: v.published() if isinstance(v, Enclosure) else v for k, v in found.items()}
    return Certificate(
        proposition.label,
        proposition.title,
        proposition.sentence(inputs, proved),
        proposition.statement,
        dict(inputs),
        dict(witness),
        proved,
        versions(),
    )


def versions() -> dict[str, str]:
    """Versions of what the proof rests on."""
    found = {"python": platform.python_version()}
    for name in _DEPENDENCIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate, whole or not at all."""
    with replacing(path) as draft:
        text = json.dumps(certificate.as_json(), indent=1, ensure_ascii=True, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Any:
    """The JSON of a file.

    Raises
    ------
    ValueError
        If it is too long, or no JSON, or names a key twice.
    """
    return read_json(path, most=_LARGEST)


def read(document: Any) -> Certificate:
    """A certificate of the right keys, types and digest.

    Raises
    ------
    ValueError
        Saying what is not as expected.
    """
    if not isinstance(document, dict) or set(document) != set(_KEYS):
        came = sorted(set(document) ^ set(_KEYS)) if isinstance(document, dict) else document
        raise ValueError(f"expected the keys of a certificate, each once; differs in {came!r:.200}")
    if document["format"] != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, got {document['format']!r:.80}")
    if document["verdict"] != "certified":
        raise ValueError(f"verdict: expected certified, got {document['verdict']!r:.80}")
    for name in ("label", "title", "sentence", "statement", "digest"):
        if not isinstance(document[name], str):
            raise ValueError(f"{name}: expected text, got {document[name]!r:.80}")
    for name in ("inputs", "witness", "proved", "versions"):
        if not isinstance(document[name], dict):
            raise ValueError(f"{name}: expected a mapping, got {document[name]!r:.80}")
    given = document["versions"]
    named = set(given) == {"python", *_DEPENDENCIES}
    if not (named and all(isinstance(v, str) and _VERSION.fullmatch(v) for v in given.values())):
        raise ValueError(f"versions: expected those of python, {', '.join(_DEPENDENCIES)}")
    unsealed("certificate", document)
    canonical("inputs", document["inputs"])
    canonical("witness", document["witness"])
    return Certificate(
        document["label"],
        document["title"],
        document["sentence"],
        document["statement"],
        document["inputs"],
        document["witness"],
        {str(k): _read(f"proved.{k}", v) for k, v in document["proved"].items()},
        document["versions"],
    )


def canonical(name: str, value: Any) -> None:
    """Demand that a number is written in the one way that `exact.text` has for it."""
    if isinstance(value, dict):
        for k, v in value.items():
            canonical(f"{name}.{k}", v)
    elif isinstance(value, list):
        for i, v in enumerate(value):
            canonical(f"{name}[{i}]", v)
    elif isinstance(value, str):
        try:
            found = exact.number(name, value)
        except ValueError:
            # Words, such as a decoder's kind.
            return
        # More digits than Python writes are as many as nobody wrote.
        size = max(found.numerator.bit_length(), found.denominator.bit_length())
        if size > _MOST_BITS:
            raise ValueError(f"{name}: expected a number of fewer digits, got {value!r:.80}")
        written = exact.text(found)
        if written != value:
            raise ValueError(f"{name}: expected {written}, got {value!r:.80}")
    elif type(value) is not int:
        raise ValueError(f"{name}: expected text or an integer, got {value!r:.80}")


def _write(value: Proved) -> dict[str, Any]:
    if isinstance(value, Range):
        return {"range": value.as_json()}
    if isinstance(value, Enclosure):
        return {"ball": value.as_json()}
    if isinstance(value, Fraction):
        return {"exact": exact.text(value)}
    return {"count": value}


def _read(name: str, value: Any) -> Proved:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "ball":
            return Enclosure.from_json(name, content)
        if kind == "range":
            return Range.from_json(name, content)
        if kind == "exact" and isinstance(content, str):
            canonical(name, content)
            return exact.number(name, content)
        if kind == "count" and type(content) is int:
            return content
    raise ValueError(f"{name}: expected a ball, an exact number or a count, got {value!r:.80}")
