"""Memory of towers and texts: each runs with states of its own, and words are there when they are looked up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from nexus_engine_sli.planning.apart import apart, behind
from nexus_engine_sli.planning.layerwise import layerwise
from nexus_specs import Blueprint, Budget, Outside

MB = 10**6


def test_a_tower_and_a_text_are_told_apart(drawing: Blueprint) -> None:
    text, tower = drawing.stacks
    both = replace(drawing, stacks=(text, replace(tower, sees=True)), seen=9, places=4, gives=("text",))
    reading, seeing = apart(both)
    assert (reading.stacks, reading.seen, reading.places) == ((text,), 0, 4)
    assert (seeing.stacks, seeing.seen, seeing.places) == (both.stacks[1:], 9, 0)
    assert apart(replace(both, seen=0)) == [replace(both, seen=0)], "no sample has a picture"
    assert apart(drawing) == [drawing]


def test_layers_that_hold_less_than_their_stack_are_told_apart(drawing: Blueprint, stack: Any) -> None:
    """The stages of a Swin: the first has the most states, the third the most weights."""
    stages = stack("stages", 3 * MB, 360 * MB, 154 * MB)
    held = {"": (1, 2), "stages": (64, 128), "stages.1": (21, 42), "stages.2": (12, 24)}
    narrowing = replace(drawing, stacks=(stages, stack("neck", 5 * MB)), held=held, takes=("image",), vocabulary=0)
    each = [(*piece.held.items(), behind(narrowing, piece.stacks[0])) for piece in apart(narrowing)]
    assert each == [(("stages.0", (64, 128)), 720 * MB), (("stages.1", (21, 42)), 308 * MB),
                    (("stages.2", (12, 24)), 10 * MB)]  # fmt: skip
    alike = replace(narrowing, held={"": (1, 2), "stages": (64, 128)})
    assert [(piece.stacks, behind(alike, piece.stacks[0])) for piece in apart(alike)] == [((stages,), 720 * MB)]


def test_words_that_come_behind_a_tower_are_not_there_while_it_runs(drawing: Blueprint, stack: Any) -> None:
    """A BLIP's table stays once it is there, since it is the head: 220 MB predicted, 167 measured. An InternVL's is
    looked up first."""
    tower, text = stack("tower", 20 * MB, 20 * MB), stack("text", 8 * MB, 8 * MB)
    budget = Budget(memory=1 << 40, precision="bfloat16", residency="stream", micro_batch=1)

    def memory(before: int) -> int:
        words = (Outside(path="words", parameters=50 * MB, behind=before, shared=True),)
        seeing = replace(drawing, stacks=(replace(tower, sees=True), text), gives=("text",), takes=("image", "text"),
                         vocabulary=1000, parameters=106 * MB, bytes=212 * MB, outside=words,
                         held={"": (1, 2), "tower": (200 * MB, 400 * MB), "text": (MB, 2 * MB)})  # fmt: skip
        assert behind(seeing, seeing.stacks[0]) == (100 * MB if before else 40 * MB)
        assert [each.held for each in apart(seeing)][1:] == [{"text": (MB, 2 * MB)}, {"": (0, 0)}]
        return layerwise(seeing, budget, tokens=8.0)

    assert memory(0) - memory(1) == 100 * MB
