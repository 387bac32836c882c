"""Steppers for stiff problems: their methods, and the nonlinear and linear systems they solve."""
