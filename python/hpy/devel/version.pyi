"""Version of hpy; the build makes the module from cmake/version.py.in."""

__version__: str
__git_revision__: str
