"""The list of architectures: transformers' own tables, and the committed results."""

from __future__ import annotations

import json

from nexus_arch_transformers.catalogue import TABLE, results, rows
from nexus_torch.hugging_face.configuration.catalogue import GENERATIVE, generative, modalities, model_types
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES


def test_every_model_type_with_a_class_has_a_row() -> None:
    found = {row["name"]: row for row in rows()}
    assert len(found) >= 640
    assert sum(row["generates"] for row in found.values()) >= 330
    assert set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) <= generative()
    assert {"modalities", "heads", "loader", "streams"} <= found["llama"].keys()


def test_model_types_are_those_that_transformers_has() -> None:
    registered = set(CONFIG_MAPPING._extra_content)         # by other tests of this process
    assert model_types() == set(CONFIG_MAPPING.keys()) - registered


def test_the_counts_are_those_of_the_automatic_classes() -> None:
    """Against transformers' own mappings, imported: every type, every head, what generates."""
    tables = {name: table for name, table in vars(modeling_auto).items()
              if name.startswith("MODEL") and name.endswith("_MAPPING_NAMES")}  # fmt: skip
    heads: dict[str, set[str]] = {}
    for table in tables.values():
        for name, classes in table.items():
            heads.setdefault(name, set()).update([classes] if isinstance(classes, str) else classes)
    found = {row["name"]: row for row in rows()}
    assert {name: set(row["heads"]) for name, row in found.items()} == heads
    writing = {name for task in GENERATIVE for name in tables.get(f"MODEL_FOR_{task}_MAPPING_NAMES", {})}
    assert {name for name, row in found.items() if row["generates"]} == writing


def test_what_a_type_takes_is_what_its_heads_take_together() -> None:
    found = {row["name"]: row["modalities"] for row in rows()}
    assert found["whisper"] == ["text", "audio"], "its decoder alone, and the whole of it"
    assert found["qwen3"] == ["text"]
    assert [name for name, takes in found.items() if not takes] == ["edgetam"], "which needs timm, here absent"


def test_modalities_follow_from_the_tasks() -> None:
    assert modalities("llama") == ("text",)
    assert "image" in modalities("vit")
    assert "audio" in modalities("parakeet_ctc")
    assert {"text", "image"} <= set(modalities("gemma3"))


def test_the_committed_table_says_what_streams() -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    verified = {row["type"] for row in table if row["agree"] and row["streamed"]}
    assert len(verified) >= 250
    assert len({row["type"] for row in table if row["agree"]}) >= 300
    assert {name for name, found in results().items() if found["streams"] == "verified"} == verified
    assert all(row["reason"] and row["whose"] for row in table if not row["agree"])


def test_what_transformers_can_run_we_can_open() -> None:
    table = json.loads(TABLE.read_text(encoding="utf-8"))["rows"]
    assert not {row["type"] for row in table if row["whose"] == "nexus"}
    assert all(row["reason"] for row in table if not row["streamed"]), "what does not stream says why"
