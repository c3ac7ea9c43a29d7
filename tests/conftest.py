"""Settings shared by the suite."""

import os

import pytest
from hypothesis import settings

# Workers compute on one core each: threads of BLAS that wait for one another took half the suite's
# time. This is read when NumPy is imported, which comes after this, and in child processes.
for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

# The same draws on every machine and every run; the registry's own seeds are apart from this.
# Sixty instances of a test that says no number: the whole suite takes five minutes on two cores.
settings.register_profile("suite", deadline=None, derandomize=True, database=None, max_examples=50)
settings.load_profile("suite")


def pytest_collection_modifyitems(items):
    """Put what shares long computations first and together: one worker gets it all."""
    items.sort(key=lambda item: item.get_closest_marker("shared") is None)


@pytest.fixture(scope="session")
def made():
    """One certificate a proposition, as documents."""
    from certificate_cases import all_made

    return all_made()


@pytest.fixture(scope="session")
def again(made):
    """What the checker's arithmetic proves of each, once."""
    from certificate_cases import all_again

    return all_again(made)
