import Base

/// The entry points that a `package.json` names (Node.js documentation, "Modules: Packages", "Package entry points").
///
/// This type searches the text in place, and decodes only the paths that it needs. It limits the depth of nesting, the
/// number of alternative paths, and the length of a path.
public struct PackageManifest: Sendable {
    private static let maximumDepth = 8
    private static let maximumAlternatives = 16
    private static let longestPath = 1024

    /// The text of the `package.json`, followed by ``JSONCursor/padding`` zero bytes.
    private let text: [UInt8]
    private var main: String?
    /// The position in ``text`` of the value of the key `exports`; `nil` if there is no such key.
    private var exports: Int?

    /// Reads the text of a `package.json`; `nil` if the text is not a JSON object, or if it nests values too deeply.
    public init?(_ bytes: [UInt8]) {
        text = bytes + [UInt8](repeating: 0, count: JSONCursor.padding)
        var found: (main: String?, exports: Int?)
        let isValid: Bool? = read(at: 0) { cursor throws(JSONStop) in
            try Self.forEachMember(&cursor) { key, cursor throws(JSONStop) in
                if Self.isEqual(key, to: "exports", in: cursor) {
                    found.exports = cursor.position
                } else if Self.isEqual(key, to: "main", in: cursor), cursor.next == UInt8(ascii: "\"") {
                    found.main = Self.string(try cursor.string(), cursor)
                    return
                }
                try cursor.skipValue()
            }
            cursor.skipSpace()
            return cursor.position == bytes.count
        }
        guard isValid == true else { return nil }
        (main, exports) = found
    }

    /// Returns the path of the file that `rest` refers to, relative to the package's directory.
    ///
    /// The result is the first of these that exists:
    /// - the path for `rest` under the key `exports`
    /// - `rest` itself, unless it is empty
    /// - the path under the key `main`
    /// - `index`
    ///
    /// - Parameters:
    ///   - rest: the part of the module name after the package's name; empty for the package itself.
    ///   - isImport: true if `import` loads the module, false if `require` does.
    public func target(of rest: String, isImport: Bool) -> String {
        if let exports, let path = exported(rest, from: exports, isImport: isImport) { return path }
        if !rest.isEmpty { return rest }
        if let main, !main.isEmpty { return main }
        return "index"
    }

    private func exported(_ rest: String, from exports: Int, isImport: Bool) -> String? {
        let wanted = rest.isEmpty ? "." : "./" + rest
        var entry: Int?
        var hasPaths = false
        let isObject: Bool? = read(at: exports) { cursor throws(JSONStop) in
            guard cursor.next == UInt8(ascii: "{") else { return false }
            try Self.forEachMember(&cursor) { key, cursor throws(JSONStop) in
                if cursor.withBytes(of: key, { $0.first == UInt8(ascii: ".") }) { hasPaths = true }
                if Self.isEqual(key, to: wanted, in: cursor) { entry = cursor.position }
                try cursor.skipValue()
            }
            return true
        }
        if isObject == true, hasPaths { return entry.flatMap { choose(at: $0, isImport: isImport, depth: 0) } }
        return rest.isEmpty ? choose(at: exports, isImport: isImport, depth: 0) : nil
    }

    /// Returns the path that a value in `exports` leads to; `nil` if there is none.
    ///
    /// The value may be the path itself, an array or an object. In an array, the function tries the elements in order.
    /// In an object, it tries the value of the key `node`, then of `import` or `require` (``NodeImport/isImport``),
    /// then of `default`.
    ///
    /// - Parameter position: the position of the value in ``text``.
    private func choose(at position: Int, isImport: Bool, depth: Int) -> String? {
        guard depth < Self.maximumDepth else { return nil }
        var path: String?
        var alternatives: [Int] = []
        var conditions: (node: Int?, kind: Int?, otherwise: Int?)
        let kind = isImport ? "import" : "require"
        let isRead: Bool? = read(at: position) { cursor throws(JSONStop) in
            switch cursor.next {
            case UInt8(ascii: "\""): path = Self.string(try cursor.string(), cursor)
            case UInt8(ascii: "["):
                try Self.forEachElement(&cursor) { cursor throws(JSONStop) in
                    if alternatives.count < Self.maximumAlternatives { alternatives.append(cursor.position) }
                    try cursor.skipValue()
                }
            case UInt8(ascii: "{"):
                try Self.forEachMember(&cursor) { key, cursor throws(JSONStop) in
                    if Self.isEqual(key, to: "node", in: cursor) { conditions.node = cursor.position }
                    if Self.isEqual(key, to: kind, in: cursor) { conditions.kind = cursor.position }
                    if Self.isEqual(key, to: "default", in: cursor) { conditions.otherwise = cursor.position }
                    try cursor.skipValue()
                }
                alternatives = [conditions.node, conditions.kind, conditions.otherwise].compactMap { $0 }
            default: break
            }
            return true
        }
        guard isRead == true else { return nil }
        if let path { return path }
        for alternative in alternatives {
            if let path = choose(at: alternative, isImport: isImport, depth: depth + 1) { return path }
        }
        return nil
    }

    // MARK: - Text

    /// Runs `body` with a cursor at `position`, and returns the result of `body`; `nil` if the text is malformed.
    private func read<Result>(
        at position: Int, _ body: (inout JSONCursor) throws(JSONStop) -> Result
    ) -> Result? {
        text.withUnsafeBufferPointer { text in
            guard let start = text.baseAddress else { return nil }
            // The padding follows the text, as the cursor requires, and `position` came from such a cursor.
            var cursor = JSONCursor(start: start, count: text.count - JSONCursor.padding, at: position, scratch: [])
            cursor.skipSpace()
            do throws(JSONStop) {
                return try body(&cursor)
            } catch {
                return nil
            }
        }
    }

    private static func forEachMember(
        _ cursor: inout JSONCursor, _ body: (JSONString, inout JSONCursor) throws(JSONStop) -> Void
    ) throws(JSONStop) {
        try cursor.expect(UInt8(ascii: "{"), "no object")
        cursor.skipSpace()
        if cursor.take(UInt8(ascii: "}")) { return }
        while true {
            cursor.scratch.removeAll(keepingCapacity: true)
            cursor.skipSpace()
            let key = try cursor.string()
            cursor.skipSpace()
            try cursor.expect(UInt8(ascii: ":"), "a key without a value")
            cursor.skipSpace()
            try body(key, &cursor)
            cursor.skipSpace()
            if cursor.take(UInt8(ascii: "}")) { return }
            try cursor.expect(UInt8(ascii: ","), "an object that does not end")
        }
    }

    private static func forEachElement(
        _ cursor: inout JSONCursor, _ body: (inout JSONCursor) throws(JSONStop) -> Void
    ) throws(JSONStop) {
        try cursor.expect(UInt8(ascii: "["), "no array")
        cursor.skipSpace()
        if cursor.take(UInt8(ascii: "]")) { return }
        while true {
            cursor.scratch.removeAll(keepingCapacity: true)
            cursor.skipSpace()
            try body(&cursor)
            cursor.skipSpace()
            if cursor.take(UInt8(ascii: "]")) { return }
            try cursor.expect(UInt8(ascii: ","), "an array that does not end")
        }
    }

    private static func isEqual(_ text: JSONString, to name: String, in cursor: JSONCursor) -> Bool {
        cursor.withBytes(of: text) { $0.elementsEqual(name.utf8) }
    }

    private static func string(_ text: JSONString, _ cursor: JSONCursor) -> String? {
        guard text.count <= longestPath else { return nil }
        return cursor.withBytes(of: text) { String(validating: $0, as: UTF8.self) }
    }
}
