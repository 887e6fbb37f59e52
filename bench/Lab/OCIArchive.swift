public import Base
import FoundationEssentials

/// An OCI image of layer tars, which is written as an archive for containerd (OCI image-spec, image-layout.md).
///
/// The same layers and settings always result in the same digests.
public struct OCIArchive: Sendable {
    /// The image's full name, with registry and tag.
    public var reference: String
    /// The paths of the uncompressed layer tars, bottom first.
    public var layers: [String] = []
    /// The image's entry point.
    public var command: [String] = []
    /// The compression of the layers.
    public var compression = Compression.gzip
    public var environment: [String] = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]

    public enum Compression: String, Sendable {
        case gzip
        /// The zstd compression with one frame for each layer, as from BuildKit and podman.
        case zstd

        var command: String { self == .gzip ? "gzip -n -6" : "zstd -q -3" }
    }

    public init(reference: String) {
        self.reference = reference
    }

    /// GNU tar's options for reproducible layers.
    public static let tarOptions = [
        "--format=posix", "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--mtime=@1735689600",
        "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
    ]

    /// Compresses the layers and writes the archive.
    public func write(to path: String, in lab: Lab) async throws(LabError) {
        let work = "\(path).layout"
        try Files.makeDirectory("\(work)/blobs/sha256")
        var descriptors: [Descriptor] = []
        var diffIDs: [String] = []
        for (number, layer) in layers.enumerated() {
            diffIDs.append(try Files.digest(layer).digest.description)
            // The shell is needed for the redirection. The paths are its arguments, so it does not interpret them.
            let compressed = "\(work)/\(number).compressed"
            try await Command.run(
                ["sh", "-c", #"exec \#(compression.command) < "$1" > "$2""#, "sh", layer, compressed], in: lab)
            let (digest, size) = try Files.digest(compressed)
            try await Command.run(["mv", compressed, "\(work)/blobs/sha256/\(digest.hex)"], in: lab)
            descriptors.append(
                Descriptor(
                    mediaType: "application/vnd.oci.image.layer.v1.tar+\(compression.rawValue)", digest: digest,
                    size: size))
        }
        let configuration = try blob(
            Configuration(
                architecture: Self.architecture, os: "linux", created: "2025-01-01T00:00:00Z",
                config: .init(Entrypoint: command, Env: environment),
                rootfs: .init(type: "layers", diff_ids: diffIDs)),
            as: "application/vnd.oci.image.config.v1+json", in: work)
        var manifest = try blob(
            Manifest(
                schemaVersion: 2, mediaType: Self.manifestType, config: configuration, layers: descriptors),
            as: Self.manifestType, in: work)
        manifest.annotations = ["io.containerd.image.name": reference]
        try Files.write("\(work)/index.json", try Self.json(Index(schemaVersion: 2, manifests: [manifest])))
        try Files.write("\(work)/oci-layout", #"{"imageLayoutVersion":"1.0.0"}"#)
        try await Command.run(
            ["tar", "--create", "--file", path] + Self.tarOptions
                + ["--directory", work, "oci-layout", "index.json", "blobs"], in: lab)
        try await Command.run(["rm", "-r", work], in: lab)
    }

    private func blob(_ value: some Encodable, as mediaType: String, in work: String) throws(LabError) -> Descriptor {
        let text = try Self.json(value)
        let digest = Digest.of(Array(text.utf8))
        try Files.write("\(work)/blobs/sha256/\(digest.hex)", text)
        return Descriptor(mediaType: mediaType, digest: digest, size: UInt64(text.utf8.count))
    }

    private static func json(_ value: some Encodable) throws(LabError) -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        do {
            return String(decoding: try encoder.encode(value), as: UTF8.self)
        } catch {
            throw LabError(.failed, "cannot write image metadata", cause: error)
        }
    }

    private static let manifestType = "application/vnd.oci.image.manifest.v1+json"

    private static var architecture: String {
        #if arch(arm64)
            "arm64"
        #else
            "amd64"
        #endif
    }

    // The OCI image-spec defines the names below.

    private struct Descriptor: Encodable {
        var mediaType: String
        var digest: String
        var size: UInt64
        var annotations: [String: String]?

        init(mediaType: String, digest: Digest, size: UInt64) {
            self.mediaType = mediaType
            self.digest = digest.description
            self.size = size
        }
    }

    private struct Manifest: Encodable {
        let schemaVersion: Int
        let mediaType: String
        let config: Descriptor
        let layers: [Descriptor]
    }

    private struct Index: Encodable {
        let schemaVersion: Int
        let manifests: [Descriptor]
    }

    private struct Configuration: Encodable {
        struct Process: Encodable {
            let Entrypoint: [String]
            let Env: [String]
        }

        struct RootFS: Encodable {
            let type: String
            let diff_ids: [String]
        }

        let architecture: String
        let os: String
        let created: String
        let config: Process
        let rootfs: RootFS
    }
}
