"""Stochastic differential equations: Brownian paths, schemes, and the log-ratio of latent models."""
