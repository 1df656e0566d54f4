"""`nexus inspect` of a pipeline says what the pipeline is, and nothing else of other libraries'."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from nexus_torch.hugging_face.quiet import quiet

ASK = "import sys\nfrom nexus_specs import Installed\nprint(Installed().inspect(sys.argv[1]).head)"


def test_nothing_is_said_beside_the_blueprint(saved: Callable[[str], Path]) -> None:
    command = [sys.executable, "-c", ASK, str(saved("sd3"))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "StableDiffusion3Pipeline"
    assert done.stderr == ""


def test_threads_that_overlap_put_back_what_was() -> None:
    before, inside, leave = logging.root.manager.disable, threading.Event(), threading.Event()

    def other() -> None:
        with quiet():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with quiet():
        thread.start()
        assert inside.wait(10)
        assert logging.root.manager.disable >= logging.WARNING
        assert logging.root.manager.disable < logging.ERROR, "errors are said"
    assert logging.root.manager.disable >= logging.WARNING, "the other is still within"
    leave.set()
    thread.join(10)
    assert logging.root.manager.disable == before
