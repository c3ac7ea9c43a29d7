"""The proposition 7d-evidence: claim 3 under the families that are not among its instances."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders
from vaetheory.checking import Proposition, strategies, wrong
from vaetheory.checking.decomposition import evidence_decomposition
from vaetheory.checking.scenes import ModelScene, curves
from vaetheory.checking.strategies import Vector
from vaetheory.claims.riemannian_likelihood.families import FAMILIES

#: Families for which the exact evidence is known, without those in the instances of claim 3.
BEYOND_CLAIM_3 = (
    "Categorical",
    "Gamma",
    "Beta",
    "negative binomial",
    "exponential",
    "Student-t",
    "von Mises",
    "log-normal",
)


@st.composite
def family_models(draw: DrawFn, names: Sequence[str]) -> ModelScene:
    """Curves of two outputs under a family, a datum of it, and any posterior."""
    family = FAMILIES[draw(st.sampled_from(tuple(names)))]
    decoder = draw(curves().filter(lambda f: not isinstance(f, decoders.Polynomial)))
    if family.least > 2:
        x: Vector = draw(st.sampled_from(((1.0, 0.0), (0.0, 1.0))))
    else:
        x = draw(st.tuples(family.data, family.data).map(lambda pair: (pair[0][0], pair[1][0])))
    return ModelScene(
        decoder,
        family.build(*draw(family.constants)),
        x,
        draw(strategies.vectors(1, -3, 3, 2)),
        draw(strategies.covariances(1, (0.25, 0.5, 1.0, 0.0625))),
    )


EVIDENCE_DECOMPOSITION = Proposition(
    label="7d-evidence",
    title="log p(x) = ELBO + KL(q || p(z|x)) under the families that claim 3 leaves out",
    statement=r"\log p(x) = \mathrm{ELBO}(x; q) + \mathrm{KL}(q \,\|\, p(z|x))",
    hypotheses=(("any model", r"p(x, z) = \mathcal N(z; 0, I)\, p(x|f(z))"),),
    kind="identity",
    instances=family_models(BEYOND_CLAIM_3),
    check=evidence_decomposition,
    controls=wrong(
        evidence_decomposition,
        {
            "the reversed KL": {"divergence": lambda d: d.reverse},
            "the KL subtracted": {"divergence": lambda d: -d.forward},
        },
    ),
    uses=("3a",),
)
