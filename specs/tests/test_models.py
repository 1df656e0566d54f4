"""Blueprints, stacks, and what a tap names."""

from nexus_specs import SPECIAL_TAPS, Stack, Unit, is_output
from nexus_specs.testing import blueprint

SMALL = Stack(path="vision.layers", count=1, widths=(8,), layer_bytes=(64,))


def test_layers_are_module_paths():
    assert blueprint().stacks[0].layers == ("model.layers.0", "model.layers.1")


def test_largest_stack_has_the_most_bytes():
    both = blueprint(stacks=(SMALL, *blueprint().stacks))
    assert both.largest_stack.path == "model.layers"


def test_a_checkpoint_without_weights_says_so():
    assert not blueprint().weightless
    assert not blueprint(missing=("tokenizer.json",)).weightless
    assert blueprint(missing=("tokenizer.json", "weights of model.layers.1")).weightless


def test_a_tap_is_an_output_or_a_module():
    assert all(map(is_output, (*SPECIAL_TAPS, "embedding", "prediction")))
    assert not any(map(is_output, ("lm_head", "model.layers.0", "")))


def test_unit_is_named_by_stage_and_subject():
    assert Unit(stage="train", subject="prose", fingerprint="0").name == "train/prose"
