"""Linear systems on grids and of sparse rows: products, relaxation sweeps and whole solves."""
