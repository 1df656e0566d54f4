"""`nexus inspect` of what sees, before anybody has a picture: memory for one as it usually comes."""

import json
import os
import subprocess
import sys

import pytest
import transformers as hf

COMMAND = [sys.executable, "-m", "nexus_host", "inspect", "vit", "--json"]


@pytest.fixture
def inspected(tmp_path):
    """How it would run here, of a tower whose processor makes pictures of one size."""
    work, environment = tmp_path / "work", os.environ | {"NEXUS_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"}

    def inspected(side):
        config = hf.ViTConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
                              image_size=32, patch_size=8)  # fmt: skip
        hf.ViTForImageClassification(config).save_pretrained(work / "vit")
        told = {"image_processor_type": "ViTImageProcessor", "size": {"height": side, "width": side}}
        (work / "vit" / "preprocessor_config.json").write_text(json.dumps(told))
        found = subprocess.run(COMMAND, cwd=work, env=environment, capture_output=True, text=True, check=True)
        assert [each.name for each in work.iterdir()] == ["vit"], "nothing is written where somebody works"
        return json.loads(found.stdout)["runs"]

    return inspected


def test_a_usual_picture_says_what_memory_is_for(inspected):
    runs = inspected(32)
    assert runs["sample"] == "a picture of 640 x 480"
    assert runs["memory"] > 0


def test_a_processor_that_asks_for_too_much_leaves_what_is_known_without_it(inspected):
    runs = inspected(10**6)
    assert runs["sample"] == ""
    assert runs["memory"] > 0
