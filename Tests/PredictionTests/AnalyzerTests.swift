import Base
import Prediction
import TestSupport
import Testing

/// Tests of the analyzers' parsers with bytes that no compiler or package manager writes.
struct AnalyzerTests {
    @Test(
        "ignores statements whose package starts with import",
        arguments: ["from import x", "from importlib", "from  import x", "from", "import", "from .", "from import", ""])
    func ignoresStatementsWithoutAPackage(_ text: String) {
        #expect(PythonImports.imports(inSource: Array(text.utf8)).allSatisfy { !$0.module.hasPrefix("import ") })
    }

    @Test("reads the package before the word import")
    func readsFromImportlib() {
        #expect(
            PythonImports.imports(inSource: Array("from importlib import x, y\nfrom .. import z".utf8)) == [
                PythonImport(level: 0, module: "importlib", names: ["x", "y"]),
                PythonImport(level: 2, module: "", names: ["z"]),
            ])
    }

    @Test("reads lists in parentheses over lines")
    func readsLists() {
        let text = "try:\n    from a.b import (  # why\n  c,\n d as e)\nexcept: import f.g as h, i; pass"
        #expect(
            PythonImports.imports(inSource: Array(text.utf8)) == [
                PythonImport(level: 0, module: "a.b", names: ["c", "d"])
            ])
        #expect(
            PythonImports.imports(inSource: Array("import f.g as h, i; pass".utf8)).map(\.module) == [
                "f.g", "i", "pass",
            ])
    }

    @Test("bounds the imports of one file")
    func boundsImports() {
        let many = (0..<30_000).map { "import m\($0)" }.joined(separator: "\n")
        #expect(PythonImports.imports(inSource: Array(many.utf8)).count == PythonImports.maximumImports)
        let long = "from a import (" + String(repeating: "x,\n", count: 300_000)
        #expect(
            PythonImports.imports(inSource: Array(long.utf8)).allSatisfy {
                $0.names.count <= PythonImports.maximumNames
            })
    }

    @Test("survives nested packages", arguments: [1, 60, 63, 64, 480, 100_000])
    func survivesNesting(depth: Int) {
        for (open, close) in [("{\"x\":", "}"), ("[", "]"), ("{\"node\":", "}")] {
            let nested = String(repeating: open, count: depth) + "1" + String(repeating: close, count: depth)
            let manifest = PackageManifest(Array("{\"exports\":\(nested),\"main\":\"m\"}".utf8))
            #expect((manifest != nil) == (depth < 64))
            if let manifest { #expect(manifest.target(of: "", isImport: false) == "m") }
        }
    }

    @Test("follows exports as Node.js does")
    func followsExports() throws {
        func target(_ text: String, _ rest: String = "", isImport: Bool = false) -> String? {
            PackageManifest(Array(text.utf8))?.target(of: rest, isImport: isImport)
        }
        #expect(target("{}") == "index")
        #expect(target("{\"main\":\"./a.js\"}") == "./a.js")
        #expect(target("{\"main\":7}") == "index")
        #expect(target("{\"main\":\"a\"} x") == nil)
        #expect(target("[]") == nil)
        #expect(target("{\"exports\":\"./e.js\",\"main\":\"m\"}") == "./e.js")
        #expect(target("{\"exports\":{\"import\":\"./i.mjs\",\"require\":\"./r.cjs\"}}", isImport: true) == "./i.mjs")
        #expect(target("{\"exports\":{\"import\":\"./i.mjs\",\"require\":\"./r.cjs\"}}") == "./r.cjs")
        let paths = "{\"exports\":{\".\":[{\"default\":\"./t\"}],\"./s\":{\"require\":{\"node\":\"./s.js\"}}}}"
        #expect(target(paths) == "./t")
        #expect(target(paths, "s") == "./s.js")
        #expect(target(paths, "other") == "other")
        #expect(target("{\"\\u006dain\":\"\\u0062\"}") == "b", "escapes in keys and values")
    }

    @Test("survives ELF heads of any kind")
    func survivesELF() {
        var head = [UInt8](repeating: 0xFF, count: 4096)
        head.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
        #expect(ELFImage(head: head, fileSize: .max) == nil)
        for seed in 0..<500 as Range<UInt64> {
            var noise = Samples.noise(bytes: 4096, seed: seed)
            noise.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
            // A segment table within the head, with up to 69 segments.
            noise.replaceSubrange(32..<40, with: [64, 0, 0, 0, 0, 0, 0, 0])
            noise.replaceSubrange(54..<58, with: [56, 0, UInt8(seed % 70), 0])
            guard let elf = ELFImage(head: noise, fileSize: .max) else { continue }
            _ = elf.readByLoader
            _ = elf.links { Samples.noise(bytes: Int($0.count % 5000), seed: seed) }
        }
    }

    @Test("survives compiled Python of any kind")
    func survivesBytecode() {
        for seed in 0..<2000 as Range<UInt64> {
            var noise = Samples.noise(bytes: 400, seed: seed).map {
                $0 % 3 == 0 ? $0 : Array("ci()srzZtu[{<>\u{E9}".utf8)[Int($0) % 14]
            }
            noise.replaceSubrange(0..<4, with: [0xA7, 0x0D, 0x0D, 0x0A])
            noise[16] = 0xE3
            _ = PythonImports.imports(inCompiled: noise)
        }
        // Each byte marks an object that others can refer to.
        let references =
            [0xA7, 0x0D, 0x0D, 0x0A] + [UInt8](repeating: 0, count: 12) + [0xE3]
            + [UInt8](repeating: 0, count: 20) + [0x28, 0, 0, 0x10, 0] + [UInt8](repeating: 0xCE, count: 1 << 20)
        #expect(PythonImports.imports(inCompiled: references) == nil)
    }

    @Test("bounds the work for one long line of JavaScript")
    func boundsJavaScript() {
        for text in ["  a = require('", "  require(      ", " , b: require(\"", "}from      '"] {
            let line = String(repeating: text, count: (1 << 20) / text.utf8.count)
            #expect(NodeImports.imports(inSource: Array(line.utf8)).count <= 512)
        }
    }

    @Test("reads names in settings", arguments: [("a /x;/y*", ["/x", "/y*"]), ("# /x", []), ("/", [])])
    func readsSettings(_ text: String, _ paths: [String]) {
        #expect(SettingsFile.paths(in: Array(text.utf8)) == paths)
    }
}
