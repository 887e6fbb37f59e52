import Artifacts
import Base
import Images
import LayerFormats
import Registry
import TestSupport

/// One image, and the outcomes of all actions of its opening.
struct OpeningScenario: CustomStringConvertible {
    enum Layer: Hashable, CaseIterable {
        case present
        /// The store fails to return the layer.
        case unreadable
        /// The annotations promise a table of contents.
        case estargz
        case brokenEstargz
        /// Only an artifact makes the layer streamable.
        case ordinary
        case brokenOrdinary
        /// Another repository brought a verified layer of the blob to the store, which the image may share.
        case elsewhere
        /// The same, but the image states another diff ID, or its repository does not have the blob.
        case unshared
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
}

/// The documents of a scenario's image.
///
/// Hundreds of thousands of worlds share one image, so each document is made once.
final class OpeningImage: Sendable {
    let scenario: OpeningScenario
    let manifest = OpeningImage.digest("manifest")
    /// The digests of the layers, from the bottom.
    let digests: [Digest]
    let request: ImageOpening.Request
    let description: ImageOpening.ImageDescription
    let artifact: StreamingArtifact?
    /// The contents that a list of referrers states.
    let contents: ArtifactContents?
    /// The digests of the artifact's indexes, and of the one that an announcement invents.
    let indexes: [Digest]

    init(_ scenario: OpeningScenario) {
        self.scenario = scenario
        let digests = scenario.layers.indices.map { Self.digest("layer \($0)") }
        self.digests = digests
        let layers = zip(digests, scenario.layers).map { digest, layer in
            let isEstargz = [.estargz, .brokenEstargz].contains(layer)
            return LayerDescription(
                digest: digest, size: 1000, mediaType: "",
                annotations: isEstargz ? [EstargzBlob.tocDigestAnnotation: "\(Self.digest("toc"))"] : [:])
        }
        var first = layers[0]
        if scenario.hidesAnnotations { first.annotations = [:] }
        request = ImageOpening.Request(layer: first, manifest: scenario.namesManifest ? manifest : nil)
        description = ImageOpening.ImageDescription(
            layers: layers,
            configuration: Descriptor(mediaType: "", digest: Self.digest("configuration"), size: 10),
            manifest: manifest,
            isFromContainerd: scenario.isFromContainerd)
        let lie = Self.digest("lie")
        indexes = digests.indices.map { Self.digest("index \($0)") } + [lie]
        artifact = Self.artifact(scenario, of: manifest, digests: digests, indexes: indexes)
        contents =
            scenario.announces
            ? artifact.flatMap { Self.contents(of: $0, naming: scenario.liesInAnnouncement ? lie : nil) } : nil
    }

    static func digest(_ name: String) -> Digest { Digest.of(Array(name.utf8)) }

    func number(_ digest: Digest) -> Int? { digests.firstIndex(of: digest) }

    /// True if an index is the one that the announcement invents.
    func isInvented(index: Int) -> Bool { index == digests.count }

    private static func artifact(
        _ scenario: OpeningScenario, of manifest: Digest, digests: [Digest], indexes: [Digest]
    ) -> StreamingArtifact? {
        let indexed: [Int] =
            switch scenario.artifact {
            case .none: []
            case .incomplete: Array(digests.indices.dropFirst())
            case .indexes, .pack, .predictedPack: Array(digests.indices)
            }
        if indexed.isEmpty { return nil }
        return StreamingArtifact(
            subject: Descriptor(mediaType: "", digest: manifest, size: 1),
            layers: indexed.map { number in
                StreamingArtifact.Layer(
                    blob: digests[number], diffID: digest("archive \(number)"),
                    index: Descriptor(mediaType: "", digest: indexes[number], size: 7))
            },
            pack: [.pack, .predictedPack].contains(scenario.artifact)
                ? (Descriptor(mediaType: "", digest: digest("pack"), size: 77), 1) : nil,
            isPackPredicted: scenario.artifact == .predictedPack)
    }

    /// Returns the announcement of an artifact, with `lie` instead of each digest if given.
    private static func contents(of artifact: StreamingArtifact, naming lie: Digest?) -> ArtifactContents? {
        let indexes = artifact.layers.map { "\($0.blob.hex)/\((lie ?? $0.index.digest).hex)" }
        let packs = artifact.pack.map { ["\((lie ?? $0.digest).hex)+\($0.size)"] } ?? []
        return ArtifactContents(text: (indexes + packs).joined(separator: " "))
    }
}

extension OpeningImage: Hashable {
    /// Equal without a look: all worlds that are compared with each other have the same image.
    static func == (_: OpeningImage, _: OpeningImage) -> Bool { true }
    func hash(into hasher: inout Hasher) {}
}
