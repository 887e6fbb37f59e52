import Linux

/// An incremental reader of a container's growing log file.
struct ContainerLog {
    let path: String
    private var offset: UInt64 = 0
    private var rest: [UInt8] = []

    init(path: String) {
        self.path = path
    }

    /// Returns the complete lines that were added since the last call.
    ///
    /// A line is `<time> <stream> <F or P> <text>` (the CRI log format of Kubernetes). The parts of a split line (P)
    /// are returned separately.
    mutating func newLines() -> [String] {
        guard let file = try? Sys.open(path, .readOnly) else { return [] }
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = buffer.withUnsafeMutableBytes { (try? Sys.pread(file.raw, into: $0, at: offset)) ?? 0 }
            if count == 0 { break }
            offset += UInt64(count)
            rest += buffer[..<count]
        }
        guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let text = String(decoding: rest[..<end], as: UTF8.self)
        rest.removeSubrange(...end)
        return text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
            String(line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false).dropFirst(3).first ?? "")
        }
    }
}
