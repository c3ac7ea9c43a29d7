"""Bridges to frameworks that need not be here: nothing of them is loaded before it is asked for."""

import subprocess
import sys
import types

import autograd.numpy as anp
import numpy as np
import pytest
from frameworks import FRAMEWORKS, framework

from vaetheory import LatentModel, likelihoods
from vaetheory.bounds import evidence_estimate, simulate

#: Python whose imports of a framework fail as where it is not installed.
WITHOUT = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "{name}":
            raise ModuleNotFoundError(f"No module named '{name}'", name="{name}")

sys.meta_path.insert(0, Missing())
"""


def run(code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_the_package_loads_no_framework(name):
    code, out, err = run(
        "import sys, numpy as np, vaetheory\n"
        "from vaetheory import LatentModel, likelihoods, log_evidence\n"
        "import autograd.numpy as anp\n"
        "model = LatentModel(lambda z: anp.tanh(z), likelihoods.Gaussian(scale=0.5), 1)\n"
        "log_evidence(model, np.zeros((2, 1)))\n"
        f"print('{name}' in sys.modules, 'vaetheory.{name}' in sys.modules)"
    )
    assert code == 0, err
    assert out == "False False", f"loaded: {out}"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_what_is_missing_is_said_in_one_sentence(name):
    code, _, err = run(WITHOUT.format(name=name) + f"import vaetheory.{name}")
    assert code != 0, "imported without its framework"
    last = err.splitlines()[-1]
    assert last.startswith(f"ImportError: vaetheory.{name} needs "), last
    assert last.endswith(f": pip install 'vaetheory[{name}]'"), last
    assert "During handling" not in err, "two errors where one is enough"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_a_bridge_imports_nothing_heavy_besides(name):
    framework(name)
    code, out, err = run(
        f"import sys, {name}\nbefore = set(sys.modules)\nimport vaetheory.{name}\n"
        "print({n.partition('.')[0] for n in set(sys.modules) - before} & {'sympy', 'matplotlib'})"
    )
    assert code == 0, err
    assert out in ("set()", "{'matplotlib'}"), f"loaded: {out}"


def test_what_is_required_and_missing_fails(monkeypatch):
    monkeypatch.setenv("VAETHEORY_REQUIRE", "nothing,no_such_framework")
    with pytest.raises(pytest.fail.Exception, match="VAETHEORY_REQUIRE names it"):
        framework("no_such_framework")
    with pytest.raises(pytest.skip.Exception, match=r"pip install '\.\[no_such_other\]'"):
        framework("no_such_other")


@pytest.mark.parametrize("name", ["torch", "torch.nn"])
def test_a_folder_called_torch_is_not_taken_for_pytorch(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    model = LatentModel(lambda z: z**2, likelihoods.Gaussian(scale=0.5), 2)
    z = np.array([1.0, 2.0])
    assert (model.decode(z) == z**2).all(), "a model without PyTorch has other values"


@pytest.mark.parametrize("name", FRAMEWORKS)
def test_estimates_are_those_of_the_same_network_in_numpy(name):
    # The library would know a network of tanh, so these units are softplus.
    rng = np.random.default_rng(0)
    first, last = rng.normal(size=(8, 5)), rng.normal(size=(7, 8)) / 2
    if framework(name).__name__ == "torch":
        import torch

        from vaetheory.torch import TorchDecoder

        weights = [torch.tensor(w) for w in (first, last)]
        linear = [torch.nn.Linear(w.shape[1], len(w), bias=False).double() for w in weights]
        for layer, weight in zip(linear, weights, strict=True):
            layer.weight.data = weight
        decoder = TorchDecoder(torch.nn.Sequential(linear[0], torch.nn.Softplus(), linear[1]))
    else:
        import jax

        from vaetheory.jax import JaxDecoder

        decoder = JaxDecoder(lambda p, z: jax.nn.softplus(z @ p[0].T) @ p[1].T, [first, last])
    family = likelihoods.Gaussian(scale=0.5)

    def plain(z):
        return anp.dot(anp.logaddexp(0.0, anp.dot(z, first.T)), last.T)

    X, _ = simulate(LatentModel(plain, family, 5), 2)
    found, other = (
        evidence_estimate(LatentModel(f, family, 5), X, particles=32) for f in (decoder, plain)
    )
    off = np.abs(found.diagnostics["estimate"] - other.diagnostics["estimate"]).max()
    assert off < 1e-6, f"off by {off:.3g}"
