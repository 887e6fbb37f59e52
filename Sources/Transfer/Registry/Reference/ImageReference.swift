public import Base

/// The name of an image in containerd's form. Parsing completes docker's short forms: `debian` becomes
/// `docker.io/library/debian:latest`.
///
/// The grammar and normalization are those of github.com/distribution/reference. A digest must be SHA-256.
public struct ImageReference: Sendable, Hashable {
    /// The longest accepted text, in bytes. It has room for a name of 255 bytes, a tag of 128, a digest of 71, and
    /// separators.
    public static let maximumLength = 512
    static let maximumNameLength = 255

    public let repository: Repository
    public let tag: String?
    public let digest: Digest?

    /// The host of the registry, as the image's name states it, with the port if any.
    public var host: String { repository.host }

    /// Creates a reference from well-formed parts. If both `tag` and `digest` are `nil`, the tag is `latest`.
    public init(repository: Repository, tag: String? = nil, digest: Digest? = nil) {
        self.repository = repository
        self.tag = digest == nil && tag == nil ? "latest" : tag
        self.digest = digest
    }

    /// Parses and normalizes `text`.
    ///
    /// - Throws: ``RegistryError`` with code `invalidReference`. The message quotes the text unless it is too long.
    public init(parsing text: String) throws(RegistryError) {
        guard text.utf8.count <= Self.maximumLength else {
            throw RegistryError(
                .invalidReference, "image reference of \(text.utf8.count) bytes is longer than \(Self.maximumLength)")
        }
        func malformed(_ reason: String) -> RegistryError {
            RegistryError(.invalidReference, "image reference \(quoted(text)): \(reason)")
        }
        guard !text.isEmpty else { throw malformed("empty") }

        var rest = text[...]
        var digest: Digest?
        if let at = rest.firstIndex(of: "@") {
            let digestText = rest[rest.index(after: at)...]
            guard let parsed = Digest(digestText) else { throw malformed("the digest is not sha256 and 64 hex digits") }
            digest = parsed
            rest = rest[..<at]
        }

        let (domain, path) = Self.splitDomain(rest)
        guard ReferenceGrammar.isDomain(domain) else { throw malformed("bad registry host \(quoted(domain))") }

        var name = path
        var tag: String?
        if let colon = path.lastIndex(of: ":") {
            let tagText = path[path.index(after: colon)...]
            guard ReferenceGrammar.isTag(tagText) else { throw malformed("bad tag \(quoted(tagText))") }
            tag = String(tagText)
            name = path[..<colon]
        }
        var fullName = String(name)
        if domain == "docker.io" && !fullName.contains("/") {
            // As in docker, 64 hex digits without a host are an image ID, not a name.
            guard !(fullName.utf8.count == 64 && fullName.utf8.allSatisfy { Hex.value(of: $0) != nil }) else {
                throw malformed("64 hexadecimal digits are an image ID, not a name")
            }
            fullName = "library/" + fullName
        }
        guard ReferenceGrammar.isPath(fullName[...]) else {
            throw malformed("the repository name must be lower-case path components")
        }
        guard domain.utf8.count + 1 + fullName.utf8.count <= Self.maximumNameLength else {
            throw malformed("the name is longer than \(Self.maximumNameLength) bytes")
        }
        self.init(repository: Repository(host: String(domain), name: fullName), tag: tag, digest: digest)
    }

    /// Splits a name into the host and the path. The part before the first slash is a host if it is `localhost`, or has
    /// a dot, a colon or an upper-case letter. An upper-case letter can only be in a host, because repository names
    /// have none. Otherwise the host is docker.io, and the path is the whole name.
    private static func splitDomain(_ text: Substring) -> (domain: Substring, path: Substring) {
        guard let slash = text.firstIndex(of: "/") else { return ("docker.io", text) }
        let first = text[..<slash]
        let looksLikeHost =
            first == "localhost" || first.utf8.contains { $0 == 0x2e || $0 == 0x3a || (0x41...0x5a).contains($0) }
        guard looksLikeHost else { return ("docker.io", text) }
        let domain = first == "index.docker.io" ? "docker.io" : first
        return (domain, text[text.index(after: slash)...])
    }
}

extension ImageReference: CustomStringConvertible {
    /// The normalized text: host and name, then the tag and the digest if present.
    public var description: String {
        var text = repository.description
        if let tag { text += ":" + tag }
        if let digest { text += "@" + digest.description }
        return text
    }
}
