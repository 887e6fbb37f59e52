#!/usr/bin/env python3
"""Checks comments and texts against the English section of docs/style.md.

Usage: english.py [--statistics] [--root DIRECTORY]

A pattern finds three kinds of fault: a documentation comment whose summary opens with a word that hides the fact, a
turn of phrase that the style guide bans, and a comment line of more than 120 columns. Directories in pending.txt are
not checked yet; a directory there that has no fault any more is a fault itself, so that the list only shrinks.
"""

import argparse
import collections
import dataclasses
import pathlib
import re
import subprocess
import sys

OPENINGS = ("What", "Whether", "That", "Who", "Where", "How", "Has", "Have")
# Each is a regular expression over words; white space in it matches a line break, too.
TURNS = (
    r"anew",
    r"as ever",
    r"of which",
    r"by itself",
    r"so many",
    r"(?:is|are|was|were) had",
    r"(?:come|comes|came) to an end",
    r"(?:let|lets) us in",
    r"what there is of (?:it|them)",
    r"as many times as long",
    r"for want of",
    r"nobody need",
    r"need be",
    r"(?:see|sees) to (?:it|that)",
    r"what (?:it|they) comes? to",
)
WIDTH = 120

COMMENT = {
    ".swift": re.compile(r"\s*(///?|\*)\s?"),
    ".c": re.compile(r"\s*(///?|/\*\*?|\*)\s?"),
    ".h": re.compile(r"\s*(///?|/\*\*?|\*)\s?"),
    ".go": re.compile(r"\s*(//)\s?"),
}
HASH = re.compile(r"\s*(#)\s?")
TEXTS = (".swift", ".c", ".h", ".go", ".py", ".sh", ".toml", ".service", ".socket", ".yml", ".yaml")
DOCSTRING = re.compile(r'^\s*"""(\w+)')
TURN = re.compile(r"\b(?:" + "|".join(turn.replace(" ", r"\s+") for turn in TURNS) + r")\b", re.IGNORECASE)

ROOTS = ("Package.swift", "Makefile", "Sources", "Tests", "bench", "deploy", "systemd")
# Generated, or data. Files in bench/images name cached images by their bytes. Tests/Lint has the banned words in it.
SKIPPED = ("Sources/Platform/ContainerdAPI/", "bench/results/", "bench/images/", "Tests/Lint/")


@dataclasses.dataclass(frozen=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


@dataclasses.dataclass
class Block:
    """Adjacent lines that are read as one text: a comment, or one line of code with the texts in it."""

    line: int
    mark: str
    lines: list

    @property
    def text(self):
        return "\n".join(self.lines)


def blocks(path, text):
    """Splits a file into comments and lines of code."""
    comment = COMMENT.get(pathlib.PurePath(path).suffix, HASH)
    result = []
    for number, line in enumerate(text.splitlines(), 1):
        match = comment.match(line)
        mark = match.group(1) if match else ""
        rest = line[match.end():] if match else line
        if mark and result and result[-1].mark == mark and result[-1].line + len(result[-1].lines) == number:
            result[-1].lines.append(rest)
        else:
            result.append(Block(number, mark, [rest]))
    return result


def summaries(path, text):
    """Yields the line and the first word of each documentation comment's summary."""
    if path.endswith(".py"):
        for number, line in enumerate(text.splitlines(), 1):
            if match := DOCSTRING.match(line):
                yield number, match.group(1)
        return
    for block in blocks(path, text):
        if block.mark in ("///", "/**"):
            words = block.text.split(maxsplit=1)
            if words:
                yield block.line, words[0]


def check(path, text):
    """Returns the faults of one file, in the order of their lines."""
    findings = []
    for line, word in summaries(path, text):
        if word.rstrip(",:") in OPENINGS:
            findings.append(Finding(path, line, f'summary opens with "{word}": use a verb or a noun phrase'))
    for block in blocks(path, text):
        for match in TURN.finditer(block.text):
            line = block.line + block.text.count("\n", 0, match.start())
            findings.append(Finding(path, line, f'banned turn "{" ".join(match.group().split())}"'))
    comment = COMMENT.get(pathlib.PurePath(path).suffix, HASH)
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > WIDTH and comment.match(line):
            findings.append(Finding(path, number, f"comment line of {len(line)} columns, {WIDTH} at most"))
    return sorted(findings, key=lambda finding: finding.line)


def module(path):
    """Returns the directory that stands for a file in the statistics and in pending.txt."""
    parts = path.split("/")
    depth = {"Sources": 3, "Tests": 2, "bench": 2}.get(parts[0], 1)
    return "/".join(parts[:depth] if len(parts) > depth else parts[:-1] or parts)


def files(root):
    """Yields path and text of each file that is checked."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-z", "--", *ROOTS], check=True, capture_output=True, text=True)
    for path in filter(None, listed.stdout.split("\0")):
        file = root / path
        if path.startswith(SKIPPED) or not file.is_file():
            continue
        if file.suffix in TEXTS or file.name == "Makefile":
            yield path, file.read_text(encoding="utf-8")
        elif not file.suffix:
            text = file.read_text(encoding="utf-8", errors="ignore")
            if text.startswith("#!"):
                yield path, text


def pending(text):
    """Returns the directories in pending.txt, without comments."""
    lines = (line.split("#")[0].strip() for line in text.splitlines())
    return [line.rstrip("/") for line in lines if line]


def is_below(path, directory):
    return path == directory or path.startswith(directory + "/")


def judge(found, directories):
    """Returns the faults outside `directories`, and those of `directories` that have none."""
    left = [one for one in found if not any(is_below(one.path, directory) for directory in directories)]
    clean = [d for d in directories if not any(is_below(one.path, d) for one in found)]
    return left, clean


def statistics(sources):
    """Prints the share of summaries that open with a banned word, a line each module."""
    counts = collections.defaultdict(lambda: [0, 0])
    for path, text in sources:
        for _, word in summaries(path, text):
            counts[module(path)][0] += 1
            counts[module(path)][1] += word.rstrip(",:") in OPENINGS
    total = [sum(count[index] for count in counts.values()) for index in (0, 1)]
    for name, (all_, bad) in sorted(counts.items()) + [("all", total)]:
        print(f"{bad:5} of {all_:5} {100 * bad / max(1, all_):5.1f} %  {name}")


def main():
    parser = argparse.ArgumentParser(description="Check comments and texts against docs/style.md.")
    parser.add_argument("--statistics", action="store_true", help="print the share of faulty summaries by module")
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parents[2])
    arguments = parser.parse_args()
    sources = list(files(arguments.root))
    if arguments.statistics:
        statistics(sources)
        return 0
    directories = pending((pathlib.Path(__file__).parent / "pending.txt").read_text(encoding="utf-8"))
    left, clean = judge([finding for path, text in sources for finding in check(path, text)], directories)
    for finding in left:
        print(finding)
    for directory in clean:
        print(f"Tests/Lint/pending.txt: {directory} has no fault any more: delete its line")
    if left or clean:
        print(f"{len(left) + len(clean)} faults of style: see docs/style.md")
    return 1 if left or clean else 0


if __name__ == "__main__":
    sys.exit(main())
