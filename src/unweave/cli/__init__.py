"""The command line: `unweave VERB ...`."""

from ._parser import main as main
