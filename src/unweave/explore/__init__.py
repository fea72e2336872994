"""The explorer: latents become sliders on a page of this machine.

Every name is imported when it is first asked for: the server is an extra, and the models and
answers need none of it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
