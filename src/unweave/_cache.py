"""Where things are kept between one command and the next."""

import os
from pathlib import Path

import platformdirs


def cache_folder() -> Path | None:
    """The user's folder for what can be made again, which `UNWEAVE_CACHE` names otherwise; None
    where that is empty: nothing is kept then."""
    folder = os.environ.get("UNWEAVE_CACHE", platformdirs.user_cache_dir("unweave"))
    return Path(folder) if folder else None
