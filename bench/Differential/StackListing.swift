/// A listing of a stack's entries, for the search for a difference.
enum StackListing {
    static func show(_ stack: Stack) {
        print("stack \(stack.number): \(stack.form.rawValue)")
        for (index, layer) in stack.layers.enumerated() {
            print(" layer \(index): \(layer.packing.rawValue)")
            for entry in layer.entries {
                var text = "\(UnicodeScalar(entry.type)) \(name(entry.path)) \(String(entry.mode, radix: 8))"
                text += " \(entry.uid):\(entry.gid) \(entry.seconds).\(entry.nanoseconds) \(entry.content.count)"
                if !entry.link.isEmpty { text += " -> \(name(entry.link))" }
                if entry.isDevice { text += " \(entry.major):\(entry.minor)" }
                if let sparse = entry.sparse { text += " sparse \(sparse.rawValue)" }
                for attribute in entry.xattrs { text += " \(attribute.name)=\(attribute.value)" }
                print("  \(text) [\(entry.style.rawValue)]")
            }
        }
    }

    private static func name(_ bytes: [UInt8]) -> String {
        bytes.map { $0 > 0x20 && $0 < 0x7F ? String(UnicodeScalar($0)) : "\\x" + String($0, radix: 16) }.joined()
    }
}
