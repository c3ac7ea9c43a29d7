"""The schema of a run's JSON: its keys and their types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from vaetheory.checking.claim import KINDS
from vaetheory.checking.runner import VERDICTS

#: One of: a test of a value; a list with the form of every item; a mapping from keys to forms,
#: where a key ending in `?` is optional and `*` stands for any key.
Form: TypeAlias = "Callable[[Any], bool] | list[Any] | Mapping[str, Any]"


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    """Whether a value is a number or the name of one that JSON cannot represent."""
    if isinstance(value, str):
        return value in ("nan", "inf", "-inf")
    return isinstance(value, float) or (type(value) is int and abs(value) < 2**53)


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


_RESULT: Form = {
    **dict.fromkeys(("label", "claim", "title", "message", "worst_instance"), _text),
    **dict.fromkeys(("residual", "bound", "seconds"), _number),
    "kind": lambda value: value in KINDS,
    "verdict": lambda value: value in VERDICTS,
    "terms": {"*": _number},
    "instances": _count,
    "controls": [
        {
            "name": _text,
            "refuted": lambda value: isinstance(value, bool),
            "residual": _number,
            "bound": _number,
            "instance": _text,
        }
    ],
    "findings": [_text],
    "statement?": _text,
    "hypotheses?": [
        lambda value: isinstance(value, list) and list(map(_text, value)) == [True] * 2
    ],
    "uses?": [_text],
    "figure?": lambda value: value is None or _text(value),
    "resolution?": _number,
}

#: The form of what `as_json` writes; older documents lack the optional keys.
RUN: Form = {
    "results": [_RESULT],
    "claims?": [dict.fromkeys(("label", "title", "source"), _text)],
    "environment": {"*": _text},
    "profile": _text,
    "seed": _count,
}


def check(value: Any, form: Form, name: str = "") -> None:
    """Raise a ValueError that names the first place where a value does not have the form."""
    if callable(form):
        if not form(value):
            raise ValueError(f"{name}: expected what a run writes there, got {value!r:.80}")
    elif isinstance(form, list):
        if not isinstance(value, list):
            raise ValueError(f"{name}: expected a list, got {value!r:.80}")
        for number, inner in enumerate(value):
            check(inner, form[0], f"{name}[{number}]")
    else:
        if not isinstance(value, dict):
            raise ValueError(f"{name}: expected a mapping, got {value!r:.80}")
        forms = {key.rstrip("?"): inner for key, inner in form.items() if key != "*"}
        missing = [key for key in form if key not in value and key[-1] not in "?*"]
        if missing:
            raise ValueError(f"{name or 'run'}: expected {missing[0]}, got none")
        for key, inner in value.items():
            inner_form = forms.get(key, form.get("*"))
            # Unknown keys are ignored because newer versions may write more keys.
            if inner_form is not None:
                check(inner, inner_form, f"{name}.{key}".lstrip("."))
