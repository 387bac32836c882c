"""The command line: ``sciml bench``, ``sciml data``, ``sciml train``, ``sciml simulate``, ``sciml report``."""

from .app import app, main

__all__ = ["app", "main"]
