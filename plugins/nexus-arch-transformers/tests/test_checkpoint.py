"""Every sort of checkpoint: loaded through parts, it answers exactly as transformers' own loading does."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError, Sample, content_key
from safetensors.torch import load_file

TAKES = {"vit": "images", "ast": "sounds", "videomae": "films"}
HEADS = {
    "llama": (("text",), ("text",)), "tied": (("text",), ("text",)), "experts": (("text",), ("text",)),
    "vit": (("image",), ("label",)), "ast": (("audio",), ("label",)), "videomae": (("video",), ("label",)),
    "bert": (("text",), ("embedding",)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADS)
@torch.no_grad()
def test_parts_make_the_model_that_transformers_loads(
    loaded: Callable[[Any], Any], name: str, checkpoint_folder: Callable[[str], Path], request: pytest.FixtureRequest
) -> None:
    folder = checkpoint_folder(name)
    checkpoint = Transformers().open(str(folder), Installed())
    assert (checkpoint.blueprint.takes, checkpoint.blueprint.gives) == HEADS[name]
    samples = request.getfixturevalue(TAKES.get(name, "texts"))
    batch = checkpoint.collate(samples)
    output = loaded(checkpoint)(**batch)
    kind = getattr(hf, checkpoint.blueprint.head)
    expected = kind.from_pretrained(folder, dtype=torch.float32).eval()(**batch)
    torch.testing.assert_close(output[0], expected[0], rtol=0, atol=2e-6)
    assert checkpoint.blueprint.parameters == sum(each.numel() for each in kind.from_pretrained(folder).parameters())


def test_layers_are_parts_with_their_own_bytes(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("experts")), Installed())
    stack = checkpoint.blueprint.largest_stack
    assert [part.path for part in checkpoint.parts] == ["", *stack.layers]
    assert stack.widths == (32, 32, 32)
    assert len({extent.file for part in checkpoint.parts for extent in part.extents}) > 3, "sharded"
    assert checkpoint.blueprint.active_parameters < checkpoint.blueprint.parameters


def test_text_begins_with_the_start_token_and_knows_its_bytes(
    loaded: Callable[[Any], Any], checkpoint_folder: Callable[[str], Path], texts: list[Sample]
) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("llama")), Installed())
    module, batch = loaded(checkpoint), checkpoint.collate(texts)
    with torch.no_grad():
        signal = checkpoint.read(module(**batch), batch)
    assert signal.tokens[:, 0].tolist() == [0] * len(texts)
    for sample, mask, spans in zip(texts, signal.mask, signal.spans, strict=True):
        assert spans[int(mask.sum()) - 1, 1] == len(sample.fields["text"].encode())
    torch.testing.assert_close(module.lm_head(signal.hidden), signal.outputs["logits"])


def test_long_text_is_cut_at_the_context(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("llama")), Installed())
    fields = {"text": "abcdefgh " * 200}
    batch = checkpoint.collate([Sample(key=content_key(fields), fields=fields)])
    assert batch["input_ids"].shape == (1, 64)


def test_answers(
    loaded: Callable[[Any], Any], checkpoint_folder: Callable[[str], Path], texts: list[Sample], images: list[Sample]
) -> None:
    decoder = Transformers().open(str(checkpoint_folder("llama")), Installed())
    asked = [Sample(key=each.key, fields={"prompt": each.fields["text"], "max_new_tokens": 4}) for each in texts]
    with torch.no_grad():
        answers = decoder.generate(loaded(decoder), asked)
        assert answers == decoder.generate(loaded(decoder), asked)
        assert len(answers) == len(asked)
        classes = Transformers().open(str(checkpoint_folder("vit")), Installed())
        assert set(classes.generate(loaded(classes), images)) <= set(classes.blueprint.labels)


def test_preprocessor_is_saved_without_weights(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("llama")), Installed())
    checkpoint.save_preprocessor(tmp_path / "kept")
    assert {"config.json", "tokenizer.json"} <= {path.name for path in (tmp_path / "kept").iterdir()}
    assert not list((tmp_path / "kept").glob("*.safetensors"))


def test_audio_of_another_rate_is_refused(checkpoint_folder: Callable[[str], Path], sounds: list[Sample]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("ast")), Installed())
    wrong = Sample(key="k", fields=dict(sounds[0].fields) | {"rate": 8000})
    with pytest.raises(NexusError, match=r"8000 Hz.*16000 Hz"):
        checkpoint.collate([wrong])


def test_samples_of_another_modality_are_refused(checkpoint_folder: Callable[[str], Path], texts: list[Sample]) -> None:
    with pytest.raises(NexusError, match=r"takes image.*only: text"):
        Transformers().open(str(checkpoint_folder("vit")), Installed()).collate(texts)


def test_pickled_weights_are_refused_with_the_way_out(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder("llama"), tmp_path / "old")
    (tmp_path / "old" / "model.safetensors").rename(tmp_path / "old" / "pytorch_model.bin")
    with pytest.raises(NexusError, match=r"pytorch_model\.bin.*pickles[\s\S]*save_pretrained"):
        Transformers().inspect(str(tmp_path / "old"))


@pytest.mark.parametrize("classes", [["LlamaForCausalLM"], None, ["CodeOfTheCheckpointForCausalLM"]])
def test_the_command_that_converts_pickles_does(
    classes: list[str] | None, checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    """As it is printed, by a shell, in a folder whose name a shell would read otherwise; with other classes in this
    process, which has imported transformers already."""
    place = tmp_path / "$HOME's \"old\" `model`"
    shutil.copytree(checkpoint_folder("llama"), place)
    torch.save(load_file(place / "model.safetensors"), place / "pytorch_model.bin")
    (place / "model.safetensors").unlink()
    values = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(values | {"architectures": classes}))
    with pytest.raises(NexusError, match="pickles") as caught:
        Transformers().inspect(str(place))
    command = str(caught.value).partition("\n")[2].strip()
    if classes == ["LlamaForCausalLM"]:
        found = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        subprocess.run(["bash", "-c", command], env=found, check=True, capture_output=True)
    else:
        program, flag, code = shlex.split(command)
        assert (program, flag) == ("python", "-c")
        exec(code, {})
    assert Transformers().open(str(place), Installed()).parts


@pytest.mark.parametrize("damage", ["missing", "cut", "shard"])
def test_incomplete_weights_are_named(damage: str, checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(checkpoint_folder("experts" if damage == "shard" else "llama"), folder)
    weights = sorted(folder.glob("*.safetensors"))[0]
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-100])
    else:
        weights.unlink()
    with pytest.raises(NexusError, match=r"no weights|shorter than its header|lacks"):
        Transformers().open(str(folder), Installed())
    if damage == "missing":
        assert "weights (*.safetensors)" in Transformers().inspect(str(folder)).missing


def test_weights_of_other_libraries_are_named(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "onnx").mkdir()
    shutil.copy(checkpoint_folder("llama") / "config.json", tmp_path)
    for name in ("tf_model.h5", "flax_model.msgpack", "onnx/model.onnx"):
        (tmp_path / name).write_bytes(b"")
    there = "tf_model.h5 (TensorFlow), onnx/model.onnx (ONNX)"
    there = f"what is there, flax_model.msgpack (Flax), {there}, is not read"
    assert f"weights (*.safetensors): {there}" in Transformers().inspect(str(tmp_path)).missing
    with pytest.raises(NexusError, match=re.escape(f"no weights (*.safetensors): {there}. Fetch model.safetensors")):
        Transformers().open(str(tmp_path), Installed())


def test_what_is_packed_in_an_unknown_way_is_refused(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    shutil.copytree(checkpoint_folder("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "hqq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))
    assert Transformers().inspect(str(folder)).quantisation == "hqq"
    with pytest.raises(NexusError, match=r"packed by 'hqq', which is not read; awq, bitnet, bitsandbytes,"):
        Transformers().open(str(folder), Installed())


def test_a_class_that_transformers_lacks_is_named(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "unknown"
    shutil.copytree(checkpoint_folder("llama"), folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"architectures": ["NoSuchModel"]}))
    assert Transformers().inspect(str(folder)).head == "LlamaModel", "the automatic class stands in"


def test_foreign_folders_are_not_claimed(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "not-a-model"}')
    assert Transformers().match(str(tmp_path)) == 0
    assert Transformers().match("package:no_such_package/x") == 0
    with pytest.raises(NexusError, match=r"the model type 'not-a-model', which transformers .* does not know"):
        Transformers().inspect(str(tmp_path))


def test_match_and_catalogue_leave_torch_out() -> None:
    code = (
        "import sys; from nexus_arch_transformers.architecture import Transformers as T; T().match('.');"
        "from nexus_torch.hugging_face.configuration.catalogue import rows; found = rows();"
        "assert len(found) > 600 and any(row['generates'] for row in found);"
        "assert not {'torch', 'transformers'} & set(sys.modules), 'heavy'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", ["stories260K", "mobilenet_v2_1.0_224"])
@torch.no_grad()
def test_real_checkpoints(
    loaded: Callable[[Any], Any], name: str, shared: Path, texts: list[Sample], images: list[Sample]
) -> None:
    checkpoint = Transformers().open(str(shared / "models" / name), Installed())
    batch = checkpoint.collate(texts if name.startswith("stories") else images)
    expected = getattr(hf, checkpoint.blueprint.head).from_pretrained(shared / "models" / name).eval()(**batch)
    torch.testing.assert_close(loaded(checkpoint)(**batch).logits, expected.logits, rtol=0, atol=1e-5)


def test_what_was_fetched_from_the_hub_opens_by_its_name(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "models--acme--tiny"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("0" * 40)
    shutil.copytree(checkpoint_folder("vit"), home / "snapshots" / ("0" * 40))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    assert [Transformers().match(source) for source in ("acme/tiny", "hub:acme/tiny")] == [1, 1]
    with pytest.raises(NexusError, match="'acme/other' is neither a folder here nor in the cache, and HF_HUB_OFFLINE"):
        Transformers().match("acme/other")
    assert Transformers().inspect("hub:acme/tiny").head == "ViTForImageClassification"


@pytest.mark.parametrize("size", ["5GB", "40KB"])
def test_of_two_variants_one_is_read(
    size: str, checkpoint_folder: Callable[[str], Path], loaded: Callable[[Any], Any], tmp_path: Path
) -> None:
    home = Path(shutil.copytree(checkpoint_folder("llama"), tmp_path / "two"))
    model = hf.AutoModelForCausalLM.from_pretrained(home)
    (home / "model.safetensors").unlink()
    for variant, factor in (("bf16", 1.0), ("fp16", 2.0)):
        model.load_state_dict({name: value * factor for name, value in model.state_dict().items()})
        model.save_pretrained(home, variant=variant, max_shard_size=size)
    checkpoint = Transformers().open(str(home), Installed())
    assert {Path(each.file).name[:10] for part in checkpoint.parts for each in part.extents} == {"model.bf16"}
    right = hf.AutoModelForCausalLM.from_pretrained(home, variant="bf16").state_dict()
    assert all(torch.equal(value, right[name]) for name, value in loaded(checkpoint).named_parameters())


def test_two_savings_in_one_folder_are_not_mixed(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    home = Path(shutil.copytree(checkpoint_folder("llama"), tmp_path / "two"))
    (home / "model.safetensors").rename(home / "epoch1.safetensors")
    shutil.copyfile(home / "epoch1.safetensors", home / "epoch2.safetensors")
    with pytest.raises(NexusError, match=r"epoch1.safetensors' and 'epoch2.safetensors' beside it both hold"):
        Transformers().open(str(home), Installed())
