"""Check of 9c: with a learned sigma the ELBO of data on a manifold has no upper bound."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians, decoders, likelihoods
from vaetheory._gaussians import LOG_2PI
from vaetheory.bounds.gaussian_elbo import elbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.instability.growth import LADDER, counterpart_is_bounded, growth
from vaetheory.claims.instability.hypotheses import GAUSSIAN
from vaetheory.decoders import Decoder
from vaetheory.encoders import Posterior
from vaetheory.models import LatentModel


@dataclass(frozen=True)
class ManifoldScene:
    """A polynomial decoder, codes whose images are the data, and the coarsest sigma."""

    coefficients: tuple[Vector, ...]
    codes: tuple[Vector, ...]
    coarsest: float

    @property
    def decoder(self) -> Decoder:
        """Cubic for one latent dimension, quadratic for two."""
        powers = [[1], [2], [3]] if len(self.codes[0]) == 1 else [[1, 0], [0, 1], [1, 1]]
        return decoders.Polynomial(powers, np.array(self.coefficients))


@st.composite
def manifold_scenes(draw: DrawFn) -> ManifoldScene:
    """Curves in one to four dimensions and surfaces in two to four; D = d is among them."""
    d = draw(st.sampled_from((1, 1, 2)))
    data_dim = draw(st.integers(d, 4))
    coefficients = draw(st.tuples(*[strategies.vectors(data_dim)] * 3))
    codes = draw(st.lists(strategies.vectors(d, -3, 3), min_size=2, max_size=3, unique=True))
    scene = ManifoldScene(coefficients, tuple(codes), draw(st.sampled_from((1.0, 1 / 64, 1 / 512))))
    z = np.array(codes)
    slopes = scene.decoder.jacobian(z)
    assume(np.linalg.svd(slopes, compute_uv=False).min() > 0.25)
    assume(scene.decoder(z).var(axis=0).min() > 0)
    return scene


def manifold_growth(scene: ManifoldScene, *, slope: str = "D - d") -> Comparison:
    """Check the growth of the ELBO as sigma falls, and the bound of its counterpart."""
    decoder, z = scene.decoder, np.array(scene.codes)
    X, d = np.asarray(decoder(z)), z.shape[1]
    jacobian = decoder.jacobian(z)
    metric = np.swapaxes(jacobian, -1, -2) @ jacobian
    least = float(np.linalg.eigvalsh(metric).min()) ** 0.5
    bend = float(np.abs(decoder.hessian(z)).max())
    scales = scene.coarsest * least * min(1.0, least / max(bend, 1e-3)) / 32 * LADDER
    values, errors, parts = [], [], []
    for scale in scales:
        model = LatentModel(decoder, likelihoods.Gaussian(scale=float(scale)), d)
        posterior = Posterior(z, cov=np.linalg.inv(metric / scale**2 + np.eye(d)))
        bound = elbo(model, X, posterior)
        values.append(float(bound.value.mean()))
        errors.append(float(bound.error.mean()))
        parts.append(counterpart_is_bounded(decoder, X, posterior))
    data_dim = X.shape[1]
    exponent = {"D - d": data_dim - d, "D": data_dim, "D + d": data_dim + d}[slope]
    constant = _gaussians.standard_log_prob(z) - 0.5 * _gaussians.log_det(metric)
    constant = constant.mean() - (data_dim - d) / 2 * LOG_2PI
    return Comparison.all_of(
        growth(
            np.array(values), np.array(errors), scales, slope=exponent, constant=float(constant)
        ),
        *parts,
    )


MANIFOLD_DATA = Proposition(
    label="9c",
    title="With a learned sigma and D > d the ELBO has no upper bound",
    statement=(
        r"\mathrm{ELBO}(\sigma) = -(D - d)\log\sigma - \tfrac{D - d}{2}\log 2\pi"
        r" + \mathbb E_n[\log\mathcal N(z_n; 0, I) - \tfrac12\log\det g(z_n)]"
        r" + O(\sigma^2);\quad \text{BAGGINS} - \mathrm{KL} \le"
        r"-\tfrac12\textstyle\sum_i\log 2\pi e v_i + Dh"
    ),
    hypotheses=(
        GAUSSIAN,
        ("data on a d-dimensional set", r"x_n = f(z_n),\ f \text{ an immersion}"),
        ("posterior", r"\mathcal N(z_n, (I + g/\sigma^2)^{-1})"),
        ("spread", r"v_i > 0"),
    ),
    kind="rate",
    instances=manifold_scenes(),
    check=manifold_growth,
    controls=wrong(
        manifold_growth,
        {
            "D for D - d": {"slope": "D"},
            "D + d for D - d": {"slope": "D + d"},
        },
    ),
    uses=("3a",),
    figure="instability",
    resolution=0.01,
    examples=8,
)
