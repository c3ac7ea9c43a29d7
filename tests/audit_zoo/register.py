"""The versions by name: right ones, and wrong ones with the code of their finding."""

RIGHT = {}
WRONG = {}


def right(name):
    """Add a right version."""

    def add(made):
        assert name not in RIGHT, name
        RIGHT[name] = made
        return made

    return add


def wrong(name, code, of, **parts):
    """Add a version of another one that has a fault, with the code of its finding."""
    assert name not in WRONG, name
    WRONG[name] = (code, type(name, (of,), parts))
