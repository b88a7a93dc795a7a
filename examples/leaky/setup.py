"""Builds both leaking extensions: python setup.py --hpy-abi=universal build_ext --inplace"""

from setuptools import Extension, setup

JSON = ("json_module", "json_decoder", "json_string", "json_encoder", "json_writer", "json_text")

setup(
    name="leaky",
    version="1.0",
    hpy_ext_modules=[
        Extension("snippets", sources=["snippets.c"]),
        Extension(
            "leaky_json",
            sources=["leaky_json.c", *(f"../json/{name}.c" for name in JSON)],
            depends=["../json/json.h"],
        ),
    ],
    setup_requires=["hpy"],
)
