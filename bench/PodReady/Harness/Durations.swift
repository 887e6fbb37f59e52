import Base
import Lab
import Linux

/// Estimates of how long samples take, from earlier samples or else from rough figures.
public struct Durations: Sendable {
    private struct Place: Hashable {
        var image: String
        var edition: String
        var network: String
        var mode: String
    }

    private var seen: [Place: [Double]] = [:]

    public init() {}

    /// Reads the durations from every results file in `directory`. Skips malformed files.
    public init(from directory: String) {
        for entry in (try? Sys.list(directory)) ?? [] where entry.text.hasSuffix(".jsonl") {
            let content = try? ResultsFile.read("\(directory)/\(entry.text)")
            content?.samples.forEach { add($0) }
        }
    }

    public mutating func add(_ sample: SampleRecord) {
        seen[Self.place(sample.key), default: []].append(sample.took)
    }

    /// Returns the estimated duration of a sample in seconds, including setup and teardown.
    ///
    /// - Parameter bytes: the size of the image.
    public func seconds(_ key: SampleRecord.Key, bytes: UInt64) -> Double {
        if let known = seen[Self.place(key)].flatMap(Statistics.median) { return known }
        // The terms are: starting and stopping the parts and warming the registry, unpacking at some 30 MB/s, and the
        // transfer. A mode that waits for the transfer ends with it.
        let megabytes = Double(bytes) / 1e6
        let transfer = (try? Link(key.network))?.shape.seconds(for: bytes) ?? 0
        return 5 + megabytes / 30 + 1.2 * transfer
    }

    private static func place(_ key: SampleRecord.Key) -> Place {
        Place(image: key.image, edition: key.edition, network: key.network, mode: key.mode)
    }
}
