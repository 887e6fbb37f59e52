"""python3 -m unittest discover -s bench/report"""

import json
import os
import statistics
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import markdown  # noqa: E402
import report  # noqa: E402
from results import Results, ResultsError  # noqa: E402

# Seconds until ready by network, image and mode: one for each round; None for a sample that failed.
READY = {
    ("lan", "nginx", "overlayfs"): [4.0, 4.2, 4.4],
    ("lan", "nginx", "rivulet"): [2.0, 2.0, 2.0],
    ("lan", "nginx", "rivulet-aa"): [2.0, 2.1, 2.0],
    ("lan", "nginx", "stream"): [1.5, 1.5, 1.5],
    ("lan", "big-file", "overlayfs"): [10.0, 10.0, 10.0],
    ("lan", "big-file", "rivulet"): [12.0, 12.5, 13.0],
    ("wan", "nginx", "overlayfs"): [30.0, 31.0, 30.0],
    ("wan", "nginx", "rivulet"): [3.0, None, 5.0],
}


def make(directory):
    """Writes a grid's results and summary in the format of the bench and returns the path."""
    header = {
        "record": "header", "name": "test", "commit": "0123456789abcdef", "began": "2026-01-01T00:00:00Z",
        "kernel": "6.1", "system": "Debian", "machine": {"cpu": "A processor", "cores": 2, "memory_bytes": 8 << 30},
        "versions": {"containerd": "1.6"}, "grid": {"edition": "small", "images": ["nginx", "big-file"], "seed": 7},
    }
    records, cells = [header], []
    for (network, image, mode), times in READY.items():
        key = {"image": image, "edition": "small", "network": network, "mode": mode}
        for block, time in enumerate(times):
            sample = key | {"record": "sample", "block": block, "floor_s": 1.0, "bytes_total": 100_000_000}
            if time is None:
                sample |= {"error": "rivulet: no pod\nthe end of a log", "ready_s": None, "timeline": []}
            else:
                sample |= {
                    "error": None, "ready_s": time, "bytes_to_ready": 20_000_000,
                    "timeline": [[time * part / 9, 2_000_000 * part] for part in range(10)] + [[4 * time, 100_000_000]],
                }
            records.append(sample)
        good = [time for time in times if time is not None]
        spread = {"median": statistics.median(good), "p95": max(good), "max": max(good), "interval": {"low": 0, "high": 9}}
        cells.append(key | {
            "samples": len(times), "failed": len(times) - len(good), "ready_s": spread, "floor_s": 1.0,
            "floor_efficiency": 1 / spread["median"], "bytes_to_ready": 2e7, "bytes_total": 1e8, "requests_to_ready": 12.0,
        })

    def ratio(network, image, mode, value, low, high, pairs=3, verdict="as the interval says"):
        return {
            "verdict": verdict,
            "network": network, "edition": "small", "mode": mode, "than": "rivulet", "pairs": pairs, "ratio": value,
            "interval": {"low": low, "high": high},
        } | ({"image": image} if image else {})

    ratios = [
        ratio("lan", "nginx", "overlayfs", 2.1, 2.0, 2.2), ratio("lan", "big-file", "overlayfs", 0.8, 0.77, 0.83),
        ratio("wan", "nginx", "overlayfs", 8.0, 0.9, 10.0, 2), ratio("lan", None, "overlayfs", 1.3, 1.2, 1.4, 2),
        ratio("lan", "nginx", "rivulet-aa", 1.01, 0.98, 1.03), ratio("lan", "nginx", "stream", 0.75, 0.74, 0.76),
    ]
    path = os.path.join(directory, "test.jsonl")
    with open(path, "w") as file:
        file.write("\n".join(json.dumps(record) for record in records) + "\n")
    with open(os.path.join(directory, "test.summary.json"), "w") as file:
        json.dump({"header": header, "cells": cells, "ratios": ratios}, file)
    return path


class ReportTests(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.path = make(scratch.name)

    def text(self):
        return markdown.text(Results(self.path), [])

    def line(self, *parts):
        """Returns the only line of the report that contains all parts."""
        found = [line for line in self.text().split("\n") if all(part in line for part in parts)]
        self.assertEqual(len(found), 1, f"{parts}: {found}")
        return found[0]

    def test_orders_as_asked(self):
        results = Results(self.path)
        self.assertEqual(results.networks, ["lan", "wan"])
        self.assertEqual(results.images, ["nginx", "big-file"])
        self.assertEqual(results.modes, ["overlayfs", "rivulet", "rivulet-aa", "stream"])

    def test_main_table_marks_the_best_and_what_failed(self):
        self.assertIn("| nginx | 4.20 | **2.00** | 1.50 |", self.text())
        self.assertIn("| big-file | **10.00** | 12.50 |  |", self.text())
        self.assertIn("| nginx | 30.00 | **4.00** (1 failed) |  |", self.text())

    def test_losses_are_as_plain_as_wins(self):
        self.assertIn("Of 3 comparisons by image, Rivulet is sooner in 1 and later in 1.", self.text())
        self.assertIn("**later**", self.line("| lan | big-file | overlayfs | rivulet | 0.80 |"))
        self.assertIn("no difference shown", self.line("| wan | nginx | overlayfs | rivulet |"))
        self.assertIn("`rivulet` takes 1.25 times as long as `overlayfs`", self.line("- big-file on `lan`"))

    def test_too_few_rounds_tell_nothing(self):
        results = Results(self.path)
        results.ratios = [ratio | {"verdict": markdown.UNTOLD} for ratio in results.ratios]
        text = markdown.text(results, [])
        self.assertIn("Rivulet is sooner in 0 and later in 0. 4 comparisons are of too few rounds to tell.", text)
        self.assertNotIn("**later**", text)

    def test_oracles_are_not_compared_as_if_one_could_use_them(self):
        self.assertNotIn("| stream | rivulet |", self.text())

    def test_chance_has_its_own_table(self):
        self.assertEqual(self.line("| 1.01 |"), "| lan | nginx | 1.01 | 0.98 – 1.03 |")

    def test_floor_efficiency(self):
        self.assertIn("| lan | nginx | 1.00 | 24 % | 50 % | 67 % |", self.text())

    def test_failed_samples_tell_why(self):
        self.assertEqual(self.line("round 2"), "- nginx on `wan`, `rivulet`, round 2: rivulet: no pod")

    def test_typical_is_the_lower_median(self):
        self.assertEqual(Results(self.path).typical("wan", "nginx", "rivulet")["ready_s"], 3.0)

    def test_refuses_a_summary_of_something_else(self):
        with open(self.path, "a") as file:
            file.write(json.dumps({"record": "sample", "image": "nginx", "network": "lan", "mode": "rivulet", "error": None}))
            file.write("\n")
        with self.assertRaisesRegex(ResultsError, "run PodReady summary"):
            Results(self.path)

    def test_half_a_last_line_is_no_error_but_one_before_is(self):
        with open(self.path, "a") as file:
            file.write('{"record": "sam')
        self.assertEqual(len(Results(self.path).samples), 24)
        with open(self.path, "a") as file:
            file.write('\n{"record": "other"}\n')
        with self.assertRaisesRegex(ResultsError, "line 26"):
            Results(self.path)

    def test_missing_files_are_named(self):
        with self.assertRaisesRegex(ResultsError, "nothing.jsonl"):
            Results("/nonexistent/nothing.jsonl")
        self.assertEqual(report.main(["/nonexistent/nothing.jsonl"]), 1)
        self.assertEqual(report.main([]), 64)

    def test_pictures(self):
        try:
            import matplotlib  # noqa: F401
        except ImportError:
            self.skipTest("python3-matplotlib is not installed")
        self.assertEqual(report.main([self.path]), 0)
        base = self.path.removesuffix(".jsonl")
        with open(f"{base}.md") as file:
            text = file.read()
        for name in ["ready", "efficiency", "bytes.lan", "bytes.wan"]:
            self.assertIn(f"(test.{name}.png)", text)
            with open(f"{base}.{name}.png", "rb") as file:
                self.assertEqual(file.read(4), b"\x89PNG")


if __name__ == "__main__":
    unittest.main()
