public import Base

/// The file analyzer of programs and libraries. For an ELF file, it reports the program interpreter and the libraries
/// that the file is linked with. For a script, it reports the interpreter (execve(2), "Interpreter scripts").
public struct ProgramAnalyzer: FileAnalyzer {
    /// The size in bytes of the largest script in which to look for imported modules. A larger script is mostly data.
    private static let largestScript: UInt64 = 1 << 20

    public init() {}

    public func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? {
        let name = file.name
        guard !PythonSourceAnalyzer.isNamed(name), !PythonCompiledAnalyzer.isNamed(name), !SettingsFile.isNamed(name),
            start.node == nil || !NodeSourceAnalyzer.isNamed(name)
        else { return nil }
        return file.start(ELFImage.headSize)
    }

    public func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        if bytes.starts(with: "#!".utf8) {
            let line = String(decoding: bytes.dropFirst(2).prefix { $0 != 0x0A }.prefix(256), as: UTF8.self)
            let words = line.split(separator: " ").map(String.init)
            interpreter(words, in: &start)
            if file.size <= Self.largestScript {
                start.wait(for: file.whole, of: file, then: ScriptAnalyzer(words: words))
            }
        } else if let elf = ELFImage(head: bytes, fileSize: file.size) {
            start.linking { start in
                for part in elf.readByLoader { start.fetch(file, part) }
            }
            if let range = elf.interpreter { start.wait(for: range, of: file, then: ELFInterpreterAnalyzer()) }
            ELFLinksAnalyzer(elf: elf).links(of: file, in: &start)
        }
    }

    private func interpreter(_ words: [String], in start: inout StartPrediction) {
        guard let interpreter = words.first else { return }
        start.run(interpreter)
        guard interpreter.hasSuffix("/env"), words.count > 1 else { return }
        for directory in ["/usr/local/bin", "/usr/bin", "/bin"] where start.run("\(directory)/\(words[1])") { break }
    }
}

/// The file analyzer of scripts that begin with `#!`. It finds the script's language in the first line, and reports the
/// modules that the script imports.
private struct ScriptAnalyzer: FileAnalyzer {
    /// The words after `#!` in the script's first line.
    let words: [String]

    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        if words.contains(where: { $0.contains("python") }) {
            start.importModules(ofSource: bytes, file)
        } else if words.contains(where: { $0.hasSuffix("node") }) {
            start.loadModules(NodeImports.imports(inSource: bytes), from: file)
        }
    }
}

/// The file analyzer of the `PT_INTERP` segment of an ELF file. The segment contains the path of the dynamic loader,
/// which this file analyzer reports.
private struct ELFInterpreterAnalyzer: FileAnalyzer {
    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        start.linking { $0.load(String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)) }
    }
}

/// The file analyzer of the library names in an ELF file. It waits until the parts of the file that hold the names have
/// arrived, and then reports the libraries.
private struct ELFLinksAnalyzer: FileAnalyzer {
    let elf: ELFImage

    func part(of file: ImageFile, in start: StartPrediction) -> ByteRange? { nil }

    func analyze(_ bytes: [UInt8], of file: ImageFile, in start: inout StartPrediction) {
        links(of: file, in: &start)
    }

    func links(of file: ImageFile, in start: inout StartPrediction) {
        start.linking { start in
            var missing: ByteRange?
            let links = elf.links { range in
                let bytes = start.bytes(of: file, range)
                if bytes == nil { missing = range }
                return bytes
            }
            if let missing {
                start.fetch(file, missing)
                start.wait(for: missing, of: file, then: self)
                return
            }
            load(links, of: file, in: &start)
        }
    }

    private func load(_ links: ELFImage.Links, of file: ImageFile, in start: inout StartPrediction) {
        let own = links.searchPath.map { path in
            for origin in ["$ORIGIN", "${ORIGIN}"] where path.hasPrefix(origin) {
                return file.directory + path.dropFirst(origin.count)
            }
            return path
        }
        let directories = own + start.libraryDirectories + Self.standardDirectories(elf.machine)
        for name in links.needed {
            if name.contains("/") {
                start.load(name)
                continue
            }
            for directory in directories where start.load(ImagePath.joined(directory, name)) { break }
        }
    }

    /// Returns the directories in which the dynamic loader looks for the libraries of every program (ld.so(8)). They
    /// include Debian's multiarch directories, and those that distributions add in `ld.so.conf`.
    private static func standardDirectories(_ machine: UInt16) -> [String] {
        let triplet =
            switch machine {
            case 62: "x86_64-linux-gnu"
            case 183: "aarch64-linux-gnu"
            default: ""
            }
        let multiarch = triplet.isEmpty ? [] : ["/lib/\(triplet)", "/usr/lib/\(triplet)"]
        return multiarch + ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib"]
    }
}
