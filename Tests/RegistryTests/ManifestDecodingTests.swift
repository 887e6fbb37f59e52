import Base
import Registry
import Testing

struct ManifestDecodingTests {
    static let hex = String(repeating: "ab", count: 32)
    static let descriptor = #"{"mediaType":"x","digest":"sha256:\#(hex)","size":7}"#
    static let oci = "application/vnd.oci.image.manifest.v1+json"

    func decode(_ text: String, contentType: String? = nil) throws(RegistryError) -> ManifestDocument {
        let bytes = Array(text.utf8)
        return try ManifestDocument(bytes: bytes, digest: Digest.of(bytes), contentType: contentType)
    }

    @Test(
        "reads images and ignores unknown fields",
        arguments: [
            oci, "application/vnd.docker.distribution.manifest.v2+json",
        ])
    func readsImagesAndIgnoresUnknownFields(_ type: String) throws {
        let text =
            #"{"schemaVersion":2,"mediaType":"\#(type)","new":[{"x":1}],"config":\#(Self.descriptor),"layers":[\#(Self.descriptor)],"subject":\#(Self.descriptor)}"#
        guard case .image(let manifest) = try decode(text) else {
            Issue.record("not an image")
            return
        }
        #expect(manifest.layers.count == 1)
        #expect(manifest.layers[0].size == 7)
        #expect(manifest.layers[0].packing == .unknown)
        #expect(manifest.subject != nil)
    }

    @Test("derives a missing media type from content type or shape")
    func derivesMissingMediaTypeFromContentTypeOrShape() throws {
        let image = #"{"schemaVersion":2,"config":\#(Self.descriptor),"layers":[]}"#
        guard case .image = try decode(image, contentType: Self.oci + "; charset=utf-8") else {
            Issue.record("not an image")
            return
        }
        guard case .image = try decode(image), case .index = try decode(#"{"schemaVersion":2,"manifests":[]}"#) else {
            Issue.record("shape not recognised")
            return
        }
    }

    @Test(
        "rejects malformed manifests",
        arguments: [
            ("", RegistryError.Code.invalidManifest), ("null", .invalidManifest), ("[]", .invalidManifest),
            (#"{"schemaVersion":1,"fsLayers":[]}"#, .unsupportedManifest),
            (#"{"mediaType":"text/plain"}"#, .unsupportedManifest),
            (#"{"mediaType":"\#(oci)"}"#, .invalidManifest),
            (
                #"{"mediaType":"\#(oci)","config":\#(descriptor),"layers":[{"digest":"sha256:12","size":1}]}"#,
                .invalidManifest
            ),
            (
                #"{"mediaType":"\#(oci)","config":\#(descriptor),"layers":[{"digest":"sha256:\#(hex)","size":-1}]}"#,
                .invalidManifest
            ),
            (
                #"{"mediaType":"\#(oci)","config":{"digest":"sha256:\#(hex)","size":9007199254740993},"layers":[]}"#,
                .invalidManifest
            ),
            (
                #"{"mediaType":"\#(oci)","config":\#(descriptor),"layers":[{"digest":"sha256:\#(hex)","size":1e300}]}"#,
                .invalidManifest
            ),
            (#"{"mediaType":"\#(oci)","config":\#(descriptor),"layers":[],"manifests":[]}"#, .invalidManifest),
            (String(repeating: "[", count: 100_000), .invalidManifest),
            (
                #"{"layers":[\#(Array(repeating: descriptor, count: 4097).joined(separator: ","))],"config":\#(descriptor)}"#,
                .tooLarge
            ),
            (String(repeating: " ", count: (8 << 20) + 1), .tooLarge),
        ])
    func rejectsMalformedManifests(_ text: String, _ code: RegistryError.Code) {
        do throws(RegistryError) {
            _ = try decode(text)
            Issue.record("accepted")
        } catch {
            #expect(error.code == code)
        }
    }

    @Test(
        "derives packing from media types",
        arguments: [
            ("application/vnd.oci.image.layer.v1.tar", LayerPacking.tar),
            ("application/vnd.oci.image.layer.v1.tar+gzip", .gzip),
            ("application/vnd.oci.image.layer.v1.tar+zstd", .zstd),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", .gzip),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", .foreign),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", .foreign),
            ("application/vnd.oci.image.layer.v1.tar+gzip+encrypted", .encrypted),
            ("application/vnd.oci.image.layer.v1.tar+lzma", .unknown), ("", .unknown), ("+", .unknown),
        ])
    func derivesPackingFromMediaTypes(_ type: String, _ expected: LayerPacking) {
        #expect(LayerPacking(mediaType: type) == expected)
    }

    @Test(
        "chooses the platform's manifest",
        arguments: [
            ("linux/amd64", ["linux/arm64", "linux/amd64"], 1),
            ("linux/amd64", ["linux/amd64/v3", "linux/amd64"], 1),
            ("linux/arm64/v8", ["linux/arm/v7", "linux/arm64"], 1),
            ("linux/aarch64", ["linux/arm64/v8"], 0),
            ("linux/arm/v7", ["linux/arm/v5", "linux/arm/v6", "linux/arm/v8"], 1),
            ("linux/arm/v6", ["linux/arm/v7", "linux/arm/v5"], 1),
            ("linux/arm", ["linux/arm/v6", "linux/arm/v7"], 1),
            ("linux/amd64", ["unknown/unknown", "linux/x86_64"], 1),
            ("linux/amd64", [nil], 0),
            ("linux/amd64", ["linux/amd64", "linux/amd64"], 0),
        ])
    func choosesPlatformsManifest(_ wanted: String, _ offered: [String?], _ expected: Int) throws {
        let index = try makeIndex(offered)
        #expect(try index.manifest(for: platform(wanted)) == index.manifests[expected])
    }

    @Test(
        "reports a missing platform",
        arguments: [
            ("linux/amd64", ["windows/amd64"]), ("linux/arm/v6", ["linux/arm/v7"]), ("linux/arm64", ["linux/arm/v7"]),
            ("linux/amd64", [nil, "linux/arm64"]), ("linux/amd64", []),
        ] as [(String, [String?])])
    func reportsMissingPlatform(_ wanted: String, _ offered: [String?]) throws {
        let index = try makeIndex(offered)
        do throws(RegistryError) {
            _ = try index.manifest(for: platform(wanted))
            Issue.record("chose one")
        } catch {
            #expect(error.code == .noMatchingPlatform)
        }
    }

    private func makeIndex(_ platforms: [String?]) throws -> ImageIndex {
        let entries = platforms.enumerated().map { number, platform in
            let digest = Digest.of([UInt8(number)])
            let parts = platform.map { $0.split(separator: "/").map(String.init) }
            let field = parts.map {
                #","platform":{"os":"\#($0[0])","architecture":"\#($0[1])","variant":"\#($0.count > 2 ? $0[2] : "")"}"#
            }
            return #"{"mediaType":"\#(Self.oci)","digest":"\#(digest)","size":1\#(field ?? "")}"#
        }
        guard case .index(let index) = try decode(#"{"manifests":[\#(entries.joined(separator: ","))]}"#) else {
            throw RegistryError(.invalidManifest, "not an index")
        }
        return index
    }

    private func platform(_ text: String) -> Platform {
        let parts = text.split(separator: "/").map(String.init)
        return Platform(os: parts[0], architecture: parts[1], variant: parts.count > 2 ? parts[2] : "")
    }
}
