"""Sampling of latents for many data at once: random streams, the log joint, and proposals."""
