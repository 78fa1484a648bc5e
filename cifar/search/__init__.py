"""Hyperparameter search with Optuna: a space in a TOML file, workers that share one study, and what
it found. Optuna and rich are the extra ``search``; only :mod:`cifar.search.request` and
:mod:`cifar.search.space` do without."""
