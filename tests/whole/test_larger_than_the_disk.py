"""`nexus extract HUB-ID --taps` on a checkpoint five times what it may take of the disk: files come in the order of the
layers over connections that break, are verified, used and deleted, and each byte is fetched once.

Processes of their own: `pytest -m slow tests/whole`.
"""

import json
import threading
from contextlib import suppress

import pytest
from nexus_specs.testing.hub import LocalHub

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(decoder_of_bytes):
    """About 3 MB in files of about 120 kB."""
    return decoder_of_bytes("120KB", num_hidden_layers=12, hidden_size=96, num_key_value_heads=2, intermediate_size=160)


@pytest.fixture
def hub(folder, user, tmp_path):
    with LocalHub() as local:
        local.add("acme/large", folder)
        user.environment = {key: value for key, value in user.environment.items() if not key.startswith("HF_")}
        user.environment |= local.environment(tmp_path)
        yield local


@pytest.fixture
def texts(user):
    path = user.folder / "texts.jsonl"
    path.write_text("".join(json.dumps({"text": f"Line {at} {'of a corpus ' * (at % 4)}"}) + "\n" for at in range(17)))
    return path


class Watched:
    """The most bytes of weights that a folder held, looked at all the time."""

    def __init__(self, folder):
        self.folder, self.most, self.over = folder, 0, threading.Event()
        self.thread = threading.Thread(target=self.look, daemon=True)

    def look(self):
        while not self.over.wait(0.002):
            before = self.files()
            if before.keys() == self.files().keys():  # else one that went meanwhile and one that came add up
                self.most = max(self.most, sum(before.values()))

    def files(self):
        found = {}
        for path in self.folder.rglob("*"):
            with suppress(FileNotFoundError):
                about = path.stat()
                found[path, about.st_ino] = about.st_size if path.is_file() else 0
        return found

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()


def weights(folder):
    return {path.name: path.stat().st_size for path in folder.glob("*.safetensors")}


def served(hub):
    return sum(size for name, size in hub.served.items() if name.endswith(".safetensors"))


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def extract(user, source, texts, out, *more, code=0):
    words = ("extract", source, "--data", texts, "--out", out, "--memory", "1MB", "--taps", "1,9", *more)
    said = user.types(*words, code=code)[1]
    assert "Traceback" not in said
    return said


def test_five_times_the_disk_with_broken_connections(hub, user, folder, texts):
    total = sum(weights(folder).values())
    disk = total // 5
    extract(user, folder, texts, user.folder / "here")
    hub.drops, hub.drop_after = 12, 40_000
    with Watched(user.folder / ".out.part" / "scratch" / "fetch") as watched:
        said = extract(user, "acme/large", texts, user.folder / "out", "--disk", str(disk))
    assert "stream" in said
    assert hub.drops == 0, "all of them broke"
    assert served(hub) - headers(folder) <= total, "each byte once, besides the headers that tell what is where"
    assert served(hub) >= total
    assert 0 < watched.most <= disk
    assert files(user.folder / "out") == files(user.folder / "here")
    assert not list(user.folder.glob(".*.part"))
    kept = [path for path in (user.folder / "hub-cache").rglob("*.safetensors") if path.is_file()]
    assert not kept, "nothing of it stays on the disk"


def headers(folder):
    """Bytes of all headers: they are asked for before anything is fetched, and kept."""
    return sum(8 + int.from_bytes(path.read_bytes()[:8], "little") for path in folder.glob("*.safetensors"))


def test_a_disk_below_one_layer_is_refused_before_the_first_byte(hub, user, folder, texts):
    said = extract(user, "acme/large", texts, user.folder / "out", "--disk", "50KB", code=1)
    assert "of disk at a time" in said
    assert "--disk" in said
    assert served(hub) <= 2 * headers(folder)
