"""Training: a recipe and a data set in, a trained model and its record out."""
