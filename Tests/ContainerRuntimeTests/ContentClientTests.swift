import Base
import ContainerRuntime
import ContainerdAPI
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2
import SwiftProtobuf
import Testing

/// Blobs of containerd's content store, from a scripted server.
struct ContentClientTests {
    private typealias API = Containerd_Services_Content_V1_Content

    /// One blob of one namespace.
    private struct Content: API.ServiceProtocol {
        var bytes: [UInt8] = Array("a manifest".utf8)
        var pieceSize = 4
        /// Added to the reported offset of each piece.
        var gap: Int64 = 0
        /// If this is not `nil`, the server is silent until the stream ends.
        var silence: (stream: AsyncStream<Never>, continuation: AsyncStream<Never>.Continuation)?
        /// The batches that a listing returns, whatever its filter is.
        var batches: [[String]] = []

        func list(
            request: ServerRequest<Containerd_Services_Content_V1_ListContentRequest>, context: ServerContext
        ) async throws -> StreamingServerResponse<Containerd_Services_Content_V1_ListContentResponse> {
            let filters = request.message.filters
            return StreamingServerResponse { writer in
                for batch in batches {
                    try await writer.write(
                        .with {
                            $0.info = batch.map { digest in
                                .with {
                                    $0.digest = digest
                                    $0.labels = ["filter": filters.joined()]
                                }
                            }
                        })
                }
                return [:]
            }
        }

        func read(
            request: ServerRequest<Containerd_Services_Content_V1_ReadContentRequest>, context: ServerContext
        ) async throws -> StreamingServerResponse<Containerd_Services_Content_V1_ReadContentResponse> {
            let namespaces = Array(request.metadata[stringValues: "containerd-namespace"])
            guard namespaces == ["k8s.io"] else { throw RPCError(code: .notFound, message: "\(namespaces)") }
            if let silence { for await _ in silence.stream {} }
            return StreamingServerResponse { writer in
                for start in stride(from: 0, to: bytes.count, by: pieceSize) {
                    try await writer.write(
                        .with {
                            $0.offset = Int64(start) + gap
                            $0.data = Data(bytes[start..<min(start + pieceSize, bytes.count)])
                        })
                }
                return [:]
            }
        }
    }

    private static let digest = Digest.of(Array("a manifest".utf8))

    /// Reads `content` with the client: the bytes, or the error.
    private static func read(
        _ content: Content, digest: Digest = digest, namespace: String = "k8s.io", maximumSize: Int = 100
    ) async throws -> Result<[UInt8], ContainerRuntimeError> {
        try await call(content) { client throws(ContainerRuntimeError) in
            try await client.blob(digest, namespace: namespace, maximumSize: maximumSize)
        }
    }

    private static func call<Value: Sendable>(
        _ content: Content,
        _ body: @Sendable @escaping (ContentClient) async throws(ContainerRuntimeError) -> Value
    ) async throws -> Result<Value, ContainerRuntimeError> {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("content-\(UUID())").path
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let socket = directory + "/containerd.sock"
        return try await withGRPCServer(
            transport: .http2NIOPosix(
                address: .unixDomainSocket(path: socket), transportSecurity: .plaintext),
            services: [content]
        ) { server in
            _ = try await server.listeningAddress
            // The server's shutdown waits for its handlers, which the client's end does not cancel.
            defer { content.silence?.continuation.finish() }
            let client = ContentClient(
                socket: socket, patience: content.silence == nil ? .seconds(10) : .milliseconds(200))
            do throws(ContainerRuntimeError) {
                return .success(try await body(client))
            } catch {
                return .failure(error)
            }
        }
    }

    @Test("reads a blob in pieces") func readsBlobInPieces() async throws {
        #expect(try await Self.read(Content()).get() == Array("a manifest".utf8))
        #expect(try await Self.read(Content(), maximumSize: 10).get() == Array("a manifest".utf8))
    }

    @Test("lists the blobs with a label") func listsBlobsWithLabel() async throws {
        let (one, two) = (Digest.of([1]), Digest.of([2]))
        let content = Content(batches: [[one.description, "sha512:abc"], [two.description]])
        let blobs = try await Self.call(content) { client throws(ContainerRuntimeError) in
            try await client.connected(namespace: "k8s.io") { session in
                try await session.blobs(withLabel: "a/b", value: "c", limit: 2)
            }
        }.get()
        #expect(blobs.map(\.digest) == [one, two])
        #expect(blobs.first?.labels == ["filter": #"labels."a/b"==c"#])
        let error = try await Self.call(content) { client throws(ContainerRuntimeError) in
            try await client.connected(namespace: "k8s.io") { session in
                try await session.blobs(withLabel: "a/b", value: "c", limit: 1)
            }
        }
        #expect(error.failure?.code == .badContent)
    }

    @Test("finds nothing in another namespace") func findsNothingInAnotherNamespace() async throws {
        let error = try await #require(Self.read(Content(), namespace: "default").failure)
        #expect(error.code == .failed)
        #expect("\(error)".contains("\(Self.digest)"))
    }

    @Test("rejects wrong, missing and misplaced bytes") func rejectsWrongMissingAndMisplacedBytes() async throws {
        for content in [Content(bytes: Array("a manifesT".utf8)), Content(bytes: []), Content(gap: 1)] {
            #expect(try await Self.read(content).failure?.code == .badContent)
        }
        #expect(try await Self.read(Content(), maximumSize: 9).failure?.code == .badContent)
    }

    @Test("times out on a silent server") func timesOutOnSilentServer() async throws {
        #expect(try await Self.read(Content(silence: AsyncStream.makeStream(of: Never.self))).failure?.code == .failed)
        let started = ContinuousClock.now
        await #expect {
            try await ContentClient(socket: "/nowhere/containerd.sock", patience: .seconds(60))
                .blob(Self.digest, namespace: "k8s.io", maximumSize: 10)
        } throws: {
            ($0 as? ContainerRuntimeError)?.code == .unreachable
        }
        #expect(ContinuousClock.now - started < .seconds(30))
    }
}

extension Result {
    fileprivate var failure: Failure? {
        guard case .failure(let error) = self else { return nil }
        return error
    }
}
