import Lab

/// The summary as text.
extension Summary {
    public func table() -> String {
        var lines: [String] = []
        if let header {
            lines += [
                "",
                "\(header.name): \(header.machine.cpu), \(header.machine.cores) cores, Linux \(header.kernel); "
                    + "commit \(header.commit.prefix(12))",
                "seed \(header.grid.seed); times in seconds, ready counted from asking for the pod",
            ]
        }
        var place = ""
        for cell in cells {
            let here = "\(cell.network), \(cell.edition) editions"
            if here != place {
                place = here
                lines += ["", here, Self.head]
            }
            lines.append(Self.row(cell))
        }
        if !ratios.isEmpty {
            lines += ["", "how many times as long as a mode of Rivulet, block by block (95 % interval of the median)"]
        }
        for ratio in ratios { lines.append(Self.row(ratio)) }
        return lines.joined(separator: "\n")
    }

    private static let head =
        Format.left("", 34)
        + ["n", "failed", "median", "p95", "max", "pull", "complete", "MB", "requests", "floor", "efficiency"]
        .map { Format.right($0, 11) }.joined()

    private static func row(_ cell: Cell) -> String {
        func seconds(_ value: Double?) -> String { value.map(Format.seconds) ?? "-" }
        let cells = [
            "\(cell.samples)", "\(cell.failed)", seconds(cell.ready?.median), seconds(cell.ready?.p95),
            seconds(cell.ready?.max), seconds(cell.pull), seconds(cell.complete),
            cell.bytesToReady.map { Format.seconds($0 / 1e6) } ?? "-",
            cell.requestsToReady.map { "\(Int($0))" } ?? "-", seconds(cell.floor), seconds(cell.floorEfficiency),
        ]
        return Format.left("\(cell.image)  \(cell.mode)", 34) + cells.map { Format.right($0, 11) }.joined()
    }

    private static func row(_ ratio: Ratio) -> String {
        let what = ratio.mode == "rivulet-aa" ? "chance alone: " : ""
        return Format.left("\(ratio.network)  \(ratio.image ?? "all \(ratio.pairs) images")", 30)
            + Format.left("\(ratio.mode) ÷ \(ratio.than)", 34) + Format.right(Format.seconds(ratio.ratio), 8)
            + "  [\(Format.seconds(ratio.interval.low)), \(Format.seconds(ratio.interval.high))]  "
            + what + ratio.verdict
    }
}
