"""The same models and training in PyTorch, and the two side by side."""
