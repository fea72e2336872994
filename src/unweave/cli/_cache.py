"""Compiled programs, kept in the user's cache folder from one command to the next."""

import jax

from .._cache import cache_folder


def use_compilation_cache() -> None:
    """Sets JAX's persistent cache; `UNWEAVE_CACHE` names another folder, or is empty for none.

    The command line does this for itself; a program that imports unweave decides for itself.
    """
    folder = cache_folder()
    if folder is None:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
