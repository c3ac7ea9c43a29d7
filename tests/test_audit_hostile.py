"""The audit of modules that change themselves: what was lent comes back bit for bit."""

import collections
import random

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

import audit_zoo as zoo  # noqa: E402
from torch import nn  # noqa: E402
from torch.distributions import Normal  # noqa: E402

from vaetheory.audit import audit  # noqa: E402


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """Without the exact evidence, which copies nothing and changes nothing."""
    monkeypatch.setattr("vaetheory.audit._torch.evidence_of", lambda bench: None)
    monkeypatch.setattr("vaetheory.audit._conduct._SHOTS", 26)
    monkeypatch.setattr("vaetheory.audit._conduct._FEWER", 22)


def snapshot(module):
    """Everything of a module that could have been changed, with the identity of its objects."""
    told = []
    for name, part in module.named_modules():
        told.append((name, type(part).__name__, part.training, id(part)))
        for key, value in sorted(vars(part).items()):
            if isinstance(value, (bool, int, float, str)):
                told.append((name, key, value))
            elif isinstance(value, (list, collections.deque)):
                told.append((name, key, id(value), [v for v in value if isinstance(v, float)]))
            elif isinstance(value, dict):
                told.append(
                    (name, key, id(value), list(map(str, value)), [id(v) for v in value.values()])
                )
            elif isinstance(value, torch.Generator):
                told.append((name, key, value.get_state().tolist()))
            elif isinstance(value, np.random.Generator):
                told.append((name, key, str(value.bit_generator.state)))
    for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
        told.append(
            (
                name,
                id(tensor),
                tensor.dtype,
                tuple(tensor.shape),
                tensor.stride(),
                tensor.storage_offset(),
                tensor.data_ptr(),
                tensor.untyped_storage().data_ptr(),
                tensor.requires_grad,
                tensor.detach().clone().contiguous().view(torch.uint8).tolist()
                if tensor.dim()
                else tensor.item(),
                None if tensor.grad is None else (id(tensor.grad), tensor.grad.tolist()),
            )
        )
    return told


def states():
    return (
        torch.get_rng_state().tolist(),
        str(np.random.get_state()),  # noqa: NPY002
        str(random.getstate()),
        torch.get_default_dtype(),
        torch.is_grad_enabled(),
    )


def audited(vae, x=None, **more):
    """The audit of a module, with everything compared before and after."""
    given = {
        "x": zoo.data_of(vae) if x is None else x,
        "module": vae,
        "likelihood": vae.likelihood,
        "posterior": vae.posterior,
        **more,
    }
    data = given["x"].clone()
    before, global_before = snapshot(vae), states()
    try:
        return audit(vae.loss, vae.encode, vae.decode, **given)
    finally:
        after = snapshot(vae)
        for a, b in zip(before, after, strict=False):
            assert a == b, f"the module came back changed: {str(a)[:200]} is now {str(b)[:200]}"
        assert len(before) == len(after), "the module came back with other parts"
        assert states() == global_before, "a random state or a setting was changed"
        assert torch.equal(data, given["x"]), "the data were changed"
        assert "decode" not in vars(vae), "a shadow of decode was left behind"


class Counter(zoo.Vae):
    """Counts its calls, keeps its losses, and changes a buffer."""

    def more(self):
        self.steps, self.history, self.log = 0, [], {}
        self.register_buffer("mean", torch.zeros(()))

    def combine(self, nll, kl):
        self.steps += 1
        self.history.append(float(self.steps))
        self.log[f"step {self.steps}"] = self.steps
        self.last = kl.detach()
        value = (nll + kl).mean()
        self.mean = 0.9 * self.mean + 0.1 * value.detach()
        return value


class InPlace(zoo.Vae):
    """Writes into its arguments."""

    def loss(self, x):
        m, v = self.encode(x)
        z = torch.randn_like(m).mul_((v / 2).exp()).add_(m)
        value = (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()
        with torch.no_grad():
            x.zero_()
        return value


class Seeded(zoo.Vae):
    def noise(self, m):
        torch.manual_seed(3)
        return torch.randn_like(m)


class OwnGenerator(zoo.Vae):
    def more(self):
        self.generator = torch.Generator().manual_seed(7)

    def noise(self, m):
        return torch.randn(m.shape, generator=self.generator, dtype=m.dtype)


class OwnNumpy(zoo.Vae):
    def more(self):
        self.rng = np.random.default_rng(7)

    def noise(self, m):
        return torch.as_tensor(self.rng.normal(size=m.shape)).to(m)


class GlobalNumpy(zoo.Vae):
    def noise(self, m):
        return torch.as_tensor(np.random.normal(size=m.shape)).to(m)  # noqa: NPY002


class Views(zoo.Vae):
    """Weights that are views of one storage, transposed and tied."""

    def more(self):
        flat = torch.randn(200)
        self.encoder[0].weight = nn.Parameter(flat[:72].view(6, 12).t() / 4)
        self.decoder[2].weight = nn.Parameter(flat[100:172].view(12, 6).t() / 4)
        self.tied = self.decoder[2].weight
        self.bound = self.decoder[2].weight[:1].detach()


class Half(zoo.Vae):
    def more(self):
        self.half()


class Insisting(zoo.Vae):
    """Computes in float32 whatever it gets."""

    def encode(self, x):
        return super().encode(x.float())

    def loss(self, x):
        return super().loss(x.float())


class Statistics(zoo.Vae):
    """Running statistics, as of batch norm, in training."""

    def more(self):
        self.encoder.insert(1, nn.BatchNorm1d(12))
        self.encoder.insert(2, nn.Dropout(0.2))


class Hooked(zoo.Vae):
    def more(self):
        self.called = []
        self.encoder.register_forward_hook(lambda m, a, out: self.called.append(1.0))


class SelfChanging(zoo.Vae):
    """Changes its own weights when it is called."""

    def combine(self, nll, kl):
        with torch.no_grad():
            self.encoder[0].weight.mul_(1.01)
        return (nll + kl).mean()


class Spectral(zoo.Vae):
    def more(self):
        self.encoder[0] = nn.utils.parametrizations.spectral_norm(self.encoder[0])


class Backward(zoo.Vae):
    """Calls backward itself."""

    def combine(self, nll, kl):
        value = (nll + kl).mean()
        if value.requires_grad:
            value.backward(retain_graph=True)
        return value


ACCEPTED = [
    InPlace, OwnGenerator, OwnNumpy, GlobalNumpy, Views, Half, Statistics, Hooked, Spectral,
    Backward, Counter,
]  # fmt: skip


@pytest.mark.parametrize("made", ACCEPTED, ids=lambda made: made.__name__)
def test_a_hostile_but_right_module_is_accepted_and_comes_back(made):
    torch.manual_seed(0)
    vae = made()
    for parameter in list(vae.parameters())[:2]:
        parameter.grad = torch.ones_like(parameter)
    vae.encoder.eval()
    list(vae.parameters())[-1].requires_grad_(False)
    x = zoo.data_of(vae)
    result = audited(vae, x.half() if made is Half else x)
    assert result.status == "is", f"{result}"
    assert not [f for f in result.findings if f.severity == "wrong"], f"{result}"


def test_single_precision_is_told():
    result = audited(Insisting())
    assert result.status != "is not", f"{result}"
    assert any(c in result.codes for c in ("precision.single", "identity.guarded")), f"{result}"


def test_a_seed_within_the_loss_is_named():
    result = audited(Seeded())
    assert "noise.constant" in result.codes, f"{result}"


def test_weights_that_change_in_each_call_are_named():
    result = audited(SelfChanging())
    assert "state.schedule" in result.codes, f"{result}"


class Stop(Exception):
    """Raised by the user's code."""


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("after", [1, 30, 80])
def test_the_module_comes_back_after_an_error(error, after):
    torch.manual_seed(0)
    vae = Counter()
    inner, calls = vae.encode, []

    def encode(x):
        calls.append(1)
        if len(calls) == after:
            raise error("on the way")
        return inner(x)

    vae.encoder.eval()
    before, global_before = snapshot(vae), states()
    with pytest.raises(error):
        audit(vae.loss, encode, vae.decode, zoo.data_of(vae), module=vae, likelihood="bernoulli")
    assert snapshot(vae) == before, "the module came back changed"
    assert states() == global_before, "a random state or a setting was changed"


def test_a_closed_over_counter_and_a_second_module_come_back():
    torch.manual_seed(0)
    vae, count = zoo.Vae(), {"calls": 0}
    other = nn.Linear(zoo.D, zoo.D)
    weight = other.weight.detach().clone()

    def loss(x):
        count["calls"] += 1
        return vae.loss(x) + 0 * other(x).sum()

    result = audit(
        loss, vae.encode, vae.decode, zoo.data_of(vae), module=vae, likelihood="bernoulli"
    )
    assert result.status == "is", f"{result}"
    assert count == {"calls": 0}, "a counter of the user's was left changed"
    assert other.weight.dtype == torch.float32, (
        "a module that is only referred to came back in float64"
    )
    assert torch.equal(other.weight, weight), "its weights were changed"


def test_the_same_audit_twice_gives_the_same():
    torch.manual_seed(0)
    vae = zoo.RIGHT["one-sample KL"]()
    one, two = (audited(vae).to_json() for _ in range(2))
    assert one == two, "two audits of one module differ"


def test_a_graph_of_the_user_is_left_usable():
    torch.manual_seed(0)
    vae = zoo.Vae()
    x = zoo.data_of(vae)
    value = vae.loss(x)
    audited(vae, x)
    value.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in vae.parameters()), (
        "a graph that was made before the audit has other gradients"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"module": 3}, "module: expected a torch.nn.Module"),
        ({"likelihood": "normal"}, "likelihood: expected one of"),
        ({"posterior": "sigma"}, "posterior: expected one of"),
        ({"beta": -1.0}, "beta: expected a number"),
        ({"x": [1, 2]}, "x: expected a batch of data"),
        ({"decoder": None}, "decoder: expected the name"),
        ({"prior": lambda: 3}, "prior: expected a torch.distributions.Normal"),
        ({"prior": Normal(torch.zeros(5), 1.0)}, "prior: expected one number or 2 latents"),
    ],
)
def test_arguments_that_are_not_expected_are_refused(change, message):
    vae = zoo.Vae()
    given = {
        "loss": vae.loss,
        "encode": vae.encode,
        "decode": vae.decode,
        "x": zoo.data_of(vae),
        "module": vae,
        "likelihood": "bernoulli",
        **change,
    }
    with pytest.raises(ValueError, match=message):
        audit(**given)


class Integers(zoo.Vae):
    """It draws an integer, which is often the same twice, and a permutation of two."""

    def noise(self, m):
        torch.randint(2, (1,))
        torch.randperm(2)
        return torch.randn_like(m)


def test_integers_that_are_drawn_twice_are_no_seed():
    result = audited(Integers())
    assert result.status == "is", f"a right loss was refused: {result}"
    assert "noise.constant" not in result.codes, f"a right loss was accused: {result}"


class Saturated(zoo.Vae):
    """Probabilities of exactly 0 and 1 at moved parameters, and a tensor that is no leaf."""

    def more(self):
        self.made = 2 * self.decoder[0].weight

    def decode(self, z):
        return torch.sigmoid(self.decoder(z) * 3)


def test_an_audit_gives_no_warnings():
    # Warnings are errors in these tests.
    result = audited(Saturated())
    assert result.status == "is", f"a right loss was refused: {result}"


class WithoutDivergence(zoo.Vae):
    def kl(self, m, v, z):
        return torch.zeros(len(m))


def test_rounding_far_out_is_not_taken_for_a_clamp():
    result = audited(WithoutDivergence())
    assert "kl.missing" in result.codes, f"the missing divergence was not named: {result}"
    assert not [c for c in result.codes if c.startswith("encoder.")], (
        f"nothing is clamped in the encoder: {result}"
    )


def test_a_missing_prior_has_numbers_of_its_size():
    made = zoo.WRONG["log p(z) missing"][1]
    result = audited(made())
    assert all(abs(f.number) < 1e3 for f in result.findings), f"a number is rounding: {result}"
    assert "kl.sign" not in result.codes, f"a weight of 0 has no sign: {result}"
