"""What every decoder with exact parameters has, and how one is found by its name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, ClassVar

from vaetheory._validation import short
from vaetheory.certify import _exact
from vaetheory.certify._exact import Matrix, Vector
from vaetheory.certify._expansions import Expansion, NoClosedForm
from vaetheory.certify.arithmetic import Arithmetic, Number

#: By their names in a certificate.
KINDS: dict[str, type[Decoder]] = {}


class Decoder(ABC):
    """A decoder f: a list of d numbers of any arithmetic to a list of D.

    One of your own is a subclass with `latent_dim` and `__call__(z, F)`, written with `+ - * /` and
    the functions of the arithmetic F; so it is analytic wherever its values are finite.
    """

    kind: ClassVar[str] = ""
    #: Whether `vaetheory.decoders` has one of this name.
    has_floats: ClassVar[bool] = True
    latent_dim: int

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.kind:
            KINDS[cls.kind] = cls

    @abstractmethod
    def __call__(self, z: Sequence[Number], F: Arithmetic) -> list[Number]:
        """Decode over the arithmetic F."""

    def growth(self) -> Sequence[Vector] | None:
        """Coefficients c an output, |f_i(z)| <= sum_k c_k r^k, r = sum_j |z_j|; None if unknown."""
        return None

    def expansion(self, F: Arithmetic) -> list[Expansion]:
        """The outputs as functions of known Gaussian expectations; `NoClosedForm` if they are none.

        What is a wave in the latents is so in multiples of one number, see `Expansion.unit`.
        """
        raise NoClosedForm(type(self).__name__)

    def linear(self) -> tuple[Matrix, Vector] | None:
        """W and b where the decoder is z -> W z + b, else None."""
        return None

    @classmethod
    def of_floats(cls, decoder: Any) -> Decoder:
        """The decoder of the parameters of its namesake in `vaetheory.decoders`."""
        return cls(*[getattr(decoder, f.name) for f in fields(cls)])  # type: ignore[arg-type]

    def after(self, change: Matrix) -> Decoder:
        """The decoder z -> f(A z) for a matrix A, worked into the parameters if it can be."""
        return KINDS["reparametrised"](self, change)  # type: ignore[call-arg]

    def as_json(self) -> dict[str, Any]:
        """Kind and parameters as text."""
        if not self.kind:
            raise ValueError(
                f"decoder: expected a named one to write down, got {type(self).__name__}"
            )
        return {"kind": self.kind} | {f.name: self._written(f.name) for f in fields(self)}  # type: ignore[arg-type]

    def _written(self, name: str) -> Any:
        return _exact.texts(getattr(self, name))


def from_json(value: Any) -> Decoder:
    """The decoder that `as_json` wrote; anything else is a ValueError."""
    if not isinstance(value, dict) or value.get("kind") not in KINDS:
        raise ValueError(f"decoder: expected one of {', '.join(KINDS)}, got {short(value)}")
    cls = KINDS[value["kind"]]
    names = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    if set(value) - {"kind"} != names:
        raise ValueError(
            f"decoder {cls.kind}: expected {', '.join(sorted(names))}, got "
            f"{', '.join(sorted(set(value) - {'kind'}))}"
        )
    return cls(**{k: v for k, v in value.items() if k != "kind"})


def of_floats(decoder: Any) -> Decoder:
    """The decoder with the parameters of one of `vaetheory.decoders`, each the double that it is.

    Raises
    ------
    ValueError
        If it has no namesake here.
    """
    cls = _exact.namesake(decoder, "vaetheory.decoders", KINDS.values())
    if cls is None:
        names = [k.__name__ for k in KINDS.values() if k.has_floats]
        raise ValueError(
            f"decoder: expected one of {', '.join(names[:-1])} or {names[-1]}, or a certify.Model "
            f"with a decoder of your own; got {type(decoder).__name__}"
        )
    return cls.of_floats(decoder)
