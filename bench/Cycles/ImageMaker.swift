import Base
import Lab
import Linux
import TestSupport

/// A maker of images whose top layers no other cycle has.
///
/// The bottom layers are shared: one is streamed as eStargz, one by means of an artifact or a conversion, and one by no
/// image. If an image that is not streamed had another one's bottom layer, containerd would find it streamed already.
struct ImageMaker: Sendable {
    private let lab: Lab
    private let store: ImageStore
    private let storage: String
    private let port: Int
    private let base: [TarEntry]
    private let plainBase: ImageStore.Layer
    private let pulledBase: ImageStore.Layer
    private let streamedBase: ImageStore.Layer

    /// - Parameter program: a static program that waits, for containers.
    init(in lab: Lab, storage: String, port: Int, program: [UInt8]) throws {
        self.lab = lab
        self.storage = storage
        self.port = port
        store = ImageStore(storage: storage)
        var base: [TarEntry] = [
            .directory("bin"), .directory("etc"), .directory("lib"), .directory("proc"), .directory("sys"),
            .directory("dev"), .file("bin/pause", program, mode: 0o755), .file("etc/config", "of the base\n"),
            .symlink("etc/link", to: "config"),
        ]
        base += (0..<12).map { .file("lib/\($0)", Samples.text(bytes: 1000 << $0 % 8, seed: UInt64($0))) }
        self.base = base
        plainBase = Self.plain(base)
        pulledBase = Self.plain(base + [.file("etc/pulled", "as a whole\n")])
        streamedBase = Self.streamed(base)
    }

    /// Publishes the images of cycle `number`, one or two.
    func make(_ number: Int, _ kind: CycleKind) async throws -> [CycleImage] {
        let own = Self.own(number)
        let repository = "cycles/\(number)"
        let name = "\(HostsDirectory.registry)/\(repository)"
        switch kind {
        case .estargz:
            try write([streamedBase, Self.streamed(own)], to: repository)
            return [image(repository, "t", .whole, own)]
        case .artifact, .pack:
            try write([plainBase, Self.plain(own)], to: repository)
            try await create(repository, kind == .pack ? [] : ["--no-pack"])
            return [image(repository, "t", .whole, own)]
        case .zstdChunked:
            try write([plainBase, Self.plain(own)], to: repository)
            let target = "127.0.0.1:\(port)/\(repository):c"
            try await create(repository, ["--format", "zstd:chunked", "--target", target, "--scratch", lab.directory])
            return [image(repository, "c", .whole, own)]
        case .partial:
            try write([streamedBase, Self.plain(own)], to: repository)
            return [image(repository, "t", .part, own)]
        case .unused:
            try write([pulledBase, Self.streamed(own)], to: repository)
            return [image(repository, "t", .none, own)]
        case .plain:
            try write([pulledBase, Self.plain(own)], to: repository)
            return [image(repository, "t", .none, own)]
        case .together:
            return try (0..<2).map { half in
                let top: [TarEntry] = [.directory("top"), .file("top/file", "half \(half) of \(number)\n")]
                let part = "\(repository)-\(half)"
                try write([streamedBase, Self.streamed(own), Self.streamed(top)], to: part)
                return image(part, "t", .whole, own + top)
            }
        case .damaged:
            var layer = Self.streamed(own)
            layer.annotations[EstargzBlob.tocDigestAnnotation] = "\(Digest.of(Array(name.utf8)))"
            try write([streamedBase, layer], to: repository)
            return [image(repository, "t", .part, own)]
        }
    }

    /// Removes an image's repository from the registry. Its blobs remain, because another image may be using them.
    func remove(_ image: CycleImage) throws {
        try removeTree("\(storage)/docker/registry/v2/repositories/\(image.repository)")
    }

    /// Removes all blobs from the registry.
    func removeBlobs() throws {
        try removeTree("\(storage)/docker/registry/v2/blobs")
    }

    private func write(_ layers: [ImageStore.Layer], to repository: String) throws {
        try store.write(layers, to: repository, tag: "t", note: repository)
    }

    private func create(_ repository: String, _ options: [String]) async throws {
        let made = try await Command.attempt(
            [
                try Repository.product("rivulet"), "artifact-streaming", "create", "--image",
                "127.0.0.1:\(port)/\(repository):t",
            ] + options, in: lab, timeout: 60)
        guard made.exit == .code(0) else {
            throw LabError(.failed, "cannot create the streaming form: \(Files.tail(made.logPath, lines: 5))")
        }
        for path in [made.outputPath, made.logPath] { try? Sys.unlink(path) }
    }

    private func image(
        _ repository: String, _ tag: String, _ streaming: CycleImage.Streaming, _ upper: [TarEntry]
    ) -> CycleImage {
        var files: [String: [UInt8]?] = [:]
        for entry in base + upper where entry.kind == .regular {
            let path = String(decoding: entry.path, as: UTF8.self)
            let parts = path.split(separator: "/")
            if let name = parts.last, name.hasPrefix(".wh.") {
                files[(parts.dropLast() + [name.dropFirst(4)]).joined(separator: "/")] = .some(nil)
            } else {
                files[path] = entry.contents
            }
        }
        return CycleImage(
            reference: "\(HostsDirectory.registry)/\(repository):\(tag)", repository: repository, streaming: streaming,
            files: files)
    }

    // MARK: - Layers

    private static func own(_ number: Int) -> [TarEntry] {
        var entries: [TarEntry] = [
            .directory("etc"), .file("etc/config", "of cycle \(number)\n"), .directory("lib"), .file("lib/.wh.3", ""),
            .directory("app"),
        ]
        entries += (0..<6).map {
            .file("app/\($0)", Samples.text(bytes: 2000 << $0, seed: UInt64(number) &* 100 &+ UInt64($0)))
        }
        return entries
    }

    private static func plain(_ entries: [TarEntry]) -> ImageStore.Layer {
        let archive = TarWriter.archive(entries)
        return ImageStore.Layer(
            blob: Compressed.gzip(archive), diffID: Digest.of(archive),
            mediaType: "application/vnd.oci.image.layer.v1.tar+gzip")
    }

    private static func streamed(_ entries: [TarEntry]) -> ImageStore.Layer {
        var options = EstargzOptions()
        options.chunkSize = 32 << 10
        let blob = EstargzBlob.make(entries, options)
        return ImageStore.Layer(
            blob: blob.bytes, diffID: Digest.of(blob.tar), mediaType: "application/vnd.oci.image.layer.v1.tar+gzip",
            annotations: blob.annotations)
    }
}
