"""A test of a VAE's loss."""

from __future__ import annotations

from typing import Any

from vaetheory.audit import Audit, audit


def check_vae(*arguments: Any, **options: Any) -> Audit:
    """Assert that the loss of a VAE is the ELBO of the declared model.

    Parameters
    ----------
    *arguments, **options
        Those of `vaetheory.audit.audit`.

    Returns
    -------
    Audit
        The audit, where nothing is wrong. Findings that are harmless for training are allowed.

    Raises
    ------
    AssertionError
        If something is wrong, or it cannot be decided; the message is the report of the audit.
    ValueError
        As `vaetheory.audit.audit`.

    Examples
    --------
    >>> def test_my_loss():  # with a torch.nn.Module `vae`, and a batch `x`
    ...     check_vae(vae.loss, vae.encode, vae.decode, x, module=vae, likelihood="bernoulli")
    """
    result = audit(*arguments, **options)
    if result.exit_status:
        raise AssertionError(str(result))
    return result
