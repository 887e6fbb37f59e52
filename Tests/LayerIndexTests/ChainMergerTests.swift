import Base
import LayerIndex
import Testing

/// The rules of `ChainMerger`, case by case.
@Suite struct ChainMergerTests {
    @Test("applies whiteouts and opaque directories") func appliesWhiteoutsAndOpaqueDirectories() throws {
        let lower: [LayerEntry] = [.file("d/a"), .file("d/b"), .file("e/a"), .file("f")]
        #expect(
            try Layers.merge([lower, [.file("d/.wh.a"), .file("e/.wh..wh..opq"), .file("e/c"), .file(".wh.f")]])
                == ["40755 4 /", "40755 2 /d", "100644 1 /d/b", "40755 2 /e", "100644 1 /e/c"])
        // Hidden, recreated above, and hidden again.
        #expect(
            try Layers.merge([lower, [.file(".wh.d")], [.file("d/new")]])
                == [
                    "40755 4 /", "40755 2 /d", "100644 1 /d/new", "40755 2 /e", "100644 1 /e/a", "100644 1 /f",
                ])
        #expect(
            try Layers.merge([
                lower, [.file(".wh.d"), .file(".wh.e")], [.file("d/x"), .file(".wh.f")], [.file(".wh.d")],
            ]) == ["40755 2 /"])
        // Overlayfs ignores the mark of a layer's root.
        #expect(try Layers.merge([lower, [.file(".wh..wh..opq")]]) == Layers.merge([lower]))
        // A whiteout without a target, and an opaque directory over nothing.
        #expect(
            try Layers.merge([[.file("d/.wh.x"), .file("o/.wh..wh..opq")]]) == [
                "40755 4 /", "40755 2 /d", "40755 2 /o",
            ])
    }

    @Test("an upper entry of another kind replaces the lower") func upperEntryOfAnotherKindReplacesLower() throws {
        #expect(
            try Layers.merge([[.file("d/below")], [.file("d", mode: 0o600)]]) == ["40755 2 /", "100600 1 /d"])
        #expect(
            try Layers.merge([[.file("d/below")], [.file("d", mode: 0o600)], [.file("d/above")]])
                == ["40755 3 /", "40755 2 /d", "100644 1 /d/above"])
        #expect(try Layers.merge([[.file("x")], [.symlink("x", to: "y")]]) == ["40755 2 /", "120777 1 /x -> y"])
    }

    @Test("directories take the upper attributes") func directoriesTakeUpperAttributes() throws {
        #expect(
            try Layers.merge([
                [
                    .directory("d", mode: 0o700, xattrs: [("user.lower", "1")]), .file("d/a"),
                    .directory("/", mode: 0o711),
                ],
                [.directory("d", mode: 0o2755, xattrs: [("user.upper", "2")]), .file("d/b")],
            ]) == [
                "40755 3 /", "42755 2 /d user.upper=2", "100644 1 /d/a", "100644 1 /d/b",
            ])
    }

    @Test("recounts links") func recountsLinks() throws {
        #expect(
            try Layers.merge([
                [.file("a"), .link("b", to: "a"), .link("d/c", to: "a"), .file("s/x"), .file("s/y/z")],
                [.file(".wh.a"), .file("s/.wh.y")],
                [.link("n", to: "m"), .file("m", mode: 0o600)],
            ]) == [
                "40755 4 /", "100644 2 /b", "40755 2 /d", "100644 2 /d/c = /b", "100600 2 /m", "100600 2 /n = /m",
                "40755 2 /s", "100644 1 /s/x",
            ])
    }

    @Test("files keep their layer") func filesKeepTheirLayer() throws {
        var layers: [(tree: TreeImage, digest: Digest)] = []
        for number in 0..<3 {
            let digest = Digest.of([UInt8(number)])
            let pieces = (0..<UInt32(number + 1)).map { (extent: $0, inner: UInt64(0), length: UInt64(5000)) }
            let index = try Layers.index(
                [
                    .file("skipped", pieces: [(0, 0, 1)]),
                    .file("f\(number)", pieces: Array(pieces.dropFirst()) + [(9, 0, 1)]),
                ],
                extents: 10, digest: digest)
            layers.append((try TreeImage(bytes: index.tree), digest))
        }
        let tree = try TreeImage(bytes: try ChainMerger.merge(layers))
        #expect(tree.deviceTags == layers.map { $0.digest })
        #expect(tree.deviceSizes == layers.map { $0.tree.deviceSizes[0] })
        let files = try Listing(tree).files
        #expect(files[Array("/skipped".utf8)]?.layer == 2)
        for number in 0..<3 {
            let file = try #require(files[Array("/f\(number)".utf8)])
            #expect(file.layer == number)
            #expect(file.content == ByteRange(offset: 4096, end: 4096 + UInt64(number) * 5000 + 1))
        }
    }

    @Test("rejects invalid chains") func rejectsInvalidChains() throws {
        var error = #expect(throws: LayerIndexError.self) { try ChainMerger.merge([]) }
        #expect(error?.code == .invalidEntry)
        let tree = try Layers.tree([.file("a/b/c")])
        error = #expect(throws: LayerIndexError.self) { try ChainMerger.merge([(tree, .of([1]))]) }
        #expect(error?.code == .corrupt)
        for change in [\IndexLimits.entryCount, \.depth, \.layerCount] {
            var limits = IndexLimits.standard
            limits[keyPath: change] = 1
            error = #expect(throws: LayerIndexError.self) {
                try ChainMerger.merge([(tree, Layers.digest), (tree, Layers.digest)], limits: limits)
            }
            #expect(error?.code == .limit)
        }
    }

    /// 128 layers. Each hides a file of the layer below and adds a file to the same directory.
    @Test("merges 128 layers") func merges128Layers() throws {
        var layers: [[LayerEntry]] = []
        for number in 0..<128 {
            layers.append([.file("d/f\(number)"), .file("d/.wh.f\(number - 1)"), .directory("own\(number)/sub")])
        }
        let merged = try Layers.merge(layers)
        #expect(merged.count == 1 + 2 + 2 * 128)
        #expect(merged.contains("100644 1 /d/f127") && !merged.contains("100644 1 /d/f126"))
        #expect(merged.first == "40755 131 /")
    }
}
