"""What is loaded when: nothing that is not needed, judged by the modules and not by a clock."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import vaetheory
from vaetheory.cli import _index

#: Packages that take long to load, and the parts of SciPy that do.
HEAVY = ("scipy.stats", "scipy.optimize", "scipy.integrate", "hypothesis", "matplotlib", "sklearn")
ALL = ("numpy", "scipy", "autograd", "hypothesis", "matplotlib", "sklearn", "vaetheory.claims")

#: The modules that are reached as attributes without an import of their own.
MODULES = sorted({*vaetheory.__all__} - {*vaetheory._HOMES, "__version__"})

COMMAND = "from vaetheory.cli import main\ntry:\n    main({})\nexcept SystemExit:\n    pass"

#: What is run, and the modules that must not be loaded after it.
CASES = {
    "import vaetheory": ("import vaetheory", ALL),
    "version": ("import vaetheory; vaetheory.__version__; dir(vaetheory)", ALL),
    "--help": (COMMAND.format(["--help"]), ALL),
    "--version": (COMMAND.format(["--version"]), ALL),
    "list": (COMMAND.format(["list"]), ALL),
    "list --json": (COMMAND.format(["list", "--json"]), ALL),
    **{
        f"{command} --help": (COMMAND.format([command, "--help"]), ALL)
        for command in ("verify", "report", "figures", "experiment", "check-certificate", "audit")
    },
    "numerics": (
        "from vaetheory import LatentModel, OptimalDecoder, Posterior, elbo, exact_penalty,"
        "log_evidence, stationary_posterior, bounds, decoders, flows, geometry, likelihoods,"
        "hessian_estimators, jets, stability, training",
        (*HEAVY, "vaetheory.claims", "vaetheory.checking"),
    ),
    "an evidence": (
        "from vaetheory import LatentModel, decoders, likelihoods, log_evidence\n"
        "model = LatentModel(decoders.Affine([[1.0]]), likelihoods.Gaussian(scale=1.0), 1)\n"
        "assert log_evidence(model, [[0.0]]).reached.all()",
        (*HEAVY, "vaetheory.claims", "vaetheory.checking"),
    ),
    "checking": ("import vaetheory.checking", ("vaetheory.claims", "matplotlib", "scipy.stats")),
    "the registry": ("from vaetheory import CLAIMS", ("matplotlib", "sklearn", "scipy.stats")),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_not_needed_is_not_loaded(name):
    code, without = CASES[name]
    program = f"{code}\nimport sys\nprint('\\nLOADED', *sorted(set(sys.modules) & set({without})))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, f"{name} fails: {done.stderr}"
    loaded = done.stdout.split("\nLOADED", 1)[1].split()
    assert not loaded, f"{name} loads {', '.join(loaded)}"


def test_the_stored_index_is_the_registry():
    assert _index.stored() == _index.current(), (
        "the registry was changed: `python -m vaetheory.cli._index` writes the index anew"
    )
    text = _index.INDEX.read_text(encoding="utf-8")
    assert text == _index.as_text(_index.current()) + "\n", "the index is spelled another way"


def test_the_index_is_written_whole(tmp_path, monkeypatch):
    target = tmp_path / "index.json"
    monkeypatch.setattr(_index, "INDEX", target)
    _index.write()
    assert _index.stored() == _index.current(), "what was written is not read back"
    assert [p.name for p in tmp_path.iterdir()] == ["index.json"], "something was left beside it"
    before = target.read_text(encoding="utf-8")
    monkeypatch.setattr(_index, "as_text", lambda claims: "\ud800")  # cannot be written
    with pytest.raises(UnicodeEncodeError):
        _index.write()
    assert target.read_text(encoding="utf-8") == before, "a failure has left half an index"


def checked_imports():
    """What the block for type checkers imports: each name with its module."""
    tree = ast.parse(Path(vaetheory.__file__).read_text(encoding="utf-8"))
    (block,) = [
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]
    return {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_type_checkers_see_what_is_loaded_later():
    loaded = vaetheory._HOMES | dict.fromkeys(MODULES, "vaetheory")
    assert checked_imports() == loaded, "the block for type checkers and the tables differ"


@pytest.mark.parametrize("name", sorted(vaetheory._HOMES))
def test_a_name_is_the_one_that_its_module_defines(name):
    home = import_module(vaetheory._HOMES[name])
    assert getattr(vaetheory, name) is vars(home)[name], f"{name} is something else"
    defined = getattr(getattr(home, name), "__module__", home.__name__)
    assert defined == home.__name__, f"{name} is defined in {defined}"


def test_documented_modules_are_attributes():
    program = f"import vaetheory\nfor n in {MODULES}: print(getattr(vaetheory, n).__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, f"a module is no attribute: {done.stderr}"
    assert done.stdout.split() == [f"vaetheory.{name}" for name in MODULES], "other modules"


#: Each thread loads all names in an order of its own.
THREADS = """
import random, sys, threading, vaetheory
sys.setswitchinterval(1e-5)
together, errors = threading.Barrier(12), []
def load(seed):
    names = random.Random(seed).sample(vaetheory.__all__, len(vaetheory.__all__))
    together.wait()
    try:
        [getattr(vaetheory, name) for name in names]
    except BaseException as error:
        errors.append(error)
threads = [threading.Thread(target=load, args=(seed,), daemon=True) for seed in range(12)]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
assert not errors, errors
assert not any(thread.is_alive() for thread in threads), "threads wait for each other"
"""


def test_threads_may_load_names_at_the_same_time():
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True)
    assert done.returncode == 0, f"an import failed: {done.stderr}"


def test_all_names_are_listed_and_others_are_refused():
    assert set(vaetheory._HOMES) <= set(vaetheory.__all__), "a name is not in __all__"
    assert set(vaetheory.__all__) <= set(dir(vaetheory)), "dir() lacks names"
    assert list(vaetheory._HOMES) == sorted(vaetheory._HOMES), "the table is not in order"
    with pytest.raises(AttributeError, match="no attribute 'theorems'"):
        vaetheory.theorems  # noqa: B018


def test_the_version_is_written_once():
    from importlib import metadata

    root = Path(vaetheory.__file__).parent.parent
    assert vaetheory.__version__ == metadata.version("vaetheory"), "another version is installed"
    if (root / "CITATION.cff").is_file():
        cited = (root / "CITATION.cff").read_text(encoding="utf-8")
        assert f"\nversion: {vaetheory.__version__}\n" in cited, "CITATION.cff has another version"
