"""Work on a Dask cluster of this machine: the same numbers as here."""

import json

import numpy as np
import pytest
from frameworks import framework

from vaetheory import LatentModel, decoders, likelihoods
from vaetheory.bounds import (
    estimated_evidence,
    evidence_bracket,
    evidence_estimate,
    simulate,
    simulated_evidence,
)
from vaetheory.cli import main

distributed = framework("distributed")


@pytest.fixture(scope="module")
def cluster():
    """Two workers in processes of their own."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as made:
        yield made


def test_estimates_do_not_depend_on_the_number_of_workers(cluster, monkeypatch):
    monkeypatch.setattr(estimated_evidence, "_MOST", 1)
    rng = np.random.default_rng(0)
    network = decoders.TanhNetwork(
        [rng.normal(size=(4, 5)), rng.normal(size=(6, 4))], [np.zeros(4), np.zeros(6)]
    )
    model = LatentModel(network, likelihoods.Gaussian(scale=0.5))
    X, z = simulate(model, 3)
    alone = evidence_estimate(model, X, particles=32, twins=1)
    monkeypatch.setattr(simulated_evidence, "_MOST", 1)
    bracket = evidence_bracket(model, X, z, draws=64, particles=16)
    with distributed.Client(cluster, set_as_default=False) as client:
        for executor in (client, client.get_executor()):
            found = evidence_estimate(model, X, particles=32, twins=1, executor=executor)
            assert found == alone, f"a {type(executor).__name__} gave other numbers"
            found = evidence_bracket(model, X, z, draws=64, particles=16, executor=executor)
            assert found == bracket, f"a {type(executor).__name__} gave another bracket"


def test_the_command_line_uses_a_running_cluster(cluster, tmp_path, capsys):
    found = []
    for name, where in (("here", ()), ("there", ("--scheduler", cluster.scheduler_address))):
        path = tmp_path / f"{name}.json"
        assert main(["verify", "1b", "3c", *where, "--json", str(path)]) == 0, capsys.readouterr()
        results = json.loads(path.read_text())["results"]
        found.append([{k: v for k, v in r.items() if "seconds" not in k} for r in results])
    assert found[0] == found[1], "the results depend on where they are computed"


def test_no_scheduler_at_an_address(capsys, monkeypatch):
    monkeypatch.setattr("vaetheory.cli._jobs._SECONDS", 0.2)
    assert main(["verify", "1b", "--scheduler", "tcp://127.0.0.1:9"]) == 2, "expected a refusal"
    assert "--scheduler: expected the address" in capsys.readouterr().err, "expected a reason"
