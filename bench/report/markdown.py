"""The report's text."""

import os

from results import ORACLES, WARM


def text(results, plots):
    """The whole document. `plots` are pairs of a title and a file name beside it."""
    parts = [_head(results)]
    parts += [_plot(plots, "ready")]
    parts += [_ready(results, network) for network in results.networks]
    parts += [_ratios(results), _noise(results), _floor(results), _plot(plots, "efficiency")]
    parts += [_bytes(plots), _details(results), _failed(results), _setting(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


# MARK: - The first section


def _head(results):
    header = results.header
    grid = header.get("grid", {})
    blocks = _blocks(results)
    machine = header.get("machine", {})
    return f"""# {results.name}: how long until a pod is ready

Each time is from asking containerd for a pod, the way kubelet does, until the application in it answers: a page is
served, a port is open, a line is written, or it ends. Where the mode does not say otherwise a sample starts cold: a new
node with nothing of the image on it. The page cache is always empty. The registry is on the other side of a link of a
given speed. Each mode was measured in {blocks} {"round" if blocks == 1 else "rounds"} for each image and network, in random order within each;
nothing was left out.

- Measured at commit `{header.get("commit", "unknown")[:12]}`, {header.get("began", "unknown")}, with the {grid.get("edition", "unknown")} editions of the images.
- On {machine.get("cpu", "unknown")}, {machine.get("cores", "?")} cores, {_gib(machine.get("memory_bytes"))} of memory, Linux {header.get("kernel", "unknown")}.

The modes:

{_modes(results)}"""


def _modes(results):
    meaning = {
        "overlayfs": "containerd's own pull and unpack of the plain image",
        "stargz": "stargz-snapshotter with the eStargz image, as it is shipped",
        "stargz-optimised": "stargz-snapshotter with an image that ctr-remote has optimised for this application",
        "rivulet": "Rivulet with the eStargz image, which it has never seen before",
        "rivulet-aa": "the same again: how far two runs of the same thing differ",
        "rivulet-profile": "Rivulet, with a profile of an earlier start",
        "rivulet-warm": "Rivulet, with the content already on the node",
        "rivulet-artifact": "Rivulet with the plain image and its streaming artifact, never seen before",
        "rivulet-artifact-profile": "the same, with a profile of an earlier start",
        "rivulet-artifact-predicted":
            "the same, never seen before, where the artifact has a startup pack of what a start is likely to read",
        "rivulet-artifact-pack":
            "the same, never seen before, where the artifact has a startup pack of what a start has read",
        "local": "oracle: the image is there and unpacked; nothing can be sooner",
        "stream": "oracle: one connection fetches exactly the needed bytes in order, then the pod starts locally",
    }
    return "\n".join(f"- `{mode}`: {meaning.get(mode, 'see bench/PodReady/Modes')}" for mode in results.modes)


def _ready(results, network):
    modes = [mode for mode in results.modes if mode != "rivulet-aa"]
    rows = []
    for image in results.images:
        cells = [results.cell(network, image, mode) for mode in modes]
        times = [cell["ready_s"]["median"] for cell, mode in zip(cells, modes) if _has(cell) and _usable(mode)]
        row = [image]
        for cell, mode in zip(cells, modes):
            if cell is None:
                row.append("")
            elif not _has(cell):
                row.append("failed")
            else:
                value = seconds(cell["ready_s"]["median"])
                best = _usable(mode) and cell["ready_s"]["median"] == min(times)
                row.append((f"**{value}**" if best else value) + (f" ({cell['failed']} failed)" if cell["failed"] else ""))
        if any(cell is not None for cell in cells):
            rows.append(row)
    if not rows:
        return ""
    heads = ["image"] + [f"*{mode}*" if mode in ORACLES else mode for mode in modes]
    note = "Median seconds until ready; the soonest cold start is bold, oracles are in italics."
    return f"## Network `{network}`{_shape(network)}\n\n{note}\n\n" + table(heads, rows)


def _shape(network):
    shapes = {
        "none": "loopback, unshaped", "lan": "0.2 ms, 10 Gbit/s, 1 ms to the first byte",
        "region": "1 ms, 2 Gbit/s, 30 ms to the first byte", "shaped": "5 ms, 200 Mbit/s",
        "wan": "50 ms, 100 Mbit/s", "edge": "100 ms, 25 Mbit/s",
    }
    return f": {shapes[network]}" if network in shapes else ""


# MARK: - Comparisons

# The summary's verdict on a comparison with too few rounds.
UNTOLD = "too few blocks to tell"


def _blocks(results):
    return max((cell["samples"] for cell in results.cells), default=0)


def _ratios(results):
    ratios = [ratio for ratio in results.ratios if ratio["mode"] != "rivulet-aa" and ratio["mode"] not in ORACLES]
    # Like with like: a mode with content on the node is not compared with a cold start.
    others = [ratio for ratio in ratios if not ratio["mode"].startswith("rivulet") and ratio["than"] not in WARM]
    if not others:
        return ""
    rows = [_ratio_row(ratio) for ratio in sorted(others, key=lambda ratio: _place(results, ratio))]
    told = [ratio for ratio in others if ratio["verdict"] != UNTOLD]
    losses = [ratio for ratio in told if ratio["interval"]["high"] < 1]
    wins = [ratio for ratio in told if ratio["interval"]["low"] > 1]
    untold = len(others) - len(told)
    single = [ratio for ratio in others if ratio.get("image")]
    lines = [
        "## How many times as long as Rivulet",
        "",
        "Both modes were run in each round; what is shown is the median of the rounds' ratios with the interval that holds"
        " it with 95 % confidence (bootstrap), and for all images together the geometric mean. Above 1 Rivulet is sooner,"
        " below 1 it is later; where the interval holds 1, no difference was shown.",
        "",
        f"Of {len(single)} comparisons by image, Rivulet is sooner in {sum(1 for r in wins if r.get('image'))} and later in"
        f" {sum(1 for r in losses if r.get('image'))}."
        + (f" {untold} comparisons are of too few rounds to tell." if untold else ""),
        "",
        table(["network", "image", "what", "than", "ratio", "95 % interval", ""], rows),
        "",
        "### Where Rivulet is later",
        "",
    ]
    if losses:
        for ratio in sorted(losses, key=lambda ratio: ratio["ratio"]):
            lines.append(
                f"- {ratio.get('image') or 'all images together'} on `{ratio['network']}`: `{ratio['than']}` takes"
                f" {1 / ratio['ratio']:.2f} times as long as `{ratio['mode']}`.")
    else:
        lines.append("Nowhere, in what was measured.")
    return "\n".join(lines)


def _ratio_row(ratio):
    low, high = ratio["interval"]["low"], ratio["interval"]["high"]
    verdict = "sooner" if low > 1 else "**later**" if high < 1 else "no difference shown"
    if ratio["verdict"] == UNTOLD:
        verdict = "too few rounds to tell"
    image = ratio.get("image") or f"**all {ratio['pairs']} images**"
    return [
        ratio["network"], image, ratio["mode"], ratio["than"], f"{ratio['ratio']:.2f}", f"{low:.2f} – {high:.2f}", verdict
    ]


def _place(results, ratio):
    image = ratio.get("image")
    return (
        results.networks.index(ratio["network"]), image is not None, results.images.index(image) if image else 0,
        results.modes.index(ratio["mode"]), results.modes.index(ratio["than"]))


def _noise(results):
    ratios = [ratio for ratio in results.ratios if ratio["mode"] == "rivulet-aa"]
    if not ratios:
        return ""
    rows = [_ratio_row(ratio)[:2] + _ratio_row(ratio)[4:6] for ratio in sorted(ratios, key=lambda r: _place(results, r))]
    return (
        "## What chance alone does\n\nThe same mode twice in each round: differences of this size mean nothing.\n\n"
        + table(["network", "image", "ratio", "95 % interval"], rows))


def _floor(results):
    modes = [mode for mode in results.modes if mode not in WARM | {"rivulet-aa"}]
    rows = []
    for network in results.networks:
        for image in results.images:
            cells = [results.cell(network, image, mode) for mode in modes]
            floor = next((cell["floor_s"] for cell in cells if cell and cell.get("floor_s") is not None), None)
            if floor is None:
                continue
            row = [network, image, seconds(floor)]
            for cell in cells:
                value = cell.get("floor_efficiency") if cell else None
                row.append("" if value is None else f"{100 * value:.0f} %")
            rows.append(row)
    if not rows:
        return ""
    return (
        "## Against what is possible\n\nThe floor is the time that the same start takes with everything local, plus what"
        " the needed compressed bytes take at the link's rate, plus two round trips. Floor efficiency is the floor divided"
        " by the measured time. More than 100 % is possible only where an application computes while its next bytes come."
        " What has content on the node already is left out.\n\n"
        + table(["network", "image", "floor, s"] + modes, rows))


# MARK: - Everything else


def _plot(plots, kind):
    return "\n\n".join(f"![{title}]({name})" for title, name in plots if f".{kind}." in name)


def _bytes(plots):
    pictures = _plot(plots, "bytes")
    if not pictures:
        return ""
    return (
        "## Bytes over time\n\nWhat the node had received by when, in the round of the median; a dot is where the"
        " application was ready. The dashed line is the oracle that fetches exactly what is needed.\n\n" + pictures)


def _details(results):
    rows = []
    for network in results.networks:
        for image in results.images:
            for mode in results.modes:
                cell = results.cell(network, image, mode)
                if cell is None:
                    continue
                ready = cell.get("ready_s") or {}
                total = cell.get("bytes_total")
                got = cell.get("bytes_to_ready")
                rows.append([
                    network, image, mode, str(cell["samples"] - cell["failed"]), str(cell["failed"]),
                    seconds(ready.get("median")), seconds(ready.get("p95")), seconds(ready.get("max")),
                    seconds(cell.get("pull_s")), seconds(cell.get("complete_s")), megabytes(got),
                    "" if not total or got is None else f"{100 * got / total:.0f} %",
                    "" if cell.get("requests_to_ready") is None else f"{cell['requests_to_ready']:.0f}",
                    seconds(cell.get("daemon_cpu_s")), _mib(cell.get("daemon_rss_peak_bytes")),
                ])
    heads = [
        "network", "image", "mode", "n", "failed", "ready", "p95", "max", "pull", "complete", "MB to ready", "of the image",
        "requests", "daemon CPU", "daemon peak MiB",
    ]
    return (
        "## All figures\n\nTimes are medians in seconds where nothing else is said: ready, its 95th percentile and its"
        " maximum; the pull alone; and until every byte of the image was local, where that was waited for. Bytes and"
        " requests are those until ready. CPU and memory are the snapshotter's: containerd's own where it has none.\n\n"
        + table(heads, rows))


def _failed(results):
    if not results.failed:
        return "## Failed samples\n\nNone."
    lines = ["## Failed samples", "", "They count as failed, and are in no other figure.", ""]
    for sample in results.failed:
        reason = sample["error"].strip().split("\n")[0]
        lines.append(
            f"- {sample['image']} on `{sample['network']}`, `{sample['mode']}`, round {sample['block'] + 1}: {reason}")
    return "\n".join(lines)


def _setting(results):
    header = results.header
    rows = [["system", header.get("system", "unknown")], ["kernel", header.get("kernel", "unknown")]]
    rows += sorted([part, version] for part, version in header.get("versions", {}).items())
    seed = header.get("grid", {}).get("seed")
    if seed is not None:
        rows.append(["seed of the order", str(seed)])
    return (
        f"## Setting\n\nRaw samples: `{os.path.basename(results.path)}`, one a line. How it was measured: docs/bench.md.\n\n"
        + table(["part", "version"], rows))


# MARK: - Formats


def table(heads, rows):
    """Returns a Markdown table with words on the left and figures on the right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in [heads] + rows]
    right = [all(_figure(row[column]) for row in cells[1:]) for column in range(len(heads))]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("---:" if side else "---" for side in right) + "|")
    return "\n".join(lines)


def _figure(cell):
    plain = cell.replace("*", "").replace(" %", "").split(" ")[0]
    return plain in ("", "failed") or plain.replace(".", "").isdigit()


def seconds(value):
    return "" if value is None else f"{value:.2f}"


def megabytes(value):
    return "" if value is None else f"{value / 1e6:.1f}"


def _mib(value):
    return "" if value is None else f"{value / 2**20:.0f}"


def _gib(value):
    return "unknown" if not value else f"{value / 2**30:.0f} GiB"


def _usable(mode):
    """Returns true for a cold start that is possible in practice."""
    return mode not in ORACLES | WARM


def _has(cell):
    return cell is not None and cell.get("ready_s") is not None
