import Base
import Lab
import Linux
import TestSupport
import Testing

extension PrivilegedEndToEndTests {
    /// The files of these images make the analyzer trap, loop, take memory, recurse and lie.
    @Test("Pods keep running and starting while the analyzer misbehaves")
    func hostileAnalyzer() async throws {
        let behaviors = ["trap", "loop", "hog", "recurse", "lie"]
        let publisher = try await ImagePublisher(in: shared.lab, registryPort: shared.registry.port)
        for behavior in behaviors { try await publish(behavior, publisher) }
        let snapshotter = Node.Snapshotter.rivulet(
            options: "[streaming]\nbackground_fill = false\n", program: "HostileAnalyzer")
        try await shared.withNode("hostile", snapshotter: snapshotter) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let pid = daemon.process.pid
            let steady = try await pod("steady", shared.images.main, "echo started; sleep 1000", node)
            _ = try await steady.waitForLine("started", seconds: 60)
            for (number, behavior) in behaviors.enumerated() {
                // After a failure the next analyzer starts with a delay that doubles.
                #expect(try await eventually { try await daemon.metrics()["rivulet_analyzer_running"] == 1 })
                let pod = try await Pod(
                    .init(name: behavior, image: Self.image(behavior), command: ["/bin/busybox", "sh", Self.file]),
                    in: shared.lab, client: node.client)
                _ = try await pod.waitForLine("started", seconds: 60)
                let count = Double(number + 1)
                #expect(try await eventually { try await daemon.metrics()["rivulet_analyzer_failures_total"] == count })
                try await pod.remove()
            }
            // The pod that ran all the time reads what it has not read before, and another one starts.
            try await expectBulk(in: steady, on: node)
            let late = try await pod("late", shared.images.deep, "busybox cat /deep/1; echo started", node)
            _ = try await late.waitForLine("started", seconds: 60)
            try await late.remove()
            try await steady.remove()
            #expect(daemon.process.pid == pid)
            let metrics = try await daemon.metrics()
            let lost = metrics.filter { $0.key.hasPrefix("rivulet_predictions_lost_total") }
            #expect(lost.values.reduce(0, +) == Double(behaviors.count), "\(lost)")
            #expect(metrics["rivulet_predictions_lost_total{reason=\"crash\"}"] == 3, "\(lost)")
            #expect(metrics["rivulet_predictions_lost_total{reason=\"hang\"}"] == 1, "\(lost)")
            #expect(metrics["rivulet_predictions_lost_total{reason=\"violation\"}"] == 1, "\(lost)")
        }
    }

    private static let file = "/srv/app.evil"

    private static func image(_ behavior: String) -> String {
        "\(HostsDirectory.registry)/test/\(behavior):estargz"
    }

    private func pod(_ name: String, _ image: String, _ script: String, _ node: Node) async throws -> Pod {
        try await Pod(
            .init(name: name, image: image, command: ["/bin/busybox", "sh", "-c", script]), in: shared.lab,
            client: node.client)
    }

    /// An image whose program is a script that the hostile analyzer obeys: for the shell its first line is a command
    /// that may be missing.
    private func publish(_ behavior: String, _ publisher: ImagePublisher) async throws {
        let work = "\(shared.lab.directory)/evil-\(behavior)"
        try Files.write("\(work)/tree\(Self.file)", "\(behavior)\necho started\nsleep 1000\n")
        try await Command.run(
            ["tar", "--create", "--file", "\(work)/layer.tar"] + OCIArchive.tarOptions
                + ["--directory", "\(work)/tree", "."], in: shared.lab)
        let plain = "\(HostsDirectory.registry)/test/\(behavior):plain"
        var image = OCIArchive(reference: plain)
        image.layers = [shared.images.layers[0], "\(work)/layer.tar"]
        image.command = ["/bin/busybox", "sh", Self.file]
        try await image.write(to: "\(work)/image.tar", in: shared.lab)
        try await publisher.publish(archive: "\(work)/image.tar", reference: plain, estargz: Self.image(behavior))
    }
}
