"""Where many fits run: in this process, in processes of this machine, or on a Ray cluster."""

from ._places import HERE as HERE
from ._places import Here as Here
from ._places import OnRay as OnRay
from ._places import Place as Place
from ._places import Processes as Processes
from ._ray import connected as connected
from ._spread import Lost as Lost
from ._spread import spread as spread
