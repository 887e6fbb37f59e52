import Base
import Lab
import Linux

/// How long samples take: from earlier ones where there are any, else from rough figures.
public struct Durations: Sendable {
    private struct Place: Hashable {
        var image: String
        var edition: String
        var network: String
        var mode: String
    }

    private var seen: [Place: [Double]] = [:]

    public init() {}

    /// Learns from every results file in `directory`. Files that are not understood are passed over.
    public init(from directory: String) {
        for entry in (try? Sys.list(directory)) ?? [] where entry.text.hasSuffix(".jsonl") {
            let content = try? ResultsFile.read("\(directory)/\(entry.text)")
            content?.samples.forEach { add($0) }
        }
    }

    public mutating func add(_ sample: SampleRecord) {
        seen[Self.place(sample.key), default: []].append(sample.took)
    }

    /// Seconds that a sample will take, with all that comes before and after it. `bytes` is the size of the image.
    public func seconds(_ key: SampleRecord.Key, bytes: UInt64) -> Double {
        if let known = seen[Self.place(key)].flatMap(Statistics.median) { return known }
        // Starting and stopping the parts, warming the registry; unpacking at some 30 MB/s; the transfer itself, which each
        // mode ends with where it is waited for.
        let megabytes = Double(bytes) / 1e6
        let transfer = (try? Link(key.network))?.shape.seconds(for: bytes) ?? 0
        return 5 + megabytes / 30 + 1.2 * transfer
    }

    private static func place(_ key: SampleRecord.Key) -> Place {
        Place(image: key.image, edition: key.edition, network: key.network, mode: key.mode)
    }
}
