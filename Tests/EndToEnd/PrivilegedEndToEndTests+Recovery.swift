import Base
import ContainerRuntime
import Foundation
import Lab
import Linux
import TestSupport
import Testing

extension PrivilegedEndToEndTests {
    /// The layers of the first image are streamed from their own blobs, with windows from the artifact; those of the
    /// second one from a copy in the artifact.
    @Test(
        "reads files after the streaming artifact is deleted", arguments: [("artifact", "plain"), ("copied", "zstd")])
    func readsAfterArtifactIsDeleted(source: String, tag: String) async throws {
        let (lab, port) = (shared.lab, shared.registry.port)
        let repository = "test/deleted-\(source)"
        try await copyRepository("test/\(source)", to: repository)
        let image = "\(HostsDirectory.registry)/\(repository):\(tag)"
        let reference = "\(lab.directory)/deleted-\(source)-reference"
        try await ReferenceTree.unpack(shared.images.layers, to: reference, in: lab)
        try await shared.withNode("deleted-\(source)") { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let file = shared.images.bulk[0]
            let pod = try await Pod(
                .init(
                    name: "deleted-\(source)", image: image,
                    command: ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path); echo done; sleep 1000"]),
                in: lab, client: node.client)
            _ = try await pod.waitForLine("done", seconds: 60)
            try await deleteArtifact(of: "\(repository):\(tag)", in: repository, port)
            #expect(try await daemon.metrics()["rivulet_layer_recoveries_total"] == 0)

            try await expectBulk(in: pod, on: node)
            try await node.withRootFileSystem(of: image, in: lab) { root in
                let (expected, seen) = try await blocking {
                    (try TreeListing(of: reference), try TreeListing(of: root))
                }
                let differences = seen.differences(from: expected, excepting: ["/", "/odd/old"])
                #expect(
                    differences.isEmpty,
                    "\(differences.joined(separator: "\n"))\n\(daemon.process.logTail(lines: 50))")
            }
            let metrics = try await daemon.metrics()
            let recoveries = try #require(metrics["rivulet_layer_recoveries_total"])
            #expect(recoveries >= 1 && recoveries <= Double(shared.images.layers.count))
            #expect(metrics["rivulet_layer_recoveries_failed_total"] == 0)
            #expect(metrics["rivulet_demands_failed_total"] == 0)
            try await pod.remove()
        }
    }

    /// Deletes the artifact of an image, with all its blobs, from the shared registry.
    private func deleteArtifact(of image: String, in repository: String, _ port: Int) async throws {
        let listed = try await Command.run(
            [
                try Repository.product("rivulet"), "manifest", "list-referrers", "--output", "json",
                "127.0.0.1:\(port)/\(image)",
            ], in: shared.lab, timeout: 60)
        var artifacts = 0
        for digest in Set(Self.digests(in: listed)) {
            let path = "/v2/\(repository)/manifests/\(digest)"
            let accept = "Accept: application/vnd.oci.image.manifest.v1+json"
            let bytes = try await blocking { try PlainHTTP.get(path, port: port, headers: [accept]) }
            let manifest = try JSONDecoder().decode(Manifest.self, from: Data(bytes))
            guard manifest.artifactType == "application/vnd.rivulet.streaming.v1" else { continue }
            artifacts += 1
            for blob in Set(manifest.layers.map(\.digest)) {
                try await blocking { try PlainHTTP.delete("/v2/\(repository)/blobs/\(blob)", port: port) }
            }
            try await blocking { try PlainHTTP.delete(path, port: port) }
        }
        #expect(artifacts == 1, "\(listed)")
    }

    private struct Manifest: Decodable {
        struct Descriptor: Decodable { let digest: String }

        let artifactType: String?
        let layers: [Descriptor]
    }

    private static func digests(in text: String) -> [String] {
        text.split { !$0.isHexDigit && $0 != ":" && !"sha".contains($0) }.map(String.init)
            .filter { $0.hasPrefix("sha256:") && $0.count == 71 }
    }
}
