"""What is reachable from a user's objects and can change, noted so that it can be put back."""

from __future__ import annotations

import collections
import contextlib
import functools
import random
import sys
import types
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

#: Objects of more parts than this are not searched to the end.
_MOST = 200_000
#: Arrays of more entries than this are left where they are.
LARGE = 20_000_000
_PLAIN = (bool, int, float, complex, str, bytes, type(None), range, slice)
_CONTAINERS = (dict, list, set, collections.deque)

Undo = Callable[[], object]


class Belongings:
    """Attributes, containers, arrays, generators and variables of functions, as they are now.

    Parameters
    ----------
    start : iterable
        Models and functions of the user.
    """

    def __init__(self, start: Iterable[object]) -> None:
        #: Random generators of the user's own.
        self.generators: list[Any] = []
        self._bindings: list[Undo] = []
        self._walk(list(start))

    def put_back(self) -> None:
        """Make everything as it was."""
        for undo in self._bindings:
            undo()

    # What there is -------------------------------------------------------------------------------

    def _walk(self, start: list[object]) -> None:
        seen: set[int] = set()
        left: list[tuple[Any, bool]] = [(value, False) for value in reversed(start)]
        self._kept: list[Any] = []  # so that no address is used twice
        while left and len(seen) < _MOST:
            value, registered = left.pop()
            if isinstance(value, _PLAIN) or id(value) in seen:
                continue
            seen.add(id(value))
            self._kept.append(value)
            left += [(v, r) for v, r in reversed(list(self._parts(value, registered)))]

    def _parts(self, value: Any, registered: bool) -> Iterator[tuple[Any, bool]]:
        """The parts of an object; `registered` says what the objects above think of it."""
        if isinstance(value, _CONTAINERS):
            self._note_container(value)
            items = list(value.values()) if isinstance(value, dict) else list(value)
            for part in items:
                yield part, registered
        elif isinstance(value, (tuple, frozenset)):
            for part in value:
                yield part, registered
        elif isinstance(value, np.ndarray):
            if value.flags.writeable and value.size <= LARGE and value.dtype != object:
                copy = value.copy()
                self._bindings.append(functools.partial(np.copyto, value, copy))
        elif isinstance(value, (np.random.Generator, np.random.RandomState, random.Random)):
            self.generators.append(value)
            self._bindings.append(_restorer(value))
        elif isinstance(value, functools.partial):
            for part in (value.func, *value.args, *value.keywords.values()):
                yield part, False
        elif isinstance(value, types.MethodType):
            yield value.__self__, False
            yield value.__func__, False
        elif isinstance(value, types.FunctionType):
            for part in self._of_function(value):
                yield part, False
        elif not isinstance(value, (type, types.ModuleType, types.BuiltinFunctionType)):
            # An object of the user's own, such as a trainer or a schedule.
            held = getattr(value, "__dict__", None)
            home = str(type(value).__module__).partition(".")[0]
            if isinstance(held, dict) and home not in _OTHERS:
                self._note_attributes(value)
                for part in list(held.values()):
                    yield part, False

    def _note_attributes(self, owner: Any) -> None:
        noted = dict(vars(owner))

        def put_back() -> None:
            now = vars(owner)
            for name in [n for n in now if n not in noted]:
                dict.__delitem__(now, name)
            dict.update(now, noted)

        self._bindings.append(put_back)

    def _note_container(self, value: Any) -> None:
        noted = list(value.items()) if isinstance(value, dict) else list(value)

        def put_back() -> None:
            if isinstance(value, dict):
                now = list(value.items())
                if len(now) != len(noted) or any(
                    a[0] is not b[0] or a[1] is not b[1] for a, b in zip(now, noted, strict=True)
                ):
                    value.clear()
                    value.update(noted)
            elif isinstance(value, set):
                if value != set(noted):
                    value.clear()
                    value.update(noted)
            elif len(value) != len(noted) or any(
                a is not b for a, b in zip(value, noted, strict=True)
            ):
                value.clear()
                value.extend(noted)

        self._bindings.append(put_back)

    def _of_function(self, function: types.FunctionType) -> Iterator[Any]:
        """What a function refers to; numbers that it may bind anew are noted."""
        if str(function.__module__).partition(".")[0] in _OTHERS:
            return
        yield from function.__defaults__ or ()
        yield from (function.__kwdefaults__ or {}).values()
        if vars(function):
            self._note_attributes(function)
            yield from list(vars(function).values())
        for cell in function.__closure__ or ():
            with contextlib.suppress(ValueError):  # not yet assigned
                self._bindings.append(
                    functools.partial(setattr, cell, "cell_contents", cell.cell_contents)
                )
                yield cell.cell_contents
        codes, known = [function.__code__], function.__globals__
        for code in codes:
            for name in code.co_names:
                if name in known:
                    value = known[name]
                    if not isinstance(value, types.ModuleType):
                        self._bindings.append(functools.partial(known.__setitem__, name, value))
                        yield value
            codes += [part for part in code.co_consts if isinstance(part, types.CodeType)]


#: Packages whose objects are not searched.
_OTHERS = frozenset(
    {
        "torch",
        "numpy",
        "scipy",
        "vaetheory",
        "pytest",
        "_pytest",
        "jax",
        "jaxlib",
        "flax",
        "equinox",
    }
    | {n for n in sys.stdlib_module_names if n not in ("types", "__main__")}
)


def _restorer(generator: Any) -> Undo:
    if isinstance(generator, np.random.Generator):
        return functools.partial(
            setattr, generator.bit_generator, "state", generator.bit_generator.state
        )
    if isinstance(generator, np.random.RandomState):
        return functools.partial(generator.set_state, generator.get_state())
    return functools.partial(generator.setstate, generator.getstate())


@contextlib.contextmanager
def at_the_end(undo: Undo) -> Iterator[None]:
    """Call a function at the end, whole: an interrupt on the way does not leave half of it."""
    try:
        yield
    finally:
        pending: BaseException | None = None
        while True:
            try:
                undo()
                break
            except KeyboardInterrupt as error:
                pending = error
        if pending is not None:
            raise pending


def seed(generator: Any, number: int) -> None:
    """Set the state of a generator of NumPy or Python."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        bits.state = type(bits)(number + 2).state
    elif isinstance(generator, np.random.RandomState):
        generator.seed((number + 3) % 2**32)
    else:
        generator.seed(number + 4)


def seed_all(number: int) -> None:
    """Set the global random states of NumPy and Python."""
    np.random.seed(number % 2**32)  # noqa: NPY002
    random.seed(number)


def random_states() -> list[Undo]:
    """Functions that put back the global random states and the error settings of NumPy."""
    return [
        functools.partial(np.random.set_state, np.random.get_state()),  # noqa: NPY002
        functools.partial(random.setstate, random.getstate()),
        functools.partial(np.seterr, **np.geterr()),
    ]
