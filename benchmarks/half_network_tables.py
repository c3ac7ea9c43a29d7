"""The tables of docs/half-network.md, from the stored results of benchmarks/half_network.py.

    .venv/bin/python benchmarks/half_network_tables.py

prints them; a test compares the page with them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from vaetheory.figures.half_network import IMAGES, RATES, means, stored
from vaetheory.training import Interval, confidence_interval

Results = list[dict[str, Any]]
#: The ordinary VAE with which images are compared.
ORDINARY = "ordinary VAE"
#: Differences that count as none, in nats a datum.
NEAR, NOT_FAR = 5.0, 50.0


def at(results: Results, objective: str, h: float) -> dict[int, float]:
    """Held-out ELBOs at one presumed information, by seed."""
    return {
        r["seed"]: next(e["test"] for e in r["sweep"] if e["information"] == h)
        for r in results
        if r["objective"] == objective and r["sweep"]
    }


def lead(one: Mapping[int, float], other: Mapping[int, float]) -> Interval | None:
    """The paired difference one - other over the seeds that both have."""
    both = sorted(set(one) & set(other))
    return confidence_interval([one[s] - other[s] for s in both]) if both else None


def shown(found: Interval | None) -> str:
    """A difference with its sign and half the width of its interval."""
    if found is None:
        return ""
    width = "" if found.count == 1 else f" ± {(found.high - found.low) / 2:.1f}"
    return f"{found.mean:+.1f}{width}".replace("-", "\N{MINUS SIGN}")


def answer() -> str:
    """What the half-network, and the one with varying variances, gain on images."""
    head = (
        "| data | seeds | outputs | one sigma | half-network | varying variances | the same, "
        "weighted bound |"
    )
    lines = [head, "| --- " * 7 + "|"]
    for name, title in IMAGES.items():
        results = stored()[name]["results"]
        ordinary = means(results, ORDINARY)
        bound = means(results, ORDINARY, "importance")
        outputs = {r["objective"]: sum(r["outputs"]) for r in results}
        cells = [title, str(len(ordinary)), f"{outputs['half']:,} of {outputs['ordinary']:,}"]
        cells += [
            shown(lead(means(results, objective), ordinary))
            for objective in ("one-sigma", "half", "half-varying")
        ]
        cells.append(shown(lead(means(results, "half-varying", "importance"), bound)))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


Part = Callable[[Results], Interval | None]


def _gap(one: str, other: str, measure: str = "elbo") -> Part:
    return lambda r: lead(means(r, one, measure), means(r, other, measure))


def _full_prior(results: Results) -> Interval | None:
    gains = [r["full_prior_gain"] for r in results if r["objective"] == "half"]
    return confidence_interval(gains) if gains else None


def _best_h(results: Results) -> Interval | None:
    """What the best h of the held-out data would have gained over the validation data's."""
    regrets = [
        max(e["test"] for e in r["sweep"])
        - next(e["test"] for e in r["sweep"] if e["information"] == r["information"])
        for r in results
        if r["objective"] == "half" and len(r["sweep"]) > 1
    ]
    return confidence_interval(regrets) if regrets else None


PARTS: dict[str, Part] = {
    "optimal sigma − ordinary: one variance a pixel": _gap("optimal-sigma", ORDINARY),
    "one sigma − optimal sigma: one variance for all pixels": _gap("one-sigma", "optimal-sigma"),
    "constant − one sigma: posterior variances the same for all data": _gap(
        "constant", "one-sigma"
    ),
    "BILBO − one sigma: s = 1, floating prior": _gap("bilbo", "one-sigma"),
    "half-network at h = 3 − optimal sigma: s = 1, floating prior": lambda r: lead(
        at(r, "half", 3.0), means(r, "optimal-sigma")
    ),
    "varying variances − half-network": _gap("half-varying", "half"),
    "varying variances − ordinary": _gap("half-varying", ORDINARY),
    "a full floating prior instead of a diagonal one": _full_prior,
    "the best h of the held-out data instead of validation's": _best_h,
}


def parts() -> str:
    """What each part of the half-network costs on images."""
    lines = ["| | " + " | ".join(IMAGES.values()) + " |", "| --- " * (len(IMAGES) + 1) + "|"]
    for title, difference in PARTS.items():
        cells = [shown(difference(stored()[name]["results"])) for name in IMAGES]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def pairs(objective: str) -> dict[tuple[float, float], float]:
    """Held-out ELBOs by (rate, scale), in the unit of the unscaled data."""
    return {
        (rate, r["scale"]): r["measures"]["elbo"]["mean"]
        for name, rate in RATES.items()
        for r in stored()[name]["results"]
        if r["objective"] == objective
    }


def volume() -> str:
    """At how many pairs of scale and rate each objective comes close to its own best."""
    names = [r["objective"] for r in stored()[next(iter(RATES))]["results"] if r["scale"] == 1]
    lines = [
        f"| objective | best | within {NEAR:g} nats of it | within {NOT_FAR:g} | worst at the best "
        "rate | worst |",
        "| --- " * 6 + "|",
    ]
    for name in names:
        found = pairs(name)
        elbo = np.array(list(found.values()))
        best = max(found, key=lambda pair: found[pair])
        same_rate = [v for (rate, _), v in found.items() if rate == best[0]]
        counts = [
            f"{int((elbo >= elbo.max() - size).sum())} of {len(elbo)}" for size in (NEAR, NOT_FAR)
        ]
        worst = (f"{v:,.0f}" for v in (min(same_rate), elbo.min()))
        numbers = " | ".join([f"{elbo.max():,.0f}", *counts, *worst])
        numbers = numbers.replace("-", "\N{MINUS SIGN}")
        lines.append(f"| {name} | {numbers} |")
    return "\n".join(lines) + "\n"


TABLES: dict[str, Callable[[], str]] = {"answer": answer, "images: parts": parts, "volume": volume}


if __name__ == "__main__":
    for title, table in TABLES.items():
        print(f"<!-- {title} -->\n\n{table()}")
