"""Measures of a fitted model.

The names are in `__init__.pyi` and imported when first asked for: a fit needs no boosted trees.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
