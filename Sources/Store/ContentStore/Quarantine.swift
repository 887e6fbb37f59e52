import Base
import Concurrency
import Linux
import SystemPackage

/// A file or directory that the store found and could not use, and what became of it.
public struct QuarantinedFile: Sendable, Equatable {
    /// The path before.
    public let path: String
    /// The path now; `nil` when it was only removed (content, which has no meaning without its index).
    public let movedTo: String?
    /// Why it was not used.
    public let reason: String
}

/// Takes what cannot be used out of the way, keeps the last few for whoever wants to know, and reports each.
final class Quarantine: Sendable {
    /// The most quarantined things that are kept.
    static let limit = 8

    private let directory: String
    private let report: @Sendable (QuarantinedFile) -> Void
    private let lock = BlockingLock()

    init(root: String, report: @escaping @Sendable (QuarantinedFile) -> Void) {
        directory = root + "/set-aside"
        self.report = report
    }

    /// Moves `path` away and reports `reason`. Nothing at `path` is no error.
    func move(_ path: String, reason: String) throws(ContentStoreError) {
        let target = try lock.withLock { () throws(ContentStoreError) -> String? in
            try ContentStoreError.wrapping("cannot set \(path) aside") { () throws(Errno) in
                guard try Sys.exists(path) else { return nil }
                try Sys.makeDirectories(directory)
                let target = try makeRoom(for: path)
                try Sys.rename(path, to: target, replacing: false)
                // A layer's bytes mean nothing without its index, and may be gigabytes.
                if let content = try? Sys.lstat(target + "/content"), content.kind == .regular {
                    try Sys.unlink(target + "/content")
                }
                return target
            }
        }
        guard let target else { return }
        report(QuarantinedFile(path: path, movedTo: target, reason: reason))
    }

    /// Removes the file at `path`, whose bytes are of no use, and reports `reason`.
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

    /// The name for one more, with the oldest removed so that there are never more than the limit.
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
