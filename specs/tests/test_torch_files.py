"""Files of tensors, profiles and bases, fingerprints."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from nexus_specs import Basis, Blueprint, Extent, LayerProfile, NexusError, Profile, Stack
from nexus_torch.bases import project
from nexus_torch.files import TensorFile, read_header, read_tensors, write_bytes, write_json, write_tensors
from nexus_torch.identity import elements, file_hashes, stored_hashes, tensor_hash
from nexus_torch.naming import naming
from nexus_torch.profiles import preprocessor, read_bases, read_profile, write_bases, write_profile

STACK = Stack(path="layers", count=2, widths=(8, 8), layer_bytes=(4, 4))
BLUEPRINT = Blueprint(
    family="f", head="H", takes=("text",), gives=("text",), stacks=(STACK,), parameters=9, active_parameters=9,
    bytes=36, dtype="F32",
)  # fmt: skip


def basis() -> Basis:
    torch.manual_seed(0)
    return Basis(mean=torch.randn(8), directions=torch.linalg.qr(torch.randn(8, 3))[0], scale=2.5)


def test_equal_tensors_are_equal_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2, dtype=torch.int8)}
    first = write_tensors(tmp_path / "one", tensors)
    assert first == write_tensors(tmp_path / "other", dict(reversed(tensors.items())))
    assert torch.equal(read_tensors(tmp_path / "one")["b"], tensors["b"])
    assert not list(tmp_path.glob("*.part"))


def test_rows_are_read_alone(tmp_path: Path) -> None:
    write_tensors(tmp_path / "t", {"a": torch.arange(12).reshape(4, 3), "none": torch.empty(0, 3)})
    file = TensorFile(tmp_path / "t")
    assert file.rows("a", 1, 3).tolist() == [[3, 4, 5], [6, 7, 8]]
    assert file.tensor("none").shape == (0, 3)


@pytest.mark.parametrize("damage", ["missing", "header", "length", "short"])
def test_damaged_files_are_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "t"
    if damage != "missing":
        write_tensors(path, {"a": torch.arange(100)})
        data = bytearray(path.read_bytes())
        if damage == "header":
            data[8:12] = b"!!!!"
        if damage == "length":
            data[:8] = b"\xff" * 8
        write_bytes(path, bytes(data[:-50] if damage == "short" else data))
    with pytest.raises(NexusError):
        read_tensors(path)
    if damage != "missing":
        with pytest.raises(NexusError, match=r"header|shorter"):
            TensorFile(path).tensor("a")


def test_profiles_and_bases_are_kept(tmp_path: Path) -> None:
    layer = LayerProfile(path="layers.0", importance=0.5, low=0.4, high=0.6, rank=3, critical=True)
    references = write_bases({"layers.0": basis()}, tmp_path)
    profile = Profile(
        teacher="t", capability="c", blueprint=BLUEPRINT, layers=(layer,), score=1.5, bases=references,
        preprocessor="preprocessor", home="elsewhere",
    )  # fmt: skip
    write_profile(profile, tmp_path)
    found = read_profile(tmp_path)
    assert found.home == str(tmp_path)
    assert (found.layers, found.blueprint, found.score) == (profile.layers, profile.blueprint, 1.5)
    assert "home" not in json.loads((tmp_path / "profile.json").read_text())
    torch.testing.assert_close(read_bases(found)["layers.0"].directions, basis().directions)
    assert read_bases(found)["layers.0"].scale == 2.5
    assert preprocessor(found) == tmp_path / "preprocessor"


@pytest.mark.parametrize("content", [None, "{", '{"schema": "x"}'])
def test_what_is_no_profile_is_refused(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "profile.json").write_text(content)
    with pytest.raises(NexusError, match="profile"):
        read_profile(tmp_path)


def test_a_projection_is_the_coordinates_in_the_subspace() -> None:
    coordinates = torch.randn(4, 3)
    inside = coordinates @ basis().directions.T + basis().mean
    torch.testing.assert_close(project(inside, basis()), coordinates / basis().scale)
    assert project(basis().mean, basis()).abs().max() < 1e-6


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_basis_of_any_precision_gives_float32(dtype: torch.dtype) -> None:
    states, kept = torch.randn(4, 8), basis()
    other = Basis(mean=kept.mean.to(dtype), directions=kept.directions.to(dtype), scale=kept.scale)
    found = project(states, other)
    exact = (states.double() - other.mean.double()) @ other.directions.double() / other.scale
    assert found.dtype == torch.float32
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-6)


def test_a_weight_is_known_by_its_values(tmp_path: Path) -> None:
    weight = torch.randn(8, 4).bfloat16()
    assert tensor_hash(weight) == tensor_hash(weight.float()) == tensor_hash(weight.T.contiguous().T)
    assert tensor_hash(weight) != tensor_hash(weight + 1)
    assert tensor_hash(torch.ones(64)) == tensor_hash(torch.randn(1)) == "", "anybody's"
    write_tensors(tmp_path / "t", {"w": weight, "ones": torch.ones(64)})
    assert dict(file_hashes(tmp_path / "t")) == {"w": tensor_hash(weight), "ones": ""}
    assert elements(tmp_path / "t") == 96
    entries, begin = read_header(tmp_path / "t")
    start, stop = (begin + each for each in entries["w"]["data_offsets"])
    extent = Extent(key="w", file=str(tmp_path / "t"), start=start, stop=stop, dtype="BF16", shape=(8, 4))
    assert stored_hashes([extent]) == [tensor_hash(weight)]


MEASURED = """
    import resource, sys
    from nexus_specs import Extent
    from nexus_torch.identity import stored_hashes
    size = 128 << 20
    with open(sys.argv[1], "wb") as file:
        file.truncate(size)
    with open(sys.argv[1], "r+b") as file:
        file.write(b"abcd")
    extent = Extent(key="w", file=sys.argv[1], start=0, stop=size, dtype="BF16", shape=(size // 2,))
    stored_hashes([Extent(key="v", file=sys.argv[1], start=0, stop=1 << 22, dtype="BF16", shape=(1 << 21,))])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert len(stored_hashes([extent])) == 1
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the largest size is counted in other units")
def test_a_large_tensor_is_hashed_in_little_memory(tmp_path: Path) -> None:
    line = [sys.executable, "-c", dedent(MEASURED), str(tmp_path / "large")]
    grown = int(subprocess.run(line, capture_output=True, text=True, check=True).stdout)
    assert grown < 32 << 10, f"{grown} KiB more for a tensor of 128 MiB"


def test_hashes_leave_out_what_cannot_be_compared(tmp_path: Path) -> None:
    (tmp_path / "packed.gguf").write_bytes(bytes(range(64)))
    packed = Extent(key="a", file=str(tmp_path / "packed.gguf"), start=0, stop=32, dtype="Q4_0", shape=(32,))
    gone = Extent(key="b", file=f"hub:acme/tiny@{'0' * 40}/a.safetensors", start=0, stop=8, dtype="F32", shape=(2,))
    plain = Extent(key="c", file=str(tmp_path / "packed.gguf"), start=0, stop=8, dtype="I8", shape=(8,))
    assert stored_hashes([packed, gone, plain]) == [tensor_hash(torch.arange(8))]


def test_a_header_of_countless_values_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tensors(tmp_path / "t", {"w": torch.zeros(3)})
    monkeypatch.setattr("nexus_torch.files.MOST_VALUES", 5)
    with pytest.raises(NexusError, match=r"a header of \d+ values, more than any checkpoint"):
        read_header(tmp_path / "t")


def test_errors_of_the_system_name_the_file(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no disk that is always full")
    (tmp_path / "a.json.part").symlink_to("/dev/full")
    with pytest.raises(OSError, match=r"a\.json") as said:
        write_json(tmp_path / "a.json", {})
    assert said.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No such file") as said, naming(tmp_path / "a.json"):
        (tmp_path / "other").read_bytes()
    assert said.value.filename == str(tmp_path / "other")
