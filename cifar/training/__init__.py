"""Training of a recipe on a data set, which gives a trained model and the run's record."""
