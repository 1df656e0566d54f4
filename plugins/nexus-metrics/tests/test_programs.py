"""Programs are judged by running them: only where that is allowed, and confined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nexus_metrics.plugin as plugin
import pytest
from nexus_metrics.assembling import program_of
from nexus_metrics.programs import PassAt1, passes
from nexus_specs import NexusError, Sample
from nexus_specs.testing import MetricTests, sample


@pytest.fixture(scope="module")
def confines() -> None:
    try:
        passes("pass", 60, 512)
    except NexusError as error:
        pytest.skip(str(error))


@pytest.mark.usefixtures("confines")
class TestPrograms(MetricTests):
    """Programs run, confined, since the option allows it."""

    plugin = plugin
    name = "pass_at_1"
    options: Mapping[str, Any] = {"run": True, "seconds": 60}

    def samples(self) -> list[Sample]:
        return [sample(text="def f():\n", tests="assert f() == 1"), sample(text="def f():\n", tests="assert f() == 2")]

    def outputs(self) -> dict[str, list]:
        return {"answer": ["    return 1", "    return 1"]}


def test_programs_are_not_run_unless_allowed() -> None:
    task = sample(text="def f():\n", tests="assert f() == 1")
    for options in ({}, {"run": False}, {"run": "yes"}):
        with pytest.raises(NexusError, match="run: true"):
            PassAt1(**options)
    assert PassAt1(run=True).measure([sample(text="x")], {"answer": ["y"]}) == [()]
    assert PassAt1(run=True).floor([], [task]) == 0


HUMAN = 'from typing import List\n\n\ndef g(x):\n    return x\n\n\ndef f(x: List[int]) -> int:\n    """ Doubles. """\n'
BEFORE = "from typing import List\n\n\ndef g(x):\n    return x\n\n\n"
INNER = "    def h(a):\n        return a\n    return h(x)"
WHOLE = "def f(x: List[int]) -> int:\n    return g(x)"


@pytest.mark.parametrize(
    ("prompt", "answer", "program"),
    [
        (HUMAN, "    import math\n    return math.pi\n", HUMAN + "    import math\n    return math.pi"),
        (HUMAN, INNER, HUMAN + INNER),
        (HUMAN, f"Here it is:\n```python\n{WHOLE}\n```\nDone.", BEFORE + WHOLE),
        (HUMAN, WHOLE + "\n", BEFORE + WHOLE),
        (HUMAN, "    return g(x)\n```\n\nThis calls g.", HUMAN + "    return g(x)"),
        ("Double it.", f"First:\n```bash\npip install x\n```\nThen:\n```Python3\n{WHOLE}\n```\n", WHOLE),
        ("Double it.", f"```py\n{WHOLE}\n```\n```python\nprint(f(1))\n```", WHOLE),
        ("Double it.", f"{WHOLE}\n\nThis doubles it.\nWrite another one.", WHOLE),
        ("Double it.", "def f(:\n    return", "def f(:\n    return"),
    ],
)  # fmt: skip
def test_answers_are_programs_in_many_ways(prompt: str, answer: str, program: str) -> None:
    assert program_of(prompt, answer) == program


def test_programs_are_put_together() -> None:
    prompt = "def f(x):\n    '''Doubles.'''\n"
    assert program_of(prompt, "    return 2 * x\n\nprint(f(2))").endswith("return 2 * x")
    assert program_of(prompt, "Here:\n```python\ndef f(x):\n    return 2\n```\nDone.") == "def f(x):\n    return 2"
    assert program_of(prompt, "import math\ndef f(x):\n    return x\n") == "import math\ndef f(x):\n    return x"
    assert program_of(prompt, "```\n    return x\n```") == prompt + "    return x"
    assert program_of("Double a number.", "Sure:\ndef f(x):\n    return 2 * x\n") == "def f(x):\n    return 2 * x"


@pytest.mark.usefixtures("confines")
@pytest.mark.parametrize(
    ("program", "passed"),
    [
        ("import math, re, heapq\nassert math.sqrt(4) == 2", True), ("assert False", False), ("def f(:", False),
        ("while True: pass", False), ("x = 'a' * (1 << 33)", False), ("import sys; sys.exit(3)", False),
        ("import sys; sys.exit(0)\nassert False", False), ("import os; os._exit(0)", False),
        ("if __name__ == '__main__':\n    input()", True), ("import numpy as np\nassert np.allclose(1.0, 1.0)", True),
        ("import socket; socket.create_connection(('127.0.0.1', 1), 1)", False), ("import os; os.fork()", False),
        ("open('/etc/passwd').read()", False), ("open('x', 'w').write('1' * 99999)", False),
        ("import subprocess", False),
        ("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nassert False", False),
        ("import os\nassert os.getpid() == 1 and os.getppid() == 0", True),
        ("import os; assert not os.path.exists('/etc')", True),
    ],
)  # fmt: skip
def test_programs_are_confined(program: str, passed: bool) -> None:
    seconds = 1 if "while" in program else 60               # what does not end by itself is given little time
    assert passes(program, seconds, 512) == passed


@pytest.mark.usefixtures("confines")
def test_human_eval_and_mbpp_tasks() -> None:
    metric = PassAt1(run=True, seconds=60)
    tests = "def check(candidate):\n    assert candidate(2) == 4\n"
    solved = "def double(x):\n    return 2 * x\n"  # the text to learn from holds the solution, the prompt does not
    human = sample(text=solved, prompt="def double(x):\n", tests=tests, entry_point="double")
    mbpp = sample(text="Double a number.", tests=["assert double(2) == 4", "assert double(0) == 0"])
    answers = ["    return 2 * x\n", "```python\ndef double(x):\n    return x + x\n```"]
    assert metric.measure([human, mbpp], {"answer": answers}) == [(1.0,), (1.0,)]
    assert metric.measure([human], {"answer": ["    return x"]}) == [(0.0,)]
