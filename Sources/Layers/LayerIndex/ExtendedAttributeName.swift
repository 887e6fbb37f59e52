/// The EROFS form of an extended attribute's name: a number for the namespace, and the rest of the name.
enum ExtendedAttributeName {
    /// The namespaces of attributes that Linux reads from EROFS, with EROFS's numbers for them. The two ACL entries are
    /// complete names (`isWhole`): no text follows them.
    static let prefixes: [(index: UInt8, text: [UInt8], isWhole: Bool)] = [
        (1, Array("user.".utf8), false),
        (2, Array("system.posix_acl_access".utf8), true),
        (3, Array("system.posix_acl_default".utf8), true),
        (4, Array("trusted.".utf8), false),
        (6, Array("security.".utf8), false),
    ]

    static let trustedIndex: UInt8 = 4
    /// The bytes that follow `trusted.` in the names of overlayfs's own attributes.
    static let overlaySuffix = Array("overlay.".utf8)
    static let opaqueSuffix = Array("overlay.opaque".utf8)
    /// The bytes that follow `trusted.` in the name of our own mark. A directory with the mark takes attributes from
    /// the same directory in the layers below. The value `y` marks an implied directory, which takes all attributes.
    /// The value `x` marks a directory that takes only extended attributes.
    ///
    /// No archive can set the mark, because the builder ignores `trusted.*` attributes in archives. The name begins
    /// with overlayfs's prefix, so the merger removes the mark from the merged tree.
    static let impliedSuffix = Array("overlay.rivulet.implied".utf8)
    static let userIndex: UInt8 = 1
    static let aclAccessIndex: UInt8 = 2
    static let aclDefaultIndex: UInt8 = 3
    static let securityIndex: UInt8 = 6
    static let capabilitySuffix = Array("capability".utf8)

    /// Returns the index by which EROFS names the namespace of `name`, and the length of the namespace's prefix in
    /// bytes. Returns `nil` for a name that EROFS cannot store: its namespace has no index, or nothing follows a prefix
    /// such as `user.`.
    static func split(_ name: UnsafeRawBufferPointer) -> (index: UInt8, prefix: Int)? {
        for candidate in prefixes where name.starts(with: candidate.text) {
            if candidate.isWhole == (name.count == candidate.text.count) {
                return (candidate.index, candidate.text.count)
            }
        }
        return nil
    }

    /// Returns the text of namespace `index`; `nil` if the namespace is unknown. If `isWhole` is true, nothing may
    /// follow the text.
    static func prefix(_ index: UInt8) -> (text: [UInt8], isWhole: Bool)? {
        for candidate in prefixes where candidate.index == index {
            return (candidate.text, candidate.isWhole)
        }
        return nil
    }
}
