"""What verbs print and the files that they write."""

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import equinox as eqx
import numpy as np

from .._files import written_whole
from .._model import AbstractDecoder
from .._schema import Schema
from ..data import Dataset, dataset

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


def write_observations(path: Path, x: np.ndarray, schema: Schema) -> None:
    """Observations `(n, *shape)` in the units of `schema`; the format by the file's name."""
    if path.suffix in (".npy", ".npz"):
        _write_array(path, x)
    else:
        from ..data import to_pandas  # and with it pandas

        table = to_pandas(dataset(x, schema)).rename(columns={"observation": "sample"})
        write_table(path, table.drop(columns=["record", "group", "start", "end"]))


def write_codes(path: Path, codes: np.ndarray, data: Dataset, model: eqx.Module) -> None:
    """Latents `(n, latent)`, in a table with the record of each and where it begins."""
    if path.suffix in (".npy", ".npz"):
        _write_array(path, codes)
        return
    names = (
        model.latents.names
        if isinstance(model, AbstractDecoder)
        else tuple(f"z{i + 1}" for i in range(codes.shape[1]))
    )
    import pandas as pd  # a quarter of a second that most verbs need not wait for

    table = pd.DataFrame(codes, columns=list(names))
    table.insert(0, "record", data.records)
    table.insert(1, "start", data.spans[:, 0])
    write_table(path, table)


def _write_array(path: Path, x: np.ndarray) -> None:
    with written_whole(path) as file:
        if path.suffix == ".npy":
            np.save(file, x)
        else:
            np.savez_compressed(file, x=x)


def write_table(path: Path, table: "pd.DataFrame") -> None:
    """A table, its format by the file's name."""
    if path.suffix not in (".parquet", ".csv", ".tsv"):
        raise ValueError(
            f"'{path.suffix}' is no format; end the name in .csv, .tsv, .parquet, .npy or .npz."
        )
    with written_whole(path) as file:
        if path.suffix == ".parquet":
            # through memory: the file must stay open until it is flushed
            file.write(table.to_parquet(index=False))
        else:
            separator = "\t" if path.suffix == ".tsv" else ","
            table.to_csv(file, index=False, sep=separator, mode="wb")


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return value
