"""Processes that are killed, disks that are full, and stored results that were edited."""

import json
import os
import signal
import subprocess
import sys

import pytest

from vaetheory._documents import sealed
from vaetheory.cli import main

DEEP = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"

KILLED = """
import os, signal, sys
from vaetheory.cli import main
when, count = {when!r}, {count}
replace = os.replace
def replaced(*names):
    global count
    count -= 1
    if count == 0 and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*names)
    if count == 0:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = replaced
sys.exit(main({arguments!r}))
"""


def killed(when, count, *arguments):
    """Status of a command that is killed before or after the so-many-th file takes its place."""
    program = KILLED.format(when=when, count=count, arguments=list(arguments))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


def timeless(value):
    """A document without what differs from run to run."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "digest")}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def test_a_run_that_is_killed_goes_on_to_the_same_results(tmp_path):
    whole, target = tmp_path / "whole.json", tmp_path / "folder" / "run.json"
    target.parent.mkdir()
    assert main(["verify", "1b", "2a", "--json", str(whole)]) == 0, "not confirmed"
    arguments = ["verify", "1b", "2a", "--json", str(target), "--resume"]
    assert killed("before", 1, *arguments) < 0, "not killed"
    assert not target.exists(), "half a result"
    assert len(list(target.parent.iterdir())) == 1, "where is what was begun?"
    assert killed("after", 1, *arguments) < 0, "not killed"
    assert killed("before", 1, *arguments) < 0, "not killed"
    assert len(json.loads(target.read_text())["results"]) == 1, "the first result was lost"
    assert main(arguments) == 0, "not gone on with"
    found, wanted = (timeless(json.loads(p.read_text())) for p in (target, whole))
    assert found == wanted, "other results after interruptions"
    assert [p.name for p in target.parent.iterdir()] == ["run.json"], "something was left behind"


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "numbers.csv"
    path.write_text("\n".join(f"{k / 10},{k * k % 17 + k / 10},{7 * k % 11}" for k in range(60)))
    return path


def experiment(numbers, folder):
    return [
        "experiment", "half-network", "--data", str(numbers), "--seeds", "1", "--epochs", "6",
        "--draws", "20", "--latent-dim", "1", "--informations", "1", "--out", str(folder),
    ]  # fmt: skip


def bytes_within(folder):
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_experiment_that_is_killed_ends_in_the_same_bytes(numbers, tmp_path):
    assert main(experiment(numbers, tmp_path / "whole")) == 0, "failed"
    arguments = experiment(numbers, tmp_path / "killed")
    for when, count in (("before", 1), ("after", 3), ("before", 4), ("after", 4), ("before", 5)):
        assert killed(when, count, *arguments) < 0, "not killed"
    assert main(arguments) == 0, "not gone on with"
    found, wanted = (bytes_within(tmp_path / name) for name in ("killed", "whole"))
    assert set(found) == set(wanted), "other files after interruptions"
    assert found == wanted, "other bytes after interruptions"


# Full disks -------------------------------------------------------------------------------------

LIMITED = """
import contextlib, io, json, resource, sys, warnings
from vaetheory.cli import main
import vaetheory.training, vaetheory.figures.registry, vaetheory.certify._runner
warnings.simplefilter("error")
commands = json.load(sys.stdin)
resource.setrlimit(resource.RLIMIT_FSIZE, ({most}, resource.RLIM_INFINITY))
for command in commands:
    told, nothing = io.StringIO(), io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(nothing):
        status = main(command)
    print(json.dumps([status, told.getvalue()]))
"""


def test_a_full_disk_is_a_sentence_and_the_old_files_stay(numbers, tmp_path):
    """No file may grow beyond 300 bytes, which fails as a full disk does."""
    out = tmp_path / "out"
    for name in ("run.json", "run.xml", "report.html", "bilbo.png", "bilbo.csv", "2c-0.json"):
        out.mkdir(exist_ok=True)
        (out / name).write_text("old")
    commands = [
        ["verify", "1b", "--json", str(out / "run.json")],
        ["verify", "1b", "--junit", str(out / "run.xml")],
        ["report", "1b", "--no-figures", "--out", str(out / "report.html")],
        ["figures", "bilbo", "--out", str(out)],
        ["verify", "--certify", "2c", "--out", str(out)],
        experiment(numbers, tmp_path / "experiment"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED.format(most=300)],
        input=json.dumps(commands), capture_output=True, text=True,
    )  # fmt: skip
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == len(commands), done.stderr
    for command, (status, told) in zip(commands, answers, strict=True):
        assert status == 2, f"{command}: status {status}"
        assert len(told.splitlines()) == 1, f"{command}: {told}"
        assert "File too large" in told, f"{command}: {told}"
    assert {p.read_text() for p in out.iterdir()} == {"old"}, "an old file was changed"
    left = list(tmp_path.rglob(".*"))
    assert not left, f"something was left behind: {left}"


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="needs a folder that nobody writes to")
def test_a_folder_that_cannot_be_written_to_is_refused_before_anything_is_computed(
    numbers, capsys, monkeypatch
):
    monkeypatch.setattr("vaetheory.claims.verify.verify", lambda *a, **k: pytest.fail("computed"))
    for command in (
        ["verify", "1b", "--json", "/proc/run.json"],
        ["verify", "1b", "--junit", "/proc/run.xml"],
        ["report", "1b", "--out", "/proc/report.html"],
        ["figures", "bilbo", "--out", "/proc/figures"],
        ["figures", "bilbo", "--out", "/proc"],
        ["verify", "--certify", "2c", "--out", "/proc/certificates"],
        experiment(numbers, "/proc/experiment"),
    ):
        assert main(command) == 2, f"{command}: not refused"
        told = capsys.readouterr()
        assert told.out == "", f"{command}: {told.out}"
        assert len(told.err.splitlines()) == 1, f"{command}: {told.err}"
        assert "expected a folder that can be" in told.err, f"{command}: {told.err}"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is full")
@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["verify", "1b", "--json", "-"]])
def test_a_full_standard_output_is_a_sentence(command):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "vaetheory", *command], stdout=full, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip
    assert done.returncode == 2, f"status {done.returncode}: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stderr.splitlines()[-1].startswith("vaetheory: "), done.stderr


# Results that were edited -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def run_of_1b(tmp_path_factory):
    path = tmp_path_factory.mktemp("run") / "run.json"
    assert main(["verify", "1b", "--json", str(path)]) == 0, "not confirmed"
    return path.read_text()


def leaves(value, path=()):
    if isinstance(value, dict | list):
        for k, v in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(v, (*path, k))
    else:
        yield path


def test_an_edited_result_is_not_believed(run_of_1b, tmp_path, capsys):
    target = tmp_path / "run.json"
    document = json.loads(run_of_1b)
    paths = list(leaves(document))
    assert len(paths) > 40, f"only {len(paths)} places to edit"
    for path in paths:
        edited = json.loads(run_of_1b)
        inner = edited
        for step in path[:-1]:
            inner = inner[step]
        old = inner[path[-1]]
        inner[path[-1]] = not old if isinstance(old, bool) else old * 2 if old else "x"
        target.write_text(json.dumps(edited))
        for command in (
            ["verify", "1b", "--json", str(target), "--resume"],
            ["report", "--no-figures", "--results", str(target), "--out", str(tmp_path / "r.html")],
        ):
            assert main(command) == 2, f"{path}: an edited run was believed by {command[0]}"
            told = capsys.readouterr().err
            assert str(target) in told, f"the file is not named: {told}"
            assert len(told.splitlines()) == 1, told
    # Another layout of the same document is the same document.
    target.write_text(json.dumps(document, sort_keys=True))
    assert main(["verify", "1b", "--json", str(target), "--resume"]) == 0, "not believed"


@pytest.mark.parametrize(
    "change",
    [
        {"label": "99z"},
        {"title": "another"},
        {"controls": []},
        {"claim": "baggins"},
        {"verdict": "splendid"},
        {"residual": "none"},
        {"residual": [0.0]},
        {"instances": -1},
        {"instances": True},
        {"terms": None},
        {"controls": [{}]},
        {"uses": 3},
        {"hypotheses": [1]},
        {"hypotheses": [["a", "b", "c"]]},
        {"resolution": {}},
        {"resolution": 10**400},
        {"figure": []},
        {"statement": None},
        {"findings": [1]},
        {"seconds": True},
        {"kind": 3},
    ],
    ids=str,
)
def test_results_of_what_is_no_more_are_not_mixed_in(change, run_of_1b, tmp_path, capsys):
    target = tmp_path / "run.json"
    document = json.loads(run_of_1b)
    document["results"][0] |= change
    target.write_text(json.dumps(sealed(document)))
    assert main(["verify", "1b", "--json", str(target), "--resume"]) == 2, f"{change} was believed"
    told = capsys.readouterr().err
    assert told.startswith(f"vaetheory: {target}: expected "), told
    assert len(told.splitlines()) == 1, told


@pytest.mark.parametrize(
    "content",
    [
        DEEP.encode(),
        b"[" * 100_000,
        b'{"a": ' + b'{"a": ' * 60 + b"1" + b"}" * 61,
        b'{"results": [], "results": []}',
        b'{"seed": NaN}',
        b'{"seed": 1e999}',
        b'{"seed": ' + b"1" * 5000 + b"}",
        b'{"seed": 1} and more',
        b"\xff\xfe{}",
        b"\xef\xbb\xbf{}",
        b'"\\ud800"',
        b"null",
        b"",
    ],
    ids=lambda content: repr(content[:24]),
)
def test_strange_json_is_a_sentence_wherever_json_is_read(content, numbers, tmp_path, capsys):
    path = tmp_path / "strange.json"
    path.write_bytes(content)
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "manifest.json").write_bytes(content)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment" / "experiment.json").write_bytes(content)
    for command in (
        ["verify", "1b", "--json", str(path), "--resume"],
        ["report", "--results", str(path), "--out", str(tmp_path / "report.html")],
        ["figures", "bilbo", "--out", str(tmp_path / "figures")],
        experiment(numbers, tmp_path / "experiment"),
    ):
        assert main(command) == 2, f"{command}: not refused"
        told = capsys.readouterr()
        assert told.out == "", f"{command}: {told.out}"
        assert len(told.err.splitlines()) == 1, f"{command}: {told.err}"
        assert ".json: expected" in told.err, f"{command}: {told.err}"
    assert main(["check-certificate", str(path)]) == 1, "no certificate passed as one"
    assert len(capsys.readouterr().out.splitlines()) == 3, "not one line"
    assert path.read_bytes() == content, "what was refused was written over"


@pytest.mark.parametrize("kind", ["a pipe", "a folder", "a link to a device"])
def test_what_is_no_file_is_not_waited_for(kind, tmp_path, capsys):
    path = tmp_path / "x"
    {"a pipe": os.mkfifo, "a folder": os.mkdir, "a link to a device": _link}[kind](path)
    for command in (
        ["verify", "1b", "--json", str(path), "--resume"],
        ["report", "--results", str(path), "--out", str(tmp_path / "r")],
        ["report", "1b", "--out", str(path)],
        ["check-certificate", str(path)],
        ["experiment", "half-network", "--data", str(path)],
    ):
        assert main(command) == 2, f"{command}: not refused"
        told = capsys.readouterr().err
        assert len(told.splitlines()) == 1, told
        assert "expected" in told, told


def _link(path):
    path.symlink_to("/dev/zero")


def test_a_stored_task_is_of_its_name(numbers, tmp_path, capsys):
    arguments = experiment(numbers, tmp_path / "out")
    assert main(arguments) == 0, "failed"
    tasks = tmp_path / "out" / "tasks"
    first, other = (tasks / f"{name}-seed0-scale1.json" for name in ("half", "bilbo"))
    kept = first.read_text()
    first.write_text(other.read_text())
    assert main(arguments) == 2, "the result of another objective was believed"
    assert "expected the result of half-seed0-scale1" in capsys.readouterr().err, "not named"
    document = json.loads(kept)
    document["measures"]["elbo"]["mean"] += 1.0
    first.write_text(json.dumps(document))
    assert main(arguments) == 2, "an edited result was believed"
    assert "its digest differs; delete it to redo it" in capsys.readouterr().err, "no remedy"


# Standard output --------------------------------------------------------------------------------


def test_a_dash_is_standard_output(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["verify", "1b", "2a", "--json", "-"]) == 0, "not confirmed"
    told = capsys.readouterr()
    labels = [r["label"] for r in json.loads(told.out)["results"]]
    assert labels == ["1b", "2a"], labels
    assert "2 of 2" in told.err or "confirmed" in told.err, f"no table: {told.err}"
    assert main(["verify", "1b", "--junit", "-"]) == 0, "not confirmed"
    told = capsys.readouterr()
    assert told.out.startswith("<?xml"), told.out
    assert told.out.rstrip().endswith("</testsuites>"), told.out
    assert main(["report", "1b", "--no-figures", "--out", "-"]) == 0, "not confirmed"
    told = capsys.readouterr()
    assert told.out.lower().startswith("<!doctype html"), told.out[:80]
    assert main(["report", "1b", "--no-figures", "--out", "r.html", "--json", "-"]) == 0, "failed"
    assert json.loads(capsys.readouterr().out)["results"], "no results"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"], "a file called -"


@pytest.mark.parametrize(
    "command",
    [
        ["verify", "1b", "--json", "-", "--junit", "-"],
        ["verify", "1b", "--json", "-", "--resume"],
        ["report", "1b", "--out", "-", "--json", "-"],
        ["figures", "bilbo", "--out", "-"],
        ["verify", "--certify", "2c", "--out", "-"],
        ["experiment", "half-network", "--out", "-"],
    ],
    ids=" ".join,
)
def test_a_dash_where_it_makes_no_sense_is_refused(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(command) == 2, "not refused"
    told = capsys.readouterr()
    assert told.out == "", told.out
    assert len(told.err.splitlines()) == 1, told.err
    assert not list(tmp_path.iterdir()), "something was written"


def test_a_link_is_followed_and_stays_one(tmp_path):
    (tmp_path / "real").mkdir()
    link = tmp_path / "run.json"
    link.symlink_to(tmp_path / "real" / "run.json")
    assert main(["verify", "1b", "--json", str(link)]) == 0, "not confirmed"
    assert link.is_symlink(), "the link was replaced"
    assert [p.name for p in (tmp_path / "real").iterdir()] == ["run.json"], "written elsewhere"


def test_a_name_of_several_lines_is_told_in_one(tmp_path, capsys):
    path = tmp_path / "a\nb\x1b[2J\udcff"
    path.write_text("x,y\n1,z\n")
    assert main(["experiment", "half-network", "--data", str(path)]) == 2, "not refused"
    told = capsys.readouterr().err
    assert len(told.splitlines()) == 1, told
    assert told.strip().isprintable(), repr(told)
