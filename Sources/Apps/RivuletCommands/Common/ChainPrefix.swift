import ArgumentParser
import Base

/// A chain ID on the command line, either complete or as an unambiguous prefix.
struct ChainPrefix: Sendable {
    private static let minimumDigits = 8

    /// The ID's first digits: 8 to 64 lowercase hexadecimal digits.
    let digits: String

    /// Parses digits in any case, with or without the prefix `sha256:`.
    init(parsing text: String) throws {
        let digits = (text.hasPrefix("sha256:") ? text.dropFirst(7) : text[...]).lowercased()
        guard (Self.minimumDigits...2 * Digest.byteCount).contains(digits.utf8.count),
            digits.utf8.allSatisfy({ Hex.value(of: $0) != nil })
        else {
            throw ValidationError(
                "a chain ID has \(2 * Digest.byteCount) hexadecimal digits, with or without sha256: "
                    + "before them; give all of them or the first \(Self.minimumDigits) or more")
        }
        self.digits = digits
    }

    /// The complete chain ID; `nil` if there are fewer than 64 digits.
    var whole: Digest? { Digest(hex: digits.utf8) }

    func matches(_ chain: Digest) -> Bool { chain.hex.hasPrefix(digits) }
}

extension Digest {
    /// The first 12 digits of a chain ID, for tables. The command line accepts these digits in place of the complete
    /// ID.
    var short: String { String(hex.prefix(12)) }
}
