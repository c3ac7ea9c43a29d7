"""The base class of decoders, and the wrapper that makes a decoder of any callable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast

import numpy as np
from numpy.typing import ArrayLike

from vaetheory import derivatives
from vaetheory._arguments import protect_arguments, protected, read_arguments
from vaetheory._validation import Array, as_array, finite_numbers, matrix, require_callable
from vaetheory._value_equality import ByValue
from vaetheory.decoders._bridges import bridge_of
from vaetheory.decoders._outputs import as_output

#: The arguments that are converted and checked before a decoder's method is called.
_READ = {
    **dict.fromkeys(("__call__", "jacobian", "hessian", "log_det"), ("z",)),
    "curvature": ("z",),
    **dict.fromkeys(("weighted_hessian", "vjp"), ("z", "weights")),
    "forward": ("z",),
    "inverse": ("x",),
}


class Decoder(ABC):
    """A smooth map from the latent space to the likelihood's parameters, with its derivatives.

    A plain callable written with `autograd.numpy` needs no class, see `FunctionDecoder`.

    Notes
    -----
    To write one of your own:

    1. Write a subclass, as a frozen dataclass, so that equal instances are equal. If its latents
       have a fixed dimension, set `latent_dim`; then a `LatentModel` does not ask for it.
    2. Define `__call__(z)`. Index with `[..., j]` and join along `axis=-1`, so that any leading
       axes work.
    3. Define `jacobian(z)` and `hessian(z)` in closed form. The latents by which they differentiate
       are the last axes.
    4. If the decoder is affine on each of finitely many regions, define `piecewise_linear()`.
    5. If the outputs are bounded, or grow no faster than some power far out, set `growth_degree`.
    6. Run `vaetheory.testing.check_decoder` on an instance.

    The arguments arrive as float64 arrays of finite numbers. Raise a ValueError if the last axis of
    `z` has the wrong length.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> import numpy as np
    >>> from vaetheory import LatentModel, likelihoods, log_evidence
    >>> from vaetheory.decoders import Decoder
    >>> @dataclass(frozen=True)
    ... class Parabola(Decoder):
    ...     bend: float
    ...     latent_dim = 1
    ...
    ...     def __call__(self, z):
    ...         if z.shape[-1] != 1:
    ...             raise ValueError(f"z: expected shape (..., 1), got {z.shape}")
    ...         return np.concatenate([z, self.bend * z**2], axis=-1)
    ...
    ...     def jacobian(self, z):
    ...         slopes = self(z)[..., :1] * [0.0, 2 * self.bend] + [1.0, 0.0]
    ...         return slopes[..., None]
    ...
    ...     def hessian(self, z):
    ...         return (0 * self(z) + [0.0, 2 * self.bend])[..., None, None]
    >>> model = LatentModel(Parabola(0.5), likelihoods.Gaussian(scale=0.1))
    >>> log_evidence(model, [[1.0, 0.5]]).status.tolist()
    ['reached']
    """

    #: Whether values come from the user's code, which is tested before it is used.
    runs_user_code: ClassVar[bool] = False
    #: Far out the outputs grow at most as this power of the latents' length: 0 if they are bounded.
    #: None if it is not known; then some bounds refuse to say whether they are infinite.
    growth_degree: int | None = None

    @property
    def event_shape(self) -> tuple[int, ...] | None:
        """Shape of one datum if it is not `(D,)`; its entries are the outputs in this order."""
        return None

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # A user's function may have no finite value far from the data, where it is also evaluated.
        protect_arguments(cls)
        foreign = cls.__module__.partition(".")[0] != "vaetheory" or cls.runs_user_code
        read_arguments(cls, _READ, defined=not foreign, reader=finite_numbers, foreign=foreign)
        # `log_volume` may call a user's determinant, so NaN is not rejected here.
        wanted = {"log_volume": ("z",)}
        read_arguments(cls, wanted, defined=False, reader=finite_numbers, foreign=foreign)

    @abstractmethod
    def __call__(self, z: Array) -> Array:
        """Decode: `(..., d) -> (..., D)`."""

    @abstractmethod
    def jacobian(self, z: Array) -> Array:
        """First derivatives, `(..., d) -> (..., D, d)`."""

    @abstractmethod
    def hessian(self, z: Array) -> Array:
        """Second derivatives, `(..., d) -> (..., D, d, d)`."""

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        """Second derivatives of `weights . f`, `(..., d), (..., D) -> (..., d, d)`."""
        return np.einsum("...i,...ijk->...jk", weights, self.hessian(z))

    def vjp(self, z: Array, weights: Array) -> Array:
        """First derivatives of `weights . f`, `(..., d), (..., D) -> (..., d)`; weights J.

        The networks and the decoders of other frameworks compute it in one backward pass, which
        costs as much as about two evaluations, and not d. By default it is computed from the
        Jacobian.

        Examples
        --------
        >>> from vaetheory.decoders import Affine
        >>> Affine([[1.0, 2.0], [0.0, 3.0]]).vjp([[0.0, 0.0]], [[1.0, 10.0]]).tolist()
        [[1.0, 32.0]]
        """
        return np.einsum("...i,...ij->...j", weights, self.jacobian(z))

    def piecewise_linear(self) -> Decoder | None:
        """The decoder as a `PiecewiseLinear`, if it is affine on each of finitely many regions.

        Exact evidences are computed from its layers. None, the default, means that the decoder is
        not of this kind or does not know it.
        """
        return None

    def kinks(self) -> Decoder | None:
        """A `PiecewiseLinear` between whose kinks the decoder is smooth.

        It may be the layers before a final function that is smooth. Integrals over one or two
        latents end their cells at its kinks. None means that the decoder is smooth or does not
        know where its kinks are; by default it is `piecewise_linear()`.
        """
        return self.piecewise_linear()

    def last_layer(self) -> LastLayer | None:
        """The same decoder as an affine map of a hidden layer, or None if it is not known as one.

        With Gaussian noise the evidence then depends on as many outputs as the hidden layer has,
        however many data dimensions there are: it becomes much cheaper. A decoder of your own
        whose last step is affine may return its `LastLayer`. It is compared with the decoder at
        some latents, and not used if the values differ by more than rounding.
        """
        return None


read_arguments(Decoder, _READ, defined=False, reader=finite_numbers)


@dataclass(frozen=True, eq=False, init=False)
class LastLayer(ByValue, Decoder):
    """A decoder that ends in an affine layer, f(z) = W h(z) + b.

    Parameters
    ----------
    hidden : callable or Decoder
        h, `(..., d) -> (..., H)`.
    weight : array (D, H)
        W.
    bias : array (D,), optional
        b; zero by default.

    Raises
    ------
    ValueError
        If the shapes of W and b do not fit together or an entry is not finite.

    Examples
    --------
    >>> from vaetheory.decoders import Circle
    >>> f = LastLayer(Circle(1.0), [[2.0, 0.0], [0.0, 3.0], [1.0, 1.0]])
    >>> f([[0.0]]).tolist(), f.jacobian([[0.0]]).tolist()
    ([[2.0, 0.0, 1.0]], [[[0.0], [3.0], [1.0]]])
    """

    hidden: Decoder
    weight: Array
    bias: Array

    def __init__(
        self,
        hidden: Decoder | derivatives.Function,
        weight: ArrayLike,
        bias: ArrayLike | None = None,
    ) -> None:
        w = matrix("weight", weight)
        b = np.zeros(len(w)) if bias is None else as_array("bias", bias, ndim=1)
        if len(b) != len(w):
            raise ValueError(f"bias: expected shape ({len(w)},), got {b.shape}")
        for name, value in (("hidden", as_decoder(hidden)), ("weight", w), ("bias", b)):
            object.__setattr__(self, name, value)

    @property
    def latent_dim(self) -> int | None:
        """Dimension d of the latent space, if the hidden layer knows it."""
        return getattr(self.hidden, "latent_dim", None)

    @property
    def growth_degree(self) -> int | None:  # type: ignore[override]
        """The degree of the hidden layer."""
        return self.hidden.growth_degree

    def __call__(self, z: Array) -> Array:
        out = _affine(as_output(self.hidden(z)), self.weight)
        return out + self.bias if self.bias.any() else out

    def jacobian(self, z: Array) -> Array:
        return apply_columns(self.weight, self.hidden.jacobian(z))

    def hessian(self, z: Array) -> Array:
        return np.einsum("ab,...bjk->...ajk", self.weight, self.hidden.hessian(z))

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return self.hidden.weighted_hessian(z, weights @ self.weight)

    def vjp(self, z: Array, weights: Array) -> Array:
        return self.hidden.vjp(z, weights @ self.weight)

    def last_layer(self) -> LastLayer:
        return self


def apply_columns(matrix: Array, columns: Array) -> Array:
    """`matrix @ columns` for a stack of columns, as one product of two matrices."""
    return np.swapaxes(np.tensordot(columns, matrix, axes=(-2, 1)), -1, -2)


def _affine(hidden: Array, weight: Array) -> Array:
    """`weight @ h`; an infinite h gives infinite outputs where a weight of zero makes them NaN."""
    out: Array = hidden @ weight.T
    if np.isnan(out).any():
        unknown = np.isnan(hidden).any(axis=-1, keepdims=True)
        out = np.where(np.isnan(out) & ~unknown, np.inf, out)
    return out


@dataclass(frozen=True)
class FunctionDecoder(Decoder):
    """Any callable `(..., d) -> (..., D)` written with `autograd.numpy`, as a `Decoder`.

    Parameters
    ----------
    function : callable
        Maps `(..., d)` to `(..., D)`, row by row.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> f = FunctionDecoder(lambda z: anp.sin(z))
    >>> f.jacobian(anp.zeros((1, 1))).tolist()
    [[[1.0]]]
    """

    runs_user_code = True

    function: derivatives.Function

    def __post_init__(self) -> None:
        require_callable("function", self.function, "(..., d) -> (..., D)")

    def __call__(self, z: Array) -> Array:
        return as_output(protected(self.function, "decoder")(z))

    def jacobian(self, z: Array) -> Array:
        return derivatives.jacobian(self.function, z)

    def hessian(self, z: Array) -> Array:
        return derivatives.hessian(self.function, z)

    def weighted_hessian(self, z: Array, weights: Array) -> Array:
        return derivatives.weighted_hessian(self.function, z, weights)

    def vjp(self, z: Array, weights: Array) -> Array:
        return derivatives.vjp(self.function, z, weights)


def as_decoder(decoder: object) -> Decoder:
    """Return `decoder` as a `Decoder`, wrapping a plain callable in `FunctionDecoder`.

    A module of another framework, or a method of one, is wrapped by the class of its bridge.
    """
    if isinstance(decoder, Decoder):
        return decoder
    if bridge := bridge_of(decoder):
        return cast(Decoder, bridge(decoder))
    require_callable("decoder", decoder, "(..., d) -> (..., D) or a vaetheory decoder")
    return FunctionDecoder(cast(derivatives.Function, decoder))
