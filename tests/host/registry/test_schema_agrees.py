"""The schema for editors and the host are of one mind: what the one takes the other takes."""

import json

import jsonschema
import pytest

from nexus_host.registry.checks import ComponentChecks
from nexus_host.registry.json_schema import json_schema
from nexus_host.registry.reading import read
from nexus_host.registry.shape import validate

SECTIONS = {
    "teachers": "teachers:\n  a: {source: ./x, tower: t, data: d, %s}\n",
    "towers": "towers:\n  t: {component: text, %s}\n",
    "student": "student: {%s}\n",
    "losses": "losses:\n  - {name: kl, %s}\n",
    "data": "data:\n  d: {reader: lines, %s}\n",
    "run": "run: {%s}\n",
}
USED = {"teachers": {"a"}, "towers": {"t"}, "data": {"d"}}
FIELDS = {
    "teachers": {
        "right": (
            "aliases: null", "aliases: x", "metric: null", "metric: bits", "metric: {name: bits, options: null}",
            "metric: {name: accuracy, options: {k: 2}}", "stages: null", "stages: {profile: null}", "datasets: null",
            "stages: {profile: {samples: 3}}", "components: {engine: sli}", "parameters: 176M to 11.3B", "tier: null",
            "residency: null", "micro_batch: auto", "share: 1", "share: 1e-1", "status: available",
        ),
        "wrong": (
            "share: 0", "share: '0.9'", "share: true", "tier: 4", "micro_batch: 0", "status: reddy", "quantise: nf5",
            "bogus: 1", "capability: 3", "metric: bitz", "metric: {name: accuracy, options: {q: 3}}", "licence: null",
            "stages: {profile: {bogus: 1}}", "stages: {prophile: {}}", "stages: {train: {}}", "components: null",
        ),
    },
    "towers": {
        "right": ("options: null", "options: {rank: 4}", "stages: {train: null}", "options: {vocabulary: own}"),
        "wrong": ("options: {rank: 0}", "options: {rank: four}", "options: {rnk: 4}", "stages: {profile: {}}"),
    },
    "student": {
        "right": (
            "core: ./x", "core_teachers: a", "core_teachers: [a]", "core_teachers: []", "core_teachers: null",
            "options: null", "stages: {release: {allow_below: true}}",
        ),
        "wrong": ("tier: 0", "core: null", "stages: {train: {}}", "component: nxus"),
    },
    "losses": {
        "right": ("weight: 0", "teachers: a", "teachers: null", "options: null"),
        "wrong": ("weight: -1", "weight: null", "options: {temperature: 0}", "options: {temprature: 2}"),
    },
    "data": {"right": ("tags: x", "tags: null", "options: {path: x}"), "wrong": ("tags: [1]", "options: {pth: x}")},
    "run": {
        "right": (
            "memory: 8 GB", "memory: 8gib", "memory: 8k", "memory: 1000", "memory: 0.5 GiB", "disk: 5T", "device: cpu",
            "device: cuda:1", "workers: 2", "stages: null", "stages: {profile: {}, train: {}, release: {}}",
        ),
        "wrong": (
            "memory: 8 gigs", "memory: -3", "memory: 0", "memory: 0 GB", "memory: .5 GB", "memory: 1.2.3 GB",
            "memory: true", "device: tpu",
            "device: 'cuda:'", "workers: 0", "seed: -1", "seed: 1.5", "precision: bf16", "residency: null",
        ),
    },
}  # fmt: skip
CASES = [
    pytest.param(section, field, verdict == "right", id=f"{section}: {field}")
    for section, verdicts in FIELDS.items()
    for verdict, fields in verdicts.items()
    for field in fields
]


def verdicts(text, plugins):
    """What the host and an editor say."""
    data = read(text, "registry.yaml").data
    shaped = validate(data)
    host = [*shaped.problems, *ComponentChecks(shaped, plugins, USED).problems()]
    schema = json.loads(json.dumps(json_schema(plugins)))
    return host, list(jsonschema.Draft202012Validator(schema).iter_errors(data))


def test_schema_is_one(plugins):
    jsonschema.Draft202012Validator.check_schema(json.loads(json.dumps(json_schema(plugins))))


@pytest.mark.parametrize(("section", "field", "right"), CASES)
def test_host_and_editor_agree(section, field, right, plugins):
    text = "".join(body % (field if name == section else "") for name, body in SECTIONS.items())
    host, editor = verdicts(text.replace(", }", "}"), plugins)
    assert (not host) == right, host
    assert (not editor) == right, [each.message for each in editor]


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_may_be_empty(section, plugins):
    assert verdicts(f"{section}:\n", plugins) == ([], [])
