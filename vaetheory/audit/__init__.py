"""Is the loss of this VAE its ELBO? The audit of code that somebody else wrote.

`audit` evaluates a loss with its noise held, at parameters that it moves, and finds the terms of
which it is made by an exact identity, not by statistics.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vaetheory._validation import fraction, integer, option, require_callable
from vaetheory.audit._findings import Finding
from vaetheory.audit._result import Audit

__all__ = ["Audit", "Finding", "audit"]


def audit(
    loss: Callable[..., Any],
    encode: Callable[..., Any],
    decode: Callable[..., Any],
    x: Any,
    *,
    module: Any,
    likelihood: Any,
    posterior: str = "logvar",
    prior: Any = None,
    beta: float = 1.0,
    decoder: str = "decode",
    sample: Callable[[int], Any] | None = None,
    importance_bound: Callable[[Any, int], Any] | None = None,
    bits_per_dim: Callable[[Any], Any] | None = None,
    levels: int = 256,
    seed: int = 0,
) -> Audit:
    """Find out whether the loss of a VAE is the ELBO of the declared model.

    Every random draw within `loss(x)` is seen and can be given again. With the noise held, the loss
    is a function of data, noise and parameters, and must be equal to one combination of known terms
    wherever the parameters are moved. The coefficients say which one.

    Parameters
    ----------
    loss : callable
        `loss(x)` is what is minimised: a scalar tensor, a mapping with "loss", an object with
        `.loss`, or a tuple, whose entries are added, or whose first entry is the loss. The sum over
        the batch, its mean, and the same divided by a number are all right.
    encode : callable
        `encode(x)` is the posterior: a `torch.distributions.Distribution`, `(loc, second)`, or an
        object with `.mean` and `.logvar`.
    decode : callable
        `decode(z)` is what `likelihood` takes: a tensor, a tuple, or a distribution.
    x : tensor (B, ...)
        A batch of data. Batches of 2 and 4 examples are drawn from it.
    module : torch.nn.Module
        Its parameters are moved while the audit lasts; a `ModuleDict` of several is possible.
    likelihood : str or callable
        The declared density of the data: a function from `decode(z)` to a
        `torch.distributions.Distribution`, such as `lambda f: Normal(f, 0.1)`, or "bernoulli" (of
        probabilities), "bernoulli-logits", "gaussian" (deviation 1) or "gaussian-learned" (mean and
        log variance).
    posterior : str
        What `second` is: "logvar", "logstd", "std" or "var".
    prior : torch.distributions.Normal or callable, optional
        The declared prior, or a function that returns it if it is learned; by default N(0, I).
    beta : float
        The declared weight of the divergence.
    decoder : str
        The method or submodule of `module` whose input is z, such as "decode" or "vae.decoder". If
        there is none of this name, the submodules that `decode` calls with z are watched.
    sample, importance_bound, bits_per_dim : callable, optional
        `sample(n)` draws n data; `importance_bound(x, K)` is the scalar that is minimised for K
        importance samples; `bits_per_dim(x)` is a scalar, for data of `levels` levels.
    levels : int
        The number of levels of the data, for `bits_per_dim`.
    seed : int
        The seed of all that the audit draws.

    Returns
    -------
    Audit
        With `verdict`, `findings`, `coefficients`, `beta`, `facts` and `to_json()`.

    Raises
    ------
    ValueError
        If an argument is not what is expected, or the module has no weights yet. Errors of the
        user's own functions are raised as they are.

    Notes
    -----
    The module comes back bit for bit, also after an exception or an interrupt: parameters, buffers,
    gradients, attributes, modes, hooks and random states. While the audit lasts it holds private
    copies in float64. No other thread should use it in this time.

    Not everything can be told from outside: a weight 1/2 of the divergence, a missing 1/2 of the
    squared error and a variance of 1/2 are one number. All explanations are then given.

    Examples
    --------
    The squared error of a linear decoder, without its factor 1/2:

    >>> import torch
    >>> class Vae(torch.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.encoder, self.decoder = torch.nn.Linear(3, 2), torch.nn.Linear(1, 3)
    ...
    ...     def encode(self, x):
    ...         return self.encoder(x).chunk(2, -1)
    ...
    ...     def loss(self, x):
    ...         m, v = self.encode(x)
    ...         z = m + (v / 2).exp() * torch.randn_like(m)
    ...         kl = (m**2 + v.exp() - v - 1).sum(-1) / 2
    ...         return (((x - self.decoder(z)) ** 2).sum(-1) + kl).mean()
    >>> vae, x = Vae(), torch.linspace(-1, 1, 24).reshape(8, 3)
    >>> found = audit(vae.loss, vae.encode, vae.decoder, x, module=vae, likelihood="gaussian")
    >>> found.status, round(found.beta, 9), found.findings[0].code
    ('is not', 0.5, 'weight.recon')
    """
    for name, value, maps in (
        ("loss", loss, "x -> scalar"),
        ("encode", encode, "x -> posterior"),
        ("decode", decode, "z -> parameters of the likelihood"),
    ):
        require_callable(name, value, maps)
    others = {
        "sample": sample,
        "importance_bound": importance_bound,
        "bits_per_dim": bits_per_dim,
    }
    for name, other in others.items():
        if other is not None:
            require_callable(name, other, "or None")
    option("posterior", posterior, ("logvar", "logstd", "std", "var"))
    beta = fraction("beta", beta, low=1e-12, high=1e12)
    levels = integer("levels", levels, low=2)
    seed = integer("seed", seed, high=2**31)
    if not isinstance(decoder, str):
        raise ValueError(
            f"decoder: expected the name of a method or submodule, got {type(decoder).__name__}"
        )
    # PyTorch is loaded only where it is used.
    import vaetheory.torch  # noqa: F401  # says what to install where it is missing
    from vaetheory.audit import _torch
    from vaetheory.audit._verifications import Requested

    return _torch.audit(
        loss,
        encode,
        decode,
        x,
        module=module,
        likelihood=likelihood,
        posterior=posterior,
        prior=prior,
        beta=beta,
        decoder=decoder,
        asked=Requested(sample, importance_bound, bits_per_dim, levels),
        seed=seed,
    )
