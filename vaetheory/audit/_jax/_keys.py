"""Whether the noise of a loss comes from its key, and whether each key is used once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vaetheory.audit._conduct import Conduct
from vaetheory.audit._examined import Examined
from vaetheory.audit._findings import WRONG
from vaetheory.audit._jax import _adapters as adapters
from vaetheory.audit._jax._bench import Bench
from vaetheory.audit._jax._cases import Case
from vaetheory.audit._jax._draws import Draw, redrawn

#: Latents that move by more than this with a draw depend on it.
_MOVED = 1e-9


def noise_of_keys(conduct: Conduct, found: Examined) -> None:
    """Compare two traces with other states of NumPy and Python, and the keys of all draws."""
    bench: Bench = conduct.bench
    x = bench.rows(min(conduct.sizes))
    first, again, other = (
        bench.trace(bench.loss, adapters.values, (x,), seed) for seed in (1, 1, 2)
    )
    if first.same(again) and not first.same(other):
        conduct.findings.add(
            "noise.outside-of-key",
            WRONG,
            float(first.differing(other)),
            "the number of arrays in the trace that change with the seeds of NumPy and Python",
            "loss draws from NumPy or Python while JAX traces it, and not from its key: under jit "
            "these numbers are the same in each step",
            "draw with jax.random and the key that loss gets",
        )
    _reused(conduct)


def _reused(conduct: Conduct) -> None:
    """Whether two draws that reach the latents, or one that does and another, share a key."""
    bench: Bench = conduct.bench
    x = bench.rows(min(conduct.sizes))
    draws = bench.run(bench.loss, x, seed=7).draws
    users: dict[bytes, list[tuple[int, tuple[int, ...]]]] = {}
    for i, draw in enumerate(draws):
        for key, shape in draw.keys:
            users.setdefault(key, []).append((i, shape))
    shared = {key: those for key, those in users.items() if len(those) > 1}
    if not shared:
        return
    reach = _reaching(bench, Case(x, list(draws), 7))
    for those in shared.values():
        ours = [(i, shape) for i, shape in those if i in reach]
        others = [
            (i, shape)
            for i, shape in those
            if i not in reach and (draws[i].law, shape) not in {(draws[j].law, s) for j, s in ours}
        ]
        # The same draw made twice is one draw, if it is also used for one entry of the latents.
        if len(ours) > 1 or (ours and others):
            what = ", ".join(sorted({f"{draws[i].law} {shape}" for i, shape in those}))
            conduct.findings.add(
                "noise.key-reused",
                WRONG,
                float(len(those)),
                "the number of draws that are made with one key",
                f"the key of the latents' noise is used for {len(those)} draws ({what}), which are "
                "therefore not independent",
                "give each draw a key of its own, by jax.random.split",
            )
            return


def _reaching(bench: Bench, case: Case) -> set[int]:
    """The draws of which the latents are functions."""
    sites = bench.latents_of(case)
    _, _, home = bench.loss_of(case, sites)
    made = set()
    for i in range(len(case.draws)):
        draws: Sequence[Draw] = [
            redrawn([d], bench.rng)[0] if j == i else d for j, d in enumerate(case.draws)
        ]
        _, _, now = bench.loss_of(case, sites, draws)
        off = [np.abs(a - b).max() for a, b in zip(home, now, strict=True) if a.size]
        if off and max(off) > _MOVED:
            made.add(i)
    return made
