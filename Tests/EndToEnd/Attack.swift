import Base

/// One cell of the matrix of attacks on an image, the victim.
struct Attack: CustomStringConvertible {
    /// The lie of the evil image.
    enum Claim: String, CaseIterable {
        // Chains: the evil image states diff IDs that are not those of its layers.
        /// The victim's configuration, byte by byte.
        case configuration
        /// The victim's diff IDs, in another configuration.
        case diffIDs
        /// The diff ID of the victim's bottom layer only.
        case prefix

        // Tables of contents.
        /// A registry serves the attacker's layer under the digest of the victim's blob.
        case blob
        /// A registry serves the victim's table of contents with other content, under the digest of the victim's blob.
        case content
        /// A table of contents of the attacker's own for the victim's blob, which has another one.
        case table
        /// A table of contents of the attacker's own for the victim's blob, whose table is outside of the blob.
        case externalTable

        // Streaming artifacts in the attacker's own repository, which holds the victim's blob.
        /// Another archive as the layer's copy.
        case copy
        /// The same under another diff ID. The victim has no artifact.
        case copyOfPulled
        /// The same under the victim's diff ID. The victim has no artifact.
        case copyOfUnstreamed
        /// Zeros in place of a file.
        case zeros
        /// A mark of zeros on chunks with the digest of other bytes.
        case falseZeros
        /// Places of chunks that are elsewhere in the archive: files read as headers.
        case places

        // A registry without the victim's blob.
        /// The digest of the victim's blob.
        case rights
        /// Annotations that look like containerd's own labels, and name the victim's repository.
        case labels
    }

    enum Order: String, CaseIterable {
        case evilFirst, evilSecond, evilRemoved
    }

    let claim: Claim
    let order: Order
    let isRestarted: Bool
    let isFilled: Bool

    /// A valid name of a repository.
    var description: String {
        "\(claim.rawValue)-\(order.rawValue)\(isRestarted ? "-restarted" : "")\(isFilled ? "-filled" : "")".lowercased()
    }

    static func all(_ claim: Claim, isFilled: Bool) -> [Attack] {
        Order.allCases.flatMap { order in
            [false, true].map { Attack(claim: claim, order: order, isRestarted: $0, isFilled: isFilled) }
        }
    }
}

extension Attack {
    /// A trace by which a cell shows that its attack took place. Without it, a cell that attacks nothing would pass.
    enum Trace {
        /// The node has the evil image's layer, under a key that begins with this text.
        case layer(String)
        /// Rivulet declines the evil image's layer for this reason, and containerd cannot pull the image either.
        case declined(String)
        /// Content with other digests arrived.
        case wrongContent
        /// The victim's chain was of other layers, and is rebuilt.
        case rebuilt
        /// The layer with this diff ID is verified before the container is created.
        case verified(Digest)
        /// No container is created on the victim's chain until both images are removed and the victim is pulled again.
        case refused
    }

    /// Returns the traces of this attack.
    ///
    /// - Parameters:
    ///   - evilLayer: the beginning of the key of the evil image's top layer.
    ///   - diffID: the diff ID of the victim's bottom layer.
    func traces(evilLayer: String, diffID: Digest) -> [Trace] {
        let isFirst = order != .evilSecond
        return switch claim {
        case .prefix: isFirst ? [.layer(evilLayer), .rebuilt] : [.layer(evilLayer)]
        // containerd does not ask for the layers of a chain that it has.
        case .configuration, .diffIDs, .copy, .zeros, .places:
            isFirst ? [.layer(evilLayer), .rebuilt] : [.verified(diffID)]
        // The table is beside the victim's tag, which nobody knows when the chain should be rebuilt.
        case .externalTable: isFirst ? [.layer(evilLayer), .refused] : [.verified(diffID)]
        case .copyOfUnstreamed: isFirst ? [.layer(evilLayer), .refused] : []
        case .blob, .copyOfPulled: [.layer(evilLayer)]
        // Both images share the layer. A registry that comes later has to show that it holds the blob.
        case .content: isFirst ? [.layer(evilLayer), .wrongContent] : [.declined("unauthorized")]
        case .table: [.declined("bad_index")]
        case .falseZeros: [.declined("storage")]
        case .rights: [.declined("not_found")]
        case .labels: [.declined("image_mismatch")]
        }
    }
}
