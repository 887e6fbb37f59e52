import Base

/// A POSIX access control list in the form of its extended attribute (linux/posix_acl_xattr.h, version 2).
///
/// When a file's mode changes, ext4 also changes the file's list. ``setMode(_:)`` does the same, because containerd
/// sets the mode after the list.
struct AccessControlList {
    /// The tags of entries (linux/posix_acl.h).
    private enum Tag {
        static let owner: UInt16 = 0x01
        static let user: UInt16 = 0x02
        static let owningGroup: UInt16 = 0x04
        static let group: UInt16 = 0x08
        static let mask: UInt16 = 0x10
        static let other: UInt16 = 0x20
    }

    private struct Entry {
        var tag: UInt16
        var permissions: UInt16
        var identifier: UInt32
    }

    private var entries: [Entry] = []

    /// Parses the value of the extended attribute; returns `nil` if `value` is not a list.
    init?(_ value: [UInt8]) {
        let parsed = value.withUnsafeBytes { bytes -> [Entry]? in
            guard bytes.littleEndian(UInt32.self, at: 0) == 2, bytes.count % 8 == 4 else { return nil }
            return stride(from: 4, to: bytes.count, by: 8).compactMap { position in
                guard let tag = bytes.littleEndian(UInt16.self, at: position),
                    let permissions = bytes.littleEndian(UInt16.self, at: position + 2),
                    let identifier = bytes.littleEndian(UInt32.self, at: position + 4)
                else { return nil }
                return Entry(tag: tag, permissions: permissions, identifier: identifier)
            }
        }
        guard let parsed else { return nil }
        entries = parsed
    }

    /// The value of the extended attribute, as the kernel returns it. An entry that names no user or group has the
    /// identifier -1 (`UInt32.max`).
    var value: [UInt8] {
        var bytes: [UInt8] = []
        bytes.appendLittleEndian(2 as UInt32)
        for entry in entries {
            bytes.appendLittleEndian(entry.tag)
            bytes.appendLittleEndian(entry.permissions)
            bytes.appendLittleEndian(entry.tag == Tag.user || entry.tag == Tag.group ? entry.identifier : .max)
        }
        return bytes
    }

    var isEmpty: Bool { entries.isEmpty }

    /// True if the list has entries only for the owner, the owning group and others. The mode contains the same
    /// permissions, so the kernel stores no list.
    var isEqualToMode: Bool {
        entries.allSatisfy { $0.tag == Tag.owner || $0.tag == Tag.owningGroup || $0.tag == Tag.other }
    }

    /// Copies the permissions in `mode` to the entries that chmod(2) changes (`posix_acl_chmod` in Linux).
    mutating func setMode(_ mode: UInt16) {
        let hasMask = entries.contains { $0.tag == Tag.mask }
        for index in entries.indices {
            switch entries[index].tag {
            case Tag.owner: entries[index].permissions = mode >> 6 & 7
            case Tag.owningGroup where !hasMask: entries[index].permissions = mode >> 3 & 7
            case Tag.mask: entries[index].permissions = mode >> 3 & 7
            case Tag.other: entries[index].permissions = mode & 7
            default: break
            }
        }
    }
}
