import AsyncHTTPClient
import Base
import Lab
import NIOCore
import NIOHTTP1
import Registry
import Testing

/// Tests with Debian's docker-registry (distribution) in place of the in-process registry. They fail if that is not
/// installed.
@Suite(.serialized, .timeLimit(.minutes(2)))
struct PrivilegedRealRegistryTests {
    private struct Pushed: Sendable {
        var repository: Registry.Repository
        var blob: Digest
        var bytes: [UInt8]
        var manifest: Digest
    }

    /// Runs a test with a registry that has one image of one layer. The client finds the registry as containerd finds a
    /// loopback registry.
    private func withImage(_ body: @Sendable (RegistryClient, Pushed, BlobLocation) async throws -> Void) async throws {
        try await Lab.with { lab in
            let server = try await RegistryServer(in: lab, storage: "\(lab.directory)/registry")
            let repository = Registry.Repository(host: "127.0.0.1:\(server.port)", name: "test/app")
            let bytes = pattern(300_000)
            let config = Array(#"{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}"#.utf8)
            let push = Push(base: "http://127.0.0.1:\(server.port)/v2/\(repository.name)")
            let blob = try await push.blob(bytes)
            let configDigest = try await push.blob(config)
            let type = "application/vnd.oci.image.manifest.v1+json"
            let manifest = Array(
                """
                {"schemaVersion":2,"mediaType":"\(type)",\
                "config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"\(configDigest)",\
                "size":\(config.count)},\
                "layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"\(blob)",\
                "size":\(bytes.count)}]}
                """.utf8)
            try await push.manifest(manifest, type: type, tag: "latest")
            let pushed = Pushed(repository: repository, blob: blob, bytes: bytes, manifest: Digest.of(manifest))
            try await withClient(RegistryConfiguration()) { client in
                try await body(client, pushed, BlobLocation(repository: repository, digest: blob))
            }
        }
    }

    @Test("fetches manifests by tag and digest") func fetchesManifestsByTagAndDigest() async throws {
        try await withImage { client, pushed, _ in
            let image = try await client.resolve(ImageReference(parsing: "\(pushed.repository.host)/test/app:latest"))
            #expect(image.digest == pushed.manifest)
            #expect(image.manifest.layers.map(\.digest) == [pushed.blob])
            let manifest = try await client.manifest(pushed.repository, digest: pushed.manifest)
            #expect(manifest.layers.map(\.size) == [UInt64(pushed.bytes.count)])
            let error = await failure { _ = try await client.manifest(pushed.repository, digest: Digest.of([1])) }
            #expect(error?.code == .notFound)
        }
    }

    @Test("fetches ranges of a blob") func fetchesRangesOfBlob() async throws {
        try await withImage { client, pushed, location in
            let size = UInt64(pushed.bytes.count)
            let selections: [(BlobSelection, Range<Int>)] = [
                (.range(ByteRange(offset: 0, end: 1)), 0..<1),
                (.range(ByteRange(offset: 1000, end: 201_000)), 1000..<201_000),
                // The client cuts this range at the end of the blob.
                (.range(ByteRange(offset: size - 10, end: size + 10)), Int(size) - 10..<Int(size)),
                (.suffix(50), Int(size) - 50..<Int(size)), (.suffix(size * 2), 0..<Int(size)), (.whole, 0..<Int(size)),
            ]
            for (selection, expected) in selections {
                let stream = try await client.open(location, selection, priority: .demand)
                #expect(stream.blobSize == size)
                #expect(try await stream.collect(maximumSize: 1 << 20) == Array(pushed.bytes[expected]), "\(selection)")
            }
        }
    }

    @Test("rejects a range past the end") func rejectsRangePastEnd() async throws {
        try await withImage { client, pushed, location in
            let past = ByteRange(offset: UInt64(pushed.bytes.count), end: UInt64(pushed.bytes.count) + 5)
            // The client does not know the size, so it sends the request, and the registry answers 416.
            let error = await failure { _ = try await client.open(location, .range(past), priority: .demand) }
            #expect(error?.code == .rangeNotSatisfiable)
            #expect(error?.status == 416)
            let missing = BlobLocation(repository: pushed.repository, digest: Digest.of([1]))
            #expect(
                await failure { _ = try await client.open(missing, .suffix(1), priority: .demand) }?.code == .notFound)
        }
    }

    /// The parser of multipart responses accepts the registry's response to several ranges.
    @Test("parses several ranges as parts") func parsesSeveralRangesAsParts() async throws {
        try await withImage { _, pushed, _ in
            var request = HTTPClientRequest(
                url: "http://\(pushed.repository.host)/v2/test/app/blobs/\(pushed.blob)")
            request.headers.add(name: "range", value: "bytes=10-19,1000-1999,299990-")
            let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
            #expect(response.status.code == 206)
            let type = try #require(response.headers.first(name: "content-type"))
            let boundary = try #require(type.split(separator: "boundary=").last)
            var parser = MultipartParser(boundary: String(boundary))
            parser.receive(try await response.body.collect(upTo: 1 << 20))
            var parts: [(range: ByteRange, bytes: [UInt8])] = []
            loop: while true {
                switch try parser.next() {
                case .part(let range, let size):
                    #expect(size == UInt64(pushed.bytes.count))
                    parts.append((range, []))
                case .bytes(let buffer): parts[parts.count - 1].bytes += Array(buffer.readableBytesView)
                case .end: break loop
                case .needMore:
                    Issue.record("the answer ends in the middle of a part")
                    break loop
                }
            }
            let expected = [10..<20, 1000..<2000, 299_990..<300_000]
            #expect(
                parts.map(\.range)
                    == expected.map { ByteRange(offset: UInt64($0.lowerBound), end: UInt64($0.upperBound)) })
            #expect(parts.map(\.bytes) == expected.map { Array(pushed.bytes[$0]) })
        }
    }
}

/// A minimal push that fills a registry for a test.
private struct Push {
    let base: String

    func blob(_ bytes: [UInt8]) async throws -> Digest {
        let digest = Digest.of(bytes)
        let opened = try await send(.init(url: "\(base)/blobs/uploads/"), .POST, expecting: 202)
        let location = try #require(opened.headers.first(name: "location"))
        let separator = location.contains("?") ? "&" : "?"
        var request = HTTPClientRequest(url: "\(location)\(separator)digest=\(digest)")
        request.headers.add(name: "content-type", value: "application/octet-stream")
        request.body = .bytes(ByteBuffer(bytes: bytes))
        _ = try await send(request, .PUT, expecting: 201)
        return digest
    }

    func manifest(_ bytes: [UInt8], type: String, tag: String) async throws {
        var request = HTTPClientRequest(url: "\(base)/manifests/\(tag)")
        request.headers.add(name: "content-type", value: type)
        request.body = .bytes(ByteBuffer(bytes: bytes))
        _ = try await send(request, .PUT, expecting: 201)
    }

    private func send(
        _ request: HTTPClientRequest, _ method: HTTPMethod, expecting status: UInt
    ) async throws -> HTTPClientResponse {
        var request = request
        request.method = method
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(20))
        let body = try await response.body.collect(upTo: 1 << 20)
        try #require(response.status.code == status, "\(request.url): \(response.status): \(String(buffer: body))")
        return response
    }
}
