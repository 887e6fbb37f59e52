import CLinux

extension Sys {
    /// Returns freed memory to the kernel (malloc_trim(3)), which takes one or two milliseconds. Call this after work
    /// with a short peak of memory use: without this call, glibc keeps freed memory that lies below a block still in
    /// use.
    public static func releaseFreedMemory() {
        _ = malloc_trim(0)
    }
}
