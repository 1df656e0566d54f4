"""The answer to a command line: its exit code, and in words what went wrong."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import click
from nexus_specs import NexusError

from ..environment import variable
from ..unread import UNREAD, unread
from ..words import visible
from .app import nexus

TRACEBACK = "NEXUS_TRACEBACK"
WITHOUT, EVERYWHERE = "--without", "NEXUS_WITHOUT"
_GO_ON = "the same command goes on from what is whole"
REMEDIES = {
    errno.ENOSPC: f"Free some of it; {_GO_ON}",
    errno.EDQUOT: f"Free some of what you may use; {_GO_ON}",
    errno.EFBIG: f"A file may not be so large there (`ulimit -f`, the kind of disk). Choose another place; {_GO_ON}",
    errno.EROFS: "Nothing can be written there. Choose another place",
    errno.EACCES: "Mend its permissions, or choose another place",
}
"""What to do about what a system refuses."""


def answer(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line. A mistake of the user's is one message on stderr, without a traceback."""
    own = sys.stdout, sys.stderr
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
        print(visible(f"{getattr(error, 'label', 'Error: ')}{error}"), file=sys.stderr)
        return int(getattr(error, "exit_code", 1))
    except (click.Abort, KeyboardInterrupt):
        print("Interrupted.", file=sys.stderr)
        return 130
    except SystemExit:
        if sys.stdout is own[0]:
            raise
        sys.stdout, sys.stderr = own                        # click wraps them where a pipe broke, and forgets which
        return UNREAD if unread() else _refused(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))
    except OSError as error:
        return _refused(error)
    except GeneratorExit:
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


def _refused(error: OSError) -> int:
    """The exit code of what the system refused, after a line about it: with what to do where that is known."""
    said = f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"
    if os.environ.get(TRACEBACK) or (_is_here() and error.errno not in REMEDIES):
        return _failed(error, said)
    remedy = REMEDIES[error.errno or 0] if _is_here() else "The folder that you are in was removed: go to another one"
    print(visible(f"Error: {said}. {remedy}."), file=sys.stderr)
    return 1


def _is_here() -> bool:
    """Whether the current folder is still there."""
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


def _failed(error: BaseException, said: str) -> int:
    """The exit code of what nobody foresaw, after a line about it."""
    if os.environ.get(TRACEBACK):
        raise error
    print(visible(f"Error: {said}. {TRACEBACK}=1 shows where it arose."), file=sys.stderr)
    return 1
