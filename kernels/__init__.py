"""Hot paths: a torch reference beside a Triton twin of the same signature."""
