"""What `vaetheory figures` draws: one module a claim."""
