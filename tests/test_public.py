"""What is public: it is listed or documented, and no name hides a module."""

import inspect
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules, walk_packages
from types import ModuleType

import checkout
import numpy as np
import pytest
from frameworks import FRAMEWORKS

import vaetheory

generate = checkout.module("docs", "generate")

#: Former modules, which only say where their names are now.
FORMER = {
    "vaetheory.objectives": ("bilbo", "BatchBound"),
    "vaetheory.stationary": ("stationary_posterior", "StationaryPosterior"),
    "vaetheory.quadrature": ("Integral",),
    "vaetheory.claims.claim": ("Claim", "Proposition", "Control", "Certificate"),
    "vaetheory.claims.runner": ("verify", "run_proposition", "Result"),
    "vaetheory.claims.strategies": ("vectors",),
    "vaetheory.claims.rates": ("power_law",),
}

#: Modules with former names of their own.
RENAMED = {"vaetheory.training": ("interval", "read", "sampled", "split")}

#: Packages of content, of which the registries of claims, figures and commands are the way in.
CONTENT = (
    "vaetheory.claims",
    "vaetheory.cli",
    "vaetheory.figures",
    "vaetheory.certify.propositions",
)

#: Bridges to frameworks, which are imported by names of their own, and those that cannot be here.
BRIDGES = {
    f"vaetheory.{part}{name}": name for name in FRAMEWORKS for part in ("", "audit._", "training._")
}
MISSING = tuple(bridge for bridge, name in BRIDGES.items() if find_spec(name) is None)
DOCUMENTED = [name for name in generate.MODULES if name not in MISSING]

EVERY = [
    "vaetheory",
    *(
        m.name
        for m in walk_packages(vaetheory.__path__, "vaetheory.")
        if not f"{m.name}.".startswith(tuple(f"{bridge}." for bridge in MISSING))
    ),
]
PUBLIC = [
    name
    for name in EVERY
    if not any(part.startswith("_") for part in name.split(".")) and name not in FORMER
]
PACKAGES = [name for name in EVERY if hasattr(import_module(name), "__path__")]


def contributes(name):
    """Whether a documented package above lists the module or a thing that the module defines."""
    module = import_module(name)
    above = [package for package in generate.MODULES if name.startswith(f"{package}.")]
    return any(
        value is module or getattr(value, "__module__", None) == name
        for package in map(import_module, above)
        for value in (getattr(package, listed) for listed in getattr(package, "__all__", ()))
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_a_module_without_underscore_is_documented(name):
    content = any(name == package or name.startswith(f"{package}.") for package in CONTENT)
    assert content or name in generate.MODULES or contributes(name), (
        f"{name} is neither in the reference nor behind a name of its package's __all__: give it "
        "an underscore or document it"
    )


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_reference_is_of_public_modules(name):
    assert name in PUBLIC, f"the reference documents {name}, which is private or not there"
    top = name.split(".")[1:2] if name not in BRIDGES else []
    assert set(top) <= set(vaetheory.__all__), f"vaetheory.{top} is no attribute of the package"


@pytest.mark.parametrize("name", PACKAGES)
def test_no_name_hides_a_module(name):
    package = import_module(name)
    hidden = [
        m.name
        for m in iter_modules(package.__path__)
        if m.name != "__main__"
        and f"{name}.{m.name}" not in MISSING
        and not isinstance(getattr(package, m.name, import_module(f"{name}.{m.name}")), ModuleType)
    ]
    assert not hidden, f"{name} has attributes {hidden} where its modules of these names belong"


@pytest.mark.parametrize("name", [n for n in PUBLIC if hasattr(import_module(n), "__all__")])
def test_listed_names_are_there_once_and_in_order(name):
    module = import_module(name)
    listed = module.__all__
    missing = [x for x in listed if not hasattr(module, x)]
    assert not missing, f"{name}.__all__ lists {missing}, which are not there"
    assert len(set(listed)) == len(listed), f"{name}.__all__ lists a name twice"
    underscored = [x for x in listed if x.startswith("_") and x != "__version__"]
    assert not underscored, f"{name}.__all__ lists private names {underscored}"


@pytest.mark.parametrize("name", DOCUMENTED)
def test_what_is_documented_has_a_docstring(name):
    module = import_module(name)
    for listed in generate.public(module):
        text = inspect.getdoc(getattr(module, listed)) or ""
        assert len(text) > 10, f"{name}.{listed} has no docstring"


@pytest.mark.parametrize("former", FORMER | RENAMED)
def test_a_former_name_says_what_it_is_called_now(former):
    for name in (FORMER | RENAMED)[former]:
        with pytest.warns(DeprecationWarning, match=rf"{former}.{name} is vaetheory\.") as caught:
            found = getattr(import_module(former), name)
        assert len(caught) == 1, f"{len(caught)} warnings for one name"
        assert caught[0].filename == __file__, f"the warning points at {caught[0].filename}"
        place = re.search(r" is ([\w.]+) now", str(caught[0].message))[1]
        home, _, present = place.rpartition(".")
        assert getattr(import_module(home), present) is found, f"{place} is something else"
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        import_module(former).nothing  # noqa: B018


@pytest.mark.parametrize("former", FORMER)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_former_path_gives_all_its_names_to_a_star(former):
    names = {}
    exec(f"from {former} import *", names)
    missing = {*FORMER[former]} - {*names}
    assert not missing, f"from {former} import * lacks {missing}"
    assert "names_of" not in names, "the star brings what the former module is made with"


def test_the_former_name_of_the_observed_information():
    given = [[1.0, 2.0]], [[0.1, 0.2]], np.ones((1, 2, 1))
    family = vaetheory.likelihoods.Poisson()
    with pytest.warns(DeprecationWarning, match="is observed_information now") as caught:
        found = family.information(*given)
    assert caught[0].filename == __file__, f"the warning points at {caught[0].filename}"
    expected = family.observed_information(*given)
    assert (found == expected).all(), f"{found}, expected {expected}"


@pytest.mark.parametrize(
    ("made", "parameters"),
    [
        (vaetheory.Posterior, ["loc", "spread", "cov", "scale", "scale_tril"]),
        (vaetheory.OptimalDecoder, ["X", "encoder"]),
        (vaetheory.LatentModel, ["decoder", "likelihood", "latent_dim"]),
        (vaetheory.flows.Affine, ["weight", "bias"]),
        (vaetheory.likelihoods.Poisson, []),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_the_signature_of_a_class_is_that_of_its_arguments(made, parameters):
    found = list(inspect.signature(made).parameters)
    assert found == parameters, f"help({made.__name__}) shows the arguments {found}"


def test_a_former_path_can_be_imported_from():
    code = (
        "from vaetheory.objectives import bilbo; import vaetheory; assert bilbo is vaetheory.bilbo"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_every_tolerance_is_in_the_table_of_tolerances():
    page = (Path(generate.__file__).parent / "numerics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+`) \| (\S+) \|", page.split("## What each tolerance")[1], re.M)
    told = {
        name.rpartition(".")[2]: float(default)
        for names, default in rows
        for name in re.findall(r"`([\w.]+)`", names)
    }
    found = {}
    for name in DOCUMENTED:
        module = import_module(name)
        for listed in generate.public(module):
            value = getattr(module, listed)
            if inspect.isfunction(value) and "rtol" in inspect.signature(value).parameters:
                found[listed] = inspect.signature(value).parameters["rtol"].default
    assert told == found, f"docs/numerics.md has {told}, the functions have {found}"


@pytest.mark.parametrize(
    ("function", "leading", "options"),
    [
        (vaetheory.bilbo, ([-1.0, -3.0], [[1.0], [-1.0]], [0.5]), {"form": "full"}),
        (vaetheory.constant_variance_penalty, ([[1.0], [4.0]],), {"weights": [1.0, 2.0]}),
    ],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_options_are_by_keyword_and_go_on_working_by_position(function, leading, options):
    for name in options:
        kind = inspect.signature(function).parameters[name].kind
        assert kind is inspect.Parameter.KEYWORD_ONLY, f"{name} is {kind.description}"
    assert function(*leading, **options) == function(*leading, *options.values()), "another result"
    with pytest.raises(TypeError, match="two values for"):
        function(*leading, *options.values(), **options)
    with pytest.raises(TypeError, match="positional argument"):
        function(*leading, *options.values(), "one too many")


def test_profile_and_seed_go_on_working_by_position():
    old = [r.as_dict() for r in vaetheory.verify("1b", "quick", 3)]
    new = [r.as_dict() for r in vaetheory.verify("1b", profile="quick", seed=3)]
    for result in (*old, *new):
        result.pop("seconds")
    assert old == new, "by position they mean something else"
