"""The audit beyond what is usual: capacities, clamps, several inputs, notes, and its cost."""

import math

import pytest
from frameworks import framework

torch = framework("torch")

import audit_zoo as zoo  # noqa: E402

from vaetheory.audit import audit  # noqa: E402


@pytest.fixture(autouse=True)
def _quickly(monkeypatch):
    monkeypatch.setattr("vaetheory.audit._conduct._SHOTS", 30)
    monkeypatch.setattr("vaetheory.audit._conduct._FEWER", 22)
    monkeypatch.setattr("vaetheory.audit._torch.evidence_of", lambda bench: None)


class Plain(zoo.Vae):
    importance = sample = bits = None


def audited(**parts):
    given = parts.pop("given", {})
    return audit(**zoo.arguments(type("Case", (Plain,), parts)), **given)


def found(result, code):
    assert code in result.codes, f"expected {code}, got {result.codes}: {result}"
    return next(f for f in result.findings if f.code == code)


@pytest.mark.parametrize("capacity", [1.5, 4.0, 12.0, 60.0])
def test_a_capacity_is_seen_from_both_sides(capacity):
    def combine(self, nll, kl):
        return nll.mean() + 7 * (kl.mean() - capacity).abs()

    result = audited(combine=combine)
    number = found(result, "outside.capacity").number
    assert abs(number - capacity) < 1e-6 * capacity, f"{capacity} is read as {number}"
    assert result.status == "is not", result.verdict
    accused = [c for c in result.codes if c in ("kl.sign", "weight.kl", "constant")]
    assert not accused, f"a capacity was taken for {accused}"
    assert "constant.of-data" not in result.codes, f"{result}"


def test_a_wrong_sign_is_no_capacity():
    def combine(self, nll, kl):
        return (nll - kl).mean() + 30.0

    result = audited(combine=combine)
    assert found(result, "kl.sign").severity == "wrong", f"{result}"
    assert "outside.capacity" not in result.codes, f"{result}"


def test_the_level_of_a_clamp_is_exact():
    result = audited(kl=lambda self, m, v, z: zoo.Vae.kl(self, m, v, z).clamp(max=200))
    number = found(result, "kl.clamped").number
    assert abs(number - 200) < 1e-5, f"a clamp at 200 nats is read as {number}"


@pytest.mark.parametrize("floor", [1e-12, 1e-6, 1e-4])
def test_the_floor_of_probabilities_is_exact(floor):
    def nll(self, f, x):
        f = f.clamp(floor, 1 - floor)
        return -(x * f.log() + (1 - x) * (1 - f).log()).sum(-1)

    result = audited(nll=nll)
    one = found(result, "recon.floor")
    assert one.severity == "note", f"a guard was called {one.severity}: {result}"
    off = abs(one.number + math.log(floor))
    assert off < 1e-6, f"a floor of {floor} is read as {math.exp(-one.number):.6g}: {result}"


def test_the_end_of_floating_point_is_no_floor():
    for made in (Plain, type("Logits", (zoo.Logits,), {"importance": None, "sample": None})):
        result = audit(**zoo.arguments(made))
        assert "recon.floor" not in result.codes, f"{result}"
    # PyTorch's binary_cross_entropy takes log 0 as -100.
    said = audit(**zoo.arguments(Plain)).facts["floor of probabilities"]
    assert said == "log p is kept above -100", said


def test_a_note_says_that_a_loss_is_no_scalar():
    result = audited(combine=lambda self, nll, kl: nll + kl)
    assert result.status == "is", f"{result}"
    assert found(result, "loss.several").severity == "note", f"{result}"
    assert "loss.several" not in audited().codes, "a scalar is taken for several numbers"


def test_a_note_says_that_a_decoder_has_no_such_name():
    result = audited(given={"decoder": "decodr"})
    assert result.status == "is", f"{result}"
    assert "'decodr'" in found(result, "decoder.unknown").sentence, f"{result}"
    assert "decoder.unknown" not in audited(given={"decoder": "decoder"}).codes, "it is there"


def test_a_note_says_that_decode_sees_the_data():
    def encode(self, x):
        self.kept = x
        return zoo.Vae.encode(self, x)

    def decode(self, z):
        same = len(self.kept) == len(z)
        return torch.sigmoid(self.decoder(z) + (self.kept if same else 0))

    result = audited(encode=encode, decode=decode)
    assert found(result, "decoder.sees-data").severity == "note", f"{result}"
    assert "decoder.sees-data" not in audited().codes, "a decoder of z alone is accused"


def test_an_importance_bound_whose_divergence_is_detached():
    def importance(self, x, K):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(K, *m.shape)
        f = self.decode(z.reshape(-1, m.shape[-1])).reshape(K, len(x), -1)
        log_q = torch.distributions.Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
        kl = log_q + 0.5 * (z**2 + zoo.LOG_2PI).sum(-1)
        w = -self.nll(f, x.expand(f.shape)) - kl.detach()
        return -(torch.logsumexp(w, 0) - math.log(K)).mean()

    result = audited(importance=importance)
    assert result.facts["importance bound"] == "right", f"{result.facts}"
    assert "gradient" in found(result, "iwae.gradient").sentence, f"{result}"
    right = audited(importance=zoo.Vae.importance)
    assert "iwae.gradient" not in right.codes, f"a right gradient is accused: {right}"


def bound_with(surrogate, *, landing=False):
    """An importance bound whose value is right, and whose gradient is that of a surrogate."""

    def importance(self, x, K):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(K, *m.shape)
        f = self.decode(z.reshape(-1, m.shape[-1])).reshape(K, len(x), -1)
        loc, scale = (m.detach(), (v / 2).exp().detach()) if landing else (m, (v / 2).exp())
        log_q = torch.distributions.Normal(loc, scale).log_prob(z).sum(-1)
        w = -0.5 * (z**2 + zoo.LOG_2PI).sum(-1) - log_q - self.nll(f, x.expand(f.shape))
        value = -(torch.logsumexp(w, 0) - math.log(K)).mean()
        other = surrogate(w)
        return value.detach() + other - other.detach()

    return importance


def weighted(power):
    return lambda w: -(w.softmax(0).detach() ** power * w).sum(0).mean()


@pytest.mark.parametrize(
    ("surrogate", "landing", "code", "severity"),
    [
        (weighted(1), False, None, None),
        (lambda w: -w.mean(), False, "iwae.gradient", "wrong"),
        (weighted(2), False, "iwae.gradient", "wrong"),
        (lambda w: 0 * w.sum().detach(), False, "iwae.gradient", "wrong"),
        (weighted(1), True, "iwae.score-left-out", "note"),
    ],
    ids=["that of the bound", "equal weights", "squared weights", "none", "without the score"],
)
def test_the_gradient_of_an_importance_bound_is_decided(surrogate, landing, code, severity):
    result = audited(importance=bound_with(surrogate, landing=landing))
    assert result.facts["importance bound"] == "right", f"{result.facts}"
    named = [c for c in result.codes if c.startswith("iwae.")]
    assert named == ([code] if code else []), f"expected {code}, got {named}: {result}"
    if code:
        assert found(result, code).severity == severity, f"{result}"


# What the decoder gets ----------------------------------------------------------------------------


class Conditional(torch.nn.Module):
    """Labels beside z, and beside x: the labels of the data are columns of x."""

    def __init__(self):
        super().__init__()
        self.encoder = zoo.mlp(zoo.D + 3, 12, 2 * zoo.LATENT)
        self.decoder = zoo.mlp(3 + zoo.LATENT, 12, zoo.D)

    def encode(self, x, y):
        return self.encoder(torch.cat([x, y], -1)).chunk(2, -1)

    def loss(self, x, y):
        m, v = self.encode(x, y)
        z = m + (v / 2).exp() * torch.randn_like(m)
        f = self.decoder(torch.cat([y, z], -1))
        nll = torch.nn.functional.binary_cross_entropy_with_logits(f, x, reduction="none")
        return nll.sum(-1).mean() + zoo.Vae.kl(self, m, v, z).mean()


@pytest.mark.parametrize("decoder", ["decoder", "decode"])
def test_a_condition_beside_z(decoder):
    torch.manual_seed(0)
    vae, label = Conditional(), torch.tensor([0.0, 1.0, 0.0])

    def labels(x):
        return label.to(x).expand(len(x), 3)

    result = audit(
        lambda x: vae.loss(x, labels(x)),
        lambda x: vae.encode(x, labels(x)),
        lambda z: vae.decoder(torch.cat([labels(z), z], -1)),
        zoo.data_of(zoo.Vae),
        module=vae,
        likelihood="bernoulli-logits",
        decoder=decoder,
    )
    assert result.status == "is", f"{result}"
    assert result.residual < 1e-9, f"{result}"


class Parts(Plain):
    """z in two tensors."""

    def more(self):
        self.second = zoo.mlp(zoo.D, 8, 2 * zoo.LATENT)
        self.decoder = zoo.mlp(2 * zoo.LATENT, 12, zoo.D)

    def scale(self, v):
        return (v / 2).exp()

    def decode(self, a, b):
        return torch.sigmoid(self.decoder(torch.cat([a, b], -1)))

    def both(self, x):
        (a, v), (b, w) = zoo.Vae.encode(self, x), self.second(x).chunk(2, -1)
        return torch.cat([a, b], -1), torch.cat([v, w], -1)

    def loss(self, x):
        m, v = self.both(x)
        z = m + self.scale(v) * torch.randn_like(m)
        return (self.nll(self.decode(*z.chunk(2, -1)), x) + self.kl(m, v, z)).mean()


@pytest.mark.parametrize("wrong", [False, True])
def test_latents_in_two_tensors(wrong):
    made = type("Wrong", (Parts,), {"scale": lambda self, v: v.exp()}) if wrong else Parts
    given = zoo.arguments(made)
    vae = given["module"]
    given |= {"encode": vae.both, "decode": lambda z: vae.decode(*z.chunk(2, -1))}
    result = audit(**given)
    if wrong:
        assert "noise.variance-as-std" in result.codes, f"{result}"
    else:
        assert result.status == "is", f"{result}"


def test_a_module_that_refuses_attributes():
    class Sealed(Plain):
        def __setattr__(self, name, value):
            if vars(self).get("sealed"):
                raise AttributeError(f"sealed: {name}")
            super().__setattr__(name, value)

    given = zoo.arguments(Sealed)
    vars(given["module"])["sealed"] = True
    assert audit(**given).status == "is", "a right loss was refused"
    assert given["module"].training, "the mode was left changed"


def test_the_verdict_says_what_only_samples_tell():
    import numpy as np

    def noise(self, m):
        return torch.as_tensor(np.random.standard_normal(m.shape)).to(m)  # noqa: NPY002

    result = audited(noise=noise)
    assert found(result, "noise.untapped").severity == "note", f"{result}"
    assert "only samples tell" in result.verdict, result.verdict
