"""The house of the claims: which room may import which, and where a proposition stands."""

import ast
from pathlib import Path

import pytest

import vaetheory

PACKAGE = Path(vaetheory.__file__).parent
SHARED = "vaetheory.checking."
WINGS = sorted(p.name for p in (PACKAGE / "claims").iterdir() if (p / "__init__.py").is_file())


def imported(path):
    """The modules of the package that a file imports, by their full names."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.startswith("vaetheory")}


@pytest.mark.parametrize("wing", WINGS)
def test_no_wing_imports_another(wing):
    own = f"vaetheory.claims.{wing}"
    for path in (PACKAGE / "claims" / wing).rglob("*.py"):
        others = {n for n in imported(path) if n.startswith("vaetheory.claims.")}
        strange = {n for n in others if n != own and not n.startswith(f"{own}.")}
        assert not strange, f"{path.name} imports {strange}: what two wings share is in checking/"


@pytest.mark.parametrize("path", sorted((PACKAGE / "checking").rglob("*.py")), ids=lambda p: p.stem)
def test_what_all_claims_share_knows_none_of_them(path):
    claims = {n for n in imported(path) if n.startswith("vaetheory.claims")}
    assert not claims, f"checking/{path.name} imports {claims}"


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_can_be_read_at_a_glance(wing):
    text = (PACKAGE / "claims" / wing / "__init__.py").read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 60, f"{wing}/__init__.py has {len(text.splitlines())} lines"
    made = [n for n in ast.walk(ast.parse(text)) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    assert not made, f"{wing}/__init__.py defines {[n.name for n in made]}"
    assert "Proposition(" not in text, f"{wing}/__init__.py holds a proposition: it has no room"


@pytest.mark.parametrize("wing", WINGS)
def test_a_proposition_stands_beside_its_check(wing):
    for path in (PACKAGE / "claims" / wing).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        here = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
        for node in tree.body:
            if isinstance(node, ast.Assign):
                here |= {t.id for t in node.targets if isinstance(t, ast.Name)}
            # A check that two claims share is below both.
            if isinstance(node, ast.ImportFrom) and str(node.module).startswith(SHARED):
                here |= {alias.name for alias in node.names}
        for call in ast.walk(tree):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Proposition":
                (check,) = (k.value for k in call.keywords if k.arg == "check")
                names = {n.id for n in ast.walk(check) if isinstance(n, ast.Name)}
                assert names & here, f"{path.name}: the check {ast.unparse(check)} is elsewhere"
