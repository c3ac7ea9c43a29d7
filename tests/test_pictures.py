"""Pictures of trained VAEs: what is on them, the same bytes every time, and runs that resume."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from PIL import Image
from scipy import stats

from vaetheory.cli import main
from vaetheory.training import (
    IMAGE_OBJECTIVES,
    OBJECTIVES,
    Experiment,
    ImageSettings,
    Settings,
    Source,
    density_of,
    images_from,
    pictures,
    run_experiment,
    split_data,
)
from vaetheory.training import (
    experiment as experiment_module,
)
from vaetheory.training.pictures import draw_picture, likelihood_means, write_picture

needs_torch = pytest.mark.skipif(
    find_spec("torch") is None, reason="torch is not here: pip install '.[torch]'"
)
RNG = np.random.default_rng(8)
GREY = images_from("grey", RNG.integers(0, 256, (40, 6, 8), dtype=np.uint8))
NUMBERS = images_from("numbers", RNG.normal(20.0, 5.0, (40, 5, 4, 3)))
CLEAR = images_from("clear", RNG.integers(0, 256, (40, 4, 5, 4), dtype=np.uint8))


def density_on(images, name="half", latent_dim=2):
    """An untrained density of networks of NumPy, and held-out images."""
    data = split_data(images, 0)
    vae = Settings(latent_dim=latent_dim, hidden=(4,)).model(OBJECTIVES[name], data.train, 1.5)
    return density_of(vae, 2 * vae.initial(0), data.train, seed=0), data.test


def panels(figure):
    """The pixels of the panels by the beginning of their titles."""
    return {
        a.get_title("left").split()[0]: a.images[0].get_array() for a in figure.axes if a.images
    }


def cell(pixels, line, column, sides, gap):
    top, left = (n * (side + gap) for n, side in zip((line, column), sides, strict=True))
    return np.asarray(pixels[top : top + sides[0], left : left + sides[1]])


def assert_close(found, expected, what):
    off = np.abs(np.asarray(found) - expected).max()
    assert off < 1e-12, f"{what}: off by {off}"


def test_images_and_reconstructions_are_in_their_places():
    density, X = density_on(GREY)
    seen = panels(draw_picture(density, GREY, X, seed=3))
    back = density.vae.decode(density.params, density.encode(X)[0])[0]
    assert seen["Held-out"].shape == (2 * 7 - 1, 10 * 9 - 1), f"{seen['Held-out'].shape}"
    for column in range(len(X)):
        assert_close(cell(seen["Held-out"], 0, column, (6, 8), 1), X[column].reshape(6, 8), "image")
        shown = np.clip(back[column], 0, 1).reshape(6, 8)
        assert_close(cell(seen["Held-out"], 1, column, (6, 8), 1), shown, "reconstruction")
    assert (cell(seen["Held-out"], 0, len(X), (6, 8), 1) == 1).all(), "no image, but not white"


def test_the_plane_has_quantiles_of_the_floating_prior():
    density, X = density_on(GREY)
    assert (density.prior_scale > 1).all(), "the prior does not float"
    figure = draw_picture(density, GREY, X, seed=3)
    lattice = panels(figure)["Decoded"]
    assert lattice.shape == (20 * 6, 20 * 8), f"{lattice.shape}"
    for line, column in ((0, 0), (19, 0), (4, 11)):
        # Line 0 is on top, where the second latent is greatest.
        share = (np.array([column, 19 - line]) + 0.5) / 20
        z = stats.norm.ppf(share, scale=density.prior_scale)
        expected = np.clip(density.vae.decode(density.params, z[None])[0], 0, 1).reshape(6, 8)
        assert_close(cell(lattice, line, column, (6, 8), 0), expected, f"place {line}, {column}")
    points = figure.axes[-1].lines[0].get_xydata()
    assert_close(points, density.encode(X)[0] / density.prior_scale, "the encoder's means")
    assert "floating prior" in figure.axes[-1].get_xlabel(), "another prior"


def test_samples_are_decoded_draws_from_the_prior(monkeypatch):
    density, X = density_on(GREY, latent_dim=3)
    assert len(draw_picture(density, GREY, X, seed=0).axes) == 2, "a plane of three latents"
    decoded = []
    monkeypatch.setattr(
        pictures, "likelihood_means", lambda d, z: decoded.append(z) or likelihood_means(d, z)
    )
    draw_picture(replace(density, prior_scale=np.array([1e-9, 1.0, 9.0])), GREY, X, seed=0)
    draws = decoded[-1]
    assert draws.shape == (40, 3), f"{draws.shape}"
    spread = draws.std(axis=0) / [1e-9, 1.0, 9.0]
    assert ((spread > 0.6) & (spread < 1.4)).all(), f"spread {spread} of a standard deviation"


@pytest.mark.parametrize(("images", "channels"), [(NUMBERS, 3), (CLEAR, 4)])
def test_colours_are_clipped_to_the_range_of_the_data(images, channels):
    density, X = density_on(images, "ordinary")
    seen = panels(draw_picture(density, images, X, seed=0))
    for name, pixels in seen.items():
        assert pixels.shape[2] == channels, f"{name}: {pixels.shape}"
        assert 0 <= pixels.min() <= pixels.max() <= 1, f"{name}: {pixels.min()}..{pixels.max()}"
    low, high = (0, 1) if images.step else (float(images.X.min()), float(images.X.max()))
    first = np.moveaxis((X[0].astype(float).reshape(images.shape) - low) / (high - low), 0, -1)
    sides = images.shape[1:]
    assert_close(cell(seen["Held-out"], 0, 0, sides, 1), first, "an image")


def test_images_larger_than_a_panel_are_drawn_smaller():
    wide = images_from("wide", RNG.random((20, 2, 1500)))
    density, X = density_on(wide)
    figure = draw_picture(density, wide, X, seed=0)
    assert max(figure.get_size_inches() * figure.dpi) < 2000, f"{figure.get_size_inches()}"
    assert panels(figure)["Held-out"].shape[1] == 500, "not every third pixel"


def test_the_same_seed_gives_the_same_bytes(tmp_path):
    density, X = density_on(GREY)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_picture(tmp_path / f"{name}.png", density, GREY, X, seed=seed)
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b, "other bytes"
    assert a != c, "the seed is not used"
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] > 600, "no panels beside each other"
    assert len(list(tmp_path.iterdir())) == 3, "temporary files are left"


@needs_torch
@pytest.mark.parametrize("name", ["bernoulli", "continuous-bernoulli", "half-varying"])
def test_logits_are_shown_as_mean_grey_values(name):
    data = split_data(GREY, 0)
    settings = ImageSettings(shape=GREY.shape, hidden=(4,))
    vae = settings.model(IMAGE_OBJECTIVES[name], data.train, 0.0)
    params = vae.initial(0)
    density = density_of(vae, params, data.train, seed=0)
    z = RNG.standard_normal((5, 2))
    found, out = likelihood_means(density, z), vae.decode(params, z)[0]
    expected = {
        "bernoulli": 1 / (1 + np.exp(-out)),
        # The mean of a density proportional to exp(t x) on [0, 1].
        "continuous-bernoulli": 1 / -np.expm1(-out) - 1 / out,
        "half-varying": out,
    }[name]
    assert np.abs(found - expected).max() < 1e-9, f"{name}: other means"


# Runs ---------------------------------------------------------------------------------------------


def small(**changes):
    plan = Settings(hidden=(4,), batch=16, epochs=4, every=2, rate=0.01)
    options = {"seeds": 2, "objectives": ("one-sigma", "half"), "informations": (1.0, 2.0),
               "scales": (0.5, 1.0), "draws": 10, "exact": False}  # fmt: skip
    return Experiment(GREY, plan, **(options | changes))


def test_pictures_are_those_of_the_first_seed_at_scale_one(tmp_path):
    plain = list(run_experiment(small()))
    found = list(run_experiment(small(), folder=tmp_path, pictures=True))
    assert found == plain, "pictures change the numbers"
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["half-seed0-scale1.png", "one-sigma-seed0-scale1.png"], f"{names}"


def test_a_picture_that_is_missing_is_drawn_and_nothing_is_measured(tmp_path, monkeypatch):
    experiment = small(seeds=1, scales=(1.0,))
    first = list(run_experiment(experiment, folder=tmp_path))
    assert not (tmp_path / "pictures").exists(), "pictures that nobody asked for"
    stored = {p.name: p.read_bytes() for p in (tmp_path / "tasks").iterdir()}
    monkeypatch.setattr(experiment_module, "run_task", lambda *a: pytest.fail("done again"))
    trained = []
    original = experiment_module.train

    def train(vae, *arguments, **options):
        trained.append((vae.objective.likelihood, vae.information))
        if len(trained) == 2:
            original(vae, *arguments, **options)
            raise KeyboardInterrupt
        return original(vae, *arguments, **options)

    monkeypatch.setattr(experiment_module, "train", train)
    with pytest.raises(KeyboardInterrupt):
        list(run_experiment(experiment, folder=tmp_path, pictures=True))
    assert len(list((tmp_path / "checkpoints").iterdir())) == 1, "no checkpoint to go on from"
    assert list(run_experiment(experiment, folder=tmp_path, pictures=True)) == first, "numbers"
    chosen = [(r["objective"], r["information"] or 0.0) for r in first]
    assert trained == [("one", 0.0), *[("baggins", chosen[1][1])] * 2], f"{trained} of {chosen}"
    assert {p.name: p.read_bytes() for p in (tmp_path / "tasks").iterdir()} == stored, "results"
    assert not list((tmp_path / "checkpoints").iterdir()), "checkpoints are left"
    late = {p.name: p.read_bytes() for p in (tmp_path / "pictures").iterdir()}
    monkeypatch.undo()
    list(run_experiment(experiment, folder=tmp_path / "other", pictures=True))
    early = {p.name: p.read_bytes() for p in (tmp_path / "other" / "pictures").iterdir()}
    assert late == early, "a picture drawn later is another one"
    # One that is there is left alone.
    path = tmp_path / "pictures" / "half-seed0-scale1.png"
    path.write_bytes(b"kept")
    list(run_experiment(experiment, folder=tmp_path, pictures=True))
    assert path.read_bytes() == b"kept", "drawn again"


def test_a_picture_of_other_numbers_is_refused(tmp_path, monkeypatch):
    experiment = small(seeds=1, scales=(1.0,), objectives=("half",), informations=(1.0,))
    list(run_experiment(experiment, folder=tmp_path))
    original = experiment_module.train

    def train(*arguments, **options):
        run = original(*arguments, **options)
        run.validation = [value + 1e-9 for value in run.validation]
        return run

    monkeypatch.setattr(experiment_module, "train", train)
    with pytest.raises(ValueError, match="half-seed0-scale1: expected the validation ELBO"):
        list(run_experiment(experiment, folder=tmp_path, pictures=True))
    assert not list((tmp_path / "pictures").iterdir()), "a picture of something else"


def test_pictures_are_of_images_at_their_own_scale_in_a_folder(tmp_path):
    table = Source("table", RNG.random((40, 4)))
    for wrong, message in (
        (replace(small(), source=table), "expected images and a scale of 1, got .* not as images"),
        (small(scales=(0.5, 2.0)), "expected images and a scale of 1, got scales 0.5, 2 of grey"),
    ):
        with pytest.raises(ValueError, match=f"pictures: {message}"):
            next(run_experiment(wrong, folder=tmp_path, pictures=True))
    with pytest.raises(ValueError, match="folder: expected"):
        next(run_experiment(small(), pictures=True))
    assert not list(tmp_path.iterdir()), "something was written"


def test_the_command_refuses_pictures_of_tables(capsys, tmp_path):
    np.save(tmp_path / "table.npy", RNG.random((40, 4)))
    asked = ["experiment", "half-network", "--data", str(tmp_path / "table.npy"), "--pictures",
             "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(asked) == 2, "not refused"
    assert "pictures: expected images" in capsys.readouterr().err, "another sentence"
    assert not (tmp_path / "out").exists(), "a folder"


@needs_torch
def test_the_command_writes_pictures(capsys, tmp_path):
    np.save(tmp_path / "grey.npy", GREY.X.reshape(-1, 6, 8))
    asked = ["experiment", "half-network", "--data", str(tmp_path / "grey.npy"), "--network", "mlp",
             "--hidden", "4", "--epochs", "1", "--seeds", "2", "--informations", "1", "--draws",
             "5", "--no-exact", "--objectives", "half,bernoulli", "--pictures",
             "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(asked) == 0, capsys.readouterr().err
    names = {path.stem for path in (tmp_path / "out" / "pictures").iterdir()}
    assert names == {"half-seed0-scale1", "bernoulli-seed0-scale1"}, f"{names}"
    stored = json.loads((tmp_path / "out" / "experiment.json").read_text())["experiment"]
    assert "pictures" not in stored, "another experiment because of pictures"
