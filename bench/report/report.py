#!/usr/bin/python3
"""Writes a report of a results file: Markdown and plots beside it.

    report.py RESULTS.jsonl

RESULTS.summary.json, which PodReady summary writes, must be there. The figures all come from these two.
"""

import os
import sys

# Leave no files in the source tree.
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import markdown  # noqa: E402
from results import Results, ResultsError  # noqa: E402


def main(arguments):
    if len(arguments) != 1 or not arguments[0].endswith(".jsonl"):
        print("usage: report.py RESULTS.jsonl", file=sys.stderr)
        return 64
    try:
        results = Results(arguments[0])
    except ResultsError as error:
        print(f"report.py: {error}", file=sys.stderr)
        return 1
    try:
        import plots
    except ImportError as error:
        print(f"report.py: {error}: Debian's python3-matplotlib is missing (deploy/debian-deps bench)", file=sys.stderr)
        return 1
    with open(f"{results.base}.md", "w", encoding="utf-8") as file:
        file.write(markdown.text(results, plots.draw(results)))
    print(f"{results.base}.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
