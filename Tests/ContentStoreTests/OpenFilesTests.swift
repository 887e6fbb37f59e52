import ContentStore
import Glibc
import LayerIndex
import LazyFixtures
import Linux
import SystemPackage
import TestSupport
import Testing

/// Tests of the files that a store keeps open for its layers.
@Suite struct OpenFilesTests {
    @Test("files of idle layers are closed, and opened again when they are read")
    func closesFiles() throws {
        let samples = try (0..<6).map { try SampleLayer(seed: 500 + $0) }
        try withTemporaryDirectory { root in
            try withStore(root, openFiles: 4) { store in
                let layers = try samples.map { try store.install($0.key, index: $0.index) }
                #expect(try openFiles(root) <= 4)
                for (layer, sample) in zip(layers, samples) {
                    try layer.publish(0..<layer.chunks.chunkCount, of: sample)
                }
                try store.makeAllDurable()
                #expect(try openFiles(root) > 4)
                store.closeFiles(waitsForDisk: false)
                #expect(try openFiles(root) <= 4)
                for (layer, sample) in zip(layers, samples) { try layer.expectTrue(sample) }
            }
        }
    }

    @Test("files with bytes that the disk lacks are closed after the disk has the bytes")
    func waitsForDisk() throws {
        let sample = try SampleLayer(seed: 510)
        try withTemporaryDirectory { root in
            try withStore(root, openFiles: 0) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([0, 1], of: sample)
                store.closeFiles(waitsForDisk: false)
                #expect(try openFiles(root) > 0)
                store.closeFiles(waitsForDisk: true)
                #expect(try openFiles(root) == 0)
                try layer.expectTrue(sample)
                try layer.publish([2], of: sample)
                try layer.makeDurable()
                store.closeFiles(waitsForDisk: false)
                #expect(try openFiles(root) == 0)
            }
            // The slots were written through files that were opened again.
            try withStore(root, boot: boots[1]) { store in
                let layer = try #require(try store.layer(sample.key))
                #expect(layer.presentSet.isSuperset(of: [0, 1, 2]))
                try layer.expectTrue(sample)
            }
        }
    }

    @Test("a content file that was replaced while it was closed is not read")
    func refusesAnotherFile() throws {
        try Self.withClosedLayer(seed: 520) { layer, _ in
            let bytes = try Sys.readFile(layer.contentPath, limit: 1 << 30)
            try Sys.writeFile(layer.contentPath + ".new", bytes, permissions: 0o600)
            try Sys.rename(layer.contentPath + ".new", to: layer.contentPath, replacing: true)
            #expect(code { _ = try layer.bytes(ofChunk: 0) } == .damaged)
        }
    }

    @Test("a read waits for a free descriptor while the process has too many open files")
    func waitsForDescriptor() async throws {
        await #expect(processExitsWith: .success) {
            try Self.withClosedLayer(seed: 530) { layer, sample in
                var limit = rlimit(rlim_cur: 64, rlim_max: 64)
                setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
                var taken: [Int32] = []
                while case let next = open("/dev/null", O_RDONLY), next >= 0 { taken.append(next) }
                let first = try #require(taken.first)
                let closer = try NamedThread(name: "closer") {
                    usleep(100_000)
                    close(first)
                }
                let bytes = try layer.bytes(ofChunk: 0)
                closer.join()
                for descriptor in taken.dropFirst() { close(descriptor) }
                try #require(bytes == sample.bytes(0))
            }
        }
    }

    /// Runs `body` with a layer whose chunk 0 is present and whose files are closed.
    private static func withClosedLayer(seed: UInt64, _ body: (StoredLayer, SampleLayer) throws -> Void) throws {
        let sample = try SampleLayer(seed: seed)
        try withTemporaryDirectory { root in
            try withStore(root, openFiles: 0) { store in
                let layer = try store.install(sample.key, index: sample.index)
                try layer.publish([0], of: sample)
                store.closeFiles(waitsForDisk: true)
                try body(layer, sample)
            }
        }
    }

    /// Returns the number of files below `root` that this process has open for layers.
    private func openFiles(_ root: String) throws -> Int {
        try Sys.list("/proc/self/fd").count { descriptor in
            let target = (try? Sys.readLink("/proc/self/fd/\(descriptor.text)")) ?? []
            return String(decoding: target, as: UTF8.self).hasPrefix(root + "/layers/")
        }
    }
}
