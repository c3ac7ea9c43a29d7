"""The proof-check figures, one module a claim, drawn from what the checks compute."""
