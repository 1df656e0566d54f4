"""Answers that outlive the process, in the user's cache folder."""

import pytest

from nexus_host.store import Answers, answers


@pytest.mark.parametrize("content", ["{", "{}", '["x", [1, 2], ["a"], ["key", {"of": 1}]]'])
def test_a_cache_file_that_is_not_ours_holds_no_answer(alone, tmp_path, content):
    path = tmp_path / "cache" / "answers.json"
    path.parent.mkdir()
    path.write_text(content)
    assert Answers("answers").get("question") is None
    kept = Answers("answers")
    kept.put({"q": 1}, {"a": 2})
    kept.save()
    assert Answers("answers").get({"q": 1}) == {"a": 2}


def test_the_oldest_answers_make_room(alone, monkeypatch):
    monkeypatch.setattr(answers, "_MOST", 2)
    for number in range(3):
        kept = Answers("few")
        kept.put(number, number)
        kept.save()
    assert [Answers("few").get(number) for number in range(3)] == [None, 1, 2]
    monkeypatch.setenv("NEXUS_CACHE", "/proc/nowhere")
    unkept = Answers("few")
    unkept.put(1, 1)
    unkept.save()
