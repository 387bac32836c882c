"""Families: one equation with its initial states, one file."""
