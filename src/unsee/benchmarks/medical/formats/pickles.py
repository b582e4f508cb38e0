"""Pickles as plain data: loading one elsewhere runs whatever code it names, here it may only name plain containers."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unsee.errors import DataError

_BUILTINS = {"dict": dict, "list": list, "set": set, "frozenset": frozenset, "tuple": tuple}
ALLOWED: Mapping[tuple[str, str], type] = {
    **{(module, name): kind for module in ("builtins", "__builtin__") for name, kind in _BUILTINS.items()},
    ("collections", "OrderedDict"): OrderedDict,
}
"""(module, name) -> the only types that a pickle may name; texts, numbers, lists and dictionaries need no name."""


class _PlainData(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        kind = ALLOWED.get((module_name, global_name))
        if kind is None:
            raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is no plain data")
        return kind

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it points to objects outside of the file")


def plain_pickle(file: Path) -> Any:
    """What a pickle of plain data holds.

    Raises:
        DataError: it cannot be read, is damaged, or names anything but a plain container.
    """
    remedy = "fetch the file again, or use the parquet files instead"
    try:
        with file.open("rb") as stream:
            return _PlainData(stream, encoding="utf-8").load()
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}); check the path") from error
    except pickle.UnpicklingError as error:
        raise DataError(f"{file} is not loaded: {error}; {remedy}") from error
    except Exception as error:  # damaged pickles raise nearly every type
        raise DataError(f"{file} is no readable pickle ({type(error).__name__}); {remedy}") from error
