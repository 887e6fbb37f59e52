import Base

/// A module that a Python file may import when it is loaded, to be looked for.
struct PythonImport: Equatable {
    /// The dots before the name: 0 for none, `nil` where it is not known whether there are any.
    var level: Int?
    /// `package.module`; empty in `from . import name`.
    var module: String
    /// What of it is imported, modules perhaps.
    var names: [String] = []
}

/// Which modules a Python file may import when it is loaded.
enum PythonImports {
    /// A compiled file (`.pyc`): what its top level imports; functions, whose imports come later or never, have their own code.
    /// Of versions whose instructions are not known here it is all the names that the top level uses.
    ///
    /// Versions 3.8 to 3.14 (Lib/importlib/_bootstrap_external.py, "Magic word"; Python/marshal.c). `nil` for others and for
    /// what is damaged.
    static func imports(inCompiled bytes: [UInt8]) -> [PythonImport]? {
        guard bytes.count > 16, bytes[2] == 0x0D, bytes[3] == 0x0A else { return nil }
        let magic = Int(bytes[0]) | Int(bytes[1]) << 8
        guard (3400..<3700).contains(magic) else { return nil }
        var reader = MarshalReader(bytes, at: 16, hasLocalsPlus: magic >= 3450)
        // 3.13 has other numbers for its instructions.
        return reader.imports(hasKnownInstructions: magic < 3550)
    }

    /// An extension module (`.so`): the dotted names in it. Cython and pybind11 import by C strings; what is no module is
    /// not found.
    static func imports(inExtension bytes: [UInt8]) -> [PythonImport] {
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

    /// The most imports of one file, and the most names of one import.
    static let maximumImports = 512
    /// See ``maximumImports``.
    static let maximumNames = 64
    private static let maximumLines = 20_000
    private static let longestName = 256

    /// Returns what the `import` lines of a source file name, also those inside of `try` and of functions' bodies.
    static func imports(inSource bytes: [UInt8]) -> [PythonImport] {
        var statements = PythonStatements()
        let lines = bytes.split(maxSplits: maximumLines) { $0 == 0x0A || $0 == 0x0D }
        for line in lines.prefix(maximumLines) {
            guard statements.imports.count < maximumImports else { break }
            statements.append(line)
        }
        return Array(statements.imports.prefix(maximumImports))
    }

    /// Returns a name that may be a module's; `nil` when it is longer than any.
    fileprivate static func name(_ bytes: ArraySlice<UInt8>) -> String? {
        bytes.count <= longestName ? String(decoding: bytes, as: UTF8.self) : nil
    }
}

/// The `import` statements of a Python source file, line by line.
private struct PythonStatements {
    private static let (importing, from, infix) = (Array("import ".utf8), Array("from ".utf8), Array(" import".utf8))
    /// A list of names in parentheses that is longer is cut.
    private static let longestList = 16_384

    private(set) var imports: [PythonImport] = []
    /// The package behind `from` of the statement that is open; `nil` in an `import` statement.
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

/// Reads as much of a marshalled code object (Python/marshal.c, `r_object`) as it takes to know the names of its top level.
private struct MarshalReader {
    private enum Value {
        case text(String)
        case tuple([Value])
        case integer(Int)
        case bytes(Range<Int>)
        case other
    }

    // Instructions of Python 3.8 to 3.12 (Lib/opcode.py): two bytes each, the second one its argument.
    private static let loadConstant: UInt8 = 100
    private static let importName: UInt8 = 108
    private static let extendedArgument: UInt8 = 144

    private struct Damaged: Error {}

    /// The reader recurses, so the depth has a limit.
    private static let maximumDepth = 64
    /// A file of a mebibyte could mark each of its bytes as an object to refer to.
    private static let maximumReferences = 1 << 17

    private let bytes: [UInt8]
    private var position: Int
    private let hasLocalsPlus: Bool
    private var references: [Value] = []

    init(_ bytes: [UInt8], at position: Int, hasLocalsPlus: Bool) {
        self.bytes = bytes
        self.position = position
        self.hasLocalsPlus = hasLocalsPlus
    }

    /// - Parameter hasKnownInstructions: whether its code can be read; otherwise each name that it uses may be imported.
    mutating func imports(hasKnownInstructions: Bool) -> [PythonImport]? {
        do throws(Damaged) {
            let type = try byte()
            guard type & 0x7F == UInt8(ascii: "c") else { return nil }
            if type & 0x80 != 0 { references.append(.other) }
            try skip(codeHeader)
            let code = try object(1)
            guard case .tuple(let constants) = try object(1), case .tuple(let names) = try object(1) else { return nil }
            let texts = names.map { if case .text(let name) = $0 { name } else { "" } }
            guard hasKnownInstructions, case .bytes(let range) = code else {
                return texts.filter { !$0.isEmpty }.prefix(PythonImports.maximumImports).map {
                    PythonImport(module: $0)
                }
            }
            return imports(in: range, constants, texts)
        } catch {
            return nil
        }
    }

    /// `LOAD_CONST level; LOAD_CONST names; IMPORT_NAME module` is what the compiler makes of an import (Python/compile.c).
    private func imports(in code: Range<Int>, _ constants: [Value], _ names: [String]) -> [PythonImport] {
        var imports: [PythonImport] = []
        var argument = 0
        // The constants that were loaded last.
        var loaded: (Value, Value) = (.other, .other)
        for position in stride(from: code.lowerBound, to: code.upperBound - 1, by: 2)
        where imports.count < PythonImports.maximumImports {
            argument = (argument & 0xFF_FFFF) << 8 | Int(bytes[position + 1])
            switch bytes[position] {
            case Self.extendedArgument: continue
            case Self.loadConstant:
                loaded = (loaded.1, constants.indices.contains(argument) ? constants[argument] : .other)
            case Self.importName where names.indices.contains(argument):
                var found = PythonImport(module: names[argument])
                if case .integer(let level) = loaded.0 { found.level = level }
                if case .tuple(let list) = loaded.1 {
                    // Any number of imports may refer to one long list.
                    found.names = list.prefix(PythonImports.maximumNames).compactMap {
                        if case .text(let name) = $0, name != "*" { name } else { nil }
                    }
                }
                imports.append(found)
            default: break
            }
            argument = 0
        }
        return imports
    }

    /// Bytes of the numbers that a code object begins with.
    private var codeHeader: Int { hasLocalsPlus ? 20 : 24 }

    private mutating func object(_ depth: Int) throws(Damaged) -> Value {
        guard depth < Self.maximumDepth else { throw Damaged() }
        let type = try byte()
        // A reference is numbered before what it holds.
        let reference = type & 0x80 != 0 ? references.count : nil
        if reference != nil {
            guard references.count < Self.maximumReferences else { throw Damaged() }
            references.append(.other)
        }
        let value = try body(type & 0x7F, depth)
        if let reference { references[reference] = value }
        return value
    }

    private mutating func body(_ type: UInt8, _ depth: Int) throws(Damaged) -> Value {
        switch UnicodeScalar(type) {
        case "0", "N", "F", "T", "S", ".": break
        case "i": return .integer(Int(Int32(truncatingIfNeeded: try number())))
        case "I", "g": try skip(8)
        case "y": try skip(16)
        case "f": try skip(Int(try byte()))
        case "x":
            try skip(Int(try byte()))
            try skip(Int(try byte()))
        case "l": try skip(2 * abs(Int(Int32(truncatingIfNeeded: try number()))))
        case "s":
            let count = try number()
            let start = position
            try skip(count)
            return .bytes(start..<position)
        case "t", "u", "a", "A": return .text(try text(try number()))
        case "z", "Z": return .text(try text(Int(try byte())))
        case "(": return .tuple(try items(try number(), depth))
        case ")": return .tuple(try items(Int(try byte()), depth))
        case "[", "<", ">": _ = try items(try number(), depth)
        case "{":
            while true {
                guard position < bytes.count else { throw Damaged() }
                if bytes[position] == UInt8(ascii: "0") {
                    position += 1
                    break
                }
                _ = try object(depth + 1)
                _ = try object(depth + 1)
            }
        case ":": _ = try items(3, depth)
        case "r":
            let index = try number()
            guard references.indices.contains(index) else { throw Damaged() }
            return references[index]
        case "c":
            try skip(codeHeader)
            _ = try items(8, depth)
            try skip(4)
            _ = try items(hasLocalsPlus ? 2 : 1, depth)
        default: throw Damaged()
        }
        return .other
    }

    private mutating func items(_ count: Int, _ depth: Int) throws(Damaged) -> [Value] {
        // Each takes a byte at least.
        guard count <= bytes.count - position else { throw Damaged() }
        var items: [Value] = []
        for _ in 0..<count { items.append(try object(depth + 1)) }
        return items
    }

    private mutating func text(_ count: Int) throws(Damaged) -> String {
        let start = position
        try skip(count)
        return count <= 256 ? String(decoding: bytes[start..<position], as: UTF8.self) : ""
    }

    private mutating func byte() throws(Damaged) -> UInt8 {
        guard position < bytes.count else { throw Damaged() }
        defer { position += 1 }
        return bytes[position]
    }

    private mutating func number() throws(Damaged) -> Int {
        let start = position
        try skip(4)
        return bytes[start..<position].reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    private mutating func skip(_ count: Int) throws(Damaged) {
        guard count >= 0, count <= bytes.count - position else { throw Damaged() }
        position += count
    }
}
