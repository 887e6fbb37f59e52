import Base
import ContainerRuntime
import Foundation
import Lab
import Linux
import TestSupport
import Testing

/// Real containerd, runc and registry around rivuletd. Needs root, /dev/fuse and the packages of
/// `deploy/debian-deps test`; fails where it cannot run.
@Suite(.serialized, .realParts, .timeLimit(.minutes(10)))
struct PrivilegedEndToEndTests {
    private let shared: EndToEndLab

    init() throws {
        shared = try EndToEndLab.current()
    }

    private var lab: Lab { shared.lab }

    // MARK: Starting

    @Test(
        "A pod starts while most of its image is still in the registry, and reads the right bytes",
        arguments: [true, false])
    func startsBeforeThePull(readsContainerd: Bool) async throws {
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
            // On a new node connections are opened to the registry that hosts.toml names: more than so few layers need.
            #expect(record.connections >= 8)
            let own = record.requests.filter { $0.agent?.hasPrefix("containerd/") != true }
            // containerd has fetched it, and is asked for it where that is allowed.
            #expect(own.count { $0.kind == .manifest } == (readsContainerd ? 0 : 1))
            // The rest is read as well, and all of it is right.
            try await expectBulk(in: pod, on: node)
            try await pod.remove()
        }
    }

    /// Every file of random bytes is read in the pod, and right.
    private func expectBulk(in pod: Pod, on node: Node) async throws {
        for file in shared.images.bulk {
            let (output, code) = try await node.client.execute(
                ["/bin/busybox", "sha256sum", file.path], in: pod.containerID)
            #expect(code == 0)
            #expect(output == "\(file.digest.hex)  \(file.path)\n")
        }
    }

    @Test("An image of ordinary gzip layers is unpacked and runs on the same snapshotter")
    func ordinaryImage() async throws {
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

    @Test("An image of 128 layers")
    func manyLayers() async throws {
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
            // Two requests a layer at most, and one for each file that was read.
            #expect(own.count <= 2 * TestImages.deepLayers + 5)
            try await pod.remove()
        }
    }

    // MARK: Being right

    @Test("An ordinary image with a streaming artifact streams, by tag and by digest", arguments: [false, true])
    func artifact(byDigest: Bool) async throws {
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

    @Test("What a startup pack holds comes in one request")
    func startupPack() async throws {
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
            #expect(metrics["rivulet_startup_packs_given_up_total"] == 0)
            // It is random bytes, and so are those of the others: nobody has fetched it from its layer.
            let ranges = node.relay.record.requests.filter { $0.range != nil }
            #expect(ranges.reduce(0) { $0 + $1.bytes } < UInt64(TestImages.bulkFileSize) / 4)
            try await expectBulk(in: pod, on: node)
            try await pod.remove()
        }
    }

    @Test(
        "Complete layers are held against their image, for what a startup pack has brought", arguments: [false, true])
    func audit(withPack: Bool) async throws {
        var bytes: [UInt64] = []
        for isAudited in [false, true] {
            let said = isAudited ? "layer is audited" : "layer is complete"
            bytes.append(try await completed(withPack, "[trust]\naudit_artifacts = \(isAudited)\n", said: said))
        }
        // The pack has one of the files, which is read for the audit.
        let spare = UInt64(withPack ? TestImages.bulkFileSize : 0) + bytes[0] / 20
        #expect(bytes[1] < bytes[0] + spare, "\(bytes)")
    }

    /// Returns the bytes that cross the link until the log names each layer.
    private func completed(_ withPack: Bool, _ options: String, said: String) async throws -> UInt64 {
        let bytes = Guarded<UInt64>(0)
        try await shared.withNode("audit", snapshotter: .rivulet(options: options)) { node in
            node.relay.forget()
            let pod = try await Pod(
                .init(
                    name: "audit", image: withPack ? shared.images.mainPack : shared.images.mainArtifact,
                    command: [
                        "/bin/busybox", "sh", "-c", "busybox sha256sum \(shared.images.bulk[0].path); sleep 1000",
                    ]), in: lab, client: node.client)
            let log = { node.daemon?.process.logTail(lines: 200) ?? "" }
            let layers = shared.images.layers.count
            let isSaid = await eventually {
                log().split(separator: "\n").count { $0.contains(said) } == layers
            }
            #expect(isSaid, "\(log())")
            bytes.withLock { $0 = node.relay.record.bytes }
            try await pod.remove()
        }
        return bytes.withLock { $0 }
    }

    @Test("A start that is run to be recorded gives a profile, and leaves no pod")
    func profileRecord() async throws {
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
            // Nothing is run where it is known.
            node.relay.forget()
            #expect(try await record([]).contains("test/artifact"))
            #expect(node.relay.record.requests.isEmpty)
            let tasks = try await node.containerd.ctr(["tasks", "list", "--quiet"], namespace: "k8s.io")
            #expect(tasks.isEmpty, "\(tasks)")
        }
    }

    enum TreeOf: String, CaseIterable { case overlay, tree, artifact, copied, estargzAnew, zstdAnew, peersZstd }

    /// With overlayfs it is the test that is tested.
    @Test("The whole tree is what tar unpacks of the same layers", arguments: TreeOf.allCases)
    func treeEquality(_ tree: TreeOf) async throws {
        let (name, rivulet) = (tree.rawValue, tree != .overlay)
        let image =
            switch tree {
            case .overlay: shared.images.mainPlain
            case .tree: shared.images.main
            case .artifact: shared.images.mainArtifact
            case .copied: shared.images.mainCopied
            case .estargzAnew: try #require(shared.images.reencoded["estargz"])
            case .zstdAnew: try #require(shared.images.reencoded["zstd:chunked"])
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
                // The root is the container's own new directory, and containerd's unpacking knows no time before 1970.
                let excepted: Set = rivulet ? ["/"] : ["/", "/odd/old"]
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

    @Test("ctr-remote understands re-encoded layers", arguments: ["estargz", "zstd:chunked"])
    func peersUnderstand(format: String) async throws {
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

    @Test("Two namespaces, one of them through ctr-remote's own labels, share what was fetched")
    func namespaces() async throws {
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

    // MARK: When things go wrong

    /// The bounds that docs/operations.md promises.
    @Test(
        "Without its registry a read fails in bounded time, and works again when the registry is back",
        arguments: Relay.Outage.allCases)
    func registryGone(outage: Relay.Outage) async throws {
        let file = shared.images.bulk[2]
        let read = ["/bin/busybox", "sh", "-c", "busybox sha256sum \(file.path)"]
        try await shared.withNode("\(outage)") { node in
            let pod = try await sleeper("\(outage)", on: node)
            // The programs are local: only the file is missing.
            let warm = ["/bin/busybox", "sh", "-c", "busybox sha256sum /odd/replaced & wait $!; kill -0 $$"]
            #expect(try await node.client.execute(warm, in: pod.containerID).exitCode == 0)
            node.relay.cut(outage)

            // A reader that is killed is gone long before its read would have ended.
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

    @Test("A program that cannot be read fails to start, and does not wait for ever")
    func programGone() async throws {
        try await shared.withNode("program") { node in
            let pod = try await sleeper("program", on: node)
            node.relay.cut()
            let took = try await timed {
                // Nobody has read the shell's own text so far; runc reports execve(2)'s error, or it dies of SIGBUS.
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

    @Test("After a restart what was fetched is still there, and new containers start", arguments: [false, true])
    func restart(killed: Bool) async throws {
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
            // The making of the pod has had them opened to the registry that its image is from.
            #expect(node.relay.record.connections == 8)
            #expect(node.relay.record.requests.isEmpty)
            let after = try await node.client.execute(read, in: second.containerID)
            #expect(after.output == expected)
            let blobs = node.relay.record.requests.filter { $0.range != nil }
            #expect(blobs.isEmpty, "fetched again: \(blobs.map { "\($0.path) \($0.range ?? "")" })")
            // What had not been fetched still can be.
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
