"""Random numbers that belong to a datum: the same in any batch, in any order, on any worker.

Each stream is named by a seed, a purpose and the index of the datum. Philox is a generator with a
key, whose streams of different keys are independent; the key is made of these three, so that the
numbers do not depend on which other data are computed beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaetheory._validation import Array, Index

#: Bits of a point's coordinates, of which a float64 keeps the first `_KEPT`.
_BITS, _KEPT = 64, 53
#: Largest power of two of points that are made at once, and most coordinates.
MOST_BITS, MOST_COORDINATES = 20, 1000


@dataclass(frozen=True, eq=False)
class Streams:
    """Independent random streams of some data.

    Parameters
    ----------
    seed : int
        Of the whole computation, at least 0.
    indices : array of int (N,)
        Places of the data in the whole data set.

    Notes
    -----
    The numbers of one purpose are the same whenever it is asked for: two uses that should be
    independent need two purposes.

    Examples
    --------
    >>> all_data = Streams.of(7, 5)
    >>> some = all_data.take(np.array([3, 1]))
    >>> bool((some.uniforms("trial", 4) == all_data.uniforms("trial", 4)[[3, 1]]).all())
    True
    >>> bool((some.uniforms("trial", 4) == some.uniforms("another", 4)).any())
    False
    """

    seed: int
    indices: Index

    @classmethod
    def of(cls, seed: int, count: int) -> Streams:
        """The streams of a whole data set of `count` data."""
        return cls(seed, np.arange(count))

    def take(self, rows: Index | slice) -> Streams:
        """The streams of some of the data."""
        return Streams(self.seed, self.indices[rows])

    def __len__(self) -> int:
        return len(self.indices)

    def uniforms(self, purpose: str, *shape: int) -> Array:
        """Independent uniform numbers in (0, 1), `(N, *shape)`."""
        return _inside(self.words(purpose, *shape))

    def normals(self, purpose: str, *shape: int) -> Array:
        """Independent standard normal numbers, `(N, *shape)`."""
        return self._filled(purpose, shape, np.float64, _fill_normals)

    def words(self, purpose: str, *shape: int) -> NDArray[np.uint64]:
        """Independent uniform integers of 64 bits, `(N, *shape)`."""
        return self._filled(purpose, shape, np.uint64, _fill_words)

    def _filled(
        self,
        purpose: str,
        shape: tuple[int, ...],
        kind: type,
        fill: Callable[[np.random.Philox, NDArray[Any]], None],
    ) -> NDArray[Any]:
        family = _family(self.seed, purpose)
        out: NDArray[Any] = np.empty((len(self), *shape), dtype=kind)
        # Each row is filled by one call of the generator with the key of its datum.
        for row, index in zip(out.reshape(len(out), -1), self.indices.tolist(), strict=True):
            fill(np.random.Philox(key=[family, index]), row)
        return out

    def sobol(self, purpose: str, count: int, coordinates: int) -> Array:
        """Scrambled Sobol points, `(N, count, coordinates)`, independent over the data.

        See `scrambled_sobol`; `count` is a power of two.
        """
        return _inside(self._scrambled(purpose, count, coordinates, None, None))

    def sobol_through(
        self, purpose: str, count: int, place: Index, point: Array, coordinates: int
    ) -> Array:
        """Scrambled Sobol points of which the one at `place` is `point`.

        The digital shift is the one that moves it there. If `place` is uniform and independent of
        `point`, and `point` uniform, the points have the law of `sobol`.

        Parameters
        ----------
        purpose : str
        count : int
            A power of two.
        place : array of int (N,)
        point : array (N, coordinates)
            In (0, 1).
        coordinates : int
        """
        return _inside(self._scrambled(purpose, count, coordinates, place, point))

    def _scrambled(
        self, purpose: str, count: int, coordinates: int, place: Index | None, point: Array | None
    ) -> NDArray[np.uint64]:
        bits = _bits_of(count)
        if not 0 < coordinates <= MOST_COORDINATES:
            raise ValueError(
                f"coordinates: expected 1 to {MOST_COORDINATES} for Sobol points, got {coordinates}"
            )
        random = self.words(purpose, bits + 1, coordinates)
        points = _scrambled_points(count, coordinates, random[:, :-1])
        if place is None or point is None:
            shift = random[:, -1]
        else:
            # Bits below those of the point are those of the random shift.
            fixed = np.clip(np.floor(point * 2.0**_KEPT), 0, 2.0**_KEPT - 1).astype(np.uint64)
            low = np.uint64(_BITS - _KEPT)
            wanted = (fixed << low) | (random[:, -1] & ((np.uint64(1) << low) - np.uint64(1)))
            shift = points[np.arange(len(points)), place] ^ wanted
        points ^= shift[:, None]
        return points

    def lattice(self, purpose: str, count: int, coordinates: int) -> Array:
        """Randomly shifted lattice points, `(N, count, coordinates)`, independent over the data."""
        shift = self.uniforms(purpose, 1, coordinates)
        return _wrapped(lattice_points(count, coordinates) + shift)

    def lattice_through(self, count: int, place: Index, point: Array, coordinates: int) -> Array:
        """Shifted lattice points of which the one at `place` is `point`, as `sobol_through`."""
        points = lattice_points(count, coordinates)
        moved = _wrapped(points + (point - points[place])[:, None])
        moved[np.arange(len(moved)), place] = point
        return moved


def _fill_words(generator: np.random.Philox, row: NDArray[np.uint64]) -> None:
    row[...] = generator.random_raw(row.size)


def _fill_normals(generator: np.random.Philox, row: Array) -> None:
    np.random.Generator(generator).standard_normal(out=row)


@lru_cache(maxsize=256)
def _family(seed: int, purpose: str) -> int:
    """The first word of the keys of one purpose."""
    words = [seed, *purpose.encode()]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0])


def _inside(words: NDArray[np.uint64]) -> Array:
    """Integers of 64 bits as numbers in (0, 1): the middles of 2^53 equal intervals."""
    kept = (words >> np.uint64(_BITS - _KEPT)).astype(np.float64)
    # The last middle is rounded to 1.
    return np.minimum((kept + 0.5) * 2.0**-_KEPT, 1 - 2.0**-_KEPT)


def _wrapped(points: Array) -> Array:
    """Points modulo one, in the open unit cube."""
    return np.clip(points - np.floor(points), 2.0**-54, 1 - 2.0**-_KEPT)


def _bits_of(count: int) -> int:
    bits = count.bit_length() - 1
    if count < 1 or count != 2**bits or bits > MOST_BITS:
        raise ValueError(f"count: expected a power of two of at most 2^{MOST_BITS}, got {count}")
    return bits


@lru_cache(maxsize=8)
def _directions(coordinates: int) -> NDArray[np.uint64]:
    """Direction numbers of the Sobol sequence, `(MOST_BITS, coordinates)`, as 64 bits.

    SciPy's points are in the order of the Gray code: the point 2^k differs from the origin by the
    direction numbers k and k - 1.
    """
    # Imported here because scipy.stats takes a second to load.
    from scipy.stats import qmc

    engine = qmc.Sobol(coordinates, scramble=False, bits=MOST_BITS + 1)
    found = np.empty((MOST_BITS, coordinates), dtype=np.uint64)
    done = 0
    for k in range(MOST_BITS):
        engine.fast_forward(2**k - done)
        point = engine.random(1)[0]
        done = 2**k + 1
        found[k] = (point * 2.0 ** (MOST_BITS + 1)).astype(np.uint64)
        if k:
            found[k] ^= found[k - 1]
    return found << np.uint64(_BITS - MOST_BITS - 1)


def _scrambled_points(
    count: int, coordinates: int, random: NDArray[np.uint64]
) -> NDArray[np.uint64]:
    """Sobol points with a random linear scramble of each datum, `(N, count, coordinates)`.

    Parameters
    ----------
    count, coordinates : int
    random : array of uint64 (N, bits, coordinates)
        Random words. Bit b of a direction number is replaced by column b of a lower triangular
        matrix of bits: a one at b, and random bits below.

    Notes
    -----
    Source: J. Matousek, *On the L2-discrepancy for anchored boxes*, J. Complexity 14 (1998).
    """
    bits = _bits_of(count)
    place = np.uint64(_BITS - 1) - np.arange(bits, dtype=np.uint64)
    one = np.uint64(1) << place
    columns = (random & (one - np.uint64(1))[:, None]) | one[:, None]
    directions = _directions(coordinates)[:bits]
    # The first 2^bits points have direction numbers of that many bits.
    scrambled = np.zeros((len(random), bits, coordinates), dtype=np.uint64)
    for b in range(bits):
        has = (directions >> place[b]) & np.uint64(1)
        scrambled ^= columns[:, None, b] * has
    # Point i + 1 differs from point i by the direction number of the lowest zero bit of i.
    steps = np.arange(1, count)
    lowest = np.log2(steps & -steps).astype(np.intp)
    points = np.zeros((len(random), count, coordinates), dtype=np.uint64)
    points[:, 1:] = scrambled[:, lowest]
    np.bitwise_xor.accumulate(points, axis=1, out=points)
    return points


@lru_cache(maxsize=8)
def lattice_points(count: int, coordinates: int) -> Array:
    """Points of a rank-1 lattice of the Korobov form, `(count, coordinates)`.

    The generator is the best of some random ones by the worst-case error of periodic functions with
    weights j^-2 (Sloan and Joe, *Lattice Methods for Multiple Integration*, 1994).

    Examples
    --------
    >>> lattice_points(4, 1)[:, 0].tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    if count < 2:
        return np.zeros((count, coordinates))
    trials = np.unique(np.random.default_rng(count).integers(2, max(count, 4), size=32) | 1)
    weights = 1.0 / np.arange(1, coordinates + 1) ** 2
    best, least = None, np.inf
    for factor in trials.tolist():
        powers = [pow(factor, j, count) for j in range(coordinates)]
        points = (np.arange(count)[:, None] * np.array(powers, dtype=np.int64) % count) / count
        kernel = 2 * np.pi**2 * (points**2 - points + 1 / 6)
        error = float(np.exp(np.log1p(weights * np.maximum(kernel, -0.99)).sum(axis=1)).mean())
        if error < least:
            best, least = points, error
    assert best is not None
    best.setflags(write=False)
    return best
