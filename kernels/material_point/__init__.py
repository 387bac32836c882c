"""Transfers between material points and a grid."""
