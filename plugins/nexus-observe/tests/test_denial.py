"""What is out of reach stays so for Python, for code in C or Rust, and for other programs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from nexus_observe import landlock
from nexus_observe.again import folders

REACHING = """
    import json, multiprocessing, os, socket, subprocess, sys
    from pathlib import Path
    from nexus_observe import landlock
    from nexus_observe.denial import deny
    teacher, beside, portable = sys.argv[1:4]
    teacher, beside = Path(teacher), Path(beside)
    if portable == "portable":
        landlock.restrict = lambda roots: landlock.Kept(False, False)
    elif portable == "files":
        landlock.WITH_NETWORK = 99
    from safetensors import safe_open
    import torch
    from tokenizers import Tokenizer
    network = socket.socket()
    denied, kept = deny([teacher])

    def weights():
        return safe_open(teacher / "model.safetensors", framework="pt").keys()
    def named():
        return safe_open(filename=str(teacher / "model.safetensors"), framework="pt").keys()
    def tokens():
        return Tokenizer.from_file(str(teacher / "tokenizer.json"))
    def storage():
        return torch.UntypedStorage.from_file(str(teacher / "config.json"), False, 4)
    def plain():
        return (teacher / "config.json").read_bytes()
    def linked():
        (beside / "link").hardlink_to(teacher / "config.json")
        return (beside / "link").read_bytes()
    def child():
        return subprocess.run(["cat", teacher / "config.json"], check=True, capture_output=True)
    def shell():
        return os.system(f"cat {teacher / 'config.json'} > {beside / 'copy'}") == 0
    def replaced():
        if os.fork():
            return os.waitstatus_to_exitcode(os.wait()[1]) == 0
        try:
            os.execv("/bin/cat", ["cat", str(teacher / "config.json")])
        finally:
            os._exit(9)
    def spawned():
        process = multiprocessing.get_context("spawn").Process(target=print)
        process.start()
        process.join()
        return "started"
    def connected():
        network.connect(("127.0.0.1", 9))
    def resolved():
        return socket.getaddrinfo("localhost", 9)
    def moved():
        (beside / "inner").mkdir()
        (beside / "new").write_text("x")
        (beside / "new").replace(beside / "inner" / "new")
        return (beside / "inner" / "new").read_text()

    found = {"denied": [str(each) for each in denied], "kernel": kept._asdict()}
    for name in sys.argv[4].split(","):
        reach = globals()[name]
        try:
            found[reach.__name__] = bool(reach())
        except Exception as error:
            found[reach.__name__] = type(error).__name__
    if __name__ == "__main__":
        print(json.dumps(found))
"""
REST = ("spawned", "connected", "resolved", "moved")
REFUSED = ("weights", "named", "tokens", "storage", "plain", "linked", "child", "shell", "replaced")


def reached(teacher: Path, beside: Path, how: str = "") -> dict[str, Any]:
    beside.mkdir(exist_ok=True)
    line = [sys.executable, "-c", dedent(REACHING), str(teacher), str(beside), how, ",".join([*REFUSED, *REST])]
    ended = subprocess.run(line, capture_output=True, text=True, check=True)
    return dict(json.loads(ended.stdout.strip().splitlines()[-1]))


SLOW = pytest.mark.slow


@pytest.mark.parametrize("how", ["kernel", "portable", pytest.param("files", marks=SLOW)])
def test_nothing_of_a_teacher_can_be_reached(how: str, sources: Mapping[str, Path], tmp_path: Path) -> None:
    teacher = sources["prose"]
    found = reached(teacher, tmp_path / "beside", how)
    kernel = found["kernel"]
    if how != "portable" and not kernel["files"]:
        pytest.skip("this kernel has no Landlock")
    assert found["denied"] == [str(teacher)]
    assert not [name for name in REFUSED if found[name] is True], found
    assert (found["connected"], found["resolved"]) == ("PermissionError", "PermissionError")
    assert found["moved"] is True, "all else goes on as before"
    assert not (tmp_path / "beside" / "copy").is_file() or not (tmp_path / "beside" / "copy").read_bytes()
    if how == "portable":
        assert kernel == {"files": False, "network": False}
    if not all(kernel.values()):
        assert {found["child"], found["shell"], found["spawned"]} == {"PermissionError"}, "no other program starts"
    else:
        assert found["spawned"] is True


@pytest.mark.parametrize("how", ["kernel", pytest.param("portable", marks=SLOW)])
def test_a_snapshot_of_links_is_out_of_reach_with_what_they_lead_to(
    how: str, sources: Mapping[str, Path], tmp_path: Path
) -> None:
    snapshot, blobs = tmp_path / "snapshots" / "one", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for at, path in enumerate(sorted(sources["prose"].iterdir())):
        (blobs / str(at)).write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(blobs / str(at))
    found = reached(snapshot, tmp_path / "beside", how)
    assert not [name for name in REFUSED if found[name] is True], found


def test_links_to_what_is_out_of_reach_lead_nowhere(tmp_path: Path) -> None:
    for name in ("a/teacher", "a/b", "c"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "a" / "teacher")
    (tmp_path / "file").touch()
    found = {Path(each) for each in landlock.beside([str(tmp_path / "a" / "teacher")])}
    assert {each for each in found if each.is_relative_to(tmp_path)} == {
        tmp_path / name for name in ("a/b", "c", "file")
    }
    assert not any((tmp_path / "a" / "teacher").is_relative_to(each) for each in found)


def test_a_kernel_without_landlock_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(landlock, "_call", lambda *_: -1)
    assert landlock.restrict(["/there"]) == (False, False)
    monkeypatch.setattr(landlock, "_call", lambda *given: 1 if given[-1] == landlock.VERSION else -1)
    assert landlock.restrict(["/there"]) == (False, False)


def test_a_teacher_in_the_hubs_cache_is_out_of_reach_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    kept = tmp_path / "models--acme--tiny"
    kept.mkdir()
    assert folders(["acme/tiny@" + "0" * 40, "acme/other", str(tmp_path / "gone")]) == [kept]


def test_what_a_teacher_stands_on_is_out_of_reach_too(tmp_path: Path) -> None:
    for name in ("adapter", "base", "whole"):
        (tmp_path / name).mkdir()
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"base_model_name_or_path": "../base"}')
    (tmp_path / "base" / "adapter_config.json").write_text("[]")
    found = folders([str(tmp_path / "adapter"), f"{tmp_path / 'whole'}#part", "package:no.such.package/there"])
    assert found == [tmp_path / "adapter", tmp_path / "whole", tmp_path / "base"]


def test_where_no_teacher_is_on_this_machine_everything_else_can_be_read(tmp_path: Path) -> None:
    """As where a release came from elsewhere."""
    (tmp_path / "file").write_text("read")
    code = """
        import sys
        from pathlib import Path
        from nexus_observe.denial import deny
        print(deny([])[0], Path(sys.argv[1]).read_text())
    """
    given = [sys.executable, "-c", dedent(code), str(tmp_path / "file")]
    assert subprocess.run(given, capture_output=True, text=True, check=True).stdout == "[] read\n"
