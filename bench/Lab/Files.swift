public import Base
import Linux
import SystemPackage

/// File functions whose errors name the file.
public enum Files {
    /// Writes `text` to `path`. Replaces an existing file and creates missing directories.
    public static func write(_ path: String, _ text: String) throws(LabError) {
        do {
            if let slash = path.lastIndex(of: "/") {
                try Sys.makeDirectories(String(path[..<slash]), permissions: 0o755)
            }
            try Sys.writeFile(path, Array(text.utf8))
        } catch {
            throw LabError(.files, "cannot write \(path)", cause: error)
        }
    }

    /// Reads a whole file of at most `limit` bytes.
    public static func read(_ path: String, limit: Int = 64 << 20) throws(LabError) -> [UInt8] {
        do {
            return try Sys.readFile(path, limit: limit)
        } catch {
            throw LabError(.files, "\(path) cannot be read", cause: error)
        }
    }

    /// Reads a file as text, like ``read(_:limit:)``. Invalid UTF-8 is repaired.
    public static func text(_ path: String, limit: Int = 64 << 20) throws(LabError) -> String {
        String(decoding: try read(path, limit: limit), as: UTF8.self)
    }

    /// Creates a directory and its parents.
    public static func makeDirectory(_ path: String) throws(LabError) {
        do {
            try Sys.makeDirectories(path, permissions: 0o755)
        } catch {
            throw LabError(.files, "cannot create \(path)", cause: error)
        }
    }

    /// Returns true if `path` exists.
    public static func exists(_ path: String) -> Bool {
        (try? Sys.exists(path)) ?? false
    }

    /// Returns the last lines of a log; the error's description if the log cannot be read.
    public static func tail(_ path: String, lines: Int) -> String {
        do throws(LabError) {
            return try text(path).split(separator: "\n").suffix(lines).joined(separator: "\n")
        } catch {
            return error.description
        }
    }

    /// Returns the digest and size of a file of any size.
    public static func digest(_ path: String) throws(LabError) -> (digest: Digest, size: UInt64) {
        do {
            let file = try Sys.open(path, .readOnly)
            let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
            defer { buffer.deallocate() }
            var hasher = DigestHasher()
            var size: UInt64 = 0
            while true {
                let count = try Sys.read(file.raw, into: buffer)
                if count == 0 { break }
                hasher.update(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
                size += UInt64(count)
            }
            return (hasher.finish(), size)
        } catch {
            throw LabError(.files, "\(path) cannot be read", cause: error)
        }
    }
}
