"""Whatever lies in a folder: a NexusError in words, at once, without running or fetching anything."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Installed, NexusError
from nexus_torch.hugging_face.configuration.reading import build_config, cleaned
from nexus_torch.skeleton import without_weights

LLAMA = {"model_type": "llama", "num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 2, "vocab_size": 99,
         "intermediate_size": 32}  # fmt: skip
ABSURD: dict[str, tuple[dict[str, Any], str]] = {
    "layers": ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1,000,000,000; at most 512"),
    "width": ({"hidden_size": 10**9}, "hidden_size is 1,000,000,000"),
    "words": ({"vocab_size": 10**15}, "vocab_size is"),
    "heads": ({"num_attention_heads": 10**8}, "num_attention_heads is 100,000,000"),
    "context": ({"max_position_embeddings": 10**12}, "max_position_embeddings is"),
    "text": ({"num_hidden_layers": "32"}, "num_hidden_layers is '32'; it is a whole number"),
    "fraction": ({"hidden_size": 32.5}, "hidden_size is 32.5; it is a whole number"),
    "negative": ({"num_hidden_layers": -1}, "num_hidden_layers is -1"),
    "no heads": ({"num_attention_heads": 0}, "num_attention_heads is 0; it is at least 1"),
    "no heads that all share": ({"model_type": "deepseek_v3", "num_attention_heads": 0}, "num_attention_heads is 0"),
    "no width": ({"hidden_size": 0}, "hidden_size is 0; it is at least 1"),
    "no heads of a part": ({"model_type": "clip", "vision_config": {"num_attention_heads": 0}},
                           "vision_config.num_attention_heads is 0"),
    "no shared heads": ({"num_key_value_heads": 0}, "It says `num_key_value_heads: 0`."),
    "a turn in words": ({"rope_parameters": {"rope_type": "default", "rope_theta": "x"}}, "rope_theta: 'x'`."),
    "null": ({"model_type": "qwen3_moe", "num_local_experts": None}, "`num_local_experts: null`."),
    "rank": ({"model_type": "deepseek_v3", "q_lora_rank": 10**9}, "q_lora_rank is 1,000,000,000; at most"),
    "bits": ({"seed": 1 << 80}, "seed is a number of more than 53 bits"),
    "experts": ({"model_type": "mixtral", "num_hidden_layers": 400, "num_local_experts": 4000}, "1,600,000 experts"),
    "activation": ({"hidden_act": "os.system"}, "cannot build LlamaForCausalLM from this config.json"),
    "no object": ({"rope_parameters": 3}, "config.json"),
    "one class": ({"architectures": "LlamaForCausalLM"}, "says 'LlamaForCausalLM' for `architectures`, which"),
    "number of classes": ({"architectures": 5}, "says 5 for `architectures`"),
    "classes of nothing": ({"architectures": [None]}, "says [None] for `architectures`"),
    "quantised by word": ({"quantization_config": "fp8"}, "says 'fp8' for `quantization_config`, which is a table"),
    "labels in a list": ({"id2label": ["a"]}, "says ['a'] for `id2label`"),
    "unknown part": ({"model_type": "llava", "text_config": {"model_type": "quux"}}, "subconfig: quux. Mend the file"),
    "loops": ({"model_type": "albert", "inner_group_num": 10**9}, "inner_group_num is 1,000,000,000; at most 512"),
    "deep": ({"num_hidden_layers": 4096}, "num_hidden_layers is 4,096; at most 512"),
    "cycles": ({"model_type": "hrm_text", "H_cycles": 10**9}, "H_cycles is 1,000,000,000; at most 64"),
    "codebooks": ({"model_type": "dac", "n_codebooks": 65_000}, "n_codebooks is 65,000; at most 1,024"),
    "depths": ({"model_type": "resnet", "depths": [4096] * 4}, "depths is 4,096; at most 512"),
    "a list of stages": ({"model_type": "univnet", "resblock_kernel_sizes": [3] * 2000}, "has 2,000 entries"),
    "experts that are modules": ({"model_type": "switch_transformers", "num_experts": 4000, "num_layers": 12,
                                  "d_model": 8, "d_ff": 8, "num_heads": 2}, "asks for more than 16,384 weights"),
    "masks": ({"model_type": "gpt_neo", "max_position_embeddings": 1 << 14, "num_layers": 24,
               "num_hidden_layers": 24, "attention_types": [[["global", "local"], 12]]}, "asks for a table of"),
    "inputs": ({"model_type": "gemma3n_text", "altup_num_inputs": 10**9}, "altup_num_inputs is 1,000,000,000"),
    "labels": ({"num_labels": 10**9}, "num_labels is 1,000,000,000; at most 131,072"),
    "labels of a part": ({"model_type": "llava", "vision_config": {"num_labels": 10**9}}, "vision_config.num_labels"),
    "stages": ({"model_type": "univnet", "resblock_kernel_sizes": [3] * 100_000}, "has 100,000 entries"),
    "network of the hub": ({"model_type": "dpt", "backbone": "owner/name"}, "stands on the backbone 'owner/name'"),
    "network of timm's hub": ({"model_type": "detr", "backbone": "hf-hub:owner/name"}, "would be fetched"),
    "network inside": ({"model_type": "llava", "vision_config": {"architecture": "hf_hub:a/b"}}, "the architecture"),
    "missing library": ({"model_type": "timm_wrapper"}, "requires the timm library"),
}


def written(folder: Path, text: str) -> str:
    (folder / "config.json").write_text(text)
    return str(folder)


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_configurations_are_refused_at_once(name: str, tmp_path: Path, at_once: Any) -> None:
    change, message = ABSURD[name]
    with at_once(8), pytest.raises(NexusError) as caught:   # 2.4 at most; with coverage beside other work 4.2
        Transformers().inspect(written(tmp_path, json.dumps(LLAMA | change)))
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "too deep"),
        ('{"text_config": ' * 20 + "{}" + "}" * 20, "configurations deep"),
        ("[1, 2]", "no JSON object"),
        ("", "no JSON"),
        ("\x00\xff", "no JSON"),
        ("\ufeff" + json.dumps(LLAMA), "byte order mark"),
        (json.dumps(LLAMA | {"id2label": {str(each): "x" for each in range(500_000)}}), "values; at most"),
        ('{"pad": [' + "[]," * 400_000 + "1]}", "values; at most"),
        ('{"pad": "' + "x" * (33 << 20) + '"}', "bytes"),
    ],
    ids=["nested", "configurations", "list", "empty", "bytes", "mark", "many", "lists", "large"],
)
def test_files_that_are_no_configuration(text: str, message: str, tmp_path: Path) -> None:
    source = written(tmp_path, text)
    assert Transformers().match(source) in (0, 1)
    with pytest.raises(NexusError, match=message):
        Transformers().inspect(source)


@pytest.mark.parametrize("kind", [["llama"], {"llama": 1}, None, 7], ids=str)
def test_a_model_type_that_is_no_word_is_nobodys(kind: Any, tmp_path: Path) -> None:
    source = written(tmp_path, json.dumps(LLAMA | {"model_type": kind}))
    assert Transformers().match(source) == 0
    with pytest.raises(NexusError, match="names the model type"):
        Transformers().inspect(source)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "model.safetensors.index.json"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    source = written(tmp_path, json.dumps(LLAMA))
    (tmp_path / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / name)
    with pytest.raises(NexusError):
        Transformers().open(source, Installed())


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(NexusError, match="1,099,511,627,776 bytes"):
        Transformers().inspect(str(tmp_path))


def test_what_is_made_beside_the_weights_is_bounded() -> None:
    with without_weights():
        assert torch.empty(1 << 20, 1 << 20).is_meta, "a weight larger than any memory"
        assert not torch.empty(8, 8).is_meta
        assert not torch.arange(1 << 20).is_meta
        for make in (lambda: torch.ones(1 << 20, 1 << 20), lambda: torch.arange(1 << 40), lambda: torch.eye(1 << 20)):
            with pytest.raises(NexusError, match="asks for a table of"):
                make()


def test_nothing_in_a_configuration_runs_or_fetches() -> None:
    values = LLAMA | {
        "attn_implementation": "somebody/kernel", "_attn_implementation": "x", "experts_implementation": "y",
        "auto_map": {"AutoConfig": "evil.Config"}, "torch_dtype": "os.system",
        "vision": {"attn_implementation": "z", "use_pretrained_backbone": True},
    }  # fmt: skip
    assert cleaned(values) == LLAMA | {"vision": {"use_pretrained_backbone": False}}
    config = build_config(values, "config.json")
    assert config._attn_implementation is None
    assert config._experts_implementation is None
    assert type(config).__name__ == "LlamaConfig"


@pytest.mark.parametrize("kind", ["dpt", "upernet", "mask2former", "zoedepth", "vitmatte", "depth_anything", "detr"])
def test_the_hub_is_not_asked_for_a_backbone(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """transformers asks the hub whether it has the name; here nothing leaves the machine."""

    asked: list[Any] = []

    def connect(*place: Any, **__: Any) -> None:
        asked.append(place)
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    values = {"model_type": kind, "backbone": "resnet50", "use_timm_backbone": False}
    with contextlib.suppress(NexusError):
        Transformers().inspect(written(tmp_path, json.dumps(values)))
    assert not asked


def test_parts_that_a_class_has_not_are_no_configurations(tmp_path: Path) -> None:
    values = LLAMA | {"text_config": {"model_type": "llama"}, "vision_config": [1, 2]}
    assert Transformers().inspect(written(tmp_path, json.dumps(values))).head == "LlamaForCausalLM"


def test_modules_without_end_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nexus_torch.sparing.MOST", 100)
    with without_weights(), pytest.raises(NexusError, match="asks for more than 100 weights"):
        torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(60)))


def test_a_model_type_without_classes_of_its_own_runs_as_what_is_listed_for_it(tmp_path: Path) -> None:
    config = LLAMA | {"model_type": "internlm3", "architectures": ["InternLM3ForCausalLM"]}
    assert Transformers().inspect(written(tmp_path, json.dumps(config))).head == "LlamaForCausalLM"


def test_a_class_of_another_model_or_of_none_is_not_taken(tmp_path: Path) -> None:
    for name in ("BertForMaskedLM", "Trainer", "pipeline", "../x", "ForFor"):
        source = written(tmp_path, json.dumps(LLAMA | {"architectures": [name]}))
        assert Transformers().inspect(source).head == "LlamaModel"


@pytest.mark.parametrize("place", ["nothing", "file", "empty", "no config"])
def test_places_without_a_checkpoint(place: str, tmp_path: Path) -> None:
    path = tmp_path / "here"
    if place == "file":
        path.write_text("x")
    elif place != "nothing":
        path.mkdir()
        if place == "no config":
            (path / "notes.txt").write_bytes(b"")
    assert Transformers().match(str(path)) == 0
    with pytest.raises(NexusError, match=r"config\.json|There is nothing"):
        Transformers().open(str(path), Installed())


BROKEN: dict[str, Callable[[Path], Any]] = {
    "empty shard": lambda home: (home / "model.safetensors").write_bytes(b""),
    "short header": lambda home: (home / "model.safetensors").write_bytes(b"\x10" + b"\0" * 7 + b"{}"),
    "huge header": lambda home: (home / "model.safetensors").write_bytes(b"\xff" * 64),
    "folder": lambda home: (home / "model.safetensors").mkdir(),
    "index of nothing": lambda home: (home / "model.safetensors.index.json").write_text("{}"),
    "index outside": lambda home: (home / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "../../secret.safetensors"}})
    ),
    "index of tables": lambda home: (home / "model.safetensors.index.json").write_text('{"weight_map": {"a": {}}}'),
    "index of long names": lambda home: (home / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "x" * 5000}})
    ),
    "index of numbers": lambda home: (home / "model.safetensors.index.json").write_text('{"weight_map": {"a": 3}}'),
    "index text": lambda home: (home / "model.safetensors.index.json").write_text("no"),
    "shard missing": lambda home: (home / "model.safetensors.index.json").write_text(
        json.dumps({"weight_map": {"a": "model-00001-of-00002.safetensors"}})
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_weights_are_named(name: str, tmp_path: Path) -> None:
    source = written(tmp_path, json.dumps(LLAMA))
    BROKEN[name](tmp_path)
    for ask in (Transformers().inspect, lambda source: Transformers().open(source, Installed())):
        with pytest.raises(NexusError):
            ask(source)


def test_headers_and_configurations_with_random_damage(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    generator, home = random.Random(0), tmp_path / "damaged"
    shutil.copytree(checkpoint_folder("llama"), home)
    original = {name: (home / name).read_bytes() for name in ("config.json", "model.safetensors")}
    for round_ in range(40):
        name = "config.json" if round_ % 2 else "model.safetensors"
        data = bytearray(original[name])
        for _ in range(generator.randint(1, 6)):
            data[generator.randrange(min(len(data), 4000))] = generator.randrange(256)
        for each, whole in original.items():
            (home / each).write_bytes(bytes(data) if each == name else whole)
        try:
            if Transformers().match(str(home)):
                Transformers().open(str(home), Installed())
        except NexusError:
            continue


@torch.no_grad()
def test_what_a_forward_gives_is_for_the_caller_to_say(
    checkpoint_folder: Callable[[str], Path], tmp_path: Path, loaded: Any
) -> None:
    """A configuration that asks for tuples, for every state, or for nonsense in their place."""
    home = tmp_path / "switched"
    shutil.copytree(checkpoint_folder("llama"), home)
    told = json.loads((home / "config.json").read_text())
    switches = {"return_dict": False, "output_hidden_states": 1e30, "output_attentions": True, "torchscript": True}
    (home / "config.json").write_text(json.dumps(told | switches))
    checkpoint = Transformers().open(str(home), Installed())
    output = loaded(checkpoint)(input_ids=torch.arange(5)[None])
    assert output.logits.shape == (1, 5, checkpoint.blueprint.vocabulary)
    assert output.attentions is None
