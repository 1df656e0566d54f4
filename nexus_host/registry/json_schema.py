"""The JSON schema of `registry.yaml`: the cards, with installed components as enums and their options as shapes."""

from __future__ import annotations

import json
from typing import Any

from nexus_specs import NexusError
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from ..discovery import OptionField, Plugins
from .cards import RegistryModel
from .shape import SCOPES, SECTIONS

Schema = dict[str, Any]
NOTHING: Schema = {"type": "null"}
FIELDS = {"TowerCard": ("component", "tower"), "StudentCard": ("component", "student")} | {
    "DataCard": ("reader", "reader"),
    "LossCard": ("name", "loss"),
}
"""Card -> the field that names a component, and its kind."""


def json_schema(plugins: Plugins) -> Schema:
    """The schema, of what is installed now."""
    schema = RegistryModel.model_json_schema()
    cards = schema["$defs"]
    for card, (field, kind) in FIELDS.items():
        _components(cards[card], field, kind, plugins)
    for card in ("TeacherCard", "RunCard"):
        kinds = ("engine", "profiler") if card == "TeacherCard" else ("engine", "profiler", "executor")
        cards[card]["properties"]["components"] = _object({kind: _reference(kind, plugins) for kind in kinds})
    cards["TeacherCard"]["properties"]["metric"] = _reference("metric", plugins)
    for model, scopes in SCOPES.items():
        here = [name for name, stage in plugins.stages().items() if stage.scope in scopes]
        shapes = {name: _or_nothing(options(plugins, "stage", name)) for name in here}
        cards[model.__name__]["properties"]["stages"] = _object(shapes)
    cards.pop("ComponentRef", None)
    for model in SECTIONS.values():
        _empty_fields(model, cards[model.__name__])
    _empty_fields(RegistryModel, schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema | {"title": "registry.yaml"}


def _empty_fields(model: type[BaseModel], card: Schema) -> None:
    """Lets nothing stand behind the keys where the model takes that for none."""
    wrong: set[int | str] = set()
    try:
        model.model_validate(dict.fromkeys(model.model_fields))
    except ValidationError as error:
        wrong = {each["loc"][0] for each in error.errors()}
    for name in model.model_fields.keys() - wrong:
        card["properties"][name] = _or_nothing(card["properties"][name])


def _or_nothing(shape: Schema) -> Schema:
    """The same shape, or nothing; of an object in which something must stand, the same."""
    if "required" in shape:
        return shape
    if "type" in shape:
        return shape | {"type": [shape["type"], "null"]}
    shapes = shape["anyOf"] if "anyOf" in shape else [{"$ref": shape["$ref"]}]
    about = {key: value for key, value in shape.items() if key != "$ref"}
    return about | {"anyOf": [*(each for each in shapes if each != NOTHING), NOTHING]}


def _components(card: Schema, field: str, kind: str, plugins: Plugins) -> None:
    """Gives a card the names of a kind, and for each name the options that go with it."""
    names = list(plugins.components(kind))
    card["properties"][field] = _open(kind, plugins) | _kept(card["properties"][field])
    by_name = [
        {
            "if": {"properties": {field: {"const": name}}, "required": [field]},
            "then": {"properties": {"options": _or_nothing(_left_open(kind, options(plugins, kind, name)))}},
        }
        for name in names
    ]
    card |= {"allOf": by_name} if by_name else {}  # an empty one is no schema


def _left_open(kind: str, shape: Schema) -> Schema:
    """The shape of options; of a metric those that must be written may be left out, since a card that is only
    `available` need not say yet what a run will ask for."""
    return {key: value for key, value in shape.items() if kind != "metric" or key != "required"}


def _kept(field: Schema) -> Schema:
    return {key: field[key] for key in ("default", "title") if key in field}


def _open(kind: str, plugins: Plugins) -> Schema:
    """The names of a kind; of a tower others too, since a teacher that is only `available` may wait for its plugin."""
    names = _names(kind, plugins)
    return {"anyOf": [names, {"type": "string"}]} if kind == "tower" else names


def _names(kind: str, plugins: Plugins) -> Schema:
    components = plugins.components(kind)
    return {
        "description": "; ".join(f"{name}: {each.summary}" for name, each in components.items()),
        "enum": list(components),
    }


def _reference(kind: str, plugins: Plugins) -> Schema:
    """`NAME`, or a name with options."""
    fields = {"name": _names(kind, plugins), "options": _or_nothing({"type": "object"})}
    long: Schema = _object(fields) | {"required": ["name"]}
    _components(long, "name", kind, plugins)
    return {"anyOf": [_names(kind, plugins), long]}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def options(plugins: Plugins, kind: str, name: str) -> Schema:
    """The shape of a component's options; open where they cannot be read."""
    try:
        fields = plugins.fields(kind, name)
    except NexusError:
        return {"type": "object"}
    required = [field.name for field in fields if field.required]
    return _object({field.name: _option(field) for field in fields}) | ({"required": required} if required else {})


def _option(field: OptionField) -> Schema:
    try:
        shape = TypeAdapter(field.type, config=ConfigDict(arbitrary_types_allowed=True)).json_schema()
    except (PydanticSchemaGenerationError, PydanticUserError):
        shape = {}
    shape |= {"description": field.help} if field.help else {}
    shape |= {"minimum": field.low} if field.low is not None else {}
    shape |= {"maximum": field.high} if field.high is not None else {}
    return shape | ({} if field.required else {"default": _plain(field.default)})


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
