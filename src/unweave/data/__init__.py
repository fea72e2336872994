"""Signals and datasets: reading, cutting, splitting, scaling, and worlds with known factors.

The names are in `__init__.pyi` and imported when first asked for: a network needs no pandas, and
a table no filters.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
