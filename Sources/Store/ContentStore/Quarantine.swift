import Base
import Concurrency
import Linux
import SystemPackage

/// The report of an unusable file or directory that the store moved to the quarantine or removed.
public struct QuarantinedFile: Sendable, Equatable {
    /// The original path.
    public let path: String
    /// The path in the quarantine; `nil` if the store deleted the file instead. The store deletes a content file
    /// without trusted presence bits, because such a file is useless.
    public let movedTo: String?
    /// The reason why the file or directory was unusable.
    public let reason: String
}

/// The quarantine of a store. It reports each unusable file or directory, and keeps the latest ones in the directory
/// `set-aside` for inspection.
final class Quarantine: Sendable {
    /// The maximum number of entries in the quarantine.
    static let limit = 8

    private let directory: String
    private let report: @Sendable (QuarantinedFile) -> Void
    private let lock = BlockingLock()

    init(root: String, report: @escaping @Sendable (QuarantinedFile) -> Void) {
        directory = root + "/set-aside"
        self.report = report
    }

    /// Moves the file or directory at `path` into the quarantine and reports `reason`. Does nothing if `path` does not
    /// exist.
    func move(_ path: String, reason: String) throws(ContentStoreError) {
        let target = try lock.withLock { () throws(ContentStoreError) -> String? in
            try ContentStoreError.wrapping("cannot set \(path) aside") { () throws(Errno) in
                guard try Sys.exists(path) else { return nil }
                try Sys.makeDirectories(directory)
                let target = try makeRoom(for: path)
                try Sys.rename(path, to: target, replacing: false)
                // A layer's content is useless without its index and may take gigabytes, so remove it.
                if let content = try? Sys.lstat(target + "/content"), content.kind == .regular {
                    try Sys.unlink(target + "/content")
                }
                return target
            }
        }
        guard let target else { return }
        report(QuarantinedFile(path: path, movedTo: target, reason: reason))
    }

    /// Removes the file at `path` instead of keeping it, and reports `reason`. Does nothing if there is no such file.
    func remove(_ path: String, reason: String) throws(ContentStoreError) {
        do throws(Errno) {
            try Sys.unlink(path)
        } catch .noSuchFileOrDirectory {
            return
        } catch {
            throw ContentStoreError(errno: error, "cannot remove \(path)")
        }
        report(QuarantinedFile(path: path, movedTo: nil, reason: reason))
    }

    /// Returns a free path in the quarantine for the file at `path`. If the quarantine is full, first removes its
    /// oldest entries to make room for one more. Each entry's name begins with a number, and a newer entry has a higher
    /// number.
    private func makeRoom(for path: String) throws(Errno) -> String {
        var kept: [(number: UInt64, name: String)] = []
        for entry in try Sys.list(directory) {
            let number = UInt64(entry.text.prefix { $0 != "-" }) ?? 0
            kept.append((number, entry.text))
        }
        kept.sort { $0.number < $1.number }
        for old in kept.prefix(max(0, kept.count - Self.limit + 1)) {
            try removeTree(directory + "/" + old.name)
        }
        let parts = path.split(separator: "/").suffix(2).joined(separator: "-")
        return "\(directory)/\((kept.last?.number ?? 0) + 1)-\(parts)"
    }
}
