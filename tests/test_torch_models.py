"""Decoders that return distributions, and encoders: against PyTorch's own log densities."""

import copy

import numpy as np
import pytest
from frameworks import framework

torch = framework("torch")

from torch import distributions as td  # noqa: E402
from torch import nn  # noqa: E402
from torch_cases import Called  # noqa: E402

from vaetheory import (  # noqa: E402
    LatentModel,
    Posterior,
    elbo,
    likelihoods,
    log_evidence,
    stationary_posterior,
)
from vaetheory.torch import TorchDecoder, posterior_of, torch_model  # noqa: E402

#: A trapezoidal rule over nine deviations of the prior; the integrands are analytic.
STEP, REACH = 1 / 256, 9.0


def brute_force(distribution, module, X, d=1, step=STEP):
    """Log evidences by a dense rule, with the log densities of PyTorch."""
    axis = torch.arange(-REACH, REACH + step / 2, step, dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * d).reshape(-1, d)
    twin = copy.deepcopy(module).double().eval()
    prior = td.Normal(0.0, 1.0).log_prob(z).sum(-1) + d * np.log(step)
    with torch.no_grad():
        rows = []
        for x in torch.as_tensor(X, dtype=torch.float64):
            parts = []
            for part in z.split(20_000):
                q = distribution(twin, part)
                parts.append(q.log_prob(x).reshape(len(part), -1).sum(-1))
            rows.append(torch.logsumexp(torch.cat(parts) + prior, 0))
    return torch.stack(rows).numpy()


def drawn(distribution, module, d=1, count=3):
    torch.manual_seed(1)
    z = torch.randn(count, d, dtype=torch.float64)
    with torch.no_grad():
        return distribution(copy.deepcopy(module).double().eval(), z).sample()


def assert_right(model, X, expected, likelihood):
    result = log_evidence(model, X)
    assert isinstance(model.likelihood, likelihood), f"read as {model.likelihood}"
    assert result.reached.all(), f"status {result.status}"
    off = np.abs(result.value - expected)
    assert (off <= result.error + 1e-12 * np.abs(expected)).all(), (
        f"off by {off}, stated {result.error}"
    )


def over(q):
    return td.Independent(q, 1)


SPREADS = torch.linspace(0.2, 1.0, 6, dtype=torch.float64)
COV = 0.3 * torch.eye(6, dtype=torch.float64) + 0.1
READ = {
    "Normal": (lambda m, z: over(td.Normal(m(z), 0.3)), likelihoods.Gaussian),
    "Normal, not Independent": (lambda m, z: td.Normal(m(z), 0.3), likelihoods.Gaussian),
    "Normal, a scale each": (lambda m, z: over(td.Normal(m(z), SPREADS)), likelihoods.Gaussian),
    "MultivariateNormal": (lambda m, z: td.MultivariateNormal(m(z), COV), likelihoods.Gaussian),
    "LogNormal": (lambda m, z: over(td.LogNormal(m(z), 0.3)), likelihoods.LogNormal),
    "StudentT": (lambda m, z: over(td.StudentT(3.0, m(z), 0.3)), likelihoods.StudentT),
    "Bernoulli": (lambda m, z: over(td.Bernoulli(logits=m(z))), likelihoods.Bernoulli),
    "Bernoulli, probs": (
        lambda m, z: over(td.Bernoulli(probs=m(z).sigmoid())),
        likelihoods.Bernoulli,
    ),
    "ContinuousBernoulli": (
        lambda m, z: over(td.ContinuousBernoulli(logits=m(z))),
        likelihoods.ContinuousBernoulli,
    ),
    "Poisson": (lambda m, z: over(td.Poisson(m(z).exp())), likelihoods.Poisson),
    "Poisson, softplus": (
        lambda m, z: over(td.Poisson(nn.functional.softplus(m(z)))),
        likelihoods.Poisson,
    ),
    "Exponential": (lambda m, z: over(td.Exponential(m(z).exp())), likelihoods.Exponential),
    "Gamma": (lambda m, z: over(td.Gamma(2.5, m(z).exp())), likelihoods.Gamma),
    "NegativeBinomial": (
        lambda m, z: over(td.NegativeBinomial(4, logits=m(z))),
        likelihoods.NegativeBinomial,
    ),
    "Beta": (
        lambda m, z: over(td.Beta(5 * m(z).sigmoid(), 5 * (-m(z)).sigmoid())),
        likelihoods.Beta,
    ),
    "OneHotCategorical": (lambda m, z: td.OneHotCategorical(logits=m(z)), likelihoods.Categorical),
    "OneHotCategorical, probs": (
        lambda m, z: td.OneHotCategorical(probs=m(z).softmax(-1)),
        likelihoods.Categorical,
    ),
}


def network(d=1, size=6):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(d, 8), nn.SiLU(), nn.Linear(8, size))


@pytest.mark.parametrize("name", READ)
def test_evidences_are_those_of_pytorchs_log_densities(name):
    distribution, likelihood = READ[name]
    module = network()
    X = drawn(distribution, module)
    model = torch_model(module, 1, call=distribution)
    assert_right(model, X, brute_force(distribution, module, X), likelihood)


def test_laplace_is_read_with_its_kinks():
    def distribution(m, z):
        return over(td.Laplace(m(z), 0.3))

    module = network()
    X = drawn(distribution, module)
    model = torch_model(module, 1, call=distribution)
    assert model.likelihood == likelihoods.Laplace(0.3), f"read as {model.likelihood}"
    found = log_evidence(model, X)
    # At kinks the error of a trapezoidal rule falls with the square of its step only.
    steps = [brute_force(distribution, module, X, step=STEP / 2**k) for k in (3, 4)]
    allowed = 4 * np.abs(steps[1] - steps[0]) + found.error
    off = np.abs(found.value - steps[1])
    assert found.reached.all(), f"status {found.status}"
    assert (off <= allowed).all(), f"off by {off}, allowed {allowed}"
    assert allowed.max() < 1e-7, f"the dense rule is worth only {allowed.max():.2g}"


def test_von_mises_is_read_as_far_as_pytorch_knows_its_density():
    def distribution(m, z):
        return over(td.VonMises(m(z), 2.0))

    module = network()
    X = drawn(distribution, module)
    value = log_evidence(torch_model(module, 1, call=distribution), X).value
    # Its Bessel function is a polynomial with an error of 1e-8.
    assert np.allclose(value, brute_force(distribution, module, X), atol=1e-6), "another density"


class Images(nn.Module):
    """A convolutional decoder of images, with normalisation and statistics."""

    def __init__(self):
        super().__init__()
        self.lift = nn.Linear(2, 4 * 3 * 3)
        self.body = nn.Sequential(
            nn.Unflatten(1, (4, 3, 3)), nn.BatchNorm2d(4), nn.GELU(),
            nn.ConvTranspose2d(4, 3, 4, stride=2, padding=1), nn.GroupNorm(1, 3), nn.SiLU(),
            nn.Dropout(0.2), nn.Conv2d(3, 1, 3, padding=1),
        )  # fmt: skip

    def forward(self, z):
        return td.Independent(td.Normal(self.body(self.lift(z)), 0.7), 3)


def images():
    torch.manual_seed(2)
    module = Images().train()
    for _ in range(3):
        module(2 * torch.randn(64, 2))
    return module


def test_a_convolutional_decoder_of_images():
    module = images()
    X = drawn(lambda m, z: m(z), module, d=2, count=2)
    assert X.shape == (2, 1, 6, 6), f"the case lost its point: {X.shape}"
    model = torch_model(module, 2)
    assert model.decoder.event_shape == (1, 6, 6), f"event shape {model.decoder.event_shape}"
    assert module.training, "the module was put into eval mode"
    expected = brute_force(lambda m, z: m(z), module, X, d=2, step=1 / 10)
    assert_right(model, X, expected, likelihoods.Gaussian)


@pytest.mark.parametrize("d", [1, 2])
def test_decoders_with_relu_have_honest_errors(d):
    torch.manual_seed(3)
    module = nn.Sequential(nn.Linear(d, 8), nn.ReLU(), nn.Linear(8, 5))
    model = LatentModel(module, likelihoods.Gaussian(scale=0.5), d)
    with torch.no_grad():
        X = module(torch.randn(2, d)) + 0.5 * torch.randn(2, 5)

    def distribution(m, z):
        return over(td.Normal(m(z), 0.5))

    step = 1 / 20_000 if d == 1 else 1 / 100
    result = log_evidence(model, X, max_nodes=200_000)
    off = np.abs(result.value - brute_force(distribution, module, X, d, step))
    # The rule knows kinks to the square of its step only.
    assert (off <= result.error + 10 * step**2).all(), f"off by {off}, stated {result.error}"
    if d == 1:
        assert result.reached.all(), f"status {result.status}"
    else:
        # Differences of the same network, written for autograd, have the same evidences.
        assert (result.error < 0.01).all(), f"nothing is known: {result.error}"


@pytest.mark.parametrize(
    ("distribution", "message"),
    [
        (
            lambda m, z: over(td.Normal(m(z)[:, :3], m(z)[:, 3:].exp())),
            r"expected a scale of Normal that is the same for all latents, got .*\.\..* at 64",
        ),
        (
            lambda m, z: over(td.Beta(m(z).exp(), 1.0)),
            "expected a concentration of Beta that is the same for all latents",
        ),
        (
            lambda m, z: td.MultivariateNormal(m(z)[:, :2], torch.diag_embed(m(z)[:, 2:4].exp())),
            "expected a scale_tril of MultivariateNormal that is the same",
        ),
        (lambda m, z: over(td.Gamma(SPREADS, m(z).exp())), "expected one concentration for all ou"),
        (
            lambda m, z: td.MixtureSameFamily(td.Categorical(torch.ones(6)), td.Normal(m(z), 1.0)),
            "got MixtureSameFamily: no likelihood here has its density",
        ),
        (lambda m, z: td.Categorical(logits=m(z)), "OneHotCategorical.*got Categorical"),
        (
            lambda m, z: td.OneHotCategorical(logits=m(z).reshape(-1, 2, 3)),
            r"expected one OneHotCategorical a latent, got batch shape \(64, 2\)",
        ),
        (lambda m, z: td.HalfNormal(m(z).exp()), "got HalfNormal"),
        (lambda m, z: m(z), "expected a decoder that returns one of Normal, .*got Tensor"),
        (
            lambda m, z: over(td.Normal(m(z) + torch.randn_like(m(z)), 1.0)),
            "decoder: expected the same outputs .*it is random",
        ),
    ],
    ids=[
        "scale", "concentration", "covariance", "several shapes", "mixture", "classes", "several",
        "HalfNormal", "tensor", "noise",
    ],
)  # fmt: skip
def test_what_no_likelihood_here_has_is_refused_by_name(distribution, message):
    with pytest.raises(ValueError, match=message) as caught:
        torch_model(network(), 1, call=distribution)
    assert str(caught.value).startswith(("likelihood: expected", "decoder: expected")), caught.value


def test_a_scale_that_varies_in_a_small_region_is_refused_there():
    def decode(m, z):
        return over(td.Normal(m(z), 0.5 + 5 * torch.exp(-(((z - 0.8123) / 0.004) ** 2))))

    torch.manual_seed(0)
    with pytest.raises(ValueError, match=r"expected a scale of Normal that is the same .*0\.5\.\."):
        torch_model(network(), 1, call=decode).decode(np.array([[0.8123]]))


class Tempered(td.Normal):
    """A subclass with another density."""

    def log_prob(self, value):
        return super().log_prob(value) / 2


def test_a_distribution_is_read_only_if_its_density_is_its_own():
    with pytest.raises(ValueError, match="expected the log density of Tempered to be that of Gaus"):
        torch_model(network(), 1, call=lambda m, z: over(Tempered(m(z), 1.0)))

    class Named(td.Normal):
        pass

    model = torch_model(network(), 1, call=lambda m, z: over(Named(m(z), 1.0)))
    assert model.likelihood == likelihoods.Gaussian(scale=1.0), model.likelihood


def test_a_fixed_scale_of_lower_precision_is_taken_as_it_is_or_refused():
    spreads = SPREADS.float()
    model = torch_model(network(), 1, call=lambda m, z: over(td.Normal(m(z), spreads)))
    assert model.likelihood == likelihoods.Gaussian(scale=spreads.double().numpy())
    cov = COV.float()
    model = torch_model(network(), 1, call=lambda m, z: td.MultivariateNormal(m(z), cov))
    assert np.allclose(model.likelihood.cov, cov.double().numpy(), rtol=1e-6), "another covariance"

    class Single(td.Normal):
        def log_prob(self, value):
            return (value.float() @ self.loc.T).sum(-1)

    with pytest.raises(ValueError, match=r"log_prob in torch.float64, got .*dtype=z.dtype"):
        torch_model(network(), 1, call=lambda m, z: over(Single(m(z), 1.0)))


def test_methods_that_return_distributions():
    module = Called(lambda m, z: m.inner(z), inner=network())
    module.inner.spread = nn.Parameter(torch.tensor(-1.0))

    class Vae(nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.log_scale = network(), nn.Parameter(torch.full((6,), -1.0))

        def decode(self, z):
            return over(td.Normal(self.net(z), self.log_scale.exp()))

    vae = Vae()
    model = torch_model(vae.decode, 1)
    assert np.allclose(model.likelihood.scale, np.exp(-1.0)), "another scale"
    with pytest.raises(ValueError, match=r"use vaetheory\.torch\.torch_model"):
        LatentModel(vae.decode, likelihoods.Gaussian(scale=1.0), 1)


N, D = 2, 2
LOC = torch.tensor([[0.0, 1.0], [2.0, -1.0]])
STD = torch.tensor([[0.5, 2.0], [0.25, 1.5]])


@pytest.mark.parametrize(
    "posterior",
    [
        lambda: posterior_of(LOC, std=STD),
        lambda: posterior_of(LOC, var=STD**2),
        lambda: posterior_of(LOC, logstd=STD.double().log()),
        lambda: posterior_of(LOC.requires_grad_(), logvar=2 * STD.double().log()),
        lambda: posterior_of(td.Normal(LOC, STD)),
        lambda: posterior_of(td.Independent(td.Normal(LOC, STD), 1)),
        lambda: posterior_of(td.MultivariateNormal(LOC, scale_tril=torch.diag_embed(STD))),
        lambda: posterior_of(td.LowRankMultivariateNormal(LOC, torch.zeros(N, D, 1), STD**2)),
    ],
)
def test_posteriors_have_one_full_covariance_a_datum(posterior):
    # With N = d a stack of diagonals could be read as one shared matrix.
    q = posterior()
    assert isinstance(q, Posterior), type(q)
    assert q.loc.dtype == q.cov.dtype == np.float64, "less than double precision"
    expected = np.einsum("nd,de->nde", STD.double().numpy() ** 2, np.eye(D))
    assert np.allclose(q.cov, expected, rtol=1e-15, atol=0), q.cov
    assert (q.loc == LOC.detach().double().numpy()).all(), q.loc


def test_correlated_posteriors_in_float32_are_symmetric():
    factor = torch.tril(torch.rand(5, 3, 3)) + torch.eye(3)
    q = posterior_of(td.MultivariateNormal(torch.zeros(5, 3), factor @ factor.mT))
    assert np.allclose(q.cov, (factor @ factor.mT).numpy(), rtol=1e-5), "another covariance"
    low = td.LowRankMultivariateNormal(torch.zeros(5, 3), torch.rand(5, 3, 2), torch.ones(5, 3))
    assert np.allclose(posterior_of(low).cov, low.covariance_matrix.numpy(), rtol=1e-6)


@pytest.mark.parametrize(
    ("output", "spread", "message"),
    [
        ((LOC, STD), {}, r"got a tuple of 2: name its parts, as in `loc, logvar = encoder\(x\)`"),
        (LOC, {}, "exactly one of logvar, logstd, std, var with the means, got none"),
        (LOC, {"std": STD, "var": STD}, "got std and var"),
        (LOC, {"std": -STD}, "std: expected positive numbers, got -2"),
        (LOC, {"var": STD[0]}, r"var: expected the shape of the means \(2, 2\), got \(2,\)"),
        (LOC, {"logvar": 2000 * STD}, "logvar: expected variances that fit in float64"),
        (LOC, {"logvar": STD * torch.nan}, "logvar: expected finite numbers, got nan"),
        (LOC * torch.inf, {"std": STD}, "encoder_output: expected finite numbers"),
        (td.Normal(LOC, STD), {"std": STD}, "expected means to go with std, got the distribution"),
        (td.Laplace(LOC, STD), {}, "expected a Normal, .*got Laplace"),
        (td.LogNormal(LOC, STD), {}, "expected a Normal, .*got LogNormal"),
    ],
)
def test_encoders_that_say_too_little_or_too_much(output, spread, message):
    with pytest.raises(ValueError, match=message):
        posterior_of(output, **spread)


def test_the_elbo_of_a_vae_is_below_its_evidence():
    torch.manual_seed(0)
    decoder, encoder = network(2, 6), nn.Linear(6, 4)
    model = torch_model(decoder, 2, call=READ["Normal"][0])
    X = drawn(READ["Normal"][0], decoder, d=2).float()
    loc, logvar = encoder(X).chunk(2, -1)
    evidence = log_evidence(model, X)
    lost = evidence.value - elbo(model, X, posterior_of(loc, logvar=logvar)).value
    best = evidence.value - stationary_posterior(model, X).value
    assert (lost > best).all(), f"the encoder loses {lost}, the best Gaussian {best}"
    assert (best > -1e-9).all(), f"an ELBO above the evidence: {best}"


def test_the_decoder_of_a_model_is_one_of_pytorchs():
    model = torch_model(network(), 1, call=READ["Normal"][0])
    assert isinstance(model.decoder, TorchDecoder), type(model.decoder)


# Scales from the decoder ------------------------------------------------------------------------

FLOOR = 0.05


class Learned(nn.Module):
    """Means and scales of images, with a floor of the scales."""

    def __init__(self, d, shape=(1, 2, 3), floor=FLOOR):
        super().__init__()
        torch.manual_seed(3)
        self.shape, self.floor = shape, floor
        size = 2 * int(np.prod(shape))
        self.net = nn.Sequential(nn.Linear(d, 8), nn.Tanh(), nn.Linear(8, size))

    def forward(self, z):
        loc, raw = self.net(z).reshape(-1, 2, *self.shape).unbind(1)
        scale = self.floor + nn.functional.softplus(raw - 1)
        return td.Independent(td.Normal(loc, scale), len(self.shape))


def learned_scales(m, z):
    return m(z)


@pytest.mark.parametrize("shape", [(6,), (1, 2, 3), (2, 3)])
def test_scales_that_vary_are_learned_scales(shape):
    module = Learned(1, shape)
    X = drawn(learned_scales, module)
    model = torch_model(module, 1, least_scale=FLOOR)
    assert_right(model, X, brute_force(learned_scales, module, X), likelihoods.GaussianMeanScale)
    assert model.data_shape == shape, f"data of shape {model.data_shape}, not {shape}"
    one = log_evidence(model, X[:1])
    assert one.value.shape == (1,), f"one image is a batch of one, got shape {one.value.shape}"


def test_a_fixed_scale_may_be_read_as_a_learned_one():
    def distribution(m, z):
        return over(td.Normal(m(z), 0.3))

    module = network()
    X = drawn(distribution, module)
    fixed = log_evidence(torch_model(module, 1, call=distribution), X)
    learned = log_evidence(torch_model(module, 1, call=distribution, least_scale=0.1), X)
    off = np.abs(fixed.value - learned.value)
    assert (off <= fixed.error + learned.error).all(), f"off by {off}"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: torch_model(Learned(1), 1),
            r"expected a scale of Normal that is the same .* clamp them to a floor and give it as "
            "least_scale=",
        ),
        (
            lambda: torch_model(Learned(1), 1, least_scale=0.5),
            r"decoder: expected log scales of at least -0.693147, the logarithm of least_scale "
            r"= 0.5",
        ),
        (
            lambda: torch_model(
                network(), 1, call=lambda m, z: over(td.Laplace(m(z), 0.3)), least_scale=0.1
            ),
            "least_scale: expected a decoder that returns a Normal, .*got Laplace",
        ),
        (
            lambda: torch_model(Learned(1), 1, least_scale=0.0),
            "least_scale: expected positive numbers, got 0.0",
        ),
        (
            lambda: LatentModel(network(size=5), likelihoods.GaussianMeanScale(0.1), 1),
            r"expected 2 numbers \(mean and log scale\) for each data dimension of "
            "GaussianMeanScale, got 5 in all",
        ),
    ],
    ids=["no floor", "below the floor", "not a Normal", "floor zero", "odd outputs"],
)
def test_learned_scales_without_a_floor_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
