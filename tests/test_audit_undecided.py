"""Losses of which the audit cannot say what they are: the verdict says why, and accuses nobody."""

import os

import pytest
from frameworks import framework

torch = framework("torch")

import audit_zoo as zoo  # noqa: E402
from audit_zoo.right_families import Steep  # noqa: E402

from vaetheory.audit import audit  # noqa: E402


@pytest.fixture(autouse=True)
def quickly(monkeypatch):
    """With fewer evaluations."""
    monkeypatch.setattr("vaetheory.audit._conduct._SHOTS", 26)
    monkeypatch.setattr("vaetheory.audit._conduct._FEWER", 22)


class Rounded(zoo.Vae):
    """Probabilities of exactly 0 or 1, whose logarithms PyTorch clips."""

    def decode(self, z):
        return torch.sigmoid(1e4 * self.decoder(z)).round()


class Coarse(zoo.Vae):
    """A part in a type of two digits."""

    def nll(self, f, x):
        return super().nll(f.bfloat16().float(), x.float())


class Outside(zoo.Vae):
    """Randomness of the operating system."""

    def combine(self, nll, kl):
        return (nll + kl).mean() + int.from_bytes(os.urandom(2), "big") / 65536


class Infinite(zoo.Vae):
    def combine(self, nll, kl):
        return (nll + kl).mean() * float("inf")


class Drowned(zoo.Gauss):
    """A likelihood so narrow that the divergence is below its rounding."""

    s = 1e-9
    likelihood = staticmethod(lambda f: torch.distributions.Normal(f, 1e-9))


UNDECIDED = {
    Rounded: ("undecided.saturated", "exactly 0 or 1"),
    Coarse: ("undecided.precision", "2 digits"),
    Outside: ("undecided.random", "randomness cannot be held"),
    Infinite: ("undecided.overflow", "not finite"),
    Drowned: ("undecided.hidden", "drowns"),
}


def refused(result, code, said):
    assert result.status == "undecided", f"{result}"
    assert code in result.codes, f"{result}"
    assert result.verdict.startswith("cannot be decided: "), result.verdict
    assert said in result.verdict, f"the reason is not said: {result.verdict}"
    assert not [f for f in result.findings if f.severity == "wrong"], f"an accusation: {result}"
    assert result.exit_status == 2, f"the exit status is {result.exit_status}"


@pytest.mark.parametrize("made", UNDECIDED, ids=lambda made: made.__name__)
def test_what_cannot_be_decided(made):
    refused(audit(**zoo.arguments(made)), *UNDECIDED[made])


@pytest.mark.parametrize(
    "module", [torch.nn.Linear(2, 2), torch.nn.ReLU()], ids=["another module", "no parameters"]
)
def test_parameters_that_cannot_be_moved(module):
    given = {**zoo.arguments(zoo.Vae), "module": module}
    refused(audit(**given), "undecided.not-moved", "moving the parameters")


def test_an_extreme_scale_is_no_missing_term():
    result = audit(**zoo.arguments(Steep))
    assert result.status in ("is", "undecided"), f"{result}"
    assert not [f for f in result.findings if f.severity == "wrong"], f"an accusation: {result}"


def test_a_loss_that_trains_is_told():
    class Trains(zoo.Vae):
        def loss(self, x):
            value = super().loss(x)
            value.backward()
            return value

    with pytest.raises(ValueError, match=r"loss: expected a function that returns the loss"):
        audit(**zoo.arguments(Trains))


def test_a_likelihood_of_other_data_is_told():
    class Labelled(zoo.Vae):
        likelihood = staticmethod(lambda f: torch.distributions.Bernoulli(f[:, :4]))

    with pytest.raises(ValueError, match=r"likelihood: expected a distribution of data of shape"):
        audit(**zoo.arguments(Labelled))


def self_normalised(vae, x, K):
    """The log weights, with detached weights: the gradient of the importance bound."""
    m, v = vae.encode(x)
    z = m + (v / 2).exp() * torch.randn(K, *m.shape)
    f = vae.decode(z.reshape(-1, m.shape[-1])).reshape(K, len(x), -1)
    own = torch.distributions.Normal(m, (v / 2).exp()).log_prob(z).sum(-1)
    log_w = torch.distributions.Normal(0, 1).log_prob(z).sum(-1) - own
    log_w = log_w - vae.nll(f, x.expand(f.shape))
    return -(log_w.softmax(0).detach() * log_w).sum(0).mean()


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (
            "outside.importance-bound",
            {"loss": lambda self, x: self.importance(x, 5), "bits": None},
        ),
        (
            "outside.importance-bound",
            {"loss": lambda self, x: self_normalised(self, x, 5), "bits": None},
        ),
        (
            "outside.capacity",
            {"combine": lambda self, nll, kl: (nll + 10 * (kl - 25).abs()).mean()},
        ),
    ],
)
def test_another_objective_is_a_note(code, parts):
    result = audit(**zoo.arguments(type("Other", (zoo.Vae,), parts)))
    assert result.status == "is not", f"{result}"
    assert code in result.codes, f"{result}"
    assert not [f for f in result.findings if f.severity == "wrong"], f"an accusation: {result}"


@pytest.mark.parametrize(
    ("code", "parts"),
    [
        (
            "outside.reconstruction",
            {"nll": lambda self, f, x: ((x - f) ** 2 * (2 + f)).sum(-1)},
        ),
        (
            "outside.divergence",
            {"kl": lambda self, m, v, z: (m.cosh() - 1 + v.exp() - v - 1).sum(-1)},
        ),
    ],
)
def test_the_part_that_is_right_is_said(code, parts):
    result = audit(**zoo.arguments(type("Part", (zoo.Vae,), parts | {"importance": None})))
    assert code in result.codes, f"{result}"
    (found,) = [f for f in result.findings if f.code == code]
    assert "times 1, " in found.sentence or "times 1;" in found.sentence, found.sentence
