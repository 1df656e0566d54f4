"""What identifies files: their hash, of many gigabytes samples, of a hub's blob its name."""

import hashlib
import os
import re

from nexus_host.store import file_hash, hashes
from nexus_host.store.hashes import identity


def test_a_large_file_is_identified_without_being_read_through(tmp_path, monkeypatch):
    monkeypatch.setattr(hashes, "LARGE", 1 << 20)
    monkeypatch.setattr(hashes, "EDGE", 1 << 10)
    monkeypatch.setattr(hashes, "STEP", 1 << 16)
    monkeypatch.setattr(hashes, "PIECE", 1 << 8)
    path = tmp_path / "weights.bin"
    size = (1 << 20) + 77
    path.write_bytes(bytes(size))
    os.utime(path, ns=(0, 0))
    found, seen = {identity(path)}, 1
    for place in (0, 1023, 1 << 16, (1 << 16) + 255, 15 << 16, size - 1024, size - 1):
        with path.open("r+b") as file:
            file.seek(place)
            file.write(b"x")
        os.utime(path, ns=(0, 0))
        found.add(identity(path))
        seen += 1
    assert len(found) == seen, "each of these bytes counts"
    assert all(re.fullmatch("[0-9a-f]{64}", each) for each in found)
    with path.open("r+b") as file:
        file.seek(5000)
        file.write(b"x")
    assert identity(path) not in found, "one between the samples is told by the time of change"
    os.utime(path, ns=(0, 0))
    assert identity(path) in found, "and by nothing else"
    os.truncate(path, size - 1)
    assert identity(path) not in found
    monkeypatch.setattr(hashes, "LARGE", 1 << 30)
    assert identity(path) == file_hash(path)


def test_a_file_of_many_gigabytes_is_known_at_once(tmp_path, at_once):
    path = tmp_path / "hole.bin"
    path.touch()
    os.truncate(path, 8 << 30)
    with at_once(2):
        identity(path)


def test_a_blob_of_a_hub_is_known_by_its_name(tmp_path):
    blob = tmp_path / "blobs" / ("0a" * 32)
    blob.parent.mkdir()
    blob.write_text("never read")
    (tmp_path / "model.safetensors").symlink_to(blob)
    assert identity(tmp_path / "model.safetensors") == "0a" * 32
    blob.rename(blob.with_name("0a" * 20))
    assert identity(blob.with_name("0a" * 20)) == hashlib.sha256(b"never read").hexdigest()
