"""Exit codes of the command line, by class of error."""

from stargan_deploy import errors

INTERRUPTED = 130
"""After Ctrl-C, as in shells; typer returns it instead of raising."""

EXIT_CODES: dict[type[errors.StarganDeployError], int] = {
    errors.StarganDeployError: 1,
    errors.UsageError: 2,
    errors.DataError: 3,
    errors.ModelError: 4,
    errors.ExportError: 5,
    errors.ParityError: 6,
    errors.BackendError: 7,
    errors.TrainingError: 8,
    errors.OutputError: 9,
    errors.IncompleteError: 10,
}
"""Subclasses that are not listed have the code of their nearest listed base class."""


def exit_code_of(error: errors.StarganDeployError) -> int:
    """The exit code for an error; 128 plus the signal's number where one stopped the work."""
    if isinstance(error, errors.StoppedError):
        return 128 + error.signal
    return next(EXIT_CODES[base] for base in type(error).__mro__ if base in EXIT_CODES)
