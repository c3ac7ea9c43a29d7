"""The families, decoders and flows of the library, by name: what the laws are tried on."""

import autograd.numpy as anp
import numpy as np
from autograd.scipy.special import erf

from vaetheory import AggregatePosterior, OptimalDecoder, decoders, flows
from vaetheory.decoders import TanhNetwork
from vaetheory.likelihoods import (
    Bernoulli,
    Beta,
    Categorical,
    ContinuousBernoulli,
    Exponential,
    Gamma,
    Gaussian,
    GaussianMeanScale,
    Laplace,
    LogNormal,
    NegativeBinomial,
    Poisson,
    StudentT,
    Uniform,
    VonMises,
)

LIKELIHOODS = {
    "Gaussian": Gaussian(scale=0.5),
    "Gaussian of small scale": Gaussian(scale=1e-4),
    "Gaussian of two scales": Gaussian(scale=[0.5, 2.0]),
    "Gaussian of a covariance": Gaussian(cov=[[1.0, 0.6], [0.6, 2.0]]),
    "Gaussian of four scales": Gaussian(scale=[0.5, 1.0, 2.0, 3.0]),
    "GaussianMeanScale": GaussianMeanScale(least_scale=0.01),
    "GaussianMeanScale of a great floor": GaussianMeanScale(least_scale=3.0),
    "GaussianMeanScale of two floors": GaussianMeanScale(least_scale=[1e-6, 0.25]),
    "GaussianMeanScale of one dimension": (GaussianMeanScale(least_scale=0.01), {"data_dim": 1}),
    "Bernoulli": Bernoulli(),
    "Bernoulli at certainty": (Bernoulli(), {"params": [[30.0, -30.0], [0.0, 8.0]]}),
    "ContinuousBernoulli": ContinuousBernoulli(),
    "ContinuousBernoulli at the ends": (
        ContinuousBernoulli(),
        {"params": [[1e3, -1e3], [1e-9, 1e5]]},
    ),
    "Categorical": Categorical(),
    "Categorical of two": (Categorical(), {"data_dim": 2}),
    "Poisson": Poisson(),
    "Poisson of great rates": (Poisson(), {"params": [[6.0, 8.0], [-8.0, 3.0]]}),
    "NegativeBinomial": NegativeBinomial(shape=2.0),
    "NegativeBinomial of small shape": NegativeBinomial(shape=0.05),
    "NegativeBinomial of great shape": NegativeBinomial(shape=1e8),
    "Gamma": Gamma(shape=2.0),
    "Gamma of small shape": Gamma(shape=0.5),
    "Gamma of great shape": Gamma(shape=1e6),
    "Exponential": Exponential(),
    "LogNormal": LogNormal(scale=0.5),
    "LogNormal of two scales": LogNormal(scale=[0.5, 2.0]),
    "Beta": Beta(concentration=8.0),
    "Beta of small concentration": Beta(concentration=1.0),
    "Beta of great concentration": Beta(concentration=1e6),
    "StudentT": StudentT(dof=3.0, scale=0.5),
    "StudentT of two scales": StudentT(dof=4.0, scale=[0.5, 2.0]),
    "Cauchy": StudentT(dof=1.0, scale=0.5),
    "StudentT of many degrees": StudentT(dof=1e8, scale=2.0),
    "VonMises": VonMises(concentration=2.0),
    "VonMises of small concentration": VonMises(concentration=1e-3),
    "VonMises of great concentration": VonMises(concentration=1e6),
    "Uniform": Uniform(),
    "Laplace": Laplace(scale=0.5),
}

TWO_LAYERS = TanhNetwork(
    [[[1.0, 0.5], [-1.0, 2.0], [0.0, 1.0]], [[1.0, 1.0, -2.0]]], [[0.0, 0.1, 0.2], [0.5]]
)
THREE_LAYERS = TanhNetwork(
    [[[1.0], [-0.5]], [[0.5, 1.0], [1.0, -1.0], [0.3, 0.2]], [[1.0, 2.0, 3.0]] * 2],
    [[0.0, 0.5], [0.1, 0.2, 0.3], [0.0, 1.0]],
)


def sine(z):
    return anp.sin(z) * z[..., :1]


def ones(z):
    return anp.ones((*z.shape[:-1], 3))


def twice(z):
    return 2.0 * z


def error_function(z):
    return erf(z)


#: Each with its latent and its data dimension.
RELU_NETWORK = decoders.PiecewiseLinear.network(
    [
        [[1.0, 0.5], [-0.5, 1.0], [0.0, 0.0]],
        [[1.0, -1.0, 2.0], [0.5, 1.0, -1.0]],
        [[1.0, 2.0], [-1.0, 0.5]],
    ],
    [[0.25, -0.5, 1.0], [0.0, 0.5], [1.0, 0.0]],
)
UNITS_OF_THEIR_OWN = decoders.PiecewiseLinear(
    [
        decoders.LinearMap([[1.0], [2.0]]),
        decoders.ElementwisePieces.hard_tanh(-0.5, 1.0),
        decoders.LinearMap([[1.0, 0.5], [-1.0, 1.0], [0.0, 1.0]], [0.25, 0.0, -0.5]),
        decoders.ElementwisePieces.leaky_relu([0.25, -1.0, 0.0]),
        decoders.LinearMap([[1.0, -1.0, 0.5], [0.0, 0.5, 1.0]]),
    ]
)

DECODERS = {
    "affine": (decoders.Affine([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], [1.0, 0.0, -1.0]), 2, 3),
    "affine without bias": (decoders.Affine([[1.0, 2.0]]), 2, 1),
    "polynomial": (decoders.Polynomial([[2, 0], [1, 1]], [[1.0, 0.0, 2.0], [0.5, 1.0, 0.0]]), 2, 3),
    "circle": (decoders.Circle(2.0), 1, 2),
    "helix": (decoders.Helix(3.0, 4.0), 1, 3),
    "one layer": (TanhNetwork([[[1.0, 2.0]]], [[0.5]]), 2, 1),
    "two layers": (TWO_LAYERS, 2, 1),
    "three layers": (THREE_LAYERS, 1, 2),
    "catenary": (decoders.Catenary(0.75), 1, 2),
    "cylinder": (decoders.Cylinder(0.75), 2, 3),
    "flat torus": (decoders.FlatTorus(0.75, 1.5), 2, 4),
    "sphere patch": (decoders.SpherePatch(1.5), 2, 3),
    "sine": (decoders.Sine([1.0, 2.0], [[1.0, 2.0], [3.0, 0.0]], [0.5, 0.0]), 2, 2),
    "sine without phase": (decoders.Sine([1.0], [[1.0]]), 1, 1),
    "reparametrised": (decoders.Reparametrised(decoders.Circle(1.0), [[2.0, 1.0]], [0.5]), 2, 2),
    "after a twist": (decoders.Composed(TWO_LAYERS, flows.Twist(2, 0.25)), 2, 1),
    "affine after a twist": (
        decoders.Composed(decoders.Affine([[1.0, 2.0, 0.5]] * 2), flows.Twist(3, -0.5, (0, 2))),
        3,
        2,
    ),
    "ReLU network": (RELU_NETWORK, 2, 2),
    "hard tanh and units of their own": (UNITS_OF_THEIR_OWN, 1, 2),
    "reparametrised ReLU network": (
        decoders.Reparametrised(RELU_NETWORK, [[1.0], [-0.5]], [0.25, 0.5]),
        1,
        2,
    ),
    "last layer": (
        decoders.LastLayer(decoders.Circle(1.0), [[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]], [0.5] * 3),
        1,
        3,
    ),
    "function": (decoders.FunctionDecoder(sine), 2, 2),
    "constant function": (decoders.FunctionDecoder(ones), 2, 3),
    "linear function": (decoders.FunctionDecoder(twice), 2, 2),
    "function by reverse mode": (decoders.FunctionDecoder(error_function), 2, 2),
    "optimal": (
        OptimalDecoder(
            [[0.0, 1.0], [1.0, -1.0], [2.0, 0.0]],
            AggregatePosterior(np.eye(3)[:, :2], cov=np.diag([1.0, 0.5])),
        ),
        2,
        2,
    ),
    "optimal, variances that differ": (
        OptimalDecoder([[0.0], [1.0]], AggregatePosterior([[-1.0], [1.0]], scale=[[1.0], [0.5]])),
        1,
        1,
    ),
}

NETWORK = TanhNetwork([[[1.0], [-0.5]], [[0.5, 0.25], [1.0, -0.75]]], [[0.25, 0.5], [0.0, 0.5]])
WIDE = TanhNetwork([[[1.0, 0.5]], [[1.0], [0.5]]], [[0.25], [0.0, 0.5]])
TRIANGULAR = flows.Triangular(
    [[0, 0, 0], [1, 0, 0], [0.5, -1, 0]],
    [0.25, -0.5, 0.5],
    [0.5, 0.75, -1],
    [[0.5, 0, 0], [0.25, 1, 0], [1, 0, 0.5]],
)


def wave_and_square(z):
    return anp.concatenate([anp.sin(z), z**2], axis=-1)


def first(x):
    return x[..., :1]


FLOWS = {
    "full": flows.Affine([[2.0, 0.5], [-1.0, 1.0]], [0.5, -1.0]),
    "diagonal": flows.Affine([2.0, -0.5]),
    "lower": flows.Affine([[2.0, 0.0], [3.0, -1.0]]),
    "upper": flows.Affine([[2.0, 3.0], [0.0, 1.0]]),
    "rotation": flows.Rotation([0.5, -1.0]),
    "cubic": flows.Cubic(2),
    "sinh": flows.Sinh(2),
    "triangular": TRIANGULAR,
    "twist": flows.Twist(3, -0.5, (2, 0)),
    "coupling": flows.Coupling([True, False], NETWORK),
    "second coupling": flows.Coupling(
        [False, True, False], TanhNetwork([np.ones((4, 1))], [np.ones(4)])
    ),
    "wide coupling": flows.Coupling([True, False, True], WIDE),
    "function coupling": flows.Coupling([True, False], wave_and_square),
    "inverse cubic": flows.Inverse(flows.Cubic(2)),
    "inverse coupling": flows.Inverse(flows.Coupling([True, False], NETWORK)),
    "composition": flows.Composition(
        flows.Affine([[2.0, 0.5], [-1.0, 1.0]]),
        flows.Cubic(2),
        flows.Coupling([True, False], NETWORK),
    ),
}

EMBEDDINGS = {
    "immersed helix": flows.Immersion(decoders.Helix(3.0, 4.0), 1),
    "parabola": flows.Immersion(
        decoders.Polynomial([[1], [2]], [[1.0, 0.0], [0.0, 1.0]]), 1, inverse=first
    ),
    "immersed sphere": flows.compose(flows.Affine([2.0, 0.5]), decoders.SpherePatch(1.5)),
}
