"""The command line: one sub-command a file, heavy imports inside the functions."""

import sys

from stargan_deploy.errors import StarganDeployError


def main() -> None:
    """Runs the command line; an error of ours becomes one line and its exit code."""
    from stargan_deploy.cli.app import app
    from stargan_deploy.cli.console import complain

    try:
        app(prog_name="stargan-deploy")
    except StarganDeployError as error:
        complain(str(error))
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        complain("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(141)
