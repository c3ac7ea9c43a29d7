"""The audit of a zoo of losses: right ones are accepted, wrong ones are named."""

import json
import math
import random

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

import audit_zoo as zoo  # noqa: E402

from vaetheory import LatentModel, likelihoods, log_evidence  # noqa: E402
from vaetheory.audit import Audit, Finding, audit  # noqa: E402
from vaetheory.testing import check_vae  # noqa: E402

#: Findings that a right loss may have besides notes: what is missing is a constant.
HARMLESS = {"no constant": {"recon.constant-missing", "iwae.constant"}}


@pytest.fixture
def quickly(monkeypatch):
    """Without the exact evidence, which has tests of its own, and with fewer evaluations."""
    monkeypatch.setattr("vaetheory.audit._conduct._SHOTS", 26)
    monkeypatch.setattr("vaetheory.audit._conduct._FEWER", 22)
    monkeypatch.setattr("vaetheory.audit._torch.evidence_of", lambda bench: None)


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", zoo.RIGHT)
def test_a_right_loss_is_accepted(name):
    result = audit(**zoo.arguments(zoo.RIGHT[name]))
    assert result.status == "is", f"{name} was refused: {result}"
    assert result.verdict.startswith("this is the ELBO of the declared model"), result.verdict
    bad = {f.code for f in result.findings if f.severity != "note"} - HARMLESS.get(name, set())
    assert not bad, f"{name} was accused: {result}"
    assert not [c for c in result.codes if c.startswith("not-run")], f"{result}"
    exact = 1e-6 if "precision.cast" in result.codes else 1e-9
    assert result.residual < exact, f"the residual is {result.residual}"
    assert result.exit_status == 0, f"the exit status is {result.exit_status}"


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", zoo.WRONG)
def test_a_wrong_loss_is_named(name):
    code, made = zoo.WRONG[name]
    result = audit(**zoo.arguments(made))
    assert code in result.codes, f"{name}: expected {code}, got {result.codes}: {result}"
    (found,) = [f for f in result.findings if f.code == code]
    assert found.severity in ("wrong", "bound"), f"{found!r} is only a note"
    assert found.meaning, "a finding without a number's meaning"
    assert found.change, "a finding without what to change"
    if found.severity == "wrong":
        assert result.exit_status == 1, f"{name}: the exit status is {result.exit_status}"


def wide(lines):
    return [line for line in lines if len(line) > 80]


@pytest.mark.parametrize("name", ["logvar read as logstd", "MSE mean with KL sum", "mean of logs"])
def test_the_report_fits_a_terminal(name):
    text = repr(audit(**zoo.arguments(zoo.WRONG[name][1])))
    assert not wide(text.splitlines()), (
        f"lines of more than 80 characters: {wide(text.splitlines())}"
    )


@pytest.mark.usefixtures("quickly")
def test_random_coefficients_are_recovered():
    rng = random.Random(4)
    for size in (1.0, 1e-2, 1e-4):
        c = [0.5 * (1 + size * rng.uniform(0.3, 1) * rng.choice((-1, 1))) for _ in range(3)]

        def kl(self, m, v, z, c=c):
            return (c[0] * m**2 + c[1] * v.exp() - c[2] * v - 0.5).sum(-1)

        result = audit(**zoo.arguments(type("Off", (zoo.Vae,), {"kl": kl})))
        assert result.status == "is not", f"coefficients {c} were accepted"
        found = [result.coefficients[n] for n in ("m^2", "exp(v)", "v")]
        off = np.abs(np.array(found) - [c[0], c[1], -c[2]]).max()
        assert off < 1e-9, f"{c} were read as {found}"


#: Pairs of changes of different parts, each with the names of both.
PAIRS = [
    ("log term twice", "noise of 0.01"),
    ("KL over latents", "double sigmoid"),
    ("variance as deviation", "recon over pixels"),
    ("logvar read as logstd", "KL times 0.1"),
    ("uniform noise", "arguments exchanged"),
    ("constant missing", "tanh on the mean"),
    ("only the mean", "recon summed over the batch"),
    ("clamped for z only", "positive weight"),
    ("mean of logs", "reversed divergence"),
    ("a seed inside", "log term missing"),
]


@pytest.mark.usefixtures("quickly")
def test_of_two_faults_both_are_named():
    missed = []
    for pair in PAIRS:
        parts = {}
        for name in pair:
            made = zoo.WRONG[name][1]
            parts |= {k: v for k, v in vars(made).items() if not k.startswith("__")}
        of = next(
            (zoo.WRONG[n][1].__mro__[1] for n in pair if zoo.WRONG[n][1].__mro__[1] is not zoo.Vae),
            zoo.Vae,
        )
        result = audit(**zoo.arguments(type("Two", (of,), parts)))
        if not all(zoo.WRONG[n][0] in result.codes for n in pair):
            missed.append((pair, result.codes))
    assert len(missed) <= len(PAIRS) // 5, f"of two faults only one was named: {missed}"


def test_what_is_one_number_gets_both_explanations():
    made = type("Half", (zoo.Bare,), {"nll": lambda self, f, x: ((x - f) ** 2).sum(-1)})
    result = audit(**zoo.arguments(made))
    (found,) = [f for f in result.findings if f.code.startswith("weight.")]
    for story in ("variance 0.5", "factor 1/2", "beta = 0.5"):
        assert story in found.sentence, f"{story} is missing: {found.sentence}"
    assert abs(result.beta - 0.5) < 1e-9, f"the effective beta is {result.beta}"


def test_an_exact_likelihood_of_another_deviation_is_told():
    def nll(self, f, x):
        return (0.5 * (x - f) ** 2 / 0.49 + math.log(0.7) + zoo.LOG_2PI / 2).sum(-1)

    result = audit(**zoo.arguments(type("Other", (zoo.Gauss,), {"nll": nll})))
    (found,) = [f for f in result.findings if f.code == "weight.recon"]
    assert "deviation 0.7" in found.sentence, found.sentence


@pytest.mark.parametrize("term", ["TC", "MMD"])
def test_another_objective_is_not_called_a_bug(term):
    class Other(zoo.Vae):
        def loss(self, x):
            m, v = self.encode(x)
            z = self.draw(m, v)
            value = (self.nll(self.decode(z), x) + self.kl(m, v, z)).mean()
            if term == "MMD":
                p = torch.randn_like(z)

                def near(a, b):
                    return (-((a[:, None] - b[None]) ** 2).sum(-1)).exp().mean()

                return value + near(z, z) + near(p, p) - 2 * near(z, p)
            log_q = torch.distributions.Normal(m, (v / 2).exp()).log_prob(z[:, None])
            joint = torch.logsumexp(log_q.sum(-1), 1)
            return value + (joint - torch.logsumexp(log_q, 1).sum(-1)).mean()

        importance = bits = sample = None

    result = audit(**zoo.arguments(Other))
    assert result.status == "is not", f"{result}"
    assert "not the ELBO of the declared model" in result.verdict, result.verdict
    assert "bug" not in repr(result), "another objective was called a bug"


def test_a_penalty_of_the_weights_is_told():
    def combine(self, nll, kl):
        return (nll + kl).mean() + 1e-3 * sum((p**2).sum() for p in self.parameters())

    result = audit(**zoo.arguments(type("Penalised", (zoo.Vae,), {"combine": combine})))
    assert "outside.penalty" in result.codes, f"{result}"
    assert result.status == "is not", result.verdict
    found = next(f for f in result.findings if f.code == "outside.penalty")
    assert abs(found.number - 1e-3) < 1e-9, f"the weight is read as {found.number}"


def test_a_surrogate_value_is_convicted_by_the_evidence():
    def loss(self, x):
        m, v = self.encode(x)
        z = m + (v / 2).exp() * torch.randn(8, *m.shape)
        f = self.decode(z.reshape(-1, zoo.LATENT)).reshape(8, len(x), -1)
        q = torch.distributions.Normal(m, (v / 2).exp())
        w = (
            -0.5 * (z**2 + zoo.LOG_2PI).sum(-1)
            - q.log_prob(z).sum(-1)
            - self.nll(f, x.expand(f.shape))
        )
        return -(torch.softmax(w, 0).detach() * w).sum(0).mean() - 3.0

    result = audit(**zoo.arguments(type("Surrogate", (zoo.Vae,), {"loss": loss, "bits": None})))
    assert result.status == "is not", f"{result}"
    assert "evidence.below" in result.codes, f"{result.codes}, {result.facts['evidence']}"


def test_the_gap_is_that_of_the_model():
    given = zoo.arguments(zoo.Logits)
    result = audit(**given)
    gap = result.facts["evidence"]
    model = LatentModel(given["module"].decoder, likelihoods.Bernoulli(), 2)
    exact = log_evidence(model, given["x"][:4].double())
    assert abs(gap["negative_log_evidence"] + exact.value.mean()) < 1e-6, f"{gap}"
    parts = sum(part["nats"] for part in gap["gap"])
    assert abs(parts - (gap["loss"] - gap["negative_log_evidence"])) < 1e-9, f"{gap}"
    assert [part["proposition"] for part in gap["gap"]] == ["3f", "3d", "3b"], f"{gap}"
    assert all(part["nats"] > -1e-7 for part in gap["gap"]), f"a part is negative: {gap}"
    # The mean of the sampled loss, by another road than quadrature.
    off = abs(gap["mean_loss"] - gap["loss"])
    assert off < 6 * gap["mean_loss_standard_error"], f"{gap}"


@pytest.mark.usefixtures("quickly")
def test_a_loss_as_a_test():
    assert check_vae(**zoo.arguments(zoo.Vae)).beta == pytest.approx(1), "another beta"
    with pytest.raises(AssertionError, match="no divergence term"):
        check_vae(**zoo.arguments(zoo.WRONG["no divergence"][1]))


def test_the_result_as_json():
    result = audit(**zoo.arguments(zoo.WRONG["log term twice"][1]))
    document = json.loads(result.to_json())
    assert document["verdict"] == result.verdict, "another verdict"
    assert [f["code"] for f in document["findings"]] == list(result.codes), "other findings"
    assert document["coefficients"]["v"] == result.coefficients["v"], "other coefficients"


def test_a_result_of_nothing_found():
    finding = Finding("undecided.x", "no data", "note", math.nan, "none", "give more data")
    made = Audit("undecided", (finding,), {}, math.inf, None, {}, "no data")
    assert made.verdict == "cannot be decided: no data", made.verdict
    assert made.exit_status == 2, made.exit_status
    assert json.loads(made.to_json())["residual"] is None, made.to_json()


def test_conditional_code_with_one_size_of_batch():
    torch.manual_seed(0)
    vae = zoo.Vae()
    x = zoo.data_of(vae)
    shift = torch.randn(len(x), zoo.LATENT)

    def encode(x):
        m, v = vae.encode(x)
        return m + shift, v

    def loss(x):
        m, v = encode(x)
        z = vae.draw(m, v)
        return (vae.nll(vae.decode(z), x) + vae.kl(m, v, z)).mean()

    result = audit(loss, encode, vae.decode, x, module=vae, likelihood="bernoulli")
    assert result.status == "is", f"{result}"
    assert not [f for f in result.findings if f.severity == "wrong"], f"{result}"


@pytest.mark.parametrize("decoder", ["decode", "decoder", "nothing of this name"])
def test_the_latents_are_found_however_the_decoder_is_called(decoder):
    result = audit(**zoo.arguments(zoo.Vae), decoder=decoder)
    assert result.status == "is", f"{result}"
    wrong = audit(**zoo.arguments(zoo.WRONG["variance as deviation"][1]), decoder=decoder)
    assert "noise.variance-as-std" in wrong.codes, f"{wrong}"
