"""The model file, which says what a model is, and the checkpoint, which holds only its numbers.

Both are files of hashed tensors: one that was changed, cut or swapped is refused.
"""

import os
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ._describe import describe, rebuild
from ._model import AbstractDecoder
from ._schema import Schema
from ._tensors import ModelFileError, read_with_digest, write_tensors
from ._version import __version__

FORMAT = 1


@dataclass(frozen=True)
class ModelFile:
    """What a model file held; `digest` is the SHA-256 of the file."""

    model: eqx.Module
    schema: Schema | None
    notes: dict[str, Any]
    digest: str


def save_model(
    path: str | os.PathLike,
    model: eqx.Module,
    *,
    schema: Schema | None = None,
    notes: dict[str, Any] | None = None,
) -> str:
    """Writes a model to a file that `load_model` gives back to the bit, and returns the file's
    SHA-256.

    **Arguments:** `schema`, what the model's observations are; `notes`, any dict of numbers,
    text, lists and arrays, such as how the model was fitted.

    **Raises:** `ModelFileError` if the model holds something that a file cannot, such as a
    function which is not in the list of this module. What `path` held before is then untouched.
    """
    tensors: dict[str, np.ndarray] = {}
    header = {
        "kind": "model",
        "format": FORMAT,
        "versions": {
            "unweave": __version__,
            "equinox": version("equinox"),
            "jax": version("jax"),
            "numpy": version("numpy"),
        },
        "latents": _describe_latents(model),
        "schema": describe(schema, "schema", tensors),
        "notes": describe(notes or {}, "notes", tensors),
        "model": describe(model, "model", tensors),
    }
    return write_tensors(path, tensors, header)


def load_model(path: str | os.PathLike) -> ModelFile:
    """The model of a file that `save_model` wrote.

    **Raises:** `ModelFileError` with a sentence if the file was changed, cut or swapped, comes
    from a newer unweave, or names anything but the classes and functions that it may;
    `OSError` where there is no such file.
    """
    tensors, header, digest = read_with_digest(path)
    _check_header(header, "model", path)
    unused = dict(tensors)
    try:
        model = rebuild(header["model"], unused)
        schema = rebuild(header["schema"], unused)
        notes = rebuild(header["notes"], unused)
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        # `error` may come from a class's own check of what it was given
        raise ModelFileError(f"{path} cannot be turned into a model: {error}") from error
    right = isinstance(model, eqx.Module) and isinstance(notes, dict)
    if unused or not right or not isinstance(schema, Schema | None):
        raise ModelFileError(
            f"{path} cannot be turned into a model: its header and its {len(tensors)} tensors "
            "do not fit together."
        )
    return ModelFile(model, schema, notes, digest)


def _check_header(header: dict, kind: str, path: str | os.PathLike) -> None:
    """Raises `ModelFileError` if a file is of another kind or of a newer format."""
    found = header.get("kind")
    if found != kind:
        raise ModelFileError(f"{path} is a file of kind '{found}', and a {kind} is needed.")
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{path} is in format {header.get('format')}, and unweave {__version__} reads "
            f"format {FORMAT}; install the unweave that wrote it or a newer one."
        )


def _describe_latents(model: eqx.Module) -> list[dict[str, str]]:
    """For people who open the file; the model itself is in the tree."""
    if not isinstance(model, AbstractDecoder):
        return []
    latents = model.latents
    return [
        {"name": name, "unit": unit, "prior": f"{prior.family}{prior.parameters}"}
        for name, unit, prior in zip(latents.names, latents.units, latents.priors, strict=True)
    ]


def save_leaves(path: str | os.PathLike, tree: Any, header: dict[str, Any]) -> str:
    """Writes the numbers of any pytree, such as an optimiser's state, and returns the file's
    SHA-256; its structure and functions are not kept.

    **Arguments:** `tree`, whose leaves are arrays, random keys, Python numbers, and functions,
    which are left out; `header`, as the notes of `save_model`.
    """
    numbers = [leaf for leaf in _named_leaves(tree) if _is_number(leaf[1])]
    tensors = {name: _plain_array(leaf) for name, leaf in numbers}
    about = {
        "kind": "checkpoint",
        "format": FORMAT,
        "order": list(tensors),
        "header": describe(header, "header", tensors),
    }
    return write_tensors(path, tensors, about)


def load_leaves(path: str | os.PathLike, template: Any) -> tuple[Any, dict[str, Any]]:
    """A tree like `template` with the numbers of a checkpoint, and the checkpoint's header.

    **Raises:** `ModelFileError` if the file was changed, or if its numbers do not fit the
    template: another name, shape or type somewhere; `OSError` where there is no such file.
    """
    tensors, about, _ = read_with_digest(path)
    _check_header(about, "checkpoint", path)
    header = rebuild(about["header"], tensors)
    named = _named_leaves(template)
    wanted = [name for name, leaf in named if _is_number(leaf)]
    odd = sorted(set(wanted) ^ set(tensors))
    if odd or about["order"] != wanted:
        raise ModelFileError(
            f"{path} holds {len(tensors)} arrays and {len(wanted)} are needed; the first that "
            f"differs is '{odd[0] if odd else 'their order'}'. It belongs to another model or "
            "optimiser: resume with the settings that wrote it."
        )
    leaves = [
        _like(tensors[name], leaf, f"{path}: '{name}'") if _is_number(leaf) else leaf
        for name, leaf in named
    ]
    return jax.tree.unflatten(jax.tree.structure(template), leaves), header


def _named_leaves(tree: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return [(jax.tree_util.keystr(path) or "tree", leaf) for path, leaf in leaves]


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float)


def _is_random_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain_array(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_random_key(leaf) else leaf)


def _like(array: np.ndarray, leaf: Any, place: str) -> Any:
    """`array` as what `leaf` is: a JAX or NumPy array, a random key or a Python number."""
    model = _plain_array(leaf)
    if (array.shape, array.dtype) != (model.shape, model.dtype):
        raise ModelFileError(
            f"{place} is {array.dtype}{list(array.shape)} and {model.dtype}{list(model.shape)} "
            "is needed; resume with the settings that wrote the file."
        )
    if _is_random_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array):
        return jnp.asarray(array)
    return array if isinstance(leaf, np.ndarray) else type(leaf)(array[()])
