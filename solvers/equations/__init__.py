"""Differential equations, as steppers or as vector fields for one."""
