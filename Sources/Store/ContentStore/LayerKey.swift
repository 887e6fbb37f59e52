public import Base

/// The identity of a layer on this node: the blob's digest, and the pin that makes its index believable.
///
/// The same blob may have two indexes, for example in the streaming artifacts of two repositories. The node then keeps
/// two separate layers, so a wrong index in one repository never changes the files of images in another one.
public struct LayerKey: Sendable {
    /// The reason to believe a layer's index.
    public enum Pin: Hashable, Sendable {
        /// Manifests state this digest for the blob's table of contents, and this size for the blob in bytes. All
        /// images whose manifests state the same digest and size share the layer.
        case tableOfContents(Digest, size: UInt64)
        /// The index with this digest is part of a streaming artifact in `repository`. Only images of `repository`
        /// share the layer until it is verified.
        case index(Digest, repository: String)
        /// Nothing vouches for the blob's table of contents, and the configuration allows that. Only images of
        /// `repository` share the layer.
        case unverified(repository: String)
        /// A version of the store without pins stored the layer. Only chains from that time use the layer.
        case inherited
    }

    /// The digest of the layer's blob.
    public let blob: Digest
    public let pin: Pin
    /// The SHA-256 of ``description``. This digest names the layer's directory, and stands for the layer in merged
    /// trees.
    public let id: Digest

    public init(_ blob: Digest, _ pin: Pin) {
        self.blob = blob
        self.pin = pin
        id = Digest.of(Array(Self.text(blob, pin).utf8))
    }

    /// Reads the text that ``description`` returns; `nil` if `text` is anything else.
    public init?(text: String) {
        let words = text.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 2, let blob = Digest(String(words[0])) else { return nil }
        let digest = words.count >= 3 ? Digest(String(words[2])) : nil
        switch (words[1], words.count) {
        case ("toc", 4):
            guard let digest, let size = UInt64(words[3]) else { return nil }
            self.init(blob, .tableOfContents(digest, size: size))
        case ("index", 4):
            guard let digest, !words[3].isEmpty else { return nil }
            self.init(blob, .index(digest, repository: String(words[3])))
        case ("unverified", 3):
            guard !words[2].isEmpty else { return nil }
            self.init(blob, .unverified(repository: String(words[2])))
        case ("inherited", 2): self.init(blob, .inherited)
        default: return nil
        }
    }

    private static func text(_ blob: Digest, _ pin: Pin) -> String {
        switch pin {
        case .tableOfContents(let digest, let size): "\(blob) toc \(digest) \(size)"
        case .index(let digest, let repository): "\(blob) index \(digest) \(repository)"
        case .unverified(let repository): "\(blob) unverified \(repository)"
        case .inherited: "\(blob) inherited"
        }
    }
}

extension LayerKey: Hashable {
    public static func == (left: LayerKey, right: LayerKey) -> Bool { left.id == right.id }
    public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension LayerKey: CustomStringConvertible {
    /// The blob's digest and the pin as text. The store keeps this text in the layer's `key` file.
    public var description: String { Self.text(blob, pin) }
}

/// The identity of a chain on this node: a hash of the ordered keys of its layers.
///
/// A chain ID (OCI image-spec) is what an image's author claims. Several chains with different layers may claim the
/// same chain ID.
public struct ChainKey: Hashable, Sendable, CustomStringConvertible {
    /// The hash. It names the chain's directory.
    public let id: Digest

    /// Restores a key from its hash, for example from the database or from the name of a chain's directory.
    public init(id: Digest) {
        self.id = id
    }

    /// Makes the key of the chain that consists of `layer` on top of `parent`; `parent` is `nil` for the bottom layer.
    public init(parent: ChainKey?, layer: LayerKey) {
        id = Digest.of(Array("chain \(parent.map { "\($0.id) " } ?? "")\(layer.id)".utf8))
    }

    public var description: String { "\(id)" }
}
