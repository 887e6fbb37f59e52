import Base
import Lab
import Linux
import TestSupport
import Testing

/// The conversion service behind a real registry, driven by the command line.
@Suite(.serialized, .realParts, .timeLimit(.minutes(10)))
struct PrivilegedConversionTests {
    private let shared: EndToEndLab

    init() throws {
        shared = try EndToEndLab.current()
    }

    private var lab: Lab { shared.lab }

    @discardableResult
    private func rivulet(_ arguments: String..., service port: Int? = nil) async throws -> String {
        let environment = port.map { ["RIVULET_SERVICE": "http://127.0.0.1:\($0)"] } ?? [:]
        return try await Command.run(
            [try Repository.product("rivulet")] + arguments, in: lab, environment: environment, timeout: 60)
    }

    @Test("converts pushed images of an enabled repository and deletes their artifacts with them")
    func convertsPushedImagesOfEnabledRepositoryAndDeletesTheirArtifactsWithThem() async throws {
        let converting = try await ConvertingRegistry(in: lab, storage: "\(lab.directory)/converted")
        let registry = converting.registry
        let host = try await importImage(converting)

        let file = shared.images.bulk[0]
        try await Node.with(
            "converted", in: lab, snapshotter: EndToEndLab.quietRivulet, registry: registry,
            pauseArchive: shared.pauseArchive
        ) { node in
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: "converted", image: "\(HostsDirectory.registry)/test/auto:1",
                    command: ["/bin/busybox", "sha256sum", file.path]), in: lab, client: node.client)
            let code = try await pod.waitForExit(seconds: 60)
            #expect(code == 0 && pod.output() == ["\(file.digest.hex)  \(file.path)"])
            let whole = UInt64(shared.images.bulk.count * TestImages.bulkFileSize)
            #expect(node.relay.record.bytes < whole / 2)
            try await pod.remove()
        }

        let listed = try await rivulet("manifest", "list-referrers", "--output", "json", "\(host)/test/auto:1")
        let digests = listed.split(separator: "\"").filter { $0.hasPrefix("sha256:") }
        let image = try #require(digests.last), path = "/v2/test/auto/manifests/\(image)"
        #expect(digests.count == 2)
        try await blocking { try PlainHTTP.delete(path, port: registry.port) }
        let artifact = digests[0] == image ? digests[1] : digests[0]
        #expect(await eventually { await !isThere("test/auto", artifact, registry) })
    }

    @Test("builds a startup pack from a node's report")
    func buildsStartupPackFromNodesReport() async throws {
        let converting = try await ConvertingRegistry(
            in: lab, storage: "\(lab.directory)/reported", options: ["--accept-profiles"])
        let (registry, servicePort) = (converting.registry, converting.servicePort)
        let host = try await importImage(converting)
        let file = shared.images.bulk[0]
        let options = """
            [streaming]
            background_fill = false
            profile_quiet = 1
            [conversion]
            service = "http://127.0.0.1:\(servicePort)"
            """
        try await Node.with(
            "reporting", in: lab, snapshotter: .rivulet(options: options), registry: registry,
            pauseArchive: shared.pauseArchive
        ) { node in
            let pod = try await Pod(
                .init(
                    name: "reporting", image: "\(host)/test/auto:1",
                    command: ["/bin/busybox", "sha256sum", file.path]), in: lab, client: node.client)
            #expect(try await pod.waitForExit(seconds: 60) == 0)
            var listed = ""
            let hasPack = try await eventually {
                listed = try await rivulet("manifest", "list-referrers", "--output", "json", "\(host)/test/auto:1")
                return listed.contains("io.rivulet.pack.generation")
            }
            #expect(hasPack, "\(listed)\n\(converting.logTail())")
            try await pod.remove()
        }
    }

    /// Enables a repository and pushes an image to it, which is then converted. Returns the registry's host.
    private func importImage(_ converting: ConvertingRegistry) async throws -> String {
        let (host, servicePort) = ("127.0.0.1:\(converting.registry.port)", converting.servicePort)
        try await rivulet(
            "artifact-streaming", "update", "--repository", "test/auto", "--enable-streaming", "true",
            service: servicePort)
        let source = "127.0.0.1:\(shared.registry.port)/test/main:plain"
        try await rivulet("image", "import", "--source", source, "--target", "\(host)/test/auto:1")
        let state = try await ended("test/auto", servicePort)
        #expect(state.contains("Succeeded"), "\(state)\n\(converting.logTail())")
        return host
    }

    /// Waits for the repository's one operation to end and returns the command's output.
    private func ended(_ repository: String, _ port: Int) async throws -> String {
        var shown = ""
        _ = try await eventually {
            shown = try await rivulet(
                "artifact-streaming", "operation", "show", "--repository", repository, service: port)
            return ["Succeeded", "Failed", "Canceled"].contains(where: shown.contains)
        }
        return shown
    }

    private func isThere(_ repository: String, _ digest: Substring, _ registry: RegistryServer) async -> Bool {
        await blocking {
            let accept = "Accept: application/vnd.oci.image.manifest.v1+json"
            return (try? PlainHTTP.get("/v2/\(repository)/manifests/\(digest)", port: registry.port, headers: [accept]))
                != nil
        }
    }
}
