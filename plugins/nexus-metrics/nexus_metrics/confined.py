"""Runs one Python program, and nothing else of this machine. Started as a child: `python -I confined.py SECONDS BYTES`
in an empty folder, the program on its standard input; what it says is its exit code.

Before the program begins, the process gives up the network (a namespace of its own), every file (the empty folder
becomes its root), further processes, memory and time. What of that cannot be given up here is a refusal (code 77),
never a run without it. Modules of the standard library that programs use are imported before the files are gone.
"""

import contextlib
import ctypes
import importlib
import os
import resource
import sys

REFUSED = 77
CLONE_NEWUSER, CLONE_NEWNET, NO_NEW_PRIVILEGES, NOBODY = 0x10000000, 0x40000000, 38, 65534
CAPABILITIES = 0x20080522
"""Version of the kernel's capability sets."""
MODULES = (
    "abc", "array", "base64", "binascii", "bisect", "calendar", "cmath", "collections", "collections.abc", "contextlib",
    "copy", "dataclasses", "datetime", "decimal", "difflib", "enum", "fractions", "functools", "hashlib", "heapq",
    "inspect", "io", "itertools", "json", "keyword", "locale", "math", "numbers", "operator", "pprint", "queue",
    "random", "re", "statistics", "string", "struct", "sys", "textwrap", "threading", "time", "traceback", "types",
    "typing",
    "unicodedata", "unittest", "uuid", "zlib",
)  # fmt: skip
"""What a program may import."""


def become_nobody() -> None:
    """The system's root has no limits."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)


def confine(seconds: int, memory: int) -> bool:
    """Gives everything up; False where something of it cannot be."""
    library = ctypes.CDLL(None, use_errno=True)
    root = os.geteuid() == 0
    try:
        if root and library.unshare(CLONE_NEWNET) == 0:
            os.chroot(".")
            become_nobody()
        else:
            if root:
                become_nobody()
            if library.unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
                return False
            os.chroot(".")
        os.chdir("/")
    except OSError:
        return False
    nothing = (ctypes.c_uint32 * 6)()                       # capabilities: effective, permitted, inheritable, twice
    if library.capset((ctypes.c_uint32 * 2)(CAPABILITIES, 0), nothing) != 0:
        return False
    limits = {
        resource.RLIMIT_CPU: seconds, resource.RLIMIT_AS: memory, resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 16, resource.RLIMIT_NPROC: 0,
    }  # fmt: skip
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))
    return bool(library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0)


if __name__ == "__main__":
    program = sys.stdin.read()
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if not confine(int(sys.argv[1]), int(sys.argv[2])):
        os._exit(REFUSED)
    code = 1
    try:
        exec(compile(program, "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102
        code = 0
    except SystemExit as left:
        code = 1 if left.code else 0
    except BaseException:
        code = 1
    os._exit(code)
