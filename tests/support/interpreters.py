"""Several interpreters in one process: what a script of `run_python` begins with."""

# create(own_gil) makes one, run(interpreter, code) runs code in it and fails where that does,
# destroy(interpreter) ends it.
INTERPRETERS = """
    import builtins, os, sys
    try:
        import _interpreters
        create = lambda own_gil=False: _interpreters.create("isolated" if own_gil else "legacy")
    except ImportError:
        import _xxsubinterpreters as _interpreters
        if sys.version_info >= (3, 12):
            create = lambda own_gil=False: _interpreters.create(isolated=own_gil)
        else:
            create = lambda own_gil=False: _interpreters.create()
    destroy = _interpreters.destroy

    def run(interpreter, code):
        failed = _interpreters.run_string(interpreter, code)
        assert failed is None, failed
"""
