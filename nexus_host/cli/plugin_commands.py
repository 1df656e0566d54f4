"""Commands that plugins bring: flags and arguments from the fields of their options dataclass."""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin

import click
from nexus_specs import NexusError

from ..discovery import OptionField, Plugins

SCALARS: Mapping[Any, click.ParamType[Any]] = {int: click.INT, float: click.FLOAT, str: click.STRING}


def build(plugins: Plugins, name: str) -> click.Command:
    """`nexus NAME`. Its exit code is what the component's call gives. Raises NexusError as `Plugins.component`."""
    component = plugins.component("command", name)

    def call(**given: Any) -> int:
        made = plugins.make("command", name, **{key: value for key, value in given.items() if value is not None})
        try:
            return int(made(plugins) or 0)
        except (NexusError, click.ClickException, click.exceptions.Exit, click.Abort, OSError):
            raise
        except Exception as error:
            title = f"of {provider.distribution} {provider.version}"
            raise NexusError(
                f"The command '{name}' {title} failed: {type(error).__name__}: {error}. NEXUS_TRACEBACK=1 shows where."
            ) from error

    parameters = [parameter(field) for field in plugins.fields("command", name)]
    provider = plugins.provider("command", name)
    epilog = f"From {provider.distribution} {provider.version}."
    about = f"{component.summary}.{_arguments(plugins.fields('command', name))}"
    return click.Command(name, callback=call, params=parameters, help=about, epilog=epilog)


def _arguments(fields: Sequence[OptionField]) -> str:
    """What the arguments are, a line each, as click writes the options."""
    rows = [(field.name.upper(), field.help + _default(field)) for field in fields if field.argument and field.help]
    width = max((len(name) for name, _ in rows), default=0)
    return "".join(["\n\n\b", *(f"\n{name:{width}}  {about}" for name, about in rows)]) if rows else ""


def _default(field: OptionField) -> str:
    return f" [default: {field.default}]" if field.default not in (None, "", ()) else ""


def parameter(field: OptionField) -> click.Parameter:
    """A field as an argument or an option."""
    kind, many = _kind(field.type)
    if field.argument:
        return click.Argument([field.name], type=_click(field, kind), required=field.required, nargs=-1 if many else 1)
    name = field.flag or "--" + field.name.replace("_", "-")
    help = field.help + _range(field)
    if kind is bool:
        switch = f"{name}/--no-{name.removeprefix('--')}" if field.default else name
        return click.Option([field.name, switch], is_flag=True, default=None, help=help)
    return click.Option(
        [field.name, name],
        type=_click(field, kind),
        multiple=many,
        required=field.required,
        default=None,
        help=help + _default(field),
    )


def _kind(hint: Any) -> tuple[Any, bool]:
    """The scalar type behind a hint, and whether several may be given."""
    if get_origin(hint) in (Union, types.UnionType):
        hint = next(each for each in get_args(hint) if each is not type(None))
    if get_origin(hint) in (tuple, list):
        return get_args(hint)[0], True
    return hint, False


def _click(field: OptionField, kind: Any) -> click.ParamType[Any]:
    if field.choices:
        return click.Choice([str(each) for each in field.choices])
    return SCALARS.get(kind, click.STRING)


def _range(field: OptionField) -> str:
    if field.low is None and field.high is None:
        return ""
    low = "" if field.low is None else f"{field.low:g}"
    high = "" if field.high is None else f"{field.high:g}"
    return f" ({low}..{high})"
