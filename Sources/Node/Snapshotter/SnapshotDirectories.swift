import Base
import Linux
import NodeDatabase
import SystemPackage

/// The directories of local snapshots: `snapshots/<number>/fs`, and `work` beside `fs` for active snapshots.
///
/// The number is ``SnapshotRecord/id``. No path contains a snapshot's key, because a key may be any text. The modes of
/// the directories do not depend on the umask.
struct SnapshotDirectories: Sendable {
    /// The name of the directory of snapshots, in the state directory.
    static let name = StateDatabase.snapshotsDirectory
    /// The name of the directory of short symbolic links to upper directories, in the state directory.
    static let linkName = "l"

    let root: String

    /// Creates the directories for snapshots and links in `root`, the state directory, if they are missing.
    init(root: String) throws(SnapshotterError) {
        self.root = root
        for name in [Self.name, Self.linkName] {
            let path = root + "/" + name
            do {
                try Sys.makeDirectories(path, permissions: 0o700)
                try Sys.chmod(path, 0o700)
            } catch {
                throw SnapshotterError(.storage, "failed to create \(path)", cause: error)
            }
        }
    }

    func directory(_ id: Int64) -> String { "\(root)/\(Self.name)/\(id)" }
    func upper(_ id: Int64) -> String { directory(id) + "/fs" }
    func work(_ id: Int64) -> String { directory(id) + "/work" }

    /// Creates the directories of the new snapshot `id`. If `needsWork` is true, creates a work directory, too.
    ///
    /// The root of an overlay mount has the owner and the mode of the upper directory. So the upper directory receives
    /// the owner and the mode of `parent`, the path of the topmost lower directory. If `parent` is `nil`, the owner is
    /// the daemon's user and the mode is 0755.
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
            // The number of a recorded snapshot is never reused. A directory that already exists is left from an
            // aborted transaction.
            try removeTree(directory(id))
            try Sys.makeDirectory(directory(id), permissions: 0o700)
            try Sys.makeDirectory(upper(id), permissions: 0o755)
            // The mode is set after chown, which clears the set-user-ID and set-group-ID bits.
            if let owner { try Sys.chown(upper(id), uid: owner.uid, gid: owner.gid) }
            try Sys.chmod(upper(id), mode)
            if needsWork {
                try Sys.makeDirectory(work(id), permissions: 0o711)
                try Sys.chmod(work(id), 0o711)
            }
        } catch {
            throw SnapshotterError(.storage, "failed to create the directories of snapshot \(id)", cause: error)
        }
    }

    /// Deletes the directories and the short link of snapshot `id`. Missing directories or links are not an error.
    func remove(_ id: Int64) throws(SnapshotterError) {
        do {
            do {
                try Sys.unlink(link(id))
            } catch .noSuchFileOrDirectory {}
            try removeTree(directory(id))
        } catch {
            throw SnapshotterError(.storage, "failed to delete \(directory(id))", cause: error)
        }
    }

    /// Returns the numbers of the snapshots that have a directory.
    func present() throws(SnapshotterError) -> Set<Int64> {
        do {
            return Set(try Sys.list("\(root)/\(Self.name)").compactMap { Int64($0.text) })
        } catch {
            throw SnapshotterError(.storage, "failed to list \(root)/\(Self.name)", cause: error)
        }
    }

    // MARK: - Short names

    /// The maximum total size in bytes of the local snapshots' paths in the list of lower directories. Each path counts
    /// without the prefix `<root>/snapshots/`, but with one colon. If the paths exceed this limit, short links replace
    /// them.
    ///
    /// mount(2) takes one page of options. The page also holds the upper and work directories, the lower directory of a
    /// merged tree, and an SELinux context. If the options are long, containerd removes from each path in the list the
    /// parent directory that all these paths share. Without a merged tree, this directory is `<root>/snapshots/`.
    ///
    /// A merged tree is mounted in `<root>/fuse/`. With a merged tree in the list, the shared directory is only
    /// `<root>/`. Then each local path takes 10 bytes more than this limit counts, so a mount with more than about 200
    /// local snapshots may not fit into the page.
    static let longestLowers = 3000

    /// Returns the path of the short link to the upper directory of snapshot `id`.
    ///
    /// The link's name is `id` in base 36: at most four bytes for numbers below 1,679,616. The kernel allows at most
    /// 500 lower directories, so the names of all links of a mount fit into one page.
    private func link(_ id: Int64) -> String { "\(root)/\(Self.linkName)/\(String(id, radix: 36))" }

    /// Returns the paths of the upper directories of the snapshots `ids`, in the same order, for use as lower
    /// directories. If the paths exceed ``longestLowers``, creates short links and returns the links' paths instead.
    func lowers(_ ids: [Int64]) throws(SnapshotterError) -> [String] {
        let plain = ids.map(upper)
        let common = root.utf8.count + Self.name.utf8.count + 2
        // Each path needs one more byte, for the colon that separates it from the next.
        guard plain.reduce(0, { $0 + $1.utf8.count - common + 1 }) > Self.longestLowers else { return plain }
        for id in ids {
            do {
                try Sys.symlink("../\(Self.name)/\(id)/fs", path: link(id))
            } catch .fileExists {
                continue
            } catch {
                throw SnapshotterError(.storage, "failed to create \(link(id))", cause: error)
            }
        }
        return ids.map(link)
    }
}
