"""`nexus chat`: what it answers, looks at, and refuses."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from nexus_specs import NexusError, Profile, Sample
from nexus_specs.testing import blueprint
from nexus_student import media
from nexus_student.answering import Answer, answer
from nexus_student.commands.chat import Chat, Partner, converse, opened, who
from nexus_student.commands.tower import remove
from nexus_student.inputs import Inputs
from nexus_student.maker import NexusMaker
from nexus_student.media import read_media
from nexus_student.model import NexusModel
from nexus_student.router.ladder import Decision

CODE = "def f(x):\n    return [y for y in x if y is not None]\n"


def chat(world: Any, capsys: pytest.CaptureFixture[str], **options: Any) -> tuple[str, str]:
    assert Chat(release=world.release, length=4, **options)(world.desk) == 0
    found = capsys.readouterr()
    return found.out, found.err


def test_it_answers_a_prompt(world: Any, capsys: pytest.CaptureFixture[str], helpers: Any) -> None:
    prompt = helpers.CODE[:56]
    out, err = chat(world, capsys, prompt=prompt)
    assert "[code: " in err
    assert out.endswith("\n")
    assert "[prose: forced]" in chat(world, capsys, prompt=prompt, tower="prose")[1]
    assert "[core: no tower fits]" in chat(world, capsys, prompt="ÿþýü" * 3)[1]


@pytest.mark.parametrize("prompt", ["", " \n"])
def test_an_empty_prompt_is_no_wish_to_converse(world: Any, prompt: str) -> None:
    with pytest.raises(NexusError, match=r"The prompt is empty: .* Leave --prompt out to converse"):
        Chat(release=world.release, prompt=prompt)(world.desk)


def test_weights_that_are_no_numbers_answer_nothing(world: Any, helpers: Any, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(world.release, tmp_path / "release")
    file = tmp_path / "release" / "model" / "core" / "model.safetensors"
    save_file({name: each * float("nan") for name, each in load_file(file).items()}, file)
    partner = Partner(opened(str(tmp_path / "release"), ""), world.desk, 4)
    for asked in ({"text": helpers.CODE[:56]}, helpers.image(1).fields):
        with pytest.raises(NexusError, match="is not finite: weights of this student are damaged"):
            partner.said(asked)


def test_it_looks(world: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    path = tmp_path / "image.png"
    held = Image.Exif()
    held[0x0112] = 6  # a camera on its side
    Image.fromarray(np.full((4, 7), 90, np.uint8)).save(path, exif=held)
    fields = read_media(image=str(path))
    assert fields["image"].shape == (7, 4, 3)
    with pytest.raises(NexusError, match="takes image: add --image FILE"):
        chat(world, capsys, prompt="x", tower="digits")


def test_classes_come_with_their_probability(world: Any, helpers: Any) -> None:
    found = opened(str(world.release), "")
    inputs, model = Inputs(found, world.desk), NexusModel.from_pretrained(found.home, lookup=world.desk)
    given = answer(model, inputs, helpers.image(1))
    assert given.value in ("one", "two", "three")
    assert 1 / 3 <= given.probability <= 1
    assert who(given) == "[digits: modality]"
    object.__setattr__(inputs.specs["digits"], "labels", ())
    assert answer(model, inputs, helpers.image(1)).value in "012"


def test_a_prompt_and_a_picture_together(world: Any, helpers: Any, tmp_path: Path) -> None:
    profile = Profile(teacher="x", capability="x", layers=(), blueprint=blueprint(takes=("image", "text")))
    student = NexusMaker().load(world.core, helpers.Eyes(0), [profile], name="ask", component="eyes")
    folder = Path(shutil.copytree(world.model, tmp_path / "model"))
    shutil.rmtree(folder / "towers" / "digits")
    student.module.tower("ask").cross["1"].gate.data.fill_(1.0)
    student.save(folder / "towers" / "ask")
    found = opened(str(folder), "")
    inputs, model = Inputs(found, world.desk), NexusModel.from_pretrained(folder, lookup=world.desk)
    fields = {"prompt": "what?", "max_new_tokens": 3, **helpers.image(1).fields}
    given = answer(model, inputs, Sample(key="a", fields=fields))
    assert (dict(given.decision.towers), given.probability) == ({"ask": 1.0}, None)
    with torch.no_grad():
        batch = inputs.batch({"ask": 1.0}, [Sample(key="a", fields=fields | {"text": "what?"})])
        best = model(**dict(batch) | {"signal": False}).logits[0, -1].argmax()
    assert given.value.startswith(inputs.reader({}).tokenizer.decode([best]))


def test_who_answered() -> None:
    pair = Decision({"a": 0.7, "b": 0.3}, "pair")
    assert who(Answer("x", pair)) == "[a 70% + b 30%: pair]"


def test_it_converses(
    world: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, helpers: Any
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{helpers.CODE.splitlines()[0]}\n\nthe quiet river\n"))
    _, err = chat(world, capsys)
    assert err.count("> ") == 4
    assert err.count("[") == 2
    assert "Ctrl-D" not in err


def test_on_a_terminal_it_says_how_a_conversation_ends(
    world: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(""))
    converse(Partner(opened(str(world.release), ""), world.desk, 8))
    assert "Ctrl-D ends" in capsys.readouterr().err


def test_a_long_conversation_forgets_its_beginning(world: Any, helpers: Any) -> None:
    partner = Partner(opened(str(world.release), "prose"), world.desk, 8)
    for _ in range(4):
        partner.replied("the quiet river carried boats")
    said = partner.replied("and on")
    assert partner.memory.endswith(f"and on{said}")
    assert partner.memory.count("the quiet river carried boats") < 4
    assert len(partner.memory.encode()) < 64 * 3
    partner.length = 64
    with pytest.raises(NexusError, match="fills the 64 tokens"):
        partner.replied("the quiet river " * 10)


def test_a_prompt_that_is_too_long(world: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NexusError, match="fills the 64 tokens"):
        chat(world, capsys, prompt="x" * 200, tower="prose")


@pytest.mark.parametrize(
    ("tower", "given", "said"),
    [
        ("digits", {"prompt": "seven?"}, "The tower 'digits' takes image: add --image FILE"),
        ("digits", {}, "takes image: add --image FILE"),
        ("prose", {"image": True}, "The tower 'prose' takes text: add --prompt TEXT"),
    ],
)
def test_a_tower_that_is_not_given_what_it_takes(
    world: Any, tmp_path: Path, tower: str, given: dict[str, Any], said: str
) -> None:
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    given = {name: str(tmp_path / "a.png") if value is True else value for name, value in given.items()}
    with pytest.raises(NexusError, match=said):
        Chat(release=world.release, length=4, tower=tower, **given)(world.desk)


def test_what_is_no_release(tmp_path: Path, world: Any) -> None:
    with pytest.raises(NexusError, match="is no release"):
        opened(str(tmp_path), "")
    with pytest.raises(NexusError, match="is no release"):
        opened(f"{world.core}+{world.folder / 'train' / 'prose'}", "")


def test_sounds_and_films(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.stack([np.ones(100) * 0.5, np.zeros(100)], 1), 8000)
    found = read_media(audio=str(tmp_path / "a.wav"))
    assert (found["rate"], found["audio"].shape) == (8000, (100,))
    assert found["audio"].mean() == pytest.approx(0.25, abs=1e-3)
    np.save(tmp_path / "v.npy", np.zeros((3, 4, 4, 3), np.uint8))
    assert read_media(video=str(tmp_path / "v.npy"))["video"].shape == (3, 4, 4, 3)
    film(tmp_path / "v.mkv", 5)
    assert read_media(video=str(tmp_path / "v.mkv"))["video"].shape == (5, 16, 16, 3)
    film(tmp_path / "none.mkv", 0)
    with pytest.raises(NexusError, match="does not open as a film"):
        read_media(video=str(tmp_path / "none.mkv"))
    np.save(tmp_path / "no.npy", np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(NexusError, match=r"an array of uint8 \[3, 4, 4\] is none; save uint8 \[T, H, W, 3\]"):
        read_media(video=str(tmp_path / "no.npy"))
    with pytest.raises(NexusError, match="There is no file"):
        read_media(image=str(tmp_path / "none.png"))
    with pytest.raises(NexusError, match="does not open as an image"):
        read_media(image=str(tmp_path / "a.wav"))
    with pytest.raises(NexusError, match="does not open as a film"):
        read_media(video=str(tmp_path / "a.wav"))


def test_what_is_too_long_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import soundfile

    monkeypatch.setattr(media, "LARGEST", 1000)
    soundfile.write(tmp_path / "a.wav", np.zeros(300), 8000)
    film(tmp_path / "v.mkv", 5)
    np.save(tmp_path / "v.npy", np.zeros((6, 8, 8, 3), np.uint8))
    for medium, name, said in (
        ("audio", "a.wav", "it is too long"), ("video", "v.mkv", "its first 2 pictures"), ("video", "v.npy", "1 GB"),
    ):  # fmt: skip
        with pytest.raises(NexusError, match=said):
            read_media(**{medium: str(tmp_path / name)})


def film(path: Path, frames: int) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=5)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        container.start_encoding()
        for _ in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), "rgb24")))
        container.mux(stream.encode())


def test_a_release_answers_where_the_host_is_not_installed(world: Any, release: Path) -> None:
    remove(release, "digits")
    for name in ("prose", "code"):
        path = release / "model" / "towers" / name / "tower.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(facts | {"component": "text"}))
    script = textwrap.dedent(
        f"""
        import sys
        sys.modules["nexus_host"] = None
        from nexus_specs import Installed
        from nexus_student.commands.chat import Chat
        assert Chat(release={str(release)!r}, prompt={CODE!r}, length=3)(Installed()) == 0
        assert not any(name.startswith("nexus_host.") for name in sys.modules)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "[code: " in ended.stderr


def test_listing_imports_nothing_heavy() -> None:
    script = (
        "import sys, nexus_student.plugin as p, nexus_student.options, nexus_student.architecture as a\n"
        "list(p.nexus_stages()), list(p.nexus_commands()), a.NexusArchitecture().match('x')\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_sound_without_samples_is_refused(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "empty.wav", np.zeros(0, np.float32), 8000)
    with pytest.raises(NexusError, match="holds no sound"):
        read_media(audio=str(tmp_path / "empty.wav"))


def test_a_closed_input_and_bytes_that_are_no_text(world: Any, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("\udcff bad\n"))
    assert chat(world, capsys)[0].count("\n") == 1
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(NexusError, match="stdin is closed"):
        chat(world, capsys)
