"""Claims of one's own, from files, modules and installed packages: commands and pytest."""

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from pytest_runs import run_pytest

from vaetheory import verify
from vaetheory.checking import _rebuilding, _sources
from vaetheory.checking._selection import select
from vaetheory.cli import _asked, _parser, main

CLAIMS = """
from dataclasses import dataclass

from hypothesis import strategies as st

from vaetheory.checking import Claim, Comparison, Proposition, wrong


@dataclass(frozen=True)
class Case:
    n: int


def gauss(case, *, divisor=2):
    total = float(sum(range(case.n + 1)))
    return Comparison.identity(case.n * (case.n + 1) / divisor, total, scale=1.0, rounding=1e-9)


def proposition(label, **more):
    return Proposition(
        label=label, title="The sum of the first numbers", statement="", kind="identity",
        hypotheses=(("natural", "n"),), instances=st.integers(0, 9).map(Case), check=gauss,
        controls=wrong(gauss, {"a third": {"divisor": 3}}), figure="sums", **more,
    )


RIGHT = Claim("sums", "Sums", "Gauss", (proposition("s1"), proposition("s2")))
"""
FALSE = """
def false(case):
    return Comparison.identity(float(case.n > 2), 0.0, scale=1.0, rounding=1e-9)


WRONG = Claim(
    "false-sums", "False sums", "nowhere",
    (Proposition(
        label="f1", title="No number is above two", statement="", kind="identity",
        hypotheses=(("natural", "n"),), instances=st.integers(0, 9).map(Case), check=false,
        controls=wrong(false, {"none": lambda case: gauss(case, divisor=5)}),
    ),),
)
"""
FIGURES = '''
def draw(figure):
    """Draw the sums of the first numbers."""
    axes = figure.subplots()
    axes.plot([1, 2, 3], [1, 3, 6], "o", label="sum")
    axes.set_title("The sums grow as the square")


FIGURES = {"sums": draw}
'''


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sums_of_numbers.py"
    path.write_text(CLAIMS)
    return path


def labels_in(path):
    return [r["label"] for r in json.loads(path.read_text())["results"]]


def test_a_file_of_claims_is_verified(file, capsys):
    assert main(["verify", str(file)]) == 0, "the claims of a file are not confirmed"
    out = capsys.readouterr().out
    assert "2 of 2 propositions confirmed, 2 of 2 wrong versions refuted" in out, out


def test_labels_select_from_a_file_and_set_the_order(file, tmp_path):
    target = tmp_path / "run.json"
    assert main(["verify", str(file), "s2", "s1", "--json", str(target)]) == 0, "not confirmed"
    assert labels_in(target) == ["s2", "s1"], "not in the order asked for"


def test_the_right_and_the_wrong_stand_in_one_file(file, capsys):
    file.write_text(CLAIMS + FALSE)
    assert main(["verify", str(file)]) == 1, "a false claim passed"
    out = capsys.readouterr().out
    assert "refuted" in out, out
    assert "instance: Case(n=3)" in out, f"the counterexample is not the smallest: {out}"
    assert main(["verify", f"{file}:RIGHT"]) == 0, "the right claim alone is not confirmed"


def test_processes_load_the_file_by_its_name(file, tmp_path):
    found = []
    for jobs in ("1", "2"):
        target = tmp_path / f"{jobs}.json"
        arguments = ["verify", str(file), "--jobs", jobs, "--json", str(target)]
        if jobs == "1":
            assert main(arguments) == 0, "not confirmed by one process"
        else:
            # The pool's processes import the program's main module again: it must be the real one.
            command = [sys.executable, "-m", "vaetheory", *arguments]
            run = subprocess.run(command, capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"--jobs {jobs}: {run.stderr}"
        results = json.loads(target.read_text())["results"]
        found.append([(r["label"], r["residual"], r["worst_instance"]) for r in results])
    assert found[0] == found[1], "the results depend on the number of processes"


def test_an_interrupted_run_of_a_file_is_resumed(file, tmp_path, capsys):
    target = tmp_path / "run.json"
    assert main(["verify", str(file), "s1", "--json", str(target)]) == 0, "the first half failed"
    assert main(["verify", str(file), "--json", str(target), "--resume"]) == 0, "not resumed"
    assert labels_in(target) == ["s1", "s2"], "a result was lost"


def test_list_figures_and_report_take_a_file(file, tmp_path, capsys):
    file.write_text(CLAIMS + FIGURES)
    assert main(["list", str(file), "--json", "-"]) == 0, "list failed"
    (claim,) = json.loads(capsys.readouterr().out)
    assert [p["label"] for p in claim["propositions"]] == ["s1", "s2"], "not the file's claims"
    assert main(["figures", str(file), "--out", str(tmp_path / "drawn")]) == 0, "figures failed"
    assert (tmp_path / "drawn" / "sums.png").is_file(), "the figure was not drawn"
    manifest = json.loads((tmp_path / "drawn" / "manifest.json").read_text())
    assert manifest["figures"]["sums"]["propositions"] == ["s1", "s2"], "not what it shows"
    page = tmp_path / "page.html"
    assert main(["report", str(file), "--out", str(page)]) == 0, "report failed"
    text = page.read_text()
    assert "The sums of the first numbers" in text, "the figure's caption is missing"
    assert "Everything asked for is confirmed" in text, "the result is missing"


def test_a_figure_without_its_digits_is_left_out_and_said(file, tmp_path, capsys):
    # What `load` raises where scikit-learn is not installed.
    lacking = FIGURES.replace(
        "figure):\n", 'figure):\n    from vaetheory.checking.digits import NoDigitsError\n'
        '    raise NoDigitsError("the digits are not here")\n', 1,
    )  # fmt: skip
    file.write_text(CLAIMS + lacking)
    assert main(["figures", str(file), "--out", str(tmp_path / "drawn")]) == 2, "it is not said"
    told = capsys.readouterr()
    assert told.err == "vaetheory: figure sums is left out: the digits are not here\n", told.err
    assert not told.out, f"files that were not written: {told.out}"
    page = tmp_path / "page.html"
    assert main(["report", str(file), "--out", str(page)]) == 0, "the page needs no picture"
    assert "Everything asked for is confirmed" in page.read_text(), "the result is missing"


def test_a_file_without_figures_has_none_to_draw(file, tmp_path, capsys):
    assert main(["figures", str(file), "--out", str(tmp_path / "drawn")]) == 2, "not refused"
    assert "expected FIGURES" in capsys.readouterr().err, "it is not said what is missing"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "expected at least one Claim, got none"),
        ("CLAIMS = 3", "expected a Claim, or a list or tuple of Claims, got 3"),
        ("x = 1\n1 / 0", "got ZeroDivisionError: division by zero, line 2"),
        ("def f(:", "SyntaxError"),
        ("raise SystemExit(5)", "SystemExit: 5"),
        (CLAIMS + "FIGURES = [1]", "expected FIGURES to be a mapping"),
        (CLAIMS + "CLAIMS = [RIGHT, RIGHT]", "expected different labels, got 'sums' twice"),
    ],
    ids=["empty", "number", "raises", "syntax", "exits", "figures", "twice"],
)
def test_a_file_that_has_no_claims_is_refused(content, words, file, capsys):
    file.write_text(content)
    assert main(["verify", str(file)]) == 2, "accepted"
    captured = capsys.readouterr()
    assert words in captured.err, captured.err
    assert len(captured.err.splitlines()) == 1, f"not one line: {captured.err}"
    assert captured.out == "", "something was printed before the refusal"


@pytest.mark.parametrize("words", [["none.py"], ["no_such_module:CLAIMS"], ["json:nothing"]])
def test_what_is_not_there_is_refused(words, capsys):
    assert main(["verify", *words]) == 2, "accepted"
    assert words[0].partition(":")[0] in capsys.readouterr().err, "the name is not in the error"


def test_results_do_not_overwrite_the_claims(file, capsys):
    assert main(["list", "--json", str(file)]) == 2, "the file of claims is the target"
    assert "a Python file" in capsys.readouterr().err, "another reason"
    assert file.read_text() == CLAIMS, "the claims are lost"


def test_what_a_file_prints_does_not_damage_the_json(file, capsys):
    file.write_text("print('hello')\n" + CLAIMS)
    assert main(["list", str(file), "--json"]) == 0, "list failed"
    captured = capsys.readouterr()
    assert json.loads(captured.out), "no JSON"
    assert "hello" in captured.err, "what the file printed is lost"


def test_a_file_imports_its_neighbours_and_its_package(tmp_path):
    package = tmp_path / "a_package_of_claims"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "sums.py").write_text(CLAIMS)
    (package / "all.py").write_text("from .sums import RIGHT\nCLAIMS = (RIGHT,)\n")
    assert [c.label for c in _sources.load(str(package / "all.py")).claims] == ["sums"], "by path"
    named = _sources.load("a_package_of_claims.all:CLAIMS")
    assert [c.label for c in named.claims] == ["sums"], "by the name of the module"


@pytest.mark.parametrize("name", ["3", "claim-3", "stationary-evidence"])
def test_a_claim_has_three_names(name):
    import vaetheory

    wanted = next(c for c in vaetheory.CLAIMS if c.number == 3)
    found = select([name], vaetheory.CLAIMS)
    assert {c.label for c, _ in found} == {wanted.label}, f"{name} is another claim"
    assert [p for _, p in found] == list(wanted.propositions), "not all of its propositions"


def test_the_order_asked_for_is_the_order_run():
    found = [r.label for r in verify(["2a", "1b", "2a", "1a"])]
    assert found == ["2a", "1b", "1a"], "another order, or one of them twice"


def test_installed_claims_are_listed_and_verified(file, monkeypatch, capsys):
    monkeypatch.syspath_prepend(file.parent)
    point = metadata.EntryPoint("own", f"{file.stem}:RIGHT", _asked.GROUP)
    monkeypatch.setattr(_asked.metadata, "entry_points", lambda group: [point])
    assert main(["list"]) == 0, "list failed"
    out = capsys.readouterr().out
    assert "optimal-decoder" in out, "the theorem book is missing"
    assert "s2" in out, "the installed claims are missing"
    assert main(["verify", "s2", "1b"]) == 0, "not confirmed"
    out = capsys.readouterr().out
    assert out.index(" s2 ") < out.index(" 1b "), "not in the order asked for"


def test_installed_claims_that_cannot_be_loaded_are_named(monkeypatch, capsys):
    point = metadata.EntryPoint("broken", "no_such_module:CLAIMS", _asked.GROUP)
    monkeypatch.setattr(_asked.metadata, "entry_points", lambda group: [point])
    assert main(["list"]) == 2, "accepted"
    assert "installed package broken" in capsys.readouterr().err, "the package is not named"
    assert main(["verify", "1b"]) == 0, "the theorem book alone needs no installed claims"


def test_a_bare_command_shows_the_help(capsys):
    assert main([]) == 0, "help is no error"
    assert "verify" in capsys.readouterr().out, "the commands are not shown"


def test_every_option_has_a_help():
    waiting, silent = [_parser()], []
    while waiting:
        parser = waiting.pop()
        for action in parser._actions:
            if isinstance(getattr(action, "choices", None), dict):
                waiting += action.choices.values()
                told = {choice.dest: choice.help for choice in action._choices_actions}
                silent += [name for name in action.choices if not told.get(name)]
            elif not action.help:
                silent.append(f"{parser.prog} {action.dest}")
    assert not silent, f"without a help: {silent}"


def test_a_new_claim_runs_and_is_not_overwritten(tmp_path, capsys, monkeypatch):
    assert main(["new", "claim", "my-claim", "--out", str(tmp_path)]) == 0, "not written"
    written = sorted(p.name for p in tmp_path.iterdir())
    assert written == ["my_claim.py", "test_my_claim.py"], f"other files: {written}"
    assert main(["verify", str(tmp_path / "my_claim.py")]) == 0, "the new claim is not confirmed"
    out = capsys.readouterr().out
    assert "1 of 1 propositions confirmed, 2 of 2 wrong versions refuted" in out, out
    before = (tmp_path / "my_claim.py").read_text()
    assert main(["new", "claim", "my-claim", "--out", str(tmp_path)]) == 2, "overwritten"
    assert (tmp_path / "my_claim.py").read_text() == before, "changed"


@pytest.mark.parametrize("name", ["", "3", "My", "a b", "class", "../up", "a.b"])
def test_a_new_claim_has_a_name_that_python_takes(name, tmp_path, capsys):
    assert main(["new", "claim", name, "--out", str(tmp_path)]) == 2, "accepted"
    assert not list(tmp_path.iterdir()), "a file was written"
    assert "NAME" in capsys.readouterr().err, "the argument is not named"


def test_pytest_collects_each_proposition(tmp_path):
    path = tmp_path / "test_sums.py"
    path.write_text(CLAIMS + FALSE + "\nCLAIMS = [RIGHT, WRONG]\n\ndef test_other():\n    pass\n")
    run = run_pytest(tmp_path, "--vaetheory", "-q", "-n", "2", "-k", "identity")
    assert "1 failed, 2 passed" in run.stdout, run.stdout + run.stderr
    assert "FAILED test_sums.py::WRONG[f1]" in run.stdout, run.stdout
    assert "instance: Case(n=3)" in run.stdout, f"not the smallest counterexample: {run.stdout}"
    line = next(x for x in run.stdout.splitlines() if "rebuild it:" in x).partition(":")[2].strip()
    names = {}
    exec(path.read_text(), names)
    comparison = eval(line, names)
    assert comparison.residual == 1.0, "the line does not check the counterexample again"
    again = next(x for x in run.stdout.splitlines() if "run it again:" in x).partition(":")[2]
    assert main(again.split()[1:]) == 1, "the command does not find it again"


def test_pytest_without_the_option_collects_functions_alone(tmp_path):
    (tmp_path / "test_sums.py").write_text(CLAIMS + "\ndef test_other():\n    pass\n")
    run = run_pytest(tmp_path, "-q")
    assert "1 passed" in run.stdout, run.stdout + run.stderr


class Unspeakable:
    """An object that neither its text nor its pickle rebuilds."""

    def __reduce__(self):
        raise TypeError


def test_an_instance_is_rebuilt_from_its_text_or_its_pickle():
    import numpy as np

    class_of_its_own = Path("folder")
    for instance in (3, (1.5, "x"), class_of_its_own, np.array([[0.1, np.nan]]), {2: {3}}):
        imports, text = _rebuilding.rebuilt(instance, {})
        names = {}
        exec(imports, names)
        again = eval(text, names)
        assert repr(again) == repr(instance), f"{text} is {again!r}"
    with pytest.raises(ValueError, match="Unspeakable"):
        _rebuilding.rebuilt(Unspeakable(), {})
