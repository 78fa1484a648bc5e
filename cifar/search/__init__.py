"""Hyperparameter search with Optuna: a space in a TOML file, workers that share one study, and the
results. It needs Optuna and rich (extra ``search``), except :mod:`cifar.search.request` and
:mod:`cifar.search.space`."""
