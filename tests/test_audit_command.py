"""`vaetheory audit`: a file, a status, and the result as JSON."""

import json

import pytest
from frameworks import framework

framework("torch")

from vaetheory.cli import main  # noqa: E402

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
