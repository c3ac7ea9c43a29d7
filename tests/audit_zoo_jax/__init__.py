"""Small VAEs of JAX, right and wrong: each wrong one changes one thing of a right one."""

from audit_zoo_jax import (  # noqa: F401  # they register their versions
    right_draws,
    right_libraries,
    right_losses,
    wrong_around,
    wrong_noise,
    wrong_terms,
)
from audit_zoo_jax.altered import ALTERED, both, views
from audit_zoo_jax.models import LATENT, LOG_2PI, D, Learned, Vae, arguments, mlp
from audit_zoo_jax.register import RIGHT, WRONG

__all__ = [
    "ALTERED",
    "LATENT",
    "LIKE_OTHERS",
    "LOG_2PI",
    "RIGHT",
    "WRONG",
    "D",
    "Learned",
    "Vae",
    "arguments",
    "both",
    "mlp",
    "views",
]


def like_others():
    """Wrong losses of which another one has the same finding."""
    first = {}
    for name, (code, _) in WRONG.items():
        first.setdefault(code, name)
    # Several views of the data are read in a way of their own.
    return set(WRONG) - set(first.values()) - {"the divergence of two views over the latents"}


#: Those that go the way of another one through the audit.
LIKE_OTHERS = like_others() | {
    "a dictionary",
    "a flipped view and the data",
    "a learned deviation, one number",
    "a loss and others",
    "a loss of each example",
    "clamped in encode",
    "compiled",
    "declared beta",
    "deviations by softplus",
    "disturbed for the encoder",
    "everything over D",
    "five samples at once",
    "flax.linen in float32",
    "flax.nnx, by methods of the module",
    "flipped inside",
    "log deviations",
    "logits",
    "multivariate noise",
    "narrow normal",
    "over the examples, with split keys",
    "recomputed layers",
    "samples in a loop of Python",
    "sums",
    "ten latents",
    "turned round inside",
    "views in one array",
}
assert set(WRONG) | set(RIGHT) >= LIKE_OTHERS, "a name that the zoo has not"
