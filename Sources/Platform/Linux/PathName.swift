public import SystemPackage

/// A path or name to pass to a system call: bytes, which must not contain a NUL.
///
/// Use `String` for paths that Rivulet chooses. Use `[UInt8]` for names from a directory, a layer or a snapshot,
/// because such names may not be UTF-8. Use `FilePath` if the path already has this type.
public protocol PathName {
    /// Runs `body` with the name as a C string, or returns `nil` if the name contains a NUL.
    func withPathName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result?
}

extension String: PathName {
    public func withPathName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result? {
        guard !utf8.contains(0) else { return nil }
        return withCString(body)
    }
}

extension [UInt8]: PathName {
    public func withPathName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result? {
        guard !contains(0) else { return nil }
        return (self + [0]).withUnsafeBytes { bytes in
            bytes.assumingMemoryBound(to: CChar.self).baseAddress.map(body)
        }
    }
}

extension FilePath: PathName {
    public func withPathName<Result>(_ body: (UnsafePointer<CChar>) -> Result) -> Result? {
        withPlatformString(body)
    }
}
