import Base
import ContentStore
import Linux

extension FuzzTarget {
    /// The header and one slot of a presence file. If the first byte has bit 1 set, the target repairs the header's
    /// checksum.
    static let presence = FuzzTarget("FuzzPresence") { input in
        let format = PresenceFormat(
            digest: .of([1]), index: .of([2]), chunkCount: 130, contentSize: 1 << 20,
            identity: ContentIdentity(inode: 7, born: 9))
        let header = format.header
        let base = header + format.slot(generation: 3, words: [5, 6, 1])
        var bytes = FuzzSupport.bytes(input, damaging: base)
        if let first = input.first, first & 2 != 0, bytes.count >= header.count {
            let body = header.count - Digest.byteCount
            Digest.of(Array(bytes[..<body])).withBytes { bytes.replaceSubrange(body..<header.count, with: $0) }
        }
        if format.match(bytes) == .same { precondition(bytes.starts(with: header)) }
        guard let slot = format.parseSlot(Array(bytes.dropFirst(header.count))) else { return }
        // The padding between the checksum and the bits has no checksum.
        let found = bytes.dropFirst(header.count)
        let again = format.slot(generation: slot.generation, words: slot.words)
        precondition(found.prefix(40).elementsEqual(again.prefix(40)))
        precondition(found.dropFirst(64).starts(with: again.dropFirst(64)))
    }

    /// A tar-split log. Records never lie outside the file, and the log returns a record's bytes only if their checksum
    /// is right.
    static let tarSplitLog = FuzzTarget("FuzzTarSplitLog") { input in
        let bytes = FuzzSupport.bytes(input, damaging: sampleLog)
        guard let log = try? temporaryLog(bytes) else { preconditionFailure("cannot write a temporary file") }
        for (extent, record) in log.records() {
            precondition(record.byteCount <= TarSplitLog.maximumGaps)
            guard let stored = log.stored(record, of: extent) else { continue }
            precondition(stored.count <= bytes.count)
        }
    }

    private static let sampleLog: [UInt8] = {
        do {
            return try withTemporaryDirectory(prefix: "rivulet-fuzz-") { directory in
                let log = try TarSplitLog(path: directory + "/gaps", extentCount: 10)
                log.append(3, byteCount: 512, stored: Array("stored gaps".utf8))
                log.append(0, byteCount: 0, stored: [])
                log.append(9, byteCount: 100_000, stored: [UInt8](repeating: 1, count: 70))
                return try Sys.readFile(directory + "/gaps", limit: 1 << 20)
            }
        } catch {
            preconditionFailure("the sample log cannot be written: \(error)")
        }
    }()

    /// Returns a log over `bytes`, in a file that is already deleted.
    private static func temporaryLog(_ bytes: [UInt8]) throws -> TarSplitLog {
        try withTemporaryDirectory(prefix: "rivulet-fuzz-") { directory in
            try Sys.writeFile(directory + "/gaps", bytes)
            return try TarSplitLog(path: directory + "/gaps", extentCount: 10)
        }
    }
}
