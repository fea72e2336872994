"""Equations: written as text or as a function, solved, fitted, analysed.

Every name is imported when it is first asked for: SymPy, diffrax and numpyro's samplers take
seconds that whoever fits a network need not wait for.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
