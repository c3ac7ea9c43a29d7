"""Networks of scikit-learn as decoders: the same outputs, whatever the activation."""

import warnings

import numpy as np
import pytest
from frameworks import framework

from vaetheory import LatentModel, decoders, likelihoods, log_evidence
from vaetheory.decoders import Affine, PiecewiseLinear, TanhNetwork, from_mlp
from vaetheory.evidence import linear_log_evidence

framework("sklearn")
from sklearn.neural_network import MLPClassifier, MLPRegressor  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

RNG = np.random.default_rng(0)
Z = RNG.normal(size=(60, 2))
X = np.stack([np.sin(Z[:, 0]), Z[:, 1] ** 2, Z.sum(axis=1), Z[:, 0] * Z[:, 1]], axis=1)
KINDS = {
    "identity": Affine, "logistic": TanhNetwork, "relu": PiecewiseLinear, "tanh": TanhNetwork,
}  # fmt: skip


def fitted(kind=MLPRegressor, z=Z, x=X, **settings):
    network = kind(max_iter=20, random_state=0, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return network.fit(z, x)


@pytest.mark.parametrize("hidden", [(5,), (4, 3), (4, 3, 5)], ids=str)
@pytest.mark.parametrize("activation", KINDS)
def test_outputs_are_those_that_scikit_learn_predicts(activation, hidden):
    network = fitted(activation=activation, hidden_layer_sizes=hidden)
    decoder = from_mlp(network)
    assert isinstance(decoder, KINDS[activation]), type(decoder)
    off = np.abs(decoder(Z) - network.predict(Z)).max()
    assert off <= 1e-14, f"the outputs differ by {off:.2g}"


@pytest.mark.parametrize("activation", KINDS)
def test_a_decoder_is_the_last_part_of_an_auto_encoder(activation):
    network = fitted(z=X, activation=activation, hidden_layer_sizes=(6, 2, 6))
    encoder = from_mlp(network).latent_dim, from_mlp(network, skip=2).latent_dim
    assert encoder == (4, 2), f"latents of {encoder} dimensions"
    codes = X
    functions = {
        "identity": lambda a: a, "logistic": lambda a: 1 / (1 + np.exp(-a)),
        "relu": lambda a: np.maximum(a, 0), "tanh": np.tanh,
    }  # fmt: skip
    for w, b in zip(network.coefs_[:2], network.intercepts_[:2], strict=True):
        codes = functions[activation](codes @ w + b)
    off = np.abs(from_mlp(network, skip=2)(codes) - network.predict(X)).max()
    assert off <= 1e-14, f"the reconstructions differ by {off:.2g}"


def test_one_output_and_single_precision():
    network = fitted(z=Z.astype(np.float32), x=X[:, 0].astype(np.float32), activation="logistic")
    assert network.coefs_[0].dtype == np.float32, "scikit-learn no longer keeps float32"
    decoder = from_mlp(network)
    off = np.abs(decoder(Z)[:, 0] - network.predict(Z.astype(np.float32))).max()
    assert decoder(Z).dtype == np.float64, "less than double precision"
    assert off <= 1e-5, f"the outputs differ by {off:.2g}"


def test_logits_of_binary_targets():
    binary = (X > 0).astype(int)
    network = fitted(MLPClassifier, x=binary, hidden_layer_sizes=(4,), activation="tanh")
    chance = 1 / (1 + np.exp(-from_mlp(network)(Z)))
    off = np.abs(chance - network.predict_proba(Z)).max()
    assert off <= 1e-14, f"the chances differ by {off:.2g}"
    model = LatentModel(from_mlp(network), likelihoods.Bernoulli())
    assert log_evidence(model, binary[:2]).reached.all(), "no evidence of binary data"


def test_logs_of_poisson_means():
    try:
        network = fitted(x=np.abs(X) + 0.5, loss="poisson", hidden_layer_sizes=(4,))
    except TypeError:
        pytest.skip("this scikit-learn has no loss='poisson'")
    off = np.abs(np.exp(from_mlp(network)(Z)) - network.predict(Z)).max()
    assert off <= 1e-13, f"the means differ by {off:.2g}"


def test_later_training_has_no_effect():
    network = fitted(activation="tanh", hidden_layer_sizes=(4,), warm_start=True)
    decoder = from_mlp(network)
    before = decoder(Z)
    network.coefs_[0][:] = 7.0
    network.intercepts_[-1][:] = 7.0
    assert np.array_equal(decoder(Z), before), "the decoder follows the network"


def test_a_network_of_identities_is_linear():
    decoder = from_mlp(fitted(activation="identity", hidden_layer_sizes=(3, 5)))
    model = LatentModel(decoder, likelihoods.Gaussian(scale=0.5))
    one, other = log_evidence(model, X[:3]), linear_log_evidence(model, X[:3])
    off = np.abs(one.value - other.value)
    assert (off <= one.error + other.error).all(), f"evidences differ by {off.max():.2g}"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (MLPRegressor(), r"MLPRegressor\(\), which has no coefs_: fit it first"),
        (make_pipeline(StandardScaler(), MLPRegressor()), "of a pipeline or a"),
        (3.0, "expected a fitted MLPRegressor or MLPClassifier of scikit-learn, got float 3.0"),
        (decoders.Circle(1.0), "expected a fitted MLPRegressor"),
    ],
)
def test_what_is_no_fitted_network_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        from_mlp(network)


def test_too_many_layers_left_out():
    network = fitted(hidden_layer_sizes=(4,))
    for skip in (2, -1, 0.5):
        with pytest.raises(ValueError, match="skip: expected"):
            from_mlp(network, skip=skip)


def test_weights_that_are_not_finite_are_refused():
    network = fitted(hidden_layer_sizes=(4,))
    network.coefs_[1][0, 0] = np.nan
    with pytest.raises(ValueError, match=r"weights\[1\]: expected finite numbers"):
        from_mlp(network)
    network.activation = "softplus"
    with pytest.raises(ValueError, match="expected an activation among identity, logistic"):
        from_mlp(network)
