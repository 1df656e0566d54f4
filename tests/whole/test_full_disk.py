"""`nexus extract SOURCE --taps` on a disk that fills: an error that names the file, nothing of what was extracted is
lost, and with more room the same command gives the same bytes.

The disk is a small file system in memory, mounted in a namespace of its own: `pytest -m slow tests/whole`.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
MOUNT = 'mount -t tmpfs -o size="$1" none "$2"'
RUN = f"""
{MOUNT} || exit 9
shift 2
"$@" 2> "$SAID"; echo $? > "$CODE"
cp -r "$DISK" "$AFTER"
mount -o remount,size=512m "$DISK" || exit 9
"$@" || exit 8
cp -r "$DISK/out" "$RESULT"
"""
"""The command on the small disk; what lies there then; the command on the same disk with more room."""


def unshared(*words, **more):
    """A command that may mount."""
    return subprocess.run(["unshare", "-rm", "sh", "-c", *words], check=False, capture_output=True, text=True, **more)


@pytest.fixture(scope="module", autouse=True)
def mountable(tmp_path_factory):
    """Skips where the system lets nobody mount."""
    there = shutil.which("unshare") and unshared(MOUNT, "sh", "1m", str(tmp_path_factory.mktemp("disk")))
    if not there or there.returncode:
        pytest.skip("no file system can be mounted here")


@pytest.fixture(scope="module")
def teacher(decoder_of_bytes):
    """Its states of 700 texts take 224 MB."""
    return decoder_of_bytes(num_hidden_layers=3, hidden_size=512, num_key_value_heads=1, intermediate_size=64)


def words(user, source, out, taps, samples):
    texts = user.folder / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"{at:04d} {'of a corpus ' * 9}"}) + "\n" for at in range(samples)))
    return ["extract", str(source), "--data", str(texts), "--out", str(out), "--memory", "20MB", "--taps", taps]


def nexus():
    script = Path(sys.executable).with_name("nexus")
    return [str(script)] if script.exists() else [sys.executable, "-m", "nexus_host"]


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("room", "taps", "samples", "expected"),
    [
        ("2m", "0,1,2", 40, ("is full", "shard")),
        ("12m", "0", 700, ("is full", "states of the corpus")),
    ],
)
def test_a_disk_that_fills(room, taps, samples, expected, user, teacher):
    disk, places = user.folder / "disk", {name: user.folder / name for name in ("said", "code", "after", "result")}
    disk.mkdir()
    named = {"DISK": str(disk), **{name.upper(): str(path) for name, path in places.items()}}
    command = [*nexus(), *words(user, teacher, disk / "out", taps, samples)]
    done = unshared(RUN, "sh", room, str(disk), *command, env=user.environment | named)
    said = places["said"].read_text()
    assert done.returncode == 0, done.stderr + said
    assert places["code"].read_text().strip() == "1", said
    assert "Traceback" not in said
    assert all(each in said for each in expected), said
    assert not (places["after"] / "out").exists(), "the result appears as a whole"
    assert (places["after"] / ".out.part").is_dir() == ("What was recorded so far stays" in said)
    user.types(*words(user, teacher, user.folder / "plenty", taps, samples))
    assert files(places["result"]) == files(user.folder / "plenty")
