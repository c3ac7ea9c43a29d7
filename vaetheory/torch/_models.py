"""Models of decoders that return a distribution, from which the likelihood is inferred."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import distributions, fx, nn

from vaetheory import likelihoods
from vaetheory._validation import Array, dimension, short
from vaetheory.likelihoods import Likelihood
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP
from vaetheory.torch._calls import Call, RefusedError, told, undisturbed
from vaetheory.torch._decoder import TorchDecoder, calling, double_device

#: Number of points at which distributions are compared, and the scale of half of them.
_POINTS, _FAR = 64, 8.0
#: Tolerated relative difference of log densities; those of PyTorch have errors of 1e-7.
_WRONG = 1e-5


@dataclass(frozen=True)
class _Reading:
    """How a type of distribution is translated."""

    #: The likelihood's parameters `(n, ...)`.
    params: Callable[[Any], torch.Tensor]
    #: Quantities that must be the same for all latents, `(n, ...)` each, by name.
    fixed: Callable[[Any], Mapping[str, torch.Tensor]]
    #: The likelihood with these fixed quantities.
    likelihood: Callable[[Mapping[str, Array]], Likelihood]
    #: Number of event axes of the distribution itself, 1 for a distribution of vectors.
    joint: int = 0


def _one(name: str, value: Array) -> float:
    """The common value of all entries of an array; raise a ValueError if they differ."""
    if not (value == value.flat[0]).all():
        raise ValueError(
            f"likelihood: expected one {name} for all outputs, got {value.min():g}..{value.max():g}"
        )
    return float(value.flat[0])


def _each(value: Array) -> Array | float:
    """The entries of an array, as one number if they are all equal."""
    return float(value.flat[0]) if (value == value.flat[0]).all() else value.ravel()


_READINGS: dict[type, _Reading] = {
    distributions.Normal: _Reading(
        lambda q: q.loc,
        lambda q: {"scale": q.scale},
        lambda f: likelihoods.Gaussian(scale=_each(f["scale"])),
    ),
    distributions.MultivariateNormal: _Reading(
        lambda q: q.loc,
        lambda q: {"scale_tril": q.scale_tril},
        lambda f: likelihoods.Gaussian(cov=f["scale_tril"] @ f["scale_tril"].T),
        joint=1,
    ),
    distributions.LogNormal: _Reading(
        lambda q: q.loc,
        lambda q: {"scale": q.scale},
        lambda f: likelihoods.LogNormal(scale=_each(f["scale"])),
    ),
    distributions.Laplace: _Reading(
        lambda q: q.loc,
        lambda q: {"scale": q.scale},
        lambda f: likelihoods.Laplace(scale=_one("scale", f["scale"])),
    ),
    distributions.StudentT: _Reading(
        lambda q: q.loc,
        lambda q: {"df": q.df, "scale": q.scale},
        lambda f: likelihoods.StudentT(dof=_one("df", f["df"]), scale=_each(f["scale"])),
    ),
    distributions.Bernoulli: _Reading(
        lambda q: q.logits, lambda q: {}, lambda f: likelihoods.Bernoulli()
    ),
    distributions.ContinuousBernoulli: _Reading(
        lambda q: q.logits, lambda q: {}, lambda f: likelihoods.ContinuousBernoulli()
    ),
    distributions.Poisson: _Reading(
        lambda q: q.rate.log(), lambda q: {}, lambda f: likelihoods.Poisson()
    ),
    distributions.Exponential: _Reading(
        lambda q: -q.rate.log(), lambda q: {}, lambda f: likelihoods.Exponential()
    ),
    distributions.Gamma: _Reading(
        lambda q: q.concentration.log() - q.rate.log(),
        lambda q: {"concentration": q.concentration},
        lambda f: likelihoods.Gamma(shape=_one("concentration", f["concentration"])),
    ),
    distributions.NegativeBinomial: _Reading(
        lambda q: q.logits + q.total_count.log(),
        lambda q: {"total_count": q.total_count},
        lambda f: likelihoods.NegativeBinomial(shape=_one("total_count", f["total_count"])),
    ),
    distributions.Beta: _Reading(
        lambda q: q.concentration1.log() - q.concentration0.log(),
        lambda q: {"concentration": q.concentration1 + q.concentration0},
        lambda f: likelihoods.Beta(concentration=_one("concentration", f["concentration"])),
    ),
    distributions.VonMises: _Reading(
        lambda q: q.loc,
        lambda q: {"concentration": q.concentration},
        lambda f: likelihoods.VonMises(concentration=_one("concentration", f["concentration"])),
    ),
    distributions.OneHotCategorical: _Reading(
        lambda q: q.logits, lambda q: {}, lambda f: likelihoods.Categorical(), joint=1
    ),
}


def _means_and_log_scales(q: Any) -> torch.Tensor:
    """The means, then the log scales, along the first axis of an event."""
    loc, scale = torch.broadcast_tensors(q.loc, q.scale)
    return torch.cat([part[:, None] if part.ndim == 1 else part for part in (loc, scale.log())], 1)


def torch_model(
    module: nn.Module | Callable[..., Any],
    latent_dim: int,
    *,
    call: Callable[[Any, torch.Tensor], Any] | None = None,
    device: str | torch.device = "cpu",
    least_scale: ArrayLike | None = None,
) -> LatentModel:
    """The model p(x, z) = N(z; 0, I) p(x given z) of a decoder that returns a distribution.

    The likelihood is inferred from the `torch.distributions` object, and its log density is
    compared with `log_prob` of that object. The model accepts data of the shape of a sample.

    Parameters
    ----------
    module : torch.nn.Module or bound method of one
        Maps latents `(n, d)` to a distribution whose samples have n rows. It is copied, as by
        `TorchDecoder`, and not changed.
    latent_dim : int
        d.
    call : callable, optional
        `call(module, z)` returns the distribution where `module(z)` does not.
    device : str or torch.device
        The device of the copy.
    least_scale : float or array (D,), optional
        Floor of the scales of a Normal whose scales the decoder gives: the likelihood is then
        `likelihoods.GaussianMeanScale(least_scale)`. The decoder must keep to it, see there.

    Returns
    -------
    LatentModel
        With a `TorchDecoder`.

    Raises
    ------
    ValueError
        If `TorchDecoder` rejects the module, or the distribution is not one of Normal,
        MultivariateNormal, LogNormal, Laplace, StudentT, Bernoulli, ContinuousBernoulli, Poisson,
        Exponential, Gamma, NegativeBinomial, Beta, VonMises and OneHotCategorical, perhaps in
        `Independent`; if a scale, or another quantity that the likelihood fixes, varies with z
        (for a Normal without `least_scale`); if a scale is below `least_scale`, or that is given
        for another distribution.

    Examples
    --------
    >>> import torch
    >>> from torch.distributions import Bernoulli, Independent
    >>> decoder = torch.nn.Linear(1, 4)
    >>> model = torch_model(
    ...     decoder, 1, call=lambda m, z: Independent(Bernoulli(logits=m(z)), 1)
    ... )
    >>> model.likelihood, model.data_dim
    (Bernoulli(), 4)
    """
    d = dimension("latent_dim", latent_dim)
    where = double_device(device)
    distribution = calling(module, call, where)
    return model_of_distribution(distribution, d, where, least_scale=least_scale)


def model_of_distribution(
    distribution: Call, d: int, where: torch.device, *, least_scale: ArrayLike | None = None
) -> LatentModel:
    """The model of a function from latents `(n, d)` to distributions with n rows."""
    learned = None if least_scale is None else likelihoods.GaussianMeanScale(least_scale)
    params = _Parameters(distribution, learned=learned is not None)
    decoder = TorchDecoder.around(params, where)
    rng = np.random.default_rng(0)
    z = rng.normal(size=(_POINTS, d)) * np.where(np.arange(_POINTS) % 2, 1.0, _FAR)[:, None]
    decoder(z)
    with undisturbed(where, follow=False):
        q = distribution(torch.tensor(z, device=where))
        likelihood: Likelihood | None = learned
        if likelihood is None:
            read = _reading(q).fixed(_base(q))
            fixed = {name: _fixed(name, value, q) for name, value in read.items()}
            params.known = {name: value[:1].clone() for name, value in read.items()}
            likelihood = _reading(q).likelihood(fixed)
        model = LatentModel(decoder, likelihood, d)
        _require_the_same_density(model, distribution, where, z[1::2], rng)
    return model


class _Parameters(nn.Module):
    """The likelihood's parameters, from the distribution that a module returns."""

    def __init__(self, distribution: Call, *, learned: bool) -> None:
        super().__init__()
        self.distribution, self.learned = distribution, learned
        #: Quantities that must be the same for all latents, as they are at the first points.
        self.known: dict[str, torch.Tensor] = {}
        self.eval()

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        q = self.distribution(z)
        if self.learned:
            return _means_and_log_scales(_normal(q))
        # A quantity may vary only where none of the first points is. Symbols have no values.
        known = {} if isinstance(z, fx.Proxy) else self.known
        now = _reading(q).fixed(_base(q)) if known else {}
        for name, first in known.items():
            value = now[name].detach()
            if not torch.equal(value, first.expand_as(value)):
                _fixed(name, torch.cat([first, value]), q)
        return _params(q)


def _base(q: distributions.Distribution) -> distributions.Distribution:
    while isinstance(q, distributions.Independent):
        q = q.base_dist
    return q


def _normal(q: object) -> distributions.Normal:
    """The Normal of a distribution; raise an error if it is another one."""
    if isinstance(q, distributions.Distribution) and type(_base(q)) is distributions.Normal:
        return _base(q)
    came = type(_base(q)).__name__ if isinstance(q, distributions.Distribution) else short(q)
    raise RefusedError(
        f"least_scale: expected a decoder that returns a Normal, whose scales it limits, got {came}"
    )


def _reading(q: object) -> _Reading:
    """The translation of a distribution; raise an error if there is none."""
    if isinstance(q, distributions.Distribution):
        for kind in type(_base(q)).__mro__:
            if kind in _READINGS:
                return _READINGS[kind]
    known = ", ".join(kind.__name__ for kind in _READINGS)
    came = type(_base(q)).__name__ if isinstance(q, distributions.Distribution) else short(q)
    raise RefusedError(
        f"likelihood: expected a decoder that returns one of {known}, perhaps in Independent, got "
        f"{came}: no likelihood here has its density"
    )


def _params(q: object) -> torch.Tensor:
    reading = _reading(q)
    assert isinstance(q, distributions.Distribution)
    base = _base(q)
    if reading.joint and len(base.batch_shape) != 1:
        raise RefusedError(
            f"likelihood: expected one {type(base).__name__} a latent, got batch shape "
            f"{tuple(base.batch_shape)}: no likelihood here is a product of several"
        )
    return reading.params(base)


def _fixed(name: str, value: torch.Tensor, q: distributions.Distribution) -> Array:
    """A quantity of the first latent; raise a ValueError if it varies with z."""
    rows = value.detach().cpu().numpy().astype(np.float64)
    one: Array = rows[0]
    off = np.abs(rows - one) > 4 * ULP * np.abs(one)
    if off.any():
        at = int(np.argwhere(off.reshape(len(rows), -1))[0][1])
        among = rows.reshape(len(rows), -1)[:, at]
        advice = (
            f"no likelihood here takes its {name} from the decoder; return a {name} that does not "
            "depend on z"
        )
        if type(_base(q)) is distributions.Normal:
            advice = (
                "for scales from the decoder, clamp them to a floor and give it as least_scale= "
                "(without a floor the likelihood has no maximum)"
            )
        raise ValueError(
            f"likelihood: expected a {name} of {type(_base(q)).__name__} that is the same for all "
            f"latents, got {among.min():g}..{among.max():g} at {len(rows)} of them: {advice}"
        )
    return one


def _require_the_same_density(
    model: LatentModel,
    distribution: Call,
    where: torch.device,
    z: Array,
    rng: np.random.Generator,
) -> None:
    """Raise a ValueError if likelihood and distribution differ in their log densities."""
    params = model.decode(z)
    for row, latent in zip(params, z, strict=True):
        try:
            x = model.likelihood.check_data(model.likelihood.sample(row, rng))
        except ValueError:
            # Parameters too extreme for samples in float64; the others are compared.
            continue
        shape = model.data_shape or (-1,)
        q = distribution(torch.tensor(latent[None], device=where))
        try:
            own = float(q.log_prob(torch.tensor(x, device=where).reshape(1, *shape)).sum())
        except Exception as error:
            raise ValueError(
                f"likelihood: expected a distribution with a log_prob in torch.float64, got "
                f"{told(error)}: create tensors in forward with dtype=z.dtype"
            ) from error
        ours = float(model.likelihood.log_prob(x, row))
        if not abs(own - ours) <= _WRONG * (1 + abs(ours)):
            raise ValueError(
                f"likelihood: expected the log density of {type(_base(q)).__name__} to be that of "
                f"{type(model.likelihood).__name__}, got {own:.9g} by its log_prob for "
                f"{ours:.9g}: no likelihood here has its density"
            )
