import Base
public import SystemPackage

/// Which boot of the machine this is: 36 characters that the kernel draws anew at each start
/// (/proc/sys/kernel/random/boot_id, random(4)). Containers on one machine see the same one.
public func bootIdentifier() throws(Errno) -> String {
    let text = String(decoding: try Sys.readFile("/proc/sys/kernel/random/boot_id", limit: 4096), as: UTF8.self)
    guard let line = text.split(separator: "\n").first, line.utf8.count == 36 else { throw .badAddress }
    return String(line)
}
