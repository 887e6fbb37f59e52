import Base

/// An import in a Python file: a module, and names that may be modules in it.
public struct PythonImport: Equatable, Sendable {
    /// The number of leading dots (0 for an absolute import); `nil` if it is unknown.
    public var level: Int?
    /// The dotted name, such as `package.module`; empty in `from . import name`.
    public var module: String
    /// The imported names, which may be modules themselves.
    public var names: [String]

    public init(level: Int? = nil, module: String, names: [String] = []) {
        self.level = level
        self.module = module
        self.names = names
    }
}

/// A parser of the imports in Python source files, compiled files and extension modules.
public enum PythonImports {
    /// Returns the imports at the top level of a compiled file (`.pyc`). Imports in functions are left out, because
    /// Python runs them later or never.
    ///
    /// The parser may not know the instructions of the file's Python version. In this case, it returns all names that
    /// the top level uses.
    ///
    /// Accepts the magic numbers 3400 to 3699: those of Python 3.8 to 3.14, and those reserved for 3.15
    /// (Lib/importlib/_bootstrap_external.py, "Magic word"; Python/marshal.c). Returns `nil` for other versions and for
    /// a corrupt file.
    public static func imports(inCompiled bytes: [UInt8]) -> [PythonImport]? {
        guard bytes.count > 16, bytes[2] == 0x0D, bytes[3] == 0x0A else { return nil }
        let magic = Int(bytes[0]) | Int(bytes[1]) << 8
        guard (3400..<3700).contains(magic) else { return nil }
        var reader = MarshalReader(bytes, at: 16, hasLocalsPlus: magic >= 3450)
        // 3.13 renumbered the instructions.
        return reader.imports(hasKnownInstructions: magic < 3550)
    }

    /// Returns the dotted names in an extension module (`.so`). Cython and pybind11 pass module names as C strings. A
    /// name that is not a module does no harm, because no file is found for it.
    public static func imports(inExtension bytes: [UInt8]) -> [PythonImport] {
        names(inExtension: bytes).map { PythonImport(module: $0) }
    }

    private static func names(inExtension bytes: [UInt8]) -> [String] {
        var names: Set<String> = []
        bytes.withUnsafeBufferPointer { bytes in
            var start = 0
            var dots = 0
            for index in bytes.indices {
                let byte = bytes[index]
                if isNameByte[Int(byte)] { continue }
                if byte == UInt8(ascii: "."), index > start, index + 1 < bytes.count, isNameByte[Int(bytes[index + 1])]
                {
                    dots += 1
                    continue
                }
                if dots > 0, byte == 0, index - start <= 128, names.count < 512 {
                    names.insert(String(decoding: bytes[start..<index], as: UTF8.self))
                }
                start = index + 1
                dots = 0
            }
        }
        return names.sorted()
    }

    private static let isNameByte = (0...255).map { (byte: Int) -> Bool in
        (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
    }

    /// The maximum number of imports that the parser takes from one file.
    public static let maximumImports = 512
    /// The maximum number of imported names (``PythonImport/names``) that the parser keeps for one import.
    public static let maximumNames = 64
    private static let maximumLines = 20_000
    private static let longestName = 256

    /// Returns the imports of a source file, including those in `try` blocks and in functions.
    public static func imports(inSource bytes: [UInt8]) -> [PythonImport] {
        var statements = PythonStatements()
        let lines = bytes.split(maxSplits: maximumLines) { $0 == 0x0A || $0 == 0x0D }
        for line in lines.prefix(maximumLines) {
            guard statements.imports.count < maximumImports else { break }
            statements.append(line)
        }
        return Array(statements.imports.prefix(maximumImports))
    }

    /// Returns the text of a name; `nil` if it is too long for a module's name.
    fileprivate static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        bytes.count <= longestName ? String(decoding: bytes, as: UTF8.self) : nil
    }
}

/// A parser that collects the `import` statements of a Python source file, one line at a time.
private struct PythonStatements {
    private static let (importing, from, infix) = (Array("import ".utf8), Array("from ".utf8), Array(" import".utf8))
    /// The size limit in bytes of a list of imported names in parentheses. Once the list reaches this size, the parser
    /// no longer looks for the closing parenthesis.
    private static let longestList = 16_384

    private(set) var imports: [PythonImport] = []
    /// The module after `from` in the current statement; `nil` in an `import` statement.
    private var package: PythonImport?
    private var list: [UInt8] = []
    private var isOpen = false

    mutating func append(_ line: ArraySlice<UInt8>) {
        let code = line.prefix { $0 != UInt8(ascii: "#") }.drop { $0 == 0x20 || $0 == 0x09 }
        if isOpen {
            list.append(0x20)
            list += code.prefix(Self.longestList)
            isOpen = !code.contains(UInt8(ascii: ")"))
        } else if code.starts(with: Self.importing) {
            package = nil
            open(code.dropFirst(Self.importing.count))
        } else if code.starts(with: Self.from) {
            let rest = code.dropFirst(Self.from.count)
            guard let end = Self.position(of: Self.infix, in: rest) else { return }
            let name = rest[..<end].drop { $0 == 0x20 }
            let module = name.drop { $0 == UInt8(ascii: ".") }
            guard !name.isEmpty, let text = PythonImports.name(module.prefix { $0 != 0x20 }) else { return }
            package = PythonImport(level: name.count - module.count, module: text)
            open(rest[end...].dropFirst(Self.infix.count))
        } else {
            return
        }
        if isOpen, list.count < Self.longestList { return }
        close()
    }

    private mutating func open(_ rest: ArraySlice<UInt8>) {
        list = Array(rest.prefix(Self.longestList))
        isOpen = list.contains(UInt8(ascii: "(")) && !list.contains(UInt8(ascii: ")"))
    }

    private mutating func close() {
        let separators = Array(",();".utf8)
        let names = list.split { separators.contains($0) }.lazy
            .compactMap { $0.split(separator: 0x20, maxSplits: 1).first.flatMap(PythonImports.name) }
            .filter { $0 != "*" }
        if var package {
            package.names = Array(names.prefix(PythonImports.maximumNames))
            imports.append(package)
        } else {
            imports += names.prefix(PythonImports.maximumImports).map { PythonImport(level: 0, module: $0) }
        }
        (list, isOpen) = ([], false)
    }

    private static func position(of word: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
        bytes.indices.first { bytes[$0...].starts(with: word) }
    }
}
