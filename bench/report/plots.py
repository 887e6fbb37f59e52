"""The report's pictures."""

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

from results import WARM  # noqa: E402

# Okabe and Ito's colors, which are distinguishable with any color vision.
COLOURS = {
    "overlayfs": "#000000", "stargz": "#E69F00", "stargz-optimised": "#D55E00", "rivulet": "#0072B2",
    "rivulet-aa": "#56B4E9", "rivulet-profile": "#009E73", "rivulet-warm": "#56B4E9",
    "rivulet-artifact": "#D55E00", "rivulet-artifact-profile": "#56B4E9",
    "rivulet-artifact-pack": "#CC79A7", "rivulet-artifact-predicted": "#8F5A9E",
    "local": "#999999",
    "stream": "#CC79A7",
}
MARKERS = {
    "overlayfs": "o", "stargz": "s", "stargz-optimised": "D", "rivulet": "o", "rivulet-profile": "^", "rivulet-warm": "v",
    "rivulet-artifact": "P", "rivulet-artifact-profile": "X", "rivulet-artifact-pack": "*",
    "rivulet-artifact-predicted": "h",
    "local": "|", "stream": "|",
}


def draw(results):
    """Draws all plots beside the results and returns their titles and file names."""
    pyplot.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "1"})
    modes = [mode for mode in results.modes if mode != "rivulet-aa"]
    cold = [mode for mode in modes if mode not in WARM]
    plots = [("Time until ready, by image and network", _ready(results, modes))]
    if any(cell.get("floor_efficiency") is not None for cell in results.cells):
        plots.append(("Floor efficiency, by image and network", _efficiency(results, cold)))
    for network in results.networks:
        if any(sample.get("timeline") for sample in results.samples if sample["network"] == network):
            plots.append((f"Bytes over time on {network}", _bytes(results, network, cold)))
    return plots


def _panels(results, width):
    """Draws one panel for each network, with the images below each other."""
    count = len(results.networks)
    height = 1.2 + 0.42 * len(results.images)
    figure, axes = pyplot.subplots(1, count, figsize=(2 + width * count, height + 0.6), sharey=True, squeeze=False)
    for axis, network in zip(axes[0], results.networks):
        axis.set_title(network)
        axis.set_yticks(range(len(results.images)), results.images)
        axis.set_ylim(len(results.images) - 0.5, -0.5)
        axis.grid(axis="x", color="#dddddd", linewidth=0.6)
        axis.tick_params(axis="y", length=0)
        for line in range(1, len(results.images)):
            axis.axhline(line - 0.5, color="#eeeeee", linewidth=0.8)
    return figure, axes[0]


def _offset(modes, mode):
    return 0.68 * ((modes.index(mode) + 0.5) / len(modes) - 0.5)


def _marker(mode):
    shape = MARKERS.get(mode, "o")
    return {"marker": shape, "markersize": 10 if shape == "|" else 5, "markeredgewidth": 2 if shape == "|" else 1}


def _finish(figure, axes, modes, path):
    """Adds the legend and writes the file."""
    handles = [
        pyplot.Line2D([], [], color=COLOURS.get(mode, "#666666"), linestyle="", label=mode, **_marker(mode))
        for mode in modes
    ]
    figure.legend(handles=handles, loc="upper center", ncol=len(modes), frameon=False, bbox_to_anchor=(0.5, 1.0))
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    figure.savefig(path, dpi=130, metadata={"Software": None})
    pyplot.close(figure)
    return path.rsplit("/", 1)[-1]


def _ready(results, modes):
    figure, axes = _panels(results, 3.4)
    for axis, network in zip(axes, results.networks):
        for row, image in enumerate(results.images):
            for mode in modes:
                samples = [sample["ready_s"] for sample in results.of(network, image, mode)]
                cell = results.cell(network, image, mode)
                if not samples or not cell.get("ready_s"):
                    continue
                place = row + _offset(modes, mode)
                colour = COLOURS.get(mode, "#666666")
                axis.plot([min(samples), max(samples)], [place, place], color=colour, linewidth=1, alpha=0.6)
                axis.plot(samples, [place] * len(samples), ".", color=colour, markersize=2.5, alpha=0.6)
                axis.plot(cell["ready_s"]["median"], place, color=colour, **_marker(mode))
        axis.set_xscale("log")
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(FuncFormatter(_minor(axis)))
        axis.tick_params(axis="x", which="minor", labelsize=7)
        axis.set_xlabel("seconds until ready (logarithmic)")
    return _finish(figure, axes, modes, f"{results.base}.ready.png")


def _minor(axis):
    """Labels ticks between the powers of ten if there is room."""

    def label(value, _):
        low, high = axis.get_xlim()
        digit = int(f"{value:e}"[0])
        return f"{value:g}" if digit in ((2, 3, 5) if high / low < 12 else (2, 5) if high / low < 300 else ()) else ""

    return label


def _efficiency(results, modes):
    figure, axes = _panels(results, 3.0)
    for axis, network in zip(axes, results.networks):
        highest = 1.0
        for row, image in enumerate(results.images):
            for mode in modes:
                cell = results.cell(network, image, mode)
                value = cell.get("floor_efficiency") if cell else None
                if value is None:
                    continue
                highest = max(highest, value)
                axis.plot(
                    100 * value, row + _offset(modes, mode), color=COLOURS.get(mode, "#666666"), **_marker(mode))
        axis.axvline(100, color="#888888", linewidth=1)
        axis.set_xlim(0, 105 * highest)
        axis.set_xlabel("floor ÷ time until ready, %")
    return _finish(figure, axes, modes, f"{results.base}.efficiency.png")


def _bytes(results, network, modes):
    images = [image for image in results.images if any(results.of(network, image, mode) for mode in modes)]
    columns = min(3, len(images))
    rows = -(-len(images) // columns)
    figure, axes = pyplot.subplots(rows, columns, figsize=(1 + 3.6 * columns, 0.6 + 2.5 * rows), squeeze=False)
    for axis, image in zip(axes.flat, images):
        latest = 0
        for mode in modes:
            sample = results.typical(network, image, mode)
            if sample is None or not sample.get("timeline"):
                continue
            points = [(0, 0)] + [(time, count / 1e6) for time, count in sample["timeline"]]
            ready = (sample["ready_s"], sample["bytes_to_ready"] / 1e6)
            points = sorted([point for point in points if point[0] <= 2 * ready[0]] + [ready])
            latest = max(latest, ready[0])
            colour = COLOURS.get(mode, "#666666")
            axis.plot(*zip(*points), color=colour, linewidth=1.3, linestyle="--" if mode == "stream" else "-")
            axis.plot(*ready, "o", color=colour, markersize=5)
        axis.set_title(image)
        axis.set_xlim(0, 1.1 * latest if latest else None)
        axis.set_ylim(bottom=0)
        axis.grid(color="#eeeeee", linewidth=0.6)
    for axis in axes.flat[len(images):]:
        axis.set_visible(False)
    figure.supxlabel("seconds since the pod was asked for", fontsize=9)
    figure.supylabel("MB received", fontsize=9)
    handles = [
        pyplot.Line2D(
            [], [], color=COLOURS.get(mode, "#666666"), linestyle="--" if mode == "stream" else "-", label=mode)
        for mode in modes
    ]
    figure.legend(handles=handles, loc="upper center", ncol=len(handles), frameon=False)
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.35 / figure.get_figheight()))
    path = f"{results.base}.bytes.{network.replace('/', '-')}.png"
    figure.savefig(path, dpi=130, metadata={"Software": None})
    pyplot.close(figure)
    return path.rsplit("/", 1)[-1]
