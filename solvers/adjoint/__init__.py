"""How ``solve`` is differentiated: one adjoint a file. The names are exported by ``sciml.solvers``."""
