"""Equations of which a part is learned: hybrids, neural equations, and solvers as networks.

Every name is imported when it is first asked for, as those of `equations` are.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
