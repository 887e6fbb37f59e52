import Base
import ContentStore
import LayerIndex
import LazyFileSystem
import LazyFixtures
import Linux
import Planner
import Prediction
import Streaming
import TestRegistry
import TestSupport
import Testing

/// Tests that the files a start without a profile will read are fetched before the start demands them.
@Suite(.timeLimit(.minutes(1))) struct PredictionTests {
    typealias Layer = LayerFixture

    /// `import os.path`, `from . import core`, `from .lib import helper as h`, and a function that imports `hidden`,
    /// compiled by Python 3.11.
    static let compiled =
        "a70d0d0a0100000070661fd91306da0de30000000000000000000000000200000000000000f32c0000009700640064016c005a01640264036c02"
        + "6d035a030100640264046c046d055a060100640584005a07640153002906e9000000004ee9010000002901da04636f72652901da0668656c7065"
        + "72630000000000000000000000000200000003000000f30e0000009700640064016c007d006401530029024e7202000000a901da066869646465"
        + "6e7207000000730100000020fa046d2e7079da056c61746572720a00000005000000730f0000008000d80411804d804d804d804d804df3000000"
        + "002908da076f732e70617468da026f73da007204000000da036c69627205000000da0168720a000000a900720b0000007209000000fa083c6d6f"
        + "64756c653e721200000001000000734b000000f003010101d8000e800e800e800ed80012d00012d00012d00012d00012d00012d8001cd0001cd0"
        + "001cd0001cd0001cd0001cf004010112f000010112f000010112f000010112f000010112720b000000"

    static func bytes(hex: String) -> [UInt8] {
        var bytes: [UInt8] = []
        var digits = hex[...]
        while let byte = UInt8(digits.prefix(2), radix: 16), digits.count > 1 {
            bytes.append(byte)
            digits = digits.dropFirst(2)
        }
        return bytes
    }

    /// Returns an ELF file with one segment for code and data, linked with `needed`.
    static func elf(needed: [String], runPath: String = "", interpreter: String = "") -> [UInt8] {
        var strings: [UInt8] = [0]
        func string(_ text: String) -> UInt64 {
            defer { strings += Array(text.utf8) + [0] }
            return UInt64(strings.count)
        }
        var entries = needed.map { (1 as UInt64, string($0)) }
        if !runPath.isEmpty { entries.append((29, string(runPath))) }
        let dynamic: UInt64 = 64 + 3 * 56
        let table = dynamic + UInt64(entries.count + 3) * 16
        entries += [(5, 0x1000 + table), (10, UInt64(strings.count)), (0, 0)]
        let path = table + UInt64(strings.count)
        let size = path + UInt64(interpreter.utf8.count) + 1

        var file: [UInt8] = [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1] + Array(repeating: 0, count: 9)
        file.appendLittleEndian([3, 62] as [UInt16])
        file.appendLittleEndian([1] as [UInt32])
        file.appendLittleEndian([0, 64, 0] as [UInt64])
        file.appendLittleEndian([0] as [UInt32])
        file.appendLittleEndian([64, 56, 3, 64, 0, 0] as [UInt16])
        let segments: [(type: UInt32, offset: UInt64, count: UInt64)] = [
            (1, 0, size), (2, dynamic, UInt64(entries.count) * 16),
            (interpreter.isEmpty ? 0 : 3, path, UInt64(interpreter.utf8.count) + 1),
        ]
        for segment in segments {
            file.appendLittleEndian([segment.type, 6])
            file.appendLittleEndian([
                segment.offset, 0x1000 + segment.offset, 0, segment.count, segment.count, 0x1000,
            ])
        }
        for entry in entries { file.appendLittleEndian([entry.0, entry.1]) }
        file += strings
        return file + Array(interpreter.utf8) + [0]
    }

    /// An image that is mounted and whose start the predictor follows.
    struct Followed {
        let bench: Bench
        let key: ChainKey
        var chain: Digest { key.id }
        let layer: StoredLayer
        let tree: TreeImage
        let fileSystem: LazyFileSystem
        let predictor: Predictor

        init(_ bench: Bench, _ files: [(path: String, bytes: [UInt8])], links: [(String, String)] = []) throws {
            var fixture = Layer()
            for file in files { fixture.file(file.path, file.bytes) }
            for link in links { fixture.add(link.0, .symlink, mode: 0o777, link: link.1) }
            bench.registry.addBlob(fixture.blob)
            layer = try bench.store.install(fixture.key, index: try fixture.index())
            bench.engine.attach(layer, locations: [bench.registry.location(layer.digest)])
            self.bench = bench
            let (store, key) = (bench.store, ChainKey(parent: nil, layer: layer.key))
            self.key = key
            tree = try store.installChain(key, tree: ContentStore.mergedTree(of: [layer]))
            fileSystem = LazyFileSystem(source: bench.engine) { nil }
            try fileSystem.addChain(key.id, tree: tree, layers: [layer], slot: 1)
            let touches = try #require(fileSystem.touches(ofChain: key.id))
            predictor = try Predictor(try .built())
            bench.engine.onChunksArrived { [predictor] in predictor.wake() }
            predictor.follow(
                .chain(key.id), subject: PredictionSubject(layers: [layer]) { try store.openTree(ofChain: key) },
                touches: touches, engine: bench.engine)
        }

        func inode(_ path: String) throws -> UInt64 {
            var inode = tree.rootInode
            for name in path.split(separator: "/") {
                inode = try #require(try Array(name.utf8).withUnsafeBytes { try tree.lookup(inode, $0) })
            }
            return inode
        }

        func isPresent(_ path: String) throws -> Bool {
            let content = try #require(try tree.content(try inode(path)))
            return layer.missing(in: layer.chunks.chunks(overlapping: content.range)) == nil
        }

        /// Begins to read `path`, without waiting for missing chunks.
        func read(_ path: String) throws {
            let node = try #require(NodeID(slot: 1, nid: try inode(path)))
            var buffer = [UInt8](repeating: 0, count: 4096)
            let result = buffer.withUnsafeMutableBytes { fileSystem.read(node, at: 0, into: $0) }
            if case .missing(let miss) = result { _ = fileSystem.demand(miss) { _ in } }
        }

        /// Waits until `path` is present, without reading it, and returns whether it is.
        func comes(_ path: String) async throws -> Bool {
            try await eventually { try isPresent(path) }
        }
    }

    @Test func aProgramsLibrariesComeBeforeItRuns() async throws {
        try await withBench { bench in
            let image = try Followed(
                bench,
                [
                    ("usr/bin/app", Self.elf(needed: ["libone.so"], interpreter: "/lib64/loader.so")),
                    ("lib/x86_64-linux-gnu/libone.so", Self.elf(needed: ["libtwo.so"], runPath: "$ORIGIN/private")),
                    ("lib/x86_64-linux-gnu/private/libtwo.so.2", Self.elf(needed: [])),
                    ("lib64/loader.so", Samples.noise(bytes: 3000, seed: 1)),
                    ("etc/app.conf", Samples.noise(bytes: 100, seed: 2)),
                    ("lib/x86_64-linux-gnu/libother.so", Self.elf(needed: ["libone.so"])),
                ], links: [("lib/x86_64-linux-gnu/private/libtwo.so", "libtwo.so.2")])
            image.predictor.configure(
                .chain(image.chain),
                ContainerStart(
                    arguments: ["app", "etc/app.conf"], environment: ["PATH=/usr/sbin:/usr/bin"],
                    workingDirectory: "/"))
            for path in ["lib/x86_64-linux-gnu/private/libtwo.so.2", "lib64/loader.so", "etc/app.conf"] {
                #expect(try await image.comes(path), "\(path)")
            }
            #expect(try !image.isPresent("lib/x86_64-linux-gnu/libother.so"))
            let statistics = bench.engine.snapshot().planner
            #expect(statistics.demands == 0)
            #expect(statistics.predictedBytes > 0)
        }
    }

    @Test func whatPythonFilesNameComesBeforeItIsImported() async throws {
        try await withBench { bench in
            let module = Self.bytes(hex: Self.compiled)
            func source(_ name: String) -> (String, [UInt8]) { ("usr/lib/python3.11/\(name).py", Array("#\n".utf8)) }
            let packages = "usr/lib/python3/dist-packages"
            let image = try Followed(
                bench,
                [
                    ("usr/bin/python3.11", Self.elf(needed: [])), source("os"),
                    ("usr/lib/python3.11/encodings/__init__.py", Array("# first\n".utf8)),
                    (
                        "srv/app.py",
                        Array("import sys\nfrom package import (\n    thing)\nimport empty.deep.part\n".utf8)
                    ),
                    ("\(packages)/package/__init__.py", Array("# package\n".utf8)),
                    ("\(packages)/package/__pycache__/__init__.cpython-311.pyc", module),
                    ("\(packages)/package/core.py", Array("# core\n".utf8)),
                    ("\(packages)/package/__pycache__/core.cpython-311.pyc", module + [1]),
                    ("\(packages)/package/lib/__init__.py", Array("# lib\n".utf8)),
                    ("\(packages)/package/hidden.py", Array("# hidden\n".utf8)),
                    (
                        "\(packages)/package/lib/helper.cpython-311-x86_64-linux-gnu.so",
                        Self.elf(needed: []) + Array("\0no.module\0package.inner\0".utf8)
                    ),
                    ("\(packages)/package/inner.py", Array("# named by an extension\n".utf8)),
                    ("\(packages)/other.py", Array("# other\n".utf8)),
                    // Most packages begin with an empty source file, whose compiled file is not empty.
                    ("\(packages)/empty/__init__.py", []),
                    ("\(packages)/empty/__pycache__/__init__.cpython-311.pyc", module + [2]),
                    ("\(packages)/empty/deep/__init__.py", []),
                    ("\(packages)/empty/deep/part.py", Array("from ..beside import x\n".utf8)),
                    ("\(packages)/empty/beside.py", Array("# beside\n".utf8)),
                ], links: [("usr/bin/python3", "python3.11")])
            image.predictor.configure(
                .chain(image.chain),
                ContainerStart(arguments: ["/usr/bin/python3", "app.py"], workingDirectory: "/srv"))
            for path in [
                "usr/lib/python3.11/encodings/__init__.py", "srv/app.py",
                "\(packages)/package/__pycache__/__init__.cpython-311.pyc",
                "\(packages)/package/__pycache__/core.cpython-311.pyc", "\(packages)/package/lib/__init__.py",
                "\(packages)/package/inner.py", "\(packages)/empty/__pycache__/__init__.cpython-311.pyc",
                "\(packages)/empty/deep/part.py", "\(packages)/empty/beside.py",
            ] {
                #expect(try await image.comes(path), "\(path)")
            }
            for path in ["hidden.py", "core.py"] { #expect(try !image.isPresent("\(packages)/package/\(path)")) }
            #expect(try !image.isPresent("\(packages)/other.py"))
            #expect(bench.engine.snapshot().planner.demands == 0)
        }
    }

    /// Lists the files in the order in which a start reads them, as a startup pack needs it.
    @Test func filesAreInTheOrderOfTheirUse() async throws {
        try await withBench { bench in
            func source(_ text: String) -> [UInt8] { Array("\(text)\n".utf8) }
            let library = "usr/lib/python3.11"
            let image = try Followed(
                bench,
                [
                    ("usr/bin/python3.11", Self.elf(needed: ["libone.so"])),
                    ("usr/lib/libone.so", Self.elf(needed: [])),
                    ("\(library)/os.py", source("#")), ("\(library)/encodings/__init__.py", source("# first")),
                    ("srv/app.py", source("import a\nimport d\nimport b")), ("srv/a.py", source("import b\nimport c")),
                    ("srv/b.py", source("import c")), ("srv/c.py", source("#")), ("srv/d.py", source("#")),
                    ("etc/passwd", source("root")),
                ])
            bench.engine.fill([image.layer])
            #expect(await eventually { image.layer.isComplete })
            let start = ContainerStart(arguments: ["/usr/bin/python3.11", "app.py"], workingDirectory: "/srv")
            let (store, tree) = (bench.store, image.key)
            let (events, continuation) = AsyncStream.makeStream(of: PredictionEvent.self)
            let key = PredictionKey.unique()
            image.predictor.begin(
                key,
                of: PredictionSubject(layers: [image.layer], includesPresent: true) {
                    try store.openTree(ofChain: tree)
                }
            ) { continuation.yield($0) }
            image.predictor.configure(key, start)
            var given: Set<UInt64> = []
            var order: [UInt64] = []
            var isWaveEmpty = true
            for await event in events {
                switch event {
                case .runs(let runs):
                    given.formUnion(runs.map(\.inode))
                    isWaveEmpty = false
                case .settled:
                    if isWaveEmpty { image.predictor.requestOrder(key) } else { image.predictor.proceed(key) }
                    isWaveEmpty = true
                case .order(let files):
                    order = files
                    continuation.finish()
                case .lost(let reason):
                    Issue.record("lost: \(reason)")
                    continuation.finish()
                }
            }
            let expected = try [
                "etc/passwd", "usr/bin/python3.11", "usr/lib/libone.so", "\(library)/encodings/__init__.py",
                "srv/app.py",
                "srv/a.py", "srv/b.py", "srv/c.py", "srv/d.py",
            ].map { try image.inode($0) }
            #expect(order == expected)
            #expect(given == Set(expected))
        }
    }

    @Test func whatScriptsOfNodeNameComesBeforeItIsLoaded() async throws {
        try await withBench { bench in
            func text(_ path: String, _ lines: String...) -> (String, [UInt8]) {
                (path, Array(lines.joined(separator: "\n").utf8))
            }
            let packages = "srv/node_modules"
            let image = try Followed(
                bench,
                [
                    ("usr/bin/node", Self.elf(needed: [])), text("srv/package.json", "{}"),
                    text(
                        "srv/server.js", "\"use strict\";", "// require('./comment')", "const a = require('express'),",
                        "  b = require( './lib/own');", "function later() {", "  const c = require('./late');", "}",
                        "const d = require('events'); import e from \"esm\"", "import {", "  f", "} from \"esm\";",
                        "module.exports = {", "  field: require('./field'),", "};"),
                    text("srv/comment.js", "// 1"), text("srv/late.js", "// 2"), text("srv/lib/own.js", "// 3"),
                    text("srv/field/index.js", "// 4"), text("\(packages)/events/index.js", "// built in"),
                    text("\(packages)/express/package.json", "{\"main\": \"./entry\"}"),
                    text("\(packages)/express/entry.js", "require('@scope/part/sub'); require('common')"),
                    text(
                        "\(packages)/@scope/part/package.json",
                        "{\"exports\": {\".\": [\"./top.js\"], \"./sub\": {\"require\": {\"node\": \"./dist/sub.cjs\"}}}}"
                    ),
                    text("\(packages)/@scope/part/dist/sub.cjs", "exports.top = require('..')"),
                    text("\(packages)/@scope/part/top.js", "require('../part')"),
                    text(
                        "\(packages)/esm/package.json",
                        "{\"exports\": {\"import\": \"./m.mjs\", \"require\": \"./c.cjs\"}}"),
                    text("\(packages)/esm/m.mjs", "export * from './further.mjs'"),
                    text("\(packages)/esm/further.mjs", "export default 1"), text("\(packages)/esm/c.cjs", "// other"),
                    // The two packages name each other as their entry points.
                    text("usr/share/nodejs/common/package.json", "{\"main\": \"../loop\"}"),
                    text("usr/share/nodejs/loop/package.json", "{\"main\": \"../common\"}"),
                    text("usr/share/nodejs/common/index.js", "require('damaged')"),
                    text("usr/share/nodejs/damaged/package.json", "{\"main\": "),
                    text("usr/share/nodejs/damaged/index.js", "// last"),
                ])
            image.predictor.configure(
                .chain(image.chain), ContainerStart(arguments: ["node", "server"], workingDirectory: "/srv"))
            for path in [
                "srv/server.js", "srv/package.json", "srv/lib/own.js", "srv/field/index.js",
                "\(packages)/express/entry.js",
                "\(packages)/@scope/part/top.js", "\(packages)/esm/further.mjs", "usr/share/nodejs/damaged/index.js",
            ] {
                #expect(try await image.comes(path), "\(path)")
            }
            for path in ["srv/comment.js", "srv/late.js", "\(packages)/events/index.js", "\(packages)/esm/c.cjs"] {
                #expect(try !image.isPresent(path), "\(path)")
            }
            #expect(bench.engine.snapshot().planner.demands == 0)
        }
    }

    /// Survives `from importlib import x` and `from import x`, where the word `import` stands at the start of a
    /// package's name.
    @Test("survives Python statements whose package starts with import")
    func survivesPythonStatementsWithoutAPackage() async throws {
        let statements = [
            "from import x", "from importlib import x", "from  import x", "from imports", "from . importx", "import",
            "from .", "import (", "from a import (",
        ]
        try await withBench { bench in
            let library = "usr/lib/python3.11"
            let image = try Followed(
                bench,
                [
                    ("usr/bin/python3.11", Self.elf(needed: [])), ("\(library)/os.py", [0x23]),
                    ("\(library)/last.py", [0x23]), ("\(library)/importlib/__init__.py", Array("#\n".utf8)),
                    ("srv/app.py", Array((statements + [")", "import last"]).joined(separator: "\n").utf8)),
                ])
            image.predictor.configure(
                .chain(image.chain),
                ContainerStart(arguments: ["python3.11", "app.py"] + statements, workingDirectory: "/srv"))
            #expect(try await image.comes("\(library)/last.py"))
            #expect(try await image.comes("\(library)/importlib/__init__.py"))
        }
    }

    /// Survives 480 nested objects, which overflowed the stack of a thread when they were decoded recursively.
    @Test("survives deeply nested package descriptions", arguments: [60, 480, 200_000])
    func survivesNestedPackageDescriptions(depth: Int) async throws {
        try await withBench { bench in
            let nested = String(repeating: "{\"x\":", count: depth) + "1" + String(repeating: "}", count: depth)
            let image = try Followed(
                bench,
                [
                    ("usr/bin/node", Self.elf(needed: [])), ("srv/server.js", Array("require('p'); require('q')".utf8)),
                    ("srv/node_modules/q/package.json", Array("{\"main\":\"n\"}".utf8)),
                    ("srv/node_modules/q/n.js", [0x20]),
                    ("srv/node_modules/p/package.json", Array("{\"exports\":\(nested),\"main\":\"m\"}".utf8)),
                    ("srv/node_modules/p/m.js", [0x20]), ("srv/node_modules/p/index.js", [0x20]),
                ])
            image.predictor.configure(
                .chain(image.chain), ContainerStart(arguments: ["node", "server"], workingDirectory: "/srv"))
            #expect(try await image.comes("srv/node_modules/p/index.js"))
            #expect(try await image.comes("srv/node_modules/q/n.js"))
            if depth < 64 { #expect(try await image.comes("srv/node_modules/p/m.js")) }
        }
    }

    /// Bounds the work for 100,000 directories and as many names. Looking up each name in each directory would take
    /// hours.
    @Test("bounds the work for search paths and names")
    func boundsWork() async throws {
        try await withBench { bench in
            let directories = (0..<100_000).map { "/d\($0)" }.joined(separator: ":")
            let runPath = String(repeating: "$ORIGIN/$ORIGIN:", count: 3000)
            let requires = "  x = 1," + String(repeating: " y = require('", count: 60_000)
            let image = try Followed(
                bench,
                [
                    (
                        "usr/bin/node",
                        Self.elf(needed: (0..<2000).map { "lib\($0).so" }, runPath: runPath)
                    ),
                    ("srv/server.js", Array("require('./last')\n\(requires)".utf8)), ("srv/last.js", [0x20]),
                ])
            image.predictor.configure(
                .chain(image.chain),
                ContainerStart(
                    arguments: ["/usr/bin/node", "server"],
                    environment: ["PATH=\(directories)", "LD_LIBRARY_PATH=\(directories)"], workingDirectory: "/srv"))
            #expect(try await image.comes("srv/last.js"))
        }
    }

    /// Fetches the end of a jar first, where the jar's directory is.
    @Test func theEndOfALargeJarComesFirst() async throws {
        try await withBench { bench in
            let jar = Samples.noise(bytes: 9 << 20, seed: 7)
            let image = try Followed(bench, [("usr/bin/java", Self.elf(needed: [])), ("srv/app.jar", jar)])
            image.predictor.configure(
                .chain(image.chain), ContainerStart(arguments: ["java", "-jar", "app.jar"], workingDirectory: "/srv"))
            let content = try #require(try image.tree.content(try image.inode("srv/app.jar")))
            let end = image.layer.chunks.chunks(
                overlapping: ByteRange(offset: content.range.end - 100_000, end: content.range.end))
            #expect(await eventually { image.layer.missing(in: end) == nil })
            #expect(try !image.isPresent("srv/app.jar"))
        }
    }

    /// Fetches the modules of a small package together, because each would have to arrive before it names the next one.
    @Test func smallPackagesComeWithTheFirstOfTheirModules() async throws {
        try await withBench { bench in
            let library = "usr/lib/python3.11"
            func module(_ name: String, bytes: Int = 300) -> [(String, [UInt8])] {
                let parts = name.split(separator: "/")
                return [
                    ("\(library)/\(name).py", [0x23]),
                    (
                        "\(library)/\(parts[0])/__pycache__/\(parts[1]).cpython-311.pyc",
                        Samples.noise(bytes: bytes, seed: 3)
                    ),
                ]
            }
            let files =
                module("small/__init__") + module("small/first") + module("small/other")
                + module("large/__init__") + module("large/other", bytes: 2 << 20)
            let image = try Followed(
                bench,
                [
                    ("usr/bin/python3.11", Self.elf(needed: [])), ("\(library)/os.py", [0x23]),
                    ("srv/app.py", Array("import small.first, large\n".utf8)),
                ] + files)
            image.predictor.configure(
                .chain(image.chain), ContainerStart(arguments: ["python3.11", "app.py"], workingDirectory: "/srv"))
            #expect(try await image.comes("\(library)/small/__pycache__/other.cpython-311.pyc"))
            #expect(try await image.comes("\(library)/large/__pycache__/__init__.cpython-311.pyc"))
            #expect(try !image.isPresent("\(library)/large/__pycache__/other.cpython-311.pyc"))
        }
    }

    /// Fetches what one layer tells of a start before the chain is mounted, or anything else of the image is known.
    @Test func whatOneLayerTellsOfAStartComesAtOnce() async throws {
        try await withBench { bench in
            let image = try Followed(
                bench,
                [
                    ("usr/sbin/server", Self.elf(needed: ["libone.so"])), ("etc/passwd", Array("root:x:0:0".utf8)),
                    ("usr/lib/x86_64-linux-gnu/libc.so.6", Self.elf(needed: [])), ("etc/other", [1]),
                ], links: [("lib", "usr/lib")])
            image.predictor.predict(
                ContainerStart(arguments: ["server"], environment: ["PATH=/usr/bin:/usr/sbin"]), in: image.layer,
                engine: bench.engine)
            for path in ["usr/sbin/server", "etc/passwd", "usr/lib/x86_64-linux-gnu/libc.so.6"] {
                #expect(try await image.comes(path), "\(path)")
            }
            #expect(try !image.isPresent("etc/other"))
        }
    }

    /// Predicts every third file of a directory, and then the same file of neighboring directories.
    @Test func filesReadInTheOrderOfTheirNamesComeBeforeTheyAreRead() async throws {
        try await withBench { bench in
            func file(_ path: String, _ seed: UInt64) -> (String, [UInt8]) {
                (path, Samples.noise(bytes: 2000, seed: seed))
            }
            let data = (100..<160).map { file("srv/data/\($0).bin", $0) }
            let plugins = (10..<40).flatMap {
                [file("opt/plug-\($0)/etc/plugin.json", $0), file("opt/plug-\($0)/other", 50 + $0)]
            }
            let code = (10..<40).map { file("opt/code/m\($0).py", 200 + $0) }
            let image = try Followed(
                bench, data + plugins + code + [("opt/without/other", [1]), ("srv/data/122.txt", [2])])
            for place in [0, 3, 6] { try image.read("srv/data/\(100 + place).bin") }
            #expect(try await image.comes("srv/data/112.bin"), "two ahead after two steps")
            try image.read("srv/data/109.bin")
            #expect(try await image.comes("srv/data/121.bin"), "four ahead after three")
            // The predictor does not hear of this read, because the file has arrived with another.
            try image.read("srv/data/115.bin")
            #expect(try await image.comes("srv/data/139.bin"), "eight ahead after four")
            #expect(try !image.isPresent("srv/data/110.bin"), "not what is between")
            #expect(try !image.isPresent("srv/data/142.bin"))

            for number in [11, 10, 12, 13, 14] { try image.read("opt/plug-\(number)/etc/plugin.json") }
            #expect(try await image.comes("opt/plug-16/etc/plugin.json"))
            #expect(try !image.isPresent("opt/plug-15/other"))
            #expect(try !image.isPresent("opt/plug-17/etc/plugin.json"))
            for number in [11, 12, 13, 14] { try image.read("opt/code/m\(number).py") }
            // The predictor follows touches in order. So when it has followed this one, it has followed those of the
            // code.
            try image.read("opt/plug-15/etc/plugin.json")
            #expect(try await image.comes("opt/plug-17/etc/plugin.json"))
            #expect(try !image.isPresent("opt/code/m16.py"), "names of code are met in a row by chance")
        }
    }

    @Test func whatSettingsNameComesBeforeItIsRead() async throws {
        try await withBench { bench in
            let settings = """
                  # include /etc/server/not.conf;
                user www;
                http { include /etc/server/types; log "/var/log/server.log";
                include /etc/server/conf.d/*.conf; }
                """
            let image = try Followed(
                bench,
                [
                    ("usr/bin/server", Self.elf(needed: [])), ("app/server.conf", Array(settings.utf8)),
                    ("etc/server/types", Array("text/html".utf8)), ("etc/server/not.conf", [1]),
                    ("etc/server/conf.d/a.conf", Array("key=/etc/server/key.pem".utf8)),
                    ("etc/server/conf.d/a.conf.off", [2]), ("etc/server/key.pem", [3]),
                    ("usr/share/zoneinfo/UTC", [4]),
                ], links: [("etc/localtime", "/usr/share/zoneinfo/UTC")])
            image.predictor.configure(
                .chain(image.chain), ContainerStart(arguments: ["/usr/bin/server", "/app/server.conf"]))
            for path in ["etc/server/types", "etc/server/key.pem", "usr/share/zoneinfo/UTC"] {
                #expect(try await image.comes(path), "\(path)")
            }
            for path in ["etc/server/not.conf", "etc/server/conf.d/a.conf.off"] {
                #expect(try !image.isPresent(path), "\(path)")
            }
        }
    }

    @Test func aJavaRuntimeComesBeforeItIsLoaded() async throws {
        try await withBench { bench in
            let home = "usr/lib/jvm/java-17"
            let files: [(path: String, bytes: [UInt8])] = [
                ("\(home)/bin/java", Self.elf(needed: [])), ("\(home)/lib/libjli.so", Self.elf(needed: ["libz.so.1"])),
                ("\(home)/lib/server/libjvm.so", Samples.noise(bytes: 3 << 20, seed: 1)),
                ("\(home)/lib/server/classes.jsa", Samples.noise(bytes: 3 << 20, seed: 2)),
                ("\(home)/lib/modules", Samples.noise(bytes: 3 << 20, seed: 3)),
                ("usr/lib/libz.so.1", Self.elf(needed: [])), ("usr/lib/other", Samples.noise(bytes: 1 << 20, seed: 4)),
                ("bin/java", Samples.noise(bytes: 5000, seed: 5)),
            ]
            let image = try Followed(bench, files)
            image.predictor.configure(.chain(image.chain), ContainerStart(arguments: ["/\(home)/bin/java", "-jar"]))
            for path in ["lib/server/libjvm.so", "lib/server/classes.jsa", "lib/libjli.so"] {
                #expect(try await image.comes("\(home)/\(path)"), "\(path)")
            }
            // The libraries that the launcher's library is linked with arrive, too.
            #expect(try await image.comes("usr/lib/libz.so.1"))
        }
    }

    @Test func whatIsReadIsFollowedWhateverTheImageSays() async throws {
        try await withBench { bench in
            let image = try Followed(
                bench,
                [
                    ("run", Array("#!/bin/sh\nexit 0\n".utf8)), ("bin/sh", Self.elf(needed: ["libc.so.6"])),
                    ("usr/lib/libc.so.6", Self.elf(needed: [])),
                ])
            try image.read("run")
            #expect(try await image.comes("usr/lib/libc.so.6"))
        }
    }

    @Test(arguments: [UInt64.random(in: 0...UInt64.max)])
    func rejectsADamagedTree(seed: UInt64) async throws {
        try await withBench { bench in
            let good = [Self.elf(needed: ["liba.so", "libb.so"], runPath: "/x:/y"), Self.bytes(hex: Self.compiled)]
            var files: [(path: String, bytes: [UInt8])] = [
                ("usr/bin/python3.11", Self.elf(needed: [])), ("usr/lib/python3.11/os.py", [0x23]),
                ("usr/lib/liba.so", Samples.noise(bytes: 500, seed: seed)),
            ]
            var arguments = ["python3.11"]
            for number in 0..<200 {
                var bytes = good[number % 2]
                let noise = Samples.noise(bytes: 16, seed: seed &+ UInt64(number))
                for index in 0..<4 {
                    bytes[Int(noise[index]) * bytes.count / 256] = noise[index + 4]
                }
                bytes.removeLast(number % 5 * 20)
                let path = "srv/\(number)" + (number % 2 == 0 ? "" : ".pyc")
                files.append((path, bytes))
                arguments.append(path)
            }
            let image = try Followed(bench, files)
            image.predictor.configure(.chain(image.chain), ContainerStart(arguments: arguments))
            // The predictor reads every file that a start may name at once. A damaged file leads nowhere and does no
            // harm.
            #expect(try await image.comes("srv/62"), "seed \(seed)")
        }
    }
}

extension [UInt8] {
    fileprivate mutating func appendLittleEndian<Value: FixedWidthInteger>(_ values: [Value]) {
        for value in values { Swift.withUnsafeBytes(of: value.littleEndian) { append(contentsOf: $0) } }
    }
}
