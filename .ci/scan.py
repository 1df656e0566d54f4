"""Looks for paths of one machine and for secrets in every file of the repository.

A line that needs such a text says so with the mark that `ALLOWED` names.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ALLOWED = "scan: example"
MACHINE = re.compile(r"(?<![\w.$}/*:-])(?:/(?:home|root|Users|work|mnt|opt|tmp/venv)/[\w.-]+|[A-Z]:\\Users\\)")
SECRETS = {
    "AWS key": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_[A-Za-z0-9_]{30,}"),
    "Hugging Face token": re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "Slack token": re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    "API key": re.compile(r"\bsk-[A-Za-z0-9_-]{20,}"),
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----"),
    "password in a URL": re.compile(r"\w+://[^\s/:@]+:[^\s/:@{]+@[\w.-]+"),
    "assigned secret": re.compile(r"(?i)\b(?:api_key|secret|password|token)\s*=\s*['\"][A-Za-z0-9+/_-]{20,}['\"]"),
}


def files(root: Path) -> Iterator[Path]:
    """What git would carry into a clone: tracked files and new ones that it does not ignore."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    )
    yield from (root / name for name in listed.stdout.split("\0") if name)


def findings(file: Path) -> Iterator[str]:
    """What is wrong in one file; files that are not text have no lines."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
        return
    for number, line in enumerate(lines, 1):
        if ALLOWED in line:
            continue
        if found := MACHINE.search(line):
            yield f"{file}:{number}: '{found[0]}' is a path of one machine; make it relative or a `package:` resource"
        for what, pattern in SECRETS.items():
            if pattern.search(line):
                yield f"{file}:{number}: this looks like a secret ({what}); take it out, and revoke it if it was real"


def main(root: Path) -> int:
    """0 if nothing was found."""
    found = [finding for file in files(root) for finding in findings(file)]
    print("\n".join(found) or "No path of a machine and no secret.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
