public import Base
public import ContainerRuntime

/// The clients of one containerd for whole images: its CRI and its snapshots.
public final class ImageClient: Sendable {
    public let containerd: Containerd
    public let runtime: CRIClient
    public let snapshots: SnapshotClient

    public init(_ containerd: Containerd) throws {
        self.containerd = containerd
        runtime = try containerd.connect()
        snapshots = try SnapshotClient(socket: containerd.socket, snapshotter: containerd.snapshotter)
    }

    /// Pulls the image `reference`.
    public func pull(_ reference: String) async throws {
        _ = try await runtime.pull(reference, seconds: 60)
    }

    /// Returns the chain ID of a pulled image; `nil` if containerd does not have the image.
    public func chain(of reference: String) async throws -> Digest? {
        try await runtime.chainID(ofImage: reference)
    }

    /// Removes an image, and waits until containerd has removed its content and snapshots.
    public func remove(_ reference: String) async throws {
        try await runtime.removeImage(reference)
    }

    public func close() async {
        await runtime.close()
        await snapshots.close()
    }
}
