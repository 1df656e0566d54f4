"""generation_config.json: answers end where it says, and hold what it forces or forbids, as transformers has it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError
from nexus_specs.testing import sample

PROMPT, LONGEST = "abcd", 12


@pytest.fixture
def teller(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Path:
    """A folder of its own, of a model whose answers are not one token again and again."""
    home = tmp_path / "teller"
    shutil.copytree(checkpoint_folder("llama"), home)
    torch.manual_seed(3)
    model = hf.LlamaForCausalLM.from_pretrained(home)
    torch.nn.init.normal_(model.lm_head.weight)
    torch.nn.init.normal_(model.model.embed_tokens.weight)
    model.save_pretrained(home)
    return home


def ours(home: Path) -> str:
    checkpoint = Transformers().open(str(home), Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        answer: str = teacher.generate([sample(prompt=PROMPT, max_new_tokens=LONGEST)])[0]
    return answer


def theirs(home: Path) -> list[int]:
    model, words = hf.LlamaForCausalLM.from_pretrained(home).eval(), hf.AutoTokenizer.from_pretrained(home)
    asked = Transformers().open(str(home), Installed()).collate([sample(text=PROMPT)])
    made = model.generate(
        input_ids=asked["input_ids"], attention_mask=asked["attention_mask"], do_sample=False, num_beams=1,
        max_new_tokens=LONGEST, pad_token_id=words.eos_token_id,
    )  # fmt: skip
    found: list[int] = made[0, asked["input_ids"].shape[1] :].tolist()
    return found


def told(home: Path, **values: Any) -> None:
    (home / "generation_config.json").write_text(json.dumps(values))


def test_what_the_file_says_is_kept_to(teller: Path) -> None:
    words = hf.AutoTokenizer.from_pretrained(teller)
    told(teller)
    plain = theirs(teller)
    assert len(set(plain)) > 3
    assert ours(teller) == words.decode(plain, skip_special_tokens=True)
    for values in (
        {"eos_token_id": [1, plain[4]]}, {"suppress_tokens": [plain[0]]}, {"begin_suppress_tokens": [plain[0]]},
        {"bad_words_ids": [[plain[1]]]}, {"min_new_tokens": 4, "eos_token_id": plain[1]},
    ):  # fmt: skip
        told(teller, **values)
        expected = theirs(teller)
        assert expected != plain, values
        assert ours(teller) == words.decode(expected, skip_special_tokens=True), values


def test_answers_are_greedy_whatever_the_file_says(teller: Path) -> None:
    """Sampling, beams and caches are how an answer is searched for, and not what the checkpoint means."""
    told(teller)
    plain = ours(teller)
    told(teller, do_sample=True, temperature=9.0, num_beams=3, cache_implementation="quantized", max_length=5)
    assert ours(teller) == plain


def test_a_string_may_end_an_answer(teller: Path) -> None:
    told(teller)
    plain = ours(teller)
    told(teller, stop_strings=[plain[2:4]])
    assert ours(teller) == plain[:4]


@pytest.mark.parametrize("values", [
    {"repetition_penalty": "x"}, {"suppress_tokens": 5}, {"eos_token_id": "x"}, {"stop_strings": [1]},
    {"stop_strings": True}, {"forced_eos_token_id": {}}, {"encoder_no_repeat_ngram_size": 1 << 40},
])  # fmt: skip
def test_a_file_of_nonsense_is_named(values: dict[str, Any], teller: Path) -> None:
    told(teller, **values)
    with pytest.raises(NexusError, match=r"teller|cannot answer"):
        ours(teller)
