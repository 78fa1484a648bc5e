"""The studies' recipes, one per file."""
