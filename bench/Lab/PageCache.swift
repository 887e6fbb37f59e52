public import Base
import Glibc
import Linux
import SystemPackage

/// The machine's page cache.
public enum PageCache {
    /// Reads every file below `directory` into the cache, as on a busy server. Blocks.
    public static func warm(_ directory: String) throws(LabError) {
        let entries: [DirectoryEntry]
        do {
            entries = try Sys.list(directory)
        } catch {
            throw LabError(.files, "cannot list \(directory)", cause: error)
        }
        for entry in entries {
            let path = "\(directory)/\(entry.text)"
            switch entry.kind {
            case .directory: try warm(path)
            case .regular: try warm(file: path)
            default: break
            }
        }
    }

    /// Reads one file into the cache. Blocks.
    public static func warm(file path: String) throws(LabError) {
        do {
            let file = try Sys.open(path, .readOnly)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
            defer { buffer.deallocate() }
            while try Sys.read(file.raw, into: buffer) > 0 {}
        } catch {
            throw LabError(.files, "\(path) cannot be read", cause: error)
        }
    }

    /// Writes dirty pages to disk, and drops clean pages, entries and inodes, so that the next read comes from the
    /// disk.
    ///
    /// Needs root. Blocks.
    public static func drop() throws(LabError) {
        sync()
        do {
            try Sys.writeFile("/proc/sys/vm/drop_caches", Array("3".utf8))
        } catch {
            throw LabError(.files, "cannot drop the page cache", cause: error)
        }
    }
}
