"""The registry's cards of known teachers: metrics and benchmarks are those by which their fields compare models."""

import re

import pytest

from nexus_host.discovery import Plugins

PRACTICE = {
    "general language": ("bits_per_byte", {"wikitext-2"}),
    "compact language": ("choice_likelihood", {"mmlu", "arc-challenge", "hellaswag"}),
    "dialogue in text": ("choice_likelihood", {"mmlu"}),
    "knowledge": ("choice_likelihood", {"mmlu"}),
    "reasoning": ("number_match", {"gsm8k"}),
    "mathematics": ("number_match", {"gsm8k"}),
    "programming": ("pass_at_1", {"humaneval", "mbpp"}),
    "agent": ("exact_match", {"gaia"}),
    "translation": ("chrf", {"wmt24pp"}),
    "sparse features": ("variance_explained", {"pile-10k"}),
    "visual reasoning": ("choice_accuracy", {"mmmu"}),
    "visual questions": ("vqa_accuracy", {"vqav2"}),
    "visual understanding": ("vqa_accuracy", {"vqav2"}),
    "any media to text": ("choice_accuracy", {"mmmu"}),
    "image recognition": ("zero_shot_accuracy", {"cifar-10"}),
    "video recognition": ("knn_accuracy", {"kinetics-400"}),
    "speech recognition": ("word_error_rate", {"librispeech", "fleurs"}),
    "multilingual speech recognition": ("word_error_rate", {"librispeech", "fleurs"}),
    "long speech recognition": ("word_error_rate", {"librispeech"}),
    "spoken dialogue": ("speaker_similarity", {"librispeech"}),
    "speech synthesis": ("speaker_similarity", {"libritts"}),
    "voice design": ("speaker_similarity", {"libritts"}),
    "speech codes": ("signal_to_distortion", {"libritts"}),
    "streaming speech codes": ("signal_to_distortion", {"libritts"}),
    "sound codes": ("signal_to_distortion", {"libritts"}),
    "full-band audio codes": ("signal_to_distortion", {"vctk"}),
    "image generation": ("clip_score", {"coco-captions"}),
    "video generation": ("frechet_distance", {"ucf101"}),
}
"""Capability -> the metric and the data by which its field compares models."""
CONFIRMED = {"agentcpm-explore": "Apache-2.0", "gemma-scope-2-27b": "CC-BY-4.0", "glm-4-7-flash": "MIT",
             "videomae-large": "CC-BY-NC-4.0", "personaplex-7b": "NVIDIA Open Model License"}  # fmt: skip
"""Licences that were read on the hub's own pages."""


@pytest.fixture(scope="module")
def catalogue():
    return {row["name"]: row for row in Plugins.discover().catalogue("dataset")}


def name_of(metric):
    return metric["name"] if isinstance(metric, dict) else metric


def test_each_is_measured_as_its_field_measures(known):
    found = {card["capability"]: (name_of(card["metric"]), set(card["datasets"])) for card in known.values()}
    assert set(found) == set(PRACTICE), "a capability without a practice, or two cards of one capability"
    for capability, (metric, data) in PRACTICE.items():
        assert found[capability][0] == metric, capability
        assert found[capability][1] >= data, capability


def test_bits_per_byte_are_taken_on_texts_that_go_on(known, catalogue):
    for name, card in known.items():
        if name_of(card["metric"]) == "bits_per_byte":
            assert not any(
                set(catalogue[data]["columns"]) & {"answer", "choices", "prompt"} for data in card["datasets"]
            ), name


def test_the_catalogue_tells_all_about_the_data_sets_that_the_cards_name(known, catalogue):
    for data in {data for card in known.values() for data in card["datasets"]}:
        row = catalogue[data]
        assert "/" in row["id"], data
        assert row["splits"], data
        assert row["columns"], data
        assert set(row["tags"]) & {"benchmark", "transfer"}, data
        assert row["licence"], data
        assert re.search(r"\d", row["size"]), data


def test_licences_are_those_of_the_hubs_pages(known):
    assert {name: known[name]["licence"] for name in CONFIRMED} == CONFIRMED
