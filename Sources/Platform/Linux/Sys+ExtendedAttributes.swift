import CLinux
public import SystemPackage

/// Extended attributes (xattr(7)); for a symbolic link, those of the link itself.
extension Sys {
    // XATTR_SIZE_MAX and XATTR_LIST_MAX (linux/limits.h): nothing is ever longer.
    private static let attributeLimit = 65536

    /// lgetxattr(2): returns the value, or `nil` if the file has no such attribute.
    public static func extendedAttribute(_ path: some PathName, _ name: some PathName) throws(Errno) -> [UInt8]? {
        do {
            return try filled { (buffer) throws(Errno) in
                try pair(path, name) { lgetxattr($0, $1, buffer.baseAddress, buffer.count) }
            }
        } catch .noData {
            return nil
        }
    }

    /// lsetxattr(2): creates or replaces the attribute.
    public static func setExtendedAttribute(
        _ path: some PathName, named name: some PathName, to value: [UInt8]
    ) throws(Errno) {
        _ = try value.withUnsafeBytesTyped { (bytes) throws(Errno) in
            try pair(path, name) { Int(lsetxattr($0, $1, bytes.baseAddress, bytes.count, 0)) }
        }
    }

    /// lremovexattr(2): throws `ENODATA` if there is no such attribute.
    public static func removeExtendedAttribute(_ path: some PathName, _ name: some PathName) throws(Errno) {
        _ = try pair(path, name) { Int(lremovexattr($0, $1)) }
    }

    /// llistxattr(2): returns the names in the file system's order.
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
