import Base
import FoundationEssentials
import Harness
import Lab

/// The figures of all modes, as text and as JSON.
struct DemoReport {
    private let image: String
    private let link: String
    private var samples: [(mode: String, sample: Sample)] = []

    init(image: String, link: String) {
        self.image = image
        self.link = link
    }

    mutating func add(_ sample: Sample, for mode: String) {
        samples.append((mode, sample))
    }

    // MARK: Text

    /// Returns a line for each mode, and a summary.
    func table() -> String {
        var lines = [
            "",
            "\(image), link \(link); times in seconds, ready counted from asking for the pod",
            "",
            Format.left("", 12)
                + ["sandbox", "pull", "create", "start", "ready", "bytes", "requests"]
                .map { Format.right($0, 10) }.joined(),
        ]
        for (mode, sample) in samples {
            let times = [sample.sandbox, sample.pull, sample.create, sample.start, sample.ready]
            let cells = times.map(Format.seconds) + [Format.megabytes(sample.bytes), "\(sample.requests)"]
            lines.append(Format.left(mode, 12) + cells.map { Format.right($0, 10) }.joined())
        }
        lines.append("")
        if let rivulet = samples.first(where: { $0.mode == "rivulet" })?.sample {
            for (mode, sample) in samples where mode != "rivulet" {
                lines.append(
                    "rivulet is ready \(Format.seconds(sample.ready / rivulet.ready))× as soon as \(mode), "
                        + "with \(Int((Double(rivulet.bytes) / Double(max(1, sample.bytes)) * 100).rounded())) % "
                        + "of its bytes")
            }
            lines.append(Self.breakdown(rivulet))
        }
        return lines.joined(separator: "\n")
    }

    /// Returns the number of requests of each kind until ready.
    private static func breakdown(_ sample: Sample) -> String {
        var manifests = 0
        var blobs: [String: Int] = [:]
        var others = 0
        // containerd itself resolves the tag and reads manifest and configuration, whichever snapshotter it uses.
        let own = sample.record.requests.filter { $0.agent?.hasPrefix("containerd/") != true }
        for request in own {
            switch request.kind {
            case .manifest: manifests += 1
            case .blob(let digest): blobs[digest, default: 0] += 1
            case .other: others += 1
            }
        }
        let each = blobs.values.sorted(by: >).map(String.init).joined(separator: " + ")
        return "its own requests, without containerd's \(sample.requests - own.count): \(manifests) for manifests, "
            + "\(each) for \(blobs.count) blobs" + (others > 0 ? ", \(others) others" : "")
    }

    /// Returns every request until ready, with times in milliseconds since the pod was requested.
    static func trace(_ sample: Sample, of mode: String) -> String {
        var lines = ["", "\(mode): requests until ready (ms since the pod was asked for)"]
        for request in sample.record.requests {
            let last = request.lastByte.map { milliseconds($0, from: sample.began) } ?? "-"
            lines.append(
                [
                    Format.right(milliseconds(request.at, from: sample.began), 8), Format.right(last, 8),
                    Format.right("\(request.bytes)", 11), Format.left(request.method, 4),
                    Format.left(String((request.agent ?? "-").prefix(10)), 10), request.path,
                    request.range ?? "",
                ].joined(separator: " "))
        }
        if let daemon = sample.usage {
            lines.append(
                "daemon: \(Format.seconds(daemon.cpuSeconds)) s of CPU, "
                    + "\(Format.megabytes(daemon.peakResidentBytes)) resident at most")
        }
        if let foreseen = sample.foreseen {
            lines.append(
                "fetched for a profile \(Format.megabytes(foreseen.profiled)), "
                    + "\(Format.megabytes(foreseen.profiledRead)) of it read; predicted "
                    + "\(Format.megabytes(foreseen.predicted)), \(Format.megabytes(foreseen.predictedRead)) of it read"
            )
        }
        return lines.joined(separator: "\n")
    }

    private static func milliseconds(_ time: MonotonicTime, from start: MonotonicTime) -> String {
        let tenths = time.since(start) / 100_000
        return "\(tenths / 10).\(tenths % 10)"
    }

    // MARK: JSON

    private struct Figures: Encodable {
        let sandbox_s: Double
        let pull_s: Double
        let create_s: Double
        let start_s: Double
        let ready_s: Double
        let bytes_to_ready: UInt64
        let requests_to_ready: Int
    }

    private struct Document: Encodable {
        let image: String
        let link: String
        let modes: [String: Figures]
    }

    /// Returns the figures for `bench/results/demo.json`.
    func json() throws -> String {
        var modes: [String: Figures] = [:]
        for (mode, sample) in samples {
            modes[mode] = Figures(
                sandbox_s: sample.sandbox, pull_s: sample.pull, create_s: sample.create, start_s: sample.start,
                ready_s: sample.ready, bytes_to_ready: sample.bytes, requests_to_ready: sample.requests)
        }
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        let document = Document(image: image, link: link, modes: modes)
        return String(decoding: try encoder.encode(document), as: UTF8.self) + "\n"
    }
}
