"""A family is one definition: nobody outside `likelihoods/` asks which family it is."""

import ast
from pathlib import Path

import pytest

import vaetheory
from vaetheory import likelihoods

PACKAGE = Path(vaetheory.__file__).parent
#: All families and kinds of families; that something is a `Likelihood` at all may be asked.
FAMILIES = {
    name
    for name in likelihoods.__all__
    if isinstance(getattr(likelihoods, name), type)
    and issubclass(getattr(likelihoods, name), likelihoods.Likelihood)
} - {"Likelihood"}
#: Who may ask, and why: nobody.
ALLOWED: dict[str, str] = {}


def _names(node):
    """Last parts of the names in an expression."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.Attribute):
            yield inner.attr


def _is_call_of(node, *names):
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names


def questions(source):
    """Lines in which a program asks which family something is."""
    tree = ast.parse(source)
    wanted = set(FAMILIES)
    # Names that stand for some of them, as in KINDS = (Gaussian, Poisson).
    for node in tree.body:
        listed = isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple)
        if listed and wanted.intersection(_names(node.value)):
            wanted |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    for node in ast.walk(tree):
        if _is_call_of(node, "isinstance", "issubclass"):
            asked = node.args[1]
        elif isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            if not any(_is_call_of(side, "type") for side in sides):
                continue
            asked = ast.Tuple([s for s in sides if not _is_call_of(s, "type")])
        elif isinstance(node, ast.MatchClass):
            asked = node.cls
        else:
            continue
        if wanted.intersection(_names(asked)):
            yield node.lineno


def test_nobody_asks_which_family_it_is():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent.name != "likelihoods" and path.relative_to(PACKAGE).as_posix() not in ALLOWED
        for line in questions(path.read_text())
    ]
    assert not found, f"a family answers for itself by a method; asked at {', '.join(found)}"


@pytest.mark.parametrize(
    "source",
    [
        "isinstance(x, Gaussian)",
        "isinstance(x, likelihoods.Poisson)",
        "isinstance(x, (Affine, Gamma))",
        "isinstance(x, Affine | Beta)",
        "issubclass(x, ElementwiseLikelihood)",
        "type(x) is Bernoulli",
        "type(x) in (Affine, StudentT)",
        "KINDS = (Gaussian, Categorical)\nisinstance(x, KINDS)",
        "match x:\n    case Gaussian():\n        pass",
    ],
)
def test_every_way_to_ask_is_seen(source):
    assert list(questions(source)), f"a question about a family was not seen: {source}"


@pytest.mark.parametrize(
    "source",
    ["isinstance(x, Likelihood)", "isinstance(x, Affine)", "type(x) is float", "Gaussian()"],
)
def test_other_questions_are_none(source):
    assert not list(questions(source)), f"this asks about no family: {source}"


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_every_family_says_what_its_parameter_is(name):
    family = getattr(likelihoods, name)
    if not family.__abstractmethods__:
        word = family.parameter
        assert word != likelihoods.Likelihood.parameter, f"{name} does not say what its params are"
        told = " ".join(family.__doc__.split("Parameters\n")[0].split())
        assert word.split()[-1].rstrip("s") in told, f"the docstring of {name} says no {word!r}"
