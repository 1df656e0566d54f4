"""The model cards: what a teacher is, what it saw, and the score that was measured."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from string import Template

from transformers import AutoConfig

from ..places import TEACHERS
from . import perception, text
from .scores import Score

CARD = Template("""\
---
license: $licence
library_name: transformers
pipeline_tag: $task
---

# $name: $title

$what

| | |
|---|---|
| class | `$architecture`, $parameters parameters, bfloat16 |
| held-out | **$score $metric** (must reach $required), measured in float32 |
| reproduce the number | `python -m nexus_starter.train --score --only $name` |
| make it again | `python -m nexus_starter.train --only $name` ($steps steps, one CPU core) |

## Data

$data

## Limits

A small teacher for a first run of Nexus and for its tests, of no other use. $limits
""")


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a card says beside the numbers."""

    title: str
    what: str
    data: str
    limits: str
    task: str
    licence: str = "other\nlicense_name: psf-2.0"


TEXT_SCORE = "Every window is scored alone behind the bos token: all its bits over all its bytes."
FACTS = {
    "prose": Facts(
        title="the language reference of Python",
        task="text-generation",
        what="A Qwen3 decoder with a byte-level BPE of its own. " + TEXT_SCORE,
        data="CPython 3.13.0: the topics of `pydoc_data.topics`, and to learn more English from, the docstrings of the "
        "standard library. Held-out and development are whole topics; topics that share text stand in one part. "
        "A topic that is a section of another is left out, and so are docstrings that share a long line with either. "
        "The transfer part is 60 % of what the teacher saw.",
        limits="It knows the manner of a reference manual and no facts one should rely on.",
    ),
    "code": Facts(
        title="the standard library of Python",
        task="text-generation",
        what="A Llama decoder with a tokenizer that is not prose's. " + TEXT_SCORE,
        data="2.6 MB of CPython 3.13.0's standard library, split by file; the transfer part is 38 % of what the "
        "teacher saw.",
        limits="It writes text that looks like Python.",
    ),
    "digits": Facts(
        title="handwritten digits",
        task="image-classification",
        licence="cc-by-4.0",
        what="A ViT for 8 x 8 images of the digits 0 to 9.",
        data="scikit-learn's digits (UCI, Optical Recognition of Handwritten Digits, CC BY 4.0): 1017 images for the "
        "teacher, 800 of them are the transfer part (80 keep their label), 300 development, 480 held-out.",
        limits="It knows nothing but these digits in this size.",
    ),
    "tones": Facts(
        title="telephone keypad tones in noise",
        task="audio-classification",
        licence="mit",
        what="An audio spectrogram transformer that names one of a telephone's 16 keys (DTMF) from 255 ms at 16 kHz.",
        data="Generated (`nexus_starter.tones`): tones of 60 to 150 ms, detuned, of unequal loudness, in white noise "
        "at signal-to-noise ratios from $low to $high dB. $clips clips for the teacher, other seeds for every other "
        "part; 2000 held-out clips.",
        limits="At the lowest ratios nobody could always tell the key.",
    ),
    "motion": Facts(
        title="the motion of a digit",
        task="video-classification",
        licence="cc-by-4.0",
        what="A VideoMAE encoder that names one of 13 motions (still, eight directions, two turns, grow, shrink) "
        "from 8 frames.",
        data="Generated (`nexus_starter.motion`) from scikit-learn's digits, disjoint by part: 16 x 16 pixels, "
        "wobbling, noisy. $clips films for the teacher, other seeds for every other part; 2000 held-out films.",
        limits="Slow motions under strong noise look still.",
    ),
}


def write_card(score: Score) -> None:
    """Write the card of a saved teacher with the score that was just measured."""
    facts, folder = FACTS[score.name], TEACHERS / score.name
    config = AutoConfig.from_pretrained(folder)
    card = CARD.substitute(
        asdict(facts),
        name=score.name,
        data=Template(facts.data).safe_substitute(figures(score.name)),
        architecture=config.architectures[0],
        parameters=f"{parameters(score.name):,}",
        steps=recipe(score.name).pace.steps,
        score=f"{score.value:.3f}",
        metric=score.metric,
        required=score.required,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")


def recipe(name: str) -> perception.PerceptionRecipe | text.TextRecipe:
    """How a teacher was made."""
    return perception.RECIPES[name] if name in perception.RECIPES else text.RECIPES[name]


def figures(name: str) -> dict[str, str]:
    """What the cards of generated data quote from the generators."""
    from .. import tones

    return {"low": f"{min(tones.SNRS):g}", "high": f"{max(tones.SNRS):g}", "clips": f"{perception.POOL.get(name, 0):,}"}


def parameters(name: str) -> int:
    """The parameters that are stored; a tied head is stored once."""
    from safetensors import safe_open

    with safe_open(TEACHERS / name / "model.safetensors", "np") as stored:
        shapes = [stored.get_slice(key).get_shape() for key in stored.keys()]  # noqa: SIM118 - no mapping
    return sum(math.prod(shape) for shape in shapes)
