"""The audit of losses of JAX: right ones are accepted, wrong ones are named, nothing is changed."""

import json
import math
import os
import random

import numpy as np
import pytest
from frameworks import framework

jax = framework("jax")
framework("flax")
eqx = framework("equinox")

import audit_zoo_jax as zoo  # noqa: E402
import jax.numpy as jnp  # noqa: E402

from vaetheory import LatentModel, likelihoods, log_evidence  # noqa: E402
from vaetheory.audit import audit  # noqa: E402
from vaetheory.cli import main  # noqa: E402
from vaetheory.jax import JaxDecoder  # noqa: E402
from vaetheory.testing import check_vae  # noqa: E402


def some(names, others):
    """The names of a zoo; those that are like others are skipped, unless all are asked for."""
    left = pytest.mark.skipif(
        os.environ.get("VAETHEORY_ZOO") != "all",
        reason="it is like another one of the zoo; VAETHEORY_ZOO=all audits it too",
    )
    return [pytest.param(name, marks=left if name in others else ()) for name in names]


@pytest.fixture
def quickly(monkeypatch):
    """Without the exact evidence, which has tests of its own, and with fewer evaluations."""
    monkeypatch.setattr("vaetheory.audit._conduct._SHOTS", 26)
    monkeypatch.setattr("vaetheory.audit._conduct._FEWER", 22)
    monkeypatch.setattr("vaetheory.audit._jax.evidence_of", lambda bench: None)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", some(zoo.RIGHT, zoo.LIKE_OTHERS))
def test_a_right_loss_is_accepted(name):
    result = audit(**zoo.arguments(zoo.RIGHT[name]))
    assert result.status == "is", f"{name} was refused: {result}"
    bad = [f.code for f in result.findings if f.severity != "note"]
    assert not bad, f"{name} was accused: {result}"
    assert not [c for c in result.codes if c.startswith("not-run")], f"{result}"
    assert result.facts["latents"] == result.facts["latents"], "the latents were not read"
    assert isinstance(result.facts["latents"], int), "the latents were not read"
    assert result.residual < 1e-9, f"the residual is {result.residual}"
    inside = [code for code in result.codes if code.endswith("-inside")]
    expected = [zoo.ALTERED[name]] if name in zoo.ALTERED else []
    assert inside == expected, f"{name}: the data were read as {inside}"


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", some(zoo.WRONG, zoo.LIKE_OTHERS))
def test_a_wrong_loss_is_named(name):
    code, made = zoo.WRONG[name]
    result = audit(**zoo.arguments(made))
    assert code in result.codes, f"{name}: expected {code}, got {result.codes}: {result}"
    (found,) = [f for f in result.findings if f.code == code]
    assert found.severity in ("wrong", "bound"), f"{found!r} is only a note"
    if found.severity == "wrong":
        assert result.exit_status == 1, f"{name}: the exit status is {result.exit_status}"


@pytest.mark.usefixtures("quickly")
def test_a_loss_that_is_not_explained_is_not_accused_of_its_noise():
    result = audit(**zoo.arguments(zoo.views(zoo.both, first=0.3)))
    assert result.status == "is not", f"two views of unequal weights are no ELBO: {result}"
    assert not [c for c in result.codes if c.startswith("noise.")], f"the noise is right: {result}"


@pytest.mark.usefixtures("quickly")
def test_random_coefficients_are_recovered():
    rng = random.Random(4)
    for size in (1.0, 1e-4):
        c = [0.5 * (1 + size * rng.uniform(0.3, 1) * rng.choice((-1, 1))) for _ in range(3)]

        def kl(self, m, v, z, c=c):
            return (c[0] * m**2 + c[1] * jnp.exp(v) - c[2] * v - 0.5).sum(-1)

        result = audit(**zoo.arguments(type("Off", (zoo.Vae,), {"kl": kl})))
        assert result.status == "is not", f"coefficients {c} were accepted"
        found = [result.coefficients[n] for n in ("m^2", "exp(v)", "v")]
        off = np.abs(np.array(found) - [c[0], c[1], -c[2]]).max()
        assert off < 1e-9, f"{c} were read as {found}"


def test_the_gap_is_that_of_the_model():
    given = zoo.arguments(zoo.Vae)
    result = audit(**given)
    gap = result.facts["evidence"]

    def logits(params, z):
        return zoo.mlp(params["decoder"], z)

    model = LatentModel(JaxDecoder(logits, given["module"]), likelihoods.Bernoulli(), 2)
    exact = log_evidence(model, given["x"][:4].astype(float))
    assert abs(gap["negative_log_evidence"] + exact.value.mean()) < 1e-6, f"{gap}"
    parts = sum(part["nats"] for part in gap["gap"])
    assert abs(parts - (gap["loss"] - gap["negative_log_evidence"])) < 1e-9, f"{gap}"
    gains = {g["change"]: g for g in gap["gains"]}
    named = {part["name"]: part["nats"] for part in gap["gap"]}
    assert gains["a better encoder"]["nats"] == named["amortisation"], f"{gap}"
    # Fewer draws gain less, and all of them less than the whole gap.
    draws = [gains[f"{k} draws a datum"]["nats"] for k in (8, 64)]
    assert 0 < draws[0] < draws[1] < parts, f"{draws} of {parts}"
    landing = gains["sticking the landing"]
    assert landing["nats"] == 0 < landing["variance"], f"{landing}"
    for change, gain in gains.items():
        assert change in repr(result), f"'{change}' ({gain}) is not reported: {result}"
    # The mean of the sampled loss, by another road than quadrature.
    off = abs(gap["mean_loss"] - gap["loss"])
    assert off < 6 * gap["mean_loss_standard_error"], f"{gap}"


class Varying(zoo.Learned):
    sizes = (3, 1)


def test_the_evidence_of_learned_scales():
    given = zoo.arguments(Varying)
    gap = audit(**given).facts["evidence"]
    z = np.linspace(-12, 12, 24_001)[:, None]
    params = jax.tree.map(lambda a: np.asarray(a, dtype=np.float64), given["module"])

    def layers(z):
        for i, p in enumerate(params["decoder"]):
            z = z @ p["w"] + p["b"]
            z = np.tanh(z) if i == 0 else z
        return np.split(z, 2, -1)

    m, w = layers(z)
    x = given["x"][:4, None].astype(float)
    joint = -0.5 * ((x - m) ** 2 * np.exp(-w) + w + zoo.LOG_2PI).sum(-1) - z[:, 0] ** 2 / 2
    step = math.log(z[1, 0] - z[0, 0]) - zoo.LOG_2PI / 2
    truth = -float((np.logaddexp.reduce(joint, axis=1) + step).mean())
    off = abs(gap["negative_log_evidence"] - truth)
    assert off < gap["negative_log_evidence_error"] + 1e-10, f"off by {off:.2g}: {gap}"


# Nothing is changed -------------------------------------------------------------------------------


def states():
    names = ("jax_enable_x64", "jax_disable_jit", "jax_debug_nans", "jax_default_device")
    return (
        str(np.random.get_state()),  # noqa: NPY002
        str(random.getstate()),
        tuple(getattr(jax.config, name) for name in names),
    )


def told(tree):
    """Every array of a tree: itself, its type and its numbers."""
    made = []
    for leaf in jax.tree.leaves(tree):
        keys = hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jax.dtypes.extended)
        data = np.asarray(jax.random.key_data(leaf) if keys else leaf)
        made.append((id(leaf), str(getattr(leaf, "dtype", "")), data.tobytes()))
    return made


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", ["bernoulli", "flax.nnx", "flax.linen", "equinox"])
def test_nothing_is_left_changed(name):
    given = zoo.arguments(zoo.RIGHT[name])
    given["x"] = data = given["x"].copy()
    copy, before, outside = data.copy(), told(given["module"]), states()
    modes = str(given["module"]) if name == "flax.nnx" else ""
    audit(**given)
    assert told(given["module"]) == before, "the parameters came back changed"
    assert states() == outside, "a random state or a setting was changed"
    assert np.array_equal(data, copy), "the data were changed"
    assert data.dtype == np.float32, "the data have another type"
    assert not modes or str(given["module"]) == modes, "the module came back in another mode"


class Stop(Exception):
    """Raised by the user's code."""


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [1, 4])
def test_nothing_is_left_changed_after_an_error(error, after):
    given = zoo.arguments(zoo.Vae)
    kept = {"calls": 0, "traces": []}
    inner = given["encode"]

    def encode(params, x):
        kept["calls"] += 1
        kept["traces"].append(x)
        if kept["calls"] == after:
            raise error("on the way")
        return inner(params, x)

    before, outside = told(given["module"]), states()
    with pytest.raises(error):
        audit(**{**given, "encode": encode})
    assert told(given["module"]) == before, "the parameters came back changed"
    assert states() == outside, "a random state or a setting was changed"
    assert kept == {"calls": 0, "traces": []}, f"what a function keeps was left changed: {kept}"


@pytest.mark.usefixtures("quickly")
def test_a_counter_in_python_is_named_and_put_back():
    given, kept = zoo.arguments(zoo.Vae), {"step": 0}

    def loss(params, x, key):
        kept["step"] += 1
        m, v = zoo.Vae.encode(None, params, x)
        z = m + jnp.exp(v / 2) * jax.random.normal(key, m.shape)
        f = jax.nn.sigmoid(zoo.mlp(params["decoder"], z))
        kl = 0.5 * (m**2 + jnp.exp(v) - v - 1).sum(-1)
        return (zoo.Vae.nll(None, f, x) + min(1.0, kept["step"] / 1000) * kl).mean()

    result = audit(**{**given, "loss": loss})
    assert "state.schedule" in result.codes, f"{result}"
    assert kept == {"step": 0}, f"a counter was left changed: {kept}"


# Refusals -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"likelihood": "normal"}, "likelihood: expected one of"),
        ({"likelihood": lambda f: 3}, "likelihood: expected a function from decode"),
        ({"x": [[1.0]]}, "x: expected a batch of data"),
        ({"x": np.full((3, 6), np.nan)}, "x: expected finite data"),
        ({"prior": lambda params: 3}, "prior: expected"),
        ({"prior": (np.zeros(5), 1.0)}, "prior: expected one number or 2 latents"),
        ({"prior": (0.0, -1.0)}, "prior: expected positive deviations"),
        ({"loss": lambda params: 0.0}, r"loss: expected a function of \(params, x\)"),
        ({"loss": lambda a, b, c, d: 0.0}, r"loss: expected a function of \(params, x\)"),
        ({"loss": lambda params, x: "no"}, "loss: expected a number"),
        ({"encode": lambda params, x: x}, "encode: expected"),
        ({"decode": lambda params, z: "no"}, "decode: expected an array"),
        ({"module": {"w": np.full(2, np.nan)}}, "module: expected finite parameters"),
        ({"module": {"w": np.arange(2)}}, "module: expected a torch.nn.Module"),
    ],
)
def test_arguments_that_are_not_expected_are_refused(change, message):
    given = zoo.arguments(zoo.Vae)
    with pytest.raises(ValueError, match=message):
        audit(**{**given, **change})


# For people ---------------------------------------------------------------------------------------

FILE = """
import jax
import jax.numpy as jnp


def encode(params, x):
    return jnp.split(x @ params["e"], 2, -1)


def decode(params, z):
    return jax.nn.sigmoid(z @ params["d"])


def loss(params, x, key, weight=1.0):
    m, v = encode(params, x)
    f = decode(params, m + jnp.exp(v / 2) * jax.random.normal(key, m.shape))
    nll = -(x * jnp.log(f) + (1 - x) * jnp.log1p(-f)).sum(-1)
    return (nll + weight * 0.5 * (m**2 + jnp.exp(v) - v - 1).sum(-1)).mean()


def right(weight=1.0):
    a, b, c = jax.random.split(jax.random.key(0), 3)
    return dict(
        loss=lambda params, x, key: loss(params, x, key, weight), encode=encode, decode=decode,
        x=jax.random.bernoulli(c, 0.5, (8, 5)).astype(float), likelihood="bernoulli",
        module={"e": jax.random.normal(a, (5, 8)) / 2, "d": jax.random.normal(b, (4, 5)) / 2},
    )


def wrong():
    return right(0.1)
"""


@pytest.mark.usefixtures("quickly")
def test_the_command(tmp_path, capsys):
    file, target = tmp_path / "jax_models_to_audit.py", tmp_path / "audit.json"
    file.write_text(FILE, encoding="utf-8")
    assert main(["audit", f"{file}:right"]) == 0, "another status"
    assert main(["audit", f"{file}:wrong", "--json", str(target)]) == 1, "another status"
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80, "a line is longer than 80 characters"
    assert json.loads(target.read_text(encoding="utf-8"))["beta"] == pytest.approx(0.1), "beta"


@pytest.mark.usefixtures("quickly")
def test_a_loss_as_a_test():
    assert check_vae(**zoo.arguments(zoo.Vae)).beta == pytest.approx(1), "another beta"
    with pytest.raises(AssertionError, match="no divergence term"):
        check_vae(**zoo.arguments(zoo.WRONG["no divergence"][1]))


@pytest.mark.usefixtures("quickly")
def test_the_words_are_those_of_jax():
    text = str(audit(**zoo.arguments(zoo.WRONG["uniform samples"][1])))
    assert "torch" not in text.lower(), f"advice for another framework: {text}"
    assert "jax.random" in text, f"no advice: {text}"
