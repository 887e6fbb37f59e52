import Base
import ContainerdAPI
import ContentStore
import GRPCCore
import Images
import Linux
import NodeDatabase
import Registry
import Snapshotter
import TestSupport
import Testing

/// Tests of the handshake that tells containerd not to download a layer, and of the fallback to a download.
struct RemoteTests {
    let bottom = Layer("bottom")
    let top = Layer("top")

    /// Only a container or a sandbox announces an image. After unpacking, the image is local already.
    @Test func anImageIsExpectedOfContainersOnly() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await snapshotter.unpack(bottom) == nil)
            _ = try await snapshotter.prepare("k8s.io/8/extract-123-ab sha256:0", bottom.chainID.description)
            #expect(snapshotter.remote.expected == 0)
            _ = try await snapshotter.prepare("k8s.io/9/0123456789abcdef", bottom.chainID.description)
            #expect(snapshotter.remote.expected == 1)
        }
    }

    @Test func aReadyLayerIsThere() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await snapshotter.unpack(bottom) == nil)
            let found = try await snapshotter.probe(bottom)
            #expect(found.count == 1)
            let info = try #require(found.first)
            #expect(info.kind == .committed)
            #expect(info.name == bottom.chainID.description)
            #expect(info.parent.isEmpty)
            #expect(info.labels["containerd.io/snapshot.ref"] == bottom.chainID.description)
            #expect(try await snapshotter.stat(info.name) == info)
            // The extraction key is free, and nothing incomplete is left.
            #expect(await failure { _ = try await snapshotter.stat(bottom.key("k8s.io/7")) }?.code == .notFound)

            #expect(try await snapshotter.unpack(top, on: info.name) == nil)
            let second = try #require(try await snapshotter.probe(top, parent: info.name).first)
            #expect(second.parent == info.name)
            #expect(try await snapshotter.probe(top).isEmpty)

            let requests = snapshotter.remote.requests
            #expect(requests.map(\.layerDigest) == [bottom.blob, top.blob])
            #expect(requests.map(\.parent) == [nil, bottom.chain()])
            #expect(requests.allSatisfy { $0.imageReference == "registry.test/app:1" && $0.manifestDigest != nil })

            let usage = try await snapshotter.usage(second.name)
            #expect(usage.size == 4321)
            #expect(usage.inodes == 12)
            #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
        }
    }

    @Test(
        "a layer whose chain Cleanup deletes before it is recorded is prepared again",
        arguments: [(4, true), (5, false)])
    func preparesAgain(losses: Int, isStreamed: Bool) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.loseNext(losses)
            #expect(try await (snapshotter.unpack(bottom) == nil) == isStreamed)
            #expect(snapshotter.remote.requests.count == 5)
        }
    }

    @Test func aContainerStandsOnOneLowerDirectory() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            let name = top.chainID.description
            let tree = snapshotter.remote.directory + "/" + top.chain(on: bottom).id.hex
            try Sys.makeDirectories(tree, permissions: 0o755)
            try Sys.chmod(tree, 0o751)
            let mount = try #require(try await snapshotter.prepare("container", name).first)
            #expect(mount.type == "overlay")
            #expect(mount.options.filter { $0.hasPrefix("lowerdir=") } == ["lowerdir=" + tree])
            #expect(mount.options.contains { $0.hasPrefix("upperdir=" + snapshotter.root) })
            #expect(mount.options.contains { $0.hasPrefix("workdir=" + snapshotter.root) })
            #expect(try await snapshotter.mounts("container") == [mount])
            let upper = try #require(mount.options.first { $0.hasPrefix("upperdir=") }).dropFirst(9)
            // The root of a container has the mode of the image's root, whatever the umask.
            #expect(try Sys.stat(String(upper)).mode & 0o7777 == 0o751)

            let view = try #require(try await snapshotter.view("view", name).first)
            #expect(view.type == "bind")
            #expect(view.source == tree)
            #expect(view.options == ["ro", "rbind"])

            // An ordinary layer on top of the remote ones: its directory comes first, then their one tree.
            try await snapshotter.layer("local", on: name)
            let mixed = try #require(try await snapshotter.prepare("other", "local").first)
            let lowers = try #require(mixed.options.first { $0.hasPrefix("lowerdir=") }).dropFirst(9).split(
                separator: ":")
            #expect(lowers.count == 2)
            #expect(lowers.last.map(String.init) == tree)
        }
    }

    @Test func aTreeThatCannotBeMountedIsUnavailableAndLeavesNothing() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom])
            snapshotter.remote.breakMounts()
            let error = await failure { _ = try await snapshotter.prepare("container", bottom.chainID.description) }
            #expect(error?.code == .unavailable)
            #expect(try await snapshotter.names() == [bottom.chainID.description])
            #expect(try Sys.list(snapshotter.root + "/snapshots").isEmpty)
        }
    }

    /// Every fault of a layer leads to an ordinary snapshot with a writable mount.
    @Test(arguments: FallbackReason.Code.allCases)
    func declinedLayersAreDownloaded(_ code: FallbackReason.Code) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.decline(code)
            let mounts = try await snapshotter.unpack(bottom)
            #expect(mounts?.last?.options.contains("rw") == true)
            let key = bottom.key("k8s.io/7")
            #expect(try await snapshotter.names() == [key])
            try await snapshotter.commit("k8s.io/8/\(bottom.chainID)", key, bottom.labels)
            // The next layer cannot be remote either. The snapshotter declines it without asking the remote images.
            let next = try await snapshotter.unpack(top, on: "k8s.io/8/\(bottom.chainID)")
            #expect(next?.last?.type == "overlay")
            #expect(next?.last?.options.contains { $0.hasPrefix("upperdir=") } == true)
            #expect(snapshotter.remote.requests.count == 1)
        }
    }

    struct Labels: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var change: @Sendable (inout [String: String]) -> Void
    }

    static let unusable: [Labels] = [
        Labels(testDescription: "no image") { $0["containerd.io/snapshot/cri.image-ref"] = nil },
        Labels(testDescription: "empty image") { $0["containerd.io/snapshot/cri.image-ref"] = "" },
        Labels(testDescription: "huge image") {
            $0["containerd.io/snapshot/cri.image-ref"] = String(repeating: "i", count: 1025)
        },
        Labels(testDescription: "no layer") { $0["containerd.io/snapshot/cri.layer-digest"] = nil },
        Labels(testDescription: "malformed layer") { $0["containerd.io/snapshot/cri.layer-digest"] = "sha256:12" },
        Labels(testDescription: "other algorithm") {
            $0["containerd.io/snapshot/cri.layer-digest"] = "sha512:" + String(repeating: "0", count: 128)
        },
        Labels(testDescription: "upper case") {
            $0["containerd.io/snapshot/cri.layer-digest"]?.replace("sha256", with: "SHA256")
        },
        Labels(testDescription: "malformed manifest") {
            $0["containerd.io/snapshot/cri.manifest-digest"] = "../../etc"
        },
        Labels(testDescription: "no reference") { $0["containerd.io/snapshot.ref"] = nil },
        Labels(testDescription: "malformed reference") { $0["containerd.io/snapshot.ref"] = "sha256:../.." },
        Labels(testDescription: "another chain's reference") {
            $0["containerd.io/snapshot.ref"] = Layer("popular").chainID.description
        },
    ]

    @Test(arguments: unusable)
    func unusableLabelsMakeOrdinarySnapshots(_ labels: Labels) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            var layer = bottom
            labels.change(&layer.labels)
            #expect(try await snapshotter.unpack(layer)?.last?.options.contains("rw") == true)
            #expect(snapshotter.remote.requests.isEmpty)
        }
    }

    /// A pod's annotations reach the labels of its sandbox's snapshot, so they must not be able to record a layer.
    @Test(arguments: ["k8s.io/7/0f3c", "default/1/container", "k8s.io/7/extract-1 sha256:00"])
    func onlyTheUnpackersKeysAreTakenForLayers(_ key: String) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await !snapshotter.prepare(key, "", bottom.labels).isEmpty)
            #expect(snapshotter.remote.requests.isEmpty)
            // The call must not fail either if the layer exists.
            #expect(try await snapshotter.unpack(bottom) == nil)
            #expect(try await !snapshotter.prepare(key + "b", "", bottom.labels).isEmpty)
        }
    }

    @Test func theManifestDigestMayBeMissing() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            var layer = bottom
            layer.labels["containerd.io/snapshot/cri.manifest-digest"] = nil
            #expect(try await snapshotter.unpack(layer) == nil)
            #expect(snapshotter.remote.requests.first?.manifestDigest == nil)
        }
    }

    @Test func twoNamespacesShareASnapshot() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await snapshotter.unpack(bottom, namespace: "k8s.io/7") == nil)
            #expect(snapshotter.remote.requests.first?.namespace == "k8s.io")
            #expect(try await snapshotter.unpack(bottom, namespace: "default/9") == nil)
            #expect(try await snapshotter.probe(bottom).count == 1)
            try await snapshotter.remoteChain([bottom, top])
            #expect(try await snapshotter.unpack(top, on: bottom.chainID.description, namespace: "default/9") == nil)
            #expect(try await snapshotter.names().count == 2)
            // A request that does not name the image and the layer states only a chain ID, and any image can state it.
            var bare = bottom
            bare.labels = ["containerd.io/snapshot.ref": bottom.chainID.description]
            #expect(try await snapshotter.unpack(bare, namespace: "third/1") != nil)
        }
    }

    /// An image can state the chain ID of another one for its own layers.
    @Test func aChainIDStatedForOtherLayersIsAnotherSnapshot() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            #expect(try await snapshotter.unpack(bottom, namespace: "evil/7") == nil)
            var other = bottom
            other.blob = Layer("other").blob
            other.labels["containerd.io/snapshot/cri.layer-digest"] = other.blob.description
            #expect(try await snapshotter.unpack(other, namespace: "k8s.io/9") == nil)
            // containerd finds the snapshot that its last request was answered with.
            let found = try #require(try await snapshotter.probe(bottom).first)
            #expect(try await snapshotter.probe(bottom).count == 1)
            let directory = snapshotter.remote.directory + "/" + other.chain().id.hex
            let mount = try #require(try await snapshotter.prepare("container", found.name).first)
            #expect(mount.options.contains("lowerdir=" + directory))
            #expect(try await snapshotter.names().count == 3)
        }
    }

    @Test("a container is created only on a chain that is admitted") func asksForAdmission() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            _ = try await snapshotter.prepare("k8s.io/9/container", top.chainID.description)
            let request = try #require(snapshotter.remote.admissions.first)
            #expect(request.chain == ChainKey(parent: bottom.chain(), layer: Layer.key(top.blob)))
            #expect(request.chainID == top.chainID && request.topChainIDs == [top.chainID])
            #expect(request.namespace == "k8s.io")
            // A layer that containerd unpacks above the chain is no container.
            _ = try await snapshotter.prepare("k8s.io/9/extract-1-a sha256:0", top.chainID.description)
            #expect(snapshotter.remote.admissions.count == 1)
            for (reason, code) in [
                (FallbackReason.Code.imageMismatch, RPCError.Code.failedPrecondition), (.busy, .unavailable),
            ] {
                snapshotter.remote.reject(reason)
                let error = await failure {
                    _ = try await snapshotter.prepare("k8s.io/9/\(code)", top.chainID.description)
                }
                #expect(error?.code == code)
                #expect(error?.message.contains("\(top.chainID)") == true)
                #expect(await failure { _ = try await snapshotter.stat("k8s.io/9/\(code)") }?.code == .notFound)
            }
        }
    }

    /// Records another stack of two layers for the chain of ``bottom`` and ``top``, and makes it replace the chain's
    /// layers whenever a container is created. Returns the key of the new chain.
    private func rebuild(_ snapshotter: Harness) throws -> ChainKey {
        let layers = ["right bottom", "right top"].map { Layer.key(Layer($0).blob) }
        let below = ChainKey(parent: nil, layer: layers[0])
        let right = ChainKey(parent: below, layer: layers[1])
        let records = ChainRecords(snapshotter.state)
        let repository = Repository(host: "registry.test", name: "app")
        var parent: ChainKey?
        for (key, layer) in zip(layers, [bottom, top]) {
            parent = try records.add(
                RemoteLayer(key: key, repository: repository), parent: parent, claim: layer.chainID)
        }
        #expect(parent == right)
        snapshotter.remote.replace([
            RemoteIdentity(chain: below, layer: layers[0]), RemoteIdentity(chain: right, layer: layers[1]),
        ])
        return right
    }

    @Test("a chain that was rebuilt takes the place of the old one") func replacesRebuiltChain() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            let right = try rebuild(snapshotter)
            let mount = try #require(try await snapshotter.prepare("k8s.io/9/one", top.chainID.description).first)
            #expect(mount.options.contains("lowerdir=\(snapshotter.remote.directory)/\(right.id.hex)"))
            // containerd still finds the snapshots as before.
            #expect(try await snapshotter.probe(bottom).map(\.name) == [bottom.chainID.description])
            _ = try await snapshotter.prepare("k8s.io/9/two", top.chainID.description)
            #expect(snapshotter.remote.admissions.last?.chain == right)
        }
    }

    @Test("a container that runs on a chain keeps it after the chain was rebuilt", arguments: [false, true])
    func keepsChainOfRunningContainer(isView: Bool) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            let old = top.chain(on: bottom)
            let chains = ChainRecords(snapshotter.state)
            let repository = Repository(host: "registry.test", name: "app")
            var parent: ChainKey?
            for layer in [bottom, top] {
                parent = try chains.add(
                    RemoteLayer(key: Layer.key(layer.blob), repository: repository), parent: parent,
                    claim: layer.chainID)
            }
            #expect(parent == old)
            let name = top.chainID.description
            let before =
                isView
                ? try await snapshotter.view("k8s.io/9/running", name)
                : try await snapshotter.prepare("k8s.io/9/running", name)
            let right = try rebuild(snapshotter)
            _ = try await snapshotter.prepare("k8s.io/9/new", name)
            try await snapshotter.cleanup()
            #expect(try await snapshotter.mounts("k8s.io/9/running") == before)
            #expect(
                try await snapshotter.mounts("k8s.io/9/new").first?.options.contains {
                    $0.hasSuffix(right.id.hex)
                } == true)
            #expect(snapshotter.remote.forgotten.isEmpty)
            #expect(try chains.unused().isEmpty)
            #expect(try !chains.remove(old))
            try await snapshotter.remove("k8s.io/9/running")
            #expect(try Set(chains.unused()) == [old, bottom.chain()])
            #expect(try chains.remove(old))
        }
    }

    @Test("a local snapshot above a chain that was rebuilt is refused, with what to do")
    func refusesLocalSnapshotOnWrongChain() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            // containerd copies the image for a container with other owners.
            let name = top.chainID.description
            let copy = "k8s.io/8/\(Digest.of(Array("copy".utf8)))"
            _ = try await snapshotter.prepare(copy + "-remap", name)
            try await snapshotter.commit(copy, copy + "-remap")
            _ = try await snapshotter.prepare("k8s.io/9/first", copy)
            let request = try #require(snapshotter.remote.admissions.last)
            #expect(request.chainID == top.chainID && request.topChainIDs.contains(top.chainID))
            #expect(request.topChainIDs.count == 2, "the copy's name may be a chain ID")
            _ = try rebuild(snapshotter)
            // A pull goes on.
            let extraction = "k8s.io/9/extract-1-a sha256:0"
            _ = try await snapshotter.prepare(extraction, copy)
            try await snapshotter.remove(extraction)
            for key in ["k8s.io/9/second", "k8s.io/9/third"] {
                let error = await failure { _ = try await snapshotter.prepare(key, copy) }
                #expect(error?.code == .failedPrecondition)
                #expect(error?.message.contains("remove the containers on it") == true, "\(error as Any)")
                #expect(await failure { _ = try await snapshotter.stat(key) }?.code == .notFound)
            }
            // The image itself is right from now on, and so is a new copy.
            _ = try await snapshotter.prepare("k8s.io/9/plain", name)
            _ = try await snapshotter.prepare("k8s.io/9/new-remap", name)
            try await snapshotter.commit("k8s.io/9/new", "k8s.io/9/new-remap")
            _ = try await snapshotter.prepare("k8s.io/9/fourth", "k8s.io/9/new")
        }
    }

    @Test("the label of an unpacked layer names the image, its name is not needed")
    func namesImageOfLocalLayers() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom])
            try await snapshotter.layer("k8s.io/5/local", on: bottom.chainID.description, top.labels)
            try await snapshotter.layer("k8s.io/6/copy", on: "k8s.io/5/local")
            _ = try await snapshotter.prepare("k8s.io/9/container", "k8s.io/6/copy")
            #expect(snapshotter.remote.admissions.last?.topChainIDs == [top.chainID])
            #expect(snapshotter.remote.admissions.last?.chainID == bottom.chainID)
        }
    }

    @Test func namespacesShareDownloadedLayers() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.decline(.notStreamable)
            _ = try await snapshotter.unpack(bottom)
            try await snapshotter.commit("k8s.io/8/base", bottom.key("k8s.io/7"), bottom.labels)
            #expect(try await snapshotter.unpack(bottom, namespace: "default/9") == nil)
            #expect(try await snapshotter.probe(bottom).map(\.name) == ["k8s.io/8/base"])
        }
    }

    @Test func oneChainOnTwoParentsIsTwoSnapshots() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom])
            let other = Layer("other")
            try await snapshotter.remoteChain([other])
            #expect(try await snapshotter.unpack(top, on: bottom.chainID.description) == nil)
            #expect(try await snapshotter.unpack(top, on: other.chainID.description) == nil)
            let first = try await snapshotter.probe(top, parent: bottom.chainID.description).map(\.name)
            let second = try await snapshotter.probe(top, parent: other.chainID.description).map(\.name)
            #expect(first == [top.chainID.description])
            #expect(second == [top.chainID.description + "-2"])
        }
    }

    @Test(arguments: [false, true])
    func aParentThatIsNotThereStopsThePull(_ isActive: Bool) async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            if isActive { _ = try await snapshotter.prepare("parent") }
            let error = await failure { _ = try await snapshotter.unpack(top, on: "parent") }
            #expect(error?.code == (isActive ? .invalidArgument : .notFound))
        }
    }

    // MARK: - Time

    @Test func manyPreparesOfOneLayerAreOnePieceOfWork() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.hold()
            let remote = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<20 {
                    group.addTask { try await snapshotter.unpack(bottom, namespace: "n\(number)/1") == nil }
                }
                await snapshotter.clock.untilSleeping(for: .seconds(30), count: 20)
                snapshotter.remote.release()
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(remote == 20)
            #expect(snapshotter.remote.requests.count == 1)
            #expect(try snapshotter.records.count() == 1)
        }
    }

    @Test func whatTakesTooLongIsDownloadedAndReadyTheNextTime() async throws {
        let log = RecordedMessages()
        try await withSnapshotter(logger: log.logger) { (snapshotter: Harness) async throws in
            snapshotter.remote.hold()
            async let first = snapshotter.unpack(bottom)
            await snapshotter.remote.untilAsked(1)
            // Three timers run: one for the request, one for the wait, and one that abandons the work.
            await snapshotter.clock.untilSleeping(for: .seconds(30))
            snapshotter.clock.advance(by: .seconds(30))
            #expect(try await first?.last?.options.contains("rw") == true)
            #expect(log.all.contains { $0.contains("reason=timeout") })
            // Another request for the same layer joins the work that is still running.
            async let second = snapshotter.unpack(bottom, namespace: "default/9")
            await snapshotter.clock.untilSleeping(for: .seconds(30))
            snapshotter.remote.release()
            #expect(try await second == nil)
            #expect(snapshotter.remote.requests.count == 1)
        }
    }

    @Test func whatHangsForEverIsGivenUp() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.hold()
            async let first = snapshotter.unpack(bottom)
            await snapshotter.clock.untilSleeping(for: .seconds(120))
            await snapshotter.clock.untilSleeping(for: .seconds(30))
            // First the request stops waiting, then the work is abandoned.
            snapshotter.clock.advance(by: .seconds(30))
            #expect(try await first != nil)
            snapshotter.clock.advance(by: .seconds(90))
            // A new attempt starts from nothing.
            async let second = snapshotter.unpack(bottom, namespace: "default/9")
            await snapshotter.remote.untilAsked(2)
            snapshotter.remote.release()
            #expect(try await second == nil)
            #expect(snapshotter.remote.cancelled == 1)
        }
    }

    @Test func aClientThatGoesAwayDoesNotStopTheWork() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            snapshotter.remote.hold()
            let first = Task { try await snapshotter.unpack(bottom) }
            await snapshotter.remote.untilAsked(1)
            first.cancel()
            #expect(await failure { _ = try await first.value } != nil)
            #expect(await eventually { snapshotter.clock.sleeperCount(for: .seconds(30)) == 0 })
            let hasTimer = await eventually { snapshotter.clock.sleeperCount(for: .seconds(120)) == 1 }
            #expect(hasTimer, "the work still has a timer")
            async let second = snapshotter.unpack(bottom, namespace: "default/9")
            await snapshotter.clock.untilSleeping(for: .seconds(30))
            snapshotter.remote.release()
            #expect(try await second == nil)
            #expect(snapshotter.remote.requests.count == 1)
            #expect(snapshotter.remote.cancelled == 0)
            // Nothing was created for the client that disconnected.
            #expect(try await snapshotter.names() == [bottom.chainID.description])
        }
    }

    @Test func tooManyLayersAtOnceAreDownloaded() async throws {
        var limits = SnapshotService.Limits()
        limits.layersInPreparation = 2
        let log = RecordedMessages()
        try await withSnapshotter(limits: limits, logger: log.logger) { (snapshotter: Harness) async throws in
            snapshotter.remote.hold()
            async let first = snapshotter.unpack(bottom)
            async let second = snapshotter.unpack(top)
            await snapshotter.remote.untilAsked(2)
            #expect(try await snapshotter.unpack(Layer("third")) != nil)
            #expect(log.all.contains { $0.contains("reason=busy") })
            snapshotter.remote.release()
            #expect(try await first == nil)
            #expect(try await second == nil)
        }
    }

    // MARK: - Loss

    @Test func aLostSnapshotIsRevived() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom])
            snapshotter.remote.lose(bottom.chain())
            #expect(try await snapshotter.unpack(bottom, namespace: "default/9") == nil)
            #expect(snapshotter.remote.requests.count == 2)
            #expect(try await snapshotter.probe(bottom).count == 1)
        }
    }

    @Test func aLostSnapshotThatCannotBeRevivedMakesWay() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom])
            snapshotter.remote.lose(bottom.chain())
            snapshotter.remote.decline(.registry)
            #expect(try await snapshotter.unpack(bottom, namespace: "default/9") != nil)
            #expect(try await snapshotter.probe(bottom).map(\.kind) == [.active])
            try await snapshotter.cleanup()
            #expect(snapshotter.remote.forgotten == [bottom.chain()])
        }
    }

    @Test func aLostSnapshotWithChildrenStays() async throws {
        try await withSnapshotter { (snapshotter: Harness) async throws in
            try await snapshotter.remoteChain([bottom, top])
            snapshotter.remote.lose(bottom.chain())
            snapshotter.remote.decline(.registry)
            #expect(try await snapshotter.unpack(bottom, namespace: "default/9") != nil)
            #expect(Set(try await snapshotter.probe(bottom).map(\.kind)) == [.active, .committed])
            #expect(try await snapshotter.stat(top.chainID.description).parent == bottom.chainID.description)
        }
    }
}

extension Harness {
    /// Records `layers` as remote, each on top of the one before.
    func remoteChain(_ layers: [Layer]) async throws {
        var parent = ""
        for layer in layers {
            guard try await unpack(layer, on: parent) == nil else {
                Issue.record("layer \(layer.chainID) is not remote")
                return
            }
            parent = layer.chainID.description
        }
    }
}
