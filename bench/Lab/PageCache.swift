import Glibc
import Linux
import SystemPackage

/// The machine's page cache.
public enum PageCache {
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
