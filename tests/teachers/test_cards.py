"""The registry's cards of known teachers: complete, unique, checked, and harmless."""

import json
import re
from pathlib import Path

import pytest
from nexus_specs import NexusError
from teachers import COLUMNS
from tiny_teachers.rows import by_name

from nexus_host.__main__ import run
from nexus_host.discovery import Plugins
from nexus_host.registry import Registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "teachers.md"
FIELDS = {"summary", "source", "aliases", "status", "modality", "capability", "parameters", "tower", "metric", "share",
          "licence", "datasets", "tier"}  # fmt: skip
JUDGES = {
    "bits_per_byte": {"text"}, "choice_accuracy": {"answer", "label"}, "number_match": {"answer"},
    "choice_likelihood": {"answer", "label"}, "vqa_accuracy": {"answers"},
    "exact_match": {"answer"}, "pass_at_1": {"tests"}, "chrf": {"answer"}, "word_error_rate": {"answer"},
    "knn_accuracy": {"label"}, "zero_shot_accuracy": {"label"}, "variance_explained": {"text"},
    "signal_to_distortion": {"audio"}, "speaker_similarity": {"audio"}, "clip_score": {"text"},
    "frechet_distance": {"image", "video"},
}  # fmt: skip
"""Metric -> fields of a sample of which it needs one."""
TAKEN = {"language": {"text"}, "activations": {"text"}, "vision-language": {"image"}, "vision": {"image"},
         "video": {"video"}, "omni": {"image", "audio", "video"}, "audio": {"audio"}, "speech": {"text", "audio"},
         "image-generation": {"text"}, "video-generation": {"video"}}  # fmt: skip
"""Modality of a card -> fields of a sample of which it takes one."""
NAMED = {
    "agent": "openbmb/AgentCPM-Explore",
    "reasoning": "zai-org/GLM-4.7-Flash",
    "features": "google/gemma-scope-2-27b-pt",
    "vision_main": "stepfun-ai/Step3-VL-10B",
    "vision_encoder": "google/siglip2-so400m-patch16-512",
    "video_main": "MCG-NJU/videomae-large",
    "asr": "nvidia/parakeet-tdt-0.6b-v3",
    "asr_long": "microsoft/VibeVoice-ASR-HF",
    "dialogue": "nvidia/personaplex-7b-v1",
    "tts_custom": "Qwen/Qwen3-TTS-12Hz-1.7B-CustomVoice",
    "tts_design": "Qwen/Qwen3-TTS-12Hz-1.7B-VoiceDesign",
    "audio_tokenizer": "Qwen/Qwen3-TTS-Tokenizer-12Hz",
    "image_generation": "stabilityai/stable-diffusion-3-medium-diffusers",
    "video_generation": "stabilityai/stable-video-diffusion-img2vid-xt-1-1",
    "frontier": "deepseek-ai/DeepSeek-V3",
    "reasoning_large": "deepseek-ai/DeepSeek-R1-Distill-Llama-70B",
    "omni": "Qwen/Qwen3-Omni-30B-A3B-Instruct",
    "coder": "Qwen/Qwen2.5-Coder-7B-Instruct",
    "language": "Qwen/Qwen2.5-0.5B",
    "translation": "google/translategemma-4b-it",
    "chat": "zai-org/GLM-4-9B-0414",
    "vision_small": "openbmb/MiniCPM-V-4.6",
    "vision_llama": "meta-llama/Llama-3.2-11B-Vision-Instruct",
    "whisper": "openai/whisper-large-v3",
    "smollm": "HuggingFaceTB/SmolLM3-3B",
    "codec_mimi": "kyutai/mimi",
    "encodec": "facebook/encodec_24khz",
    "dac": "descript/dac_44khz",
}
"""What people type -> where it is."""


SPOKEN = (
    "AgentCPM-Explore", "GLM-4.7-Flash", "gemma-scope-2-27b-pt", "Step3-VL-10B", "siglip2-so400m-patch16-512",
    "videomae-large", "parakeet-tdt-0.6b-v3", "VibeVoice-ASR", "personaplex-7b-v1", "Qwen3-TTS", "SVD-XT-1-1",
    "stable-diffusion-3-medium", "DeepSeek-V3", "DeepSeek-R1-Distill-Llama-70B", "Qwen3-Omni-30B-A3B",
    "Qwen2.5-Coder-7B-Instruct", "Qwen2.5-0.5B", "translategemma-4b-it", "GLM-4", "MiniCPM-V", "Llama-3.2-Vision",
    "Whisper", "SmolLM", "Mimi", "EnCodec", "DAC",
)  # fmt: skip
"""The names that the teachers go by."""
TYPED = {
    "logic_heavy": "glm-4-7-flash", "reasoning_core": "agentcpm-explore", "vision_enc": "siglip2-so400m",
    "video_enc": "videomae-large", "asr_fast": "parakeet-tdt-0-6b", "omni_speech": "personaplex-7b",
    "image_gen": "stable-diffusion-3-medium", "svd": "svd-xt-1-1", "sd3": "stable-diffusion-3-medium",
    "tts": "qwen3-tts-custom-voice", "codec": "qwen3-tts-tokenizer", "math": "deepseek-r1-distill-llama-70b",
    "vision-main": "step3-vl-10b", "Audio_Tokenizer": "qwen3-tts-tokenizer", "WHISPER": "whisper-large-v3",
    "Qwen2.5-Coder-7B-Instruct": "qwen2-5-coder-7b", "openai/whisper-large-v3": "whisper-large-v3",
    "GLM-4-9B-0414": "glm-4-9b", "Qwen3-Omni-30B-A3B-Instruct": "qwen3-omni",
    "Llama-3.2-11B-Vision-Instruct": "llama-3-2-vision", "SmolLM3-3B": "smollm3-3b",
    "stable-video-diffusion-img2vid-xt-1-1": "svd-xt-1-1", "digits": "digits",
}  # fmt: skip
"""What people type, in whatever spelling -> the id of the card."""
COUNT = re.compile(r"\d+(\.\d+)?[KMB]( to \d+(\.\d+)?[KMB])?")


def table(text):
    """The cells of the rows of a page's table."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_every_name_is_an_id_or_an_alias(known):
    names = {each.lower() for name, card in known.items() for each in (name, *card["aliases"])}
    assert not [name for name in SPOKEN if name.lower() not in names]


def test_what_a_card_says_is_a_value_or_that_it_could_not_be_confirmed(known):
    for name, card in known.items():
        assert COUNT.fullmatch(str(card["parameters"])), name
        assert card["licence"], name
        assert "card" not in card["licence"], f"{name}: a licence, or that it is not confirmed"


def test_the_list_says_which_way_each_metric_goes(known, capsys):
    assert run(["list", "teachers", "--registry", str(ROOT / "registry.yaml"), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert {name: rows[name]["metric"] for name in known} == {name: name_of(known[name]["metric"]) for name in known}
    assert {rows[name]["better"] for name in known} == {"higher", "lower"}
    assert rows["whisper-large-v3"]["better"] == rows["qwen2-5-0-5b"]["better"] == "lower"
    assert rows["qwen2-5-coder-7b"]["installed"]
    assert not rows["mimi"]["installed"]


def test_installed_means_a_tower_that_can_learn_what_the_teacher_gives(known, capsys):
    """docs/teachers.md has what each teacher gives and takes, as its loader said it."""
    assert run(["list", "teachers", "--registry", str(ROOT / "registry.yaml"), "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    towers = Plugins.discover().components("tower")
    said = {row[0]: row for row in table(PAGE.read_text(encoding="utf-8"))}
    takes, gives = COLUMNS.index("takes"), COLUMNS.index("gives")
    for name in known:
        tower = towers.get(rows[name]["component"])
        fits = tower and set(tower.takes) & set(said[name][takes].split(", ")) and (
            set(tower.gives) & set(said[name][gives].split(", "))
        )  # fmt: skip
        assert rows[name]["installed"] == bool(fits), f"{name}: {rows[name]['component']}"


def test_a_card_whose_tower_is_still_to_come_is_refused_with_its_place_and_a_way_out(registry, known, tmp_path):
    plugins = Plugins.discover()
    text = (ROOT / "registry.yaml").read_text(encoding="utf-8")
    lines = text.splitlines()
    towers = plugins.components("tower")
    waiting = [name for name in known if registry["towers"][known[name]["tower"]]["component"] not in towers]
    assert len(waiting) > len(known) / 2
    for name in waiting:
        at = next(place for place in range(lines.index(f"  {name}:"), len(lines)) if "status:" in lines[place])
        path = tmp_path / "registry.yaml"
        path.write_text("\n".join([*lines[:at], "    status: ready", *lines[at + 1 :]]) + "\n")
        tower = known[name]["tower"]
        line = 1 + next(place for place, each in enumerate(lines) if each.startswith(f"  {tower}: {{component: "))
        with pytest.raises(NexusError) as caught:
            Registry.load(path, plugins)
        said = str(caught.value)
        assert f"registry.yaml:{line}:" in said, name
        assert f"towers.{tower}.component: No tower is named '{registry['towers'][tower]['component']}'." in said
        assert "Available: audio, image, text, video. Install the plugin that brings it" in said
        assert f"`nexus new-plugin tower NAME`. `status: available` keeps what learns from it out of a run until " \
               f"then: {name}." in said  # fmt: skip


@pytest.fixture(scope="module")
def ready(registry, tmp_path_factory):
    """The registry with every card made ready, without its data."""
    every = {name: {**card, "status": "ready"} for name, card in registry["teachers"].items()}
    path = tmp_path_factory.mktemp("ready") / "registry.yaml"
    path.write_text(json.dumps({**registry, "teachers": every}))
    return path


@pytest.mark.parametrize("typed", TYPED)
def test_what_people_type_means_a_card(typed, ready):
    registry = Registry.load(ready, Plugins.discover(), strict=False)
    assert registry.select(models=[typed]).selected == (TYPED[typed],)


def test_a_card_that_waits_says_under_which_name():
    registry = Registry.load(ROOT / "registry.yaml", Plugins.discover())
    with pytest.raises(NexusError, match=r"'coder' \(qwen2-5-coder-7b\) is available; write `status: ready`"):
        registry.select(models=["coder"])
    with pytest.raises(NexusError, match="Did you mean 'coder'"):
        registry.select(models=["codder"])


def test_programs_of_a_model_are_allowed_before_anything_runs(registry, tmp_path):
    """pass@1 runs what a model wrote: made ready without a word about that, the card is refused with its place."""
    card = {**registry["teachers"]["qwen2-5-coder-7b"], "status": "ready"}
    found = {**registry, "teachers": {**registry["teachers"], "qwen2-5-coder-7b": card}}
    path = tmp_path / "registry.yaml"
    path.write_text(json.dumps(found, indent=1))
    with pytest.raises(NexusError, match=r"qwen2-5-coder-7b\.metric\.options\.run: is missing.*Write true where"):
        Registry.load(path, Plugins.discover())
    card["metric"] = {"name": "pass_at_1", "options": {"run": True}}
    path.write_text(json.dumps(found, indent=1))
    assert "qwen2-5-coder-7b" in Registry.load(path, Plugins.discover()).selected


def test_every_named_teacher_has_a_card_under_its_short_name(known):
    sources = {alias: card["source"] for card in known.values() for alias in card["aliases"]}
    assert {alias: sources.get(alias) for alias in NAMED} == NAMED
    assert len(known) == len(NAMED)


def test_cards_are_complete(known, registry):
    for name, card in known.items():
        assert set(card) >= FIELDS, f"{name} lacks {sorted(FIELDS - set(card))}"
        assert card["share"] == 0.95
        assert card["tower"] in registry["towers"]
        assert "data" not in card, "what a user chooses when the teacher is made ready"


def test_names_and_aliases_are_unique(registry):
    names = [name for key, card in registry["teachers"].items() for name in (key, *card.get("aliases", ()))]
    assert len(names) == len(set(names))


def test_every_card_has_a_tiny_teacher_and_the_other_way_round(known):
    assert set(known) == {name for name, tiny in by_name().items() if tiny.card}
    for name, card in known.items():
        assert by_name()[name].stands_for.startswith(card["source"])


def test_what_is_only_available_is_listed_and_never_runs(known):
    registry = Registry.load(ROOT / "registry.yaml", Plugins.discover())
    assert not set(known) & set(registry.selected)
    assert not {card["tower"] for card in known.values()} & set(registry.towers)
    assert registry.card("teacher", "qwen2-5-coder-7b")["status"] == "available"


def test_their_metrics_and_options_are_installed(known):
    plugins = Plugins.discover()
    for name, card in known.items():
        metric = card["metric"] if isinstance(card["metric"], dict) else {"name": card["metric"], "options": {}}
        asked = {"run"} if metric["name"] == "pass_at_1" else set()  # which only the user can allow
        problems = plugins.option_problems("metric", metric["name"], metric["options"])
        assert {option for option, _ in problems} == asked, name


def test_their_data_sets_are_in_the_catalogue(known):
    catalogue = {row["name"] for row in Plugins.discover().catalogue("dataset")}
    lost = {name: set(card["datasets"]) - catalogue for name, card in known.items()}
    assert not {name: each for name, each in lost.items() if each}


def name_of(metric):
    return metric["name"] if isinstance(metric, dict) else metric


def test_their_data_sets_have_what_teacher_and_metric_need(known):
    columns = {row["name"]: set(row["columns"]) for row in Plugins.discover().catalogue("dataset")}
    for name, card in known.items():
        for data in card["datasets"]:
            assert columns[data] & JUDGES[name_of(card["metric"])], f"{name}: {data} has nothing to judge by"
            assert columns[data] & TAKEN[card["modality"]], f"{name}: {data} has nothing that the teacher takes"


def test_an_answer_is_asked_for_without_itself():
    """What a model is asked must not hold what it is to say."""
    for row in Plugins.discover().catalogue("dataset"):
        columns = row["options"]["columns"] if "options" in row and "columns" in row["options"] else {}
        asked, right = columns.get("prompt", columns.get("text", "")), columns.get("answer", "")
        if right and set(columns) & {"text"} and not set(columns) & {"image", "audio", "video"}:
            assert right.strip("{}") not in asked.replace("{", " ").replace("}", " ").split(), row["name"]


def test_the_starters_copy_is_the_same():
    copy = ROOT / "plugins" / "nexus-starter" / "nexus_starter" / "registry.yaml"
    assert copy.read_bytes() == (ROOT / "registry.yaml").read_bytes()
