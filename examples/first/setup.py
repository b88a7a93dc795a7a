"""Builds words: python setup.py --hpy-abi=universal build_ext --inplace"""

from setuptools import Extension, setup

setup(
    name="words",
    version="1.0",
    hpy_ext_modules=[Extension("words", sources=["words.c"])],
)
