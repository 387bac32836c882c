"""Faces with the names and signatures of other packages, so that existing code changes one import."""
