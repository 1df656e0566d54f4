"""The model: Hugging Face's interface, towers that change nothing of the core, and the file formats."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Adapter, NexusError
from nexus_student.config import NexusConfig
from nexus_student.consolidation import Consolidation, read_consolidation, version, write_consolidation
from nexus_student.model import NexusModel
from nexus_student.registering import watch
from nexus_student.specs import TowerSpec
from nexus_student.tower import TowerModule
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
)
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

IDS = torch.tensor([[0, 5, 9, 17, 60, 33, 2, 8]])


@pytest.fixture
def model(world: Any) -> NexusModel:
    return NexusModel.from_pretrained(world.model, lookup=world.desk)


def added(model: NexusModel, name: str, **adapter: Any) -> TowerModule:
    """An untrained tower."""
    spec = TowerSpec(name=name, component="words", adapter=Adapter(**({"how": "lora", "rank": 2} | adapter)))
    tower = TowerModule(spec, model.core, model.linears, len(model.layers), None)
    model.attach(name, tower)
    return tower


def test_auto_classes_open_it(world: Any) -> None:
    assert isinstance(AutoConfig.from_pretrained(world.model), NexusConfig)
    for auto in (AutoModel, AutoModelForCausalLM):
        assert isinstance(auto.from_pretrained(world.model, lookup=world.desk), NexusModel)


def test_importing_the_package_registers_it_and_imports_nothing_heavy(world: Any) -> None:
    code = (
        "import nexus_student, sys; assert not {'torch', 'transformers'} & set(sys.modules)\n"
        "from transformers import AutoModelForCausalLM\n"
        f"print(type(AutoModelForCausalLM.from_pretrained({str(world.model)!r})).__name__)"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.stdout.splitlines()[-1:] == ["NexusModel"], ended.stderr


def test_where_transformers_is_there_already_it_registers_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    known, finders = dict(CONFIG_MAPPING._extra_content), list(sys.meta_path)
    known.pop("nexus")
    monkeypatch.setattr(CONFIG_MAPPING, "_extra_content", known)
    watch()
    assert CONFIG_MAPPING["nexus"] is NexusConfig
    assert sys.meta_path == finders


@pytest.mark.parametrize("auto", [NexusModel, AutoModel, AutoModelForCausalLM])
def test_what_is_asked_of_attention_reaches_the_core(auto: Any, world: Any) -> None:
    model = auto.from_pretrained(world.model, lookup=world.desk, attn_implementation="eager")
    assert model.core.config._attn_implementation == model.config._attn_implementation == "eager"
    model.set_attn_implementation("sdpa")
    assert model.core.config._attn_implementation == model.config._attn_implementation == "sdpa"
    assert model.config.core is model.core.config


@pytest.mark.parametrize("auto", [NexusModel, AutoModelForCausalLM])
def test_flash_attention_is_passed_on(auto: Any, world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is not installed, transformers says so; where it is, the core is opened with it."""
    with pytest.raises(ImportError, match="FlashAttention2"):
        auto.from_pretrained(world.model, attn_implementation="flash_attention_2")
    asked: list[Any] = []

    def opened(folder: Path, **settings: Any) -> Any:
        asked.append(settings["attn_implementation"])
        raise NexusError("opened")

    monkeypatch.setattr("nexus_student.model.open_core", opened)
    with pytest.raises(NexusError, match="opened"):
        auto.from_pretrained(world.model, attn_implementation="flash_attention_2")
    assert asked == ["flash_attention_2"]


def test_saving_what_was_opened_changes_no_byte(world: Any, tmp_path: Path) -> None:
    def held(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    NexusModel.from_pretrained(world.model, lookup=world.desk).save_pretrained(tmp_path / "again")
    before, after = held(world.model), held(tmp_path / "again")
    assert after.keys() == before.keys()
    assert [name for name, data in before.items() if after[name] != data] == []


def test_config_speaks_for_the_core(model: NexusModel) -> None:
    assert model.config.get_text_config() is model.config.core
    assert model.config.core.model_type == "lfm2"
    assert model.core.config._attn_implementation == "sdpa"
    assert NexusConfig().core.model_type == "llama"
    assert NexusConfig(core=model.config.core.to_dict()).core.hidden_size == 32


def test_alone_it_is_the_core(model: NexusModel, world: Any) -> None:
    core = AutoModelForCausalLM.from_pretrained(world.core / "core")
    with torch.no_grad():
        assert torch.equal(model(IDS).logits, core(IDS).logits)
        assert torch.allclose(model(IDS, logits_to_keep=1).logits[:, -1], core(IDS).logits[:, -1], atol=1e-6)
    assert model.get_input_embeddings() is model.core.get_input_embeddings()
    assert model.get_output_embeddings() is model.core.get_output_embeddings()


def test_a_model_from_its_config_alone(model: NexusModel) -> None:
    assert NexusModel(model.config)(IDS).logits.shape == model(IDS).logits.shape


@pytest.mark.parametrize("adapter", [{}, {"embeddings": 2}, {"layers": (1,)}])
def test_an_untrained_tower_is_the_identity(model: NexusModel, adapter: dict[str, Any]) -> None:
    tower = added(model, "new.er", **adapter)
    assert len(tower.paths) == (7 if adapter.get("layers") else 12)
    with torch.no_grad():
        assert torch.equal(model(IDS, tower="new.er").logits, model(IDS).logits)


def test_untrained_eyes_change_no_state(model: NexusModel) -> None:
    spec = TowerSpec(name="eyes", component="eyes", adapter=Adapter(how="cross_attention", rank=2), perceives=True)
    model.attach("eyes", TowerModule(spec, model.core, model.linears, 2, None))
    latents = torch.randn(1, 3, 32)
    with torch.no_grad():
        seen = model(IDS, tower="eyes", latents=latents, signal=True).last_hidden_state
        assert torch.equal(seen, model(IDS, signal=True).last_hidden_state)
        model.tower("eyes").cross["1"].gate.fill_(1.0)
        assert not torch.equal(model(IDS, tower="eyes", latents=latents, signal=True).last_hidden_state, seen)


def test_towers_are_loaded_when_they_are_needed(model: NexusModel) -> None:
    assert list(model.towers) == []
    assert model.tower_names == ("code", "digits", "prose")
    model(IDS, tower="code")
    assert list(model.towers) == ["code"]
    assert not any(parameter.requires_grad for parameter in model.tower("code").parameters())
    with pytest.raises(NexusError, match=r"no tower 'nope'. It has: code, digits, prose"):
        model(IDS, tower="nope")


@pytest.mark.parametrize("tower", ["prose", "code", None])
def test_generate_with_cache_is_generate_without(model: NexusModel, tower: str | None) -> None:
    made = [
        model.generate(IDS, tower=tower, do_sample=False, max_new_tokens=6, use_cache=cache, pad_token_id=0)
        for cache in (True, False)
    ]
    assert made[0].tolist() == made[1].tolist()
    with torch.no_grad():
        assert made[0][0, 8] == model(IDS, tower=tower).logits[0, -1].argmax()
    assert model._folded is None


def test_padding_on_the_right_needs_no_mask(model: NexusModel) -> None:
    padded = torch.cat([IDS, torch.zeros(1, 5, dtype=torch.long)], 1)
    with torch.no_grad():
        alone, beside = model(IDS, tower="prose").logits, model(padded, tower="prose").logits
    assert (alone - beside[:, :8]).abs().max() < 1e-5


def test_two_towers_share_by_weight(model: NexusModel, world: Any) -> None:
    from nexus_student.folders import open_tower

    model.attach("verse", open_tower(world.folder / "train" / "verse" / "tower", model, world.desk))
    code = open_tower(world.folder / "train" / "code" / "tower", model, world.desk)
    code.words = None
    model.attach("plain", code)
    with torch.no_grad():
        one, other = model(IDS, tower="plain").logits, model(IDS, tower="verse").logits
        assert torch.equal(model(IDS, tower={"plain": 1.0, "verse": 0.0}).logits, one)
        assert not torch.equal(model(IDS, tower={"plain": 0.5, "verse": 0.5}).logits, one)
        assert not torch.equal(one, other)


def test_towers_of_their_own_words_never_mix(model: NexusModel) -> None:
    with pytest.raises(NexusError, match="code, prose cannot act together: prose has a vocabulary"):
        model(IDS, tower={"prose": 0.5, "code": 0.5})


def test_classes(model: NexusModel) -> None:
    found = model(tower="digits", pixels=torch.rand(5, 4, 4))
    assert found.output.shape == (5, 3)
    assert found.latents.shape == (5, 1, 32)
    assert found.logits is None


def test_it_needs_something_to_read(model: NexusModel) -> None:
    with pytest.raises(NexusError, match="neither input_ids nor"):
        model()


def test_labels_give_a_loss(model: NexusModel) -> None:
    found = model(IDS, tower="prose", labels=IDS)
    expected = torch.nn.functional.cross_entropy(found.logits[0, :-1], IDS[0, 1:])
    assert torch.allclose(found.loss, expected)


def test_saved_and_opened_it_is_the_same(model: NexusModel, world: Any, tmp_path: Path) -> None:
    added(model, "fresh")
    model.save_pretrained(tmp_path / "copy")
    again = NexusModel.from_pretrained(tmp_path / "copy", lookup=world.desk)
    assert again.tower_names == ("code", "digits", "fresh", "prose")
    for tower in ("prose", "code", "fresh", None):
        with torch.no_grad():
            assert torch.equal(again(IDS, tower=tower).logits, model(IDS, tower=tower).logits)


def test_a_model_that_is_in_no_folder(model: NexusModel, tmp_path: Path) -> None:
    model = NexusModel(model.config)
    assert model.tower_names == ()
    with pytest.raises(NexusError, match=r"no tower 'x'. It has: none"):
        model.tower("x")
    with pytest.raises(NexusError, match="is no student"):
        NexusModel.from_pretrained(tmp_path, config=NexusConfig())


def test_consolidation_is_the_identity_until_trained(model: NexusModel, world: Any, tmp_path: Path) -> None:
    import shutil

    folder = Path(shutil.copytree(world.model, tmp_path / "model"))
    with pytest.raises(NexusError, match="no consolidation for its present towers"):
        NexusModel.from_pretrained(folder, consolidate=True)
    step = Consolidation(("prose", "code", "digits"), 32, rank=4)
    written = write_consolidation(folder, step)
    assert written == folder / "consolidation" / version(folder)
    opened = NexusModel.from_pretrained(folder, lookup=world.desk, consolidate=True)
    pixels = torch.rand(2, 4, 4)
    with torch.no_grad():
        for tower in ("prose", "code", None):
            assert torch.equal(opened(IDS, tower=tower).logits, model(IDS, tower=tower).logits)
        assert torch.equal(opened(tower="digits", pixels=pixels).output, model(tower="digits", pixels=pixels).output)
        opened.consolidation.stitches["prose"].gate.fill_(1.0)
        assert not torch.equal(opened(IDS, tower="prose").logits, model(IDS, tower="prose").logits)
    shutil.rmtree(folder / "towers" / "digits")
    with pytest.raises(NexusError, match="no consolidation"):
        read_consolidation(folder)


def test_a_saved_student_keeps_its_consolidation(world: Any, tmp_path: Path) -> None:
    opened = NexusModel.from_pretrained(world.model, lookup=world.desk)
    opened.consolidation = Consolidation(("prose", "code"), 32, rank=4).eval()
    with pytest.raises(NexusError, match="step is of the towers code, prose; the student has code, digits, prose"):
        opened.save_pretrained(tmp_path / "other")
    assert not (tmp_path / "other").exists()
    opened.consolidation = Consolidation(("prose", "code", "digits"), 32, rank=4).eval()
    torch.nn.init.ones_(opened.consolidation.stitches["prose"].gate)
    opened.save_pretrained(tmp_path / "kept")
    again = NexusModel.from_pretrained(tmp_path / "kept", lookup=world.desk, consolidate=True)
    with torch.no_grad():
        assert torch.equal(again(IDS, tower="prose").logits, opened(IDS, tower="prose").logits)


def test_a_core_of_transposed_matrices() -> None:
    torch.manual_seed(0)
    core = GPT2LMHeadModel(GPT2Config(vocab_size=70, n_embd=32, n_layer=2, n_head=2, n_positions=64)).eval()
    expected = core(IDS).logits
    model = NexusModel(NexusConfig(core=core.config), core).eval()
    tower = added(model, "x")
    assert torch.allclose(model(IDS).logits, expected)
    assert torch.allclose(model(IDS, tower="x").logits, expected, atol=1e-6)
    for lora in tower.lora.values():
        torch.nn.init.normal_(lora.B, std=0.3)
    assert not torch.allclose(model(IDS, tower="x").logits, expected, atol=1e-3)


def test_a_core_that_caps_its_logits() -> None:
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=70, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, final_logit_softcapping=2.0, query_pre_attn_scalar=16,
    )  # fmt: skip
    core = Gemma2ForCausalLM(config).eval()
    model = NexusModel(NexusConfig(core=core.config), core).eval()
    with torch.no_grad():
        core.get_input_embeddings().weight.mul_(20)
        assert torch.allclose(model(IDS).logits, core(IDS).logits, atol=1e-5)
