import Base
import LayerIndex
import Testing

/// The rules of `LayerIndexBuilder.add`, one by one.
@Suite struct BuilderRulesTests {
    @Test(
        "cleans every spelling of a path",
        arguments: ["a/b", "./a/b", "/a/b", "../a/b", "../../a//b/", "x/../a/./b", "a/c/../b", "////a/b///"])
    func cleansEverySpellingOfPath(path: String) throws {
        let expected = ["40755 3 /", "40755 2 /a implied", "100600 1 /a/b"]
        #expect(try Layers.describe([.file(path, mode: 0o600)]) == expected)
    }

    @Test("an empty layer has a root") func emptyLayerHasRoot() throws {
        let index = try Layers.index([])
        let tree = try TreeImage(bytes: index.tree)
        #expect(try Layers.describe(tree) == ["40755 2 /"])
        #expect(tree.deviceTags == [Layers.digest])
        #expect(tree.deviceSizes == [0])
        #expect(tree.inodeCount == 1)
        #expect(!tree.hasExtendedAttributes)
        let table = try ChunkTable(bytes: index.chunks)
        #expect(table.chunkCount == 0 && table.extentCount == 0 && table.contentSize == 0)
    }

    @Test("ignores an entry for the root, as containerd does", arguments: ["", "/", "./", ".", "..", "a/.."])
    func ignoresEntryForRoot(path: String) throws {
        #expect(try Layers.describe([.directory(path, mode: 0o1777), .file(path)]) == ["40755 2 /"])
    }

    @Test("follows symbolic links of the layer inside the root") func followsSymbolicLinks() throws {
        let entries: [LayerEntry] = [
            .symlink("lib", to: "usr/lib"), .file("lib/a"), .symlink("abs", to: "/usr/./lib/../lib"), .file("abs/b"),
            .symlink("usr/lib/up", to: "../../../../etc"), .file("abs/up/c"), .link("d", to: "abs/up/c"),
            .file("abs/.wh.gone"),
        ]
        #expect(
            try Layers.describe(entries) == [
                "40755 4 /", "120777 1 /abs -> /usr/./lib/../lib", "100644 2 /d", "40755 2 /etc implied",
                "100644 2 /etc/c = /d", "120777 1 /lib -> usr/lib", "40755 3 /usr implied",
                "40755 2 /usr/lib implied", "100644 1 /usr/lib/a", "100644 1 /usr/lib/b", "20000 1 /usr/lib/gone",
                "120777 1 /usr/lib/up -> ../../../../etc",
            ])
        // A later entry replaces the link.
        #expect(
            try Layers.describe([.symlink("l", to: "x"), .file("l/a"), .directory("l"), .file("l/b")]) == [
                "40755 4 /", "40755 2 /l", "100644 1 /l/b", "40755 2 /x implied",
                "100644 1 /x/a",
            ])
        let error = #expect(throws: LayerIndexError.self) {
            try Layers.index([.symlink("a", to: "b"), .symlink("b", to: "a"), .file("a/f")])
        }
        #expect(error?.code == .invalidPath)
    }

    @Test("bounds the work for entries below long chains of links") func boundsFollowedLinks() throws {
        // The length of a target counts, whatever is in it.
        let fluff = String(repeating: "/", count: 4000)
        let links = (0..<200).map { LayerEntry.symlink("l\($0)", to: "\(fluff)l\($0 + 1)") } + [.directory("l200")]
        _ = try Layers.index(links + [.file("l0/f")])
        let error = #expect(throws: LayerIndexError.self) {
            try Layers.index(links + (0..<600).map { .file("l0/f\($0)") })
        }
        #expect(error?.code == .limit)
    }

    @Test("keeps the attributes of lower layers for a directory that a layer only implies")
    func keepsAttributesOfLowerLayers() throws {
        let base: [LayerEntry] = [
            .directory("tmp", mode: 0o1777, xattrs: [("user.a", "1")]), .directory("srv", mode: 0o700),
        ]
        let above: [LayerEntry] = [.file("tmp/f"), .file("srv/.wh..wh..opq"), .file("new/f")]
        let expected = [
            "40755 5 /", "40755 2 /new", "100644 1 /new/f", "40700 2 /srv", "41777 2 /tmp user.a=1", "100644 1 /tmp/f",
        ]
        #expect(try Layers.merge([base, above]) == expected)
        #expect(try Layers.merge([base, [.file("srv/x")], above]) == expected)
        // A layer's own entry, in any order, gives the attributes.
        #expect(
            try Layers.merge([base, [.file("srv/x"), .directory("srv", mode: 0o711)]]).contains("40711 2 /srv"))
        // Something else in between does not, but an opaque parent does, and so does a link in the place of the parent.
        #expect(try Layers.merge([base, [.file(".wh.srv")], [.file("srv/x")]]).contains("40755 2 /srv"))
        let deep: [LayerEntry] = [.directory("a"), .directory("a/b", mode: 0o700)]
        #expect(try Layers.merge([deep, [.file("a/.wh..wh..opq")], [.file("a/b/c")]]).contains("40700 2 /a/b"))
        let linked: [LayerEntry] = [.directory("usr/lib", mode: 0o711), .symlink("lib", to: "usr/lib")]
        #expect(try Layers.merge([linked, [.file("lib/x")]]).contains("40711 2 /lib"))
        // A directory that gets an entry later keeps the extended attributes from below.
        #expect(
            try Layers.merge([base, [.file("tmp/f"), .directory("tmp", mode: 0o700)]]).contains(
                "40700 2 /tmp user.a=1"))
    }

    @Test("creates missing parents and fills them later") func createsMissingParentsAndFillsThemLater() throws {
        let entries: [LayerEntry] = [.file("a/b/c"), .directory("a/b", mode: 0o700), .directory("a", mode: 0o2750)]
        #expect(
            try Layers.describe(entries) == [
                "40755 3 /", "42750 3 /a inherits", "40700 2 /a/b inherits", "100644 1 /a/b/c",
            ])
    }

    @Test("the later of two entries wins") func laterOfTwoEntriesWins() throws {
        #expect(
            try Layers.describe([.file("a", mode: 0o600), .symlink("a", to: "b")]) == ["40755 2 /", "120777 1 /a -> b"])
        // A directory that a file replaces is dropped with its contents, and does not return with a later directory.
        // Like containerd's, that one merges with the lower layers'.
        let replaced: [LayerEntry] = [.file("d/below"), .file("d"), .directory("d")]
        #expect(
            try Layers.describe(replaced) == ["40755 3 /", "40755 2 /d"])
        let merged: [LayerEntry] = [
            .directory("d", mode: 0o700, xattrs: [("user.a", "1"), ("user.b", "1")]), .file("d/f"),
            .directory("d", mode: 0o711, xattrs: [("user.b", "2")]),
        ]
        #expect(try Layers.describe(merged) == ["40755 3 /", "40711 2 /d user.a=1 user.b=2", "100644 1 /d/f"])
    }

    @Test("converts whiteouts") func convertsWhiteouts() throws {
        #expect(try Layers.describe([.file("d/.wh.gone")]) == ["40755 3 /", "40755 2 /d implied", "20000 1 /d/gone"])
        // The order of a whiteout and an entry of one name counts. A directory merges with the lower one, as containerd
        // has it.
        #expect(try Layers.describe([.file(".wh.f"), .file("f")]) == ["40755 2 /", "100644 1 /f"])
        #expect(try Layers.describe([.file("f"), .file(".wh.f")]) == ["40755 2 /", "20000 1 /f"])
        #expect(
            try Layers.describe([.file(".wh.d"), .file("d/f")]) == ["40755 3 /", "40755 2 /d implied", "100644 1 /d/f"])
        #expect(try Layers.describe([.file("d/f"), .file(".wh.d")]) == ["40755 2 /", "20000 1 /d"])
        #expect(
            try Layers.describe([.file("d/.wh..wh..opq"), .file("d/f")])
                == ["40755 3 /", "40755 2 /d trusted.overlay.opaque=y implied", "100644 1 /d/f"])
        #expect(try Layers.describe([.file(".wh..wh..opq")]) == ["40755 2 / trusted.overlay.opaque=y"])
        // containerd takes AUFS's own names for whiteouts, and directories of such a name for directories.
        #expect(
            try Layers.describe([.file(".wh..wh.plnk/12.3"), .file(".wh..wh.aufs")])
                == [
                    "40755 3 /", "40755 2 /.wh..wh.plnk implied", "100644 1 /.wh..wh.plnk/12.3", "20000 1 /.wh.aufs",
                ])
        let longest = String(repeating: "n", count: 255)
        #expect(try Layers.describe([.file(".wh." + longest)]) == ["40755 2 /", "20000 1 /" + longest])
    }

    @Test("drops trusted attributes, as containerd does") func dropsTrustedAttributes() throws {
        #expect(
            try Layers.describe([
                .directory("d", xattrs: [("trusted.overlay.opaque", "y"), ("trusted.overlay.redirect", "/etc")]),
                .directory("e", xattrs: [("trusted.other", "1")]),
            ]) == ["40755 4 /", "40755 2 /d", "40755 2 /e"])
    }

    @Test("bounds times as containerd does") func boundsTimes() throws {
        for (seconds, nanoseconds) in [(Int64(-1), UInt32(5)), (9_223_372_036, 5), (.max, 0), (.min, 0)] {
            let entry = LayerEntry(
                path: [97], attributes: NodeAttributes(modifiedSeconds: seconds, modifiedNanoseconds: nanoseconds))
            let attributes = try #require(try Listing(try Layers.tree([entry])).files[Array("/a".utf8)]).attributes
            #expect(attributes.modifiedSeconds == 0 && attributes.modifiedNanoseconds == 0)
        }
    }

    @Test("a mode changes an access control list, and a default list is inherited") func appliesAccessControlLists()
        throws
    {
        func list(_ entries: [(UInt8, UInt8, UInt32)]) -> [UInt8] {
            entries.reduce(into: [2, 0, 0, 0]) { bytes, entry in
                bytes += [entry.0, 0, entry.1, 0]
                withUnsafeBytes(of: entry.2.littleEndian) { bytes += $0 }
            }
        }
        let name = Array("system.posix_acl_access".utf8)
        let named = list([(1, 7, .max), (2, 5, 1000), (4, 5, .max), (16, 7, .max), (32, 7, .max)])
        let simple = list([(1, 7, .max), (4, 5, .max), (32, 7, .max)])
        var directory = LayerEntry.directory("d")
        directory.xattrs = [(Array("system.posix_acl_default".utf8), named)]
        var file = LayerEntry.file("f", mode: 0o640)
        file.xattrs = [(name, named)]
        var plain = LayerEntry.file("p")
        plain.xattrs = [(name, simple)]
        let files = try Listing(try Layers.tree([directory, .file("d/x", mode: 0o600), file, plain])).files
        #expect(
            files[Array("/f".utf8)]?.xattrs[name]
                == list([(1, 6, .max), (2, 5, 1000), (4, 5, .max), (16, 4, .max), (32, 0, .max)]))
        #expect(
            files[Array("/d/x".utf8)]?.xattrs[name]
                == list([(1, 6, .max), (2, 5, 1000), (4, 5, .max), (16, 0, .max), (32, 0, .max)]))
        #expect(files[Array("/p".utf8)]?.xattrs.isEmpty == true)
    }

    @Test("drops attributes that Linux rejects") func dropsAttributesThatLinuxRejects() throws {
        let entries: [LayerEntry] = [
            .file(
                "f",
                xattrs: [
                    ("com.apple.provenance", "x"), ("user.", "x"), ("system.nfs4_acl", "x"), ("user.kept", ""),
                    ("system.posix_acl_accessory", "x"),
                ])
        ]
        #expect(try Layers.describe(entries) == ["40755 2 /", "100644 1 /f user.kept="])
    }

    @Test("resolves hard links") func resolvesHardLinks() throws {
        let forwardAndChained: [LayerEntry] = [
            .link("a", to: "b"), .link("b", to: "./d/c"), .file("d/c"), .link("d/e", to: "/a"),
            .symlink("s", to: "nowhere"), .link("t", to: "s"),
        ]
        #expect(
            try Layers.describe(forwardAndChained) == [
                "40755 3 /", "100644 4 /a", "100644 4 /b = /a", "40755 2 /d implied", "100644 4 /d/c = /a",
                "100644 4 /d/e = /a", "120777 2 /s -> nowhere", "120777 2 /t = /s -> nowhere",
            ])
        // A link whose name another entry takes later, and one that replaces a file.
        #expect(
            try Layers.describe([
                .file("a"), .link("b", to: "a"), .file("b", mode: 0o600), .file("c"), .link("c", to: "a"),
            ])
                == ["40755 2 /", "100644 2 /a", "100600 1 /b", "100644 2 /c = /a"])
        // A link sets the attributes of its target, drops its capabilities, and outlives its name.
        #expect(
            try Layers.describe([
                .file("a", mode: 0o600, xattrs: [("security.capability", "c"), ("user.a", "1")]),
                .link("b", to: "a", mode: 0o4711, xattrs: [("user.b", "2")]), .link("c", to: "a", mode: 0o4711),
                .file("a", mode: 0o444),
            ]) == [
                "40755 2 /", "100444 1 /a", "104711 2 /b user.a=1 user.b=2", "104711 2 /c = /b user.a=1 user.b=2",
            ])
        #expect(
            try Layers.describe([.file("d/f"), .link("l", to: "d/f"), .file("d")])
                == ["40755 2 /", "100644 1 /d", "100644 1 /l"])
        #expect(
            try Layers.describe([.file("d/f"), .link("a", to: "d/f"), .link("d", to: "a")])
                == ["40755 2 /", "100644 2 /a", "100644 2 /d = /a"])
        // A link below a replaced directory needs no target.
        #expect(
            try Layers.describe([.link("d/x", to: "nowhere"), .file("d")]) == ["40755 2 /", "100644 1 /d"])
    }

    @Test(
        "rejects bad hard links",
        arguments: [
            [LayerEntry.link("a", to: "missing")], [.link("a", to: "a")], [.link("a", to: "b"), .link("b", to: "a")],
            [.directory("d"), .link("a", to: "d")], [.link("a", to: "/")], [.link("a", to: "")],
            [.file(".wh.gone"), .link("a", to: "gone")], [.file(".wh.gone"), .link("a", to: ".wh.gone")],
            [.file("d/f"), .link("d/g", to: "d/f/h")],
        ])
    func rejectsBadHardLinks(entries: [LayerEntry]) throws {
        let error = #expect(throws: LayerIndexError.self) { try Layers.index(entries) }
        #expect(error?.code == .badHardLink)
    }

    static let badEntries: [(LayerIndexError.Code, [LayerEntry])] = [
        (.notADirectory, [.file("f"), .file("f/below")]),
        (.notADirectory, [.symlink("s", to: "f"), .file("f"), .file("s/below")]),
        (.notADirectory, [.link("l", to: "d"), .directory("d"), .file("l/below")]),
        (.invalidPath, [.file("a\0b")]),
        (.invalidPath, [.file(String(repeating: "n", count: 256))]),
        (.invalidPath, [.file(".wh." + String(repeating: "n", count: 256))]),
        (.invalidPath, [.file("d/.wh.")]), (.invalidPath, [.file(".wh..")]), (.invalidPath, [.file(".wh...")]),
        (.limit, [.file(String(repeating: "n/", count: 1025))]),
        (.limit, [.file(String(repeating: String(repeating: "n", count: 200) + "/", count: 21))]),
        (.invalidEntry, [.symlink("s", to: "")]), (.invalidEntry, [.symlink("s", to: "a\0b")]),
        (.limit, [.symlink("s", to: String(repeating: "t", count: 4096))]),
        (.limit, [.file("f", xattrs: [("user." + String(repeating: "n", count: 251), "")])]),
        (.limit, [.file("f", xattrs: [("user.n", String(repeating: "v", count: 65_536))])]),
        (.limit, [.file("f", xattrs: (0..<5).map { ("user.\($0)", String(repeating: "v", count: 65_000)) })]),
        (.invalidEntry, [LayerEntry(path: [97], attributes: NodeAttributes(modifiedNanoseconds: 1_000_000_000))]),
        (.invalidEntry, [LayerEntry(path: [97], kind: .block, attributes: NodeAttributes(deviceMajor: 4096))]),
        (.invalidEntry, [LayerEntry(path: [97], kind: .character, attributes: NodeAttributes(deviceMinor: 1 << 20))]),
        (.invalidEntry, [LayerEntry(path: [97], attributes: NodeAttributes(size: 1))]),
    ]

    @Test("rejects a bad entry", arguments: badEntries.indices) func rejectsBadEntry(number: Int) throws {
        let (code, entries) = Self.badEntries[number]
        let error = #expect(throws: LayerIndexError.self) { try Layers.index(entries) }
        #expect(error?.code == code, "\(error?.message ?? "")")
    }

    @Test("enforces limits") func enforcesLimits() throws {
        var limits = IndexLimits.standard
        limits.entryCount = 10
        let nine = (1..<10).map { LayerEntry.file("f\($0)") }
        _ = try Layers.index(nine, limits: limits)
        var error = #expect(throws: LayerIndexError.self) { try Layers.index(nine + [.file("g")], limits: limits) }
        #expect(error?.code == .limit)
        limits = .standard
        limits.metadataBytes = 100
        error = #expect(throws: LayerIndexError.self) {
            try Layers.index((0..<30).map { .file("file\($0)") }, limits: limits)
        }
        #expect(error?.code == .limit)
        limits = .standard
        limits.chunkCount = 2
        error = #expect(throws: LayerIndexError.self) {
            try Layers.index([.file("f", pieces: [(0, 0, 1), (0, 1, 1), (0, 2, 1)])], extents: 1, limits: limits)
        }
        #expect(error?.code == .limit)
        error = #expect(throws: LayerIndexError.self) { try Layers.index([], extents: 3, limits: limits) }
        #expect(error?.code == .limit)
        // Limits beyond the capacity of the formats are clamped.
        limits.chunkLength = .max
        limits.extentLength = .max
        limits.decodedLength = .max
        limits.entryCount = .max
        limits.chunkCount = .max
        error = #expect(throws: LayerIndexError.self) {
            try Layers.index([.file("f", pieces: [(0, 0, 1 << 40)])], extents: 1, limits: limits)
        }
        #expect(error?.code == .invalidEntry)
    }

    @Test("preserves attributes") func preservesAttributes() throws {
        var entries: [LayerEntry] = []
        var expected: [String: NodeAttributes] = [:]
        for (number, seconds) in [Int64(0), 1, 1_700_000_000, 1 << 33, 9_223_372_035].enumerated() {
            for (other, id) in [0, 65_535, 65_536, UInt32.max - 1].enumerated() {
                let attributes = NodeAttributes(
                    mode: 0o100_000 | UInt16(number * 8 + other), uid: id, gid: .max - 1 - id, modifiedSeconds: seconds,
                    modifiedNanoseconds: other == 3 ? 999_999_999 : 0)
                expected["/f\(number)\(other)"] = attributes
                entries.append(LayerEntry(path: Array("f\(number)\(other)".utf8), attributes: attributes))
            }
        }
        let listing = try Listing(try Layers.tree(entries))
        for (path, attributes) in expected {
            #expect(listing.files[Array(path.utf8)]?.attributes == attributes)
        }
    }

    @Test("builds the same bytes each time") func buildsSameBytesEachTime() throws {
        var random = RandomLayer(seed: 1)
        var first: LayerIndexBytes?
        for _ in 0..<3 {
            random = RandomLayer(seed: 1)
            let layer = try #require(try random.layer(400, salt: 3))
            if let first {
                #expect(first.tree == layer.index.tree && first.chunks == layer.index.chunks)
            }
            first = layer.index
        }
        // The order of entries that do not lie in each other does not matter.
        let entries: [LayerEntry] = [.directory("a"), .file("b"), .file("c"), .symlink("d", to: "e")]
        #expect(try Layers.index(entries).tree == Layers.index(entries.reversed()).tree)
    }
}
