import Base
import ContainerRuntime
import Lab
import Linux
import TestSupport
import Testing

extension PrivilegedEndToEndTests {
    /// Gives the main eStargz image another repository, and returns its reference.
    private func copyImage(to repository: String) async throws -> String {
        try await copyRepository("test/main", to: repository)
        return "\(HostsDirectory.registry)/\(repository):estargz"
    }

    /// Copies everything in a repository of the shared registry to a new one.
    func copyRepository(_ source: String, to repository: String) async throws {
        let repositories = "\(shared.lab.directory)/registry/docker/registry/v2/repositories"
        try await Command.run(
            ["cp", "-a", "\(repositories)/\(source)", "\(repositories)/\(repository)"], in: shared.lab)
    }

    /// In another namespace, containerd asks the snapshotter for the layers again. In the same one it does not, and
    /// only its content store knows the second repository.
    @Test("a layer is read from a second repository when the first one is gone", arguments: ["second", "k8s.io"])
    func readsFromASecondRepository(namespace: String) async throws {
        let file = shared.images.bulk[3]
        let gone = try await copyImage(to: "test/gone-\(namespace)")
        let kept = try await copyImage(to: "test/kept-\(namespace)")
        try await shared.withNode("locations") { node in
            let pod = try await Pod(
                .init(name: "locations", image: gone, command: ["/bin/busybox", "sleep", "1000"]), in: shared.lab,
                client: node.client)
            try await node.containerd.ctr(
                ["images", "rpull", "--snapshotter", "rivulet", "--hosts-dir", node.hosts, kept],
                namespace: namespace, program: "ctr-remote")
            let storage = "\(shared.lab.directory)/registry/docker/registry/v2"
            try await Command.run(["rm", "-r", "\(storage)/repositories/test/gone-\(namespace)"], in: shared.lab)
            node.relay.forget()
            let read = try await node.client.execute(["/bin/busybox", "sha256sum", file.path], in: pod.containerID)
            #expect(read.output == "\(file.digest.hex)  \(file.path)\n")
            let ranges = node.relay.record.requests.filter { $0.range != nil }
            #expect(ranges.contains { $0.path.hasPrefix("/v2/test/kept-\(namespace)/") }, "\(ranges.map(\.path))")
            try await pod.remove()
        }
    }

    @Test("background fill leaves a disk alone that is too full") func leavesFullDiskAlone() async throws {
        // Every disk is used by more than one percent.
        let snapshotter = Node.Snapshotter.rivulet(options: "[streaming]\nbackground_fill_disk_percent = 1\n")
        let file = shared.images.bulk[3]
        try await shared.withNode("reserve", snapshotter: snapshotter) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            #expect(try await eventually { try await daemon.metrics()["rivulet_background_fill_stopped"] == 1 })
            let pod = try await Pod(
                .init(
                    name: "reserve", image: shared.images.main,
                    command: ["/bin/busybox", "sha256sum", file.path]), in: shared.lab, client: node.client)
            #expect(try await pod.waitForExit() == 0)
            #expect(pod.output() == ["\(file.digest.hex)  \(file.path)"])
            try await Task.sleep(for: .seconds(5))
            #expect(try await daemon.metrics()[#"rivulet_received_bytes_total{class="fill"}"#] == 0)
            try await pod.remove()
        }
    }

    @Test("all files of a container have one device number") func hasOneDeviceNumber() async throws {
        let script = """
            echo changed >> /odd/replaced; echo new > /new
            busybox stat -c %d / /new /odd/replaced /bin/busybox /odd | busybox sort -u | busybox wc -l
            """
        try await shared.withNode("devices") { node in
            let pod = try await Pod(
                .init(name: "devices", image: shared.images.main, command: ["/bin/busybox", "sh", "-c", script]),
                in: shared.lab, client: node.client)
            #expect(try await pod.waitForExit() == 0)
            #expect(pod.output() == ["1"])
            try await pod.remove()
        }
    }
}
