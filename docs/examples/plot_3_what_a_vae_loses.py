"""
What a VAE loses, and where
===========================

The ELBO of a VAE is below its log evidence. This program splits the difference for twelve digits
into three parts, each with its own remedy: a better encoder, full covariances, another family of
posteriors.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.neural_network import MLPRegressor

from vaetheory import LatentModel, Posterior, decoders, likelihoods
from vaetheory.bounds import gap_split

# %%
# A decoder with two latents: a small network from two principal components to pixels. Put your
# own in its place; modules of PyTorch and functions of JAX work, too.

X = load_digits().data / 16
codes = PCA(2, whiten=True).fit_transform(X)
network = MLPRegressor(hidden_layer_sizes=(32,), activation="tanh", max_iter=60, random_state=0)
network.fit(codes, X)
scale = float(np.sqrt(np.mean((network.predict(codes) - X) ** 2)))
model = LatentModel(decoders.from_mlp(network), likelihoods.Gaussian(scale=scale), 2)

# %%
# An encoder that is only roughly right: the components themselves, with one variance for all.

x, encoded = X[:12], Posterior(codes[:12], scale=np.full((12, 2), 0.15))
parts = gap_split(model, x, encoded)
print(f"mean log evidence {parts.evidence.mean():.2f} nats, mean ELBO {parts.elbo.mean():.2f}")

# %%
# Almost the whole loss comes from the encoder. Another family of posteriors would gain next to
# nothing.

figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
base = np.zeros(12)
for name, part in {
    "encoder not at its best": parts.amortisation,
    "diagonal covariance": parts.diagonal,
    "posterior is no Gaussian": parts.approximation,
}.items():
    axes.bar(range(12), part, bottom=base, label=name)
    base = base + part
axes.set_xticks(range(12))
axes.set_ylim(0, 1.35 * base.max())
axes.set_xlabel("image")
axes.set_ylabel("log evidence less ELBO (nats)")
axes.set_title("Where the ELBO of each digit is lost")
axes.legend()
plt.show()

# %%
# :doc:`/pytorch` does the same with a VAE that was trained, and :doc:`/audit` says whether its
# loss is the ELBO at all.
