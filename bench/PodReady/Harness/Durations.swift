import Base
import Lab
import Linux

/// Estimated durations of samples: from earlier ones, else from rough figures.
public struct Durations: Sendable {
    private struct Place: Hashable {
        var image: String
        var edition: String
        var network: String
        var mode: String
    }

    private var seen: [Place: [Double]] = [:]

    public init() {}

    /// Learns from every results file in `directory`. Malformed files are skipped.
    public init(from directory: String) {
        for entry in (try? Sys.list(directory)) ?? [] where entry.text.hasSuffix(".jsonl") {
            let content = try? ResultsFile.read("\(directory)/\(entry.text)")
            content?.samples.forEach { add($0) }
        }
    }

    public mutating func add(_ sample: SampleRecord) {
        seen[Self.place(sample.key), default: []].append(sample.took)
    }

    /// Returns the seconds of a sample, including its setup and teardown. `bytes` is the size of the image.
    public func seconds(_ key: SampleRecord.Key, bytes: UInt64) -> Double {
        if let known = seen[Self.place(key)].flatMap(Statistics.median) { return known }
        // Starting and stopping the parts and warming the registry; unpacking at some 30 MB/s; and the transfer, which
        // each mode ends with if it waits for it.
        let megabytes = Double(bytes) / 1e6
        let transfer = (try? Link(key.network))?.shape.seconds(for: bytes) ?? 0
        return 5 + megabytes / 30 + 1.2 * transfer
    }

    private static func place(_ key: SampleRecord.Key) -> Place {
        Place(image: key.image, edition: key.edition, network: key.network, mode: key.mode)
    }
}
