import Base
public import SystemPackage

/// Returns the identifier of the current boot: 36 characters that the kernel generates at each boot
/// (/proc/sys/kernel/random/boot_id, random(4)). All containers of a machine see the same identifier.
public func bootIdentifier() throws(Errno) -> String {
    let text = String(decoding: try Sys.readFile("/proc/sys/kernel/random/boot_id", limit: 4096), as: UTF8.self)
    guard let line = text.split(separator: "\n").first, line.utf8.count == 36 else { throw .badAddress }
    return String(line)
}
