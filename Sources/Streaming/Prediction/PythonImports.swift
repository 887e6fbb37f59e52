import Base

/// Which modules a Python file may import when it is loaded: names, to be looked for.
enum PythonImports {
    /// A compiled file (`.pyc`): the names that its top level uses. The ones that it imports are among them; functions, whose
    /// imports come later or never, have their own.
    ///
    /// Versions 3.8 to 3.14 (Lib/importlib/_bootstrap_external.py, "Magic word"; Python/marshal.c). `nil` for others and for
    /// what is damaged.
    static func names(inCompiled bytes: [UInt8]) -> [String]? {
        guard bytes.count > 16, bytes[2] == 0x0D, bytes[3] == 0x0A else { return nil }
        let magic = Int(bytes[0]) | Int(bytes[1]) << 8
        guard (3400..<3700).contains(magic) else { return nil }
        var reader = MarshalReader(bytes, at: 16, hasLocalsPlus: magic >= 3450)
        return reader.topLevelNames()
    }

    /// An extension module (`.so`): the dotted names in it. Cython and pybind11 import by C strings; what is no module is
    /// not found.
    static func names(inExtension bytes: [UInt8]) -> [String] {
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

    /// A source file: what its `import` lines name, also those inside of `try` and of functions' bodies.
    static func names(inSource text: String) -> [String] {
        var names: [String] = []
        var list = ""
        var isOpen = false
        for line in text.split(whereSeparator: \.isNewline).prefix(20_000) {
            let line = line.prefix { $0 != "#" }.drop { $0 == " " || $0 == "\t" }
            if isOpen {
                list += " " + line
            } else if line.hasPrefix("import ") {
                list = String(line.dropFirst(7))
            } else if line.hasPrefix("from "), let range = line.firstRange(of: " import") {
                let package = line[line.index(line.startIndex, offsetBy: 5)..<range.lowerBound]
                let module = package.drop { $0 == "." || $0 == " " }
                if !module.isEmpty { names.append(String(module.prefix { $0 != " " })) }
                list = String(line[range.upperBound...])
            } else {
                continue
            }
            isOpen = list.contains("(") && !list.contains(")") && list.utf8.count < 16_384
            if isOpen { continue }
            for item in list.split(whereSeparator: { $0 == "," || $0 == "(" || $0 == ")" || $0 == ";" }) {
                let name = item.split(separator: " ").first.map(String.init) ?? ""
                if !name.isEmpty, name != "*" { names.append(name) }
            }
            list = ""
        }
        return names
    }
}

/// Reads as much of a marshalled code object (Python/marshal.c, `r_object`) as it takes to know the names of its top level.
private struct MarshalReader {
    private enum Value {
        case text(String)
        case tuple([Value])
        case other
    }

    private struct Damaged: Error {}

    /// Nested deeper, it is not looked at: it is read with a thread's stack.
    private static let maximumDepth = 64

    private let bytes: [UInt8]
    private var position: Int
    private let hasLocalsPlus: Bool
    private var references: [Value] = []

    init(_ bytes: [UInt8], at position: Int, hasLocalsPlus: Bool) {
        self.bytes = bytes
        self.position = position
        self.hasLocalsPlus = hasLocalsPlus
    }

    mutating func topLevelNames() -> [String]? {
        do throws(Damaged) {
            let type = try byte()
            guard type & 0x7F == UInt8(ascii: "c") else { return nil }
            if type & 0x80 != 0 { references.append(.other) }
            try skip(codeHeader)
            _ = try object(1)
            _ = try object(1)
            guard case .tuple(let names) = try object(1) else { return nil }
            return names.compactMap { if case .text(let name) = $0 { name } else { nil } }
        } catch {
            return nil
        }
    }

    /// Bytes of the numbers that a code object begins with.
    private var codeHeader: Int { hasLocalsPlus ? 20 : 24 }

    private mutating func object(_ depth: Int) throws(Damaged) -> Value {
        guard depth < Self.maximumDepth else { throw Damaged() }
        let type = try byte()
        // A reference is numbered before what it holds.
        let reference = type & 0x80 != 0 ? references.count : nil
        if reference != nil { references.append(.other) }
        let value = try body(type & 0x7F, depth)
        if let reference { references[reference] = value }
        return value
    }

    private mutating func body(_ type: UInt8, _ depth: Int) throws(Damaged) -> Value {
        switch Character(UnicodeScalar(type)) {
        case "0", "N", "F", "T", "S", ".": break
        case "i": try skip(4)
        case "I", "g": try skip(8)
        case "y": try skip(16)
        case "f": try skip(Int(try byte()))
        case "x":
            try skip(Int(try byte()))
            try skip(Int(try byte()))
        case "l": try skip(2 * abs(Int(Int32(truncatingIfNeeded: try number()))))
        case "s": try skip(try number())
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
