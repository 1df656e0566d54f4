"""The entry point: `nexus`, and `python -m nexus_host`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from nexus_specs import NexusError

TRACEBACK = "NEXUS_TRACEBACK"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line. A mistake of the user's is one message on stderr, without a traceback."""
    from .cli.app import nexus

    try:
        code = nexus.main(arguments, prog_name="nexus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except NexusError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return 130
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    main()
