import Glibc

extension MappedFile {
    /// Removes the mapping's pages from this process's resident memory (`MADV_DONTNEED`). Later reads map them again
    /// from the page cache. Concurrent readers still see the right bytes.
    public func releaseResidentPages() {
        guard let start = bytes.baseAddress else { return }
        // This is only advice: if the kernel rejects it, the process just keeps the memory.
        _ = madvise(UnsafeMutableRawPointer(mutating: start), bytes.count, MADV_DONTNEED)
    }
}
