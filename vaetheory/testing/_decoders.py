"""Laws of a decoder: shapes, purity, derivatives, values."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from vaetheory import derivatives
from vaetheory._validation import Array, dimension, vectors
from vaetheory.decoders import _trial
from vaetheory.decoders._outputs import double
from vaetheory.decoders.base import Decoder, FunctionDecoder, as_decoder
from vaetheory.flows.base import Embedding
from vaetheory.rounding import gamma
from vaetheory.testing._statements import (
    NotApplicable,
    Violation,
    clear,
    copy_of,
    direction,
    require_close,
    require_refusal,
    require_slope,
    require_value,
    rounding_of,
)
from vaetheory.testing.laws import Laws, Subject

LAWS = Laws()

#: How many latents are drawn.
_LATENTS = 5
#: Beyond this the prior's density is zero in float64, and the decoder is never evaluated.
_FAR = 38.5


@dataclass(frozen=True)
class Map:
    """A method that maps latents: its name and the last axes of its result."""

    name: str
    call: Callable[[Any], Any]
    last: tuple[int, ...]


@dataclass
class Decoded(Subject):
    """A decoder with the latents at which its laws are tested."""

    latent_dim: int = 1
    given: Array | None = None

    @cached_property
    def z(self) -> Array:
        """Latents `(M, d)`."""
        if self.given is not None:
            return self.given
        return self.stream("z").standard_normal((_LATENTS, self.latent_dim))

    @cached_property
    def weights(self) -> Array:
        """Weights of the outputs, `(D,)`."""
        return np.linspace(1.0, 2.0, np.shape(self.instance(self.z[:1].copy()))[-1])

    @property
    def function(self) -> Callable[[Any], Any]:
        """The function that autograd differentiates."""
        f = self.instance
        return f.function if isinstance(f, FunctionDecoder) else f

    @cached_property
    def maps(self) -> list[Map]:
        """The methods of every decoder; a flow has more."""
        f, d = self.instance, self.latent_dim
        size = len(self.weights)
        return [
            Map("the decoder", f, (size,)),
            Map("jacobian", f.jacobian, (size, d)),
            Map("hessian", f.hessian, (size, d, d)),
            Map("weighted_hessian", self._with_weights("weighted_hessian"), (d, d)),
            Map("vjp", self._with_weights("vjp"), (d,)),
        ]

    def _with_weights(self, name: str) -> Callable[[Any], Array]:
        def of(z: Any) -> Array:
            weights = np.broadcast_to(self.weights, (*np.shape(z)[:-1], len(self.weights)))
            return np.asarray(getattr(self.instance, name)(z, weights.copy()))

        return of

    def again(self, instance: Any) -> Decoded:
        """The same latents with another instance."""
        return type(self)(instance, self.seed, {}, self.latent_dim, self.z)


def read_decoder(decoder: object, latent_dim: object, z: object, *, seed: int) -> Decoded:
    """The subject of `check_decoder`, or a ValueError."""
    d = dimension("latent_dim", latent_dim)
    return Decoded(as_decoder(decoder), seed, {}, d, latents(z, d))


def latents(z: object, dim: int) -> Array | None:
    """The caller's latents `(M, d)`, or None."""
    return None if z is None else vectors("z", z, dim).reshape(-1, dim)  # type: ignore[arg-type]


@LAWS.add()
def inputs(s: Decoded) -> None:
    """Methods do not change the latents that they receive."""
    for method in s.maps:
        z = s.z.copy()
        method.call(z)
        if not np.array_equal(z, s.z):
            raise Violation(
                f"expected {method.name} to leave z unchanged, got {s.z.tolist()} changed to "
                f"{z.tolist()}"
            )


@LAWS.add("inputs")
def shapes(s: Decoded) -> None:
    """Leading axes are kept, the last axes are as documented."""
    for method in s.maps:
        for lead in ((), (3,), (2, 1)):
            z = np.resize(s.z, (*lead, s.latent_dim))
            came = np.shape(method.call(z.copy()))
            if came != (*lead, *method.last):
                raise Violation(
                    f"expected {method.name} of shape {(*lead, *method.last)} for z of shape "
                    f"{z.shape}, got {came} (index with [..., j] and join along axis=-1)"
                )


@LAWS.add("shapes")
def purity(s: Decoded) -> None:
    """The same latents give the same outputs."""
    _try(
        _trial._require_the_same,
        lambda z: np.asarray(s.instance(z), dtype=np.float64),
        s.z,
        "decoder",
    )


def _try(trial: Callable[..., None], *args: Any) -> None:
    try:
        trial(*args)
    except ValueError as error:
        raise Violation(str(error)) from None


@LAWS.add("purity")
def types(s: Decoded) -> None:
    """Results are float64 for any type of number, and nothing is rounded to less on the way."""
    for method in s.maps:
        z32 = s.z.astype(np.float32)
        for kind, z in (
            ("float64", s.z.copy()),
            ("float32", z32),
            ("integer", np.ones_like(s.z, dtype=int)),
        ):
            try:
                came = double(method.call(z), method.name)
            except ValueError as error:
                raise Violation(str(error)) from None
            if came.dtype.kind == "f" and came.dtype != np.float64:
                raise Violation(f"expected {method.name} in float64, got {came.dtype}")
            exact = method.call(z.astype(np.float64))
            require_close(f"{method.name} of {kind} latents", came, exact, 0.0)
    _try(_trial._require_double, s.instance, _trial._places(s.latent_dim)[0], "decoder")


@LAWS.add("types")
def rows(s: Decoded) -> None:
    """A result does not depend on what else is in the batch."""
    for method in s.maps:
        together = np.asarray(method.call(s.z.copy()))
        bound = rounding_of(method.call, s.z)
        for i, z in enumerate(s.z):
            require_close(
                f"{method.name} of the batch at row {i}, which alone it is,",
                together[i],
                method.call(z.copy()),
                bound[i],
            )


@LAWS.add("rows")
def jacobian(s: Decoded) -> None:
    """The Jacobian is the derivative of the values."""
    _derivative(s, "jacobian", lambda z: np.asarray(s.instance(z), dtype=np.float64))


@LAWS.add("jacobian")
def hessian(s: Decoded) -> None:
    """The second derivatives are those of the Jacobian, and symmetric."""
    _derivative(s, "hessian", lambda z: np.asarray(s.instance.jacobian(z), dtype=np.float64))
    second = s.instance.hessian(s.z.copy())
    bound = rounding_of(s.instance.hessian, s.z)
    require_close("the transposed hessian", np.swapaxes(second, -1, -2), second, 2 * bound)


def _entry(z: Array, at: tuple[int, ...]) -> str:
    return f"z = {z.tolist()}, entry {at}"


def _derivative(s: Decoded, name: str, function: Callable[[Array], Array]) -> None:
    along = direction(s.latent_dim)
    slack = rounding_of(getattr(s.instance, name), s.z)
    seen = [
        require_slope(
            f"{name} @ direction to be the derivative",
            lambda p: function(p.copy()),
            z,
            np.asarray(getattr(s.instance, name)(z.copy()) @ along),
            partial(_entry, z),
            slack[k] @ along,
        )
        for k, z in enumerate(s.z)
    ]
    clear(seen)


@LAWS.add("hessian")
def weighted_hessian(s: Decoded) -> None:
    """The weighted Hessian is the weighted sum of the second derivatives."""
    second = s.instance.hessian(s.z.copy())
    most = np.einsum("i,nijk->njk", s.weights, rounding_of(s.instance.hessian, s.z))
    most = most + gamma(64) * np.einsum("i,nijk->njk", s.weights, np.abs(second))
    came = s.instance.weighted_hessian(s.z.copy(), np.tile(s.weights, (len(s.z), 1)))
    require_close("weighted_hessian", came, np.einsum("i,nijk->njk", s.weights, second), 4 * most)


@LAWS.add("jacobian")
def vjp(s: Decoded) -> None:
    """The backward pass is the weighted sum of the first derivatives; leading axes broadcast."""
    first = s.instance.jacobian(s.z.copy())
    most = np.einsum("i,nij->nj", s.weights, rounding_of(s.instance.jacobian, s.z))
    most = most + gamma(64) * np.einsum("i,nij->nj", s.weights, np.abs(first))
    wanted = np.einsum("i,nij->nj", s.weights, first)
    for weights in (np.tile(s.weights, (len(s.z), 1)), s.weights):
        require_close("vjp", s.instance.vjp(s.z.copy(), weights.copy()), wanted, 4 * most)


@LAWS.add("rows", when=lambda f: isinstance(f, Decoder) and f.last_layer() is not None)
def last_layer(s: Decoded) -> None:
    """The last layer, applied to the hidden one, has the values of the decoder."""
    layer = s.instance.last_layer()
    hidden = np.asarray(layer.hidden(s.z.copy()))
    size = np.abs(hidden) @ np.abs(layer.weight.T) + np.abs(layer.bias)
    bound = rounding_of(s.instance, s.z) + gamma(64 + layer.weight.shape[1]) * size
    require_close("the last layer", layer(s.z.copy()), s.instance(s.z.copy()), bound)


@LAWS.add("hessian", when=lambda f: isinstance(f, FunctionDecoder | Embedding))
def autograd(s: Decoded) -> None:
    """The derivatives equal those of autograd, if autograd can differentiate the map."""
    for name in ("jacobian", "hessian"):
        own = getattr(s.instance, name)
        try:
            found = getattr(derivatives, name)(s.function, s.z.copy())
        except Exception as error:
            if isinstance(s.instance, FunctionDecoder):
                raise Violation(
                    "expected a function that autograd can differentiate (use autograd.numpy), "
                    f"got {type(error).__name__}: {' '.join(str(error).split())}"
                ) from None
            raise NotApplicable("autograd cannot differentiate it") from None
        other = rounding_of(partial(getattr(derivatives, name), s.function), s.z)
        require_close(f"{name} by autograd", own(s.z.copy()), found, rounding_of(own, s.z) + other)


@LAWS.add("types")
def far_latents(s: Decoded) -> None:
    """As far out as the prior reaches, the outputs are finite or a ValueError is raised."""
    units = np.concatenate([np.eye(s.latent_dim), -np.eye(s.latent_dim), s.z / np.abs(s.z).max()])
    for method in s.maps:
        for z in _FAR * units:
            try:
                came = np.asarray(method.call(z.copy()))
            except ValueError:
                continue
            if not np.isfinite(came).all():
                raise Violation(
                    f"expected {method.name} to be finite or to raise a ValueError at z = "
                    f"{z.tolist()}, got {came[~np.isfinite(came)][0]}"
                )


@LAWS.add("inputs", when=lambda f: not isinstance(f, FunctionDecoder))
def latent_dim(s: Decoded) -> None:
    """Latents of another size are refused."""
    longer = np.concatenate([s.z, s.z[:, :1]], axis=-1)
    for method in s.maps:
        require_refusal(
            f"{method.name} of latents {longer.shape[1:]} instead of {s.z.shape[1:]}",
            partial(method.call, longer[0].copy()),
        )


@LAWS.add("purity")
def pickling(s: Decoded) -> None:
    """A pickled copy gives the same results."""
    twin = copy_of(
        "an instance that can be pickled (no lambdas, no functions made in functions)",
        s.instance,
        lambda f: pickle.loads(pickle.dumps(f)),
    )
    for mine, its in zip(s.maps, s.again(twin).maps, strict=True):
        came, wanted = its.call(s.z.copy()), mine.call(s.z.copy())
        require_close(f"{mine.name} of a pickled copy", came, wanted, 0.0)


@LAWS.add()
def equality(s: Decoded) -> None:
    """Equal instances are equal and hash alike."""
    require_value(s.instance, {"copy": copy_of("a copy", s.instance, copy.deepcopy)})
