import CLinux
import Glibc
import SystemPackage

/// Thin, typed wrappers of system calls. They retry after `EINTR`, and throw the `Errno` of a failure.
///
/// A wrapper reads `errno` right after the call, before Swift can release an object: a deallocation may make a system
/// call that overwrites `errno`. If a path contains a NUL, the wrapper throws `EINVAL`, because the kernel would cut
/// the path at the NUL. The wrappers open every descriptor with `O_CLOEXEC`. A parameter `at` is the open directory
/// that relative paths start from.
public enum Sys {
    /// The value of `at` for the process's working directory (`AT_FDCWD`).
    public static let currentDirectory: Int32 = AT_FDCWD

    /// Calls `body`, and repeats the call while a signal interrupts it. Throws the `errno` of any other failure.
    @inline(__always)
    static func call<Value: FixedWidthInteger & SignedInteger>(_ body: () -> Value) throws(Errno) -> Value {
        while true {
            let value = body()
            if value != -1 { return value }
            let code = errno
            if code != EINTR { throw Errno(rawValue: code) }
        }
    }

    /// Calls `body` with `path` as a C string, like ``call(_:)``.
    @inline(__always)
    static func call<Value: FixedWidthInteger & SignedInteger>(
        _ path: some PathName, _ body: (UnsafePointer<CChar>) -> Value
    ) throws(Errno) -> Value {
        let outcome = path.withPathName { name -> (Value, Int32) in
            while true {
                let value = body(name)
                if value != -1 { return (value, 0) }
                let code = errno
                if code != EINTR { return (-1, code) }
            }
        }
        guard let (value, code) = outcome else { throw .invalidArgument }
        if code != 0 { throw Errno(rawValue: code) }
        return value
    }

    /// Calls `body` with two paths as C strings, like ``call(_:)``.
    static func call(
        _ first: some PathName, _ second: some PathName,
        _ body: (UnsafePointer<CChar>, UnsafePointer<CChar>) -> Int32
    ) throws(Errno) {
        let outcome = first.withPathName { first -> Int32? in
            second.withPathName { second -> Int32 in
                while true {
                    if body(first, second) != -1 { return 0 }
                    let code = errno
                    if code != EINTR { return code }
                }
            }
        }
        guard let outcome, let code = outcome else { throw .invalidArgument }
        if code != 0 { throw Errno(rawValue: code) }
    }
}
