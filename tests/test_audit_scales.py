"""The exact evidence of decoders whose scales vary with z, against a sum over a grid."""

import math

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

import audit_zoo as zoo  # noqa: E402
from torch.distributions import Independent, Normal  # noqa: E402

from vaetheory.audit import audit  # noqa: E402

#: Latents from -12 to 12: the trapezoid sum of an analytic integrand is exact to rounding.
GRID = torch.linspace(-12, 12, 24_001, dtype=torch.float64)[:, None]


class Varying(zoo.Learned):
    """One latent, three outputs, and a log variance of each."""

    sizes = (3, 1)

    def more(self):
        with torch.no_grad():
            self.decoder[-1].weight *= self.steep

    steep = 2.0


class Softplus(Varying):
    """Scales with a floor of their own, and a distribution of vectors."""

    @staticmethod
    def likelihood(f):
        scale = 0.05 + torch.nn.functional.softplus(f[1])
        return Independent(Normal(f[0], scale), 1)

    def nll(self, f, x):
        return -self.likelihood(f).log_prob(x)

    def sample(self, n):
        return self.likelihood(self.decode(torch.randn(n, 1))).sample()

    importance = bits = None


def by_sum(module, x, log_prob):
    """-log p(x), the mean over the data, of a module in float64."""
    with torch.no_grad():
        joint = log_prob(module.decode(GRID), x[:, None].double()) - GRID[:, 0] ** 2 / 2
        log_p = joint.logsumexp(1) + math.log(float(GRID[1] - GRID[0])) - math.log(2 * math.pi) / 2
    return -float(log_p.mean())


@pytest.mark.parametrize("made", [Varying, Softplus])
@pytest.mark.parametrize("steep", [1.0, 4.0])
def test_the_evidence_of_learned_scales(made, steep):
    given = zoo.arguments(type("Steep", (made,), {"steep": steep}))
    result = audit(**given)
    assert result.status == "is", f"{result}"
    gap = result.facts["evidence"]
    module = given["module"].double()
    truth = by_sum(module, given["x"][:4], lambda f, x: -module.nll(f, x))
    off = abs(gap["negative_log_evidence"] - truth)
    assert off < gap["negative_log_evidence_error"] + 1e-11, f"off by {off:.2g}: {gap}"
    assert gap["negative_log_evidence_error"] < 1e-5, f"the error says nothing: {gap}"
    parts = sum(part["nats"] for part in gap["gap"])
    assert abs(parts - (gap["loss"] - gap["negative_log_evidence"])) < 1e-9, f"{gap}"
    off = abs(gap["mean_loss"] - gap["loss"])
    assert off < 6 * gap["mean_loss_standard_error"], f"another mean of the loss: {gap}"
    assert gap["least_scale"] < 0.01 * gap["least_scale_seen"], f"no distance to the floor: {gap}"
    assert "no scale" in gap["assumed"], f"the assumption is not said: {gap}"
    assert [g["change"] for g in gap["gains"]][-1] == "sticking the landing", f"{gap}"
    assert "assumed" in repr(result), f"the report does not say what was assumed: {result}"


@pytest.mark.parametrize(
    ("slope", "said"),
    [(100.0, "a scale of 0"), (1.0, None)],
    ids=["a scale that underflows", "a scale without a floor"],
)
def test_a_scale_without_a_floor(slope, said):
    class Falling(Varying):
        def decode(self, z):
            m = self.decoder(z)[:, :3]
            return m, slope * z.expand_as(m)

        def sample(self, n):
            return self.decode(torch.randn(n, 1))[0]

    given = zoo.arguments(Falling)
    result = audit(**given)
    gap = result.facts["evidence"]
    if said:
        assert said in gap["not computed"], f"another reason: {gap}"
        return
    module = given["module"].double()
    truth = by_sum(module, given["x"][:4], lambda f, x: -module.nll(f, x))
    if "not computed" not in gap:
        off = abs(gap["negative_log_evidence"] - truth)
        assert off < gap["negative_log_evidence_error"] + 1e-11, f"off by {off:.2g}: {gap}"
    assert np.isfinite(truth), "the instance is no test"
