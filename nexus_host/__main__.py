"""The entry point: `nexus`, and `python -m nexus_host`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import click
from nexus_specs import NexusError

from .environment import variable

TRACEBACK = "NEXUS_TRACEBACK"
WITHOUT, EVERYWHERE = "--without", "NEXUS_WITHOUT"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line. A mistake of the user's is one message on stderr, without a traceback."""
    from .cli.app import nexus

    try:
        off, given = _switched_off(sys.argv[1:] if arguments is None else arguments)
        with _told(off):
            code = nexus.main([*off, *given], prog_name="nexus", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except NexusError as error:
        if os.environ.get(TRACEBACK):
            raise
        print(f"{getattr(error, 'label', 'Error: ')}{error}", file=sys.stderr)
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


def _switched_off(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Every `--without NAME`, wherever it was written, and the other arguments; what stands behind `--` is left alone.

    >>> _switched_off(["run", "--without", "acme", "--dry-run"])
    (['--without=acme'], ['run', '--dry-run'])
    """
    off: list[str] = []
    rest: list[str] = []
    left = list(arguments)
    while left and left[0] != "--":
        word = left.pop(0)
        if word == WITHOUT and left:
            word = f"{WITHOUT}={left.pop(0)}"
        (off if word.startswith(f"{WITHOUT}=") else rest).append(word)
    return off, [*rest, *left]


def _told(off: Sequence[str]) -> AbstractContextManager[None]:
    """Tells processes that are started, and what looks for components without the host, what is switched off."""
    names = [each.removeprefix(f"{WITHOUT}=") for each in off]
    if not names:
        return nullcontext()
    return variable(EVERYWHERE, ",".join(filter(None, [os.environ.get(EVERYWHERE), *names])))


def _failed(error: BaseException, said: str) -> int:
    """The exit code of what nobody foresaw, after a line about it."""
    if os.environ.get(TRACEBACK):
        raise error
    print(f"Error: {said}. {TRACEBACK}=1 shows where it arose.", file=sys.stderr)
    return 1


if __name__ == "__main__":
    main()
