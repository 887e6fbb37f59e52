import CLinux
import Glibc
public import SystemPackage

extension Sys {
    /// Raises this process's limit on open file descriptors to the highest value that the kernel allows (the hard limit
    /// of `RLIMIT_NOFILE`).
    ///
    /// The usual limit of 1,024 exists for programs that use select(2).
    ///
    /// - Returns: the new limit.
    @discardableResult
    public static func raiseDescriptorLimit() throws(Errno) -> UInt64 {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { throw Errno(rawValue: errno) }
        limit.rlim_cur = limit.rlim_max
        guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { throw Errno(rawValue: errno) }
        return UInt64(limit.rlim_cur)
    }
}
