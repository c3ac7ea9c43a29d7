"""Adaptive tensor Gauss-Lobatto quadrature over a list of (cell, datum) pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.blocks import blocks
from vaetheory._quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, keep, select, split
from vaetheory._quadrature.rules import LADDER, TensorRule, tensor_rule
from vaetheory._quadrature.sums import LEAST, MOST, TAIL, Observable, Part, Sums, add_up, columns_of
from vaetheory._validation import Array, Index
from vaetheory.likelihoods.table import Table
from vaetheory.models import LatentModel
from vaetheory.rounding import ULP

_LIMIT = 100_000
_DEEPEST = 60
#: Shares of the tolerance that is left which the last rule may use up, and those before it.
_SPENT, _SPENT_EARLY = 0.5, 0.3
#: Nodes an axis that another digit takes: seen were one to two.
_NODES_A_DIGIT = 1.5
#: Rounding of an observable that is no kink of it, relative to its modulus.
_COLUMN_NOISE = 100 * ULP
#: The rung of a pair that is done with.
_DONE = -1


def integrate(
    model: LatentModel,
    table: Table,
    pairs: Pairs,
    shift: Array,
    *,
    rtol: float,
    noise: Array,
    max_nodes: int,
    nodes: Index,
    observable: Observable | None = None,
) -> Sums:
    """Sum the integrals of exp(log joint) over each datum's cells, bisecting where needed.

    Parameters
    ----------
    model : LatentModel
    table : Table
        Of the data.
    pairs : Pairs
        Cells on which the integrand is resolved.
    shift : array (N,)
        About the greatest log joint of each datum, nats.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    noise : array (N,)
        Rounding noise of the log joint, nats: an error below it cannot be made out.
    max_nodes : int
        Evaluations a datum.
    nodes : array of int (N,)
        Evaluations already made.
    observable : callable, optional
        Functions whose expectations are wanted as well, `(..., d) -> (..., K)`.
    """
    n, d = len(shift), model.latent_dim
    out = Sums.empty(shift, nodes, columns_of(observable, d))
    rules = [tensor_rule(d, count) for count in LADDER[d]]
    sizes = np.array([len(rule.weights) + 1 for rule in rules])
    # Cells that the budget cannot pay for are not begun: their data have no value.
    out.gave_up = nodes + sizes[0] * np.bincount(pairs.datum, minlength=n) > max_nodes
    pairs = keep(pairs, ~out.gave_up[pairs.datum])[0]
    for depth in range(_DEEPEST):
        if not len(pairs):
            break
        if len(pairs) > MAX_PAIRS and n > 1:
            raise TooManyPairs
        # What each pair came to at last, and the rule that it waits for.
        found = Part.empty(len(pairs), out.size.shape[1], d)
        rung = np.zeros(len(pairs), dtype=np.intp)
        axes = np.zeros((len(pairs), d), dtype=bool)
        for i, rule in enumerate(rules):
            now = np.flatnonzero(rung == i)
            if not len(now):
                continue
            some = select(pairs.boxes, pairs.cell[now], pairs.datum[now])[0]
            shift = out.shift.copy()
            part = _evaluate(model, table, some, out, rule, noise, observable)
            if i:
                found.scale(np.exp(shift - out.shift)[pairs.datum])
            found.put(now, part)
            out.nodes += sizes[i] * np.bincount(some.datum, minlength=n)
            # What waits for a larger rule counts as it was found.
            later = rung > i
            who = pairs.datum[later]
            coming = add_up(who, found.value[later], n), add_up(who, found.size[later], n)
            error, total = out.relative(part, some.datum, coming)
            worst = error.sum(axis=-1)
            last = i == len(rules) - 1
            # A part of what is left is spent: the error never exceeds the tolerance.
            share = _SPENT if last else _SPENT_EARLY
            allowed = np.maximum(share * (rtol * total - out.error), noise * total)
            accept = _acceptable(some.datum, worst, allowed)
            accept |= worst <= np.maximum(part.rounding, noise[some.datum] * part.value)
            if last and depth == _DEEPEST - 1:
                accept[:] = True
            wanted = allowed / np.maximum(np.bincount(some.datum[~accept], minlength=n), 1)
            following = _next_rung(i, worst / wanted[some.datum], d)
            rung[now] = np.where(accept, _DONE, following)
            # Halved are the axes that hold most of the error.
            axes[now] = error >= 0.2 * error.max(axis=-1, keepdims=True, initial=0.0)
            # What all that waits would cost decides, so that the budget is kept.
            waits = rung > i
            parts = sizes[0] << axes.sum(axis=-1)
            price = np.where(rung < len(rules), sizes[np.minimum(rung, len(rules) - 1)], parts)
            further = np.bincount(pairs.datum, np.where(waits, price, 0), minlength=n)
            out.gave_up |= (further > 0) & (out.nodes + further > max_nodes)
            ended = waits & out.gave_up[pairs.datum]
            rung[ended] = _DONE
            ended[now] |= accept
            out.add(found, pairs.datum, ended)
        pairs = _bisect(pairs, rung >= len(rules), axes)
    return out


def _next_rung(rung: int, excess: Array, d: int) -> Index:
    """The rung of the ladder that is to do where the error is `excess` times what it may be."""
    ladder = np.array(LADDER[d])
    digits = np.log10(np.clip(excess, 1.0, 1e300))
    nodes = ladder[rung] + 1 + _NODES_A_DIGIT * digits
    found: Index = np.clip(np.searchsorted(ladder, nodes), rung + 1, max(len(ladder) - 1, rung + 1))
    return found


def _bisect(pairs: Pairs, again: NDArray[np.bool_], axes: NDArray[np.bool_]) -> Pairs:
    """Halve the cells of some pairs, each along its own axes."""
    axes = axes[again]
    # Pairs of one cell may want different axes: each choice is a copy of the cell.
    d = axes.shape[-1]
    choice = (axes << np.arange(d)).sum(axis=-1)
    key = pairs.cell[again] * (1 << d) + choice
    order = np.argsort(key, kind="stable")
    kept, cell = np.unique(key[order], return_inverse=True)
    boxes = pairs.boxes.take(kept >> d)
    bits = (kept[:, None] >> np.arange(d)) & 1
    return split(Pairs(boxes, cell, pairs.datum[again][order]), bits.astype(bool))[0]


def _acceptable(datum: Index, error: Array, allowed: Array) -> NDArray[np.bool_]:
    """Mark the smallest errors of each datum whose sum is allowed."""
    order = np.lexsort((error, datum))
    total = np.cumsum(error[order])
    who = datum[order]
    first = np.r_[True, who[1:] != who[:-1]]
    before = (total - error[order])[first]
    total -= before[np.cumsum(first) - 1]
    out = np.empty(len(datum), dtype=bool)
    out[order] = total <= allowed[who]
    return out


def _evaluate(
    model: LatentModel,
    table: Table,
    pairs: Pairs,
    out: Sums,
    rule: TensorRule,
    noise: Array,
    observable: Observable | None,
) -> Part:
    """Integrals of each pair, relative to exp(out.shift)."""
    d, boxes = model.latent_dim, pairs.boxes
    points = np.concatenate([np.zeros((1, d)), rule.nodes])
    m = len(rule.weights)
    part = Part.empty(len(pairs), out.size.shape[1], d)
    top = np.empty(len(pairs))
    per_cell = m * (model.data_dim + d)
    for b in blocks(pairs.cell, per_pair=m + model.data_dim, per_cell=per_cell, limit=_LIMIT):
        centre, half = boxes.centre[b.cells], boxes.half[b.cells]
        step = half[:, None] * points
        params = table.restrict(model.decode(centre[:, None] + step))
        delta = table.coordinates(params[:, 1:] - params[:, :1])
        # The prior is centred like the likelihood, for the same reason.
        prior = -(step[:, 1:] * (centre[:, None] + 0.5 * step[:, 1:])).sum(axis=-1)
        datum = pairs.datum[b.pairs]
        base, score = table.centre(datum, params[:, 0])
        offset = base + standard_log_prob(centre)[:, None] - out.shift[datum]
        exponent = table.change(score, datum, params[:, 0], delta)
        exponent += prior[:, None]
        exponent += offset[..., None]
        peak = exponent.max(axis=-1)
        volume = half.prod(axis=-1)[:, None, None]
        lost = table.rounding(base, datum, offset, out.shift[datum])
        unlike = [volume * line for line in rule.unlike(exponent, lost + noise[datum])]
        np.maximum(exponent, LEAST, out=exponent)
        if peak.max() > MOST:
            np.minimum(exponent, MOST, out=exponent)
        np.exp(exponent, out=exponent)
        exponent *= volume
        integral, worst = rule.integrate(exponent, unlike)
        there = b.pairs[b.valid]
        part.value[there], part.error[there] = integral[b.valid], worst[b.valid]
        part.rounding[there] = (lost * integral)[b.valid]
        top[there] = peak[b.valid]
        if observable is not None:
            values = observable(centre[:, None] + step[:, 1:])
            tops = rule.most(exponent)
            near = exponent >= volume * np.exp(TAIL)
            for k in range(values.shape[-1]):
                column = values[:, None, :, k]
                modulus = np.abs(column)
                # A kink of the weight counts as much as the observable is large there, and a kink
                # of the observable as much as the weight is.
                ends, most = rule.ends(column), rule.most(modulus)
                off = [
                    u * m + top * np.maximum(e - _COLUMN_NOISE * m, 0.0)
                    for u, m, top, e in zip(unlike, most, tops, ends, strict=True)
                ]
                integral, worst = rule.integrate(exponent * column, off)
                part.moment[there, k] = integral[b.valid]
                part.moment_error[there, k] = worst[b.valid]
                modulus = exponent * modulus
                part.size[there, k] = (modulus @ rule.weights)[b.valid]
                modulus[near] = 0.0
                part.tail[there, k] = (modulus @ rule.weights)[b.valid]
    out.rescale(pairs.datum, top, part)
    return part
