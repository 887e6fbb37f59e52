/// The EROFS form of an extended attribute's name: a number for the namespace, and the rest of the name.
enum ExtendedAttributeName {
    /// The namespaces that Linux serves from EROFS. The two ACLs are complete names: nothing follows them.
    static let prefixes: [(index: UInt8, text: [UInt8], isWhole: Bool)] = [
        (1, Array("user.".utf8), false),
        (2, Array("system.posix_acl_access".utf8), true),
        (3, Array("system.posix_acl_default".utf8), true),
        (4, Array("trusted.".utf8), false),
        (6, Array("security.".utf8), false),
    ]

    static let trustedIndex: UInt8 = 4
    /// The bytes that follow `trusted.` in every name of overlayfs's own.
    static let overlaySuffix = Array("overlay.".utf8)
    static let opaqueSuffix = Array("overlay.opaque".utf8)
    /// Our mark of an implied directory. Among overlayfs's own names, so that it never comes from a producer and never
    /// gets into a merged tree.
    static let impliedSuffix = Array("overlay.rivulet.implied".utf8)

    /// Returns the namespace of `name` and the length of its prefix. Returns `nil` for a name that EROFS cannot store:
    /// of another namespace, or with nothing after its prefix.
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
