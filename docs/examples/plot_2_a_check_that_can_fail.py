"""
A check that can fail
=====================

A check that passes says little if it passes for false sentences, too. So each proposition has
wrong versions, and its check must refute all of them. This program runs four propositions and
shows by how much: the residual over its computed bound, for the proposition and for each wrong
version.
"""

import matplotlib.pyplot as plt

from vaetheory import verify

results = list(verify(["3a", "3f", "6a", "14c"]))
for result in results:
    print(f"{result.label} {result.verdict}: {result.title}")

# %%
# To the left of the line the computed errors explain the residual; to the right they do not.

figure, axes = plt.subplots(figsize=(6.5, 4), layout="constrained")
for height, result in enumerate(results):
    good = max(result.residual / result.bound, 1e-6)
    wrong = [min(c.residual / c.bound, 1e18) if c.bound else 1e18 for c in result.controls]
    axes.plot(good, height, "o", color="C0", label="" if height else "proposition")
    axes.plot(
        wrong, [height] * len(wrong), "x", color="C3", label="" if height else "wrong version"
    )
axes.axvline(1, color="black", linewidth=1)
axes.set_xscale("log")
axes.set_yticks(range(len(results)), [result.label for result in results])
axes.invert_yaxis()
axes.set_xlabel("residual over computed bound")
axes.set_title("Wrong versions are refuted, the propositions are not")
axes.legend()
plt.show()

# %%
# The command ``vaetheory report`` writes the same for everything, as a page to attach:
# :doc:`/referee`.
