"""
Where a theorem fails
=====================

"At its stationary points the ELBO is almost the log evidence." For a decoder that sends each
latent to a place of its own the rest falls as the square of the noise. For one that folds the
line, so that two latents have the same image, the rest is log 2, however small the noise.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

from vaetheory import LatentModel, likelihoods, log_evidence, stationary_posterior

# %%
# Both decoders are functions of ``autograd.numpy``. The datum is the image of z = 1.


def parabola(z):
    """A curve in the plane: different latents have different images."""
    return anp.concatenate([z, z**2 / 2], axis=-1)


def fold(z):
    """A folded line: z and -z have the same image."""
    return z**2


scales = np.geomspace(0.2, 0.01, 8)
gaps = {}
for decoder in (parabola, fold):
    x = decoder(np.array([1.0]))
    models = [LatentModel(decoder, likelihoods.Gaussian(scale=s), 1) for s in scales]
    gaps[decoder.__name__] = [
        float(log_evidence(m, x).value - stationary_posterior(m, x).value) for m in models
    ]

# %%
# The law of claim 3f says how much the first one loses: sigma squared times 3/32 for this
# parabola. The second decoder is counterexample 3g.

plt.figure(figsize=(6.5, 4), layout="constrained")
plt.loglog(scales, gaps["parabola"], "o", label="parabola")
plt.loglog(scales, 3 / 32 * scales**2, "-", color="C0", label="law: 3/32 times sigma squared")
plt.loglog(scales, gaps["fold"], "s", color="C1", label="fold")
plt.loglog(scales, np.full(8, np.log(2)), "--", color="C1", label="log 2")
plt.xlabel("sigma, the noise of the likelihood")
plt.ylabel("log evidence less ELBO (nats)")
plt.title("The ELBO loses little, unless the decoder folds")
plt.legend()
plt.show()

# %%
# :doc:`Claim 3 </claims/stationary-evidence>` has the condition: nothing but z may come near the
# datum.
