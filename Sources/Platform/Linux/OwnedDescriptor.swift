import Glibc

/// An open file descriptor with exactly one owner. The end of the owner's lifetime closes the descriptor.
///
/// `Sys` opens every descriptor with `O_CLOEXEC`. System calls take the bare number (``raw``), so keep the owner alive
/// while you use the number.
public struct OwnedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number for system calls, valid while this value lives.
    public let raw: Int32

    /// Takes ownership of `raw`, which must be open and have no other owner.
    public init(taking raw: Int32) {
        self.raw = raw
    }

    deinit {
        // Linux frees the number, even if close returns an error. A second call could close another file.
        _ = Glibc.close(raw)
    }

    /// Gives up ownership without closing the descriptor, and returns its number. The caller must close it.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }
}
