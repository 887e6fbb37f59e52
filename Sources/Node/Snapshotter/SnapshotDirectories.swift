import Base
import Linux
import NodeDatabase
import SystemPackage

/// The directories of local snapshots: `snapshots/<number>/fs` and, for active ones, `work` beside it.
///
/// Names come from our own numbers, never from a key. Modes do not depend on the umask.
struct SnapshotDirectories: Sendable {
    /// The name of their directory in the state directory.
    static let name = StateDatabase.snapshotsDirectory
    /// The directory of short names in the state directory.
    static let linkName = "l"

    let root: String

    /// Makes what is missing of the layout.
    init(root: String) throws(SnapshotterError) {
        self.root = root
        for name in [Self.name, Self.linkName] {
            let path = root + "/" + name
            do {
                try Sys.makeDirectories(path, permissions: 0o700)
                try Sys.chmod(path, 0o700)
            } catch {
                throw SnapshotterError(.storage, "making \(path)", cause: error)
            }
        }
    }

    func directory(_ id: Int64) -> String { "\(root)/\(Self.name)/\(id)" }
    func upper(_ id: Int64) -> String { directory(id) + "/fs" }
    func work(_ id: Int64) -> String { directory(id) + "/work" }

    /// Makes the directories of a new snapshot. `parent` is the directory that it starts from: the root of what is
    /// mounted takes its owner and mode, as overlay shows those of the upper directory; without one it is 0755 and
    /// root's.
    func make(_ id: Int64, work needsWork: Bool, parent: String?) throws(SnapshotterError) {
        do {
            var mode: UInt32 = 0o755
            var owner: (uid: UInt32, gid: UInt32)?
            if let parent {
                let status = try Sys.stat(parent)
                guard status.kind == .directory else { throw Errno.notDirectory }
                mode = status.mode & 0o7777
                owner = (status.uid, status.gid)
            }
            // A number is never used twice, so what is here was left by a transaction that did not happen.
            try removeTree(directory(id))
            try Sys.makeDirectory(directory(id), permissions: 0o700)
            try Sys.makeDirectory(upper(id), permissions: 0o755)
            // After the owner: chown takes the set-id bits away.
            if let owner { try Sys.chown(upper(id), uid: owner.uid, gid: owner.gid) }
            try Sys.chmod(upper(id), mode)
            if needsWork {
                try Sys.makeDirectory(work(id), permissions: 0o711)
                try Sys.chmod(work(id), 0o711)
            }
        } catch {
            throw SnapshotterError(.storage, "making the directories of snapshot \(id)", cause: error)
        }
    }

    /// Deletes everything of snapshot `id`. Not there is no error.
    func remove(_ id: Int64) throws(SnapshotterError) {
        do {
            do {
                try Sys.unlink(link(id))
            } catch .noSuchFileOrDirectory {}
            try removeTree(directory(id))
        } catch {
            throw SnapshotterError(.storage, "deleting \(directory(id))", cause: error)
        }
    }

    /// The numbers of the directories that there are.
    func present() throws(SnapshotterError) -> Set<Int64> {
        do {
            return Set(try Sys.list("\(root)/\(Self.name)").compactMap { Int64($0.text) })
        } catch {
            throw SnapshotterError(.storage, "listing \(root)/\(Self.name)", cause: error)
        }
    }

    // MARK: - Short names

    /// How long the names of the lower directories of one mount may be together, before they are written in the short
    /// form. mount(2) takes one page of options; containerd cuts the common directory off each name, and a part of the
    /// page is for the upper and work directories, the merged tree of the remote part and an SELinux context.
    static let longestLowers = 3000

    /// The short name of the upper directory of `id`: five bytes after the common part instead of eight, so that 500
    /// layers, the most that the kernel takes, fit into one page.
    private func link(_ id: Int64) -> String { "\(root)/\(Self.linkName)/\(String(id, radix: 36))" }

    /// The directories of `ids`, in order, for use as lower directories.
    func lowers(_ ids: [Int64]) throws(SnapshotterError) -> [String] {
        let plain = ids.map(upper)
        let common = root.utf8.count + Self.name.utf8.count + 2
        // One more byte each for the colon.
        guard plain.reduce(0, { $0 + $1.utf8.count - common + 1 }) > Self.longestLowers else { return plain }
        for id in ids {
            do {
                try Sys.symlink("../\(Self.name)/\(id)/fs", path: link(id))
            } catch .fileExists {
                continue
            } catch {
                throw SnapshotterError(.storage, "making \(link(id))", cause: error)
            }
        }
        return ids.map(link)
    }
}
