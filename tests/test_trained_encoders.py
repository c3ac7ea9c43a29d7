"""The measures of trained encoders: a minute's version, and what its table and files say."""

import csv

import checkout
import numpy as np
import pytest

from vaetheory.training import Settings

checkout.part("vaetheory")
encoders = checkout.module("benchmarks", "trained_encoders")


@pytest.fixture(scope="module")
def rows():
    """Two small models, each measured on two digits."""
    pytest.importorskip("sklearn")
    return [
        encoders.measured(encoders.Task(model, 2, 1, 2, quick=True))
        for model in ("one sigma", "half-network, h = 1.5")
    ]


def test_the_parts_add_up_to_the_gap(rows):
    for row in rows:
        parts = sum(row[name] for name in encoders.PARTS[1:])
        assert abs(row["gap"] - parts) <= 3 * row["stated error"] + 1e-9, f"{row} does not add up"
        assert row["stated error"] < 1e-3, f"{row['model']}: an error of {row['stated error']}"
        assert row["amortisation"] > -row["stated error"], f"{row['model']}: better than the best"


def test_ratios_and_remainders_are_those_of_trained_models(rows):
    one, half = rows
    for row in rows:
        assert all(np.isfinite(row[name]) and row[name] >= 0 for name in encoders.RATIOS), row
        assert 0 <= row["path quieter"] <= row["digits"], f"{row['model']}: another count"
    # A floating prior has the second moments of the codes, whatever was trained.
    assert abs(half["latents' remainder"]) < 1e-10, "a floating prior leaves a remainder"
    # So short a training does not find sigma, and BAGGINS widens it on purpose.
    assert one["scale remainder"] > 1, "sigma has converged in 20 epochs"
    assert half["scale remainder"] > 0, "BAGGINS' noise is no wider than the residuals"


def test_files_have_a_line_for_each_model(rows, tmp_path, monkeypatch):
    by_model = {row["model"]: row for row in rows}
    monkeypatch.setattr(encoders, "MODELS", {name: encoders.MODELS[name] for name in by_model})
    monkeypatch.setattr(encoders, "measured", lambda task: by_model[task.model])
    encoders.main(["--quick", "--out", str(tmp_path)])
    with (tmp_path / "trained-encoders.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [line["model"] for line in found] == list(by_model), "other models"
    for line, row in zip(found, rows, strict=True):
        assert float(line["gap"]) == pytest.approx(row["gap"], rel=1e-5), "another gap"
    page = (tmp_path / "trained-encoders-table.md").read_text()
    assert page.count("| one sigma | 2 |") == 3, "not a line in each table"


def test_quick_numbers_do_not_replace_those_of_the_docs():
    with pytest.raises(SystemExit):
        encoders.main(["--quick"])


def test_the_models_are_those_of_the_study():
    assert Settings(latent_dim=2).hidden == (128,), (
        "another network than in docs/half-network-tables.md"
    )
    for model, (objective, _) in encoders.MODELS.items():
        assert objective in encoders.OBJECTIVES, f"{model}: no objective of claim 11"


def test_the_pages_have_the_numbers_of_the_lines():
    docs = checkout.part("docs")
    with (docs / "trained-encoders.csv").open(newline="") as stream:
        rows = [{k: _number(v) for k, v in row.items()} for row in csv.DictReader(stream)]
    page = encoders.table(rows)
    stored = (docs / "trained-encoders-table.md").read_text(encoding="utf-8")
    assert page == stored, "another table: benchmarks/trained_encoders.py writes both files"
    section = (docs / "half-network-tables.md").read_text(encoding="utf-8")
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) < 8 or cells[1] not in ("2", "8"):
            continue
        model = cells[0].removesuffix(", h = 1.5")
        ends = {f"| {' | '.join([model, cells[1], *cells[3:last]])} |" for last in (-1, len(cells))}
        assert any(end in section for end in ends), f"another line than {ends}"


def _number(text):
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        return text
