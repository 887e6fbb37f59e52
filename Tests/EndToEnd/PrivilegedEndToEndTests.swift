import Base
import ContainerRuntime
import Foundation
import Lab
import Linux
import TestSupport
import Testing

/// rivuletd with real containerd, runc and registry. Needs root, /dev/fuse and the packages of `deploy/debian-deps
/// test`; fails without them.
@Suite(.serialized, .realParts, .timeLimit(.minutes(10)))
struct PrivilegedEndToEndTests {
    let shared: EndToEndLab

    init() throws {
        shared = try EndToEndLab.current()
    }

    private var lab: Lab { shared.lab }

    // MARK: Starting

    @Test(
        "a pod starts before its image is fetched and reads the right bytes",
        arguments: [true, false])
    func podStartsBeforeItsImageIsFetchedAndReadsRightBytes(readsContainerd: Bool) async throws {
        let file = shared.images.bulk[0]
        let name = readsContainerd ? "lazy" : "lazy-apart"
        let snapshotter = EndToEndLab.quietRivulet(readsContainerd: readsContainerd)
        try await shared.withNode(name, snapshotter: snapshotter) { node in
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: name, image: shared.images.main,
                    command: ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path); echo done; sleep 1000"]),
                in: lab, client: node.client)
            _ = try await pod.waitForLine("done", seconds: 60)
            let record = node.relay.record
            #expect(pod.output().contains("\(file.digest.hex)  \(file.path)"))
            let whole = UInt64(shared.images.bulk.count * TestImages.bulkFileSize)
            #expect(record.bytes < whole / 2, "\(record.bytes) of more than \(whole) bytes were fetched")
            #expect(record.bytes >= UInt64(TestImages.bulkFileSize))
            // On a new node the daemon opens connections to the registry in hosts.toml: more than these few layers
            // need.
            #expect(record.connections >= 8)
            let own = record.requests.filter { $0.agent?.hasPrefix("containerd/") != true }
            // containerd has fetched it, and supplies it where that is allowed.
            #expect(own.count { $0.kind == .manifest } == (readsContainerd ? 0 : 1))
            // The rest is read, too, and all of it is right.
            try await expectBulk(in: pod, on: node)
            try await pod.remove()
        }
    }

    /// Reads every file of random bytes in the pod and compares it.
    func expectBulk(in pod: Pod, on node: Node) async throws {
        for file in shared.images.bulk {
            let (output, code) = try await node.client.execute(
                ["/bin/busybox", "sha256sum", file.path], in: pod.containerID)
            #expect(code == 0)
            #expect(output == "\(file.digest.hex)  \(file.path)\n")
        }
    }

    @Test("unpacks and runs an ordinary gzip image")
    func unpacksAndRunsOrdinaryGzipImage() async throws {
        try await shared.withNode("plain") { node in
            let pod = try await Pod(
                .init(
                    name: "plain", image: shared.images.mainPlain,
                    command: ["/bin/busybox", "sh", "-c", "busybox cat /odd/replaced; echo x > /odd/new"]),
                in: lab, client: node.client)
            let code = try await pod.waitForExit(seconds: 60)
            #expect(code == 0)
            #expect(pod.output() == ["the upper one"])
            try await pod.remove()
        }
    }

    @Test("runs an image of 128 layers")
    func runsImageOf128Layers() async throws {
        try await shared.withNode("deep") { node in
            let pod = try await Pod(
                .init(
                    name: "deep", image: shared.images.deep,
                    command: ["/bin/busybox", "cat", "/deep/1", "/deep/64", "/deep/127", "/deep/top"]),
                in: lab, client: node.client)
            let code = try await pod.waitForExit(seconds: 60)
            #expect(code == 0)
            #expect(pod.output() == ["1", "64", "127", "layer 127"])
            let own = node.relay.record.requests.filter { $0.agent?.hasPrefix("containerd/") != true }
            // At most two requests a layer, and one for each file that was read.
            #expect(own.count <= 2 * TestImages.deepLayers + 5)
            try await pod.remove()
        }
    }

    // MARK: Correctness

    @Test("streams an ordinary image with an artifact by tag and by digest", arguments: [false, true])
    func streamsOrdinaryImageWithArtifactByTagAndByDigest(byDigest: Bool) async throws {
        let file = shared.images.bulk[0]
        let name = byDigest ? "artifact-digest" : "artifact-tag"
        try await shared.withNode(name) { node in
            let image = byDigest ? shared.images.mainPinned : shared.images.mainArtifact
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: name, image: image,
                    command: ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path); echo done; sleep 1000"]),
                in: lab, client: node.client)
            _ = try await pod.waitForLine("done", seconds: 60)
            #expect(pod.output().contains("\(file.digest.hex)  \(file.path)"))
            let whole = UInt64(shared.images.bulk.count * TestImages.bulkFileSize)
            #expect(node.relay.record.bytes < whole / 2)
            try await expectBulk(in: pod, on: node)
            try await pod.remove()
        }
    }

    @Test("fetches a startup pack in one request")
    func fetchesStartupPackInOneRequest() async throws {
        let file = shared.images.bulk[0]
        try await shared.withNode("pack", snapshotter: EndToEndLab.quietRivulet) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: "pack", image: shared.images.mainPack,
                    command: ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path); echo done; sleep 1000"]),
                in: lab, client: node.client)
            _ = try await pod.waitForLine("done", seconds: 60)
            #expect(pod.output().contains("\(file.digest.hex)  \(file.path)"))
            let metrics = try await daemon.metrics()
            #expect(metrics["rivulet_startup_packs_total"] == 1)
            #expect(metrics["rivulet_startup_packs_abandoned_total"] == 0)
            // Its bytes are random, like those of the others: it was not fetched from its layer.
            let ranges = node.relay.record.requests.filter { $0.range != nil }
            #expect(ranges.reduce(0) { $0 + $1.bytes } < UInt64(TestImages.bulkFileSize) / 4)
            try await expectBulk(in: pod, on: node)
            try await pod.remove()
        }
    }

    @Test("verifies every layer, and reads hardly any byte twice", arguments: ["eStargz", "artifact", "pack"])
    func verifiesEveryLayer(kind: String) async throws {
        let images = shared.images
        let image = ["eStargz": images.main, "artifact": images.mainArtifact, "pack": images.mainPack][kind]
        var costs: [Cost] = []
        for isVerified in [false, true] {
            costs.append(
                try await completed(
                    try #require(image), "[trust]\nverify_layers = \(isVerified)\n\(Self.anyDisk)",
                    said: isVerified ? "layer verified" : "layer complete"))
        }
        let bytes = costs.map(\.bytes)
        // The pack contains one of the files, which is read for the verification.
        let spare = UInt64(kind == "pack" ? TestImages.bulkFileSize : 0) + bytes[0] / 50
        #expect(bytes[1] < bytes[0] + spare, "\(bytes)")
        print(
            "verification of \(kind): \(bytes[1]) bytes on the link, \(bytes[0]) without;",
            "\(costs[1].processor) of processor time, \(costs[0].processor) without")
    }

    @Test("verifies layers that are not stored as a whole") func verifiesWithoutStoring() async throws {
        let options = "[streaming]\nbackground_fill = false\nread_ahead = false\n"
        try await shared.withNode("stream", snapshotter: .rivulet(options: options)) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let pod = try await Pod(
                .init(
                    name: "stream", image: shared.images.main, command: ["/bin/busybox", "sh", "-c", "sleep 1000"]),
                in: lab, client: node.client)
            let layers = Double(shared.images.layers.count)
            let isDone = await eventually(within: .seconds(100)) {
                (try? await daemon.metrics())?["rivulet_verified_layers_total"] == layers
            }
            #expect(isDone, "\(daemon.process.logTail(lines: 50))")
            let metrics = try await daemon.metrics()
            #expect(metrics["rivulet_unverified_layers"] == 0)
            #expect(metrics["rivulet_complete_layers"] != layers)
            try await pod.remove()
        }
    }

    /// Options with which background fill runs however full the disk of this machine is.
    private static let anyDisk = """
        [streaming]
        background_fill_disk_percent = 100
        [cache]
        evict_disk_percent = 100
        full_disk_percent = 100

        """

    private struct Cost: Sendable {
        /// The bytes on the link.
        var bytes: UInt64 = 0
        /// The processor time of the daemon.
        var processor = Duration.zero
    }

    /// Returns the cost until the log has an entry for each layer.
    private func completed(_ image: String, _ options: String, said: String) async throws -> Cost {
        let cost = Guarded(Cost())
        try await shared.withNode("verify", snapshotter: .rivulet(options: options)) { node in
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: "verify", image: image,
                    command: [
                        "/bin/busybox", "sh", "-c", "busybox sha256sum \(shared.images.bulk[0].path); sleep 1000",
                    ]), in: lab, client: node.client)
            let log = { node.daemon?.process.logTail(lines: 200) ?? "" }
            let layers = shared.images.layers.count
            let isSaid = await eventually {
                log().split(separator: "\n").count { $0.contains(said) } == layers
            }
            #expect(isSaid, "\(log())")
            let processor = try Self.processorTime(of: try #require(node.daemon).process.pid)
            cost.withLock { $0 = Cost(bytes: node.relay.record.bytes, processor: processor) }
            try await pod.remove()
        }
        return cost.withLock { $0 }
    }

    /// Returns the processor time that a process has used, in units of 10 ms.
    private static func processorTime(of process: pid_t) throws -> Duration {
        let text = String(decoding: try Sys.readFile("/proc/\(process)/stat", limit: 4096), as: UTF8.self)
        // The times in user and kernel mode, in hundredths of a second (proc_pid_stat(5)). The name may have spaces.
        let fields = text.split(separator: ")").last?.split(separator: " ").dropFirst(11).prefix(2) ?? []
        return .milliseconds(10 * fields.compactMap { Int($0) }.reduce(0, +))
    }

    @Test("profile record writes a profile and leaves no pod")
    func profileRecordWritesProfileAndLeavesNoPod() async throws {
        let file = shared.images.bulk[1]
        try await shared.withNode(
            "record", snapshotter: .rivulet(options: "[streaming]\nbackground_fill = false\nprofile_quiet = 1\n")
        ) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let written = "\(lab.directory)/recorded.profile"
            let record = { (arguments: [String]) in
                try await Command.run(
                    [
                        try Repository.product("rivulet"), "profile", "record", "--image", shared.images.mainArtifact,
                        "--containerd", node.containerd.socket, "--socket", daemon.adminSocket, "--host-network",
                        "--cgroup-parent", lab.controlGroup,
                    ] + arguments, in: lab, timeout: 120)
            }
            let shown = try await record(["-o", written, "--", "/bin/busybox", "sha256sum", file.path])
            #expect(shown.contains("test/artifact"), "\(shown)")
            let profile = try Files.text(written)
            #expect(profile.contains("\"bin/busybox\"") && profile.contains("\"\(file.path.dropFirst())\""))
            // Runs nothing for a known image.
            node.relay.forget()
            #expect(try await record([]).contains("test/artifact"))
            #expect(node.relay.record.requests.isEmpty)
            let tasks = try await node.containerd.ctr(["tasks", "list", "--quiet"], namespace: "k8s.io")
            #expect(tasks.isEmpty, "\(tasks)")
        }
    }

    enum TreeOf: String, CaseIterable {
        case overlay, tree, artifact, copied, estargzConverted, zstdConverted, peersZstd
    }

    /// With overlayfs it tests the test itself.
    @Test("the tree equals tar's unpacking of the same layers", arguments: TreeOf.allCases)
    func treeEqualsTarsUnpackingOfSameLayers(_ tree: TreeOf) async throws {
        let (name, rivulet) = (tree.rawValue, tree != .overlay)
        let image =
            switch tree {
            case .overlay: shared.images.mainPlain
            case .tree: shared.images.main
            case .artifact: shared.images.mainArtifact
            case .copied: shared.images.mainCopied
            case .estargzConverted: try #require(shared.images.reencoded["estargz"])
            case .zstdConverted: try #require(shared.images.reencoded["zstd:chunked"])
            case .peersZstd: shared.images.peersZstd
            }
        let reference = "\(lab.directory)/\(name)-reference"
        try await ReferenceTree.unpack(shared.images.layers, to: reference, in: lab)
        try await shared.withNode(name, snapshotter: rivulet ? EndToEndLab.quietRivulet : .overlayfs) { node in
            _ = try await node.client.pull(image)
            try await node.withRootFileSystem(of: image, in: lab) { root in
                let (expected, seen) = try await blocking {
                    (try TreeListing(of: reference), try TreeListing(of: root))
                }
                #expect(expected.files.count > 1900)
                // The root is the container's own new directory. containerd and Rivulet have no times before 1970.
                let excepted: Set = ["/", "/odd/old"]
                let differences = seen.differences(from: expected, excepting: excepted)
                #expect(
                    differences.isEmpty,
                    """
                    the image's line, then tar's:
                    \(differences.joined(separator: "\n"))
                    \(node.daemon?.process.logTail(lines: 20) ?? "")
                    """)
            }
        }
    }

    @Test("ctr-remote reads converted layers", arguments: ["estargz", "zstd:chunked"])
    func ctrRemoteReadsConvertedLayers(format: String) async throws {
        let image = try #require(shared.images.reencoded[format])
        try await shared.withNode("peer-\(format.prefix(4))", snapshotter: .overlayfs) { node in
            _ = try await node.client.pull(image)
            let content = { (arguments: [String]) in
                try await node.containerd.ctr(["content", "get"] + arguments, namespace: "k8s.io")
            }
            let listed = try await node.containerd.ctr(["images", "list", "name==\(image)"], namespace: "k8s.io")
            let digest = try #require(listed.firstRange(of: "sha256:").map { listed[$0.lowerBound...].prefix(71) })
            let manifest = try JSONDecoder().decode(Manifest.self, from: Data(try await content([String(digest)]).utf8))
            #expect(manifest.layers.count == shared.images.layers.count)
            for layer in manifest.layers {
                let options = format == "estargz" ? [] : ["--zstdchunked"]
                let found = try await node.containerd.ctr(
                    ["images", "get-toc-digest"] + options + [layer.digest], namespace: "k8s.io",
                    program: "ctr-remote")
                #expect(found.contains(try #require(layer.annotations["containerd.io/snapshot/stargz/toc.digest"])))
            }
        }
    }

    private struct Manifest: Decodable {
        struct Layer: Decodable {
            let digest: String
            let annotations: [String: String]
        }

        let layers: [Layer]
    }

    // MARK: Namespaces

    @Test("two namespaces share fetched content")
    func twoNamespacesShareFetchedContent() async throws {
        let file = shared.images.bulk[1]
        try await shared.withNode("spaces") { node in
            func run(_ namespace: String) async throws -> String {
                try await node.containerd.ctr(
                    ["images", "rpull", "--snapshotter", "rivulet", "--hosts-dir", node.hosts, shared.images.main],
                    namespace: namespace, program: "ctr-remote")
                return try await node.containerd.ctr(
                    [
                        "run", "--rm", "--snapshotter", "rivulet", "--net-host", "--cgroup",
                        "\(lab.controlGroup)/\(namespace)", shared.images.main, namespace,
                        "/bin/busybox", "sha256sum", file.path,
                    ], namespace: namespace)
            }
            let expected = "\(file.digest.hex)  \(file.path)\n"
            let first = try await run("first")
            #expect(first == expected)
            let before = node.relay.record
            #expect(before.requests.contains { $0.range != nil })
            node.relay.forget()
            let second = try await run("second")
            #expect(second == expected)
            let again = node.relay.record.requests.filter { $0.range != nil }
            #expect(again.isEmpty, "fetched again: \(again.map { "\($0.path) \($0.range ?? "")" })")
        }
    }

    // MARK: Failures

    /// The bounds in docs/operations.md.
    @Test(
        "a read without its registry fails in bounded time and recovers",
        arguments: Relay.Outage.allCases)
    func readWithoutItsRegistryFailsInBoundedTimeAndRecovers(outage: Relay.Outage) async throws {
        let file = shared.images.bulk[2]
        let read = ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path)"]
        try await shared.withNode("\(outage)") { node in
            let pod = try await sleeper("\(outage)", on: node)
            // The programs are local: only the file is missing.
            let warm = ["/bin/busybox", "sh", "-c", "busybox sha256sum /odd/replaced & wait $!; kill -0 $$"]
            #expect(try await node.client.execute(warm, in: pod.containerID).exitCode == 0)
            node.relay.cut(outage)

            // A killed reader ends long before its read would have.
            let killed = try await timed {
                let script = "busybox sha256sum \(file.path) & busybox sleep 1; kill -9 $!; wait $!; echo killed"
                let result = try await node.client.execute(
                    ["/bin/busybox", "sh", "-c", script], in: pod.containerID, seconds: 60)
                #expect(result.output.contains("killed\n"))
            }
            #expect(outage == .refusing || killed < 15)
            for (bound, what) in [(45.0, "first"), (20, "second")] {
                let took = try await timed {
                    let lost = try await node.client.execute(read, in: pod.containerID, seconds: 100)
                    #expect(lost.exitCode != 0)
                    #expect(lost.output.contains("Input/output error"), "\(lost.output)")
                }
                #expect(took < bound, "the \(what) read")
            }
            node.relay.restore()
            let found = try await node.client.execute(read, in: pod.containerID)
            #expect(found.output == "\(file.digest.hex)  \(file.path)\n")
            try await pod.remove()
        }
    }

    @Test("an unreadable program fails to start in bounded time")
    func unreadableProgramFailsToStartInBoundedTime() async throws {
        try await shared.withNode("program") { node in
            let pod = try await sleeper("program", on: node)
            node.relay.cut()
            let took = try await timed {
                // None of the shell's own text was needed so far. runc reports the error of execve(2), or it dies of
                // SIGBUS.
                let lost = try? await node.client.execute(
                    ["/bin/busybox", "sh", "-c", "busybox cat \(shared.images.bulk[2].path) > /dev/null"],
                    in: pod.containerID, seconds: 100)
                #expect(lost?.exitCode != 0)
            }
            #expect(took < 60)
            node.relay.restore()
            try await pod.remove()
        }
    }

    /// Returns the seconds that `body` takes.
    private func timed(_ body: () async throws -> Void) async throws -> Double {
        let began = MonotonicTime.now()
        try await body()
        return Double(MonotonicTime.now().since(began)) / 1e9
    }

    @Test("keeps fetched content across a restart", arguments: [false, true])
    func keepsFetchedContentAcrossRestart(killed: Bool) async throws {
        let file = shared.images.bulk[3]
        let name = killed ? "killed" : "restarted"
        try await shared.withNode(name) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let first = try await sleeper(name, on: node)
            let read = ["/bin/busybox", "sha256sum", file.path]
            let expected = "\(file.digest.hex)  \(file.path)\n"
            let before = try await node.client.execute(read, in: first.containerID)
            #expect(before.output == expected)
            try await first.remove()
            try await daemon.restart(killing: killed)
            try await node.waitForSnapshotter()
            node.relay.forget()
            let second = try await sleeper("\(name)-again", on: node)
            // The creation of the pod opened them to its image's registry.
            #expect(node.relay.record.connections == 8)
            #expect(node.relay.record.requests.isEmpty)
            let after = try await node.client.execute(read, in: second.containerID)
            #expect(after.output == expected)
            let blobs = node.relay.record.requests.filter { $0.range != nil }
            #expect(blobs.isEmpty, "fetched again: \(blobs.map { "\($0.path) \($0.range ?? "")" })")
            // Missing content can still be fetched.
            let other = shared.images.bulk[4]
            let fresh = try await node.client.execute(
                ["/bin/busybox", "sha256sum", other.path], in: second.containerID)
            #expect(fresh.output == "\(other.digest.hex)  \(other.path)\n")
            try await second.remove()
        }
    }

    private func sleeper(_ name: String, on node: Node) async throws -> Pod {
        try await Pod(
            .init(name: name, image: shared.images.main, command: ["/bin/busybox", "sleep", "1000"]), in: lab,
            client: node.client)
    }
}
