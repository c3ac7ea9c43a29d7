"""Checks of 6d and 6e: the order of the forms of the information term, and what they measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import _gaussians
from vaetheory._quadrature.gaussian import gaussian_expectation
from vaetheory._validation import Array
from vaetheory.bounds import FORMS, bilbo
from vaetheory.checking import Comparison, Proposition, strategies, wrong
from vaetheory.checking.batches import Batch, batches
from vaetheory.checking.lattice import aggregate_expectation
from vaetheory.checking.strategies import Covariance, Vector
from vaetheory.claims.bilbo.scenes import ENCODER, FINITE, FLOATING
from vaetheory.encoders import AggregatePosterior
from vaetheory.rounding import gamma

# 6d ---------------------------------------------------------------------------------------------


@st.composite
def ordered_batches(draw: DrawFn) -> Batch:
    """Batches of any means; of means in pairs +-m; and of such pairs along the axes."""
    dim = draw(st.sampled_from((1, 2, 3)))
    scales = (1.0, 0.5, 2.0, 0.0625)
    batch = draw(batches(dim, max_size=5, reach=8, scales=scales))
    kind = draw(st.sampled_from(("any", "any", "pairs", "axes")))
    if kind == "any":
        return batch
    rows = batch.loc
    if kind == "axes":
        lengths = draw(strategies.vectors(dim, 1, 4))
        rows = tuple(tuple(map(float, row)) for row in np.diag(lengths))
    mirrored = tuple(tuple(-v + 0.0 for v in row) for row in rows)
    return Batch(rows + mirrored, batch.scale)


def centring_gain(means: Array, deviations: Array) -> float:
    """1/2 sum_j log((s^2 + E m^2) / (s^2 + Var m)), by the square of the mean."""
    total = deviations**2 + means.var(axis=0)
    return float(0.5 * np.log1p(means.mean(axis=0) ** 2 / total).sum())


def hadamard_deficit(means: Array, deviations: Array) -> float:
    """-1/2 log det of the correlations of S + Cov(m)."""
    total = np.diag(deviations**2) + np.cov(means.T, bias=True).reshape(2 * [len(deviations)])
    root = np.sqrt(np.diagonal(total))
    return float(-0.5 * np.linalg.slogdet(total / np.outer(root, root))[1])


def linear_gain(means: Array, deviations: Array) -> float:
    """The first order of the logarithm."""
    total = deviations**2 + means.var(axis=0)
    return float(0.5 * (means.mean(axis=0) ** 2 / total).sum())


def doubled_variance(means: Array, deviations: Array) -> float:
    """The correlations of the prior with twice the posterior's variance."""
    return hadamard_deficit(means, np.sqrt(2) * deviations)


def forms_in_order(
    batch: Batch,
    *,
    centring: Callable[[Array, Array], float] = centring_gain,
    correlation: Callable[[Array, Array], float] = hadamard_deficit,
    sign: float = 1.0,
) -> Comparison:
    """Check that zero-mean diagonal <= centred diagonal <= centred full, and by how much."""
    means, deviations = batch.means, batch.deviations
    values = [float(bilbo(np.zeros(len(means)), means, deviations, form=f).value) for f in FORMS]
    gains = [centring(means, deviations), correlation(means, deviations)]
    total = np.diag(deviations**2) + np.cov(means.T, bias=True).reshape(2 * [len(deviations)])
    root = np.sqrt(np.diagonal(total))
    condition = float(np.linalg.cond(total / np.outer(root, root)))
    size = len(deviations) + max(abs(v) for v in values)
    rounding = gamma(100 * len(deviations)) * size * np.array([1.0, condition])
    steps = np.diff(values)
    return Comparison.all_of(
        Comparison.at_most(0.0, sign * steps, scale=size, rounding=rounding),
        Comparison.identity(steps, gains, scale=size, rounding=rounding),
    )


FORMS_IN_ORDER = Proposition(
    label="6d",
    title="The forms in order: each freedom of the prior tightens the bound",
    statement=(
        r"\mathrm{BILBO}_{\mathrm{centred}} - \mathrm{BILBO}_{\mathrm{diagonal}}"
        r" = \tfrac12\sum_j\log\frac{s_j^2 + \mathbb E[m_j^2]}{s_j^2 + \mathrm{Var}[m_j]}"
        r" \ge 0,\quad "
        r"\mathrm{BILBO}_{\mathrm{full}} - \mathrm{BILBO}_{\mathrm{centred}}"
        r" = -\tfrac12\log\det\mathrm{corr}(S + \mathrm{Cov}[m]) \ge 0"
    ),
    hypotheses=(ENCODER, FLOATING),
    kind="inequality",
    instances=ordered_batches(),
    check=forms_in_order,
    controls=wrong(
        forms_in_order,
        {
            "the other order": {"sign": -1.0},
            "the first order of the logarithm": {"centring": linear_gain},
            "correlations with twice the posterior variance": {"correlation": doubled_variance},
        },
    ),
    uses=("6a",),
    figure="bilbo",
)


# 6e ---------------------------------------------------------------------------------------------


@st.composite
def mixtures(draw: DrawFn) -> Batch:
    """Data sets of two to four distinct means in one or two dimensions."""
    dim = draw(st.sampled_from((1, 1, 2)))
    # With means further apart the log responsibilities bend too sharply for Gauss-Hermite.
    reach, scales = (4, (1.0, 0.5, 0.25)) if dim == 1 else (2, (1.0, 0.5))
    return draw(batches(dim, min_size=2, reach=reach, scales=scales, distinct=True))


def information_is_split(
    batch: Batch,
    *,
    divergence_form: str | None = None,
    reverse: bool = False,
    sign: float = 1.0,
) -> Comparison:
    """Check that information = I_q(x; z) by Gauss-Hermite + KL(q(z) || fitted) by lattice."""
    encoder, count, d = batch.encoder, len(batch.loc), len(batch.scale)
    mutual_value, mutual_error = mutual_information(encoder)
    parts = [
        Comparison.at_most(mutual_value, np.log(count), scale=d, quadrature=mutual_error),
        Comparison.at_most(0.0, mutual_value, scale=d, quadrature=mutual_error),
    ]
    bounds = {f: bilbo(np.zeros(count), batch.means, batch.deviations, form=f) for f in FORMS}
    for form in FORMS:
        bound = bounds[divergence_form or form]
        fitted = AggregatePosterior(bound.prior_loc[None], cov=bound.prior_cov)
        value, error, size = _divergence(*((fitted, encoder) if reverse else (encoder, fitted)))
        scale = bounds[form].information + size + d
        error += gamma(100 * d) * scale * float(np.linalg.cond(bound.prior_cov))
        parts += [
            Comparison.identity(
                bounds[form].information,
                mutual_value + sign * value,
                scale=scale,
                quadrature=mutual_error,
                lattice=error,
            ),
            # A mixture of two or more is not Gaussian: the divergence is more than its error.
            Comparison(max(2 * error - value, 0.0), 0.0, {}, scale),
        ]
    return Comparison.all_of(*parts)


MIXTURE_INFORMATION = Proposition(
    label="6e",
    title="The information term is the mutual information and what no Gaussian prior fits",
    statement=(
        r"\tfrac12\log\det(I + S^{-1}\mathrm{Cov}[m]) = I_q(x; z)"
        r" + \mathrm{KL}(q(z)\,\|\,\mathcal N(\hat\mu, \hat V)),\quad "
        r"\text{and so for each form with its own fitted Gaussian;}\quad \mathrm{KL} > 0"
    ),
    hypotheses=(ENCODER, FINITE, ("two or more", r"\text{distinct means } m(x_n)")),
    kind="identity",
    instances=mixtures(),
    check=information_is_split,
    controls=wrong(
        information_is_split,
        {
            "every form with the full form's Gaussian": {"divergence_form": "full"},
            "the reverse divergence": {"reverse": True},
            "the divergence subtracted": {"sign": -1.0},
            "the mutual information alone": {"sign": 0.0},
        },
    ),
    uses=("6a",),
    figure="bilbo",
    examples=10,
)


def mutual_information(encoder: AggregatePosterior) -> tuple[float, float]:
    """I_q(x; z) of a finite data set by Gauss-Hermite and finer rules, and its error."""
    count = len(encoder.loc)

    def own_share(z: Array, rows: np.ndarray) -> Array:
        shares = encoder.log_responsibilities(z)
        return np.take_along_axis(shares, rows[:, None, None], axis=-1)[..., 0]

    # log q(z|x_n) - log q(z) is the log responsibility of n plus log N.
    mutual = gaussian_expectation(own_share, encoder.loc, encoder.cov)
    value = float(mutual.value.mean()) + np.log(count)
    error = float(mutual.error.mean()) + gamma(100) * np.log(count)
    return value, error


def mixture_information(batch: Batch) -> tuple[tuple[float, float], tuple[float, float]]:
    """I_q(x; z) and KL(q(z) || the full form's Gaussian), each with its error."""
    bound = bilbo(np.zeros(len(batch.loc)), batch.means, batch.deviations, form="full")
    fitted = AggregatePosterior(bound.prior_loc[None], cov=bound.prior_cov)
    value, error, _ = _divergence(batch.encoder, fitted)
    return mutual_information(batch.encoder), (value, error)


def _divergence(one: AggregatePosterior, other: AggregatePosterior) -> tuple[float, float, float]:
    """KL between two aggregate posteriors by a lattice over the first, its error and its size."""
    return aggregate_expectation(
        lambda z: one.aggregate_log_prob(z) - other.aggregate_log_prob(z), one
    )


@dataclass(frozen=True)
class LinearSource:
    """Data x ~ N(0, cov), infinitely many, with the linear encoder N(W x + b, diag(s^2))."""

    cov: Covariance
    weight: tuple[Vector, ...]
    bias: Vector
    scale: Vector


@st.composite
def linear_sources(draw: DrawFn) -> LinearSource:
    """Sources of one to three dimensions with encoders of one or two."""
    data_dim, dim = draw(st.sampled_from(((1, 1), (2, 1), (2, 2), (3, 2))))
    return LinearSource(
        draw(strategies.covariances(data_dim)),
        tuple(draw(strategies.vectors(data_dim)) for _ in range(dim)),
        draw(strategies.vectors(dim)),
        draw(st.tuples(*[st.sampled_from((1.0, 0.5, 0.25))] * dim)),
    )


def gaussian_information(
    source: LinearSource, *, form: str = "full", finite: bool = False
) -> Comparison:
    """Check that for Gaussian q(z) the information is the mutual information, the divergence 0."""
    weight, cov, bias = np.array(source.weight), source.cov.matrix, np.array(source.bias)
    deviations, size = np.array(source.scale), len(source.cov.variances)
    # 2 D data at +-sqrt(D) times the columns of a root have the moments of the whole source.
    root = np.sqrt(size) * np.linalg.cholesky(cov).T
    codes = np.concatenate([root, -root]) @ weight.T + bias
    bound = bilbo(np.zeros(2 * size), codes, deviations, form=form)
    code_cov = weight @ cov @ weight.T + np.diag(deviations**2)
    joint = np.block([[cov, cov @ weight.T], [weight @ cov, code_cov]])
    mutual = float(
        _gaussians.entropy(cov) + _gaussians.entropy(code_cov) - _gaussians.entropy(joint)
    )
    if finite:
        encoder = AggregatePosterior(codes, scale=deviations)
        entropy = float(_gaussians.entropy(np.diag(deviations**2)))
        mixed, *_ = aggregate_expectation(lambda z: -encoder.aggregate_log_prob(z), encoder)
        mutual = mixed - entropy
    divergence = float(_gaussians.kl_divergence(bias, code_cov, bound.prior_loc, bound.prior_cov))
    condition = float(np.linalg.cond(joint)) + float(np.linalg.cond(code_cov))
    d = len(deviations)
    scale = bound.information + abs(float(_gaussians.entropy(joint))) + size + d
    rounding = gamma(100 * (size + d) ** 2) * condition * scale
    return Comparison.all_of(
        Comparison.identity(bound.information, mutual, scale=scale, rounding=rounding),
        Comparison.identity(divergence, 0.0, scale=scale, rounding=rounding),
    )


GAUSSIAN_INFORMATION = Proposition(
    label="6e-gaussian",
    title="Where q(z) is Gaussian the full term is the mutual information",
    statement=(
        r"x \sim \mathcal N(0, \Sigma),\ m(x) = Wx + b:\quad "
        r"\tfrac12\log\det(I + S^{-1}W\Sigma W^\top) = I_q(x; z) = H[x] + H[z] - H[x, z],"
        r"\quad \mathrm{KL}(q(z)\,\|\,\mathcal N(\hat\mu, \hat V)) = 0"
    ),
    hypotheses=(
        ENCODER,
        ("Gaussian data", r"x \sim \mathcal N(0, \Sigma)"),
        ("linear encoder", r"m(x) = Wx + b"),
    ),
    kind="identity",
    instances=linear_sources(),
    check=gaussian_information,
    controls=wrong(
        gaussian_information,
        {
            "the centred form": {"form": "centred"},
            "the diagonal form": {"form": "diagonal"},
            "a finite data set of the same moments": {"finite": True},
        },
    ),
    uses=("6e",),
)
