"""The measures of VAEs trained on images: small ones, what the audit says, and runs that resume."""

import json

import checkout
import numpy as np
import pytest
from frameworks import framework

framework("torch")
framework("sklearn")

from vaetheory.training import IMAGE_OBJECTIVES, IMAGES, density_of, split_data  # noqa: E402
from vaetheory.training.image_settings import ImageSettings  # noqa: E402

checkout.part("vaetheory")
study = checkout.module("benchmarks", "trained_images")

SMALL = ("--data", "digits", "--epochs", "1", "--hidden", "4", "--latents", "2", "--images", "1",
         "1")  # fmt: skip


@pytest.fixture(scope="module")
def trained():
    """Untrained densities of all objectives, and images."""
    images = IMAGES["digits"]().with_levels(8).first(60)
    data = split_data(images, 0)
    settings = ImageSettings(shape=images.shape, latent_dim=4, hidden=(4,))
    found = {}
    for name, objective in IMAGE_OBJECTIVES.items():
        vae = settings.model(objective, data.train, 3.0)
        params = vae.initial(0) + 0.1 * np.cos(np.arange(vae.count))
        found[name] = density_of(vae, params, data.train, seed=0)
    return found, data.test


def test_the_module_is_the_density(trained):
    densities, X = trained
    x = study.torch.tensor(X.astype(float))
    for name, density in densities.items():
        vae, (loc, scale) = study.Vae(density), density.encode(X)
        found, second = vae.encode(x)
        assert np.allclose(found.detach().numpy(), loc, atol=1e-12), f"{name}: other means"
        assert np.allclose(np.exp(second.detach().numpy() / 2), scale), f"{name}: other deviations"
        z = np.random.default_rng(1).standard_normal(loc.shape)
        out = vae.outputs(study.torch.tensor(z))
        if name == "bernoulli":
            continue
        expected = density.log_likelihood(X.astype(float), z[:, None])[:, 0]
        law = vae.likelihood(out).log_prob(x).sum(-1).detach().numpy()
        assert np.allclose(law, expected, rtol=1e-9), f"{name}: another density"


@pytest.mark.parametrize(
    ("name", "status"),
    [("bounded", "is"), ("bernoulli", "is"), ("half", "is not"), ("half-varying", "is not")],
)
def test_the_audit_knows_an_elbo_and_what_comes_from_the_batch(trained, name, status):
    densities, X = trained
    told = study.audited(densities[name], X, seed=0)
    assert told["status"] == status, told["verdict"]
    codes = [f["code"] for f in told["findings"]]
    if status == "is":
        assert told["beta"] == pytest.approx(1, abs=1e-9), f"{told}"
        assert told["residual"] < 1e-9, f"{told}"
    else:
        assert "outside.coupled" in codes, f"{codes}"
        assert told["beta"] is None, "a weight of what is no ELBO"


def test_another_weight_is_found(trained, monkeypatch):
    densities, X = trained
    original = study.loss

    def doubled(vae, units, params, x, noise):
        without = original(vae, units, params, x, noise)
        loc, second = study.Vae.encode(doubled.vae, x)
        return without + 0.5 * (loc**2 + second.exp() - 1 - second).sum() / len(x)

    class Kept(study.Vae):
        def __init__(self, density):
            super().__init__(density)
            doubled.vae = self

    monkeypatch.setattr(study, "loss", doubled)
    monkeypatch.setattr(study, "Vae", Kept)
    told = study.audited(densities["one-sigma"], X, seed=0)
    assert told["beta"] == pytest.approx(2, abs=1e-9), told["verdict"]


def test_a_run_resumes_and_prints_a_table(tmp_path, capsys, monkeypatch):
    asked = ["--out", str(tmp_path), *SMALL, "--objectives"]
    study.main([*asked, "one-sigma"])
    first = json.loads((tmp_path / study.FILE).read_text())
    assert "torch" in first["environment"], "no environment"
    (row,) = first["results"]
    assert row["steps"] == 1258 // 128, f"{row['steps']} steps"
    parts = sum(row[name] for name in study.PARTS[1:])
    assert row["gap"] == pytest.approx(parts, abs=3 * row["stated error"] + 1e-9), f"{row}"
    assert "| one-sigma | 2 | 1 |" in capsys.readouterr().out, "no line"
    # A killed run: its finished models are kept.
    made = dict(row, task=dict(row["task"], objective="half"))
    monkeypatch.setattr(
        study,
        "measured",
        lambda task, folder: made if task.objective == "half" else pytest.fail("again"),
    )
    study.main([*asked, "one-sigma,half"])
    again = json.loads((tmp_path / study.FILE).read_text())
    assert again["results"] == [row, made], "results were lost or made again"
    shown = capsys.readouterr().out
    assert shown.index("| one-sigma") < shown.index("| half"), shown
    assert not list((tmp_path / "checkpoints").iterdir()), "checkpoints are left"
    # An edit, and another environment.
    (tmp_path / study.FILE).write_text(json.dumps(dict(again, results=[])))
    with pytest.raises(ValueError, match="digest"):
        study.main([*asked, "half"])
    changed = study.sealed({"environment": {"python": "2"}, "results": []})
    (tmp_path / study.FILE).write_text(json.dumps(changed))
    with pytest.raises(ValueError, match="expected results of this environment"):
        study.main([*asked, "half"])


def test_unknown_objectives_are_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        study.main(["--objectives", "half,quarter", "--out", str(tmp_path)])
    assert "quarter" in capsys.readouterr().err, "not named"


def test_the_study_trains_with_the_steps_of_the_others():
    task = study.Task("half", 2)
    assert task.epochs * (3500 // 128) == 3024, "other steps than in benchmarks/half_network.py"


def test_the_page_has_the_lines_of_the_file():
    docs = checkout.part("docs")
    rows = json.loads((docs / study.FILE).read_text(encoding="utf-8"))["results"]
    lines = study.table(sorted(rows, key=lambda row: row["task"]["latents"])).split("\n\n")[0]
    page = (docs / "half-network.md").read_text(encoding="utf-8")
    assert f"<!-- trained images -->\n\n{lines}\n" in page, f"another table:\n{lines}"
