public import Base
import ContainerdAPI
import GRPCCore
import GRPCNIOTransportHTTP2
import GRPCProtobuf
import SwiftProtobuf

/// A connection to containerd's content store, for several calls in one namespace. ``ContentClient`` opens it.
public struct ContentSession: Sendable {
    typealias Client = Containerd_Services_Content_V1_Content.Client<HTTP2ClientTransport.Posix>

    /// A blob in the content store.
    public struct Blob: Sendable, Hashable {
        public let digest: Digest
        public let labels: [String: String]
    }

    let client: Client
    let socket: String
    let namespace: String
    /// The time limit for each call.
    let patience: Duration

    private var options: CallOptions {
        var options = CallOptions.defaults
        options.timeout = patience
        options.waitForReady = false
        return options
    }

    private var metadata: Metadata { ["containerd-namespace": "\(namespace)"] }

    /// Returns the bytes of a blob after verifying their digest.
    ///
    /// - Parameter maximumSize: the largest accepted blob, in bytes.
    /// - Throws: ``ContainerRuntimeErrorCode/badContent`` if the blob is larger than `maximumSize`, is incomplete, or
    ///   has another digest; other codes if the call fails.
    public func blob(_ digest: Digest, maximumSize: Int) async throws(ContainerRuntimeError) -> [UInt8] {
        let bytes: [UInt8]
        do {
            bytes = try await client.read(
                .with { $0.digest = digest.description }, metadata: metadata, options: options
            ) { response in
                var bytes: [UInt8] = []
                for try await piece in response.messages {
                    guard piece.offset == bytes.count, bytes.count + piece.data.count <= maximumSize else {
                        throw ContainerRuntimeError(
                            .badContent,
                            "blob \(digest) from containerd at \(socket): over \(maximumSize) bytes, or a gap")
                    }
                    bytes += piece.data
                }
                return bytes
            }
        } catch {
            throw failure(error, "blob \(digest)")
        }
        guard Digest.of(bytes) == digest else {
            throw ContainerRuntimeError(
                .badContent, "containerd at \(socket) sent bytes with another digest for blob \(digest)")
        }
        return bytes
    }

    /// Returns the blobs whose label `label` has the value `value`.
    ///
    /// - Parameter limit: the maximum number of blobs. More of them are an error.
    public func blobs(
        withLabel label: String, value: String, limit: Int
    ) async throws(ContainerRuntimeError) -> [Blob] {
        try await blobs(withAnyLabel: [label], value: value, limit: limit)
    }

    /// Returns the blobs with at least one label in `labels` that has the value `value`.
    ///
    /// - Parameter limit: the maximum number of blobs. More of them are an error.
    public func blobs(
        withAnyLabel labels: [String], value: String, limit: Int
    ) async throws(ContainerRuntimeError) -> [Blob] {
        try await blobs(labels.map { #"labels."\#($0)"==\#(value)"# }, limit: limit)
    }

    /// Returns a blob with its labels; `nil` if containerd does not have it.
    public func info(_ digest: Digest) async throws(ContainerRuntimeError) -> Blob? {
        try await blobs(["digest==\(digest)"], limit: 1).first
    }

    private func blobs(_ filters: [String], limit: Int) async throws(ContainerRuntimeError) -> [Blob] {
        let filter = filters.first ?? ""
        do {
            return try await client.list(.with { $0.filters = filters }, metadata: metadata, options: options) {
                response in
                var blobs: [Blob] = []
                for try await batch in response.messages {
                    // containerd also has blobs with digests of other algorithms. We use none of them.
                    for info in batch.info {
                        if let digest = Digest(info.digest) { blobs.append(Blob(digest: digest, labels: info.labels)) }
                    }
                    guard blobs.count <= limit else {
                        throw ContainerRuntimeError(
                            .badContent, "containerd at \(socket) has more than \(limit) blobs with \(filter)")
                    }
                }
                return blobs
            }
        } catch {
            throw failure(error, "the blobs with \(filter)")
        }
    }

    private func failure(_ error: any Error, _ what: String) -> ContainerRuntimeError {
        if let error = error as? ContainerRuntimeError { return error }
        let isAway = (error as? RPCError)?.code == .unavailable
        return ContainerRuntimeError(
            isAway ? .unreachable : .failed, "\(what) from containerd at \(socket)", cause: error)
    }
}
