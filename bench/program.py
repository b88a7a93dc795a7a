"""A whole program, examples/json on the data of iso-codes: a sample for each line that it reads.

    python program.py MODE BINARY [--samples N]

Prints each as a line of JSON, {part: milliseconds}. Runs with this package or with HPy 0.9. A
sample decodes five megabytes, encodes what came out, and streams it through Writer; the texts are
made before.
"""

from __future__ import annotations

import argparse
import gc
import io
import sys
import time
from pathlib import Path
from typing import Any, Callable

import worker

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "examples" / "json"))

MEGABYTES = 5


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return (time.perf_counter() - start) * 1e3, result


def _stream(module: Any, values: list[Any]) -> int:
    """Items of the first level one by one, as a program does that never has the whole in memory."""
    size = 0
    for value in values:
        file = io.StringIO()
        with module.Writer(file, ensure_ascii=False) as writer:
            writer.begin_list()
            for item in value.items() if isinstance(value, dict) else value:
                writer.write(list(item) if isinstance(item, tuple) else item)
            writer.end()
        size += len(file.getvalue())
    return size


def sample(module: Any, texts: list[str]) -> dict[str, float]:
    decoding, values = _timed(lambda: [module.loads(text) for text in texts])
    encoding, _ = _timed(lambda: [module.dumps(v, ensure_ascii=False) for v in values])
    streaming, _ = _timed(lambda: _stream(module, values))
    return {
        "loads": decoding,
        "dumps": encoding,
        "Writer": streaming,
        "all three": decoding + encoding + streaming,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("mode")
    parser.add_argument("binary")
    parser.add_argument("--samples", type=int, default=3)
    options = parser.parse_args()
    worker.stay()
    import run_iso_codes

    texts = [text for _, text in run_iso_codes.documents(MEGABYTES * 1_000_000)]
    module = worker.load(options.mode, options.binary, "hpyjson")
    gc.disable()
    sample(module, texts)
    worker.answer(sample(module, texts) for _ in range(options.samples))


if __name__ == "__main__":
    main()
