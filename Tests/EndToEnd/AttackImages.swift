import Base
import Lab
import TestSupport

/// The two images of an attack, published.
struct AttackImages {
    /// The registry of the attacker, which serves what it wants.
    static let evilRegistry = "evil.lab"

    let victim: String
    let evil: String
    /// The archives of the victim's layers, bottom first.
    let archives: [[UInt8]]
    /// True if both images have the same configuration, so that kubelet takes them for one.
    let isVerbatim: Bool
    /// The chain ID of the victim.
    let chain: Digest
    /// The chain ID of the evil image.
    let evilChain: Digest
    let traces: [Attack.Trace]

    /// The storage of both registries.
    struct Stores {
        let honest: ImageStore
        let evil: ImageStore
    }

    /// Publishes the images of `attack`.
    init(_ attack: Attack, in stores: Stores) throws {
        let pair = try Pair(attack.claim, name: "\(attack)")
        let repository = "attack/victim-\(attack)"
        let evilRepository = "attack/evil-\(attack)"
        victim = "\(HostsDirectory.registry)/\(repository):v"
        evil = "\(pair.isElsewhere ? Self.evilRegistry : HostsDirectory.registry)/\(evilRepository):v"

        let manifest = try stores.honest.write(pair.own.map(\.stored), to: repository, tag: "v")
        try pair.artifact?.publish(of: manifest, in: stores.honest, to: repository)
        try Self.publish(pair.table, of: pair.own[0].stored, to: repository, in: stores.honest)

        var other = pair.other
        if attack.claim == .labels {
            other[0].annotations.merge([
                "containerd.io/snapshot/cri.image-ref": victim,
                "containerd.io/snapshot/cri.manifest-digest": "\(manifest)",
                "containerd.io/snapshot/cri.layer-digest": "\(Digest.of(other[0].blob))",
            ]) { $1 }
        }
        let store = pair.isElsewhere ? stores.evil : stores.honest
        let evilManifest = try store.write(other, to: evilRepository, tag: "v", note: pair.isVerbatim ? "" : "evil")
        try pair.evilArtifact?.publish(of: evilManifest, in: store, to: evilRepository)
        try Self.publish(pair.evilTable, of: other[0], to: evilRepository, in: store)

        archives = pair.own.map(\.archive)
        isVerbatim = pair.isVerbatim
        chain = Self.chain(pair.own.map(\.stored))
        evilChain = Self.chain(other)
        let top = other[other.count - 1]
        let index = pair.evilArtifact.map {
            "index \(Digest.of($0.index)) \(HostsDirectory.registry)/\(evilRepository)"
        }
        let table = top.annotations[EstargzBlob.tocDigestAnnotation].map { "toc \($0) \(top.blob.count)" }
        traces = attack.traces(
            evilLayer: "\(top.statedDigest ?? Digest.of(top.blob)) \(index ?? table ?? "")",
            diffID: pair.own[0].stored.diffID)
    }

    /// Publishes a table of contents that is outside of its layer's blob, beside the tag of the layer's image.
    private static func publish(
        _ table: [UInt8]?, of layer: ImageStore.Layer, to repository: String, in store: ImageStore
    ) throws {
        guard let table else { return }
        var companion = ImageStore.Layer(blob: table, diffID: Digest.of(table), mediaType: layer.mediaType)
        companion.annotations["containerd.io/snapshot/stargz/layer.digest"] = "\(Digest.of(layer.blob))"
        try store.write([companion], to: repository, tag: "v-esgztoc")
    }

    private static func chain(_ layers: [ImageStore.Layer]) -> Digest {
        layers.dropFirst().reduce(layers[0].diffID) { Digest.of(Array("\($0) \($1.diffID)".utf8)) }
    }
}

extension AttackImages {
    /// The layers of both images, and what makes them streamable.
    private struct Pair {
        /// The victim's layers.
        var own: [AttackLayer]
        /// The evil image's layers.
        var other: [ImageStore.Layer]
        /// True if the evil image has the victim's configuration.
        var isVerbatim = false
        /// True if the evil image is in the attacker's registry.
        var isElsewhere = false
        var artifact: ForgedArtifact?
        var evilArtifact: ForgedArtifact?
        /// The external tables of contents.
        var table: [UInt8]?
        var evilTable: [UInt8]?

        init(_ claim: Attack.Claim, name: String) throws {
            let wrongDiffID = Digest.of(Array("evil \(name)".utf8))
            switch claim {
            case .configuration, .diffIDs, .prefix:
                own = [AttackLayer(table: "victim-bottom-\(name)"), AttackLayer(table: "victim-top-\(name)")]
                let evil = [AttackLayer(table: "evil-bottom-\(name)"), AttackLayer(table: "evil-top-\(name)")]
                let count = claim == .prefix ? 1 : 2
                other = evil.map(\.stored)
                for number in 0..<count { other[number].diffID = own[number].stored.diffID }
                isVerbatim = claim == .configuration
            case .blob, .content, .table, .rights, .labels:
                // Stored, not compressed: blobs of the same names and sizes then have the same places.
                own = [AttackLayer(table: "victim-\(name)", level: 0)]
                let evil = AttackLayer(table: "victim-\(name)", text: "vandal-\(name)", level: 0)
                other = [own[0].stored]
                switch claim {
                case .blob: (other[0].blob, other[0].annotations) = (evil.stored.blob, evil.stored.annotations)
                case .content:
                    other[0].blob = Array(
                        evil.stored.blob[..<evil.tableOffset] + own[0].stored.blob[own[0].tableOffset...])
                case .table: other[0].annotations = evil.stored.annotations
                default: other[0].isHeld = false
                }
                isElsewhere = claim != .table
                if claim == .blob || claim == .content { other[0].statedDigest = Digest.of(own[0].stored.blob) }
                other[0].diffID = wrongDiffID
            case .externalTable:
                let (layer, honest) = AttackLayer.external("victim-\(name)")
                let (evil, forged) = AttackLayer.external("victim-\(name)") { table in
                    // The names of two files of one size change places, and one gets other rights.
                    for index in table.indices {
                        switch String(decoding: table[index].name, as: UTF8.self) {
                        case "data/even": table[index].name = Array("data/odd".utf8)
                        case "data/odd": table[index].name = Array("data/even".utf8)
                        case "data/who": table[index].mode = 0o4777
                        default: break
                        }
                    }
                }
                (own, other, table, evilTable) = ([layer], [evil.stored], honest, forged)
            case .copy, .copyOfPulled, .copyOfUnstreamed:
                let layer = AttackLayer(plain: "victim-\(name)")
                let archive = TarWriter.archive(AttackLayer.entries("victim-\(name)", text: "vandal-\(name)"))
                (own, other) = ([layer], [layer.stored])
                if claim == .copyOfPulled { other[0].diffID = wrongDiffID }
                if claim == .copy { artifact = try ForgedArtifact(of: layer.stored, archive: layer.archive) }
                isVerbatim = claim == .copy
                evilArtifact = try ForgedArtifact(
                    of: other[0], archive: archive, copy: Compressed.zstd(archive))
            case .zeros, .falseZeros, .places:
                let layer = AttackLayer(plain: "victim-\(name)")
                (own, other) = ([layer], [layer.stored])
                if claim == .falseZeros { other[0].diffID = wrongDiffID }
                artifact = try ForgedArtifact(of: layer.stored, archive: layer.archive)
                evilArtifact = try ForgedArtifact(
                    of: other[0], archive: layer.archive,
                    lie: claim == .zeros ? .zeros : claim == .places ? .places : .falseZeros)
            }
        }
    }
}

/// A layer, and the archive that it unpacks to.
struct AttackLayer {
    let archive: [UInt8]
    let stored: ImageStore.Layer
    /// The offset of the table of contents in the blob; 0 if there is none.
    let tableOffset: Int

    /// Makes a layer with a table of contents.
    ///
    /// - Parameters:
    ///   - name: text that makes the layer's names different from those of all other layers.
    ///   - text: text that makes the content different; `nil` for `name`.
    init(table name: String, text: String? = nil, level: Int32 = 6) {
        var options = EstargzOptions()
        options.level = level
        let blob = EstargzBlob.make(Self.entries(name, text: text ?? name), options)
        self.init(
            TarWriter.archive(Self.entries(name, text: text ?? name)), blob.bytes, Digest.of(blob.tar),
            blob.annotations, tableOffset: blob.tocOffset)
    }

    /// Makes a layer without a table of contents.
    init(plain name: String) {
        let archive = TarWriter.archive(Self.entries(name, text: name))
        self.init(archive, Compressed.gzip(archive), Digest.of(archive))
    }

    /// Returns a layer and its external table of contents.
    ///
    /// - Parameter edit: changes the table; the blob stays the same.
    static func external(
        _ name: String, edit: (inout [TOCEntry]) -> Void = { _ in }
    ) -> (layer: AttackLayer, table: [UInt8]?) {
        var options = EstargzOptions()
        options.footer = .external
        let entries = entries(name, text: name)
        let blob = EstargzBlob.make(entries, options, edit: edit)
        let archive = TarWriter.archive(entries)
        return (AttackLayer(archive, blob.bytes, Digest.of(archive), blob.annotations), blob.externalTOC)
    }

    private init(
        _ archive: [UInt8], _ blob: [UInt8], _ diffID: Digest, _ annotations: [String: String] = [:],
        tableOffset: Int = 0
    ) {
        self.archive = archive
        self.tableOffset = tableOffset
        stored = ImageStore.Layer(
            blob: blob, diffID: diffID, mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
            annotations: annotations)
    }

    static func entries(_ name: String, text: String) -> [TarEntry] {
        [
            .directory("data", mode: 0o751), .file("data/who", text), .file("data/even", "even\n"),
            .file("data/odd", "odd!\n"), .file("data/large", String(repeating: text + "\n", count: 1500)),
            .symlink("data/link", to: name), .file(name, text, mode: 0o4755),
        ]
    }
}
