"""Checks of 21c: environments with shifted priors determine latents, or leave a rigid motion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from vaetheory import decoders, flows, likelihoods
from vaetheory._validation import Array
from vaetheory.checking import Comparison, Proposition, once, strategies, together, wrong
from vaetheory.checking.strategies import Vector
from vaetheory.claims.identifiability.environment_scenes import (
    INJECTIVE,
    SHIFTED,
    CurvedDecoder,
    Environments,
    curved_decoders,
    log_densities,
    shifted_environments,
)
from vaetheory.evidence import linear_log_evidence
from vaetheory.flows import compose, flow_log_density
from vaetheory.identifiability import latents_from_environments
from vaetheory.models import LatentModel
from vaetheory.rounding import gamma

SPANNING = (
    "d + 1 environments",
    r"\mu_1 - \mu_0, \dots, \mu_d - \mu_0 \text{ linearly independent}",
)


def volumes(scenes: Sequence[Environments]) -> Array:
    """Log volumes at the latents, `(I,)`."""
    return np.array([float(s.decoder.log_volume(s.latent)) for s in scenes])


@together(alike=lambda scene: scene.shape)
def determined(
    scenes: Sequence[Environments], *, shift: float = 0.0, volume: float = 0.0
) -> list[Comparison]:
    """Compare the solution of the linear system with the latent."""
    logs, errors = log_densities(tuple(scenes))
    z = np.array([s.z for s in scenes])
    means = np.array([s.means for s in scenes])
    exact = -0.5 * ((z[:, None] - means) ** 2).sum(axis=-1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    exact = exact - volumes(scenes)[:, None]
    used = logs + shift * (means**2).sum(axis=-1)
    # The volume left in for one environment and not for the other.
    used[:, 1:] += volume * volumes(scenes)[:, None]
    found = [
        latents_from_environments(row, s.means, error=off)
        for row, s, off in zip(used, scenes, errors, strict=True)
    ]
    value, error = (np.array([getattr(f, name) for f in found]) for name in ("value", "error"))
    consistent = np.array([float(f.consistent) for f in found])
    moved = np.array([s.decoder.spread(s.latent) for s in scenes])
    size = 1 + np.abs(z).max(axis=-1, keepdims=True)
    each = [
        Comparison.identities(logs, exact, scale=1 + np.abs(exact), change_of_variables=errors),
        Comparison.identities(value, z, scale=size, library=error, inversion=moved[:, None]),
        Comparison.identities(consistent, 1.0, scale=1.0, exact=0.0),
    ]
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


DETERMINED = Proposition(
    label="21c",
    title="The densities of a datum in d + 1 environments of known shifts determine its latent",
    statement=(
        r"(\mu_u - \mu_0)^\top f^{-1}(x) = \log\frac{p(x|u)}{p(x|0)} + "
        r"\tfrac12\big(\|\mu_u\|^2 - \|\mu_0\|^2\big),\quad u = 1, \dots, d"
    ),
    hypotheses=(INJECTIVE, SHIFTED, SPANNING, ("known means", r"\mu_u \text{ known}")),
    kind="identity",
    instances=shifted_environments(),
    check=determined,
    controls=wrong(
        determined,
        {
            "the logarithm of the ratio alone": {"shift": -0.5},
            "half of the squares subtracted": {"shift": -1.0},
            "the volume of the decoder does not cancel": {"volume": 1.0},
        },
    ),
    uses=("8a", "8c"),
    figure="identifiability",
    examples=12,
)


@dataclass(frozen=True)
class MovedModel:
    """Environments, and a rigid or another linear motion of the latents."""

    first: Environments
    angles: tuple[int, ...]
    mirror: bool
    shift: Vector

    @property
    def shape(self) -> tuple[int, int]:
        """As that of the environments."""
        return self.first.shape

    def motion(self, kind: str) -> tuple[Array, Array]:
        """Q and t of z' = Q z + t."""
        d = len(self.shift)
        Q = strategies.rotation(self.angles, d)
        if self.mirror:
            Q = Q * np.where(np.arange(d) == 0, -1.0, 1.0)
        if kind == "scaled":
            Q = Q * np.where(np.arange(d) == 0, 1.5, 1.0)
        return Q, np.array(self.shift)


@st.composite
def moved_models(draw: DrawFn) -> MovedModel:
    """Rotations, mirror images and shifts."""
    first = draw(shifted_environments())
    d = len(first.z)
    return MovedModel(
        first, draw(strategies.angles(d)), draw(st.booleans()), draw(strategies.vectors(d))
    )


@once
def other_densities(scenes: tuple[MovedModel, ...], kind: str) -> Array:
    """Log p(x|u) of the moved model, f after the inverse motion and moved means, `(I, U)`."""
    values = []
    for s in scenes:
        Q, t = s.motion(kind)
        back = np.linalg.inv(Q)
        undo = flows.Affine(back, -back @ t)
        f = s.first.decoder.flow
        x = f(s.first.latent)
        rows = []
        for mean in s.first.means:
            prior = flows.Affine(np.ones(len(t)), Q @ np.array(mean) + t)
            rows.append(float(flow_log_density(compose(prior, undo, f), x)))
        values.append(rows)
    return np.array(values)


@together(alike=lambda scene: scene.shape)
def rigid(
    scenes: Sequence[MovedModel], *, kind: str = "rigid", order: str = "moved"
) -> list[Comparison]:
    """Compare the densities of the two models, and the latents that each reads from them."""
    logs, errors = log_densities(tuple(s.first for s in scenes))
    others = other_densities(tuple(scenes), kind)
    motions = [s.motion(kind) for s in scenes]
    Q, t = (np.array([m[k] for m in motions]) for k in (0, 1))
    z = np.array([s.first.z for s in scenes])
    means = np.array([s.first.means for s in scenes])
    moved_means = means @ np.swapaxes(Q, 1, 2) + t[:, None]
    found = [
        latents_from_environments(row, m, error=off)
        for row, m, off in zip(logs, moved_means, errors, strict=True)
    ]
    value, error = (np.array([getattr(f, name) for f in found]) for name in ("value", "error"))
    told = (Q @ z[..., None])[..., 0] + t
    if order == "permuted":
        # The nearest signed permutation of the latents.
        first = np.argsort(np.argsort(np.abs(value), axis=-1), axis=-1)
        told = np.sign(value) * np.take_along_axis(np.sort(np.abs(z), axis=-1), first, axis=-1)
    if order == "unshifted":
        told = told - t
    spread = np.array([s.first.decoder.spread(s.first.latent) for s in scenes])[:, None]
    size = 1 + np.abs(told).max(axis=-1, keepdims=True)
    reach = 1 + np.abs(moved_means).max(axis=(1, 2))[:, None]
    each = [
        Comparison.identities(
            others, logs, scale=1 + np.abs(logs), change_of_variables=3 * errors,
            motion=gamma(200) * reach**2,
        ),
        Comparison.identities(value, told, scale=size, library=error, inversion=spread,
                              motion=gamma(40 * z.shape[1]) * size),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


RIGID = Proposition(
    label="21c-rigid",
    title="If the shifts are not known, a rigid motion of the latents remains, and nothing else",
    statement=(
        r"p_{f, \mu}(x|u) = p_{f', \mu'}(x|u) \text{ for all } u, x \iff f'^{-1} = Qf^{-1} + t,\ "
        r"\mu_u' = Q\mu_u + t,\ Q^\top Q = I"
    ),
    hypotheses=(INJECTIVE, SHIFTED, SPANNING),
    kind="identity",
    instances=moved_models(),
    check=rigid,
    controls=wrong(
        rigid,
        {
            "any invertible linear map remains": {"kind": "scaled"},
            "only permutations and signs remain": {"order": "permuted"},
            "no shift remains": {"order": "unshifted"},
        },
    ),
    uses=("21c",),
    examples=10,
)


@dataclass(frozen=True)
class Hyperplane:
    """A decoder, a latent, a hyperplane of means by its turned axis, and a twist about them."""

    decoder: CurvedDecoder
    along: Vector
    angles: tuple[int, ...]
    within: tuple[Vector, ...]
    centre: Vector
    rate: float

    @property
    def shape(self) -> tuple[int, int]:
        """The number of environments and of latents."""
        return len(self.within), len(self.along)

    @property
    def z(self) -> Array:
        """The latent, off the hyperplane, `(d,)`."""
        return np.array(self.centre) + self.axes @ np.array(self.along)

    @property
    def free(self) -> int:
        """How many axes are across all means."""
        return 1 if self.rate == 0 else 2

    @property
    def axes(self) -> Array:
        """An orthonormal basis, `(d, d)`; the last axes are across the means."""
        return strategies.rotation(self.angles, len(self.along))

    @property
    def means(self) -> Array:
        """The means, `(U, d)`."""
        d = len(self.along)
        inside = np.array(self.within) * (np.arange(d) < d - self.free)
        return np.array(self.centre) + inside @ self.axes.T

    def change(self, kind: str) -> flows.Flow:
        """A reflection, or a twist, that fixes all means; or a wrong one."""
        d, centre, axes = len(self.along), np.array(self.centre), self.axes
        into = flows.Affine(axes.T, -axes.T @ centre)
        out = flows.Affine(axes, centre)
        if kind == "shift":
            step = flows.Affine(np.ones(d), np.eye(d)[-1])
        elif self.rate == 0 or kind == "mirror":
            # The wrong mirror is across an axis along the means.
            place = 0 if kind == "mirror" else d - 1
            step = flows.Affine(np.where(np.arange(d) == place, -1.0, 1.0))
        else:
            return flows.Composition(into, flows.Twist(d, self.rate, (d - 2, d - 1)), out)
        return flows.Composition(into, step, out)


@st.composite
def hyperplanes(draw: DrawFn) -> Hyperplane:
    """Two to ten environments whose means lie on a hyperplane, or across two axes on one point."""
    decoder = draw(curved_decoders((2, 2, 3, 5, 8)))
    d = decoder.dim
    rates = (0.0, 0.25) if d > 2 else (0.0,)
    count = draw(st.sampled_from((2, d, d + 1, 2 * d)))
    nonzero = st.tuples(*[strategies.nonzero_fractions(4, 2)] * d)
    within = draw(st.lists(nonzero, min_size=count, max_size=count))
    return Hyperplane(
        decoder, draw(nonzero), draw(strategies.angles(d)), tuple(within),
        draw(strategies.vectors(d)), draw(st.sampled_from(rates)),
    )  # fmt: skip


@once
def of_both(scenes: tuple[Hyperplane, ...], kind: str, off: float) -> tuple[Array, Array, Array]:
    """Log p(x|u) of f and of f o T, `(I, U)`, and how far apart their latents are, `(I,)`."""
    first, second, apart = [], [], []
    for s in scenes:
        T, z = s.change(kind), s.z
        x = s.decoder.flow(z)
        means = s.means
        means[-1] += off * s.axes[:, -1]
        rows: tuple[list[float], list[float]] = ([], [])
        for mean in means:
            prior = flows.Affine(np.ones(len(z)), mean)
            rows[0].append(float(flow_log_density(compose(prior, s.decoder.flow), x)))
            rows[1].append(float(flow_log_density(compose(prior, T, s.decoder.flow), x)))
        first.append(rows[0])
        second.append(rows[1])
        apart.append(float(np.linalg.norm(T.inverse(z) - z)))
    return np.array(first), np.array(second), np.array(apart)


@together(alike=lambda scene: scene.shape)
def invisible(
    scenes: Sequence[Hyperplane], *, kind: str = "across", off: float = 0.0
) -> list[Comparison]:
    """Compare the densities of two decoders whose latents differ, in all environments."""
    first, second, apart = of_both(tuple(scenes), kind, off)
    z = np.array([s.z for s in scenes])
    means = np.array([s.means for s in scenes])
    spread = np.array([s.decoder.spread(s.z) for s in scenes])[:, None]
    reach = 1 + np.linalg.norm(z[:, None] - means, axis=-1) + off
    steep = np.array([1 + 4 * s.decoder.dim * max(s.decoder.stretch) for s in scenes])[:, None]
    centre = np.array([s.centre for s in scenes])
    away = 1 + np.linalg.norm(z - centre, axis=-1, keepdims=True)
    rounding = gamma(400 * z.shape[1]) * (reach**2 + np.abs(first)) * away**2
    refused = []
    for s in scenes:
        try:
            latents_from_environments(np.zeros(len(s.means)), s.means)
            refused.append(0.0)
        except ValueError:
            refused.append(1.0)
    each = [
        Comparison.identities(
            second, first, scale=1 + np.abs(first), inversion=4 * spread * (reach + steep),
            rounding=rounding,
        ),
        # What the densities do not show: the latents are far apart.
        Comparison.each_at_most(1e-3, apart, scale=1.0, rounding=gamma(100)),
        Comparison.identities(refused, 1.0, scale=1.0, exact=0.0),
    ]  # fmt: skip
    return [Comparison.all_of(*parts) for parts in zip(*each, strict=True)]


HYPERPLANE = Proposition(
    label="21c-hyperplane",
    title="Environments whose shifts lie on a hyperplane leave a reflection, however many they are",
    statement=(
        r"n^\top\mu_u = c \text{ for all } u,\ T(z) = z - 2(n^\top z - c)n: \quad "
        r"p_{f \circ T}(x|u) = p_f(x|u) \text{ for all } u, x"
    ),
    hypotheses=(
        INJECTIVE,
        SHIFTED,
        (
            "on a hyperplane",
            r"\text{always so for } d \text{ environments; where two axes are across all means, "
            r"twists about them as well}",
        ),
    ),
    kind="counterexample",
    instances=hyperplanes(),
    check=invisible,
    controls=wrong(
        invisible,
        {
            "with one mean off the hyperplane as well": {"off": 1.0},
            "a mirror along the hyperplane": {"kind": "mirror"},
            "a shift across it": {"kind": "shift"},
        },
    ),
    uses=("21a-maps", "21c"),
    examples=10,
)  # fmt: skip


@dataclass(frozen=True)
class NoisyEnvironments:
    """A linear decoder with noise, a datum, and means of priors."""

    singular_values: Vector
    angles: tuple[int, ...]
    noise: float
    x: Vector
    means: tuple[Vector, ...]

    @property
    def shape(self) -> tuple[int, int]:
        """The number of environments and of latents."""
        return len(self.means), len(self.singular_values)

    @property
    def weight(self) -> Array:
        """W, square."""
        d = len(self.singular_values)
        left = strategies.rotation((30,) * (d - 1), d)
        return left @ np.diag(self.singular_values) @ strategies.rotation(self.angles, d)


@st.composite
def noisy_environments(draw: DrawFn) -> NoisyEnvironments:
    """One to eight latents, with as many outputs."""
    # More than d + 1 equations contradict each other.
    first = draw(shifted_environments(more=False))
    d = len(first.z)
    values = draw(st.tuples(*[st.sampled_from((1.0, 0.5, 2.0))] * d))
    return NoisyEnvironments(
        values, draw(strategies.angles(d)), draw(st.sampled_from((1.0, 0.5, 0.125))),
        draw(strategies.vectors(d)), first.means,
    )  # fmt: skip


@once
def read_with_noise(scenes: tuple[NoisyEnvironments, ...]) -> tuple[Array, Array]:
    """What the linear system says if it is fed with densities of noisy data, `(I, d)`."""
    values, errors = [], []
    for s in scenes:
        found = [
            linear_log_evidence(
                LatentModel(
                    decoders.Affine(s.weight, s.weight @ np.array(mean)),
                    likelihoods.Gaussian(scale=s.noise),
                ),
                np.array(s.x),
            )
            for mean in s.means
        ]
        read = latents_from_environments(
            [float(f.value) for f in found], s.means, error=[float(f.error) for f in found]
        )
        values.append(read.value)
        errors.append(read.error)
    return np.array(values), np.array(errors)


@together(alike=lambda scene: scene.shape)
def with_noise(
    scenes: Sequence[NoisyEnvironments], *, kind: str = "closed", correction: bool = True
) -> list[Comparison]:
    """Compare what the system says of noisy data with its closed form."""
    value, error = read_with_noise(tuple(scenes))
    W = np.array([s.weight for s in scenes])
    noise = np.array([s.noise for s in scenes])[:, None, None]
    x = np.array([s.x for s in scenes])[..., None]
    means = np.array([s.means for s in scenes])
    d = W.shape[-1]
    scaled = W / noise
    cov = np.linalg.inv(np.eye(d) + np.swapaxes(scaled, 1, 2) @ scaled)
    mean = cov @ np.swapaxes(scaled, 1, 2) @ (x / noise)
    steps = (means - means[:, :1])[:, 1:]
    heights = 0.5 * np.einsum("nui,nij,nuj->nu", means, cov, means)
    rest = np.linalg.solve(steps, (heights - heights[:, :1])[:, 1:, None])
    told = mean + rest * correction
    if kind == "inverse":
        told = np.linalg.solve(W, x)
    if kind == "posterior":
        told = mean + cov @ means[:, 0, :, None]
    size = 1 + np.abs(told).max(axis=(1, 2)) + np.abs(value).max(axis=-1)
    spread = np.linalg.cond(steps) * np.linalg.cond(cov)
    lost = gamma(60 * d) * spread * (1 + np.abs(means).max(axis=(1, 2)) ** 2) * size
    return Comparison.identities(
        value, told[..., 0], scale=size[:, None], library=error, rounding=lost[:, None]
    )


WITH_NOISE = Proposition(
    label="21c-noise",
    title="With noise the same equations find neither the latent nor a posterior mean",
    statement=(
        r"f(z) = Wz,\ \text{noise } \sigma:\quad \hat z = \Sigma W^\top x/\sigma^2 + e,\ "
        r"(\mu_u - \mu_0)^\top e = \tfrac12\big(\mu_u^\top\Sigma\mu_u - \mu_0^\top\Sigma\mu_0\big),"
        r"\quad \Sigma = (I + W^\top W/\sigma^2)^{-1}"
    ),
    hypotheses=(
        ("linear decoder with noise", r"x = Wz + \sigma\varepsilon,\ D = d \le 8"),
        SHIFTED,
        SPANNING,
    ),
    kind="counterexample",
    instances=noisy_environments(),
    check=with_noise,
    controls=wrong(
        with_noise,
        {
            "the latent of the datum without noise": {"kind": "inverse"},
            "the posterior mean of the first environment": {"kind": "posterior"},
            "without the terms of the means": {"correction": False},
        },
    ),
    uses=("21c",),
    examples=12,
)
