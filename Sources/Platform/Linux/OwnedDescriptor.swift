import Glibc

/// An open file descriptor with exactly one owner, this value. The end of the value's lifetime closes the descriptor.
///
/// System calls take the bare number (``raw``), so keep the value alive while you use the number. `Sys` opens every
/// descriptor with `O_CLOEXEC`.
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

    /// Gives up ownership without closing the descriptor, and returns its number. The caller must close the descriptor.
    public consuming func release() -> Int32 {
        let number = raw
        discard self
        return number
    }
}
