"""The same models and training in PyTorch, and comparison of the two."""
