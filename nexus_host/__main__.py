"""The entry point: `nexus`, and `python -m nexus_host`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click
from nexus_specs import NexusError

TRACEBACK = "NEXUS_TRACEBACK"
WITHOUT = "--without"


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
        if isinstance(error, click.NoSuchOption) and error.option_name == WITHOUT:
            print(f"It stands before the command, as in: nexus {WITHOUT} NAME run", file=sys.stderr)
        return error.exit_code
    except NexusError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"Error: {error}", file=sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return 130
    except OSError as error:
        return _failed(error, f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}")
    except (SystemExit, GeneratorExit):
        raise
    except BaseException as error:  # Rust's libraries panic with one
        return _failed(error, f"{type(error).__name__}: {error}. This is a fault of Nexus or of a plugin")
    return code if isinstance(code, int) else 0


def _failed(error: BaseException, said: str) -> int:
    """The exit code of what nobody foresaw, after a line about it."""
    if os.environ.get(TRACEBACK):
        raise error
    print(f"Error: {said}. {TRACEBACK}=1 shows where it arose.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
