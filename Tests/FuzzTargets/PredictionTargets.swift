import Base
import Prediction

extension FuzzTarget {
    /// A Python source file: imports, their names and the lengths of their modules are bounded.
    static let pythonSource = FuzzTarget("FuzzPythonSource") { input in
        let imports = PythonImports.imports(inSource: Array(input))
        precondition(imports.count <= PythonImports.maximumImports)
        precondition(imports.allSatisfy { $0.names.count <= PythonImports.maximumNames && $0.module.utf8.count <= 768 })
    }

    /// A compiled Python file. The target writes a valid header, so that damage reaches the code after it.
    static let pythonCompiled = FuzzTarget("FuzzPythonCompiled") { input in
        for magic in [0x0D42, 0x0D61, 0x0DA7, 0x0DCB, 0x0DF3] as [UInt16] {
            var bytes: [UInt8] = []
            bytes.appendLittleEndian(magic)
            bytes += [0x0D, 0x0A] + [UInt8](repeating: 0, count: 12)
            let imports = PythonImports.imports(inCompiled: bytes + Array(input)) ?? []
            precondition(imports.count <= PythonImports.maximumImports)
        }
        _ = PythonImports.imports(inCompiled: Array(input))
    }

    /// A Python extension module: names are dotted and bounded.
    static let pythonExtension = FuzzTarget("FuzzPythonExtension") { input in
        let imports = PythonImports.imports(inExtension: Array(input))
        precondition(imports.count <= 512 && imports.allSatisfy { $0.module.contains(".") })
    }

    /// A JavaScript file: names are bounded.
    static let nodeSource = FuzzTarget("FuzzNodeSource") { input in
        let imports = NodeImports.imports(inSource: Array(input))
        precondition(imports.count <= 512 && imports.allSatisfy { !$0.name.isEmpty })
    }

    /// A package.json, in which names of the package are looked up. The target uses the input twice: as the text, and
    /// as a script that writes a well-formed text. Damage alone seldom closes the brackets that it opens.
    static let packageManifest = FuzzTarget("FuzzPackageManifest") { input in
        for text in [Array(input), document(input)] {
            guard let manifest = PackageManifest(text) else { continue }
            for rest in ["", "sub", "a/b"] {
                for isImport in [false, true] { _ = manifest.target(of: rest, isImport: isImport) }
            }
        }
    }

    /// Writes a JSON object: each byte of the script opens an object or an array, writes a string, or closes.
    private static func document(_ script: UnsafeRawBufferPointer) -> [UInt8] {
        let keys = ["exports", "main", ".", "./sub", "node", "import", "require", "default"]
        var text = Array("{".utf8)
        var closers = Array("}".utf8)
        var isFirst = true
        for byte in script.prefix(4096) {
            guard byte & 3 != 3 else {
                if closers.count > 1, let closer = closers.popLast() { text.append(closer) }
                isFirst = false
                continue
            }
            if !isFirst { text.append(UInt8(ascii: ",")) }
            if closers.last == UInt8(ascii: "}") {
                text += Array("\"\(keys[Int(byte >> 2) % keys.count])\":".utf8)
            }
            switch byte & 3 {
            case 0:
                text.append(UInt8(ascii: "{"))
                closers.append(UInt8(ascii: "}"))
            case 1:
                text.append(UInt8(ascii: "["))
                closers.append(UInt8(ascii: "]"))
            default: text += Array("\"./a\"".utf8)
            }
            isFirst = byte & 3 < 2
        }
        return text + closers.reversed()
    }

    /// An ELF file: every part lies in the file.
    static let elf = FuzzTarget("FuzzELF") { input in
        let bytes = Array(input)
        for size in [UInt64(bytes.count), 1 << 40] {
            guard let elf = ELFImage(head: Array(bytes.prefix(4096)), fileSize: size) else { continue }
            precondition(elf.readByLoader.allSatisfy { $0.end <= size })
            let links = elf.links { range in
                guard range.end <= UInt64(bytes.count) else { return nil }
                return Array(bytes[Int(range.offset)..<Int(range.end)])
            }
            precondition(links.needed.count <= 256 && links.searchPath.count <= 64)
        }
    }

    /// A file of settings: paths are absolute and bounded.
    static let settings = FuzzTarget("FuzzSettings") { input in
        let paths = SettingsFile.paths(in: Array(input))
        precondition(paths.count <= 64 && paths.allSatisfy { $0.hasPrefix("/") })
    }

    /// Packets between a client and an analyzer: an accepted one survives a round trip.
    static let analyzerPacket = FuzzTarget("FuzzAnalyzerPacket") { input in
        let bytes = Array(input)
        if let command = try? AnalyzerCommand(decoding: bytes[...]) {
            precondition((try? AnalyzerCommand(decoding: command.encoded[...])) == command)
        }
        if let reply = try? AnalyzerReply(decoding: bytes[...]) {
            precondition((try? AnalyzerReply(decoding: reply.encoded[...])) == reply)
        }
    }
}
