"""The list of benchmarks, and a way to run one of them with all its options; `kexue bench` runs all beside peers.

python -m kexue.benchmarks                    list them
python -m kexue.benchmarks NAME [OPTIONS]     one; `--help` shows its options
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path

from kexue.errors import unknown

FOLDER = Path(__file__).parent


def summaries() -> dict[str, str]:
    """The name of every benchmark and the sentence its module opens with; nothing is imported."""
    paths = sorted(path for path in FOLDER.glob("[!_]*.py") if "def main(" in path.read_text("utf-8"))
    docstrings = {path.stem: ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "" for path in paths}
    return {name: docstring.splitlines()[0] for name, docstring in docstrings.items()}


def main(arguments: list[str]) -> None:
    """List the benchmarks, or run the one that is named."""
    known = summaries()
    if not arguments or arguments[0] in ("-h", "--help"):
        print(__doc__)
        print("\n".join(f"    {name:16}{summary}" for name, summary in known.items()))
        return
    name, *options = arguments
    if name not in known:
        raise SystemExit(unknown("benchmark", name, tuple(known)))
    import_module(f"kexue.benchmarks.{name}").main(options)


if __name__ == "__main__":
    main(sys.argv[1:])
