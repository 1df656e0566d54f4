"""Conversations by the template of the tokenizer, which is a stranger's program."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers as hf
from nexus_arch_transformers.architecture import Transformers
from nexus_specs import Budget, Installed, NexusError
from nexus_specs.testing import sample
from nexus_torch.hugging_face.text import chatting

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TURNS = [{"role": "user", "content": "abc"}, {"role": "assistant", "content": "de"}, {"role": "user", "content": "f"}]


@pytest.fixture
def chatter(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """A folder of its own, with a chat template."""

    def make(template: str) -> Path:
        home = tmp_path / "chatter"
        shutil.copytree(checkpoint_folder("llama"), home)
        (home / "chat_template.jinja").write_text(template)
        return home

    return make


def test_messages_are_written_as_the_template_says(chatter: Callable[[str], Path]) -> None:
    """As transformers' own `apply_chat_template` makes tokens of them: one start token, and an answer asked for."""
    home = chatter(TEMPLATE)
    checkpoint, words = Transformers().open(str(home), Installed()), hf.AutoTokenizer.from_pretrained(home)
    for turns in (TURNS, TURNS[:2]):
        ask = turns[-1]["role"] == "user"
        expected = words.apply_chat_template(turns, add_generation_prompt=ask, return_dict=True)["input_ids"]
        for given in (turns, json.dumps(turns)):
            assert checkpoint.collate([sample(messages=given)])["input_ids"][0].tolist() == list(expected)
    one = checkpoint.collate([sample(messages="[a] question")])["input_ids"][0].tolist()
    assert words.decode(one) == "<s>[user][a] question[assistant]"


def test_an_answer_follows_the_conversation(chatter: Callable[[str], Path]) -> None:
    home = chatter(TEMPLATE)
    words = hf.AutoTokenizer.from_pretrained(home)
    written = words.apply_chat_template(TURNS, tokenize=False, add_generation_prompt=True).removeprefix("<s>")
    with Installed().make("engine", "sli").load(Transformers().open(str(home), Installed()), Budget()) as teacher:
        fields = ({"messages": TURNS}, {"prompt": written}, {"messages": TURNS, "text": "learned from"})
        chat, plain, beside = teacher.generate([sample(**each, max_new_tokens=4) for each in fields])
    assert chat == plain == beside


def test_text_of_its_own_counts_before_messages(chatter: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(chatter(TEMPLATE)), Installed())
    one, other = (checkpoint.collate([sample(**fields)]) for fields in ({"text": "ab", "messages": TURNS},
                                                                        {"text": "ab"}))  # fmt: skip
    assert one["input_ids"].tolist() == other["input_ids"].tolist()


@pytest.mark.parametrize("messages", [[], [1], [{"role": "user"}], 7])
def test_what_is_no_conversation_is_said(messages: Any, chatter: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(chatter(TEMPLATE)), Installed())
    with pytest.raises(NexusError, match="are no conversation: a list of"):
        checkpoint.collate([sample(messages=messages)])


def test_without_a_template_there_is_a_way_out(checkpoint_folder: Callable[[str], Path]) -> None:
    checkpoint = Transformers().open(str(checkpoint_folder("llama")), Installed())
    with pytest.raises(NexusError, match=r"has no chat template.*`text` or `prompt` instead of `messages`"):
        checkpoint.collate([sample(messages=TURNS)])


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ raise_exception('no system turn') }}", "refuses the messages .*no system turn"),
        ("{{ messages.__class__.__mro__[1].__subclasses__() }}", "refuses the messages"),
        ("{% include '/etc/passwd' %}", "refuses the messages"),
        ("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "takes more than"),
        ("{% set n = namespace(s='ab') %}{% for i in range(99) %}{% set n.s = n.s ~ n.s %}{% endfor %}", "takes more"),
        ("{{ 'a' * 10 ** 10 }}", "numbers that no conversation has"), ("{{ 'a' * 9999999999 }}", "numbers that no"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "refuses the messages"), ("{% if %}", "refuses the"),
    ],
)
def test_a_template_can_do_no_harm(
    template: str, said: str, chatter: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chatting, "SECONDS", 0.5)
    monkeypatch.setattr(chatting, "MEMORY", 64 << 20)
    checkpoint, before = Transformers().open(str(chatter(template)), Installed()), sys.gettrace()
    with pytest.raises(NexusError, match=said):
        checkpoint.collate([sample(messages=TURNS)])
    assert sys.gettrace() is before


def test_a_template_may_stand_in_the_processors_file(checkpoint_folder: Callable[[str], Path], tmp_path: Path) -> None:
    home = tmp_path / "old"
    shutil.copytree(checkpoint_folder("llama"), home)
    (home / "chat_template.json").write_text(json.dumps({"chat_template": TEMPLATE}))
    checkpoint = Transformers().open(str(home), Installed())
    found = checkpoint.collate([sample(messages="abc")])["input_ids"][0].tolist()
    assert hf.AutoTokenizer.from_pretrained(home).decode(found) == "<s>[user]abc[assistant]"


PARTS = (
    "{% for m in messages %}[{{ m['role'] }}]{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for p in m['content'] %}{{ '<image>' if p['type'] == 'image' else p['text'] }}{% endfor %}"
    "{% endif %}{% endfor %}"
)


@pytest.mark.parametrize(("template", "expected"), [
    (PARTS, "[user]<image><image>what[system]x"), (TEMPLATE, "[user]what[system]x[assistant]")
])  # fmt: skip
def test_pictures_stand_in_the_turn_of_the_user(
    template: str, expected: str, checkpoint_folder: Callable[[str], Path]
) -> None:
    """Where the template knows parts; else whoever reads the text puts their places before it."""
    words = hf.AutoTokenizer.from_pretrained(checkpoint_folder("llama"))
    strict = template.replace("{{ m['content'] }}{% endfor %}", "{{ '' + m['content'] }}{% endfor %}")
    words.chat_template = template if template == PARTS else strict
    turns = [{"role": "user", "content": "what"}, {"role": "system", "content": "x"}]
    assert chatting.rendered(sample(messages=turns), words, "seer", {"image": 2}) == expected
