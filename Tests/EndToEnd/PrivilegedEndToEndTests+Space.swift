import Base
import ContainerRuntime
import Lab
import Linux
import TestSupport
import Testing

/// Many images on a node whose cache is too small for them.
extension PrivilegedEndToEndTests {
    private static let imageCount = 50
    private static let fileCount = 3
    private static let fileSize = 1 << 20
    /// The limit of the files that the daemon keeps open for layers. Fifty layers have some hundred and fifty.
    private static let openFiles = 20

    private struct Image {
        let reference: String
        /// The digests of the image's files, in the form of sha256sum's lines.
        let lines: [String]
    }

    /// Writes images of `busybox` and random files into the registry, and returns them with the size of all layers.
    private static func makeImages(busybox: [UInt8], in storage: String) throws -> (images: [Image], size: Int) {
        let store = ImageStore(storage: storage)
        var size = 0
        let images = try (0..<imageCount).map { number in
            let files = (0..<fileCount).map {
                (path: "data/\($0)", bytes: Samples.noise(bytes: fileSize, seed: UInt64(number * fileCount + $0)))
            }
            var options = EstargzOptions()
            (options.chunkSize, options.level) = (256 << 10, 1)
            let blob = EstargzBlob.make(
                [.directory("bin"), .file("bin/busybox", busybox, mode: 0o755), .directory("data")]
                    + files.map { .file($0.path, $0.bytes) }, options)
            try store.write(
                [
                    ImageStore.Layer(
                        blob: blob.bytes, diffID: Digest.of(blob.tar),
                        mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", annotations: blob.annotations)
                ], to: "space/\(number)", tag: "t")
            size += busybox.count + fileCount * fileSize
            return Image(
                reference: "\(HostsDirectory.registry)/space/\(number):t",
                lines: files.map { "\(Digest.of($0.bytes).hex)  /\($0.path)" })
        }
        return (images, size)
    }

    @Test("fifty images run on a quota of a tenth of their size and few open files, and never exceed either")
    func keepsQuota() async throws {
        let busybox = "\(shared.lab.directory)/busybox"
        try await Command.run(
            ["bash", "-c", "tar -xOf \(shared.images.layers[0]) --wildcards '*bin/busybox' > \(busybox)"],
            in: shared.lab)
        let (images, size) = try await blocking {
            try Self.makeImages(
                busybox: try Sys.readFile(busybox, limit: 16 << 20), in: "\(shared.lab.directory)/registry")
        }
        let quota = size / 10 / 1_000_000
        let options = "[cache]\nquota = \(quota)\n[limits]\nopen_files = \(Self.openFiles)\n"
        try await shared.withNode("space", snapshotter: .rivulet(options: options)) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            let sampler = Task {
                var highest: UInt64 = 0
                while !Task.isCancelled {
                    highest = max(highest, try await Self.diskUsage(of: daemon, in: shared.lab))
                    try? await Task.sleep(for: .seconds(1))
                }
                return highest
            }
            var pods: [Pod] = []
            for (number, image) in images.enumerated() {
                pods.append(
                    try await Pod(
                        .init(
                            name: "space-\(number)", image: image.reference,
                            command: ["/bin/busybox", "sh", "-c", "busybox sha256sum /data/*; exec busybox sleep 1000"]),
                        in: shared.lab, client: node.client))
            }
            for (pod, image) in zip(pods, images) {
                _ = try await pod.waitForLine(try #require(image.lines.last), seconds: 60)
                #expect(pod.output() == image.lines)
            }
            // Nearly everything was evicted meanwhile, and is fetched again.
            for round in 0..<2 {
                try await blocking { try PageCache.drop() }
                for (pod, image) in zip(pods, images) {
                    let read = try await node.client.execute(
                        ["/bin/busybox", "sh", "-c", "busybox sha256sum /data/*"], in: pod.containerID)
                    #expect(read.output == image.lines.map { $0 + "\n" }.joined(), "round \(round): \(read)")
                }
            }
            sampler.cancel()
            let highest = try await sampler.value
            #expect(highest <= UInt64(quota) * 1_000_000)
            let metrics = try await daemon.metrics()
            #expect(metrics["rivulet_evicted_bytes_total", default: 0] > Double(size))
            let areFilesClosed = await eventually(within: .seconds(10)) {
                (try? await daemon.metrics()["rivulet_open_layer_files"]).map { $0 <= Double(Self.openFiles) } == true
            }
            #expect(areFilesClosed)
            print("quota \(quota) MB, highest use \(highest), metrics:")
            for (name, value) in metrics where name.contains("evicted") || name.contains("unstored") {
                print("  \(name) \(Int(value))")
            }
            for pod in pods { try await pod.remove() }
        }
    }

    @Test("kubelet sees the data directory as the file system of images, and the sizes of the images")
    func reportsImageFileSystem() async throws {
        try await shared.withNode("fs", snapshotter: .rivulet(options: "")) { node in
            let daemon = try #require(node.daemon as? RivuletDaemon)
            // containerd made its root after the daemon's start.
            try await daemon.restart(killing: false)
            try await node.waitForSnapshotter()
            let pod = try await Pod(
                .init(
                    name: "fs", image: shared.images.main,
                    command: ["/bin/busybox", "sh", "-c", "echo ready; exec busybox sleep 1000"]),
                in: shared.lab, client: node.client)
            _ = try await pod.waitForLine("ready", seconds: 60)
            // containerd collects the sizes every ten seconds.
            let isReported = await eventually(within: .seconds(30)) {
                let usage = try? await node.client.imageFileSystem()
                return (usage?.usedBytes ?? 0) > UInt64(TestImages.bulkFileSize)
            }
            #expect(isReported)
            let path = try #require(try await node.client.imageFileSystem()).path
            let (reported, own) = (try Sys.stat(path), try Sys.stat(daemon.root))
            #expect((reported.device, reported.inode) == (own.device, own.inode), "\(path)")
            try await pod.remove()
        }
    }

    /// Returns the bytes that the daemon's layers and merged trees occupy.
    private static func diskUsage(of daemon: RivuletDaemon, in lab: Lab) async throws -> UInt64 {
        // Files may disappear meanwhile, which du reports.
        let output = try await Command.run(
            ["bash", "-c", "du -sc --block-size=1 \(daemon.root)/layers \(daemon.root)/chains 2>/dev/null | tail -1"],
            in: lab)
        return try #require(UInt64(output.split { $0 == "\t" || $0 == " " }.first ?? ""))
    }
}
