"""Small VAEs, right and wrong: each wrong one changes one thing of a right one, and has a name."""

from audit_zoo import (  # noqa: F401  # they register their versions
    right_code,
    right_families,
    right_losses,
    right_models,
    right_writing,
    wrong_around,
    wrong_noise,
    wrong_public,
    wrong_public_noise,
    wrong_terms,
    wrong_weights,
)
from audit_zoo.models import (
    LATENT,
    LOG_2PI,
    Bare,
    D,
    Gauss,
    Learned,
    Narrow,
    Vae,
    arguments,
    data_of,
    mlp,
)
from audit_zoo.register import RIGHT, WRONG
from audit_zoo.right_models import Logits

__all__ = [
    "LATENT",
    "LOG_2PI",
    "RIGHT",
    "WRONG",
    "Bare",
    "D",
    "Gauss",
    "Learned",
    "Logits",
    "Narrow",
    "Vae",
    "arguments",
    "data_of",
    "mlp",
]
