import Base
import Lab
import Linux
import TestSupport

/// The images of the tests: small, but with every feature of an image.
struct TestImages: Sendable {
    /// Debian's busybox, awkward files, whiteouts, and `bulk` on top, in both forms.
    let main: String
    let mainPlain: String
    /// `mainPlain` in another repository, with a streaming artifact.
    let mainArtifact: String
    /// The same, with a startup pack of the first file in ``bulk``.
    let mainPack: String
    /// The same layers, each one zstd frame, with a streaming artifact.
    let mainCopied: String
    /// `mainArtifact` by the digest of its manifest.
    let mainPinned: String
    /// `mainPlain` converted by `rivulet artifact-streaming create --format`, keyed by the format's name.
    let reencoded: [String: String]
    /// `mainPlain` converted by ctr-remote to its zstd:chunked.
    let peersZstd: String
    /// The layers of `main`, uncompressed, bottom first.
    let layers: [String]
    /// 128 layers, each with its own file and a whiteout of the one below.
    let deep: String
    /// The files of random bytes in the top layer, with their digests.
    let bulk: [(path: String, digest: Digest)]

    static let bulkFileSize = 6 << 20
    static let deepLayers = 128

    init(in lab: Lab, registryPort: Int) async throws {
        main = "\(HostsDirectory.registry)/test/main:estargz"
        mainPlain = "\(HostsDirectory.registry)/test/main:plain"
        mainArtifact = "\(HostsDirectory.registry)/test/artifact:plain"
        mainPack = "\(HostsDirectory.registry)/test/pack:plain"
        mainCopied = "\(HostsDirectory.registry)/test/copied:zstd"
        deep = "\(HostsDirectory.registry)/test/deep:estargz"
        let work = "\(lab.directory)/images"
        try Files.makeDirectory(work)
        let publisher = try await ImagePublisher(in: lab, registryPort: registryPort)

        try await Command.run(
            [
                "bash", "\(Repository.root)/bench/images/debian-files.sh", "\(work)/0.tar", "base-files",
                "busybox-static", "tzdata", "netbase",
            ], in: lab)
        try await blocking { try AwkwardTree.make(at: "\(work)/awkward") }
        try await Self.pack("\(work)/awkward", to: "\(work)/1.tar", in: lab)
        try await blocking { try AwkwardTree.makeWhiteouts(at: "\(work)/whiteouts") }
        try await Self.pack("\(work)/whiteouts", to: "\(work)/2.tar", in: lab)
        bulk = try await blocking { try Self.makeBulk(at: "\(work)/bulk") }
        try await Self.pack("\(work)/bulk", to: "\(work)/3.tar", in: lab)
        layers = (0..<4).map { "\(work)/\($0).tar" }
        try await Self.publish(layers, plain: mainPlain, estargz: main, publisher: publisher, in: lab)
        try await publisher.publish(archive: "\(lab.directory)/image.tar", reference: mainArtifact, as: mainPlain)
        try await publisher.addArtifact(to: mainArtifact)
        try await publisher.publish(archive: "\(lab.directory)/image.tar", reference: mainPack, as: mainPlain)
        let profile = """
            {"rivuletProfile": 1, "repository": "\(HostsDirectory.registry)/test/pack", "entries": [
            ["bin/busybox", 0, 10000000, 0, 0], ["\(bulk[0].path.dropFirst())", 0, \(Self.bulkFileSize), 1, 0]]}
            """
        try await publisher.addArtifact(to: mainPack, profile: Array(profile.utf8))
        try await Self.publish(layers, plain: mainCopied, compression: .zstd, publisher: publisher, in: lab)
        try await publisher.addArtifact(to: mainCopied, predicts: true)
        // The artifact refers to the manifest's digest.
        let referrers = try await Command.run(
            [
                try Repository.product("rivulet"), "manifest", "list-referrers", "--output", "json",
                "127.0.0.1:\(registryPort)/test/artifact:plain",
            ], in: lab)
        let digests = referrers.split(separator: "\"").filter { $0.hasPrefix("sha256:") }
        mainPinned = "\(HostsDirectory.registry)/test/artifact@\(digests.last ?? "")"

        var reencoded: [String: String] = [:]
        for format in ["estargz", "zstd:chunked"] {
            let made = "test/main:\(format.prefix(4))-converted"
            try await Command.run(
                [
                    try Repository.product("rivulet"), "artifact-streaming", "create", "--format", format, "--image",
                    "127.0.0.1:\(registryPort)/test/main:plain", "--target", "127.0.0.1:\(registryPort)/\(made)",
                    "--scratch", lab.directory,
                ], in: lab)
            reencoded[format] = "\(HostsDirectory.registry)/\(made)"
        }
        self.reencoded = reencoded
        peersZstd = "\(HostsDirectory.registry)/test/main:zstd"
        try await Self.convertToZstd(
            mainPlain, to: peersZstd, publisher: publisher, in: lab, registryPort: registryPort)

        let many = try await Self.makeDeep(at: "\(work)/deep", in: lab)
        try await Self.publish(
            [layers[0]] + many, plain: "\(HostsDirectory.registry)/test/deep:plain", estargz: deep,
            publisher: publisher, in: lab)
    }

    /// Converts an image with ctr-remote until two results agree. Version 0.12 (Debian 12) occasionally writes a layer
    /// whose table of contents refers to data after the blob's end, or one shorter than stated, which cannot be pushed.
    private static func convertToZstd(
        _ reference: String, to target: String, publisher: ImagePublisher, in lab: Lab, registryPort: Int
    ) async throws {
        let script = """
            import sys, urllib.request
            types = ["application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.index.v1+json"]
            request = urllib.request.Request(sys.argv[1], headers={"Accept": ", ".join(types)})
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            print(opener.open(request, timeout=10).headers["Docker-Content-Digest"])
            """
        let manifest = "http://127.0.0.1:\(registryPort)/v2/test/main/manifests/zstd"
        var seen: Set<String> = []
        for _ in 0..<6 {
            guard (try? await publisher.convert(reference, to: target, ["--zstdchunked"])) != nil else { continue }
            let digest = try await Command.run(["python3", "-c", script, manifest], in: lab)
            if !seen.insert(digest).inserted { return }
        }
        throw LabError(.failed, "ctr-remote gives another image each time, or none that can be pushed")
    }

    private static func publish(
        _ layers: [String], plain: String, estargz: String? = nil, compression: OCIArchive.Compression = .gzip,
        publisher: ImagePublisher, in lab: Lab
    ) async throws {
        var image = OCIArchive(reference: plain)
        (image.layers, image.compression) = (layers, compression)
        image.command = ["/bin/busybox", "sh", "-c", "echo hello"]
        let archive = "\(lab.directory)/image.tar"
        try await image.write(to: archive, in: lab)
        try await publisher.publish(archive: archive, reference: plain, estargz: estargz)
    }

    /// Packs a layer with the files' IDs, times and attributes.
    private static func pack(_ tree: String, to tar: String, in lab: Lab) async throws {
        try await Command.run(
            [
                "tar", "--create", "--file", tar, "--format=posix", "--sort=name", "--numeric-owner", "--xattrs",
                "--xattrs-include=*", "--directory", tree, ".",
            ], in: lab)
    }

    /// Creates files of incompressible bytes, so that reading them fetches most of the image.
    private static func makeBulk(at tree: String) throws -> [(path: String, digest: Digest)] {
        try Files.makeDirectory("\(tree)/bulk")
        var generator = SeededRandom(seed: 20_260_401)
        defer { try? Sys.setModificationTime("\(tree)/bulk", seconds: 1_700_000_000, nanoseconds: 0) }
        return try (0..<5).map { number in
            var bytes: [UInt8] = []
            bytes.reserveCapacity(bulkFileSize)
            while bytes.count < bulkFileSize {
                withUnsafeBytes(of: generator.next()) { bytes.append(contentsOf: $0) }
            }
            try Sys.writeFile("\(tree)/bulk/\(number)", bytes, permissions: 0o644)
            // Whole seconds: eStargz has no fractions.
            try Sys.setModificationTime("\(tree)/bulk/\(number)", seconds: 1_700_000_000, nanoseconds: 0)
            return ("/bulk/\(number)", Digest.of(bytes))
        }
    }

    private static func makeDeep(at work: String, in lab: Lab) async throws -> [String] {
        var layers: [String] = []
        // Debian's files are the bottom layer.
        for number in 1..<deepLayers {
            let tree = "\(work)/\(number)"
            try Files.write("\(tree)/deep/\(number)", "\(number)\n")
            try Files.write("\(tree)/deep/top", "layer \(number)\n")
            layers.append("\(work)/\(number).tar")
            try await pack(tree, to: "\(work)/\(number).tar", in: lab)
        }
        return layers
    }
}
