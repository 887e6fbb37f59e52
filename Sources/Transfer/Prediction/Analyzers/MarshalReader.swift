/// A reader of the top-level imports in a Python code object, in the format of the `marshal` module (Python/marshal.c,
/// `r_object`).
struct MarshalReader {
    private enum Value {
        case text(String)
        case tuple([Value])
        case integer(Int)
        case bytes(Range<Int>)
        case other
    }

    // Instructions of Python 3.8 to 3.12 (Lib/opcode.py). Each has two bytes: its code and its argument.
    private static let loadConstant: UInt8 = 100
    private static let importName: UInt8 = 108
    private static let extendedArgument: UInt8 = 144

    private struct Damaged: Error {}

    /// The maximum depth of nested objects. The reader recurses, so the depth needs a limit.
    private static let maximumDepth = 64
    /// The maximum number of objects that the reader keeps because later objects may refer to them (`FLAG_REF`). A code
    /// object with more such objects counts as corrupt. Without a limit, every byte of a hostile file could add an
    /// object.
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

    /// Returns the imports of the code object; `nil` if the code object is corrupt.
    ///
    /// - Parameter hasKnownInstructions: true if this type knows the instruction set of the code's Python version. If
    ///   false, every name that the code uses counts as an import.
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
            return imports(in: range, constants: constants, names: texts)
        } catch {
            return nil
        }
    }

    /// Returns the imports in the instructions of a code object. The compiler turns an import into `LOAD_CONST level;
    /// LOAD_CONST names; IMPORT_NAME module` (Python/compile.c).
    private func imports(in code: Range<Int>, constants: [Value], names: [String]) -> [PythonImport] {
        var imports: [PythonImport] = []
        var argument = 0
        // The two constants that the last instructions loaded.
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
                    // Take a bounded part of the list, since any number of imports may refer to the same long list.
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

    /// The size in bytes of the fixed-size numbers at the start of a code object.
    private var codeHeader: Int { hasLocalsPlus ? 20 : 24 }

    private mutating func object(_ depth: Int) throws(Damaged) -> Value {
        guard depth < Self.maximumDepth else { throw Damaged() }
        let type = try byte()
        // An object gets its reference number before the objects inside it get theirs.
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
        // Each item takes at least one byte.
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
