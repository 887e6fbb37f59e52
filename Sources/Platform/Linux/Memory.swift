import CLinux

extension Sys {
    /// Gives memory that was freed back to the kernel (`malloc_trim`(3)): for after work that took much of it for a moment.
    /// glibc keeps what lies below something that is still used, in each of its arenas. It takes a millisecond or two.
    public static func releaseFreedMemory() {
        _ = malloc_trim(0)
    }
}
