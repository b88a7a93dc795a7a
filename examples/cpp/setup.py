"""Builds wordcount: python setup.py --hpy-abi=universal build_ext --inplace"""

from setuptools import Extension, setup

setup(
    name="wordcount",
    version="1.0",
    hpy_ext_modules=[
        Extension(
            "wordcount",
            sources=["wordcount.cpp"],
            depends=["handle.h"],
            extra_compile_args=["-std=c++11"],
        )
    ],
    setup_requires=["hpy"],
)
