import Artifacts
import Base
import Images
import LayerFormats
import Registry
import TestSupport

/// One image, and the outcomes of all actions of its opening.
struct OpeningScenario: Hashable, CustomStringConvertible {
    enum Layer: Hashable, CaseIterable {
        case present
        /// An audit has refused the layer.
        case refused
        /// The annotations promise a table of contents.
        case estargz
        case brokenEstargz
        /// Only an artifact makes the layer streamable.
        case ordinary
        case brokenOrdinary
    }

    enum Artifact: Hashable, CaseIterable {
        case none
        case indexes
        /// The index of the bottom layer is missing.
        case incomplete
        case pack
        case predictedPack
    }

    var layers: [Layer]
    var artifact = Artifact.none
    /// True if a list of referrers states the artifact's contents.
    var announces = false
    /// True if the announced contents are not those of the artifact.
    var liesInAnnouncement = false
    var hasProfile = false
    var findsStartProfile = false
    var isFromContainerd = true
    var hasConfiguration = true
    var namesManifest = true
    /// True if the labels of the request do not contain the annotations of the manifest.
    var hidesAnnotations = false
    var failsManifest = false
    /// True if the deadline may pass at any moment.
    var hasDeadline = false
    var options = ImageOpening.Options()

    var description: String {
        "\(layers), artifact \(artifact)\(announces ? " announced" : "")\(liesInAnnouncement ? " falsely" : "")"
            + (hasProfile ? ", profile" : "") + (findsStartProfile ? ", start profile" : "")
            + (isFromContainerd ? ", containerd" : ", registry") + (hasConfiguration ? "" : ", no configuration")
            + (failsManifest ? ", manifest fails" : "") + (hasDeadline ? ", deadline" : "")
            + (options.layersAtOnce < layers.count ? ", \(options.layersAtOnce) at once" : "")
    }

    static func digest(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    var manifest: Digest { Self.digest("manifest") }
    var digests: [Digest] { layers.indices.map { Self.digest("layer \($0)") } }
    func number(_ digest: Digest) -> Int? { digests.firstIndex(of: digest) }

    func description(of number: Int) -> LayerDescription {
        let isEstargz = [.estargz, .brokenEstargz].contains(layers[number])
        return LayerDescription(
            digest: digests[number], size: 1000, mediaType: "",
            annotations: isEstargz ? [EstargzBlob.tocDigestAnnotation: "\(Self.digest("toc"))"] : [:])
    }

    var request: ImageOpening.Request {
        var layer = description(of: 0)
        if hidesAnnotations { layer.annotations = [:] }
        return ImageOpening.Request(layer: layer, manifest: namesManifest ? manifest : nil)
    }

    var image: ImageOpening.ImageDescription {
        ImageOpening.ImageDescription(
            layers: layers.indices.map(description),
            configuration: Descriptor(mediaType: "", digest: Self.digest("configuration"), size: 10),
            manifest: manifest,
            isFromContainerd: isFromContainerd)
    }

    /// The numbers of the layers that have an index in the artifact.
    private var indexed: [Int] {
        switch artifact {
        case .none: []
        case .incomplete: Array(layers.indices.dropFirst())
        case .indexes, .pack, .predictedPack: Array(layers.indices)
        }
    }

    private func index(_ number: Int) -> Digest { Self.digest("index \(number)") }

    private static let pack = Descriptor(mediaType: "", digest: digest("pack"), size: 77)

    var foundArtifact: StreamingArtifact? {
        if artifact == .none || indexed.isEmpty { return nil }
        return StreamingArtifact(
            subject: Descriptor(mediaType: "", digest: manifest, size: 1),
            layers: indexed.map { number in
                StreamingArtifact.Layer(
                    blob: digests[number], diffID: Self.digest("archive \(number)"),
                    index: Descriptor(mediaType: "", digest: index(number), size: 7))
            },
            pack: [.pack, .predictedPack].contains(artifact) ? (Self.pack, 1) : nil,
            isPackPredicted: artifact == .predictedPack)
    }

    var contents: ArtifactContents? {
        guard announces, let foundArtifact else { return nil }
        let lie = liesInAnnouncement ? Self.digest("lie").hex : nil
        let indexes = foundArtifact.layers.map { "\($0.blob.hex)/\(lie ?? $0.index.digest.hex)" }
        let packs = foundArtifact.pack.map { ["\(lie ?? $0.digest.hex)+\($0.size)"] } ?? []
        return ArtifactContents(text: (indexes + packs).joined(separator: " "))
    }
}

extension OpeningScenario {
    /// Adds nothing: all worlds that are compared with each other have the same scenario.
    func hash(into hasher: inout Hasher) {}
}
