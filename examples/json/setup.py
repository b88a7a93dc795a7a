"""Builds hpyjson: python setup.py --hpy-abi=universal build_ext --inplace"""

from setuptools import Extension, setup

setup(
    name="hpyjson",
    version="1.0",
    hpy_ext_modules=[
        Extension(
            "hpyjson",
            sources=[
                "json_init.c",
                "json_module.c",
                "json_decoder.c",
                "json_object.c",
                "json_string.c",
                "json_encoder.c",
                "json_writer.c",
                "json_text.c",
            ],
            depends=["json.h"],
        )
    ],
    setup_requires=["hpy"],
)
