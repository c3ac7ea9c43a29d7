"""Draws whose keys do not come from the key that a function gets: they are constants."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vaetheory.audit._jax._interpreter import CUSTOM, DRAWS, PLAIN, Site
from vaetheory.jax._programs import inner


def fixed_draws(program: Any, keyed: Sequence[bool]) -> frozenset[Site]:
    """The sites of draws that do not depend on some arguments of a program.

    Parameters
    ----------
    program : closed jaxpr
    keyed : sequence of bool
        Of each argument, whether it is the key or holds keys made of it.
    """
    found: dict[Site, bool] = {}
    _walk(program.jaxpr, keyed, (), found)
    return frozenset(site for site, depends in found.items() if not depends)


def _walk(jaxpr: Any, keyed: Sequence[bool], at: Site, found: dict[Site, bool]) -> list[bool]:
    """Which results depend on the keyed arguments; the sites of draws are added to `found`."""
    reached = {v for v, flag in zip(jaxpr.invars, keyed, strict=True) if flag}
    for i, step in enumerate(jaxpr.eqns):
        flags = [not hasattr(v, "val") and v in reached for v in step.invars]
        site = (*at, i)
        out = [any(flags)] * len(step.outvars)
        name = step.primitive.name
        if name in PLAIN and str(step.params.get("name", "")) in DRAWS:
            found[site] = found.get(site, False) or flags[0]
        elif name in PLAIN or name in CUSTOM:
            held = step.params[{**PLAIN, **CUSTOM}[name]]
            out = _walk(getattr(held, "jaxpr", held), flags, site, found)
        elif name == "scan":
            out = _of_loop(step, flags, site, found)
        elif any(flags):
            for part in inner(step):
                _walk(part, [True] * len(part.invars), site, found)
        reached.update(v for v, flag in zip(step.outvars, out, strict=True) if flag)
    return [not hasattr(v, "val") and v in reached for v in jaxpr.outvars]


def _of_loop(step: Any, flags: list[bool], site: Site, found: dict[Site, bool]) -> list[bool]:
    """The same of a loop: what one turn carries to the next may depend on any turn."""
    body = step.params["jaxpr"].jaxpr
    first, carried = step.params["num_consts"], step.params["num_carry"]
    while True:
        out = _walk(body, flags, site, found)
        now = list(flags)
        for k in range(carried):
            now[first + k] |= out[k]
        if now == flags:
            return out
        flags = now
