"""What does not fit: scores of strangeness, from models and baselines alike, with p-values.

The names are in `__init__.pyi` and imported when first asked for: a classifier needs no
isolation forest.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
