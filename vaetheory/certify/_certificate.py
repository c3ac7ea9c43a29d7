"""The certificate file: writing and strict reading; nothing is re-proved here."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from typing import Any

from vaetheory._documents import digest, read_json, unsealed
from vaetheory._files import replacing
from vaetheory.certify import _exact
from vaetheory.certify.enclosure import Enclosure, Range
from vaetheory.certify.models import Model
from vaetheory.certify.propositions.base import Certified, Proved

FORMAT = "vaetheory-certificate/1"
_KEYS = (
    "format", "label", "title", "verdict", "sentence", "statement", "inputs", "witness", "proved",
    "versions", "digest",
)  # fmt: skip
_DEPENDENCIES = ("vaetheory", "python-flint", "mpmath")
_VERSION = re.compile(r"\d[0-9A-Za-z.+!_-]{0,60}|not installed")
# A string, which is kept, or blanks between the parts.
_BLANKS = re.compile(r'("(?:[^"\\]|\\.)*")|[ \t\r\n]+')
# Bytes; `write` makes no longer file.
_LARGEST = 5_000_000


@dataclass(frozen=True)
class Certificate:
    """The content of a certificate file: its types are checked, its proof is not."""

    label: str
    title: str
    sentence: str
    statement: str
    inputs: dict[str, Any]
    witness: dict[str, Any]
    proved: dict[str, Proved]
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The document; its digest covers everything else in it."""
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
    results: Mapping[str, Proved],
) -> Certificate:
    """The certificate of a proof's results, with ranges widened as in `Range.published`."""
    proved = {k: v.published() if isinstance(v, Range) else v for k, v in results.items()}
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
    """Versions of Python and of the packages on which the proof depends."""
    installed = {"python": platform.python_version()}
    for name in _DEPENDENCIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "not installed"
    return installed


def write(path: Path, certificate: Certificate) -> None:
    """Write a certificate atomically."""
    with replacing(path) as draft:
        text = json.dumps(certificate.as_json(), indent=1, ensure_ascii=True, allow_nan=False)
        draft.write_text(text + "\n", encoding="utf-8")


def load(path: Path) -> Any:
    """The JSON of a file.

    Raises
    ------
    ValueError
        If it is too long, is not JSON, repeats a key, or is spelled differently from the output of
        `write`; only blanks between the parts and the order of the keys may differ.
    """
    document = read_json(path, most=_LARGEST)
    text = path.read_text(encoding="utf-8")
    if _BLANKS.sub(r"\1", text) != json.dumps(document, separators=(",", ":")):
        raise ValueError(f"{path}: expected plain JSON, got numbers or letters spelled otherwise")
    return document


def read(document: Any) -> Certificate:
    """Return the certificate in a document after checking its keys, types and digest.

    Raises
    ------
    ValueError
        If one of them is not as expected; the message says which.
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
    """Raise a ValueError unless inputs or a witness are written in their one canonical form.

    Numbers must be text as `_exact.text` writes it. A model, which has integers and words among
    its parameters, must be as `Model.as_json` writes it.
    """
    if isinstance(value, dict):
        for k, v in value.items():
            if k == "model":
                _canonical_model(f"{name}.{k}", v)
            else:
                canonical(f"{name}.{k}", v)
    elif isinstance(value, list):
        for i, v in enumerate(value):
            canonical(f"{name}[{i}]", v)
    elif isinstance(value, str):
        _canonical_number(name, value)
    else:
        raise ValueError(f"{name}: expected a number as text, got {value!r:.80}")


def _canonical_number(name: str, value: str) -> Fraction:
    number = _exact.number(name, value)
    written = _exact.text(number)
    if written != value:
        raise ValueError(f"{name}: expected {written:.80}, got {value!r:.80}")
    return number


def _canonical_model(name: str, value: Any) -> None:
    for number in _texts(value):
        # Raise an error for huge numbers before computing with them.
        if number[:1] in "+-.0123456789 " and number:
            _canonical_number(name, number)
    written = Model.from_json(value).as_json()
    # Compared as JSON text because Python considers 1, True and 1.0 equal.
    if json.dumps(written, sort_keys=True) != json.dumps(value, sort_keys=True):
        raise ValueError(f"{name}: expected {written!r:.160}, got {value!r:.160}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)


def _write(value: Proved) -> dict[str, Any]:
    if isinstance(value, Range):
        return {"range": value.as_json()}
    if isinstance(value, Enclosure):
        return {"ball": value.as_json()}
    if isinstance(value, Fraction):
        return {"exact": _exact.text(value)}
    return {"count": value}


def _read(name: str, value: Any) -> Proved:
    if isinstance(value, dict) and len(value) == 1:
        ((kind, content),) = value.items()
        if kind == "ball":
            return Enclosure.from_json(name, content)
        if kind == "range":
            return Range.from_json(name, content)
        if kind == "exact" and isinstance(content, str):
            return _canonical_number(name, content)
        if kind == "count" and type(content) is int:
            return content
    raise ValueError(f"{name}: expected a ball, an exact number or a count, got {value!r:.80}")
