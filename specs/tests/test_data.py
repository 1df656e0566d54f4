"""Keys of samples: content, and nothing else."""

import re

import numpy
import pytest
from nexus_specs import Sample, content_key, prompted

BASE = {"text": "a", "rate": 8000}


def test_key_is_hexadecimal_and_stable():
    assert content_key(BASE) == content_key(dict(reversed(BASE.items())))
    assert re.fullmatch("[0-9a-f]{32}", content_key(BASE))


@pytest.mark.parametrize("other", [{"label": 1}, {"source": "elsewhere"}, {"label": "one", "source": ""}])
def test_label_and_source_do_not_count(other):
    assert content_key(BASE | other) == content_key(BASE)


@pytest.mark.parametrize("other", [{"text": "b"}, {"text": "a\0"}, {"rate": "8000"}, {"note": ""}])
def test_every_other_field_counts(other):
    assert content_key(BASE | other) != content_key(BASE)


def test_arrays_count_by_type_shape_and_bytes():
    keys = {
        content_key({"image": array})
        for array in (
            numpy.zeros((2, 2), dtype=numpy.uint8),
            numpy.zeros((4, 1), dtype=numpy.uint8),
            numpy.zeros((2, 2), dtype=numpy.int8),
            numpy.ones((2, 2), dtype=numpy.uint8),
        )
    }
    assert len(keys) == 4
    assert content_key({"image": numpy.zeros((2, 2), dtype=numpy.uint8)}) in keys


def test_fields_do_not_run_into_one_another():
    assert content_key({"a": "b", "c": "d"}) != content_key({"a": "bc", "": "d"})


def test_a_list_of_arrays_counts_as_each_of_them() -> None:
    """Several pictures of one sample: their order, their shapes and their numbers."""
    one, other = numpy.zeros((2, 3, 3), numpy.uint8), numpy.ones((2, 3, 3), numpy.uint8)
    lists = ([one, other], [other, one], [one], [one.reshape(3, 2, 3), other], [one.astype(numpy.int8), other])
    assert len({content_key({"image": each}) for each in lists}) == len(lists)
    assert content_key({"image": [one, other]}) == content_key({"image": [one.copy(), other.copy()]})


def test_a_prompt_is_what_is_asked_and_one_that_is_empty_is_none() -> None:
    assert prompted(Sample(key="k", fields={"text": "2 + 2 = 4", "prompt": "2 + 2 ="})).fields["text"] == "2 + 2 ="
    for fields in ({"text": "2"}, {"text": "2", "prompt": None}):
        assert prompted(Sample(key="k", fields=fields, domain="d")) == Sample(key="k", fields=fields, domain="d")
