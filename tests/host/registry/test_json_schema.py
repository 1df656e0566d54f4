"""The schema that editors read."""

from nexus_host.registry.json_schema import json_schema


def test_components_are_enums_with_their_options(plugins):
    schema = json_schema(plugins)
    assert schema["title"] == "registry.yaml"
    cards = schema["$defs"]
    known, other = cards["TowerCard"]["properties"]["component"]["anyOf"]
    assert known["enum"] == ["image", "text"]
    assert other == {"type": "string"}, "a teacher that is only available may wait for its tower's plugin"
    text = next(
        each for each in cards["TowerCard"]["allOf"] if each["if"]["properties"]["component"]["const"] == "text"
    )
    rank = text["then"]["properties"]["options"]["properties"]["rank"]
    assert (rank["type"], rank["minimum"], rank["default"], rank["description"]) == ("integer", 1, 8, "Rank")
    assert cards["RunCard"]["properties"]["stages"]["properties"]["train"]["properties"]["steps"]["default"] == 100
    assert cards["TeacherCard"]["properties"]["metric"]["anyOf"][0]["enum"] == ["accuracy", "bits"]
    assert cards["LossCard"]["properties"]["name"]["enum"] == ["anchor", "kl"]
    assert not cards["RunCard"]["properties"]["stages"]["additionalProperties"]
    assert "allOf" not in cards["RunCard"]["properties"]["components"]["properties"]["executor"]["anyOf"][1]


def test_options_that_cannot_be_read_are_open(site):
    site.plugin(
        "a",
        """
        @hookimpl
        def nexus_towers():
            for name, options in (("bad", "nowhere:O"), ("odd", "a_parts:Odd")):
                yield TowerComponent(name=name, target="a:b", summary="S", options=options, takes=(), gives=())
        """,
    )
    site.module(
        "a_parts",
        """
        from collections.abc import Callable
        from dataclasses import dataclass
        @dataclass
        class Odd:
            call: Callable
            must: int
            any: object = object
        """,
    )
    bad, odd = json_schema(site.found())["$defs"]["TowerCard"]["allOf"]
    assert bad["then"]["properties"]["options"] == {"type": ["object", "null"]}
    assert odd["then"]["properties"]["options"]["required"] == ["call", "must"]
    assert odd["then"]["properties"]["options"]["properties"]["call"] == {}
