import CLinux
public import SystemPackage

/// Extended attributes (xattr(7)). For a symbolic link, each function accesses the attributes of the link itself.
extension Sys {
    // XATTR_SIZE_MAX and XATTR_LIST_MAX (linux/limits.h): no value and no list of names is longer.
    private static let attributeLimit = 65536

    /// Returns the value of an attribute (lgetxattr(2)), or `nil` if the file has no such attribute.
    public static func extendedAttribute(_ path: some PathName, _ name: some PathName) throws(Errno) -> [UInt8]? {
        do {
            return try filled { (buffer) throws(Errno) in
                try pair(path, name) { lgetxattr($0, $1, buffer.baseAddress, buffer.count) }
            }
        } catch .noData {
            return nil
        }
    }

    /// Creates or replaces an attribute (lsetxattr(2)).
    public static func setExtendedAttribute(
        _ path: some PathName, named name: some PathName, to value: [UInt8]
    ) throws(Errno) {
        _ = try value.withUnsafeBytesTyped { (bytes) throws(Errno) in
            try pair(path, name) { Int(lsetxattr($0, $1, bytes.baseAddress, bytes.count, 0)) }
        }
    }

    /// Removes an attribute (lremovexattr(2)). Throws `ENODATA` if there is no such attribute.
    public static func removeExtendedAttribute(_ path: some PathName, _ name: some PathName) throws(Errno) {
        _ = try pair(path, name) { Int(lremovexattr($0, $1)) }
    }

    /// Returns the names of the attributes in the file system's order (llistxattr(2)).
    public static func extendedAttributeNames(_ path: some PathName) throws(Errno) -> [[UInt8]] {
        let names = try filled { (buffer) throws(Errno) in
            try call(path) { llistxattr($0, buffer.assumingMemoryBound(to: CChar.self).baseAddress, buffer.count) }
        }
        return names.split(separator: 0).map { Array($0) }
    }

    private static func filled(
        _ body: (UnsafeMutableRawBufferPointer) throws(Errno) -> Int
    ) throws(Errno) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 256)
        while true {
            do {
                let count = try bytes.withUnsafeMutableBytesTyped(body)
                bytes.removeLast(bytes.count - count)
                return bytes
            } catch .outOfRange {
                guard bytes.count < attributeLimit else { throw .outOfRange }
                bytes = [UInt8](repeating: 0, count: attributeLimit)
            }
        }
    }

    private static func pair(
        _ path: some PathName, _ name: some PathName,
        _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int
    ) throws(Errno) -> Int {
        var result = 0
        try call(path, name) { path, name in
            result = body(path, name)
            return result < 0 ? -1 : 0
        }
        return result
    }
}
