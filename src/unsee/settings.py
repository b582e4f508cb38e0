"""From plain values (TOML, `--set key=value`) to typed frozen dataclasses and back, with exact errors.

The dataclass is the only place a default exists: what is not given is left to it, and `plain` writes the result out in full.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from unsee.errors import ConfigError, nearest

T = TypeVar("T")


def build(kind: type[T], values: Mapping[str, Any], *, where: str = "") -> T:
    """An instance of a dataclass from a mapping; nested dataclasses come from nested tables.

    Args:
        where: dotted path of the table, for messages.

    Raises:
        ConfigError: an unknown key, a value of the wrong type, or one the dataclass itself refuses.
    """
    assert dataclasses.is_dataclass(kind)
    hints = get_type_hints(kind)
    fields = [field.name for field in dataclasses.fields(kind) if field.init]
    made = {}
    for key, value in values.items():
        path = f"{where}.{key}" if where else key
        if key not in fields:
            raise ConfigError(f"unknown key {path!r}; {nearest(key, fields)}")
        made[key] = convert(hints[key], value, path)
    missing = [
        field.name
        for field in dataclasses.fields(kind)
        if field.init
        and field.name not in made
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{f'{where}.' if where else ''}{missing[0]} is missing; add it")
    return kind(**made)


def convert(hint: Any, value: Any, path: str) -> Any:
    """`value` as `hint` wants it: numbers may be written without a fraction, lists become tuples, a lone value a list of one.

    Raises:
        ConfigError: it is of another type.
    """
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union or origin is types.UnionType:
        return _convert_union(arguments, value, path)
    if origin is Literal:
        if value in arguments and type(value) in {type(a) for a in arguments}:
            return value
        if isinstance(value, str):
            raise ConfigError(f"{path} = {show(value)} is not valid; {nearest(value, [str(a) for a in arguments])}")
        raise _wrong_type(path, value, f"one of {', '.join(show(a) for a in arguments)}")
    if origin is tuple:
        return _convert_tuple(arguments, value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, Mapping):
            raise _wrong_type(path, value, "a table")
        return build(hint, value, where=path)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Any or (isinstance(hint, type) and isinstance(value, hint) and (hint is bool) == isinstance(value, bool)):
        return value
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise _wrong_type(path, value, "a table")
        return {str(key): convert(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    raise _wrong_type(path, value, _KINDS.get(hint, str(hint)))


_KINDS: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}


def _convert_union(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    if types.NoneType in arguments and value in (None, "none"):
        return None
    kinds = [argument for argument in arguments if argument is not types.NoneType]
    if len(kinds) == 1:
        return convert(kinds[0], value, path)
    for kind in kinds:
        try:
            return convert(kind, value, path)
        except ConfigError:
            continue
    raise _wrong_type(path, value, " or ".join(_describe(kind) for kind in kinds))


def _convert_tuple(arguments: tuple[Any, ...], value: Any, path: str) -> tuple[Any, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(arguments[0], item, f"{path}[{i}]" if len(values) > 1 else path) for i, item in enumerate(values))
    if len(values) != len(arguments):
        raise _wrong_type(path, value, f"a list of {len(arguments)}")
    return tuple(convert(kind, item, f"{path}[{i}]") for i, (kind, item) in enumerate(zip(arguments, values, strict=True)))


def _describe(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return f"one of {', '.join(show(a) for a in get_args(hint))}"
    if get_origin(hint) is tuple:
        return f"a list of {_describe(get_args(hint)[0])}"
    return _KINDS.get(hint, str(hint))


def _wrong_type(path: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"{path} = {show(value)} is {_type_name(value)}, expected {expected}")


def _type_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    names = {int: "a whole number", float: "a number", str: "text", list: "a list", tuple: "a list", dict: "a table"}
    return names.get(type(value), f"a {type(value).__name__}")


def show(value: Any, *, limit: int = 60) -> str:
    """A value as one short line for a message."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def plain(value: Any) -> Any:
    """A dataclass as nested dicts of TOML values; None becomes "none", because TOML has no null."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return "none" if value is None else value


def assignments(pairs: tuple[str, ...]) -> list[tuple[list[str], Any]]:
    """`npo.beta=0.1` -> (["npo", "beta"], 0.1); a value that is no TOML is text.

    Raises:
        ConfigError: a pair without "=" or key.
    """
    made = []
    for pair in pairs:
        key, separator, text = pair.partition("=")
        names = [name.strip().replace("-", "_") for name in key.split(".")]
        if not separator or not all(names):
            raise ConfigError(f"--set {pair!r} has no key or no value; write it as KEY=VALUE, for example npo.beta=0.1")
        try:
            value = tomllib.loads(f"value = {text.strip()}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            value = text.strip()
        made.append((names, value))
    return made


def put(tree: dict[str, Any], names: list[str], value: Any) -> None:
    """Set a value deep inside nested dicts.

    Raises:
        ConfigError: a name on the way holds no table.
    """
    for i, name in enumerate(names[:-1]):
        tree = tree.setdefault(name, {})
        if not isinstance(tree, dict):
            raise ConfigError(f"{'.'.join(names)} cannot be set: {'.'.join(names[: i + 1])} is no table")
    tree[names[-1]] = value


def differences(one: Mapping[str, Any], other: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted keys at which two nested mappings differ."""
    found = []
    for key in sorted({*one, *other}, key=str):
        a, b = one.get(key), other.get(key)
        path = f"{prefix}{key}"
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{path}.")
        elif a != b or (key in one) != (key in other):
            found.append(path)
    return found
