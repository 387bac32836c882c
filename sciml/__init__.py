"""sciml: steppers, solvers and learned operators for scientific machine learning."""

__version__ = "0.1.0"
