import Lab
import Testing

/// Many calls over the connections between containerd and the daemon.
extension PrivilegedEndToEndTests {
    /// Go's gRPC pings with each message, and swift-nio-http2 closes a connection after 200 pings in 30 seconds.
    /// containerd then repeated calls that were already carried out, and pods failed.
    @Test("hundreds of calls in a few seconds do not end the connection with containerd")
    func survivesManyCalls() async throws {
        try await shared.withNode("calls", snapshotter: .rivulet(options: "")) { node in
            let client = try ImageClient(node.containerd)
            do {
                try await client.pull(shared.images.main)
                let chain = try #require(try await client.chain(of: shared.images.main))
                for number in 0..<400 {
                    _ = try await client.snapshots.prepare("call-\(number)", parent: chain)
                    try await client.snapshots.remove("call-\(number)")
                }
            } catch {
                await client.close()
                throw error
            }
            await client.close()
        }
    }
}
