"""The versions by name: right ones, and wrong ones with the code of their finding."""

from audit_zoo_jax.models import Beta, Gauss, Learned, Narrow, Vae, Whole

RIGHT = {
    "bernoulli": Whole,
    "normal": Gauss,
    "narrow normal": Narrow,
    "learned variance of each output": Learned,
    "declared beta": Beta,
}
#: Each with the code of its finding.
WRONG = {}


def right(name):
    """Add a right version."""

    def add(made):
        assert name not in RIGHT, name
        RIGHT[name] = made
        return made

    return add


def wrong(name, code, of=Vae, **parts):
    """Add a version of another one that has a fault, with the code of its finding."""
    assert name not in WRONG, name
    WRONG[name] = (code, type(name, (of,), parts))
