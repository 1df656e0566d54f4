"""A prompt is what the tokenizer's files say, as transformers' `generate` is given it; observed texts have a start."""

from __future__ import annotations

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
from nexus_torch.hugging_face.outputs.answering import following, written
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

TEMPLATE = (
    "{% for m in messages %}<{{ m['role'] }}>{{ m['content'] }}{% endfor %}{% if add_generation_prompt %}<a>{% endif %}"
)
PROMPT, LONGEST = "abcd", 8


@pytest.fixture
def qwen(tmp_path: Path, words: Callable[[], hf.PreTrainedTokenizerFast]) -> Path:
    """Of a tokenizer that puts nothing before a text and ends a turn with its only special token."""
    home, made = tmp_path / "qwen", words()
    made.bos_token, made.chat_template = None, TEMPLATE
    torch.manual_seed(0)
    config = hf.Qwen2Config(
        vocab_size=300, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        intermediate_size=48, max_position_embeddings=40, initializer_range=0.5, eos_token_id=1, bos_token_id=None,
    )  # fmt: skip
    hf.Qwen2ForCausalLM(config).save_pretrained(home)
    made.save_pretrained(home)
    return home


def ours(home: Path, **fields: Any) -> str:
    checkpoint = Transformers().open(str(home), Installed())
    with Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher:
        answer: str = teacher.generate([sample(max_new_tokens=LONGEST, **fields)])[0]
    return answer


def theirs(home: Path, ids: list[int]) -> str:
    model, words = hf.Qwen2ForCausalLM.from_pretrained(home).eval(), hf.AutoTokenizer.from_pretrained(home)
    made = model.generate(torch.tensor([ids]), do_sample=False, max_new_tokens=LONGEST, pad_token_id=1)
    return str(words.decode(made[0, len(ids) :], skip_special_tokens=True))


def test_nothing_stands_before_a_prompt_that_the_tokenizer_does_not_put_there(qwen: Path) -> None:
    words = hf.AutoTokenizer.from_pretrained(qwen)
    plain = theirs(qwen, words(PROMPT)["input_ids"])
    assert plain != theirs(qwen, [1, *words(PROMPT)["input_ids"]])
    assert ours(qwen, prompt=PROMPT) == ours(qwen, text=PROMPT) == plain
    turns = [{"role": "user", "content": PROMPT}]
    chat = words.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ours(qwen, messages=turns) == theirs(qwen, list(chat))
    observed = Transformers().open(str(qwen), Installed()).collate([sample(text=PROMPT)])
    assert observed["input_ids"][0].tolist() == [1, *words(PROMPT)["input_ids"]]


def test_a_template_keeps_its_own_start_token(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    home = tmp_path / "llama"
    shutil.copytree(checkpoint_folder("llama"), home)
    (home / "chat_template.jinja").write_text("{{ bos_token }}" + TEMPLATE)
    assert ours(home, messages=PROMPT) == ours(home, prompt=f"<s><user>{PROMPT}<a>")


def test_of_a_long_prompt_the_end_is_answered_and_that_is_said(qwen: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = hf.AutoTokenizer.from_pretrained(qwen)
    long = " ".join(f"word {number}" for number in range(40)) + " what?"
    ids = words(long)["input_ids"]
    assert len(ids) > 40
    answer = ours(qwen, prompt=long)
    said = capsys.readouterr().err
    assert "has 40 places, and the prompt" in said
    assert "its last 32 are answered" in said
    assert answer == theirs(qwen, ids[-32:])
    assert ours(qwen, prompt=long) == answer
    said = capsys.readouterr().err
    assert "places" not in said, "once"


@pytest.mark.parametrize("longest", ["x", 0, -1, [3]])
def test_what_is_no_number_of_tokens_is_said(longest: Any, qwen: Path) -> None:
    checkpoint = Transformers().open(str(qwen), Installed())
    with (
        Installed().make("engine", "sli").load(checkpoint, Budget(residency="resident")) as teacher,
        pytest.raises(NexusError, match="a whole number from 1 on"),
    ):
        teacher.generate([sample(prompt=PROMPT, max_new_tokens=longest)])


def test_an_answer_ends_before_what_its_sample_says(qwen: Path) -> None:
    plain = ours(qwen, prompt=PROMPT)
    assert ours(qwen, prompt=PROMPT, stop=plain[3:5]) == plain[: plain.index(plain[3:5])]
    assert ours(qwen, prompt=PROMPT, stop=["never said", plain[2]]) == plain[: plain.index(plain[2])]
    with pytest.raises(NexusError, match="stop of sample"):
        ours(qwen, prompt=PROMPT, stop=5)


def test_an_answer_keeps_the_spaces_that_it_begins_with() -> None:
    """A decoder like Llama's takes one away where a text begins: of a function's body that would be an error."""
    inner = Tokenizer(models.WordLevel({"\u2581f:": 0, "\u2581\u2581return": 1, "\u2581x": 2}, "x"))
    inner.pre_tokenizer = pre_tokenizers.Metaspace()
    inner.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    words = hf.PreTrainedTokenizerFast(tokenizer_object=inner)
    assert written(words, [1, 2]) == " return x"
    assert following(words, [0], [1, 2]) == "  return x"
    assert following(words, [], [1, 2]) == " return x"
