import CLinux

extension Sys {
    /// Returns freed memory to the kernel (malloc_trim(3)). Call it after work with a short peak of memory use.
    /// Otherwise glibc keeps freed memory that lies below a block still in use. The call takes one or two milliseconds.
    public static func releaseFreedMemory() {
        _ = malloc_trim(0)
    }
}
