"""Errors that the person at the keyboard can mend."""


class UserError(Exception):
    """A mistake in what was asked for; the command line prints it as one line and exits with 2.

    The message says what came, what was expected and what to do.
    """


class Diverged(UserError):
    """Training in which the loss, the weights or the optimiser's state became infinite or NaN."""


class DataError(UserError):
    """A data set that is missing, damaged or cannot be fetched; the message names the path."""
