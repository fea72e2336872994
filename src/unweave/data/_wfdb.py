"""The wfdb library, imported when a record or a peak is asked for: it takes half a second."""

import importlib
import warnings
from typing import Any


def wfdb() -> Any:
    """The module `wfdb`, with its `processing`."""
    with warnings.catch_warnings():
        # wfdb 4.3 uses, when it is imported, what pandas 3 deprecates
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", FutureWarning)
        importlib.import_module("wfdb.processing")
        return importlib.import_module("wfdb")
