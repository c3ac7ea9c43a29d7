"""The house: every module has a floor, imports run downwards only, and there is no circle.

An import counts wherever it stands: at the top of a module, within a function, or under
`TYPE_CHECKING`; a string that is the name of a module counts as well, since a module can be
imported by its name.
"""

import ast
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

import vaetheory

ROOT = Path(vaetheory.__file__).parent
MOST_LINES = 500

#: From below. A module imports its own package, and packages and modules on lower floors.
#: `claims.*` stands for each of the wings; the last floor is the package's own `__init__`.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "_by_position",
        "_environment",
        "_files",
        "_kept",
        "_moved",
        "_numbers_as_text",
        "_plotting",
        "_profiles",
        "_trust",
    ),
    ("_validation",),
    ("_value_equality", "rounding"),
    ("_arguments", "_documents", "_gaussians", "_log_sums", "_small_matrices"),
    ("_executors", "_progress", "derivatives", "differences"),
    # The definitions: families, decoders, encoders, models.
    ("_jet_arithmetic", "decoders", "encoders", "likelihoods"),
    ("_reduction",),
    ("_encoder_outputs", "jets", "models", "optimal_decoder", "stability"),
    ("geometry", "modes"),
    ("_sampling",),
    # Numbers of a model: integrals, bounds, evidence.
    ("_piecewise_linear",),
    ("_quadrature",),
    ("bounds", "hessian_estimators"),
    ("constant_variance", "evidence", "identifiability"),
    ("flows", "scores"),
    ("concentration",),
    ("jax", "torch"),
    ("training",),
    ("audit",),
    ("certify",),
    # What checks: a claim of one's own, a family of one's own.
    ("checking", "testing"),
    ("claims.*",),
    ("claims",),
    # What people look at.
    ("figures", "report"),
    ("_pytest_plugin", "cli"),
    # Former names, kept for a release, and the public names.
    ("objectives", "quadrature", "stationary"),
    ("__main__", "vaetheory"),
)
LEVELS = {name: level for level, names in enumerate(FLOORS) for name in names}

#: Bridges to other frameworks: the module that recognises objects of these frameworks imports them
#: by their names.
BRIDGES = {"vaetheory.decoders._bridges": ("torch", "jax")}

#: Where checks that several claims share may stand.
SHARED = "vaetheory.checking."

#: The modules that check a certificate.
CHECKER = ("vaetheory.certify._checker", "vaetheory.certify._recheck")


def modules_of(root: Path) -> dict[str, Path]:
    """The modules of a package by name."""
    modules = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root.parent).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


@cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def at_once(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported, without functions and `TYPE_CHECKING`."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        later = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        typing = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        if not (later or typing):
            yield node
            waiting += ast.iter_child_nodes(node)


def named(node: ast.AST, name: str, modules: Mapping[str, Path]) -> set[str]:
    """What a node of a module imports, in full."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if not isinstance(node, ast.ImportFrom):
        return set()
    base = node.module or ""
    if node.level:
        above = name.split(".")[: -node.level if modules[name].stem != "__init__" else None]
        if modules[name].stem == "__init__" and node.level > 1:
            above = above[: 1 - node.level]
        base = ".".join([*above, *([node.module] if node.module else ())])
    # `from package import name` names a module, or something within the package. A name such as
    # `__version__` is data, which all may use.
    names = {f"{base}.{alias.name}": alias.name for alias in node.names}
    return {
        full if full in modules else base for full, n in names.items() if not n.startswith("__")
    }


def imports(name: str, modules: Mapping[str, Path]) -> set[str]:
    """The modules of the package that a module imports, wherever in its text."""
    names: set[str] = set()
    for node in ast.walk(parsed(modules[name])):
        names |= named(node, name, modules)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and "." in node.value:
            names.add(node.value)
    names = (names & set(modules)) - {name}
    return {other for other in names if unit(other, modules) not in BRIDGES.get(name, ())}


def loaded_with(start: Iterable[str], modules: Mapping[str, Path]) -> set[str]:
    """All that is loaded when modules are imported, of this package and of others."""
    seen: set[str] = set()
    waiting = list(start)
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += [name.rpartition(".")[0]] if "." in name else []
            if name in modules:
                for node in at_once(parsed(modules[name])):
                    waiting += named(node, name, modules)
    return seen


def unit(name: str, modules: Mapping[str, Path]) -> str:
    """The package or module of the table to which a module belongs."""
    parts = name.split(".")
    if len(parts) == 1:
        return "vaetheory"
    if parts[1] == "claims" and len(parts) > 2:
        wing = ".".join(parts[:3])
        return f"claims.{parts[2]}" if modules[wing].stem == "__init__" else "claims"
    return parts[1]


def level(part: str) -> int:
    """The floor of a unit, counted from below; of a unit that has none a ValueError."""
    name = "claims.*" if part.startswith("claims.") else part
    if name not in LEVELS:
        raise ValueError(f"{part}: expected a name in the table of floors; give it one")
    return LEVELS[name]


def upward(edges: Mapping[str, set[str]], modules: Mapping[str, Path]) -> list[str]:
    """The imports that do not run downwards, one sentence each."""
    wrong = []
    for name in edges:
        here = unit(name, modules)
        for other in sorted(edges[name]):
            there = unit(other, modules)
            if here != there and level(there) >= level(here):
                wrong.append(f"{name} (floor {level(here)}) imports {other} ({level(there)})")
    return wrong


def circle(edges: Mapping[str, set[str]]) -> list[str]:
    """A circle among the edges, or an empty list."""
    done: set[str] = set()
    trail: list[str] = []

    def visit(name: str) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        trail.append(name)
        for other in sorted(edges[name]):
            if around := visit(other):
                return around
        trail.pop()
        done.add(name)
        return []

    return next((around for name in sorted(edges) if (around := visit(name))), [])


def all_imports(modules: Mapping[str, Path]) -> dict[str, set[str]]:
    """The imports of every module."""
    return {name: imports(name, modules) for name in modules}


MODULES = modules_of(ROOT)
EDGES = all_imports(MODULES)


def test_every_module_has_a_floor():
    units = {unit(name, MODULES) for name in MODULES}
    missing = sorted(part for part in units - set(LEVELS) if not part.startswith("claims."))
    assert not missing, f"not in the table of floors: {missing}"


def test_no_circle():
    around = circle(EDGES)
    assert not around, f"modules import each other in a circle: {' -> '.join(around)}"


def test_imports_run_downwards():
    wrong = upward(EDGES, MODULES)
    assert not wrong, "imports that do not run downwards: " + "; ".join(wrong)


def test_no_wing_imports_another():
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        for other in EDGES[name]
        if unit(name, MODULES).startswith("claims.")
        and unit(other, MODULES).startswith("claims.")
        and unit(name, MODULES) != unit(other, MODULES)
    ]
    assert not wrong, "what two wings share belongs in checking: " + "; ".join(wrong)


@pytest.mark.parametrize("package", ["checking", "testing", "certify"])
def test_what_is_below_the_claims_knows_none(package):
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        for other in EDGES[name]
        if name.startswith(f"vaetheory.{package}.") or name == f"vaetheory.{package}"
        if other.startswith("vaetheory.claims")
    ]
    assert not wrong, f"{package} knows a claim: " + "; ".join(wrong)


def test_the_checker_of_certificates_loads_neither_flint_nor_claims():
    # What a function imports for itself is the prover's: the checker does not call it.
    loaded = loaded_with(CHECKER, MODULES)
    assert "vaetheory.certify.propositions.base" in loaded, "expected the propositions as well"
    assert "mpmath" in loaded, "expected the checker's own arithmetic"
    assert "flint" not in loaded, "the checker of certificates loads FLINT"
    wrong = sorted(n for n in loaded if n.startswith(("vaetheory.claims", "vaetheory.checking")))
    assert not wrong, f"the checker of certificates loads {wrong}"


def test_a_module_has_at_most_500_lines():
    long = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in MODULES.items()}
    long = {name: lines for name, lines in long.items() if lines > MOST_LINES}
    assert not long, f"modules of more than {MOST_LINES} lines: {long}"


def test_no_module_is_named_utils():
    vague = {"utils", "util", "helpers", "misc", "common"}
    wrong = [name for name in MODULES if name.rpartition(".")[2].strip("_") in vague]
    assert not wrong, f"modules whose name says nothing: {wrong}"


def test_a_wing_lists_its_propositions_and_holds_none():
    wings = [n for n in MODULES if unit(n, MODULES) == n.removeprefix("vaetheory.")]
    wings = [name for name in wings if name.startswith("vaetheory.claims.")]
    assert len(wings) >= 12, f"expected the wings of all claims, got {wings}"
    for name in wings:
        nodes = list(ast.walk(parsed(MODULES[name])))
        lines = MODULES[name].read_text(encoding="utf-8").splitlines()
        calls = [
            n.func.id for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
        ]
        assert "Claim" in calls, f"{name}: expected its claim"
        assert "Proposition" not in calls, f"{name}: a proposition stands beside its check"
        assert not [n for n in nodes if isinstance(n, ast.FunctionDef)], (
            f"{name}: checks have rooms"
        )
        assert len(lines) <= 60, f"{name}: expected a list to read at a glance"


def test_a_proposition_stands_beside_its_check():
    seen = 0
    for name in MODULES:
        if not unit(name, MODULES).startswith("claims."):
            continue
        tree = parsed(MODULES[name])
        here = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
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
                assert names & here, f"{name}: the check {ast.unparse(check)} is elsewhere"
                seen += 1
    assert seen >= 123, f"expected the propositions of all claims, got {seen}"


# The reader of imports ---------------------------------------------------------------------------


def build(tmp_path: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """A package named vaetheory of the given files."""
    for name, text in {"__init__.py": "", **files}.items():
        path = tmp_path / "vaetheory" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return modules_of(tmp_path / "vaetheory")


@pytest.mark.parametrize(
    "line",
    [
        "import vaetheory.evidence",
        "from vaetheory import evidence",
        "from vaetheory.evidence import log_evidence",
        "from . import evidence",
        "from .evidence import log_evidence",
        "def later():\n    from vaetheory.evidence import log_evidence",
        "if TYPE_CHECKING:\n    from vaetheory.evidence import log_evidence",
        "import importlib\nimportlib.import_module('vaetheory.evidence')",
    ],
)
def test_an_upward_import_is_seen_wherever_it_stands(tmp_path, line):
    modules = build(tmp_path, {"modes.py": line, "evidence.py": ""})
    assert imports("vaetheory.modes", modules) == {"vaetheory.evidence"}, f"not seen: {line}"
    assert len(upward(all_imports(modules), modules)) == 1, f"not refused: {line}"


def test_relative_imports_of_packages(tmp_path):
    files = {
        "bounds/__init__.py": "from .elbo import elbo",
        "bounds/elbo.py": "from .. import modes",
    }
    modules = build(tmp_path, {**files, "modes.py": ""})
    edges = all_imports(modules)
    assert edges["vaetheory.bounds"] == {"vaetheory.bounds.elbo"}, edges
    assert edges["vaetheory.bounds.elbo"] == {"vaetheory.modes"}, edges


def test_a_circle_is_seen(tmp_path):
    files = {"flows/__init__.py": "", "flows/a.py": "from vaetheory.flows import b"}
    modules = build(tmp_path, {**files, "flows/b.py": "def f():\n    import vaetheory.flows.a"})
    around = circle(all_imports(modules))
    assert around == ["vaetheory.flows.a", "vaetheory.flows.b", "vaetheory.flows.a"], around
    assert not upward(all_imports(modules), modules), "modules of one package may import each other"


def test_a_wing_that_imports_another_is_seen(tmp_path):
    wings = {f"claims/{name}/__init__.py": "" for name in ("bilbo", "baggins")}
    other = "from vaetheory.claims.bilbo import scenes"
    files = {
        "claims/__init__.py": "",
        "claims/bilbo/scenes.py": "",
        "claims/baggins/room.py": other,
    }
    modules = build(tmp_path, wings | files)
    assert len(upward(all_imports(modules), modules)) == 1, (
        "expected wings to stand beside each other"
    )


def test_a_module_without_a_floor_is_refused(tmp_path):
    modules = build(tmp_path, {"attic.py": "import vaetheory.modes", "modes.py": ""})
    with pytest.raises(ValueError, match="attic: expected a name in the table of floors"):
        upward(all_imports(modules), modules)


def test_what_runs_on_import_and_what_runs_later(tmp_path):
    text = "import flint\ndef f():\n    import sympy\nclass A:\n    import mpmath\n"
    modules = build(tmp_path, {"modes.py": text, "evidence.py": "from .modes import A"})
    now = loaded_with(["vaetheory.evidence"], modules) - set(modules)
    assert now == {"flint", "mpmath"}, f"expected what is loaded with the module, got {now}"
