"""Adaptive tensor Gauss-Lobatto quadrature over a list of (cell, datum) pairs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vaetheory._gaussians import standard_log_prob
from vaetheory._quadrature.blocks import blocks
from vaetheory._quadrature.pairs import MAX_PAIRS, Pairs, TooManyPairs, keep, select, split
from vaetheory._quadrature.rules import LADDER, TensorRule, tensor_rule
from vaetheory._quadrature.sums import LEAST, MOST, TAIL, Part, Sums, add_up
from vaetheory._quadrature.task import Task
from vaetheory._validation import Array, Index
from vaetheory.rounding import ULP

_LIMIT = 100_000
_DEEPEST = 60
#: Shares of the remaining tolerance that the last rule may use up, and the rules before it.
_SPENT, _SPENT_EARLY = 0.5, 0.3
#: Additional nodes per axis for one more digit; one to two were measured.
_NODES_A_DIGIT = 1.5
#: Variation of an observable that counts as rounding and not as a kink, relative to its modulus.
_COLUMN_NOISE = 100 * ULP
#: The rung of a pair that is finished.
_DONE = -1


def integrate(
    task: Task,
    pairs: Pairs,
    shift: Array,
    *,
    rtol: float,
    noise: Array,
    nodes: Index,
    ladder: tuple[int, ...] | None = None,
) -> Sums:
    """Sum the integrals of exp(log joint) over each datum's cells, bisecting where needed.

    Parameters
    ----------
    task : Task
    pairs : Pairs
        Cells on which the integrand is resolved.
    shift : array (N,)
        Roughly the greatest log joint of each datum, nats.
    rtol : float
        Tolerance of the quadrature, relative to the integral.
    noise : array (N,)
        Rounding noise of the log joint, nats: a smaller error cannot be detected.
    nodes : array of int (N,)
        Evaluations already made.
    ladder : tuple of int, optional
        Numbers of nodes per axis of the rules; those of the dimension by default.
    """
    n, d = len(shift), task.model.latent_dim
    ladder = ladder or LADDER[d]
    sums = Sums.empty(shift, nodes, task.columns)
    rules = [tensor_rule(d, count) for count in ladder]
    sizes = np.array([len(rule.weights) + 1 for rule in rules])
    # Data whose cells cost more than the budget are not started and have no value.
    sums.gave_up = nodes + sizes[0] * np.bincount(pairs.datum, minlength=n) > task.max_nodes
    pairs = keep(pairs, ~sums.gave_up[pairs.datum])[0]
    for depth in range(_DEEPEST):
        if not len(pairs):
            break
        if len(pairs) > MAX_PAIRS and n > 1:
            raise TooManyPairs
        # The latest integral of each pair, and the rule that it waits for.
        latest = Part.empty(len(pairs), sums.size.shape[1], d)
        rung = np.zeros(len(pairs), dtype=np.intp)
        axes = np.zeros((len(pairs), d), dtype=bool)
        for i, rule in enumerate(rules):
            now = np.flatnonzero(rung == i)
            if not len(now):
                continue
            batch = select(pairs.boxes, pairs.cell[now], pairs.datum[now])[0]
            shift = sums.shift.copy()
            part = _evaluate(task, batch, sums, rule, noise)
            if i:
                latest.scale(np.exp(shift - sums.shift)[pairs.datum])
            latest.put(now, part)
            sums.nodes += sizes[i] * np.bincount(batch.datum, minlength=n)
            # Pairs that wait for a larger rule count with their latest integral.
            later = rung > i
            who = pairs.datum[later]
            coming = add_up(who, latest.value[later], n), add_up(who, latest.size[later], n)
            error, total = sums.relative(part, batch.datum, coming)
            worst = error.sum(axis=-1)
            last = i == len(rules) - 1
            # Only a share of the rest is spent, so that the sum never exceeds the tolerance.
            share = _SPENT if last else _SPENT_EARLY
            allowed = np.maximum(share * (rtol * total - sums.error), noise * total)
            accept = _acceptable(batch.datum, worst, allowed)
            accept |= worst <= np.maximum(part.rounding, noise[batch.datum] * part.value)
            if last and depth == _DEEPEST - 1:
                accept[:] = True
            wanted = allowed / np.maximum(np.bincount(batch.datum[~accept], minlength=n), 1)
            following = _next_rung(i, worst / wanted[batch.datum], ladder)
            rung[now] = np.where(accept, _DONE, following)
            # Only the axes with most of the error are halved.
            axes[now] = error >= 0.2 * error.max(axis=-1, keepdims=True, initial=0.0)
            # The cost of all waiting pairs is tested before it is spent, to keep the budget.
            waits = rung > i
            parts = sizes[0] << axes.sum(axis=-1)
            price = np.where(rung < len(rules), sizes[np.minimum(rung, len(rules) - 1)], parts)
            further = np.bincount(pairs.datum, np.where(waits, price, 0), minlength=n)
            sums.gave_up |= (further > 0) & (sums.nodes + further > task.max_nodes)
            ended = waits & sums.gave_up[pairs.datum]
            rung[ended] = _DONE
            ended[now] |= accept
            sums.add(latest, pairs.datum, ended)
        pairs = _bisect(pairs, rung >= len(rules), axes)
    return sums


def _next_rung(rung: int, excess: Array, ladder: tuple[int, ...]) -> Index:
    """The rung of the ladder to try next where the error is `excess` times the allowed error."""
    digits = np.log10(np.clip(excess, 1.0, 1e300))
    nodes = ladder[rung] + 1 + _NODES_A_DIGIT * digits
    most = max(len(ladder) - 1, rung + 1)
    following: Index = np.clip(np.searchsorted(ladder, nodes), rung + 1, most)
    return following


def _bisect(pairs: Pairs, again: NDArray[np.bool_], axes: NDArray[np.bool_]) -> Pairs:
    """Halve the cells of some pairs, each along its own axes."""
    axes = axes[again]
    # Pairs of one cell may need different axes: each choice gets a copy of the cell.
    d = axes.shape[-1]
    choice = (axes << np.arange(d)).sum(axis=-1)
    key = pairs.cell[again] * (1 << d) + choice
    order = np.argsort(key, kind="stable")
    kept, cell = np.unique(key[order], return_inverse=True)
    boxes = pairs.boxes.take(kept >> d)
    bits = (kept[:, None] >> np.arange(d)) & 1
    return split(Pairs(boxes, cell, pairs.datum[again][order]), bits.astype(bool))[0]


def _acceptable(datum: Index, error: Array, allowed: Array) -> NDArray[np.bool_]:
    """Mark the smallest errors of each datum, as many as have an allowed sum."""
    # In units of what is allowed, and no greater than decides: errors of one datum that are far
    # greater than those of the others would round the sums of the others away.
    most = allowed[datum]
    share = np.where(error <= 0, 0.0, np.inf)
    np.divide(error, most, out=share, where=(error > 0) & (most > 0))
    share = np.fmin(share, 2.0)
    order = np.lexsort((share, datum))
    total = np.cumsum(share[order])
    who = datum[order]
    first = np.r_[True, who[1:] != who[:-1]]
    before = (total - share[order])[first]
    total -= before[np.cumsum(first) - 1]
    accepted = np.empty(len(datum), dtype=bool)
    accepted[order] = total <= 1
    return accepted & (most >= 0)


def _evaluate(task: Task, pairs: Pairs, sums: Sums, rule: TensorRule, noise: Array) -> Part:
    """Integrals of each pair, relative to exp(sums.shift); raises that shift where it is low."""
    model, table, observable = task.model, task.table, task.observable
    d, boxes = model.latent_dim, pairs.boxes
    density = boxes.density(rule.nodes)
    m = len(rule.weights)
    part = Part.empty(len(pairs), sums.size.shape[1], d)
    top = np.empty(len(pairs))
    per_cell = m * (model.param_dim + d)
    for b in blocks(pairs.cell, per_pair=m + model.param_dim, per_cell=per_cell, limit=_LIMIT):
        cells = boxes.take(b.cells)
        centre = cells.centre
        # The first of the points is the centre.
        step = np.concatenate([np.zeros_like(centre)[:, None], cells.steps(rule.nodes)], axis=1)
        params = table.restrict(model.decode(centre[:, None] + step))
        # The prior is also taken relative to the centre, to keep its digits.
        prior = -(step[:, 1:] * (centre[:, None] + 0.5 * step[:, 1:])).sum(axis=-1)
        datum = pairs.datum[b.pairs]
        base, score = table.centre(datum, params[:, 0])
        offset = base + standard_log_prob(centre)[:, None] - sums.shift[datum]
        exponent = table.change_to(score, datum, params[:, 0], params[:, 1:])
        exponent += prior[:, None]
        exponent += offset[..., None]
        along = rule.most(exponent)
        peak = along[0].max(axis=-1)
        volume = cells.scale()[:, None, None]
        lost = table.rounding(base, datum, offset, sums.shift[datum])
        kinks = rule.unlike(exponent, lost + noise[datum], along)
        unlike: list[Array] = [volume * line for line in kinks]
        np.maximum(exponent, LEAST, out=exponent)
        if peak.max() > MOST:
            np.minimum(exponent, MOST, out=exponent)
        np.exp(exponent, out=exponent)
        exponent *= volume
        if density is not None:
            exponent *= density
            for line in unlike:
                line *= density.max()
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
                # A kink of the weight counts in proportion to the observable, and a kink of the
                # observable in proportion to the weight.
                ends, most = rule.ends(column), rule.most(modulus)
                off: list[Array] = [
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
    sums.rescale(pairs.datum, top, part)
    return part
