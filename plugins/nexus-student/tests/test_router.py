"""The router: features, background, rows, and every rung of the ladder."""

from __future__ import annotations

import hashlib
import inspect
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from nexus_specs import Adapter, NexusError, plain
from nexus_student.router import background as backgrounds
from nexus_student.router import kinds, known
from nexus_student.router.features import SIZE, damped, features
from nexus_student.router.kinds import SMOOTHING, counted, divided, line, lines
from nexus_student.router.ladder import Decision, Router
from nexus_student.router.row import Row, learned, read_row, write_row
from nexus_student.specs import TowerSpec

BOATS = "the river was wide and boats went slowly under old bridges while evening lamps were lit along it"
SUMS = "12 + 30 = 42; 7 * 6 99 - 57 84 / 2 1024 3.14 0.5 = 17 % 5"
TEXTS = {
    "prose": tuple(BOATS.split(" ")),
    "code": ("def run(self):\n", "    return None\n", "    self.table = {}\n", "if value in table:\n", "import sys\n"),
    "numbers": tuple(SUMS.split(" ")),
}


def sample(kind: str, seed: int, length: int = 900) -> str:
    """A text of a kind, other for each seed."""
    draw = random.Random(f"{kind}{seed}")
    return " ".join(draw.choice(TEXTS[kind]) for _ in range(length))[:length]


PROSE, CODE = sample("prose", 99), sample("code", 99)


def spec(name: str, **changes: Any) -> TowerSpec:
    return TowerSpec(name=name, component="x", adapter=Adapter(how="lora", rank=1), **changes)


def sees(name: str, *takes: str) -> TowerSpec:
    return spec(name, takes=takes or ("image",), gives=("label",), perceives=True)


def row_of(kind: str) -> Row:
    return learned([(f"file{seed}", sample(kind, seed)) for seed in range(40)])


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {kind: row_of(kind) for kind in TEXTS}


@pytest.fixture(scope="module")
def router(rows: dict[str, Row]) -> Router:
    return Router({name: spec(name) for name in rows} | {"digits": sees("digits")}, rows)


def test_features_are_of_bytes_and_sum_to_one() -> None:
    found = features("naïve ☃".encode())
    assert found.shape == (SIZE,)
    assert found.sum() == pytest.approx(1)
    assert features(b"").sum() == 0
    assert damped(b"a").sum() == pytest.approx(np.log(2))
    assert (features(b"x" * 10_000) == features(b"x" * 4096)).all()


def test_a_repeated_gram_says_less() -> None:
    assert damped(b"aaaaaaaa").max() < 8 * damped(b"a").max()


def test_background_is_a_frozen_distribution() -> None:
    even = backgrounds.background()
    assert even.min() > 0
    assert even.sum() == pytest.approx(1, abs=1e-4)
    assert hashlib.sha256(even.tobytes()).hexdigest().startswith(FROZEN)


FROZEN = "cab87c1ac27e0cc9"
"""The rows of every release were learned against this background: it never changes."""


def test_background_is_made_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.txt").write_text(PROSE)
    (tmp_path / "b.jsonl").write_text(json.dumps({"text": CODE, "more": [{"n": 1}, "tail"]}) + "\n\n")
    assert list(backgrounds.texts(tmp_path / "b.jsonl")) == [f"{CODE}\ntail"]
    monkeypatch.setattr(backgrounds, "FILE", tmp_path / "made.safetensors")
    backgrounds.main([str(tmp_path / "a.txt"), str(tmp_path / "b.jsonl")])
    backgrounds.background.cache_clear()
    assert backgrounds.background().sum() == pytest.approx(1, abs=1e-4)
    backgrounds.background.cache_clear()


def test_a_line_is_the_formula() -> None:
    found = counted([PROSE, CODE])
    even = backgrounds.background().astype(np.float64)
    expected = np.log((found.sum(0) + SMOOTHING * even) / (found.sum() + SMOOTHING)) - np.log(even)
    assert np.abs(line(found.sum(0)) - expected).max() < 1e-5


def test_kinds_of_writing_are_told_apart() -> None:
    found = divided(
        counted([*(sample("prose", seed, 512) for seed in range(9)), *(sample("code", seed, 512) for seed in range(9))])
    )
    assert len(set(found[:9])) == len(set(found[9:])) == 1
    assert found[0] != found[-1]
    assert lines([sample("prose", seed) for seed in range(9)] + [sample("code", seed) for seed in range(9)]).shape == (
        2,
        SIZE,
    )


def test_one_kind_needs_one_line() -> None:
    assert lines(["short"]).shape == (1, SIZE)
    assert lines(["the same"] * 9).shape == (1, SIZE)


def test_windows_are_taken_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "MOST", 5)
    assert len(counted([PROSE] * 12)) <= 5


def test_it_settles_or_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "ROUNDS", 0)
    assert len(divided(counted([PROSE, CODE, sample("numbers", 1)]))) == 6


def test_a_row_depends_on_its_own_data_alone(rows: dict[str, Row]) -> None:
    again = row_of("prose")
    assert again.theta.tobytes() == rows["prose"].theta.tobytes()
    assert (again.heat, again.thresholds) == (rows["prose"].heat, rows["prose"].thresholds)


def test_a_row_of_few_sources_and_of_one_text() -> None:
    assert learned([("one", sample("prose", seed)) for seed in range(40)]).heat > 0
    for text in map(str, range(40)):
        assert learned([("one", PROSE[:300] + text)]).heat == pytest.approx(0.01 / 4)


def test_a_row_needs_texts() -> None:
    with pytest.raises(NexusError, match="no text to learn from"):
        learned([])


def test_thresholds_lie_on_a_line() -> None:
    row = Row(np.zeros((1, SIZE), np.float32), 1.0, (-0.4, -0.2))
    assert row.threshold(0) == row.threshold(64) == -0.4
    assert row.threshold(512) == row.threshold(4096) == pytest.approx(-0.2)
    assert row.threshold(181) == pytest.approx(-0.3, abs=1e-3)


def test_rows_are_written_and_read(rows: dict[str, Row], tmp_path: Path) -> None:
    write_row(rows["code"], tmp_path / "code")
    found = read_row(tmp_path / "code")
    assert found is not None
    assert found.theta.tobytes() == rows["code"].theta.tobytes()
    assert (found.heat, found.thresholds, found.keywords) == (
        rows["code"].heat, rows["code"].thresholds, rows["code"].keywords,
    )  # fmt: skip
    assert read_row(tmp_path) is None
    facts = json.loads((tmp_path / "code" / "row.json").read_text())
    for change, words in (({"background": "other"}, "another background"), ({"schema": "nexus.row/2"}, "this version")):
        (tmp_path / "code" / "row.json").write_text(json.dumps(facts | change))
        with pytest.raises(NexusError, match=words):
            read_row(tmp_path / "code")
    (tmp_path / "code" / "row.json").write_text(json.dumps(facts))
    (tmp_path / "code" / "row.safetensors").write_bytes(b"broken")
    with pytest.raises(NexusError, match="is damaged"):
        read_row(tmp_path / "code")


@pytest.mark.parametrize("name", list(TEXTS))
@pytest.mark.parametrize("length", [80, 300, 1024])
def test_one_that_is_sure_answers(router: Router, name: str, length: int) -> None:
    decision = router.decide({"text": sample(name, 1000, length)})
    assert (dict(decision.towers), decision.ground) == ({name: 1.0}, "sure")
    assert decision.key == ((name, 1.0),)


def test_adding_towers_changes_no_row_and_no_score(rows: dict[str, Row]) -> None:
    few = Router({"prose": spec("prose")}, {"prose": rows["prose"]})
    assert few.rows["prose"].theta.tobytes() == rows["prose"].theta.tobytes()
    assert few.decide({"text": PROSE}).towers == {"prose": 1.0}


def test_modality_decides_before_anything_learned(router: Router) -> None:
    assert router.decide({"image": 1}) == Decision({"digits": 1.0}, "modality")
    assert router.decide({"image": 1, "text": CODE}) == Decision({"digits": 1.0}, "modality")
    with pytest.raises(NexusError, match=r"No tower takes audio. Towers: code \(text\), digits \(image\)"):
        router.decide({"audio": 1})
    with pytest.raises(NexusError, match="Towers: none"):
        Router({}, {}).decide({"video": 1})


def test_several_of_one_modality() -> None:
    router = Router({"b": sees("b"), "a": sees("a")}, {})
    assert router.decide({"image": 1}) == Decision({"a": 1.0}, "modality", others=("b",))
    assert router.decide({"image": 1, "text": "what is it?"}) == Decision({"a": 1.0}, "modality", {}, ("b",))


def test_a_tower_that_takes_two_needs_both(rows: dict[str, Row]) -> None:
    router = Router({"ask": sees("ask", "image", "text"), "see": sees("see")}, {"ask": rows["prose"]})
    assert router.decide({"image": 1}) == Decision({"see": 1.0}, "modality")
    assert router.decide({"image": 1, "text": PROSE}).towers == {"ask": 1.0}


def test_two_of_one_vocabulary_answer_together(rows: dict[str, Row]) -> None:
    twins = Router({"a": spec("a"), "b": spec("b")}, {"a": rows["prose"], "b": rows["prose"]})
    assert twins.decide({"text": PROSE}).towers == {"a": 0.5, "b": 0.5}
    assert twins.decide({"text": PROSE}).ground == "pair"


def test_two_of_different_words_never_do(rows: dict[str, Row]) -> None:
    twins = Router({"a": spec("a", words=9), "b": spec("b")}, {"a": rows["prose"], "b": rows["prose"]})
    assert twins.decide({"text": PROSE}).towers == {"a": 1.0}
    assert twins.decide({"text": PROSE}).ground == "likelier"


def test_keywords_when_unsure(rows: dict[str, Row]) -> None:
    three = dict.fromkeys("abc", rows["prose"])
    router = Router({name: spec(name) for name in "abc"}, three)
    decision = router.decide({"text": PROSE})
    assert (decision.towers, decision.ground) == ({"a": 1.0}, "keywords")
    assert decision.scores == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})


def test_the_bare_core_when_nothing_fits(router: Router) -> None:
    decision = router.decide({"text": "ÿþýü" * 30})
    assert (decision.towers, decision.ground, set(decision.scores)) == ({}, "core", {"prose", "code", "numbers"})
    assert router.decide({"text": ""}) == Decision({}, "core", {})
    assert router.decide({}) == Decision({}, "core", {})
    assert Router({}, {}).decide({"text": "hello"}) == Decision({}, "core", {})


def test_one_keyword_is_not_enough(router: Router) -> None:
    assert router.decide({"text": "ÿþýü" * 30 + " river"}).ground == "core"
    assert router.decide({"text": "ÿþýü" * 30 + " river bridges"}).ground == "keywords"


def test_it_reads_small_files_of_towers(rows: dict[str, Row], tmp_path: Path) -> None:
    for name in ("prose", "code"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tower.json").write_text(json.dumps({"schema": "nexus.tower/1"} | plain(spec(name))))
    write_row(rows["prose"], tmp_path / "prose")
    router = Router.read({name: tmp_path / name for name in ("prose", "code")})
    assert (list(router.specs), list(router.rows)) == (["prose", "code"], ["prose"])


def test_grams_of_a_text_too_short_are_none_and_say_nothing() -> None:
    assert len(known.grams(b"four")) == 0
    assert len(known.grams(b"fives")) == 1
    assert known.share(known.common(["abcdefgh"]), b"four") == 1.0


def test_what_is_common_is_what_most_texts_hold() -> None:
    found = known.common(["the same words", "the same words", "other words here"])
    assert found.shape == (2**known.BITS // 8,)
    assert known.share(found, b"the same words") == 1.0
    assert known.share(found, b"0123456789") < 0.2


def test_a_row_of_an_earlier_version_refuses_nothing_by_its_grams(rows: dict[str, Row], tmp_path: Path) -> None:
    row = replace(rows["prose"], known=None, shares=(0.0, 0.0))
    write_row(row, tmp_path)
    again = read_row(tmp_path)
    assert again is not None
    assert again.known is None
    assert again.knows(b"anything")
    assert not rows["prose"].knows(CODE.encode())


@pytest.fixture(scope="module")
def english() -> Row:
    """A row of real English: what Python's documentation says of the language."""
    topics = sorted(vars(pytest.importorskip("pydoc_data.topics"))["topics"].items())
    return learned([(name, text[at : at + 2000]) for name, text in topics for at in range(0, len(text), 2000)])


@pytest.mark.parametrize("language", ["deu", "nld", "ita", "spa", "por", "swe", "tur", "rus", "jpn", "ara"])
def test_a_language_that_no_tower_speaks_goes_to_the_bare_core(english: Row, shared: Path, language: str) -> None:
    lines = (shared / "data" / "tatoeba" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    spoken = [found["src"] for found in map(json.loads, lines) if found["src_lang"] == language]
    texts = [" ".join(spoken[at : at + 12]) for at in range(0, len(spoken) - 12, 12)]
    router = Router({"english": spec("english", takes=("text",))}, {"english": english})
    answered = sum(bool(router.decide({"text": text}).towers) for text in texts)
    assert answered <= 0.1 * len(texts), f"{answered} of {len(texts)}"


def test_a_tower_answers_what_it_was_made_for(english: Row) -> None:
    router = Router({"english": spec("english", takes=("text",))}, {"english": english})
    texts = [text[:600] for text in map(inspect.getdoc, (json, random, pytest, Path, hashlib, np.ndarray, str)) if text]
    assert sum(bool(router.decide({"text": text}).towers) for text in texts) >= len(texts) - 1
