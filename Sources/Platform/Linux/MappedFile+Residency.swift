import Glibc

extension MappedFile {
    /// Gives back the memory that the mapping's pages take in this process (`MADV_DONTNEED`). Their bytes come again from
    /// the page cache when they are read; readers in other threads notice nothing.
    public func releaseResidentPages() {
        guard let start = bytes.baseAddress else { return }
        // It is advice: when the kernel does not take it, only memory is lost.
        _ = madvise(UnsafeMutableRawPointer(mutating: start), bytes.count, MADV_DONTNEED)
    }
}
