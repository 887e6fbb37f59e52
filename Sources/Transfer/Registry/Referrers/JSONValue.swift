/// Any JSON value. With this type we can change a document without losing the fields that we do not know.
///
/// Decoding takes about 2.5 KiB of stack per level of nesting. Foundation's decoder stops only at 512 levels, which is
/// too deep for a stack of 1 MiB. So this type has its own limit, ``maximumDepth``.
public enum JSONValue: Codable, Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// The nesting depth at which decoding fails. The depth of a value is the number of arrays and objects that contain
    /// it. The deepest values of an image index have a depth of 5.
    public static let maximumDepth = 64

    /// Decodes any value.
    ///
    /// - Throws: `DecodingError` if a value has a depth of ``maximumDepth`` or more.
    public init(from decoder: any Decoder) throws {
        guard decoder.codingPath.count < Self.maximumDepth else {
            throw DecodingError.dataCorrupted(
                DecodingError.Context(
                    codingPath: [], debugDescription: "values nested deeper than \(Self.maximumDepth) levels"))
        }
        let value = try decoder.singleValueContainer()
        if value.decodeNil() {
            self = .null
        } else if let bool = try? value.decode(Bool.self) {
            self = .bool(bool)
        } else if let integer = try? value.decode(Int64.self) {
            self = .integer(integer)
        } else if let number = try? value.decode(Double.self) {
            self = .number(number)
        } else if let string = try? value.decode(String.self) {
            self = .string(string)
        } else if let array = try? value.decode([JSONValue].self) {
            self = .array(array)
        } else {
            self = .object(try value.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var value = encoder.singleValueContainer()
        switch self {
        case .null: try value.encodeNil()
        case .bool(let bool): try value.encode(bool)
        case .integer(let integer): try value.encode(integer)
        case .number(let number): try value.encode(number)
        case .string(let string): try value.encode(string)
        case .array(let array): try value.encode(array)
        case .object(let object): try value.encode(object)
        }
    }
}
