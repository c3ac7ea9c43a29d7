"""Checks that examine many instances at once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import update_wrapper
from typing import Any, overload

from vaetheory._validation import require_callable, short
from vaetheory.checking.comparison import Comparison

#: What a check of many instances is a map of, in the words of an error.
_MAPS = "instances -> Comparisons"

Many = Callable[..., Sequence[Comparison]]


class Together:
    """A check of many instances; called with one instance, it is the check of this one.

    Attributes
    ----------
    function : callable
        `function(instances, **keywords) -> Comparisons`, one for each instance, in their order.
    alike : callable, optional
        `alike(instance) -> key`: `function` is given only instances of the same key at a time, for
        example of the same shape.

    Examples
    --------
    `together` makes one of a function.
    """

    def __init__(self, function: Many, alike: Callable[[Any], Hashable] | None = None) -> None:
        require_callable("function", function, _MAPS)
        self.function, self.alike = function, alike
        update_wrapper(self, function)

    def __call__(self, instance: Any, **keywords: Any) -> Comparison:
        """The comparison of one instance."""
        (comparison,) = self._found([instance], keywords)
        return comparison

    def many(self, instances: Sequence[Any], **keywords: Any) -> list[Comparison]:
        """The comparison of each instance, in the order of the instances.

        Raises
        ------
        TypeError
            If the function does not return one `Comparison` for each instance.
        """
        groups: dict[Hashable, list[int]] = {}
        for place, instance in enumerate(instances):
            groups.setdefault(self.alike(instance) if self.alike else None, []).append(place)
        found: dict[int, Comparison] = {}
        for places in groups.values():
            chosen = [instances[place] for place in places]
            found.update(zip(places, self._found(chosen, keywords), strict=True))
        return [found[place] for place in range(len(instances))]

    def _found(self, instances: list[Any], keywords: dict[str, Any]) -> list[Comparison]:
        returned = self.function(instances, **keywords)
        found = list(returned) if isinstance(returned, Sequence) else [returned]
        if len(found) != len(instances) or not all(isinstance(c, Comparison) for c in found):
            raise TypeError(
                f"{self.function.__qualname__}: expected a list of {len(instances)} Comparisons, "
                f"one for each instance, got {short(returned)}"
            )
        return found

    def __reduce__(self) -> str:
        # Pickled by its name, as a function is.
        return self.function.__qualname__


@overload
def together(function: Many) -> Together: ...
@overload
def together(*, alike: Callable[[Any], Hashable]) -> Callable[[Many], Together]: ...
def together(
    function: Many | None = None, *, alike: Callable[[Any], Hashable] | None = None
) -> Together | Callable[[Many], Together]:
    """Make a check of a function that examines many instances at once.

    The runner calls such a check once for all instances that it has drawn. NumPy then works on a
    few long arrays where it would work on many short ones, which is several times faster. Only
    when an instance is not confirmed does the runner examine one at a time, to shrink it.

    Parameters
    ----------
    function : callable
        `function(instances, **keywords) -> Comparisons`, one for each instance of a list, in this
        order. The comparison of an instance must not depend on the others, except for the order
        in which sums are rounded.
    alike : callable, optional
        `alike(instance) -> key`, anything hashable. The function is called once for each key, with
        the instances that have it: for example all that have the same dimensions.

    Returns
    -------
    Together
        The check: `check(instance, **keywords)` examines a single instance. `wrong` makes wrong
        versions of it, as of any check.

    Raises
    ------
    ValueError
        If the function is not callable.

    Examples
    --------
    >>> import numpy as np
    >>> from vaetheory.checking import Comparison, together
    >>> from vaetheory.rounding import gamma
    >>> @together
    ... def sums_of_squares(instances, *, divisor=6):
    ...     n = np.array(instances, dtype=float)
    ...     closed = n * (n + 1) * (2 * n + 1) / divisor
    ...     totals = np.cumsum(np.arange(n.max() + 1) ** 2)[n.astype(int)]
    ...     return Comparison.identities(
    ...         closed, totals, scale=totals, rounding=gamma(n + 4) * totals
    ...     )
    >>> sums_of_squares(3).residual, sums_of_squares(3, divisor=7).residual
    (0.0, 2.0)
    """
    if function is not None:
        return Together(function, alike)
    if alike is None:
        raise ValueError("together: expected a function or alike, got none")
    require_callable("alike", alike, "instance -> key")
    return lambda made: Together(made, alike)
