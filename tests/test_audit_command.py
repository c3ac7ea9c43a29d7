"""`vaetheory audit`: a file, a status, and the result as JSON, JUnit XML and a page."""

import json
import math
import re
import subprocess
import sys
from datetime import datetime
from html import escape
from xml.etree import ElementTree

import pytest
from frameworks import framework
from pytest_runs import run_pytest

framework("torch")

from vaetheory.audit import Audit, Finding  # noqa: E402
from vaetheory.cli import main  # noqa: E402
from vaetheory.report.audit_junit import audit_as_junit  # noqa: E402
from vaetheory.report.audit_page import audit_page  # noqa: E402

FILE = """
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy


class Vae(nn.Module):
    def __init__(self):
        super().__init__()
        self.e, self.d = nn.Linear(5, 8), nn.Linear(4, 5)

    def encode(self, x):
        return self.e(x).chunk(2, -1)

    def decode(self, z):
        return torch.sigmoid(self.d(z))

    def loss(self, x, weight=1.0):
        m, v = self.encode(x)
        z = m + torch.randn_like(m) * (v / 2).exp()
        kl = 0.5 * (m**2 + v.exp() - v - 1).sum(-1)
        fit = binary_cross_entropy(self.decode(z), x, reduction="none").sum(-1)
        return (fit + weight * kl).mean()


def right(weight=1.0):
    torch.manual_seed(0)
    vae = Vae()
    return dict(
        loss=lambda x: vae.loss(x, weight), encode=vae.encode, decode=vae.decode,
        x=torch.bernoulli(torch.full((8, 5), 0.5)), module=vae, likelihood="bernoulli",
    )


def wrong():
    return right(0.1)


number = 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "models_to_audit.py"
    path.write_text(FILE, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [("right", 0, "This is the ELBO of the declared model"), ("wrong", 1, "weight.kl")],
)
def test_the_status_says_whether_it_is_the_elbo(file, tmp_path, capsys, name, status, said):
    target = tmp_path / "audit.json"
    assert main(["audit", f"{file}:{name}", "--json", str(target)]) == status, "another status"
    out = capsys.readouterr().out
    assert said in out, f"{said} is missing: {out}"
    assert max(map(len, out.splitlines())) <= 80, "a line is longer than 80 characters"
    document = json.loads(target.read_text(encoding="utf-8"))
    assert document["verdict"].lower()[:6] == out.lower()[:6], "file and table differ"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{file}:number", "expected a mapping of the arguments"),
        ("{file}:nothing", "expected the name nothing"),
        ("{file}", "expected a file and a name"),
        ("nowhere.py:right", "expected a Python file"),
    ],
)
def test_a_target_that_cannot_be_audited_is_an_error(file, capsys, target, message):
    given = target.format(file=file)
    # Only the last colon counts: a path may hold others.
    assert main(["audit", given]) == 2, f"{given} was accepted"
    assert message in capsys.readouterr().err, f"{given}: another message"


def test_the_files_of_an_audit(file, tmp_path, capsys):
    page, junit = tmp_path / "audit.html", tmp_path / "audit.xml"
    given = ["audit", f"{file}:wrong", "--html", str(page), "--junit", str(junit), "--json", "-"]
    assert main(given) == 1, "another status"
    said = capsys.readouterr()
    document = json.loads(said.out)
    assert "weight.kl" in said.err, "the table is not on standard error"
    suite = ElementTree.parse(junit).find("testsuite")
    cases = suite.findall("testcase")
    assert len(cases) == 1 + len(document["findings"]), "a case for the verdict and each finding"
    verdict, *failed = suite.findall("testcase/failure")
    assert verdict.get("message") == document["verdict"], "another verdict"
    wrong = [f["code"] for f in document["findings"] if f["severity"] == "wrong"]
    assert [f.get("type") for f in failed] == wrong, "what is wrong does not fail, or more does"
    assert document["verdict"] in suite.find("system-out").text.replace("\n", " ").replace(
        "Is not", "is not"
    ), "the report is missing"
    html = page.read_text(encoding="utf-8")
    for text in ("default-src &#x27;none&#x27;", "weight.kl", "Residual of the fit", "Effective"):
        assert text in html, f"{text} is not on the page"
    for f in document["findings"]:
        assert escape(f["meaning"]) in html, f"{f['code']}: its number is not explained"


def test_two_files_cannot_both_be_standard_output(file, capsys):
    assert main(["audit", f"{file}:right", "--html", "-", "--junit", "-"]) == 2, "accepted"
    assert "standard output" in capsys.readouterr().err, "another message"


AVERAGED = """

def averaged():
    vae, given = Vae(), right()

    def loss(x):
        m, v = vae.encode(x)
        z = m + torch.randn_like(m) * (v / 2).exp()
        kl = 0.5 * (m**2 + v.exp() - v - 1).sum()
        fit = binary_cross_entropy(vae.decode(z), x, reduction="none").sum(-1)
        return fit.mean() + kl

    return {**given, "loss": loss, "encode": vae.encode, "decode": vae.decode, "module": vae}
"""


def test_the_effective_beta_of_a_batch_that_is_averaged_once(file, tmp_path, capsys):
    file.write_text(FILE + AVERAGED, encoding="utf-8")
    target = tmp_path / "audit.json"
    assert main(["audit", f"{file}:averaged", "--json", str(target)]) == 1, "another status"
    facts = json.loads(target.read_text(encoding="utf-8"))["facts"]
    # KL summed and R averaged: the weight of KL relative to R is the size of the batch.
    for at in facts["by batch size"]:
        assert at["beta"] == pytest.approx(at["batch"], rel=1e-9), f"another beta: {at}"
        losses = at["losses"]
        off = max(map(abs, at["unexplained"]))
        assert off <= 1e-12 * max(map(abs, losses)), f"more than rounding is left: {off}"
        assert len(at["unexplained"]) == len(losses), "a loss is missing"
    capsys.readouterr()


def test_a_page_of_a_result_of_nothing_found():
    finding = Finding("undecided.<x>", "a < b", "note", math.nan, "none", "give more data")
    facts = {"evidence": {"not computed": "<none>"}}
    made = Audit("undecided", (finding,), {}, math.inf, None, facts, "<i>no data</i>")
    html = audit_page(made, title="<b>")
    for raw in ("<x>", "<none>", "<i>no", "vaetheory: <b>"):
        assert raw not in html, f"{raw} is not escaped"
    assert "undecided.&lt;x&gt;" in html, "the finding is missing"
    assert "<svg" not in html, "a picture of nothing"
    suites = audit_as_junit(made, name="x", seconds=0.0, finished=datetime(2020, 1, 1))
    assert suites.find("testsuite/testcase/failure").get("type") == "undecided", "another verdict"
    assert suites.find("testsuite").get("failures") == "1", "a note fails"


def test_the_pictures_of_an_audit():
    sizes = [
        {"batch": 2, "residual": 0, "beta": 2.0, "losses": [1.0, 2.0], "unexplained": [0.0, 1e-3]},
        {"batch": 4, "residual": 0, "beta": None, "losses": [1.0, 2.0], "unexplained": []},
    ]
    evidence = {
        "negative_log_evidence": 1.0,
        "negative_log_evidence_error": 0.1,
        "gap_per_datum": [0.5, 0.25, 1.0],
        "assumed": "no scale is small",
        "gains": [{"change": "more <draws>", "text": "2 nats", "proposition": "14a"}],
    }
    facts = {"by batch size": sizes, "evidence": evidence}
    html = audit_page(Audit("is", (), {"R": 1.0}, 0.0, 1.0, facts))
    drawn = [ElementTree.fromstring(svg) for svg in re.findall("<svg.*?</svg>", html)]
    shapes = [len(svg.findall("circle")) + len(svg.findall("rect")) for svg in drawn]
    assert shapes == [2, 1, 3], f"a shape for each loss, known beta and datum: {shapes}"
    heights = [float(rect.get("height")) for rect in drawn[2].findall("rect")]
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2), f"bars of other heights: {heights}"
    assert "more &lt;draws&gt;" in html, "the gains are not shown"
    assert "2 nats (14a)" in html, "the gain has no number"
    assert "It is assumed that no scale is small." in html, "the assumption is not said"


TESTS = """

def test_right(check_vae):
    assert check_vae(**right()).status == "is"


def test_wrong(check_vae):
    check_vae(**wrong())
"""


def test_the_fixture_of_pytest(file):
    file.with_name("test_models.py").write_text(FILE + TESTS, encoding="utf-8")
    run = run_pytest(file.parent, "-q")
    assert "1 failed, 1 passed" in run.stdout, run.stdout + run.stderr
    assert "[weight.kl]" in run.stdout, f"the report is missing: {run.stdout}"


def test_the_plugin_loads_nothing_before_it_is_used():
    code = "import sys, vaetheory._pytest_plugin; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {"torch", "numpy", "vaetheory.audit", "vaetheory.testing"} & set(run.stdout.split())
    assert not loaded, f"the plugin loads {loaded}"
