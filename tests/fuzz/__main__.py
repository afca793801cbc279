"""`python -m tests.fuzz TARGET [libFuzzer's options]`: atheris, until it finds something or is stopped.

Needs `pip install atheris`, which is not among the dependencies. A finding is written to a file; give it in
place of options to run it again, then make it an example of the test beside this.
"""

import sys

from tests.fuzz.seeds import seeds
from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz one target."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {{{','.join(TARGETS)}}} [options of libFuzzer]")
    import tempfile
    from pathlib import Path

    import atheris

    name = sys.argv.pop(1)
    target = atheris.instrument_func(TARGETS[name])
    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(seeds()[name]):
            (Path(corpus) / str(number)).write_bytes(seed)
        # No input may take more than two seconds, or more than so much memory.
        options = ["-timeout=2", "-rss_limit_mb=2048", "-max_len=65536", corpus]
        atheris.Setup([sys.argv[0], *sys.argv[1:], *options], lambda content: target(content) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
