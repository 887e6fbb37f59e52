import Glibc

/// An open file descriptor with exactly one owner, closed when the owner goes.
///
/// `Sys` opens every descriptor with `O_CLOEXEC`. Calls take the bare number (``raw``): keep the owner alive for as
/// long as the number is used.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The number that system calls take. Valid for as long as this value lives.
    public let raw: Int32

    /// Takes over `raw`, which must be open and owned by nobody else.
    public init(taking raw: Int32) {
        self.raw = raw
    }

    deinit {
        // Linux frees the number whatever close returns: a second try could close somebody else's file.
        _ = Glibc.close(raw)
    }

    /// Gives the number away without closing it: from here on it is the caller's to close.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }
}
