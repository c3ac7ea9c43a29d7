"""Certified propositions: exact inputs, a proof in any arithmetic, and a sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from vaetheory.certify import _exact
from vaetheory.certify._evidence import Domain
from vaetheory.certify._stationary import Candidate
from vaetheory.certify._workshop import Workshop
from vaetheory.certify.arithmetic import NotProved
from vaetheory.certify.enclosure import Enclosure
from vaetheory.certify.models import Model

#: A result of a proof: an enclosure, an exact rational number, or a count.
Proved: TypeAlias = "Enclosure | Fraction | int"
Inputs: TypeAlias = Mapping[str, Any]


@dataclass(frozen=True)
class Certified:
    r"""A proposition whose single instances are proved.

    Attributes
    ----------
    label, title : str
        The label is that of the claim's proposition, with a suffix if there are several.
    statement : str
        What is proved about an instance, in TeX.
    keys, hints : tuple of str
        The names of the inputs and of the entries of the witness.
    instances : tuple of mapping
        The default instances, with inputs as text.
    prepare : callable
        `prepare(inputs)` finds a witness; it proves nothing, and the checker does not run it.
    prove : callable
        `prove(workshop, inputs, witness)` returns the results by name, or raises `NotProved`.
        Prover and checker run it, each with its own workshop.
    sentence : callable
        `sentence(inputs, proved)` states in words what is proved.

    Notes
    -----
    To write one of your own:

    1. Choose a label and the inputs (`keys`), and write down default instances. Numbers are text,
       "0.1" or "1/3", so that they are exact.
    2. Write `prove(workshop, inputs, witness)`. Read the inputs with `vaetheory.certify._exact`.
       Decide what is rational with `demand(condition, what)`. For everything else write
       `attempt(F, bits)` with the arithmetic F, and call `workshop.enclose(attempt, radius)`.
       Return the results by name.
    3. If the proof needs a number that must be searched for, write `prepare(inputs)`, which returns
       it by name as text, and list its name in `hints`; `prove` must then prove that it is right.
       Otherwise use `nothing_to_find`.
    4. Write `sentence(inputs, proved)`.
    5. List the proposition in `vaetheory/certify/propositions/__init__.py`.

    Examples
    --------
    The geometric mean of two numbers is below their arithmetic mean.

    >>> from fractions import Fraction
    >>> from vaetheory.certify import _exact
    >>> from vaetheory.certify._checker import Checker
    >>> from vaetheory.certify.propositions.base import Certified, demand, nothing_to_find
    >>> def means(workshop, inputs, witness):
    ...     a, b = (_exact.positive(name, inputs[name]) for name in ("a", "b"))
    ...     demand(a != b, "the numbers differ")
    ...     root = workshop.enclose(lambda F, bits: F.sqrt(F.exact(a * b)), Fraction(1, 10**20))
    ...     demand(root.upper < (a + b) / 2, "the geometric mean is below the arithmetic one")
    ...     return {"geometric": root, "arithmetic": (a + b) / 2}
    >>> MEANS = Certified(
    ...     label="99a",
    ...     title="The inequality of the means",
    ...     statement=r"\sqrt{ab} < (a + b) / 2",
    ...     keys=("a", "b"),
    ...     hints=(),
    ...     instances=({"a": "1", "b": "2"},),
    ...     prepare=nothing_to_find,
    ...     prove=means,
    ...     sentence=lambda i, p: f"The mean of {i['a']} and {i['b']} is {p['arithmetic']}.",
    ... )
    >>> proved = MEANS.prove(Checker(), MEANS.instances[0], {})
    >>> MEANS.sentence(MEANS.instances[0], proved)
    'The mean of 1 and 2 is 3/2.'
    """

    label: str
    title: str
    statement: str
    keys: tuple[str, ...]
    hints: tuple[str, ...]
    instances: tuple[Inputs, ...]
    prepare: Callable[[Inputs], dict[str, Any]]
    prove: Callable[[Workshop, Inputs, Inputs], dict[str, Proved]]
    sentence: Callable[[Inputs, Mapping[str, Proved]], str]


def nothing_to_find(inputs: Inputs) -> dict[str, Any]:
    """An empty witness, for proofs that need none."""
    return {}


def model_of(inputs: Inputs) -> tuple[Model, _exact.Vector]:
    """The model and the datum in the inputs, after checking them."""
    model = Model.from_json(inputs["model"])
    x = _exact.vector("x", inputs["x"])
    model.likelihood.check_data(x)
    return model, x


def write_domain(domain: Domain) -> dict[str, str]:
    """A domain as text."""
    names = ("reach", "shift", "tangent")
    return {name: _exact.text(Fraction(getattr(domain, name))) for name in names}


def read_domain(value: Any) -> Domain:
    """The inverse of `write_domain`; each number must be a double."""
    names = ("reach", "shift", "tangent")
    if not isinstance(value, dict) or set(value) != set(names):
        raise ValueError(f"domain: expected {', '.join(names)}, got {value!r:.80}")
    numbers = []
    for name in names:
        number = _exact.number(f"domain.{name}", value[name])
        if abs(number) > 10**150 or Fraction(float(number)) != number:
            raise ValueError(f"domain.{name}: expected a double, got {value[name]!r:.80}")
        numbers.append(float(number))
    reach, shift, tangent = numbers
    if reach <= 0:
        raise ValueError(f"domain.reach: expected a positive number, got {value['reach']!r:.80}")
    return Domain(reach, shift, tangent)


def write_candidate(candidate: Candidate) -> dict[str, Any]:
    """A box as text."""
    return {"centre": _exact.texts(candidate.centre), "radius": _exact.texts(candidate.radius)}


def read_candidate(name: str, value: Any, size: int) -> Candidate:
    """The inverse of `write_candidate`."""
    if not isinstance(value, dict) or set(value) != {"centre", "radius"}:
        raise ValueError(f"{name}: expected centre and radius, got {value!r:.80}")
    radius = _exact.vector(f"{name}.radius", value["radius"], size)
    if min(radius) <= 0:
        raise ValueError(f"{name}.radius: expected positive numbers, got {value['radius']!r:.80}")
    return Candidate(_exact.vector(f"{name}.centre", value["centre"], size), radius)


def demand(condition: bool, what: str) -> None:
    """Raise `NotProved` unless an exact condition holds."""
    if not condition:
        raise NotProved(f"not proved: {what}")


def list_texts(values: Any) -> str:
    """Nested exact numbers as text in parentheses."""
    if isinstance(values, str):
        return values
    return "(" + ", ".join(list_texts(v) for v in values) + ")"


def text_of(proved: Mapping[str, Any], name: str) -> str:
    """An exact number that was proved, as text."""
    return _exact.text(proved[name])


def describe_model(inputs: Inputs) -> str:
    """The model of an instance in words."""
    model = inputs["model"]
    decoder, likelihood = model["decoder"], model["likelihood"]
    parameters = ", ".join(f"{k} {_short(v)}" for k, v in decoder.items() if k != "kind")
    rest = ", ".join(f"{k} {_short(v)}" for k, v in likelihood.items() if k != "kind")
    return (
        f"the {decoder['kind']} decoder ({parameters}) under the {likelihood['kind']} likelihood"
        + (f" ({rest})" if rest else "")
        + f" and the datum x = {list_texts(inputs['x'])}"
    )


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(_short(v) for v in value) + ")"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{k} {_short(v)}" for k, v in value.items()) + ")"
    return str(value)
