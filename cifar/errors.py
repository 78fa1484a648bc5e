"""Errors that the user can correct."""


class UserError(Exception):
    """A mistake of the user; the command line prints it as one line and exits with code 2.

    The message names the argument, what was expected and what was given.
    """


class Diverged(UserError):
    """The loss, the weights or the optimiser's state became infinite or NaN during training."""


class DataError(UserError):
    """A data set that is missing, damaged or cannot be fetched; the message names the path."""
