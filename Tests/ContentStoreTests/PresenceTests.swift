import Base
import ContentStore
import LayerIndex
import Linux
import TestSupport
import Testing

@Suite struct PresenceTests {
    @Test func publishAndRead() throws {
        let sample = try SampleLayer(seed: 1)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                #expect(try store.layer(sample.key) == nil)
                let layer = try store.install(sample.key, index: sample.index)
                let count = layer.chunks.chunkCount
                #expect(count > 10)
                #expect(layer.presentCount == 0 && !layer.isComplete && layer.missing(in: 0..<count) == 0)

                try layer.publish([3, 5, 3], of: sample)
                #expect(layer.presentSet == [3, 5])
                #expect(layer.missing(in: 3..<4) == nil)
                #expect(layer.missing(in: 3..<6) == 4)
                #expect(layer.present(in: 0..<count) == 3)
                try layer.expectTrue(sample)

                try layer.publish(0..<count, of: sample)
                #expect(layer.isComplete && layer.missing(in: 0..<count) == nil)
                try layer.expectTrue(sample)
                layer.drop(4)
                layer.drop(4)
                #expect(layer.missing(in: 0..<count) == 4 && layer.presentCount == count - 1)
                try layer.publish([4], of: sample)
                try layer.expectTrue(sample)
            }
        }
    }

    @Test func badArgumentsAreErrors() throws {
        let sample = try SampleLayer(seed: 2)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let count = layer.chunks.chunkCount
                for chunk in [-1, count, .max, .min] {
                    #expect(!layer.isPresent(chunk))
                    layer.drop(chunk)
                    #expect(code { try [1].withUnsafeBytes { try layer.publish(chunk, $0) } } == .outOfRange)
                }
                let bytes = sample.bytes(0)
                for wrong in [Array(bytes.dropLast()), bytes + [0], []] {
                    #expect(code { try wrong.withUnsafeBytes { try layer.publish(0, $0) } } == .outOfRange)
                }
                #expect(!layer.isPresent(0))
                #expect(layer.missing(in: -5..<0) == nil && layer.missing(in: count..<count + 9) == nil)
                #expect(layer.missing(in: -5..<count + 900) == 0)
                // A read past the end of the content space returns only the bytes before the end.
                var buffer = [UInt8](repeating: 1, count: 10_000)
                let size = layer.chunks.contentSize
                for (offset, expected) in [(size, 0), (.max, 0), (size - 100, 100)] {
                    #expect(try buffer.withUnsafeMutableBytes { try layer.read(at: offset, into: $0) } == expected)
                }
            }
        }
    }

    /// Checks that chunks of zeros, which the index names, are present from the start and need no space.
    @Test func zerosAreHoles() throws {
        let sample = try SampleLayer(seed: 3, files: 20, zeros: true)
        let zeros = Set((0..<sample.table.chunkCount).filter { sample.table.chunk($0).isZeros })
        try withTemporaryDirectory { root in
            for boot in boots {
                try withStore(root, boot: boot) { store in
                    let layer = try store.install(sample.key, index: sample.index)
                    #expect(!zeros.isEmpty && layer.presentSet == zeros)
                    #expect(try layer.allocatedBytes() == 0)
                    try layer.expectTrue(sample)
                }
            }
        }
    }

    @Test func emptyLayer() throws {
        let sample = try SampleLayer(seed: 4, files: 0)
        try withTemporaryDirectory { root in
            for boot in boots {
                try withStore(root, boot: boot) { store in
                    let layer = try store.install(sample.key, index: sample.index)
                    #expect(layer.isComplete && layer.chunks.chunkCount == 0)
                    try layer.makeDurable()
                }
            }
        }
    }

    @Test(arguments: [UInt64(10), 11, 12]) func searchesMatchAModel(seed: UInt64) throws {
        print("seed \(seed)")
        let sample = try SampleLayer(seed: seed, files: 120, chunkLimit: 50)
        var random = SeededRandom(seed: seed)
        try withTemporaryDirectory { root in
            try withStore(root) { store in
                let layer = try store.install(sample.key, index: sample.index)
                let count = layer.chunks.chunkCount
                var model = Set<Int>()
                for _ in 0..<400 {
                    let chunk = Int.random(in: 0..<count, using: &random)
                    if Int.random(in: 0..<4, using: &random) == 0 {
                        layer.drop(chunk)
                        model.remove(chunk)
                    } else {
                        try layer.publish(chunk..<min(count, chunk + 7), of: sample)
                        model.formUnion(chunk..<min(count, chunk + 7))
                    }
                    let ends = [0, 0].map { _ in Int.random(in: 0...count, using: &random) }.sorted()
                    let range = ends[0]..<ends[1]
                    #expect(layer.missing(in: range) == range.first { !model.contains($0) })
                    #expect(layer.present(in: range) == range.first { model.contains($0) })
                }
                #expect(layer.presentSet == model)
                try layer.expectTrue(sample)
            }
        }
    }
}
