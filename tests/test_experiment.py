"""The experiment: on any executor, interrupted or not, the same numbers; and its command."""

import json
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

import checkout
import numpy as np
import pytest

from vaetheory._progress import listening
from vaetheory.cli import experiment as command
from vaetheory.cli import main
from vaetheory.figures import half_network
from vaetheory.training import (
    OBJECTIVES,
    Experiment,
    Settings,
    Source,
    density_of,
    estimate_tables,
    lattice_evidence,
    run_experiment,
    split_data,
    tables,
    train,
)
from vaetheory.training.experiment import run_task


def cloud(count=60):
    k = np.arange(count)
    angle = 2.4 * k
    radius = np.sqrt(k / count)
    X = np.stack([radius * np.cos(angle), radius * np.sin(angle), radius**2], axis=-1)
    return Source("cloud", X + 0.01 * np.cos(7.7 * np.arange(3 * count)).reshape(X.shape))


def small(**changes):
    plan = Settings(latent_dim=2, hidden=(4,), batch=16, epochs=6, every=2, patience=3, rate=0.01)
    options = {
        "seeds": 2, "objectives": ("one-sigma", "half"), "informations": (1.0, 2.0), "draws": 20,
        "exact": False,
    }  # fmt: skip
    return Experiment(cloud(), plan, **(options | changes))


def test_an_executor_changes_nothing(tmp_path):
    plain = list(run_experiment(small()))
    with ThreadPoolExecutor(2) as pool:
        pooled = list(run_experiment(small(), executor=pool, folder=tmp_path))
    assert pooled == plain, "other numbers from an executor"
    names = [t.name for t in small().tasks()]
    assert [f"{r['objective']}-seed{r['seed']}-scale1" for r in plain] == names, "another order"


def test_an_executor_needs_submit_and_result_only():
    class Later:
        def __init__(self, function, arguments):
            self.work = (function, arguments)

        def result(self):
            return self.work[0](*self.work[1])

        def cancel(self):
            return False

    class Cluster:
        def submit(self, function, *arguments):
            return Later(function, arguments)

    found = list(run_experiment(small(seeds=1), executor=Cluster()))
    assert found == list(run_experiment(small(seeds=1))), "other numbers"


def test_a_run_that_is_killed_again_and_again_gives_the_same_numbers(tmp_path):
    experiment = small(seeds=1, exact=True)
    whole = list(run_experiment(experiment))
    count = 0

    def kill(done):
        nonlocal count
        count += 1
        if count % 5 == 0:
            raise KeyboardInterrupt

    kills, found = 0, []
    for _ in range(40):
        try:
            with listening(kill):
                found = list(run_experiment(experiment, folder=tmp_path))
            break
        except KeyboardInterrupt:
            kills += 1
    assert kills >= 2, f"killed {kills} times only"
    assert found == json.loads(json.dumps(whole)), "other numbers after interruptions"
    assert not list((tmp_path / "checkpoints").iterdir()), "checkpoints of finished tasks are left"


def test_what_is_done_is_not_done_again(tmp_path, monkeypatch):
    first = list(run_experiment(small(), folder=tmp_path))
    monkeypatch.setattr(
        "vaetheory.training.experiment.run_task", lambda *a: pytest.fail("done again")
    )
    assert list(run_experiment(small(), folder=tmp_path)) == first, "other numbers"


def test_a_folder_of_another_experiment_is_refused(tmp_path):
    next(run_experiment(small(), folder=tmp_path))
    for other in (small(seeds=3), small(draws=21)):
        with pytest.raises(ValueError, match=r"experiment.json: expected the folder of this"):
            next(run_experiment(other, folder=tmp_path))
    moved = Experiment(Source("cloud", cloud().X + 1), small().settings, seeds=2,
                       objectives=("one-sigma", "half"), informations=(1.0, 2.0), draws=20,
                       exact=False)  # fmt: skip
    with pytest.raises(ValueError, match="got one of another experiment"):
        next(run_experiment(moved, folder=tmp_path))


@pytest.mark.parametrize(("text", "message"), [("{", "expected JSON"), ("[]", "a JSON object")])
def test_a_damaged_result_is_named(text, message, tmp_path):
    list(run_experiment(small(seeds=1), folder=tmp_path))
    path = tmp_path / "tasks" / "half-seed0-scale1.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        next(run_experiment(small(seeds=1), folder=tmp_path))
    assert str(path) in str(caught.value), "the file is not named"


def test_what_has_not_begun_is_cancelled():
    futures = []

    class Lazy:
        def submit(self, function, *arguments):
            futures.append(Future())
            if len(futures) == 1:
                futures[0].set_result(function(*arguments))
            return futures[-1]

    running = run_experiment(small(), executor=Lazy())
    next(running)
    running.close()
    assert all(f.cancelled() for f in futures[1:]), "work goes on after the run was closed"


def test_information_is_chosen_by_validation_alone(monkeypatch):
    task = small().tasks()[1]
    assert task.objective == "half", task.name
    found = run_task(task)
    best = max(found["sweep"], key=lambda e: e["validation"])
    assert found["information"] == best["information"], f"{found['sweep']}"
    assert found["validation"] == best["validation"], f"{found['sweep']}"
    # Other test data change what is measured and nothing of what is chosen.
    from vaetheory.training import experiment, split_data

    monkeypatch.setattr(
        experiment,
        "split_data",
        lambda s, seed: replace(split_data(s, seed), test=split_data(s, seed).test[::-1] * 1.5),
    )
    other = run_task(task)
    for key in ("information", "validation", "epochs", "best_epoch", "ended"):
        assert other[key] == found[key], f"{key} depends on the test data"
    assert other["measures"] != found["measures"], "the test data were not measured"


def test_scales_are_told_in_the_units_of_the_unscaled_data():
    results = list(run_experiment(small(seeds=1, scales=(1.0, 1024.0))))
    found = {(r["objective"], r["scale"]): r["measures"]["elbo"]["mean"] for r in results}
    off = abs(found["half", 1024.0] - found["half", 1.0])
    assert off < 1e-9, f"the half-network depends on the scale: {found}"
    assert abs(found["one-sigma", 1024.0] - found["one-sigma", 1.0]) > 1, f"{found}"


def test_the_table_pairs_by_seed():
    def result(objective, seed, elbo):
        return {
            "objective": objective, "seed": seed, "scale": 1.0, "sizes": [70, 10, 20],
            "outputs": [2, 3], "measures": {"elbo": {"mean": elbo}},
        }  # fmt: skip

    results = [result("half", s, 10.0 + s) for s in range(3)]
    results += [result("ordinary", s, 2 * s) for s in (2, 0, 1)]
    rows = {r.objective: r for r in tables.table(results)}
    lead = rows["ordinary"].behind["elbo"]
    assert (lead.mean, lead.count) == (9.0, 3), f"{lead}"
    assert np.isclose(lead.high - lead.mean, 4.302652730 / np.sqrt(3)), f"{lead}"
    wide = rows["ordinary"].elsewhere["elbo"]
    ratio = (wide.high - wide.mean) / (lead.high - lead.mean)
    assert np.isclose(ratio**2, (1 / 3 + 2 / 7) * 3), f"{wide}"
    assert not rows["half"].behind, "the half-network was compared with itself"
    text = tables.markdown(tables.table(results))
    assert "| half | 1 | 5 | 11.00 ± 2.48 |" in text, text
    with pytest.raises(ValueError, match="results: expected at least one"):
        tables.table([])


def test_a_measure_that_some_seeds_lack_says_so():
    results = [
        {
            "objective": name, "seed": seed, "scale": 1.0, "sizes": [70, 10, 20],
            "outputs": [2, 3],
            "measures": {"elbo": {"mean": 1.0 + seed}}
            | ({} if (name, seed) == ("bilbo", 1) else {"evidence": {"mean": 2.0 + seed**2}}),
        }
        for name in ("half", "bilbo") for seed in range(3)
    ]  # fmt: skip
    text = tables.markdown(tables.table(results))
    assert "| 4.00 ± 25.41 (2 of 3 seeds) |" in text, text
    assert text.count("2 of 3 seeds") == 2, f"its lead is over the same seeds: {text}"


def test_what_is_not_resolved_is_told_with_the_result(monkeypatch):
    monkeypatch.setattr(
        "vaetheory.training.experiment.exact_evidence",
        lambda density, X: (np.zeros(len(X)), np.where(np.arange(len(X)) < 3, np.inf, 0.0), None),
    )
    result = run_task(small(exact=True).tasks()[0])
    line = command._line(result)
    assert "evidence" not in result["measures"], "a mean over other data"
    count = result["measures"]["unresolved"]
    assert count >= 3, f"{count} unresolved"
    assert f"evidence not resolved for {count} data" in line, line


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": 0}, "seeds: expected"),
        ({"objectives": ("third",)}, "objectives: expected one of"),
        ({"objectives": ()}, "objectives: expected at least one"),
        ({"informations": (-1.0,)}, "informations: expected positive numbers"),
        ({"scales": (0.0,)}, "scales: expected positive numbers"),
        ({"scales": (1.0, 1.0 + 1e-9)}, "scales: expected numbers that differ in six digits"),
        ({"informations": (2.0, 2.0)}, "informations: expected numbers that differ"),
        ({"objectives": ("half", "half")}, "objectives: expected each once"),
        ({"draws": 1}, "draws: expected"),
        ({"held_out": 0}, "held_out: expected an integer of at least 1"),
        ({"estimates": -1}, "estimates: expected an integer of at least 0"),
    ],
)
def test_experiments_are_checked(changes, message):
    with pytest.raises(ValueError, match=message):
        small(**changes)


def test_fewer_held_out_data_are_the_first_ones():
    few = list(run_experiment(small(held_out=3, objectives=("one-sigma",), exact=True, draws=4000)))
    for result in few:
        data = split_data(cloud(), result["seed"])
        vae = small().settings.model(OBJECTIVES["one-sigma"], data.train, 0.0)
        run = train(vae, data, small().settings, seed=result["seed"])
        density = density_of(vae, run.best, data.train, seed=result["seed"], draws=8)
        truth = lattice_evidence(density, data.test[:3])[0].mean()
        found = result["measures"]["evidence"]["mean"]
        assert abs(found - truth) < 1e-6, f"evidence of other data: {found} and {truth}"
        assert result["sizes"] == [len(data.train), len(data.validation), len(data.test)], "sizes"


def test_estimates_are_the_evidence_of_the_first_data():
    """In two dimensions lattices know the evidence of every datum."""
    experiment = small(objectives=("ordinary", "half"), seeds=1, exact=True)
    for name in experiment.objectives:
        measured = {}
        for count in (0, 3):
            task = replace(experiment, estimates=count, objectives=(name,), scales=(2.0,)).tasks()[
                0
            ]
            measured[count] = run_task(task)["measures"]
        found = measured[3].pop("estimates")
        assert measured[3] == measured[0], f"{name}: estimates changed the other numbers"
        data = split_data(experiment.source, 0).times(2.0)
        truth = _evidence(name, data, experiment.settings)[:3] + data.test.shape[1] * np.log(2.0)
        assert found["status"] == ["estimated"] * 3, f"{name}: {found['reason']}"
        off = np.abs(np.array(found["value"]) - truth)
        assert (off <= np.array(found["error"]) + 1e-6).all(), f"{name}: off by {off}, {found}"
        assert (np.array(found["lower"]) <= truth + 1e-6).all(), f"{name}: a false lower bound"


def _evidence(name, data, settings):
    """Lattices' log evidence of the held-out data, of the model that the task trains."""
    made = []
    for h in (1.0, 2.0) if name == "half" else (0.0,):
        vae = settings.model(OBJECTIVES[name], data.train, h)
        run = train(vae, data, settings, seed=0)
        made.append(
            (run.best_validation, h, density_of(vae, run.best, data.train, seed=0, draws=8))
        )
    return lattice_evidence(max(made)[2], data.test)[0]


def _estimated(objective, seed, **entries):
    """A result as `run_task` returns it, of three data."""
    entry = {
        "status": ["estimated"] * 3, "reason": [""] * 3, "value": [1.0, 2.0, 3.0],
        "error": [0.1, 0.2, 0.3], "lower": [0.0, 1.0, 2.0], "importance": [0.5, 1.5, 2.5],
    }  # fmt: skip
    return {
        "objective": objective, "seed": seed, "scale": 1.0, "sizes": [7, 1, 3], "outputs": [1, 2],
        "measures": {"estimates": entry | entries},
    }  # fmt: skip


def test_only_data_with_a_value_are_compared():
    lost = {
        "status": ["estimated", "unresolved", "unresolved"], "reason": ["", "scout", "tolerance"],
        "value": [0.5, None, 9.0], "importance": [0.25, -50.0, -60.0], "lower": [0.0, -9.0, -8.0],
    }  # fmt: skip
    results = [_estimated("half", s) for s in (0, 1)]
    results += [_estimated("bilbo", 0, **lost), _estimated("bilbo", 1)]
    bilbo, half = estimate_tables.estimate_table(results)
    assert not half.behind, "the half-network was compared with itself"
    assert (bilbo.count, bilbo.pairs) == (6, 4), f"{bilbo}"
    assert bilbo.reasons == {"scout": 1, "tolerance": 1}, f"{bilbo.reasons}"
    # By hand: seed 0 has the first datum, seed 1 has all and no difference.
    assert bilbo.estimate.mean == (0.5 + 2.0) / 2, f"{bilbo.estimate}"
    assert bilbo.importance.mean == (0.25 + 1.5) / 2, f"{bilbo.importance}"
    assert bilbo.behind["estimate"].mean == (0.5 + 0.0) / 2, f"{bilbo.behind}"
    assert bilbo.behind["importance"].mean == (0.25 + 0.0) / 2, f"{bilbo.behind}"
    assert bilbo.behind["change"].mean == 0.125, f"{bilbo.behind}"
    assert np.isclose(bilbo.lower.mean, (-17 / 3 + 1) / 2), "the bound is not that of all data"
    text = estimate_tables.estimate_markdown([bilbo, half])
    assert "4 of 6 (scout: 1, tolerance: 1)" in text, text
    assert text.count("(4 data)") == 3, text


def test_without_any_value_there_is_only_the_bound():
    nothing = {"status": ["unresolved"] * 3, "reason": ["scout"] * 3, "value": [None] * 3}
    results = [_estimated("half", 0), _estimated("bilbo", 0, **nothing)]
    bilbo, _ = estimate_tables.estimate_table(results)
    assert bilbo.estimate is None, f"a mean of nothing: {bilbo.estimate}"
    assert (bilbo.behind, bilbo.pairs) == ({}, 0), f"compared with nothing: {bilbo.behind}"
    assert bilbo.lower.mean == 1.0, f"{bilbo.lower}"
    unbounded = _estimated("half", 0, lower=[0.0, None, 1.0])
    assert estimate_tables.estimate_table([unbounded])[0].lower is None, "a mean of some bounds"


def test_the_page_of_images_has_the_tables_of_what_is_stored():
    page = checkout.part("docs/half-network.md").read_text(encoding="utf-8")
    study = checkout.module("benchmarks", "half_network_tables")
    for name, table in study.TABLES.items():
        assert f"<!-- {name} -->\n\n{table()}" in page, f"another table {name}:\n{table()}"


def test_the_page_tells_what_is_stored():
    page = checkout.part("docs/half-network-tables.md").read_text(encoding="utf-8")
    for name, found in half_network.stored().items():
        # The models of "..., estimates" are some of another experiment, whose table is there.
        if not name.endswith(", estimates"):
            text = tables.markdown(tables.table(found["results"]))
            assert f"<!-- {name} -->\n\n{text}" in page, f"another table of {name}"
        if found["experiment"].get("estimates"):
            rows = estimate_tables.estimate_table(found["results"])
            text = estimate_tables.estimate_markdown(rows)
            place = f"<!-- {name}: estimates -->"
            assert f"{place}\n\n{text}" in page, f"another table of the estimates of {name}"


def test_models_with_estimates_are_those_of_the_table():
    """Trained again, the first models with eight latents are the same."""
    stored = half_network.stored()
    known = {(r["objective"], r["seed"]): r for r in stored["digits, d = 8"]["results"]}
    for result in stored["digits, d = 8, estimates"]["results"]:
        other = known[result["objective"], result["seed"]]
        for name in ("validation", "information", "epochs", "best_epoch", "ended"):
            assert result[name] == other[name], f"another {name} of {result['objective']}"


def _parts():
    """What the parts of the half-network cost, from the stored results."""

    study = checkout.module("benchmarks", "half_network_tables")

    def gaps(results, one, other):
        return study.lead(study.means(results, one), study.means(results, other))

    def at(results, h):
        return study.lead(study.at(results, "half", h), study.means(results, "optimal-sigma"))

    rows = {
        "(d) - (b): variances the same for all data": lambda r: gaps(r, "constant", "one-sigma"),
        "(e) - (b): s = 1, floating prior": lambda r: gaps(r, "bilbo", "one-sigma"),
        "(f) at h = 6 - (c)": lambda r: at(r, 6.0),
        "(f) at h = 1.5 - (c)": lambda r: at(r, 1.5),
        "(f), h chosen - (c)": lambda r: gaps(r, "half", "optimal-sigma"),
    }
    names = ["digits, d = 2", "digits, d = 8", "patches, d = 8", "breast-cancer, d = 2"]
    lines = ["| | " + " | ".join(names) + " |", "| --- " * 5 + "|"]
    for title, differences in rows.items():
        found = [differences(half_network.stored()[n]["results"]) for n in names]
        cells = [f"{f.mean:.1f} ({f.low:.1f} to {f.high:.1f})" for f in found]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def test_the_page_tells_what_each_part_costs():
    page = checkout.part("docs/half-network-tables.md").read_text(encoding="utf-8")
    assert f"<!-- parts -->\n\n{_parts()}" in page, f"another table:\n{_parts()}"


# The command ------------------------------------------------------------------------------------


@pytest.fixture
def numbers(tmp_path):
    path = tmp_path / "cloud.csv"
    path.write_text("\n".join(",".join(map(repr, map(float, row))) for row in cloud(40).X))
    return path


def test_the_command_writes_results_and_a_table(numbers, tmp_path, capsys):
    folder = tmp_path / "out"
    arguments = [
        "experiment", "half-network", "--data", str(numbers), "--seeds", "1", "--epochs", "3",
        "--draws", "20", "--out", str(folder), "--latent-dim",
        "1",
        "--scales", "1,2",
    ]  # fmt: skip
    assert main(arguments) == 0, "failed"
    captured = capsys.readouterr()
    assert captured.err == "", "progress was printed where there is no terminal"
    lines = captured.out.splitlines()
    assert len(lines) == 12 + 2 + 12, f"{len(lines)} lines"
    assert (folder / "table.md").read_text() == "\n".join(lines[12:]) + "\n", "another table"
    document = json.loads((folder / "results.json").read_text())
    assert document["experiment"]["source"]["name"] == "cloud.csv", "the data are not named"
    assert len(document["results"]) == 12, f"{len(document['results'])} results"
    assert {r["objective"] for r in document["table"]} == set(OBJECTIVES), "objectives are missing"
    assert document["environment"]["numpy"] == np.__version__, "results without versions"
    assert "environment" in json.loads((folder / "experiment.json").read_text()), "no versions"
    # Again: everything is there already.
    assert main(arguments) == 0, "not resumed"
    assert capsys.readouterr().out == captured.out, "another table"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--data", "nowhere.npy"],
            "--data: expected one of digits, patches, breast-cancer, mnist, or",
        ),
        (["--scales", "1,x"], "--scales: expected numbers separated by commas, got 1,x"),
        (["--seeds", "0"], "seeds: expected an integer of at least 1"),
        (["--jobs", "0"], "--jobs: expected at least 1"),
        (["--out", __file__], "--out: expected a folder"),
    ],
)
def test_bad_requests_are_one_line_and_status_two(arguments, message, capsys, tmp_path, numbers):
    known = ["experiment", "half-network", "--data", str(numbers), "--out", str(tmp_path / "o")]
    assert main([*known, *arguments]) == 2, "not refused"
    captured = capsys.readouterr()
    assert message in captured.err, captured.err
    assert len(captured.err.splitlines()) == 1, f"not one line: {captured.err}"


def test_the_time_left_is_shown_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    now = [100.0]
    monkeypatch.setattr(command.time, "monotonic", lambda: now[0])
    clock = command._Clock(4)
    # One task was there already: it says nothing of the pace.
    clock.done(1)
    now[0] += 60
    clock.show("a", 0.5)
    now[0] += 60
    clock.show("a", 1.0)
    shown = capsys.readouterr().err
    assert shown == "\r\x1b[Ka: 50%, 5 min left\r\x1b[Ka: 100%, 4 min left", repr(shown)
