"""One figure a claim, drawn from the claim's own numbers."""
