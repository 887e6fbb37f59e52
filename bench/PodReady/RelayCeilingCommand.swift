import ArgumentParser
import Harness
import Lab

/// `PodReady relay-ceiling`: measures the limits and costs of the link that all figures depend on.
struct RelayCeilingCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "relay-ceiling",
        abstract: "Measure the link's ceiling, CPU time and accuracy.")

    @Option(help: "Megabytes for the ceiling.")
    var megabytes: UInt64 = 4000

    func run() async throws {
        print(
            Format.left("", 24) + Format.right("Mbit/s", 10) + Format.right("CPU of a core", 16)
                + Format.right("s per GB", 10) + Format.right("off by", 10))
        for connections in [1, 8] {
            let figure = try await RelayCeiling.measure(
                .unshaped, bytes: megabytes * 1_000_000, connections: connections)
            report("unshaped, \(connections) at once", figure)
        }
        for name in ["lan", "region", "shaped", "wan", "edge"] {
            let link = try Link(name)
            // Each transfer takes about two seconds.
            let figure = try await RelayCeiling.measure(link.shape, bytes: link.shape.bitsPerSecond / 4)
            report(name, figure)
        }
    }

    private func report(_ name: String, _ figure: RelayCeiling.Figure) {
        let share = figure.cpuSeconds / figure.seconds * 100
        let off = figure.promised.map { "\(Format.seconds(abs(figure.seconds / $0 - 1) * 100)) %" } ?? "-"
        print(
            Format.left(name, 24) + Format.right("\(Int(figure.bitsPerSecond / 1e6))", 10)
                + Format.right("\(Int(share)) %", 16)
                + Format.right(Format.seconds(figure.cpuSeconds / Double(figure.bytes) * 1e9), 10)
                + Format.right(off, 10))
    }
}
