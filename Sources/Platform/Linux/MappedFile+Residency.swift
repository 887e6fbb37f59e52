import Glibc

extension MappedFile {
    /// Releases the memory of the mapping's pages in this process (`MADV_DONTNEED`). Later reads get them from the page
    /// cache; concurrent readers are not affected.
    public func releaseResidentPages() {
        guard let start = bytes.baseAddress else { return }
        // This is only advice: if the kernel rejects it, the process just keeps the memory.
        _ = madvise(UnsafeMutableRawPointer(mutating: start), bytes.count, MADV_DONTNEED)
    }
}
