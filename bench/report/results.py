"""The contents of a results file and its summary, from `PodReady grid` and `PodReady summary`."""

import json
import os


class ResultsError(Exception):
    """A missing or malformed results file."""


# From fast to slow.
NETWORKS = ["none", "lan", "region", "shaped", "wan", "edge"]
# In the order of the report. Others follow.
MODES = [
    "overlayfs", "stargz", "stargz-optimised", "rivulet", "rivulet-aa", "rivulet-unpredicted", "rivulet-profile",
    "rivulet-warm", "rivulet-artifact", "rivulet-artifact-profile", "rivulet-artifact-pack",
    "local", "stream",
]
# These are bounds, not usable in practice.
ORACLES = {"local", "stream"}
# These have content on the node before the pod is requested. Statements about cold starts exclude them.
WARM = {"local", "rivulet-warm"}


class Results:
    """The header, the samples, and the summary's cells and ratios."""

    def __init__(self, path):
        self.path = path
        self.base = path.removesuffix(".jsonl")
        self.name = os.path.basename(self.base)
        records = list(_lines(path))
        headers = [record for record in records if record.get("record") == "header"]
        if not headers:
            raise ResultsError(f"{path} has no header")
        self.header = headers[-1]
        self.samples = [record for record in records if record.get("record") == "sample"]
        self.needs = {record["image"]: record for record in records if record.get("record") == "needs"}
        summary = _summary(f"{self.base}.summary.json")
        self.cells = summary.get("cells", [])
        self.ratios = summary.get("ratios", [])
        if sum(cell["samples"] for cell in self.cells) != len(self.samples):
            raise ResultsError(f"{self.base}.summary.json is not of {path} as it is now: run PodReady summary {path}")

    @property
    def networks(self):
        return _ordered({cell["network"] for cell in self.cells}, NETWORKS)

    @property
    def modes(self):
        return _ordered({cell["mode"] for cell in self.cells}, MODES)

    @property
    def images(self):
        """Returns them in the requested order, as far as it is known."""
        return _ordered({cell["image"] for cell in self.cells}, self.header.get("grid", {}).get("images", []))

    def cell(self, network, image, mode):
        """Returns the summary of some samples, or None without samples."""
        for cell in self.cells:
            if (cell["network"], cell["image"], cell["mode"]) == (network, image, mode):
                return cell
        return None

    def of(self, network, image, mode):
        """Returns the successful samples."""
        return [
            sample for sample in self.samples
            if (sample["network"], sample["image"], sample["mode"]) == (network, image, mode) and not sample["error"]
        ]

    def typical(self, network, image, mode):
        """Returns the sample with the median time until ready, the lower of two; None without samples."""
        samples = sorted(self.of(network, image, mode), key=lambda sample: sample["ready_s"])
        return samples[(len(samples) - 1) // 2] if samples else None

    @property
    def failed(self):
        return [sample for sample in self.samples if sample["error"]]


def _lines(path):
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            # The last line of an interrupted run may be incomplete.
            if number == len(lines):
                continue
            raise ResultsError(f"{path}, line {number}: {error}") from error
        if not isinstance(record, dict):
            raise ResultsError(f"{path}, line {number} is no record")
        yield record


def _summary(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except OSError as error:
        raise ResultsError(f"{path}: {error.strerror}; PodReady summary writes it") from error
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path}: {error}") from error


def _ordered(names, order):
    known = {name: place for place, name in enumerate(order)}
    # A network's name may have suffixes with changes: "shaped/loss".
    return sorted(names, key=lambda name: (known.get(name, known.get(name.split("/")[0], len(known))), name))
