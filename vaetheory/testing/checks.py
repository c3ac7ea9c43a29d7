"""Check a family, a decoder or a flow, or make a pytest test of each law."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from numpy.typing import ArrayLike

from vaetheory.decoders.base import Decoder
from vaetheory.flows.base import Embedding
from vaetheory.likelihoods.base import Likelihood
from vaetheory.testing import _decoders, _flows, _likelihoods
from vaetheory.testing import _stated as _stated  # these two add laws of likelihoods
from vaetheory.testing import _sums as _sums
from vaetheory.testing.laws import ExpectedFailures, Laws, Outcome, Subject, parameters, seed_of


def check_likelihood(
    family: Likelihood,
    *,
    params: ArrayLike | None = None,
    x: ArrayLike | None = None,
    data_dim: int | None = None,
    rng: object = 0,
    expected_failures: ExpectedFailures | None = None,
    strict: bool = True,
) -> tuple[Outcome, ...]:
    """Check that a likelihood is correct: its density, derivatives, bounds and samples.

    Derivatives are compared with differences, means with sums over the support, and samples with
    the density by Hoeffding's inequality, each with its computed error. A relative mistake of one
    part in a thousand in a derivative is refused. A law that cannot detect such a mistake is
    skipped, with the reason.

    Parameters
    ----------
    family : Likelihood
    params : array (M, D), optional
        The params at which the family is tested; by default four draws of N(0, I).
    x : array (N, D), optional
        Data of the support; by default three samples of the family at each of the params.
    data_dim : int, optional
        D, if neither the family nor the other arguments fix it; by default 2, or 3 for one-hot
        vectors.
    rng : int or numpy.random.Generator
        Seed of all draws; a fixed one by default. The probability that correct samples are refused
        is at most one in a million.
    expected_failures : mapping of str to str, optional
        Names of laws that are known to fail, each with the reason.
    strict : bool
        Whether a law that holds although it is expected to fail is a failure too.

    Returns
    -------
    tuple of Outcome
        One per law: passed, skipped or failed as expected.

    Raises
    ------
    LawError
        If laws fail. It names each of them and says what was expected and what came, and at which
        x and params.
    ValueError
        If an argument has the wrong type or shape, or `expected_failures` names an unknown law.

    Examples
    --------
    >>> from vaetheory.likelihoods import Poisson
    >>> outcomes = check_likelihood(Poisson())
    >>> [outcome.law for outcome in outcomes][7:9], outcomes[8].status
    (['equality', 'score'], 'passed')

    >>> class Halved(Poisson):
    ...     def _score(self, x, params):
    ...         return super()._score(x, params) / 2
    >>> known = {"pickling": "the class of an example is in no module"}
    >>> try:
    ...     check_likelihood(Halved(), expected_failures=known)
    ... except AssertionError as error:
    ...     print([failure.law for failure in error.failures])
    ['score']
    """
    subject = _likelihoods.read_family(family, params, x, data_dim, seed=seed_of(rng))
    return _likelihoods.LAWS.run(subject, expected_failures, strict)


def check_decoder(
    decoder: Decoder | Callable[[Any], Any],
    latent_dim: int,
    *,
    z: ArrayLike | None = None,
    rng: object = 0,
    expected_failures: ExpectedFailures | None = None,
    strict: bool = True,
) -> tuple[Outcome, ...]:
    """Check that a decoder works row by row and that its derivatives are correct.

    Parameters
    ----------
    decoder : Decoder or callable
        A callable must be written with `autograd.numpy`.
    latent_dim : int
        d.
    z : array (M, d), optional
        Where it is tried; by default five draws of N(0, I).
    rng, expected_failures, strict
        The same as for `check_likelihood`, and so are the result and the errors.

    Examples
    --------
    >>> import autograd.numpy as anp
    >>> known = {"pickling": "autograd's functions cannot be pickled"}
    >>> outcomes = check_decoder(anp.sin, 1, expected_failures=known)
    >>> [outcome.law for outcome in outcomes if outcome.status != "passed"]
    ['pickling']
    """
    subject = _decoders.read_decoder(decoder, latent_dim, z, seed=seed_of(rng))
    return _decoders.LAWS.run(subject, expected_failures, strict)


def check_flow(
    flow: Embedding,
    *,
    z: ArrayLike | None = None,
    rng: object = 0,
    expected_failures: ExpectedFailures | None = None,
    strict: bool = True,
) -> tuple[Outcome, ...]:
    """Check that a flow or an embedding is a decoder with an inverse and a volume.

    Parameters
    ----------
    flow : Flow or Embedding
    z : array (M, d), optional
        Where it is tried; by default five draws of N(0, I).
    rng, expected_failures, strict
        The same as for `check_likelihood`, and so are the result and the errors.

    Examples
    --------
    >>> from vaetheory.flows import Affine
    >>> outcomes = check_flow(Affine([[2.0, 1.0], [0.0, 1.0]]))
    >>> {outcome.status for outcome in outcomes}
    {'passed'}
    """
    subject = _flows.read_flow(flow, z, seed=seed_of(rng))
    return _flows.LAWS.run(subject, expected_failures, strict)


def parametrize_with_checks(
    instances: Iterable[object] | Mapping[str, object],
    *,
    expected_failures: ExpectedFailures | Callable[[Any], ExpectedFailures | None] | None = None,
    strict: bool = True,
) -> Any:
    """Parametrise a pytest test over instances and their laws.

    The arguments of the test are `instance` and `check`. A law that is expected to fail becomes an
    `xfail` with its reason. A law that does not apply to an instance is skipped with its reason.

    Parameters
    ----------
    instances : iterable or mapping
        Likelihoods, decoders and flows; the keys of a mapping become the names of the tests. A
        pair `(instance, options)` passes keywords to `check_likelihood`, `check_decoder` or
        `check_flow`. A decoder that is not a flow needs its `latent_dim`.
    expected_failures : mapping or callable, optional
        Names of laws with reasons; or a callable that returns them for an instance.
    strict : bool
        Whether a law that holds although it is expected to fail is a failure.

    Returns
    -------
    decorator

    Raises
    ------
    ValueError
        In the same cases as the checks.

    Examples
    --------
    >>> from vaetheory.decoders import Circle
    >>> from vaetheory.likelihoods import Poisson
    >>> @parametrize_with_checks([Poisson(), (Circle(1.0), {"latent_dim": 1})])
    ... def test_laws(instance, check):
    ...     check(instance)
    """
    import pytest

    cases = parameters(instances, expected_failures, strict, _subject)
    return pytest.mark.parametrize(("instance", "check"), cases)


def _subject(instance: object, options: Mapping[str, Any]) -> tuple[Laws, Subject]:
    """The laws of an instance, and its subject."""
    given = dict(options)
    seed = seed_of(given.pop("rng", 0))
    known: tuple[str, ...]
    if isinstance(instance, Likelihood):
        known = "params", "x", "data_dim"
    else:
        known = ("z",) if isinstance(instance, Embedding) else ("latent_dim", "z")
    if not given.keys() <= set(known):
        raise ValueError(
            f"instances: expected options among {', '.join((*known, 'rng'))}, got "
            f"{', '.join(sorted(given.keys() - set(known)))}"
        )
    values = [given.get(name) for name in known]
    if isinstance(instance, Likelihood):
        return _likelihoods.LAWS, _likelihoods.read_family(instance, *values, seed=seed)
    if isinstance(instance, Embedding):
        return _flows.LAWS, _flows.read_flow(instance, *values, seed=seed)
    return _decoders.LAWS, _decoders.read_decoder(instance, *values, seed=seed)
