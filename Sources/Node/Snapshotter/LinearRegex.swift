/// A regular expression in the syntax of Go's `regexp` package, matched in time linear in the text.
///
/// Snapshot filters contain such expressions. Any client of the socket may send filters, and anyone may have written
/// the labels that the filters match. Swift's own `Regex` backtracks, so `(a+)+$` could block a thread indefinitely.
/// This matcher follows all alternatives at once, as RE2 does, and gives up after a given number of steps. The matcher
/// does not report the length of a match, so greediness has no effect.
package struct LinearRegex: Sendable {
    package enum ParseError: Error {
        /// The pattern is not a regular expression.
        case malformed
        /// The pattern uses a feature of Go that ``LinearRegex`` does not support: a Unicode property class, `\Q`, or
        /// `\C`. Or the pattern exceeds a limit on size or nesting.
        case unsupported(String)
    }

    /// The set of characters that one instruction of the compiled expression accepts (``Instruction/character(_:)``).
    struct CharacterSet: Sendable {
        var ranges: [ClosedRange<UInt32>]
        var isNegated = false
        var ignoresCase = false

        func contains(_ scalar: Unicode.Scalar) -> Bool {
            func isIn(_ value: UInt32) -> Bool { ranges.contains { $0.contains(value) } }
            if isIn(scalar.value) { return !isNegated }
            if ignoresCase {
                let properties = scalar.properties
                for mapped in [properties.lowercaseMapping, properties.uppercaseMapping] {
                    let scalars = mapped.unicodeScalars
                    if scalars.count == 1, let first = scalars.first, isIn(first.value) { return !isNegated }
                }
            }
            return isNegated
        }
    }

    enum Assertion: Sendable {
        case textStart, textEnd, lineStart, lineEnd, wordBoundary, noWordBoundary
    }

    enum Instruction: Sendable {
        case character(CharacterSet)
        case assertion(Assertion)
        case split(Int, Int)
        case jump(Int)
        case match
    }

    /// The limit on the number of instructions in one compiled expression. It bounds the work per character.
    static let largestProgram = 1000

    let program: [Instruction]

    package init(_ pattern: String) throws(ParseError) {
        var parser = LinearRegexParser(pattern)
        let tree = try parser.parse()
        var program: [Instruction] = []
        var nodes = 0
        try Self.compile(tree, into: &program, counting: &nodes)
        program.append(.match)
        self.program = program
    }

    /// Compiles `node` and appends its instructions to `program`.
    ///
    /// `nodes` counts the compiled nodes and has a limit, too: repetitions of an empty node take time without producing
    /// instructions.
    private static func compile(
        _ node: LinearRegexNode, into program: inout [Instruction], counting nodes: inout Int
    ) throws(ParseError) {
        nodes += 1
        guard program.count < largestProgram, nodes < 10 * largestProgram else {
            throw .unsupported("an expression of this size")
        }
        switch node {
        case .empty: break
        case .character(let set): program.append(.character(set))
        case .assertion(let assertion): program.append(.assertion(assertion))
        case .sequence(let parts):
            for part in parts { try compile(part, into: &program, counting: &nodes) }
        case .alternatives(let parts):
            var jumps: [Int] = []
            for (index, part) in parts.enumerated() {
                guard index < parts.count - 1 else {
                    try compile(part, into: &program, counting: &nodes)
                    break
                }
                let split = program.count
                program.append(.match)
                try compile(part, into: &program, counting: &nodes)
                jumps.append(program.count)
                program.append(.match)
                program[split] = .split(split + 1, program.count)
            }
            for jump in jumps { program[jump] = .jump(program.count) }
        case .repeated(let node, let least, let most):
            for _ in 0..<least { try compile(node, into: &program, counting: &nodes) }
            if let most {
                var splits: [Int] = []
                for _ in least..<max(least, most) {
                    splits.append(program.count)
                    program.append(.match)
                    try compile(node, into: &program, counting: &nodes)
                }
                for split in splits { program[split] = .split(split + 1, program.count) }
            } else {
                let split = program.count
                program.append(.match)
                try compile(node, into: &program, counting: &nodes)
                program.append(.jump(split))
                program[split] = .split(split + 1, program.count)
            }
        }
    }

    /// Returns true if the expression matches somewhere in `text`; `nil` if the search runs out of steps.
    ///
    /// - Parameter steps: the number of steps that the search may take. The search subtracts the steps that it took. So
    ///   several searches can share one limit.
    package func isFound(in text: String, steps: inout Int) -> Bool? {
        let scalars = Array(text.unicodeScalars)
        var current = ThreadSet(capacity: program.count)
        var following = ThreadSet(capacity: program.count)
        for position in 0...scalars.count {
            // The search is unanchored, so a new attempt starts at each position.
            if add(0, to: &current, at: position, in: scalars, steps: &steps) { return true }
            guard steps > 0 else { return nil }
            guard position < scalars.count else { break }
            following.removeAll()
            for address in current.addresses {
                steps -= 1
                if case .character(let set) = program[address], set.contains(scalars[position]),
                    add(address + 1, to: &following, at: position + 1, in: scalars, steps: &steps)
                {
                    return true
                }
            }
            guard steps > 0 else { return nil }
            swap(&current, &following)
        }
        return false
    }

    /// Adds to `threads` each instruction that is reachable from `start` without consuming a character. Returns true if
    /// one of these instructions is ``Instruction/match``: the expression then matches.
    private func add(
        _ start: Int, to threads: inout ThreadSet, at position: Int, in text: [Unicode.Scalar], steps: inout Int
    ) -> Bool {
        var stack = [start]
        while let address = stack.popLast() {
            guard threads.insert(address) else { continue }
            steps -= 1
            switch program[address] {
            case .match: return true
            case .character: break
            case .jump(let target): stack.append(target)
            case .split(let first, let second):
                stack.append(second)
                stack.append(first)
            case .assertion(let assertion):
                if Self.holds(assertion, at: position, in: text) { stack.append(address + 1) }
            }
        }
        return false
    }

    private static func holds(_ assertion: Assertion, at position: Int, in text: [Unicode.Scalar]) -> Bool {
        func isWord(_ index: Int) -> Bool {
            guard text.indices.contains(index) else { return false }
            return CharacterSet.word.contains(text[index])
        }
        return switch assertion {
        case .textStart: position == 0
        case .textEnd: position == text.count
        case .lineStart: position == 0 || text[position - 1] == "\n"
        case .lineEnd: position == text.count || text[position] == "\n"
        case .wordBoundary: isWord(position - 1) != isWord(position)
        case .noWordBoundary: isWord(position - 1) == isWord(position)
        }
    }

    /// The instructions that the search has reached at one position of the text, in the order of insertion and without
    /// duplicates.
    private struct ThreadSet {
        var addresses: [Int] = []
        private var isMember: [Bool]

        init(capacity: Int) {
            isMember = [Bool](repeating: false, count: capacity)
        }

        mutating func insert(_ address: Int) -> Bool {
            guard !isMember[address] else { return false }
            isMember[address] = true
            addresses.append(address)
            return true
        }

        mutating func removeAll() {
            for address in addresses { isMember[address] = false }
            addresses.removeAll(keepingCapacity: true)
        }
    }
}

extension LinearRegex.CharacterSet {
    static let digit = Self(ranges: [0x30...0x39])
    static let space = Self(ranges: [0x09...0x0A, 0x0C...0x0D, 0x20...0x20])
    static let word = Self(ranges: [0x30...0x39, 0x41...0x5A, 0x5F...0x5F, 0x61...0x7A])
    static let notNewline = Self(ranges: [0x0A...0x0A], isNegated: true)
    static let everything = Self(ranges: [], isNegated: true)

    /// The complement of the set's ranges.
    var complement: [ClosedRange<UInt32>] {
        var result: [ClosedRange<UInt32>] = []
        var low: UInt32 = 0
        for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if range.lowerBound > low { result.append(low...(range.lowerBound - 1)) }
            low = max(low, range.upperBound &+ 1)
        }
        if low <= 0x10FFFF { result.append(low...0x10FFFF) }
        return result
    }
}
