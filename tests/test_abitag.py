"""Names of binary files: hpy.devel.abitag."""

import sys
from typing import Optional

import pytest

from hpy.devel import abitag
from support import tree

SUFFIXES = [
    (".cpython-38-x86_64-linux-gnu.so", "cp38", "so"),
    (".cpython-38d-x86_64-linux-gnu.so", "cp38d", "so"),
    (".cpython-310-darwin.so", "cp310", "so"),
    (".cpython-313t-aarch64-linux-gnu.so", "cp313t", "so"),
    (".cp310-win_amd64.pyd", "cp310", "pyd"),
    (".cp39-win32.pyd", "cp39", "pyd"),
    (".pypy38-pp73-x86_64-linux-gnu.so", "pypy38-pp73", "so"),
    (".graalpy-38-native-x86_64-darwin.dylib", "graalpy-38-native", "dylib"),
    (".other-1-2-3.so", "other-1-2-3", "so"),
]


@pytest.mark.parametrize(("ext_suffix", "tag", "ext"), SUFFIXES)
def test_suffixes_of_interpreters(ext_suffix: str, tag: str, ext: str) -> None:
    assert abitag.parse_ext_suffix(ext_suffix) == (tag, ext)
    assert abitag.get_hpy_ext_suffix("universal", ext_suffix) == f".hpy0.{ext}"
    assert abitag.get_hpy_ext_suffix("hybrid", ext_suffix) == f".hpy0-{tag}.{ext}"


@pytest.mark.promise("ABI-14")
def test_this_interpreter() -> None:
    major, minor = sys.version_info[:2]
    assert abitag.parse_ext_suffix()[0].startswith(f"cp{major}{minor}")
    for abi in ("universal", "hybrid"):
        assert abitag.get_hpy_ext_suffix(abi) == tree.extension_suffix(abi)


@pytest.mark.promise("ABI-05")
@pytest.mark.parametrize("ext_suffix", [None, ".pypy38-pp73-x86_64-linux-gnu.so"])
def test_cpython_is_always_the_suffix_of_this_interpreter(ext_suffix: Optional[str]) -> None:
    assert abitag.get_hpy_ext_suffix("cpython", ext_suffix) == tree.EXT_SUFFIX


def test_unknown_abi() -> None:
    with pytest.raises(AssertionError, match="no HPy ABI 'unheard-of'"):
        abitag.get_hpy_ext_suffix("unheard-of")


@pytest.mark.parametrize("ext_suffix", ["", "so", ".so", "..so", ".a.b.so", "cpython-38.so"])
def test_a_suffix_without_a_tag_serves_universal_only(ext_suffix: str) -> None:
    for function in (
        abitag.parse_ext_suffix,
        lambda suffix: abitag.get_hpy_ext_suffix("hybrid", suffix),
    ):
        with pytest.raises(ValueError, match="has no ABI tag"):
            function(ext_suffix)
    if ext_suffix.endswith("so"):
        assert abitag.get_hpy_ext_suffix("universal", ext_suffix) == ".hpy0.so"


@pytest.mark.promise("ABI-12")
def test_version_agrees_with_the_headers() -> None:
    header = (tree.INCLUDE / "hpy" / "abi_choice.h").read_text()
    assert f"#define HPY_ABI_VERSION {abitag.HPY_ABI_VERSION}\n" in header
    assert f"#define HPY_ABI_VERSION_MINOR {abitag.HPY_ABI_VERSION_MINOR}\n" in header
    assert f'#define HPY_ABI_TAG "{abitag.HPY_ABI_TAG}"' in header
