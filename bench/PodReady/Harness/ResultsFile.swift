public import Base
import FoundationEssentials
public import Lab
import Linux
import SystemPackage

/// A results file with one JSON object on each line, the header first.
///
/// Each line is on the disk before the next sample begins, so an interrupted run loses at most one sample.
public final class ResultsFile: Sendable {
    /// The contents of a file.
    public struct Content: Sendable {
        public var header: HeaderRecord?
        public var needs: [NeedsRecord] = []
        public var samples: [SampleRecord] = []
    }

    public let path: String
    private let file: OwnedDescriptor

    /// Opens or creates the file at `path` for appending. An incomplete last line is removed.
    public init(_ path: String) throws(LabError) {
        self.path = path
        do {
            if let slash = path.lastIndex(of: "/") {
                try Sys.makeDirectories(String(path[..<slash]), permissions: 0o755)
            }
            let bytes = try Sys.exists(path) ? Sys.readFile(path, limit: Self.limit) : []
            file = try Sys.open(path, [.writeOnly, .create, .append], permissions: 0o644)
            let whole = bytes.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
            if whole < bytes.count { try Sys.ftruncate(file.raw, size: UInt64(whole)) }
        } catch {
            throw LabError(.files, "cannot append to \(path)", cause: error)
        }
    }

    private static let limit = 1 << 30

    /// Reads the file at `path`. Returns empty content if it does not exist.
    /// - Throws: `files` with the number of a malformed line.
    public static func read(_ path: String) throws(LabError) -> Content {
        var content = Content()
        guard Files.exists(path) else { return content }
        let decoder = JSONDecoder()
        let bytes = try Files.read(path, limit: limit)
        let whole = bytes.lastIndex(of: UInt8(ascii: "\n")) ?? 0
        for (number, line) in bytes[..<whole].split(separator: UInt8(ascii: "\n")).enumerated() {
            do {
                let data = Data(line)
                switch try decoder.decode(Kind.self, from: data).record {
                case "header": content.header = try decoder.decode(HeaderRecord.self, from: data)
                case "needs": content.needs.append(try decoder.decode(NeedsRecord.self, from: data))
                case "sample": content.samples.append(try decoder.decode(SampleRecord.self, from: data))
                case let other: throw LabError(.files, "unknown record '\(other)'")
                }
            } catch {
                throw LabError(.files, "\(path):\(number + 1): malformed line", cause: error)
            }
        }
        return content
    }

    private struct Kind: Decodable {
        let record: String
    }

    /// Appends `record` as a line, and returns when it is on the disk.
    public func append(_ record: some Encodable) throws(LabError) {
        do {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            let line = Array(try encoder.encode(record)) + [UInt8(ascii: "\n")]
            try line.withUnsafeBytes { try Sys.writeAll(file.raw, $0) }
            try Sys.fdatasync(file.raw)
        } catch {
            throw LabError(.files, "cannot append to \(path)", cause: error)
        }
    }
}
