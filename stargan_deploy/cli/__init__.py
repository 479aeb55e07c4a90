"""The command line: one sub-command per file, heavy imports inside the functions."""

import sys

from stargan_deploy.cli.measuring import MEASURE
from stargan_deploy.errors import StarganDeployError


def main() -> None:
    """Run the command line; one of our errors becomes one line and its exit code."""
    from stargan_deploy.cli.app import app
    from stargan_deploy.cli.console import complain, log_to_stderr
    from stargan_deploy.cli.exit_codes import INTERRUPTED, exit_code_of
    from stargan_deploy.cli.flags import with_flags

    try:
        with log_to_stderr():
            code = app(prog_name="stargan-deploy", standalone_mode=False)
        if code == INTERRUPTED:
            raise KeyboardInterrupt
    except StarganDeployError as error:
        complain(with_flags(str(error)))
        code = exit_code_of(error)
    except KeyboardInterrupt:
        complain("interrupted")
        code = INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()
        code = 141
    except Exception as error:  # typer does not export the class of its complaints
        if not hasattr(error, "format_message"):
            raise
        if message := error.format_message():
            complain(f"{message} (see: {_command_of(error)} --help)")
        code = getattr(error, "exit_code", 2)
    sys.exit(code)


def _command_of(error: Exception) -> str:
    """The command whose options were wrong, as it is typed."""
    path = getattr(getattr(error, "ctx", None), "command_path", "stargan-deploy")
    return str(path).removesuffix(f" {MEASURE}")
