"""`nexus extract SOURCE --taps` as it is installed, on a teacher that is streamed: stopped by Ctrl-C or killed in the
middle of the corpus, the same command goes on, and the shards are those of an undisturbed run, byte for byte.

States are written every twenty seconds; a `sitecustomize` makes that at every layer, so that a small teacher will do.
About a minute on one core: `pytest -m slow tests/whole/test_taps.py`.
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
LAYERS, WIDTH, TEXTS, WORDS = 8, 512, 48, 240
STATES = "states.json"
"""Names the states from which a killed observation goes on."""
OFTEN = """
from nexus_engine_sli.resuming import checkpoints
checkpoints.EVERY, checkpoints.SHARE = 0.0, 0
"""


@pytest.fixture(scope="session")
def teacher(decoder_of_bytes) -> Path:
    """100 MB, in a file for each layer or so."""
    sizes = {"hidden_size": WIDTH, "intermediate_size": 4 * WIDTH, "num_hidden_layers": LAYERS}
    return decoder_of_bytes("16MB", **sizes, num_attention_heads=8, max_position_embeddings=512)


@pytest.fixture(scope="session")
def texts(tmp_path_factory) -> Path:
    generator, path = random.Random(0), tmp_path_factory.mktemp("texts") / "texts.jsonl"
    letters = "abcdefghijklmnopqrstuvwxyz     "
    rows = ({"text": "".join(generator.choices(letters, k=WORDS))} for _ in range(TEXTS))
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def extracting(user, teacher, texts, tmp_path):
    """Starts the command; the weights alone are larger than what it may take."""
    (tmp_path / "often").mkdir()
    (tmp_path / "often" / "sitecustomize.py").write_text(OFTEN)
    paths = [str(tmp_path / "often"), *filter(None, [os.environ.get("PYTHONPATH")])]
    user.environment |= {"PYTHONPATH": os.pathsep.join(paths), "OMP_WAIT_POLICY": "passive"}

    def start(out):
        words = ("extract", teacher, "--data", texts, "--out", out, "--memory", "100MB", "--taps", f"2,{LAYERS - 1}")
        return user.start(*words)

    return start


def ended(process, code=0):
    out, err = process.communicate(timeout=600)
    assert process.returncode == code, f"exit code {process.returncode}\n{out}\n{err}"
    return err


def kept(out: Path) -> list[Path]:
    """The states that were kept so far, by their index."""
    return list(out.with_name(f".{out.name}.part").rglob(STATES))


def until_kept(process, out: Path) -> None:
    """Waits until states were kept."""
    deadline = time.monotonic() + 300
    while not kept(out):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_stopped_and_killed_it_goes_on_to_the_same_bytes(extracting, tmp_path):
    said = ended(extracting(tmp_path / "whole"))
    assert "stream" in said
    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        out = tmp_path / f"stopped-{number}"
        process = extracting(out)
        until_kept(process, out)
        process.send_signal(number)
        said = ended(process, code)
        assert not out.exists(), "the result appears as a whole"
        assert kept(out)
        if number == signal.SIGINT:
            assert "Stopped. The same command goes on from here." in said
        assert "It goes on " in ended(extracting(out))
        assert files(out) == files(tmp_path / "whole")
    assert not list(tmp_path.glob(".*.part"))
