"""What benchmarks/sli.py makes of its measurements."""

import doctest
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def streaming(monkeypatch):
    """The benchmark's own modules."""
    monkeypatch.syspath_prepend(FOLDER)
    import streaming.corpus
    import streaming.device
    import streaming.plain
    import streaming.summary

    yield streaming
    for name in [name for name in sys.modules if name.split(".")[0] == "streaming"]:
        sys.modules.pop(name)


def row(case, contender, **figures):
    """A measurement."""
    return {"round": 0, "case": case.name, "contender": contender, **figures}


def test_the_figures_of_the_contract(streaming):
    corpus, summary = streaming.corpus, streaming.summary
    rows = [row(corpus.MAIN[0], "disk", seconds=30.0)]
    for case, compute in zip((*corpus.MAIN, *corpus.GROWING), (40.0, 20.0, 10.0, 40.0, 160.0), strict=True):
        rows.append(row(case, "compute", seconds=99.0, compute_seconds=compute))
        rows.append(row(
            case, "nexus", seconds=max(30, compute) * 1.1, file_bytes=101, peak_bytes=400e6, equal=True,
            predicted_seconds=max(30, compute), bytes_read=101,
        ))  # fmt: skip
        rows.append(row(case, "accelerate", seconds=compute * 4, bytes_read=900, peak_bytes=1))
    cases = (*corpus.MAIN, corpus.SHORT, *corpus.GROWING)
    found = summary.figures(summary.Medians(rows, 100), cases, corpus.FULL)
    assert found["bit_equal"] is True
    assert found["bytes_read_ratio"] == 1.01
    assert found["wall_over_limit"] == pytest.approx(1.1)
    assert found["speedup_over_accelerate"] == pytest.approx(160 / 44)
    assert found["speedup_over_accelerate_4"] == pytest.approx(80 / 33), "the disk is the limit there"
    assert found["possible_over_accelerate_4"] == pytest.approx(80 / 30), "what the limit itself would reach"
    assert found["speedup_over_airllm"] is None, "what was not measured is not a number"
    assert found["predicted_over_measured"] == pytest.approx(1 / 1.1)
    assert found["growing_slopes"] == pytest.approx([11 / 30, 1.1])
    assert found["growing_bytes"] == [101, 101, 101]
    assert 0 < found["peak_over_allowed"] < 1
    rows[2]["equal"] = False
    assert summary.figures(summary.Medians(rows, 100), cases, corpus.FULL)["bit_equal"] is False


def test_a_part_of_the_batches_tells_the_rest(streaming, tmp_path):
    corpus, plain = streaming.corpus, streaming.plain
    given = plain.Given(tmp_path, corpus.QUICK, corpus.Case(32, 8, 1), 0, share=4)
    assert plain._batches(given) == 8
    taken = type("Taken", (), {"seconds": 30.0, "bytes_read": 1000})()
    given.ends = [(10.0 + 2 * at, 100 * at) for at in range(8)]
    found = plain.whole(given, taken)
    assert found["seconds"] == pytest.approx(30 + 24 * 2)
    assert found["bytes_read"] == 1000 + 24 * 100
    assert found["measured_batches"] == "8 of 32"
    given.share = 1
    assert plain.whole(given, taken) == {}


def test_overlap_is_counted_once(streaming):
    assert doctest.testmod(streaming.device).failed == 0
