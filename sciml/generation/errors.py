"""How making a dataset ends when it does not end well; both messages are for people and name the way on."""

from __future__ import annotations


class GenerationError(RuntimeError):
    """A dataset could not be made. No file was written; shards that were finished are kept."""


class GenerationInterrupted(KeyboardInterrupt):
    """The user stopped the run. Shards that were finished are kept."""
