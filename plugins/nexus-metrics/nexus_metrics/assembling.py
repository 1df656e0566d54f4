"""The program that an answer makes of its task, as the harnesses of HumanEval and MBPP put it together.

A task begins a program ("def f(x):" and what it is to do) or says in words what is wanted. An answer goes on with the
function, or is a program of its own; chat models put it between fences and talk around it. What stood before the
function in the task (imports, helpers) stays: a program without "from typing import List" would fail for that alone.
"""

from __future__ import annotations

import ast
import re
import warnings

_FENCED = re.compile(r"```([\w+#.-]*)[^\n]*\n(.*?)(?:```|\Z)", re.DOTALL)
_PYTHON = frozenset({"", "py", "py3", "python", "python3"})
_AFTER = re.compile(r"\n(?=(?:class|def|if|print|assert|@|#|import|from)\b|[@#]|```)")
"""Where a continuation of a function ends: the next thing at the margin."""
_BEGUN = re.compile(r"^\s*(?:async\s+def|def|class)\b", re.MULTILINE)
_WHOLE = re.compile(r"^(?:@|(?:async\s+def|def|class|import|from)\b)", re.MULTILINE)
"""At the margin alone: a continuation may well begin with an import or a function of its own, further in."""
_STARTS = re.compile(r"(?:[ \t]*\r?\n)*(?:@|(?:async\s+def|def|class|import|from)\b)")
_INSIDE = re.compile(r"(?:[ \t]*\r?\n)*[ \t]+\S")
LONGEST, TRIES = 1 << 17, 200
"""Letters of a program that is looked into, and how often it is cut shorter until it is Python."""


def program_of(prompt: str, answer: str) -> str:
    """The program that an answer makes of its prompt: a fenced block, a whole program, or the prompt's continuation up
    to the next thing at the margin.

    >>> program_of("def f(x):\\n", "    return x\\nprint(f(1))")
    'def f(x):\\n    return x'
    >>> program_of("import math\\ndef f(x):\\n", "```python\\ndef f(x):\\n    return math.pi\\n```")
    'import math\\ndef f(x):\\n    return math.pi'
    """
    begun = _BEGUN.search(prompt) is not None
    if _STARTS.match(answer):
        return before(prompt) + readable(answer.partition("\n```")[0].strip("\n"))
    if begun and _INSIDE.match(answer):
        return prompt + _AFTER.split(answer, maxsplit=1)[0].rstrip()
    if (body := fenced(answer)) is not None:
        return before(prompt) + body if _WHOLE.search(body) or not begun else prompt + body
    if not begun and (whole := _WHOLE.search(answer)):      # a task in words, an answer with words before
        return readable(answer[whole.start() :].rstrip())
    return prompt + _AFTER.split(answer, maxsplit=1)[0].rstrip()


def fenced(answer: str) -> str | None:
    """What stands between the fences of an answer: the first block of Python that defines something, else the first of
    Python, else the first; None without fences."""
    blocks = [(language.lower() in _PYTHON, body.rstrip()) for language, body in _FENCED.findall(answer)]
    first = max(range(len(blocks)), key=lambda at: (blocks[at][0], bool(_BEGUN.search(blocks[at][1])), -at), default=-1)
    return blocks[first][1] if blocks else None


def before(prompt: str) -> str:
    """What stands in a prompt before the function that it asks for: imports, helpers. "" where it is no Python."""
    for end in ("", "\n    pass\n"):
        if (tree := parsed(prompt + end)) is None or not tree.body:
            continue
        last = tree.body[-1]
        if not isinstance(last, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            return ""
        line = min(each.lineno for each in (last, *last.decorator_list))
        return "".join(prompt.splitlines(keepends=True)[: line - 1])
    return ""


def readable(program: str) -> str:
    """A program without the words that follow it: cut at the margin, line after line from its end, until it is Python;
    one that never is stays as it is."""
    lines = program.splitlines(keepends=True)
    margin = [at for at, line in enumerate(lines) if at and not line[0].isspace()]
    for end in [len(lines), *reversed(margin)][:TRIES]:
        kept = "".join(lines[:end]).rstrip()
        if (tree := parsed(kept)) is not None and tree.body:
            return kept
    return program


def parsed(program: str) -> ast.Module | None:
    """The syntax tree of a program; None where it is none. Nothing of it runs."""
    if len(program) > LONGEST:
        return None
    try:
        with warnings.catch_warnings(action="ignore"):
            return ast.parse(program)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
