/// A node of a parsed regular expression.
indirect enum LinearRegexNode: Sendable {
    case empty
    case character(LinearRegex.CharacterSet)
    case assertion(LinearRegex.Assertion)
    case sequence([LinearRegexNode])
    case alternatives([LinearRegexNode])
    /// A repeated node, with the minimum and maximum number of repetitions. A maximum of `nil` means unlimited.
    case repeated(LinearRegexNode, Int, Int?)
}

/// A parser of the syntax of Go's `regexp/syntax`.
struct LinearRegexParser {
    typealias Failure = LinearRegex.ParseError

    private struct Flags {
        var ignoresCase = false
        var isMultiline = false
        var dotTakesNewline = false
    }

    /// The maximum depth of nested groups, and the maximum count in a repetition such as `{2,5}`. RE2 allows 1000 for
    /// both.
    private static let deepest = 100
    private static let mostRepetitions = 1000

    private let pattern: [Unicode.Scalar]
    private var position = 0
    private var flags = Flags()

    init(_ pattern: String) {
        self.pattern = Array(pattern.unicodeScalars)
    }

    private var next: Unicode.Scalar? { position < pattern.count ? pattern[position] : nil }

    private mutating func take(_ scalar: Unicode.Scalar) -> Bool {
        guard next == scalar else { return false }
        position += 1
        return true
    }

    mutating func parse() throws(Failure) -> LinearRegexNode {
        let node = try alternatives(depth: 0)
        guard next == nil else { throw .malformed }
        return node
    }

    private mutating func alternatives(depth: Int) throws(Failure) -> LinearRegexNode {
        guard depth <= Self.deepest else { throw .unsupported("nesting this deep") }
        var nodes = [try sequence(depth: depth)]
        while take("|") { nodes.append(try sequence(depth: depth)) }
        return nodes.count == 1 ? nodes[0] : .alternatives(nodes)
    }

    private mutating func sequence(depth: Int) throws(Failure) -> LinearRegexNode {
        var nodes: [LinearRegexNode] = []
        while let scalar = next, scalar != "|", scalar != ")" {
            var node = try atom(depth: depth)
            var repetitions = 0
            while let (least, most) = try repetition() {
                // `a**` is an error in Go.
                guard repetitions == 0 else { throw .malformed }
                repetitions += 1
                node = .repeated(node, least, most)
            }
            nodes.append(node)
        }
        return nodes.isEmpty ? .empty : .sequence(nodes)
    }

    private mutating func repetition() throws(Failure) -> (Int, Int?)? {
        let result: (Int, Int?)
        switch next {
        case "*": result = (0, nil)
        case "+": result = (1, nil)
        case "?": result = (0, 1)
        case "{":
            guard let counted = try counts() else { return nil }
            _ = take("?")
            return counted
        default: return nil
        }
        position += 1
        // The `?` makes the repetition non-greedy, which has no effect here.
        _ = take("?")
        return result
    }

    /// Parses `{2}`, `{2,}` or `{2,5}` into the minimum and maximum count. Returns `nil` for any other brace, which is
    /// literal text.
    private mutating func counts() throws(Failure) -> (Int, Int?)? {
        let start = position
        position += 1
        guard let least = number() else {
            position = start
            return nil
        }
        var most: Int? = least
        if take(",") {
            most = number()
            if most == nil, next != "}" {
                position = start
                return nil
            }
        }
        guard take("}") else {
            position = start
            return nil
        }
        guard least <= Self.mostRepetitions, (most ?? 0) <= Self.mostRepetitions, most ?? least >= least else {
            throw .malformed
        }
        return (least, most)
    }

    private mutating func number() -> Int? {
        var value: Int?
        while let scalar = next, scalar.isDigit {
            value = min((value ?? 0) * 10 + Int(scalar.value - 0x30), 1_000_000)
            position += 1
        }
        return value
    }

    private mutating func atom(depth: Int) throws(Failure) -> LinearRegexNode {
        guard let scalar = next else { throw .malformed }
        if scalar == "{" {
            // A count must follow something that it repeats.
            let start = position
            if try counts() != nil { throw .malformed }
            position = start
        }
        position += 1
        switch scalar {
        case ".": return .character(flags.dotTakesNewline ? .everything : .notNewline)
        case "^": return .assertion(flags.isMultiline ? .lineStart : .textStart)
        case "$": return .assertion(flags.isMultiline ? .lineEnd : .textEnd)
        case "[": return .character(try characterClass())
        case "(": return try group(depth: depth)
        case "\\": return try escape()
        case "*", "+", "?": throw .malformed
        default: return literal(scalar.value)
        }
    }

    private func literal(_ value: UInt32) -> LinearRegexNode {
        .character(LinearRegex.CharacterSet(ranges: [value...value], ignoresCase: flags.ignoresCase))
    }

    private mutating func group(depth: Int) throws(Failure) -> LinearRegexNode {
        let outer = flags
        if take("?") {
            if take("P") {
                guard next == "<" else { throw .malformed }
            }
            if take("<") {
                var length = 0
                while let scalar = next, scalar != ">" {
                    guard LinearRegex.CharacterSet.word.contains(scalar) else { throw .malformed }
                    position += 1
                    length += 1
                }
                guard take(">"), length > 0 else { throw .malformed }
            } else if try !flagGroup() {
                // `(?i)` applies until the end of the enclosing group.
                return .empty
            }
        }
        let node = try alternatives(depth: depth + 1)
        guard take(")") else { throw .malformed }
        flags = outer
        return node
    }

    /// Parses the flags of a group, such as `i-s`, and the character that ends them. Returns true for `:`, which
    /// precedes the group's expression; false for `)`, which ends a group without an expression.
    private mutating func flagGroup() throws(Failure) -> Bool {
        var value = true
        while let scalar = next {
            position += 1
            switch scalar {
            case "i": flags.ignoresCase = value
            case "m": flags.isMultiline = value
            case "s": flags.dotTakesNewline = value
            // `U` swaps greedy and non-greedy, which has no effect here.
            case "U": break
            case "-":
                guard value else { throw .malformed }
                value = false
            case ":": return true
            case ")": return false
            default: throw .malformed
            }
        }
        throw .malformed
    }

    private mutating func escape() throws(Failure) -> LinearRegexNode {
        guard let scalar = next else { throw .malformed }
        switch scalar {
        case "A", "z", "b", "B":
            position += 1
            switch scalar {
            case "A": return .assertion(.textStart)
            case "z": return .assertion(.textEnd)
            case "b": return .assertion(.wordBoundary)
            default: return .assertion(.noWordBoundary)
            }
        case "Q", "C", "p", "P": throw .unsupported("\\\(scalar)")
        default: break
        }
        if let set = takePerlClass() { return .character(set) }
        return literal(try escapedCharacter())
    }

    /// Parses the letter of `\d`, `\s`, `\w`, `\D`, `\S` or `\W`. The caller has consumed the backslash. Returns `nil`
    /// and consumes nothing for any other character.
    private mutating func takePerlClass() -> LinearRegex.CharacterSet? {
        let set: LinearRegex.CharacterSet
        switch next {
        case "d", "D": set = .digit
        case "s", "S": set = .space
        case "w", "W": set = .word
        default: return nil
        }
        let isOpposite = next.map { ("A"..."Z").contains($0) } ?? false
        position += 1
        return isOpposite ? LinearRegex.CharacterSet(ranges: set.complement) : set
    }

    private mutating func escapedCharacter() throws(Failure) -> UInt32 {
        guard let scalar = next else { throw .malformed }
        position += 1
        switch scalar {
        case "a": return 7
        case "f": return 12
        case "t": return 9
        case "n": return 10
        case "r": return 13
        case "v": return 11
        case "x": return try hexadecimal()
        case "0"..."7":
            // Go treats \1 to \9 as back references, which it does not support, unless they start an octal number.
            guard scalar == "0" || next.map({ ("0"..."7").contains($0) }) ?? false else { throw .malformed }
            var value = scalar.value - 0x30
            for _ in 0..<2 {
                guard let digit = next, ("0"..."7").contains(digit) else { break }
                value = value * 8 + digit.value - 0x30
                position += 1
            }
            return value
        default:
            // Any punctuation may be escaped. A letter or digit without a special meaning may not.
            guard scalar.isASCII, !LinearRegex.CharacterSet.word.contains(scalar) else { throw .malformed }
            return scalar.value
        }
    }

    private mutating func hexadecimal() throws(Failure) -> UInt32 {
        let isBraced = take("{")
        var value: UInt32 = 0
        var digits = 0
        while let scalar = next, let digit = Character(scalar).hexDigitValue, digits < (isBraced ? 6 : 2) {
            value = value << 4 | UInt32(digit)
            digits += 1
            position += 1
        }
        guard isBraced ? digits > 0 && take("}") : digits == 2, value <= 0x10FFFF else { throw .malformed }
        return value
    }

    private mutating func characterClass() throws(Failure) -> LinearRegex.CharacterSet {
        var set = LinearRegex.CharacterSet(ranges: [], ignoresCase: flags.ignoresCase)
        set.isNegated = take("^")
        var isFirst = true
        while isFirst || next != "]" {
            isFirst = false
            if let named = try takeNamedClass() {
                set.ranges += named
                continue
            }
            if next == "\\" {
                position += 1
                if next == "p" || next == "P" { throw .unsupported("\\p") }
                if let perl = takePerlClass() {
                    set.ranges += perl.ranges
                    continue
                }
                position -= 1
            }
            let low = try classCharacter()
            var high = low
            if next == "-", position + 1 < pattern.count, pattern[position + 1] != "]" {
                position += 1
                high = try classCharacter()
            }
            guard low <= high else { throw .malformed }
            set.ranges.append(low...high)
        }
        position += 1
        return set
    }

    private mutating func classCharacter() throws(Failure) -> UInt32 {
        guard let scalar = next else { throw .malformed }
        position += 1
        return scalar == "\\" ? try escapedCharacter() : scalar.value
    }

    /// Parses a named class such as `[:alpha:]`. Returns `nil` if no such class starts at this position.
    private mutating func takeNamedClass() throws(Failure) -> [ClosedRange<UInt32>]? {
        guard next == "[", position + 1 < pattern.count, pattern[position + 1] == ":" else { return nil }
        var end = position + 2
        while end + 1 < pattern.count, !(pattern[end] == ":" && pattern[end + 1] == "]") { end += 1 }
        guard end + 1 < pattern.count else { return nil }
        var name = String(String.UnicodeScalarView(pattern[(position + 2)..<end]))
        let isNegated = name.hasPrefix("^")
        if isNegated { name.removeFirst() }
        guard let ranges = Self.namedClasses[name] else { throw .malformed }
        position = end + 2
        return isNegated ? LinearRegex.CharacterSet(ranges: ranges).complement : ranges
    }

    private static let namedClasses: [String: [ClosedRange<UInt32>]] = [
        "alnum": [0x30...0x39, 0x41...0x5A, 0x61...0x7A], "alpha": [0x41...0x5A, 0x61...0x7A], "ascii": [0...0x7F],
        "blank": [0x09...0x09, 0x20...0x20], "cntrl": [0...0x1F, 0x7F...0x7F], "digit": [0x30...0x39],
        "graph": [0x21...0x7E], "lower": [0x61...0x7A], "print": [0x20...0x7E],
        "punct": [0x21...0x2F, 0x3A...0x40, 0x5B...0x60, 0x7B...0x7E], "space": [0x09...0x0D, 0x20...0x20],
        "upper": [0x41...0x5A], "word": [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A],
        "xdigit": [0x30...0x39, 0x41...0x46, 0x61...0x66],
    ]
}
