/// One entry of an eStargz TOC, member by member as in its JSON; absent members are `nil` or empty. A test may change
/// any member before the blob is closed.
public struct TOCEntry: Sendable {
    public var name: [UInt8]
    public var type: String
    public var size: Int64?
    public var modtime: String?
    public var linkName: [UInt8]?
    public var mode: Int64?
    public var uid: Int64?
    public var gid: Int64?
    public var userName: String?
    public var groupName: String?
    public var devMajor: Int64?
    public var devMinor: Int64?
    public var xattrs: [(name: String, value: [UInt8])] = []
    public var digest: String?
    public var offset: Int64?
    public var innerOffset: Int64?
    public var chunkOffset: Int64?
    public var chunkSize: Int64?
    public var chunkDigest: String?
    /// Further members as JSON text, written unchanged after the others.
    public var extra: [String] = []

    public init(name: [UInt8], type: String) {
        self.name = name
        self.type = type
    }

    /// The members as JSON text, in the order of Go's library.
    var members: [String] {
        var members = ["\"name\": \(JSONText.string(name))", "\"type\": \"\(type)\""]
        func number(_ key: String, _ value: Int64?) {
            if let value { members.append("\"\(key)\": \(value)") }
        }
        func text(_ key: String, _ value: String?) {
            if let value { members.append("\"\(key)\": \(JSONText.string(Array(value.utf8)))") }
        }
        number("size", size)
        text("modtime", modtime)
        if let linkName { members.append("\"linkName\": \(JSONText.string(linkName))") }
        number("mode", mode)
        number("uid", uid)
        number("gid", gid)
        text("userName", userName)
        text("groupName", groupName)
        number("devMajor", devMajor)
        number("devMinor", devMinor)
        if !xattrs.isEmpty {
            let pairs = xattrs.map { "\(JSONText.string(Array($0.name.utf8))): \"\(JSONText.base64($0.value))\"" }
            members.append("\"xattrs\": {\n\t\t\t\t" + pairs.joined(separator: ",\n\t\t\t\t") + "\n\t\t\t}")
        }
        text("digest", digest)
        number("offset", offset)
        number("innerOffset", innerOffset)
        number("chunkOffset", chunkOffset)
        number("chunkSize", chunkSize)
        text("chunkDigest", chunkDigest)
        return members + extra
    }
}

/// The TOC as JSON text, in the format of Go's `json.MarshalIndent(toc, "", "\t")`.
public enum JSONText {
    /// Returns a whole TOC. `extra` are further members of the top-level object.
    public static func toc(_ entries: [TOCEntry], version: Int = 1, extra: [String] = []) -> [UInt8] {
        var text: [UInt8] = Array("{\n\t\"version\": \(version),\n\t\"entries\": [".utf8)
        for (index, entry) in entries.enumerated() {
            text += (index == 0 ? "\n\t\t{\n\t\t\t" : ",\n\t\t{\n\t\t\t").utf8
            text += entry.members.joined(separator: ",\n\t\t\t").utf8
            text += "\n\t\t}".utf8
        }
        text += (entries.isEmpty ? "]" : "\n\t]").utf8
        for member in extra { text += ",\n\t\(member)".utf8 }
        return text + Array("\n}".utf8)
    }

    /// Returns a JSON string with Go's escapes. As in Go, invalid UTF-8 becomes U+FFFD.
    public static func string(_ bytes: [UInt8]) -> String {
        var text = "\""
        for scalar in String(decoding: bytes, as: UTF8.self).unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "<", ">", "&", "\u{2028}", "\u{2029}", "\u{0}"..."\u{1f}":
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }

    /// Returns standard base64 with padding (RFC 4648 §4).
    public static func base64(_ bytes: [UInt8]) -> String {
        let digits = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var word: UInt32 = 0
            for (position, byte) in group.enumerated() { word |= UInt32(byte) << (16 - 8 * UInt32(position)) }
            for position in 0..<4 {
                text.append(position <= group.count ? digits[Int(word >> (18 - 6 * UInt32(position)) & 63)] : 0x3d)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
