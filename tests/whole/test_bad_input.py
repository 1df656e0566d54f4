"""`nexus extract SOURCE --taps` as it is typed, on a teacher with bad files: an error in
words that names file and tensor, and once it is mended the same command gives the same bytes.

Every command is a process of its own: `pytest -m slow tests/whole/test_bad_input.py`, four minutes on one core.
"""

import json
import os
import re
import shutil
import struct
import subprocess
import time

import pytest

pytestmark = pytest.mark.slow
KEY = "model.layers.3.mlp.up_proj.weight"
SITE = """
import os
read, begin = os.preadv, os.open
target, how = os.environ.get("DAMAGED", ""), os.environ.get("DAMAGE", "")
def preadv(file, views, at):
    if target and os.readlink(f"/proc/self/fd/{file}") == target:
        if how == "shrinks":
            os.truncate(target, int(os.environ["SHRINKS_TO"]))
        elif how == "fails":
            raise OSError(5, "Input/output error")
    return read(file, views, at)
def opened(path, *more, **named):
    if target and os.fspath(path) == target and how == "goes" and os.path.exists(target):
        os.unlink(target)
    return begin(path, *more, **named)
os.preadv, os.open = preadv, opened
"""
"""Imported by every Python process that finds it: a file is cut off or gone, or its disk fails, as soon as somebody
begins to read weights of it."""


@pytest.fixture(scope="module")
def teacher(decoder_of_bytes):
    """Eight layers in many files."""
    return decoder_of_bytes("40KB", num_hidden_layers=8, hidden_size=32, num_key_value_heads=2, intermediate_size=48)


@pytest.fixture
def own(teacher, tmp_path):
    """A copy that may be damaged."""
    return shutil.copytree(teacher, tmp_path / "own")


@pytest.fixture
def extract(user):
    """Types the command: (what it said on stderr, the folder of its result)."""
    texts = user.folder / "texts.jsonl"
    texts.write_text("".join(json.dumps({"text": f"Line {at} {'of a corpus ' * (at % 4)}"}) + "\n" for at in range(17)))

    def typed(source, out, code=0, memory="300KB", taps="1,4"):
        out = user.folder / out
        words = ("extract", source, "--data", texts, "--out", out, "--memory", memory, "--taps", taps)
        said = user.types(*words, code=code)[1]
        assert "Traceback" not in said
        return said, out

    return typed


def files(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def shard(folder):
    return folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][KEY]


def header(path):
    """(the header, where the tensor begins and ends)."""
    raw = path.read_bytes()
    (size,) = struct.unpack("<Q", raw[:8])
    known = json.loads(raw[8 : 8 + size])
    return known, *(8 + size + each for each in known[KEY]["data_offsets"])


def truncated(folder):
    path = shard(folder)
    os.truncate(path, header(path)[2] - 8)
    return path.name, KEY


def corrupted(folder):
    path = shard(folder)
    raw = bytearray(path.read_bytes())
    raw[9:40] = b"\xff" * 31
    path.write_bytes(bytes(raw))
    return path.name, "damaged safetensors header"  # of all its tensors: none has a name any more


def other_shape(folder):
    path = shard(folder)
    known, start, _ = header(path)
    known[KEY]["shape"] = known[KEY]["shape"][::-1]
    raw, size = path.read_bytes(), start - known[KEY]["data_offsets"][0] - 8
    path.write_bytes(raw[:8] + json.dumps(known, separators=(",", ":")).encode().ljust(size) + raw[8 + size :])
    return path.name, KEY


def no_entries(folder):
    """Of a whole file, which is there."""
    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_text())
    gone = shard(folder)
    known["weight_map"] = {key: name for key, name in known["weight_map"].items() if name != gone.name}
    index.write_text(json.dumps(known))
    return index.name, gone.name, "has no entry for the tensor 'model.layers."


def no_entries_and_no_file(folder):
    gone = shard(folder)
    no_entries(folder)
    gone.unlink()
    return folder.name, "lacks weights model.layers."


def no_entry_of_one_tensor(folder):
    index = folder / "model.safetensors.index.json"
    known = json.loads(index.read_text())
    gone = known["weight_map"].pop(KEY)
    index.write_text(json.dumps(known))
    return index.name, KEY, gone


def no_file(folder):
    path = shard(folder)
    path.unlink()
    return (path.name,)


def not_finite(folder):
    path = shard(folder)
    with path.open("r+b") as file:
        file.seek(header(path)[1])
        file.write(b"\0\0\xc0\x7f")
    return path.name, KEY, "not finite"


def mended(own, teacher):
    for path in teacher.iterdir():
        if not (own / path.name).is_file() or (own / path.name).read_bytes() != path.read_bytes():
            shutil.copyfile(path, own / path.name)


DAMAGES = (
    truncated, corrupted, other_shape, no_entries, no_entries_and_no_file, no_entry_of_one_tensor, no_file, not_finite,
)  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_wrong_with_a_file_is_named_and_the_next_run_gives_the_result(damage, own, teacher, extract):
    whole = extract(teacher, "whole")[1]
    expected = damage(own)
    said, out = extract(own, "out", code=1)
    assert all(each in said for each in expected), said
    assert not out.exists()
    mended(own, teacher)
    extract(own, "out")
    assert files(out) == files(whole)


def test_a_memory_that_holds_nothing_is_refused_at_once_and_the_least_is_named(teacher, extract):
    began = time.monotonic()
    said, out = extract(teacher, "out", code=1, memory="1KB")
    assert time.monotonic() - began < 60, "it takes half an hour if it is tried"
    least = re.search(r"A memory of 1KB does not hold .*least that would do is ([\d.]+[KM]B): set run\.memory", said)
    assert least is not None, said
    assert not out.exists()
    extract(teacher, "out", memory=least[1])
    assert files(out).keys() == files(extract(teacher, "plenty")[1]).keys()


def test_modules_without_a_dot_are_recorded_and_others_are_told(teacher, extract):
    out = extract(teacher, "out", taps="lm_head,model")[1]
    index = json.loads((out / "index.json").read_text())
    assert {"state:lm_head", "state:model"} <= set(index["names"])
    for path, expected in (("lm_haed", "mean 'lm_head'?"), ("model.layers", "Name one of them: model.layers.0.")):
        assert expected in extract(teacher, "other", code=1, taps=path)[0]


@pytest.fixture
def damaged(user):
    """(file, how, where it is cut off): what happens to it as soon as its weights are read; nothing without a file."""
    site = user.folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(SITE)

    def set_up(path="", how="", at=0):
        user.environment |= {"PYTHONPATH": str(site), "DAMAGED": str(path), "DAMAGE": how, "SHRINKS_TO": str(at)}

    return set_up


WHILE = {
    "shrinks": " the tensor 'model.layers.",                  # it ends there, or was written to, as is seen first
    "fails": "inside the tensor 'model.layers.",
    "goes": "inside the tensor 'model.layers.",
}


@pytest.mark.parametrize("how", WHILE)
def test_a_file_that_is_damaged_while_it_is_read(how, own, teacher, extract, damaged):
    whole = extract(teacher, "whole")[1]
    path = shard(own)
    damaged(path, how, header(path)[1] + 4)
    said, out = extract(own, "out", code=1)
    assert path.name in said, said
    assert WHILE[how] in said, said
    assert not out.exists()
    damaged()
    mended(own, teacher)
    extract(own, "out")
    assert files(out) == files(whole)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted as root alone")
def test_a_full_disk_is_named_with_what_was_being_written(teacher, extract, user):
    """The same command goes on once it is larger."""
    whole = extract(teacher, "whole")[1]
    disk = user.folder / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", disk], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        said = extract(teacher, "disk/out", code=1)[0]
        assert "is full. Free some room" in said, said
        assert re.search(r"at '.*disk/.*', with the tensors? '", said), said
        subprocess.run(["mount", "-o", "remount,size=8m", disk], check=True)
        out = extract(teacher, "disk/out")[1]
        assert files(out) == files(whole)
    finally:
        subprocess.run(["umount", disk], check=True)
