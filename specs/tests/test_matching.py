"""The reader of a file by its ending, of a folder by what is in it."""

import pytest
from nexus_specs import NexusError, ReaderComponent, reader_for


class Offers:
    """Two readers."""

    def components(self, kind):
        assert kind == "reader"
        return {
            name: ReaderComponent(name=name, target="x:y", summary="Reads", suffixes=suffixes)
            for name, suffixes in (("lines", (".txt", ".md")), ("tables", (".csv", ".csv.gz")))
        }


def test_a_file_by_its_ending(tmp_path):
    (tmp_path / "A.CSV").touch()
    assert reader_for(str(tmp_path / "A.CSV"), Offers()) == "tables"
    (tmp_path / "packed.v1.CSV.gz").touch()
    assert reader_for(str(tmp_path / "packed.v1.CSV.gz"), Offers()) == "tables"


def test_a_folder_by_the_commonest_ending_that_is_known(tmp_path):
    for name in ("a.txt", "b/c.md", "b/d.txt", "e.csv", "f.odd", "g.odd", "h.odd"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert reader_for(str(tmp_path), Offers()) == "lines"


def test_no_more_of_a_large_folder_is_looked_at_than_is_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("nexus_specs.matching.LOOKED_AT", 2)
    for name in ("a.csv", "b.csv", "c.txt", "d.txt", "e.txt"):
        (tmp_path / name).touch()
    assert reader_for(str(tmp_path), Offers()) == "tables"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "nowhere: there is no such file or folder."),
        ("a.odd", "no reader is installed for .odd. Readers know: .csv, .csv.gz, .md, .txt."),
        ("plain", "no reader is installed for files without an ending."),
        ("empty", "no reader is installed for a folder without files."),
    ],
)
def test_what_cannot_be_read_is_said_in_words(tmp_path, name, message):
    (tmp_path / "a.odd").touch()
    (tmp_path / "plain").touch()
    (tmp_path / "empty").mkdir()
    with pytest.raises(NexusError, match=r"^--data ") as caught:
        reader_for(str(tmp_path / name), Offers())
    assert message in str(caught.value)


def test_the_page_of_a_data_set_is_no_data(tmp_path):
    for name in ("README.md", "LICENSE.txt", ".notes.txt", "rows.csv"):
        (tmp_path / name).touch()
    assert reader_for(str(tmp_path), Offers()) == "tables"
