"""The scanner against files that lie: a NexusError at once, whatever the bytes, and no memory taken for them."""

from __future__ import annotations

import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nexus_arch_gguf.architecture import Gguf
from nexus_arch_gguf.scanner import scan
from nexus_arch_gguf.source import Source
from nexus_specs import NexusError

HUGE, BIG = (1 << 64) - 1, 1 << 22
MEMORY = 64 << 20


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def header(tensors: int = 0, entries: int = 0, version: int = 3, body: bytes = b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, tensors, entries) + body


def info(name: str = "x", lengths: tuple[int, ...] = (32,), kind: int = 0, offset: int = 0) -> bytes:
    shape = struct.pack("<I", len(lengths)) + b"".join(struct.pack("<Q", each) for each in lengths)
    return text(name) + shape + struct.pack("<IQ", kind, offset)


def entry(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


LIES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "begins with"),
    "other": (b"PK\x03\x04" + b"\0" * 60, "begins with"),
    "cut": (b"GGUF\x03\0\0\0", "the number of tensors"),
    "version 1": (header(version=1), "version 1"),
    "version 9": (header(version=9), "version 9"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "tensors": (header(tensors=HUGE), "the number of tensors"),
    "entries": (header(entries=1 << 60), "the number of metadata entries"),
    "key": (header(entries=1, body=struct.pack("<Q", HUGE)), "metadata entry 0"),
    "value type": (header(entries=1, body=entry("a", 77, b"\0" * 8)), "value type 77"),
    "string": (header(entries=1, body=entry("a", 8, struct.pack("<Q", 1 << 62))), "metadata 'a'"),
    "array": (header(entries=1, body=entry("a", 9, struct.pack("<IQ", 4, 1 << 61))), "array of"),
    "strings": (header(entries=1, body=entry("a", 9, struct.pack("<IQ", 8, 1 << 20))), "metadata 'a'"),
    "nested": (header(entries=1, body=entry("a", 9, struct.pack("<IQ", 9, 1) + b"\0" * 64)), "array of the type 9"),
    "twice": (header(entries=2, body=entry("a", 4, b"\0" * 4) * 2), "occurs twice"),
    "alignment": (header(entries=1, body=entry("general.alignment", 4, struct.pack("<I", 3))), "power of two"),
    "no alignment": (header(entries=1, body=entry("general.alignment", 4, b"\0" * 4)), "power of two"),
    "dimensions": (header(tensors=1, body=text("x") + struct.pack("<I", 1 << 30)), "dimensions"),
    "zero": (header(tensors=1, body=info(lengths=(0, 32)) + b"\0" * 64), "dimension of zero"),
    "product": (header(tensors=1, body=info(lengths=(1 << 32, 1 << 32)) + b"\0" * 64), "more than the whole file"),
    "type": (header(tensors=1, body=info(kind=4) + b"\0" * 256), "tensor type 4"),
    "blocks": (header(tensors=1, body=info(lengths=(33,), kind=2) + b"\0" * 256), "whole blocks"),
    "offset": (header(tensors=1, body=info(offset=1 << 40) + b"\0" * 256), "ends at byte"),
    "unaligned": (header(tensors=1, body=info(offset=5) + b"\0" * 256), "no multiple of"),
    "overlap": (header(tensors=2, body=info("a") + info("b", offset=96) + b"\0" * 512), "overlaps with 'a'"),
    "same name": (header(tensors=2, body=info("a") * 2 + b"\0" * 512), "occurs twice"),
    "many keys": (
        header(entries=200, body=b"".join(entry(f"{number:05}" + "k" * 60_000, 4, b"\0" * 4) for number in range(200))),
        "keys and short values",
    ),
    "many strings": (header(entries=1, body=entry("a", 9, struct.pack("<IQ", 8, 1 << 21))), "an array of 2097152"),
    "many arrays": (
        header(entries=2, body=b"".join(entry(key, 9, struct.pack("<IQ", 0, BIG) + bytes(BIG)) for key in "ab")),
        "metadata 'b'",
    ),
    "beyond 2^63": (header(tensors=1, body=info(lengths=(HUGE,) * 4) + b"\0" * 64), "more than the whole file"),
    "offset beyond 2^63": (header(tensors=1, body=info(offset=HUGE - 31) + b"\0" * 256), "ends at byte"),
    "nested twice": (header(entries=1, body=entry("a", 9, struct.pack("<IQIQ", 9, 1, 9, 1) + bytes(64))), "the type 9"),
    "array type": (header(entries=1, body=entry("a", 9, struct.pack("<IQ", 99, 1) + b"\0" * 64)), "of the type 99"),
    "a block without a row": (header(tensors=1, body=info(lengths=(), kind=2) + bytes(64)), "rows of 1 elem"),
    "not text": (header(tensors=1, body=struct.pack("<Q", 2) + b"\xff\xfe" + b"\0" * 64), "not UTF-8"),
    "several lines": (header(tensors=2, body=2 * info("a\nb\x1b[2J") + b"\0" * 64), r"tensor 'a\nb\x1b[2J', at byte"),
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(LIES))
def test_lies_are_named(name: str, tmp_path: Path, at_once: Any) -> None:
    data, said = LIES[name]
    path = tmp_path / "lie.gguf"
    path.write_bytes(data)
    with at_once(2), pytest.raises(NexusError) as caught:
        scan(path)
    assert said in str(caught.value)
    assert "lie.gguf" in str(caught.value)


WHOLE = header(2, 4, body=b"".join([
    entry("general.architecture", 8, text("llama")), entry("llama.block_count", 4, struct.pack("<I", 1)),
    entry("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("bc") + text("")),
    entry("llama.x", 9, struct.pack("<IQ3f", 6, 3, 1.0, 2.0, 3.0)), info("token_embd.weight", (32, 4)),
    info("blk.0.attn_norm.weight", (32,), 0, 512),
])) + b"\0" * 1024  # fmt: skip
"""A small sound file."""


def test_cut_off_anywhere(tmp_path: Path) -> None:
    """At every byte: a NexusError that names the file."""
    path = tmp_path / "cut.gguf"
    path.write_bytes(WHOLE)
    end = max(each.stop for each in scan(path).tensors.values())
    for stop in range(end):
        path.write_bytes(WHOLE[:stop])
        with pytest.raises(NexusError, match=r"cut\.gguf"):
            scan(path)


def test_every_byte_wrong(tmp_path: Path) -> None:
    """Each byte of the header as 128, and each eight as the largest number."""
    path = tmp_path / "wrong.gguf"
    for at in range(len(WHOLE) - 1024):
        for piece in (b"\x80", b"\xff" * 8):
            path.write_bytes(WHOLE[:at] + piece + WHOLE[at + len(piece) :])
            survives(path)


def test_a_large_tensor_of_factors_is_refused(tmp_path: Path) -> None:
    """What a configuration reads is small, whatever the file says."""
    path = tmp_path / "factors.gguf"
    body = entry("general.architecture", 8, text("llama")) + info("rope_freqs.weight", (1 << 19,))
    path.write_bytes(header(1, 1, body=body) + bytes(1 << 22))
    with pytest.raises(NexusError, match=r"factors\.gguf.*rope_freqs\.weight"):
        Source(path).tensor("rope_freqs.weight")


def test_versions_two_and_three_say_the_same(tmp_path: Path, written: Callable[..., Path]) -> None:
    data = bytearray(written("llama").read_bytes())
    assert data[4] == 3
    data[4] = 2
    (tmp_path / "two.gguf").write_bytes(data)
    two, three = scan(tmp_path / "two.gguf"), scan(written("llama"))
    assert two.tensors == three.tensors
    assert two.metadata == three.metadata


def _long() -> bytes:
    """Half a million strings, as many numbers: walked past."""
    strings = 1 << 19
    body = entry("s", 9, struct.pack("<IQ", 8, strings) + text("12345678") * strings)
    return header(entries=2, body=body + entry("n", 9, struct.pack("<IQ", 6, strings) + b"\0" * (4 * strings)))


def _many() -> bytes:
    """More tensors than any real file has, and as many entries as are allowed, with long names."""
    entries = b"".join(entry(f"key.{'x' * 200}.{number}", 8, text("y" * 250)) for number in range(1 << 14))
    tensors = b"".join(info(f"{'t' * 200}.{number}", (1,), 0, 32 * number) for number in range(1 << 14))
    return header(1 << 14, 1 << 14, body=entries + tensors) + b"\0" * ((1 << 14) * 32 + 64)


def _vocabulary() -> bytes:
    """As large as the largest that is published, with scores and types."""
    tokens, merges = 262_144, 514_906
    body = entry("general.architecture", 8, text("llama"))
    body += entry("tokens", 9, struct.pack("<IQ", 8, tokens) + text("1234567") * tokens)
    body += entry("merges", 9, struct.pack("<IQ", 8, merges) + text("1234 678") * merges)
    body += entry("scores", 9, struct.pack("<IQ", 6, tokens) + b"\0" * (4 * tokens))
    return header(entries=5, body=body + entry("types", 9, struct.pack("<IQ", 5, tokens) + b"\0" * (4 * tokens)))


MEASURED = """
import sys, time
from pathlib import Path
from nexus_arch_gguf.source import Source
from nexus_specs import NexusError
began = time.process_time()
peak = lambda: int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
before, read = peak(), {}
try:
    source = Source(Path(sys.argv[1]))
    read = {key: source.get(key) for key in source.metadata}
except NexusError as error:
    print(error, file=sys.stderr)
print((peak() - before) * 1024, len(read), time.process_time() - began)
"""


def grown(path: Path) -> tuple[int, int]:
    """By how much a process of its own grows that reads all metadata of a file at once, and how many entries that
    were. A process that has built a model before would hide it under the most that it ever had, and hands that on to
    its children (`ru_maxrss`); VmHWM is the child's own."""
    done = subprocess.run([sys.executable, "-c", MEASURED, str(path)], capture_output=True, text=True, check=True)
    growth, entries, seconds = done.stdout.split()
    assert float(seconds) < 20
    return int(growth), int(entries)


@pytest.mark.parametrize(("make", "entries"), [(_long, 2), (_many, 1 << 14), (_vocabulary, 5)])
def test_metadata_takes_little_memory(make: Callable[[], bytes], entries: int, tmp_path: Path) -> None:
    (tmp_path / "large.gguf").write_bytes(make())
    growth, read = grown(tmp_path / "large.gguf")
    assert read == entries, "all of it was read"
    assert 0 < growth < MEMORY


@pytest.mark.parametrize("name", ["many arrays", "many strings", "array", "tensors", "strings"])
def test_lies_take_no_memory(name: str, tmp_path: Path) -> None:
    (tmp_path / "lie.gguf").write_bytes(LIES[name][0])
    growth, read = grown(tmp_path / "lie.gguf")
    assert read == 0
    assert growth < MEMORY / 4


def survives(path: Path) -> None:
    """Opened, or refused with words: nothing else, and not for long."""
    started = time.process_time()
    try:
        source = Source(path)
        for key in source.metadata:
            source.get(key)
    except NexusError:
        pass
    assert time.process_time() - started < 5


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncations_and_mutations_never_break_it(data: Any, tmp_path: Path, written: Callable[..., Path]) -> None:
    whole = bytearray(written("llama").read_bytes())
    end = min(min(info.start for info in scan(written("llama")).tensors.values()), 24_000)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, end))
        piece = data.draw(st.one_of(st.binary(min_size=1, max_size=8), st.sampled_from([b"\xff" * 8, b"\0" * 8])))
        whole[at : at + len(piece)] = piece
    (tmp_path / "mutant.gguf").write_bytes(whole[: data.draw(st.one_of(st.just(len(whole)), st.integers(0, end)))])
    survives(tmp_path / "mutant.gguf")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=400))
def test_random_bytes_behind_the_magic_never_break_it(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "noise.gguf").write_bytes(b"GGUF\x03\0\0\0" + data)
    survives(tmp_path / "noise.gguf")


def test_real_malformed_files(shared: Path) -> None:
    for path in sorted((shared / "data" / "gguf" / "malformed").iterdir()):
        if path.name == "v3-empty.bin":
            assert not scan(path).tensors
            continue
        with pytest.raises(NexusError, match=path.name):
            scan(path)


def test_splits_are_one_model(tmp_path: Path, loaded: Any, model: Any) -> None:
    from gguf_files.reading import outputs
    from gguf_files.writing import write

    write("llama", model("llama"), tmp_path / "m.gguf", splits=14)
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) > 1
    checkpoint = Gguf()._checkpoint(str(parts[0]))
    assert {extent.file for part in checkpoint.parts for extent in part.extents} == {str(path) for path in parts}
    module, _ = loaded(checkpoint)
    assert float((outputs(module) - outputs(model("llama"))).abs().max()) <= 1e-6
    parts[1].unlink()
    with pytest.raises(NexusError, match=r"lacks m-00002-of"):
        Gguf().inspect(str(parts[0]))


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    for arch, kind, said in (("clip", "mmproj", "vision or audio part"), ("llama", "adapter", "an adapter"),
                             ("llama", "model", "no tensors")):  # fmt: skip
        body = entry("general.architecture", 8, text(arch)) + entry("general.type", 8, text(kind))
        (tmp_path / "part.gguf").write_bytes(header(entries=2, body=body))
        with pytest.raises(NexusError, match=said):
            Gguf().inspect(str(tmp_path / "part.gguf"))


def test_only_gguf_files_are_claimed(tmp_path: Path, written: Callable[..., Path]) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"")
    places = (written("llama"), tmp_path, tmp_path / "gone.gguf", "package:none/x")
    assert [Gguf().match(str(each)) for each in places] == [2, 0, 0, 0]
    (tmp_path / "model.gguf").write_bytes(written("llama").read_bytes())
    assert Gguf().match(str(tmp_path)) == 2
    assert Gguf().inspect(str(tmp_path)).head == "LlamaForCausalLM"


def test_numbers_are_not_read_for_a_blueprint(tmp_path: Path, written: Callable[..., Path]) -> None:
    data = bytearray(written("qwen3_moe").read_bytes())
    start = min(info.start for info in scan(written("qwen3_moe")).tensors.values())
    data[start:] = b"\xff" * (len(data) - start)
    (tmp_path / "blank.gguf").write_bytes(data)
    assert Gguf().inspect(str(tmp_path / "blank.gguf")) == Gguf().inspect(str(written("qwen3_moe")))
