"""Check of 10a-evidence: BILBO + BAGGINS is a lower bound of the log evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, likelihoods
from vaetheory._quadrature.gaussian import hermite_rule
from vaetheory._validation import Array
from vaetheory.bounds import BoundedLikelihood, baggins, bilbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.batches import (
    Batch,
    ModelBatch,
    batches,
    expected_log_likelihood,
    lattice_evidence,
)
from vaetheory.checking.strategies import Vector
from vaetheory.claims.baggins.scenes import MOMENTS, TERM
from vaetheory.decoders import Decoder
from vaetheory.evidence import log_evidence
from vaetheory.rounding import gamma


@dataclass(frozen=True)
class BoundScene:
    """Data, their batch of posteriors, a decoder, and the presumed information."""

    decoder: Decoder
    X: tuple[Vector, ...]
    batch: Batch
    information: float

    @property
    def data(self) -> Array:
        """The data `(B, D)`."""
        return np.array(self.X)

    def term(self, *, at_mean: bool = False) -> BoundedLikelihood:
        """BAGGINS, with the residual averaged by a rule that is exact for the decoder."""
        nodes, weights = hermite_rule(5, 1)
        if at_mean:
            nodes, weights = np.zeros((1, 1)), np.ones(1)
        z = self.batch.means[:, None] + nodes * self.batch.deviations
        fits = np.asarray(self.decoder(z)).reshape(-1, len(self.X[0]))
        return baggins(
            np.repeat(self.data, len(weights), axis=0),
            fits,
            information=self.information,
            weights=np.tile(weights, len(self.X)),
        )


@st.composite
def bound_scenes(draw: DrawFn) -> BoundScene:
    """Two or three data in the plane, decoded from one latent by a line or a parabola."""
    entry = strategies.vectors(2, -3, 3)
    batch = draw(batches(1, min_size=2, max_size=3, reach=3, scales=(0.5, 1.0), distinct=True))
    X = tuple(draw(entry) for _ in batch.loc)
    assume(np.array(X).std(axis=0).min() > 0)
    decoder = decoders.Polynomial([[0], [1], [2]], [draw(entry), draw(entry), draw(entry)])
    return BoundScene(decoder, X, batch, draw(st.sampled_from((0.5, 0.0, 1.0))))


@dataclass(frozen=True)
class NoisyEvidence:
    """BILBO + BAGGINS and what it bounds: means over batch and noise, in nats per datum.

    `expected` is the log likelihood by a second route, and `divergence` the KL of the posteriors
    by a lattice; `error` is the sum of all error figures.
    """

    term: float
    value: float
    expected: float
    noisy: float
    clean: float
    divergence: float
    error: float


def noisy_evidence(
    scene: BoundScene,
    *,
    at_mean: bool = False,
    information: float = 1.0,
    floating: bool = True,
) -> NoisyEvidence:
    """Both sides of the bound; a rule that is exact for the term averages over the noise."""
    term, x, batch = scene.term(at_mean=at_mean), scene.data, scene.batch
    likelihood = likelihoods.Gaussian(scale=np.asarray(term.scale))
    # Log likelihoods are quadratic in the noise: three nodes per axis average them exactly. The
    # evidence is averaged over the same nodes, for which the bound holds as well.
    nodes, weights = hermite_rule(3, 2)
    deviation = x.std(axis=0) * np.exp(-scene.information)
    noisy = (x[:, None] + nodes * deviation).reshape(-1, 2)
    shares = np.tile(weights, len(x)) / len(x)
    repeated = Batch(tuple(r for r in batch.loc for _ in weights), batch.scale)
    whole = ModelBatch(scene.decoder, likelihood, tuple(map(tuple, noisy)), repeated)
    expected, lost = expected_log_likelihood(whole)
    bound = bilbo(np.zeros(len(x)), batch.means, batch.deviations)
    (lattice,) = lattice_evidence(whole, [bound])
    model = whole.rescaled(bound.prior_loc, bound.prior_cov) if floating else whole.model
    evidence, clean = log_evidence(model, noisy), log_evidence(model, x)
    errors = shares @ (lost + evidence.error + lattice.error) + clean.error.mean()
    return NoisyEvidence(
        float(term.value),
        float(term.value) - information * float(bound.information),
        float(shares @ expected),
        float(shares @ evidence.value),
        float(clean.value.mean()),
        float(shares @ lattice.divergence),
        float(errors),
    )


def evidence_bound(
    scene: BoundScene,
    *,
    at_mean: bool = False,
    information: float = 1.0,
    divergence: float = 1.0,
    floating: bool = True,
) -> Comparison:
    """Check that BILBO + BAGGINS is below the mean log evidence, by the mean divergence."""
    sides = noisy_evidence(scene, at_mean=at_mean, information=information, floating=floating)
    size = 10 + abs(sides.expected) + abs(sides.noisy)
    named = {"quadrature": sides.error, "rounding": gamma(1000) * size}
    return Comparison.all_of(
        Comparison.identity(sides.term, sides.expected, scale=size, **named),
        Comparison.identity(
            sides.noisy - sides.value, divergence * sides.divergence, scale=size, **named
        ),
        Comparison.at_most(sides.value, sides.noisy, scale=size, **named),
        Comparison.at_most(sides.value, sides.clean, scale=size, **named),
    )


EVIDENCE_BOUND = Proposition(
    label="10a-evidence",
    title="BILBO + BAGGINS is a lower bound of the log evidence, noisy or not",
    statement=(
        r"\mathbb E_B\mathbb E_\epsilon[\log\hat p(x + \epsilon)] - (T - I)"
        r" = \mathbb E_B\mathbb E_\epsilon"
        r"[\mathrm{KL}(q(z|x)\,\|\,\hat p(z|x + \epsilon))] \ge 0,\quad "
        r"\mathbb E_B[\log\hat p(x)] \ge T - I"
    ),
    hypotheses=(
        MOMENTS,
        TERM,
        (
            "the posterior's residual",
            r"r_i = \mathbb E_B\mathbb E_{q(z|x)}[(x_i - f_i(z))^2]",
        ),
        (
            "BILBO",
            r"q(z|x) = \mathcal N(m(x), \mathrm{diag}\,s^2),\ I \text{ its information},\ "
            r"\hat p \text{ with its floating prior},\ \Lambda = \mathrm{diag}\,\sigma^2",
        ),
    ),
    kind="inequality",
    instances=bound_scenes(),
    check=evidence_bound,
    controls=wrong(
        evidence_bound,
        {
            "the residual at the posterior mean": {"at_mean": True},
            "half of the information term": {"information": 0.5},
            "the divergence of the wrong sign": {"divergence": -1.0},
            "the evidence under N(0, I)": {"floating": False},
        },
    ),
    uses=("6a", "6c", "10a"),
    figure="baggins",
    examples=8,
)
