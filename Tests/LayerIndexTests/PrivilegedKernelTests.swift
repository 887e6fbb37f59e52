import Base
import LayerIndex
import Linux
import TestSupport
import Testing

/// The kernel's own EROFS reads our images. Needs root, and a kernel with file-backed EROFS mounts (6.12).
@Suite(.serialized) struct PrivilegedKernelTests {
    @Test(
        "the kernel reads a random layer",
        arguments: (0..<12).map { UInt64($0) } + [UInt64.random(in: 1000...UInt64.max)])
    func kernelReadsRandomLayer(seed: UInt64) throws {
        let comment: Comment = "seed \(seed)"
        var random = RandomLayer(seed: seed &+ 100)
        guard let layer = try random.layer(300, salt: 1) else { return }
        let tree = try TreeImage(bytes: layer.index.tree)
        let listing = try Listing(tree)
        try Tools.withMounted(layer.index.tree, devices: tree.deviceSizes) { point, devices in
            layer.reference.listing().expectSame(as: try Listing(directory: point), comment)
            try Self.expectBytes(listing, point, devices, seed: seed)
        }
    }

    @Test(
        "the kernel reads a random chain",
        arguments: (0..<8).map { UInt64($0) } + [UInt64.random(in: 1000...UInt64.max)])
    func kernelReadsRandomChain(seed: UInt64) throws {
        var random = RandomLayer(seed: seed &+ 200)
        var layers: [BuiltLayer] = []
        for number in 0..<4 {
            if let layer = try random.layer(80, salt: UInt8(number)) { layers.append(layer) }
        }
        guard !layers.isEmpty else { return }
        let image = try ChainMerger.merge(
            try layers.map { (tree: try TreeImage(bytes: $0.index.tree), digest: $0.digest) })
        let tree = try TreeImage(bytes: image)
        let expected = ReferenceTree.merge(layers.map { $0.reference }).listing()
        try Tools.withMounted(image, devices: tree.deviceSizes) { point, devices in
            expected.expectSame(as: try Listing(directory: point), "seed \(seed)")
            try Self.expectBytes(try Listing(tree), point, devices, seed: seed)
        }
    }

    /// The image, followed by its layers' content, in one file without devices: "flat" addressing, Linux 6.4.
    @Test("the kernel reads a flat file") func kernelReadsFlatFile() throws {
        var random = RandomLayer(seed: 11)
        var layers: [BuiltLayer] = []
        for number in UInt8(0)..<6 {
            if let layer = try random.layer(80, salt: number) { layers.append(layer) }
        }
        try #require(layers.count > 1)
        let image = try ChainMerger.merge(
            try layers.map { (tree: try TreeImage(bytes: $0.index.tree), digest: $0.digest) })
        let tree = try TreeImage(bytes: image)
        var contents: [[UInt8]] = []
        for (number, size) in tree.deviceSizes.enumerated() {
            contents.append(Samples.noise(bytes: Int(size), seed: UInt64(number)))
        }
        try Tools.withMounted(image + contents.flatMap { $0 }, devices: []) { point, _ in
            try Self.expectBytes(try Listing(tree), point, contents, "flat")
        }
    }

    /// A file of 8 TiB, the largest with one chunk index, is readable to its last byte.
    @Test("the kernel reads a file of 8 TiB") func kernelReadsFileOf8TiB() throws {
        let size: UInt64 = 8 << 40
        let index = try ContentLayoutTests.huge("huge", size: size)
        try Tools.withMounted(index.tree, devices: [size]) { point, devices in
            let device = try Sys.open(devices[0], .writeOnly)
            let mark = Array("the end".utf8)
            try mark.withUnsafeBytes { try Sys.pwriteAll(device.raw, $0, at: size - 7) }
            #expect(try Sys.lstat("\(point)/huge").size == size)
            let file = try Sys.open("\(point)/huge", .readOnly)
            var bytes = [UInt8](repeating: 0, count: 20)
            let count = try bytes.withUnsafeMutableBytes { try Sys.preadAll(file.raw, into: $0, at: size - 10) }
            #expect(count == 10 && Array(bytes[3..<10]) == mark)
        }
    }

    /// Fills the devices with noise and reads every file through the mount.
    static func expectBytes(_ listing: Listing, _ point: String, _ devices: [String], seed: UInt64) throws {
        var contents: [[UInt8]] = []
        for (number, path) in devices.enumerated() {
            let size = Int(try Sys.lstat(path).size)
            contents.append(Samples.noise(bytes: size, seed: seed &+ UInt64(number)))
            let file = try Sys.open(path, .writeOnly)
            try contents[number].withUnsafeBytes { try Sys.pwriteAll(file.raw, $0, at: 0) }
        }
        try expectBytes(listing, point, contents, "seed \(seed)")
    }

    /// Reads every file through the mount and compares it with `contents`, the layers' content spaces.
    static func expectBytes(
        _ listing: Listing, _ point: String, _ contents: [[UInt8]], _ comment: Comment
    ) throws {
        for (path, file) in listing.files where file.content.count > 0 {
            let bytes = try Sys.readFile(Array(point.utf8) + path, limit: 1 << 20)
            let range = Int(file.content.offset)..<Int(file.content.end)
            #expect(bytes == Array(contents[file.layer][range]), "\(String(decoding: path, as: UTF8.self)): \(comment)")
        }
    }
}
