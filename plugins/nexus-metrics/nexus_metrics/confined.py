"""Runs one Python program, and nothing else of this machine. Started as a child: `python -I confined.py SECONDS BYTES
[FOLDER]` in an empty folder, the program on its standard input; what it says is its exit code: PASSED where the program
came to its end, and so through its tests. One that leaves before (`sys.exit(0)`, `os._exit(0)`) did not. FOLDER is
where numpy lies, for tests that need it.

Before the program begins, the process gives up the network and the sight of other processes (namespaces of its own),
every file (the empty folder becomes its root), further processes, memory and time. What of that cannot be given up here
is a refusal (code 77), never a run without it. Modules of the standard library that programs use are imported before
the files are gone.
"""

import contextlib
import ctypes
import importlib
import math
import os
import resource
import signal
import sys
import time
import types

PASSED, REFUSED = 99, 77
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
DEATH_SIGNAL, NO_NEW_PRIVILEGES, NOBODY = 1, 38, 65534
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


def stand_alone(library: ctypes.CDLL) -> None:
    """Goes on as the first process of a space of its own, from which no other can be named: `os.kill(-1, 9)` would end
    all that a user runs. Whoever stays behind waits, and says what came of it."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os._exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 1)
    library.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)


def confine(seconds: int, memory: int) -> bool:
    """Gives everything up; False where something of it cannot be."""
    library = ctypes.CDLL(None, use_errno=True)
    root = os.geteuid() == 0
    try:
        if root and library.unshare(CLONE_NEWNET | CLONE_NEWPID) == 0:
            stand_alone(library)
            os.chroot(".")
            become_nobody()
        else:
            if root:
                become_nobody()
            if library.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWPID) != 0:
                return False
            stand_alone(library)
            os.chroot(".")
        os.chdir("/")
    except OSError:
        return False
    nothing = (ctypes.c_uint32 * 6)()                       # capabilities: effective, permitted, inheritable, twice
    if library.capset((ctypes.c_uint32 * 2)(CAPABILITIES, 0), nothing) != 0:
        return False
    begun = math.ceil(time.process_time())                  # imports are not the program's
    limits = {
        resource.RLIMIT_CPU: begun + seconds, resource.RLIMIT_AS: memory, resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: 16, resource.RLIMIT_NPROC: 0,
    }  # fmt: skip
    for which, most in limits.items():
        resource.setrlimit(which, (most, most))
    return bool(library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0)


if __name__ == "__main__":
    program = sys.stdin.read()
    for name in MODULES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for folder in sys.argv[3:]:
        sys.path.append(folder)
        for name in ("numpy", "numpy.linalg", "numpy.random"):
            with contextlib.suppress(ImportError):
                importlib.import_module(name)
    if not confine(int(sys.argv[1]), int(sys.argv[2])):
        os._exit(REFUSED)
    module = types.ModuleType("program")                    # what a program does as "__main__" is no test of it
    sys.modules[module.__name__] = module
    code = 1
    try:
        exec(compile(program, "<program>", "exec"), module.__dict__)  # noqa: S102
        code = PASSED
    except BaseException:                                   # SystemExit as well: the tests come last
        code = 1
    os._exit(code)
