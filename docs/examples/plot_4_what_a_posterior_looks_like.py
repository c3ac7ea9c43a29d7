"""
What a posterior looks like
===========================

A decoder bends the latent plane. The posterior of a datum then is no Gaussian, and the best
Gaussian, the one with the greatest ELBO, misses a part of its mass. The number above each panel
is what the ELBO loses by this, in nats.
"""

import autograd.numpy as anp
import matplotlib.pyplot as plt
import numpy as np

from vaetheory import LatentModel, likelihoods, log_evidence, stationary_posterior

# %%
# The more this decoder bends, the less Gaussian the posterior is.


def bent(bend):
    """A decoder of two latents whose second output bends with the first latent."""

    def decoder(z):
        first, second = z[..., :1], z[..., 1:]
        return anp.concatenate([0.5 * first, second + bend * first**2], axis=-1)

    return decoder


grid = np.linspace(-2, 2, 161)
plane = np.stack(np.meshgrid(grid, grid), axis=-1)
x = np.array([0.0, 0.8])

figure, panels = plt.subplots(1, 3, figsize=(9, 3.5), sharey=True, layout="constrained")
for panel, bend in zip(panels, (0.0, 0.5, 1.0), strict=True):
    model = LatentModel(bent(bend), likelihoods.Gaussian(scale=0.4), 2)
    evidence, best = log_evidence(model, x), stationary_posterior(model, x)
    log_joint = model.log_likelihood(x, plane) - (plane**2).sum(-1) / 2 - np.log(2 * np.pi)
    panel.contourf(grid, grid, np.exp(log_joint - evidence.value), cmap="Blues")
    away = plane - best.loc
    distance = np.einsum("...i,ij,...j", away, np.linalg.inv(best.cov), away)
    panel.contour(grid, grid, distance, levels=[1, 4], colors="C1", linewidths=1.5)
    lost = abs(float(evidence.value - best.value))  # of an unbent decoder nothing but rounding
    panel.set_title(f"bend {bend}: {lost:.3f} nats lost")
    panel.set_xlabel("first latent")
panels[0].set_ylabel("second latent")
figure.suptitle("Exact posterior (blue), best Gaussian at one and two deviations (orange)")
plt.show()

# %%
# The loss is exactly the divergence from the best Gaussian to the posterior (:doc:`claim 3
# </claims/stationary-evidence>`). :doc:`/tutorial` goes on from here.
