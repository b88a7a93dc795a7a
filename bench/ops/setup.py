"""Builds the module `ops` with HPy 0.9: `setup.py --hpy-abi=ABI build_ext`."""

from setuptools import Extension, setup

setup(
    name="ops",
    hpy_ext_modules=[Extension("ops", sources=["ops.c"], extra_compile_args=["-O2", "-g"])],
    setup_requires=["hpy"],
)
