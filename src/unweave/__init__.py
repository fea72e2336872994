"""unweave: equations and networks, one kind of model.

The shop window: every public name, imported when it is first asked for, so that `import
unweave` costs nothing and a command that only prints its help never loads JAX. The names and
where they live are in `__init__.pyi`, which type checkers read as well.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
