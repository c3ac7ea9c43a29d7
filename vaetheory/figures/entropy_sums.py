"""The figure of claim 23: where an ELBO meets its sum of entropies, and what keeps it away."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import gammaln

from vaetheory import decoders, likelihoods
from vaetheory._validation import Array
from vaetheory.bounds.entropy_sums import EntropySum, entropy_sum
from vaetheory.encoders import Posterior
from vaetheory.figures._panels import Exponents, draw_panels, draw_series, head
from vaetheory.likelihoods import ExponentialFamily
from vaetheory.models import LatentModel

#: Codes of second moment 1, so that the latents leave no remainder.
_LOC = np.array([[-1.2], [-0.4], [0.3], [1.1]])
_CODES = Posterior(_LOC * np.sqrt(0.64 / (_LOC**2).mean()), scale=0.6)
_BITS = np.array([[0.0], [0.0], [1.0], [1.0]])
_COUNTS = np.array([[3.0], [4.0], [4.0], [5.0]])
_SLOPE, _SHIFT = 1.5, 0.2
_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def split(likelihood: ExponentialFamily, X: Array, weight: float, bias: float) -> EntropySum:
    """The terms of a model of one hidden unit."""
    network = decoders.TanhNetwork([[[_SLOPE]], [[weight]]], [[_SHIFT], [bias]])
    return entropy_sum(LatentModel(network, likelihood, 1), X, _CODES)


def by_sums(
    likelihood: ExponentialFamily, X: Array, weight: float, bias: float
) -> tuple[float, float, float]:
    """ELBO, sum of entropies, and the same with the entropy itself, by sums over codes and x."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    shares = weights / weights.sum() / len(X)
    params = weight * np.tanh(_SLOPE * (_CODES.loc + _CODES.scale_tril[:, 0] * nodes) + _SHIFT)
    params = (params + bias)[..., None]
    support = np.arange(2.0 if likelihood == likelihoods.Bernoulli() else 80.0)[:, None]
    logs = likelihood.log_prob(support, params[..., None, :])
    law = np.exp(logs)
    base = -gammaln(support[:, 0] + 1) if len(support) > 2 else np.zeros(2)
    entropy = -float(((law * logs).sum(axis=-1) * shares).sum())
    of_law = float(((law @ base) * shares).sum())
    of_data = -float(gammaln(X + 1).mean())
    mean = float((likelihood.log_prob(X[:, None], params) * shares).sum())
    divergence = float(_CODES.kl_to_prior().mean())
    # The codes have second moment 1: no other term of the divergence is left.
    return (
        mean - divergence,
        of_data - entropy - of_law - divergence,
        -entropy - divergence,
    )


def scaled_panel(
    axes: Axes, likelihood: ExponentialFamily, X: Array, layer: tuple[float, float], top: float
) -> Array:
    """ELBO and sum of entropies where the layer is multiplied by t; return them by sums."""
    scales, fine = np.linspace(0.1, top, 12), np.linspace(0.1, top, 60)
    found = [split(likelihood, X, t * layer[0], t * layer[1]) for t in scales]
    curves = np.array([by_sums(likelihood, X, t * layer[0], t * layer[1]) for t in fine])
    numbers = np.array([(f.elbo, f.value) for f in found])
    for number, name in enumerate(("ELBO", "sum of entropies")):
        draw_series(
            axes, number, name, scales, numbers[:, number], law=(fine, curves[:, number]),
            errors=[f.error for f in found],
        )  # fmt: skip
    axes.axvline(fine[curves[:, 0].argmax()], color="grey", lw=0.8, ls=":", label="greatest ELBO")
    axes.set(xlabel="factor t of the natural parameters", ylabel="nats a datum")
    return np.column_stack([fine, curves])


def bits_panel(axes: Axes) -> Exponents:
    """23a, 23-elbo: Bernoulli data."""
    scaled_panel(axes, likelihoods.Bernoulli(), _BITS, (2.0, -0.5), 3.0)
    head(axes, "23a, 23-elbo", "The ELBO meets its sum of entropies where it is greatest")
    return {}


def counts_panel(axes: Axes) -> Exponents:
    """23b, 23b-true: Poisson data, with the entropy in place of the pseudo-entropy too."""
    curves = scaled_panel(axes, likelihoods.Poisson(), _COUNTS, (0.3, 1.2), 1.3)
    axes.plot(
        curves[:, 0], curves[:, 3], color="grey", ls="--", lw=1, label="with the entropy itself"
    )
    head(axes, "23b, 23b-true", "For counts the pseudo-entropy is right, and the entropy is not")
    return {}


def _trained(learned: bool) -> list[tuple[float, float]]:
    """Weight and bias before and after each step of plain gradient ascent on the ELBO."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    shares = weights / weights.sum() / len(_BITS)
    hidden = np.tanh(_SLOPE * (_CODES.loc + 0.6 * nodes) + _SHIFT)
    weight, bias, path = 0.0, 1.0, []
    for _ in range(max(_STEPS) + 1):
        path.append((weight, bias))
        left = _BITS - 1 / (1 + np.exp(-weight * hidden - bias))
        weight += 2.0 * float((left * hidden * shares).sum())
        bias += 2.0 * float((left * shares).sum()) if learned else 0.0
    return path


def _remainder(weight: float, bias: float) -> float:
    """E_n E_q of the logit times the residual, by sums over codes."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    logit = weight * np.tanh(_SLOPE * (_CODES.loc + 0.6 * nodes) + _SHIFT) + bias
    left = logit * (_BITS - 1 / (1 + np.exp(-logit)))
    return float((left @ weights).mean() / weights.sum())


def training_panel(axes: Axes) -> Exponents:
    """23a-layer, 23c: the remainder while a layer is trained, with and without its bias."""
    axes.set_xscale("log")
    for number, (name, learned) in enumerate((("bias learned", True), ("bias fixed", False))):
        path = _trained(learned)
        found = [split(likelihoods.Bernoulli(), _BITS, *path[k]) for k in _STEPS]
        curve = [_remainder(*layer) for layer in path[1:]]
        draw_series(
            axes, number, name, _STEPS, [f.remainder for f in found],
            law=(np.arange(1, _STEPS[-1] + 1), curve), errors=[f.remainder_error for f in found],
        )  # fmt: skip
    axes.set(xlabel="steps of gradient ascent on the last layer", ylabel="ELBO − sum (nats)")
    head(axes, "23a-layer, 23c", "Training closes the difference unless the bias is fixed")
    return {}


def draw(figure: Figure) -> list[Exponents]:
    """Draw ELBOs and sums of entropies: of bits, of counts, and during training."""
    return draw_panels(figure, bits_panel, counts_panel, training_panel)
