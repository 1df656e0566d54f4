"""`nexus inspect` of what sees, before anybody has a picture: memory for one as it usually comes."""

import json

import pytest
import transformers as hf

from nexus_host.__main__ import run


@pytest.fixture
def inspected(tmp_path, monkeypatch, capsys):
    """How it would run here, of a tower whose processor makes pictures of one size."""
    monkeypatch.chdir(tmp_path)

    def inspected(side):
        config = hf.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                              image_size=32, patch_size=8)  # fmt: skip
        hf.ViTForImageClassification(config).save_pretrained("vit")
        told = {"image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}}
        (tmp_path / "vit" / "preprocessor_config.json").write_text(json.dumps(told))
        capsys.readouterr()
        assert run(["inspect", "vit", "--json"]) == 0
        assert [each.name for each in tmp_path.iterdir()] == ["vit"], "nothing is written where somebody works"
        return json.loads(capsys.readouterr().out)["runs"]

    return inspected


def test_a_usual_picture_says_what_memory_is_for(inspected):
    runs = inspected(32)
    assert runs["sample"] == "a picture of 640 x 480"
    assert runs["memory"] > 0


def test_a_processor_that_asks_for_too_much_leaves_what_is_known_without_it(inspected):
    runs = inspected(10**6)
    assert runs["sample"] == ""
    assert runs["memory"] > 0
