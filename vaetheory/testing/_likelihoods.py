"""The data and params of the laws of a likelihood, and laws of shapes, types and derivatives."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from vaetheory._validation import Array, dimension, vectors
from vaetheory.likelihoods.base import Likelihood
from vaetheory.likelihoods.supports import Support
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

#: How many parameter vectors are drawn, and how many data for each.
_PARAMS, _DATA = 4, 3
#: Data outside a support.
_OUTSIDE = {
    Support.POSITIVE: (0.0, -1.0),
    Support.UNIT_INTERVAL: (0.0, 1.0, -0.5, 1.5),
    Support.COUNTS: (-1.0, 0.5),
    Support.BINARY: (0.5, -1.0, 2.0),
}


def has_metric(family: Likelihood) -> bool:
    """Whether a family states that it has a Fisher information."""
    return family.no_metric is None


@dataclass(frozen=True)
class Method:
    """A method of a family: its arguments, and the last axes of its result."""

    name: str
    takes: str
    call: Callable[..., Any]
    last: tuple[int, ...]


@dataclass
class Family(Subject):
    """A family with the params and data at which its laws are tested."""

    given_params: Array | None = None
    given_data: Array | None = None
    size: int = 2

    @cached_property
    def params(self) -> Array:
        """Parameter vectors `(M, P)`."""
        if self.given_params is not None:
            return self.given_params
        shape = _PARAMS, self.size * self.instance.params_each
        return self.instance.typical_params(self.stream("params").standard_normal(shape))

    @cached_property
    def x(self) -> Array:
        """Data `(N, D)`: the given ones, samples, or points of the support if sampling fails."""
        if self.given_data is not None:
            return self.given_data
        rng = self.stream("x")
        try:
            params = np.repeat(self.params, _DATA, axis=0)
            draws = np.array(self.instance.sample(params, rng), dtype=np.float64)
            return self.instance.check_data(draws.reshape(len(params), self.size))
        except Exception:
            return self._anything(rng.standard_normal((_PARAMS * _DATA, self.size)))

    def _anything(self, normal: Array) -> Array:
        of = {
            Support.REAL: normal,
            Support.CIRCLE: normal,
            Support.POSITIVE: np.exp(normal),
            Support.UNIT_INTERVAL: 1 / (1 + np.exp(-normal)),
            Support.COUNTS: np.floor(2 * np.exp(normal)),
            Support.BINARY: (normal > 0).astype(np.float64),
            Support.ONE_HOT: np.eye(self.size)[normal.argmax(axis=-1)],
        }
        if self.instance.support not in of:
            raise NotApplicable("there are no data: sampling fails, and x= is not given")
        return of[self.instance.support]

    def heights(self, x: Array, params: Array) -> Array:
        """Log densities, minus infinity where the params are outside the parameter space."""
        out = self.instance.excluded(params)
        if out is None:
            return np.asarray(self.instance.log_prob(x, params))
        inside = self.instance.typical_params(np.zeros(params.shape))
        inside = np.where(out.where[..., None], inside, params)
        log_prob = np.asarray(self.instance.log_prob(x, inside))
        return np.where(np.broadcast_to(out.where, log_prob.shape), -np.inf, log_prob)

    def observed(self, x: Array, params: Array, jacobian: Array) -> Array:
        """The observed information."""
        return np.asarray(self.instance.observed_information(x, params, jacobian))

    @cached_property
    def methods(self) -> list[Method]:
        """The methods of every family, and those of an exponential family."""
        f, size = self.instance, self.params.shape[-1]
        found = [
            Method("log_prob", "xt", f.log_prob, ()),
            Method("score", "xt", f.score, (size,)),
            Method("greatest_log_prob", "x", f.greatest_log_prob, ()),
        ]
        if has_metric(f):
            eye = np.eye(size)
            found += [
                Method(
                    "observed_information",
                    "xt",
                    lambda x, t: self.observed(x, t, eye),
                    (size, size),
                ),
                Method("fisher_information", "t", f.fisher_information, (size, size)),
            ]
        if f.exponential:
            count = np.shape(f.statistics(self.x[:1]))[-1]
            found += [
                Method("statistics", "x", f.statistics, (count,)),
                Method("log_base", "x", f.log_base, ()),
                Method("natural_parameters", "t", f.natural_parameters, (count,)),
                Method("mean", "t", f.mean, (count,)),
                Method("log_partition", "t", f.log_partition, ()),
            ]
        return found

    def call(self, method: Method, x: Any, params: Any) -> Any:
        """Call a method with its arguments: x, params or both."""
        return method.call(*{"xt": (x, params), "x": (x,), "t": (params,)}[method.takes])


def read_family(
    family: object, params: object, x: object, data_dim: object, *, seed: int
) -> Family:
    """The subject of `check_likelihood`, or a ValueError."""
    if not isinstance(family, Likelihood):
        raise ValueError(
            f"family: expected a vaetheory.likelihoods.Likelihood, got {type(family).__name__}"
        )
    size = family.data_dim
    if data_dim is not None:
        asked = dimension("data_dim", data_dim)
        if size not in (None, asked):
            raise ValueError(f"data_dim: expected {size}, the family's own, got {asked}")
        size = asked
    rows: list[Array | None] = []
    for name, value, each in (("params", params, family.params_each), ("x", x, 1)):
        array = None
        if value is not None:
            wanted = None if size is None else each * size
            array = vectors(name, value, wanted)  # type: ignore[arg-type]
            array = array.reshape(-1, array.shape[-1])
            size = family.data_dim_of(array.shape[-1], name) if each > 1 else array.shape[-1]
        rows.append(array)
    if rows[1] is not None:
        rows[1] = family.check_data(rows[1])
    usual = 3 if family.support is Support.ONE_HOT else 2
    return Family(family, seed, {}, rows[0], rows[1], size or usual)


# Calls ---------------------------------------------------------------------------------------


@LAWS.add()
def inputs(s: Family) -> None:
    """Methods do not change the arrays that they receive."""
    for method in s.methods:
        given = s.x[:2].copy(), s.params[:2].copy()
        s.call(method, *given)
        for name, now, before in zip(("x", "params"), given, (s.x[:2], s.params[:2]), strict=True):
            if not np.array_equal(now, before):
                raise Violation(
                    f"expected {method.name} to leave {name} unchanged, got {before.tolist()} "
                    f"changed to {now.tolist()}"
                )


@LAWS.add("inputs")
def shapes(s: Family) -> None:
    """Leading axes broadcast, the last axes are as documented."""
    n, m = len(s.x), len(s.params)
    lead = {"xt": (n, m), "x": (n, 1), "t": (m,)}
    for method in s.methods:
        came = np.shape(s.call(method, s.x[:, None].copy(), s.params.copy()))
        wanted = (*lead[method.takes], *method.last)
        if came != wanted:
            raise Violation(
                f"expected {method.name} of shape {wanted} for x of shape {(n, 1, s.x.shape[-1])} "
                f"and params of shape {s.params.shape}, got {came}"
            )
    longer = np.concatenate([s.params, s.params[:, :1]], axis=-1)
    for method in s.methods[:2]:
        require_refusal(
            f"{method.name} of x {s.x.shape[1:]} and params {longer.shape[1:]}",
            partial(s.call, method, s.x[0].copy(), longer[0]),
        )


@LAWS.add("shapes")
def rows(s: Family) -> None:
    """A result does not depend on what else is in the batch."""
    x, params = (np.resize(a, (3, a.shape[-1])) for a in (s.x, s.params))
    for method in s.methods:
        table = {"xt": (x[:, None], params), "x": (x, params), "t": (x, params)}[method.takes]
        together = np.asarray(s.call(method, *(a.copy() for a in table)))
        pairs = [(i, j) for i in range(len(x)) for j in range(len(params))]
        if method.takes != "xt":
            pairs = [(i, i) for i in range(len(together))]
        bound = rounding_of(partial(s.call, method, table[0]), table[1])
        for i, j in pairs:
            index = (i, j) if method.takes == "xt" else i
            require_close(
                f"{method.name} of the batch at row {index}, which alone it is,",
                together[index],
                s.call(method, x[i].copy(), params[j].copy()),
                bound[index],
            )


@LAWS.add("inputs")
def types(s: Family) -> None:
    """Results are float64 for any type of number."""
    x32: Array = s.x[:2].astype(np.float32)
    t32 = s.params[:2].astype(np.float32)
    try:
        s.instance.check_data(x32)
    except ValueError:
        # Rounding to single precision moved the data out of the support.
        x32 = s.x[:2]
    whole = np.round(s.params[:2]).astype(np.int64)
    kinds = {"float32": (x32, t32), "integer": (s.x[:2].copy(), whole)}
    kinds["a list of"] = s.x[:2].tolist(), s.params[:2].tolist()
    for method in s.methods:
        for kind, given in kinds.items():
            exact = [np.array(a, dtype=np.float64) for a in given]
            came, wanted = np.asarray(s.call(method, *given)), s.call(method, *exact)
            if came.dtype != np.float64:
                raise Violation(
                    f"expected {method.name} to give float64 for {kind} arguments, got {came.dtype}"
                )
            require_close(f"{method.name} of {kind} numbers", came, wanted, 0.0)


@LAWS.add("inputs")
def missing_values(s: Family) -> None:
    """NaN data and params, and infinite data, are refused."""
    for method in s.methods[:2] + [m for m in s.methods if "information" in m.name]:
        for name, value in (("x", np.nan), ("x", np.inf), ("params", np.nan)):
            x, params = s.x[0].copy(), s.params[0].copy()
            if name == "params" and "t" in method.takes:
                params[0] = value
            elif name == "x" and "x" in method.takes:
                x[0] = value
            else:
                continue
            require_refusal(
                f"{method.name} where {name} holds {value}",
                partial(s.call, method, x, params),
            )
    broken = np.full(s.params.shape[-1], np.nan)
    require_refusal(
        "samples where params hold nan", lambda: s.instance.sample(broken, s.stream("nan"))
    )


@LAWS.add("inputs")
def support(s: Family) -> None:
    """Data outside the support are refused."""
    if not isinstance(s.instance.support, Support):
        raise NotApplicable("the family states no support")
    outside = []
    for value in _OUTSIDE.get(s.instance.support, ()):
        x = s.x[0].copy()
        x[-1] = value
        outside.append(x)
    if s.instance.support is Support.ONE_HOT:
        size = s.x.shape[-1]
        outside = [np.zeros(size), np.ones(size), np.full(size, 1 / size)]
    calls = {m.name: m for m in s.methods if "x" in m.takes and m.last != ()}
    calls |= {m.name: m for m in s.methods if m.name in ("log_prob", "greatest_log_prob")}
    calls.pop("statistics", None)
    for x in outside:
        require_refusal(f"check_data of x = {x.tolist()}", partial(s.instance.check_data, x.copy()))
        for method in calls.values():
            require_refusal(
                f"{method.name} of x = {x.tolist()}, outside the support",
                partial(s.call, method, x.copy(), s.params[0].copy()),
            )


@LAWS.add("inputs")
def pickling(s: Family) -> None:
    """A pickled copy gives the same results."""
    twin = copy_of(
        "an instance that can be pickled (no lambdas, no functions made in functions)",
        s.instance,
        lambda f: pickle.loads(pickle.dumps(f)),
    )
    other = Family(twin, s.seed, {}, s.params, s.x, s.size)
    for mine, its in zip(s.methods, other.methods, strict=True):
        zeros = s.instance.typical_params(np.zeros((len(s.x), s.params.shape[-1])))
        came, wanted = (f.call(m, s.x.copy(), zeros.copy()) for f, m in ((other, its), (s, mine)))
        require_close(f"{mine.name} of a pickled copy", came, wanted, 0.0)


@LAWS.add()
def equality(s: Family) -> None:
    """Equal instances are equal and hash alike."""
    require_value(s.instance, {"copy": copy_of("a copy", s.instance, copy.deepcopy)})


# Derivatives ---------------------------------------------------------------------------------


def _at(x: Array, params: Array, index: tuple[int, ...]) -> str:
    return f"x = {x[index[0]].tolist()}, params = {params.tolist()}"


def _inside(s: Family, inside: Array, params: Array) -> Array:
    """Log densities of data where they are finite, `(M, N)`."""
    log_prob = s.instance.log_prob(s.x.copy(), params[:, None].copy())
    return np.where(inside, log_prob, np.nan)


@LAWS.add("rows", "types")
def score(s: Family) -> None:
    """The score is the derivative of the log density."""
    seen = []
    for t in s.params:
        claimed = s.instance.score(s.x.copy(), t.copy()) @ direction(len(t))
        inside = np.isfinite(s.instance.log_prob(s.x.copy(), t.copy()))
        seen.append(
            require_slope(
                "score . direction to be the derivative of log_prob",
                partial(_inside, s, inside),
                t,
                claimed,
                partial(_at, s.x, t),
            )
        )
    clear(seen)


@LAWS.add("score", when=has_metric)
def observed_information(s: Family) -> None:
    """The observed information is minus the derivative of the score."""
    size, seen = s.params.shape[-1], []
    for t in s.params:
        matrix = s.observed(s.x.copy(), t.copy(), np.eye(size))
        asymmetry = np.abs(matrix - np.swapaxes(matrix, -1, -2))
        if (asymmetry > gamma(256) * np.abs(matrix).max(axis=(-2, -1), keepdims=True)).any():
            raise Violation(
                f"expected symmetric observed_information, got entries that differ by "
                f"{asymmetry.max():.3g} at params = {t.tolist()}"
            )
        seen.append(
            require_slope(
                "observed_information @ direction to be minus the derivative of the score",
                lambda p: -s.instance.score(s.x.copy(), p[:, None].copy()),
                t,
                matrix @ direction(size),
                partial(_at, s.x, t),
            )
        )
        jacobian = s.stream("jacobian").standard_normal((len(s.x), size, 2))
        pulled = np.swapaxes(jacobian, -1, -2) @ matrix @ jacobian
        most = np.swapaxes(np.abs(jacobian), -1, -2) @ np.abs(matrix) @ np.abs(jacobian)
        require_close(
            f"observed_information pulled back by jacobian, at params = {t.tolist()},",
            s.observed(s.x.copy(), t.copy(), jacobian.copy()),
            pulled,
            gamma(256) * (1 + most.max(axis=(-2, -1), keepdims=True)),
        )
    clear(seen)
