"""Flows and embeddings: inverses, determinants and derivatives, each against another route."""

import autograd.numpy as anp
import numpy as np
import pytest
from flow_cases import STORED, flow
from frameworks import framework
from hypothesis import given, settings
from hypothesis import strategies as st
from instances import FLOWS, NETWORK

from vaetheory import LatentModel, decoders, derivatives, flows, likelihoods, log_evidence
from vaetheory.checking.lattice import lattice_integral
from vaetheory.claims.flow_limit.scenes import flow_scenes
from vaetheory.decoders import TanhNetwork


@given(flow_scenes(bent=False))
@settings(max_examples=25)
def test_compositions_agree_with_autograd_and_invert(scene):
    f, z = scene.flow, scene.latent
    x = f.forward(z)
    size = np.linalg.norm(f.jacobian(z)) * np.linalg.cond(f.jacobian(z))
    assert np.allclose(f.inverse(x), z, rtol=0, atol=1e-13 * (1 + size)), "inverse"
    J = derivatives.jacobian(f.forward, z[None])[0]
    assert np.isclose(f.log_det(z), np.linalg.slogdet(J)[1], rtol=1e-12, atol=1e-12), "log_det"
    assert np.allclose(f.jacobian(z), J, rtol=1e-11, atol=1e-11), "jacobian"


@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e-3, 0.1, 1.0, 10.0, 1e3, 1e12, 1e100])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_cubic_is_inverted_to_the_last_digits(size, sign):
    x = sign * size
    (z,) = flows.Cubic(1).inverse([x])
    from mpmath import mp

    with mp.workdps(400):
        root = mp.mpf(float(z))
        exact = root - (root + root**3 / 3 - mp.mpf(x)) / (1 + root**2)
        off = float(abs((root - exact) / exact))
    assert off < 4e-16, f"z + z^3 / 3 = {x}: relative error {off}"


@pytest.mark.parametrize("z", [0.0, 1e-12, 1e-3, 5.0, 300.0])
def test_log_dets_at_small_and_large_latents(z):
    from mpmath import mp

    with mp.workdps(40):
        wanted = {"cubic": mp.log(1 + mp.mpf(z) ** 2), "sinh": mp.log(mp.cosh(mp.mpf(z)))}
        for f, exact in ((flows.Cubic(1), wanted["cubic"]), (flows.Sinh(1), wanted["sinh"])):
            value = mp.mpf(float(f.log_det([z])))
            assert abs(value - exact) <= 4e-16 * abs(exact), f"{f}: {value} for {exact}"


def test_affine_finds_its_structure():
    found = {name: FLOWS[name].structure for name in ("full", "diagonal", "lower", "upper")}
    assert found == {name: name for name in found}, f"structures {found}"


def test_a_density_integrates_to_one():
    f = flows.Composition(flows.Affine([0.5, 0.5]), FLOWS["coupling"])
    value, error = lattice_integral(
        lambda x: np.exp(flows.flow_log_density(f, x))[:, None],
        np.array([-5.0, -8.0]),
        np.array([5.0, 8.0]),
        step=0.1,
    )
    assert abs(value[0] - 1) < 1e-9 + error[0], f"the density integrates to {value[0]}"
    assert error[0] < 1e-6, f"the integral is not known: {error[0]}"


def test_a_flow_is_a_decoder():
    f = FLOWS["composition"]
    model = LatentModel(f, likelihoods.Gaussian(scale=1e-3), 2)
    x = f.forward([0.25, -0.5])
    evidence = log_evidence(model, x)
    limit = flows.flow_log_density(f, x)
    assert evidence.reached, f"the evidence was not reached: {evidence}"
    assert abs(evidence.value - limit) < 1e-3, f"{evidence.value} is far from {limit}"


def test_embeddings_have_their_volume():
    helix = flows.Immersion(decoders.Helix(3.0, 4.0), 1)
    squeezed = flows.compose(flows.Affine([2.0]), helix)
    z = np.array([[0.5], [-1.0]])
    assert np.allclose(helix.log_volume(z), 0, atol=1e-15), "unit speed"
    assert np.allclose(squeezed.log_volume(z), np.log(2), atol=1e-15), "twice the speed"
    expected = -0.5 * (z[:, 0] ** 2 + np.log(2 * np.pi)) - np.log(2)
    found = flows.flow_log_density(squeezed, squeezed.forward(z))
    assert np.allclose(found, expected, atol=1e-14), f"{found} for {expected}"


@pytest.mark.parametrize("name", sorted(STORED["flows"]))
def test_embeddings_invert_on_their_image(name):
    dim = 2 if name in ("triangular", "couplings", "mixed", "sphere", "graph") else 1
    f = flow(name, dim)
    z = np.random.default_rng(3).normal(size=(4, dim))
    assert np.allclose(f.inverse(f.forward(z)), z, rtol=0, atol=1e-12), name
    J = f.jacobian(z)
    g = np.swapaxes(J, -1, -2) @ J
    assert np.allclose(f.log_volume(z), 0.5 * np.linalg.slogdet(g)[1], atol=1e-12), name


def test_an_immersion_takes_an_inverse_of_ones_own():
    f = flows.Immersion(
        lambda z: anp.concatenate([z, z**2], axis=-1), 1, inverse=lambda x: x[..., :1]
    )
    assert f.inverse(f.forward([[0.5]])).tolist() == [[0.5]], "the given inverse"
    wrong = flows.Immersion(decoders.Circle(1.0), 1, inverse=lambda x: x[..., :1])
    with pytest.raises(ValueError, match="points of the flow's image"):
        flows.flow_log_density(wrong, wrong.forward([[0.5]]))


def test_c_ima_of_known_matrices():
    angle = 0.3
    oblique = flows.Affine([[1.0, np.cos(angle)], [0.0, np.sin(angle)]])
    found = flows.ima_contrast(oblique, np.zeros((2, 3, 2)))
    assert found.shape == (2, 3), f"shape {found.shape}"
    assert np.allclose(found, -np.log(np.sin(angle)), rtol=1e-14), f"{found}"
    assert flows.ima_contrast(flows.Rotation([0.3, 1.0]), np.ones(3)) == 0, "a rotation loses"
    assert flows.ima_contrast(flows.Affine([1e-9, 1e9]), np.ones(2)) == 0, "a diagonal loses"


def test_c_ima_does_not_depend_on_the_units_of_the_latents():
    W = np.array([[1.0, 0.5], [0.25, -2.0]])
    plain, scaled = (flows.Affine(W @ np.diag(s)) for s in ((1.0, 1.0), (1e-7, 1e7)))
    one, other = (float(flows.ima_contrast(f, np.zeros(2))) for f in (plain, scaled))
    assert abs(one - other) < 1e-14, f"{one} and {other}"


#: A coupling layer whose log scale has no bound.
LOUD = flows.Coupling([True, False], lambda a: anp.concatenate([2000 * a, a], axis=-1))


def test_a_coupling_as_a_decoder_stops_where_it_would_overflow():
    far = LOUD(np.array([1.0, 2.0]))
    assert np.isfinite(far).all(), f"{far}"
    assert np.isfinite(LOUD.jacobian(np.array([1.0, 2.0]))).all(), "the Jacobian"
    z = np.array([0.1, 2.0])
    assert (LOUD(z) == LOUD.forward(z)).all(), "as a decoder it is another function"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: flows.Affine([[1.0, 2.0], [2.0, 4.0]]), "expected an invertible matrix"),
        (lambda: flows.Affine([[1.0, 2.0]]), r"expected shape \(d, d\) or \(d,\)"),
        (lambda: flows.Affine([1.0, 0.0]), "expected an invertible matrix"),
        (lambda: flows.Cubic(0), "latent_dim: expected an integer of at least 1"),
        (lambda: flows.Sinh(1).forward([800.0]), "entries of at most 300"),
        (lambda: flows.Cubic(2).forward([1.0]), r"expected shape \(..., 2\)"),
        (lambda: flows.Cubic(1).inverse([np.nan]), "expected finite numbers"),
        (lambda: flows.Coupling([True, True], NETWORK), "mask: expected booleans"),
        (lambda: flows.Coupling([1, 0], NETWORK), "mask: expected booleans"),
        (lambda: flows.Coupling([True, False], lambda z: z), "conditioner: expected to map"),
        (lambda: flows.Triangular(np.eye(2), [0, 0], [0, 0], np.eye(2)), "strictly lower"),
        (
            lambda: flows.Triangular(np.zeros((2, 2)), [0, 0], [0, 0], [[0, 1], [0, 0]]),
            "shift: expected a lower triangular",
        ),
        (lambda: LOUD.forward([1.0, 1.0]), "log scale: expected entries of at most 300 in size"),
        (lambda: LOUD.inverse([-1.0, 1.0]), "log scale: expected entries of at most 300 in size"),
        (lambda: LOUD.log_det([1.0, 1.0]), "log scale: expected entries of at most 300 in size"),
        (lambda: flows.flow_log_density(LOUD, [1.0, 1.0]), "log scale: expected entries"),
        (
            lambda: flows.Triangular(np.zeros((2, 2)), [0, 0], [0, 800], np.zeros((2, 2))),
            "log_scale: expected entries of at most 300",
        ),
        (lambda: flows.Composition(), "expected at least one"),
        (lambda: flows.Composition(flows.Cubic(1), flows.Cubic(2)), "expected one dimension"),
        (lambda: flows.Composition(decoders.Circle(1.0)), "expected Flows, got Circle"),
        (lambda: flows.compose(decoders.Circle(1.0)), "begin with a Flow or an Embedding"),
        (lambda: flows.compose(flows.Cubic(1), flows.Cubic(2)), "expected latent dimension 1"),
        (lambda: flows.Inverse(decoders.Circle(1.0)), "expected a Flow, got Circle"),
        (lambda: flows.Immersion(decoders.Affine([[1.0, 2.0]]), 2), "at least 2 outputs"),
        (lambda: flows.Immersion(decoders.Circle(1.0), 1, inverse=3), "inverse: expected"),
        (lambda: flows.flow_log_density(decoders.Circle(1.0), [1.0]), "expected a vaetheory Flow"),
        (
            lambda: flows.flow_log_density(flows.Immersion(decoders.Circle(1.0), 1), [2.0, 0.0]),
            "points of the flow's image, got .* at a distance of 1",
        ),
        (
            lambda: flows.flow_log_density(flows.Cubic(1), [12.0], latent=[2.0]),
            "points of the flow's image",
        ),
        (
            lambda: flows.flow_log_density(flows.Cubic(1), [12.0], latent=[[2.0]]),
            r"latent: expected shape \(1,\)",
        ),
        (
            lambda: flows.laplacian_ratio(flows.Immersion(decoders.Circle(1.0), 1), [1.0, 0.0]),
            "expected a Flow, got Immersion",
        ),
        (
            lambda: flows.ima_contrast(flows.Immersion(lambda z: z**2, 2), [1.0, 0.0]),
            "expected full rank",
        ),
    ],
)
def test_bad_input_gets_a_clear_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# An independent library -------------------------------------------------------------------------


@given(st.integers(0, 2**16))
@settings(max_examples=5)
def test_couplings_agree_with_zuko(seed):
    torch, zuko = framework("torch"), framework("zuko")
    torch.manual_seed(seed)
    layers, ours = [], []
    for first in (True, False, True):
        mask = torch.tensor([first, not first, first])
        kept = int(mask.sum())
        network = zuko.nn.MLP(kept, 2 * (3 - kept), [5], activation=torch.nn.Tanh).double()
        numbers = [p.detach().numpy().copy() for p in network.parameters()]
        weights, biases = numbers[0::2], numbers[1::2]
        ours.append(flows.Coupling(mask.numpy().tolist(), TanhNetwork(weights, biases)))

        def meta(a, network=network):
            s, t = network(a).chunk(2, dim=-1)
            affine = torch.distributions.AffineTransform(t, s.exp())
            return zuko.transforms.DependentTransform(affine, 1)

        layers.append(zuko.transforms.CouplingTransform(meta, mask))
    theirs = zuko.transforms.ComposedTransform(*layers)
    flow = flows.Composition(*ours)
    z = np.random.default_rng(seed).normal(size=(7, 3))
    x = flow.forward(z)
    with torch.no_grad():
        y, log_det = theirs.call_and_ladj(torch.from_numpy(z))
        base = zuko.distributions.DiagNormal(torch.zeros(3).double(), torch.ones(3).double())
        density = zuko.distributions.NormalizingFlow(theirs.inv, base).log_prob(torch.from_numpy(x))
    assert np.allclose(x, y.numpy(), rtol=1e-13, atol=1e-13), "forward"
    assert np.allclose(flow.log_det(z), log_det.numpy(), rtol=1e-13, atol=1e-13), "log_det"
    ours = flows.flow_log_density(flow, x)
    assert np.allclose(ours, density.numpy(), rtol=1e-13, atol=1e-12), "log density"
