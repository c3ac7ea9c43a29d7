"""JSON documents: strict reading, and digests that detect later changes."""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vaetheory._files import ordinary

# Longer files and deeper documents are rejected: this package writes none.
_LARGEST = 2**26
_DEEPEST = 50


def read_json(path: Path, *, most: int = _LARGEST) -> dict[str, Any]:
    """The JSON object in a file.

    Raises
    ------
    ValueError
        If the file cannot be read, is no JSON object, contains a key twice or a number that is not
        finite, or has more than 50 levels.
    """
    ordinary(path, most)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(
            f"{path}: expected a file that can be read, got {error.strerror}"
        ) from None
    return parsed_json(str(path), content)


def parsed_json(name: str, content: bytes) -> dict[str, Any]:
    """As `read_json`, for the content of a file; `name` is used in error messages."""
    try:
        document = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_each_once,
            parse_constant=_finite,
            parse_float=_finite,
        )
        level, depth = [document], 0
        while level:
            if depth == _DEEPEST:
                raise RecursionError
            depth += 1
            level = [v for item in level if isinstance(item, dict | list) for v in _within(item)]
    except RecursionError:
        raise ValueError(f"{name}: expected JSON of at most {_DEEPEST} levels, got more") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{name}: expected JSON, got {reason:.200}") from None
    if not isinstance(document, dict):
        raise ValueError(f"{name}: expected a JSON object, got {type(document).__name__}")
    return document


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) < len(pairs):
        twice = Counter(k for k, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!r:.80} twice")
    return unique


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"the number {text:.80}, which is not finite")
    return number


def _within(item: dict[str, Any] | list[Any]) -> Iterator[Any]:
    return iter(item.values() if isinstance(item, dict) else item)


def hashed(content: bytes) -> str:
    """SHA-256 of some content, which detects changes; it does not prove who wrote it."""
    return hashlib.sha256(content).hexdigest()


def digest(document: Mapping[str, Any]) -> str:
    """Hash of a document without its digest; the layout of its file has no effect."""
    rest = {k: v for k, v in document.items() if k != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashed(text.encode())


def sealed(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a document with its digest.

    Examples
    --------
    >>> document = sealed({"residual": 0.5})
    >>> unsealed("a.json", document)
    {'residual': 0.5}
    >>> unsealed("a.json", document | {"residual": 0.0})
    Traceback (most recent call last):
    ...
    ValueError: a.json: expected an unchanged document, got a changed one: its digest differs
    """
    return {**document, "digest": digest(document)}


def unsealed(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """The document without its digest.

    Raises
    ------
    ValueError
        If there is no digest, or the document was changed after it was sealed.
    """
    if "digest" not in document:
        raise ValueError(
            f"{name}: expected a document with a digest, got none: it was changed, or an older "
            "version wrote it"
        )
    if document["digest"] != digest(document):
        raise ValueError(
            f"{name}: expected an unchanged document, got a changed one: its digest differs"
        )
    return {k: v for k, v in document.items() if k != "digest"}
