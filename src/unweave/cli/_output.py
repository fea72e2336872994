"""What verbs print and the files that they write."""

import json
import math
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
import numpy as np

from .._model import AbstractDecoder
from .._schema import Schema
from ..data import Dataset, dataset, described
from ._pieces import ARRAYS, check_ending, write_arrays, write_tables

if TYPE_CHECKING:
    import pandas as pd

#: What a verb has found: one object for `--json`, and the same in words.
Result: TypeAlias = tuple[dict[str, Any], str]


def print_result(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """The words, or exactly one JSON object."""
    print(json.dumps(_finite(result), allow_nan=False) if as_json else text)


def check_free(path: Path, *, force: bool) -> None:
    """Refuses to overwrite a file without `force`."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; give another -o, or --force to replace it.")
    if not path.parent.is_dir():
        raise ValueError(f"{path} has no folder to be in; make it: mkdir -p {path.parent}")


def write_observations(path: Path, pieces: Iterable[np.ndarray], n: int, schema: Schema) -> None:
    """`n` observations in the units of `schema`, out of pieces `(k, *shape)`; the format by the
    file's name."""
    if path.suffix in ARRAYS:
        write_arrays(path, pieces, n, described(schema))
        return
    check_ending(path)
    from ..data import to_pandas  # and with it pandas

    def tables() -> Iterator["pd.DataFrame"]:
        done = 0
        for x in pieces:
            table = to_pandas(dataset(x, schema)).rename(columns={"observation": "sample"})
            table["sample"] += done
            done += len(x)
            yield table.drop(columns=["record", "group", "start", "end"])

    write_tables(path, tables())


def write_codes(
    path: Path, pieces: Iterable[tuple[np.ndarray, Dataset]], n: int, model: eqx.Module
) -> None:
    """`n` latents, out of pieces `(k, latent)` and what they are of, in a table with the record of
    each and where it begins."""
    if path.suffix in ARRAYS:
        names = {"latents": list(model.latents.names)} if isinstance(model, AbstractDecoder) else {}
        write_arrays(path, (codes for codes, _ in pieces), n, names)
        return
    check_ending(path)
    import pandas as pd  # a quarter of a second that most verbs need not wait for

    def tables() -> Iterator["pd.DataFrame"]:
        for codes, data in pieces:
            names = (
                model.latents.names
                if isinstance(model, AbstractDecoder)
                else tuple(f"z{i + 1}" for i in range(codes.shape[1]))
            )
            table = pd.DataFrame(codes, columns=list(names))
            table.insert(0, "record", data.records)
            table.insert(1, "start", data.spans[:, 0])
            yield table

    write_tables(path, tables())


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
