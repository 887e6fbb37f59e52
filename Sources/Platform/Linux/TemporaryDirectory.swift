import Glibc
public import SystemPackage

extension Sys {
    /// mkdtemp(3): a new directory of mode 0700 whose name starts with `prefix`, in `parent`. The caller removes it.
    public static func makeTemporaryDirectory(in parent: String = "/tmp", prefix: String = "rivulet-") throws(Errno)
        -> String
    {
        var template = Array("\(parent)/\(prefix)XXXXXX".utf8)
        guard !template.contains(0) else { throw .invalidArgument }
        template.append(0)
        let code = template.withUnsafeMutableBytes { bytes -> Int32 in
            guard let start = bytes.assumingMemoryBound(to: CChar.self).baseAddress else { return EINVAL }
            return mkdtemp(start) == nil ? errno : 0
        }
        guard code == 0 else { throw Errno(rawValue: code) }
        return String(decoding: template.dropLast(), as: UTF8.self)
    }
}

/// Runs `body` with a new directory below `parent`, which is removed with all that is in it when `body` is left,
/// whether it returns or throws.
public func withTemporaryDirectory<Result>(
    in parent: String = "/tmp", prefix: String = "rivulet-", _ body: (String) throws -> Result
) throws -> Result {
    let path = try Sys.makeTemporaryDirectory(in: parent, prefix: prefix)
    let result = Swift.Result { try body(path) }
    do {
        try removeTree(path)
    } catch {
        // What `body` threw says more than what became of the directory.
        _ = try result.get()
        throw error
    }
    return try result.get()
}

/// As above, for a `body` that suspends.
public func withTemporaryDirectory<Result>(
    in parent: String = "/tmp", prefix: String = "rivulet-", isolation: isolated (any Actor)? = #isolation,
    _ body: (String) async throws -> sending Result
) async throws -> sending Result {
    let path = try Sys.makeTemporaryDirectory(in: parent, prefix: prefix)
    let result: Result
    do {
        result = try await body(path)
    } catch {
        try? removeTree(path)
        throw error
    }
    try removeTree(path)
    return result
}
