"""New cores, adopted cores, and towers on them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from nexus_specs import Adapter, Basis, Budget, NexusError, Profile, Sample, Tap
from nexus_specs.testing import blueprint
from nexus_student import maker as makers
from nexus_student.cores import core_folder, core_hash, layers_of, open_core, read_tokenizer, start_of
from nexus_student.folders import open_tower
from nexus_student.maker import NexusMaker
from nexus_student.model import NexusModel
from nexus_student.reading import TextReader, text_batch
from nexus_student.specs import read_spec, tower_folder
from nexus_student.vocabulary import is_tied
from nexus_torch.files import read_tensors


def test_a_core_has_one_body_and_a_vocabulary_for_each_teacher(world: Any, helpers: Any) -> None:
    students = NexusMaker(**helpers.OPTIONS).create([world.profiles["prose"], world.profiles["code"]])
    names = {teacher: dict(student.trainable()) for teacher, student in students.items()}
    assert names["prose"].keys() - names["code"].keys() == {"vocabularies.prose.embedding"}
    assert names["code"].keys() - names["prose"].keys() == {"core.model.embed_tokens.weight"}
    assert students["prose"].module is students["code"].module
    assert students["prose"].blueprint.tokenizer == world.profiles["prose"].blueprint.tokenizer
    signal = students["code"].forward(students["code"].collate([helpers.text("def f")]))
    assert signal.head(signal.hidden).shape == (1, signal.tokens.shape[1], 259)
    signal = students["prose"].forward(students["prose"].collate([helpers.text("def f")]))
    assert signal.head(signal.hidden).shape == (1, 6, 257)


def test_the_tokenizer_of_a_core_can_be_named(world: Any, helpers: Any, tmp_path: Path) -> None:
    profiles = [world.profiles["prose"], world.profiles["code"]]
    student = NexusMaker(**helpers.OPTIONS, tokenizer="prose").create(profiles)["code"]
    student.save(tmp_path)
    assert TextReader.of(tmp_path / "core").hash == profiles[0].blueprint.tokenizer
    with pytest.raises(NexusError, match=r"'digits' teaches no core here. Allowed: code, prose"):
        NexusMaker(**helpers.OPTIONS, tokenizer="digits").create(profiles)


def test_training_a_tower_starts_where_the_core_ended(world: Any, helpers: Any) -> None:
    words = read_tensors(world.core / "vocabularies" / "prose.safetensors")["embedding"]
    student = world.student("prose")
    assert torch.equal(student.module.tower("prose").vocabulary.embedding, words)
    other = Profile(teacher="prose", capability="x", blueprint=blueprint(vocabulary=300), layers=(),
                    preprocessor="preprocessor", home=world.profiles["prose"].home)  # fmt: skip
    fresh = NexusMaker().load(world.core, helpers.Words(), [other], name="x", component="words")
    assert fresh.module.tower("x").vocabulary.embedding.shape == (300, 32)
    cold = NexusMaker().load(world.core / "core", helpers.Words(), [other], name="x", component="words")
    assert cold.blueprint.vocabulary == 300


def test_taps_are_module_paths(world: Any, helpers: Any) -> None:
    student = world.student("prose")
    path = student.blueprint.stacks[0].layers[1]
    basis = Basis(mean=torch.zeros(32), directions=torch.eye(32)[:, :5], scale=2.0)
    batch = student.collate([helpers.text("ab"), helpers.text("abcdef")])
    whole = student.forward(batch, [Tap(path=path)]).states[path]
    assert torch.allclose(student.forward(batch, [Tap(path=path, basis=basis)]).states[path], whole[..., :5] / 2)
    long = student.collate([helpers.text("abc " * 11)])          # longer than what texts in training are padded to
    assert student.forward(long, [Tap(path=path)]).states[path].shape[:2] == long["input_ids"].shape
    signal = student.forward(batch)
    assert signal.mask.sum(1).tolist() == [3, 7]
    assert signal.spans[0].tolist()[:3] == [[0, 0], [0, 1], [1, 2]]
    assert signal.keys == tuple(each.key for each in [helpers.text("ab"), helpers.text("abcdef")])


def test_eyes_have_a_stack_of_their_own(world: Any, helpers: Any) -> None:
    student = world.student("digits")
    assert [stack.path for stack in student.blueprint.stacks] == ["core.model.layers", "towers.digits.own.layers"]
    assert (student.blueprint.takes, student.blueprint.labels) == (("image",), ("one", "two", "three"))
    signal = student.forward(student.collate([helpers.image(1), helpers.image(2)]))
    assert signal.outputs["output"].shape == (2, 3)
    signal.outputs["output"].sum().backward()
    assert all(each.grad is not None for name, each in student.trainable() if ".own.head" in name or ".gate" in name)
    with pytest.raises(NexusError, match="takes image; a sample has no 'image'"):
        student.collate([helpers.text("x")])


def test_a_tower_is_opened_as_it_was_saved(world: Any) -> None:
    model = NexusModel.from_pretrained(world.model, lookup=world.desk)
    for name in ("prose", "code", "digits"):
        folder = world.folder / "train" / name
        tower = open_tower(tower_folder(folder), model, world.desk)
        facts = json.loads((folder / "tower" / "tower.json").read_text())
        assert facts["parameters"]["total"] == sum(each.numel() for each in tower.parameters())
        assert facts["core"] == core_hash(world.core)
        assert read_spec(folder / "tower").name == name


def test_compressed_towers_are_half_as_large(world: Any, helpers: Any, tmp_path: Path) -> None:
    maker = NexusMaker(compress=True)
    student = maker.load(world.core, helpers.Words(), [world.profiles["prose"]], name="p", component="words")
    student.save(tmp_path)
    assert read_tensors(tmp_path / "vocabulary" / "embedding.safetensors")["embedding"].dtype == torch.bfloat16


def test_a_core_without_teachers(helpers: Any, world: Any, tmp_path: Path) -> None:
    NexusMaker(**helpers.OPTIONS).adopt("", tmp_path)
    student = NexusMaker().load(tmp_path, helpers.Eyes(), [world.profiles["digits"]], name="d", component="eyes")
    assert student.forward(student.collate([helpers.image(1)])).outputs["output"].shape == (1, 3)
    text = NexusMaker().load(tmp_path, helpers.Words("core"), [], name="t", component="words")
    with pytest.raises(NexusError, match="core has no tokenizer"):
        text.collate([helpers.text("x")])
    assert start_of(student.module.core) == 0


def test_a_core_from_a_checkpoint(world: Any, helpers: Any, tmp_path: Path) -> None:
    NexusMaker().adopt(str(world.core / "core"), tmp_path)
    assert core_hash(tmp_path) == core_hash(world.core)
    with pytest.raises(NexusError, match="does not open as a causal language model"):
        NexusMaker().adopt(str(tmp_path / "nothing"), tmp_path / "x")
    with pytest.raises(NexusError, match="does not open"):
        NexusMaker().adopt(f"hub:{tmp_path}/nothing", tmp_path / "x")
    with pytest.raises(NexusError, match="holds no core"):
        core_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rank": 0}, "rank=0"), ({"embeddings": -1}, "embeddings=-1"), ({"how": "magic"}, "how='magic'"),
        ({"layers": (0, 17)}, r"no layers \[17\]"), ({"how": "cross_attention", "layers": (-1,)}, r"no layers \[-1\]"),
    ],
)  # fmt: skip
def test_an_adapter_that_fits_no_core_is_refused(world: Any, helpers: Any, wrong: dict[str, Any], said: str) -> None:
    tower = helpers.Words("core")
    tower.adapter = lambda core, profiles: Adapter(**{"how": "lora", "rank": 2} | wrong)
    with pytest.raises(NexusError, match=f"adapter of the tower component 'words' fits no core: .*{said}"):
        NexusMaker().load(world.core, tower, [], name="x", component="words")


def test_names_that_torch_would_mix_up_stay_apart(world: Any, helpers: Any) -> None:
    student = NexusMaker().load(world.core, helpers.Words("core"), [], name="a.b", component="words")
    first = student.module.tower("a.b")
    for name in ("a-b", "half", "training", "keys"):
        other = NexusMaker().load(world.core, helpers.Words("core"), [], name=name, component="words")
        student.module.attach(name, other.module.tower(name))
        assert student.module.tower(name) is other.module.tower(name)
    assert student.module.tower("a.b") is first


def test_what_does_not_fit_is_said(world: Any, helpers: Any, tmp_path: Path) -> None:
    with pytest.raises(NexusError, match="wants a vocabulary of its own, and no teacher"):
        NexusMaker().load(world.core, helpers.Words("own"), [], name="x", component="words")
    with pytest.raises(NexusError, match="has no `decode` to answer with"):
        NexusMaker().load(world.core, helpers.Eyes(0), [world.profiles["digits"]], name="x", component="eyes")
    with pytest.raises(NexusError, match="holds no tokenizer"):
        TextReader.of(tmp_path)
    with pytest.raises(NexusError, match="holds no tower"):
        tower_folder(tmp_path)
    (tmp_path / "tower.json").write_text("{")
    with pytest.raises(NexusError, match="is not readable"):
        read_spec(tmp_path)
    (tmp_path / "tower.json").write_text('{"schema": "other"}')
    with pytest.raises(NexusError, match="schema 'other'"):
        read_spec(tmp_path)
    with pytest.raises(NexusError, match="No stack of decoder layers"):
        layers_of(torch.nn.Linear(2, 2))


def test_a_core_that_names_programs_runs_none(tmp_path: Path, world: Any) -> None:
    """A model for its tokenizer, a kernel of the hub for its attention, pickled weights."""
    core = Path(shutil.copytree(core_folder(world.core), tmp_path / "core"))
    facts = json.loads((core / "config.json").read_text())
    (core / "config.json").write_text(json.dumps(facts | {"attn_implementation": "acme/kernel"}))
    with pytest.raises(NexusError, match=r"names the program 'acme/kernel' as its attn_implementation"):
        NexusMaker().adopt(str(core), tmp_path / "other")
    with pytest.raises(NexusError, match=r"names the program 'acme/kernel' as its attn_implementation"):
        open_core(core)
    (core / "config.json").write_text(json.dumps(facts))
    (core / "tokenizer_config.json").write_text('{"tokenizer_class": "AutoModelForCausalLM"}')
    with pytest.raises(NexusError, match=r"names 'AutoModelForCausalLM' as its tokenizer_class"):
        NexusMaker().adopt(str(core), tmp_path / "other")
    with pytest.raises(NexusError, match=r"names 'AutoModelForCausalLM' as its tokenizer_class"):
        read_tokenizer(core)
    (core / "tokenizer_config.json").unlink()
    (core / "model.safetensors").unlink()
    torch.save({}, core / "pytorch_model.bin")
    with pytest.raises(NexusError, match="does not open as a causal language model"):
        NexusMaker().adopt(str(core), tmp_path / "other")


def test_a_tower_of_another_core_is_refused(world: Any, helpers: Any, tmp_path: Path) -> None:
    NexusMaker(layers=3, width=32).adopt("", tmp_path)
    from nexus_student.config import NexusConfig

    core = open_core(tmp_path)
    model = NexusModel(NexusConfig(core=core.config), core)
    with pytest.raises(NexusError, match="was made for another core"):
        open_tower(world.folder / "train" / "prose" / "tower", model, world.desk)


def test_a_tower_that_sees_and_answers_in_text(world: Any, helpers: Any) -> None:
    profile = Profile(teacher="x", capability="x", layers=(), blueprint=blueprint(takes=("image", "text")))

    class Reader(helpers.Eyes):
        def adapter(self, core: Any, profiles: Any) -> Adapter:
            return Adapter(how="cross_attention", rank=2)

    student = NexusMaker().load(world.core, Reader(0), [profile], name="ask", component="eyes")
    fields = helpers.image(1).fields | {"text": "what is it?"}
    batch = student.collate([Sample(key="a", fields=fields)])
    signal = student.forward(batch)
    assert signal.hidden.shape[:2] == batch["input_ids"].shape
    assert signal.head is not None


def test_modalities_without_a_component_or_teacher() -> None:
    assert makers.modalities("nobody", []) == (("text",), ("text",))
    assert makers.modalities("nobody", [Profile(teacher="a", capability="a", layers=(), blueprint=blueprint())]) == (
        ("text",), ("text",),
    )  # fmt: skip


def test_an_installed_component_says_what_it_takes() -> None:
    pytest.importorskip("nexus_tower_image")
    assert makers.modalities("image", []) == (("image",), ("label",))


@pytest.mark.parametrize(("memory", "tier"), [(0, 1), (1 << 20, 1), (1 << 40, 3), (0, 9)])
def test_a_proposal_fits(memory: int, tier: int) -> None:
    from nexus_student.sizing import SHARE, whole

    teachers = [
        blueprint(parameters=1_000_000, vocabulary=1000),
        blueprint(parameters=2_000_000, vocabulary=500, tokenizer="1"),
    ]
    found = NexusMaker().propose(teachers, Budget(memory=memory), tier)
    assert whole(found["layers"], found["width"], teachers) <= SHARE * 3_000_000 or found["width"] == 32
    assert found["context"] == 64
    assert NexusMaker().propose([], Budget(), 1)["context"] == 1024


@pytest.mark.parametrize("parameters", [211_402, 86_000_000])
def test_a_core_that_nobody_teaches_leaves_room_for_its_tower(parameters: int) -> None:
    from nexus_student.sizing import body

    sees = blueprint(parameters=parameters, vocabulary=0, takes=("image",), gives=("label",))
    found = NexusMaker().propose([sees], Budget(memory=1 << 40), 1)
    core, tower = body(found["layers"], found["width"]), 0.33 * parameters
    assert core + tower < 0.48 * parameters
    assert core > 0.05 * parameters


def test_an_untied_head(world: Any) -> None:
    from nexus_student.lora import EmbeddingLoRA
    from nexus_student.vocabulary import CoreVocabulary
    from transformers import LlamaConfig, LlamaForCausalLM

    core = LlamaForCausalLM(LlamaConfig(vocab_size=11, hidden_size=8, intermediate_size=8, num_hidden_layers=1,
                                        num_attention_heads=1, tie_word_embeddings=False))  # fmt: skip
    assert not is_tied(core)
    change = EmbeddingLoRA(11, 8, 2, 2.0)
    torch.nn.init.normal_(change.A)
    vocabulary, hidden = CoreVocabulary(core, change), torch.randn(1, 3, 8)
    assert torch.equal(vocabulary.logits(hidden), core.lm_head(hidden))
    assert not torch.equal(vocabulary.embed(torch.tensor([[1]])), CoreVocabulary(core).embed(torch.tensor([[1]])))


def test_batches_of_text_are_cut_at_the_limit(world: Any, helpers: Any) -> None:
    reader = TextReader.of(world.core / "core", limit=4)
    assert text_batch(reader, [helpers.text("abcdefgh")])["input_ids"].shape == (1, 4)
