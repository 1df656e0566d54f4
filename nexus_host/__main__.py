"""The entry point: `nexus`, and `python -m nexus_host`. Whatever takes time to import is imported below, where Ctrl-C
is answered already."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

from .unread import UNREAD, unread


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal or a pipe that cannot show a sign gets its number
        sys.stdout.reconfigure(errors="backslashreplace")
    code = run(arguments)
    sys.exit(UNREAD if unread() and not code else code)


def run(arguments: Sequence[str] | None = None) -> int:
    """The exit code of a command line."""
    try:
        from .cli.answering import answer

        return answer(arguments)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    main()
