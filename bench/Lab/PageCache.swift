import Glibc
import Linux
import SystemPackage

/// The machine's page cache.
public enum PageCache {
    /// Reads every file below `directory` into the cache, as on a server that has been serving them. Blocks.
    public static func warm(_ directory: String) throws(LabError) {
        let entries: [DirectoryEntry]
        do {
            entries = try Sys.list(directory)
        } catch {
            throw LabError(.files, "\(directory) cannot be listed", cause: error)
        }
        for entry in entries {
            let path = "\(directory)/\(entry.text)"
            switch entry.kind {
            case .directory: try warm(path)
            case .regular: _ = try Files.digest(path)
            default: break
            }
        }
    }

    /// Writes everything out and drops clean pages, entries and inodes, so that whatever is read next comes from the disk.
    /// Needs root. Blocks.
    public static func drop() throws(LabError) {
        sync()
        do {
            try Sys.writeFile("/proc/sys/vm/drop_caches", Array("3".utf8))
        } catch {
            throw LabError(.files, "the page cache cannot be dropped", cause: error)
        }
    }
}
