import Glibc
public import SystemPackage

extension Sys {
    /// Creates a directory of mode 0700 in `parent`, with a name that starts with `prefix` (mkdtemp(3)). The caller
    /// must remove it.
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

/// Runs `body` with the path of a new directory in `parent`. Removes the directory with its contents when `body`
/// returns or throws.
public func withTemporaryDirectory<Result>(
    in parent: String = "/tmp", prefix: String = "rivulet-", _ body: (String) throws -> Result
) throws -> Result {
    let path = try Sys.makeTemporaryDirectory(in: parent, prefix: prefix)
    let result = Swift.Result { try body(path) }
    do {
        try removeTree(path)
    } catch {
        // An error of `body` is more useful than an error of the removal.
        _ = try result.get()
        throw error
    }
    return try result.get()
}

/// Runs an asynchronous `body` with the path of a new directory in `parent`. Removes the directory with its contents
/// when `body` returns or throws.
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
