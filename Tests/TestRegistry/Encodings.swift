/// A Base64 encoder that does not need Foundation.
enum Base64 {
    static func encode(_ text: String) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var result: [UInt8] = []
        let bytes = Array(text.utf8)
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            var value: UInt32 = 0
            for index in 0..<3 {
                value = value << 8 | (index < group.count ? UInt32(group[start + index]) : 0)
            }
            for index in 0..<4 {
                let digit = alphabet[Int(value >> UInt32(18 - 6 * index) & 63)]
                result.append(index <= group.count ? digit : 0x3d)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }
}

/// A formatter of the dates in presigned URLs.
enum Calendar {
    /// Returns the date in the form `20240131T235959Z`.
    static func basic(_ secondsSince1970: Int64) -> String {
        var day = secondsSince1970 / 86400
        let second = secondsSince1970 % 86400
        var year: Int64 = 1970
        while true {
            let length: Int64 = isLeap(year) ? 366 : 365
            if day < length { break }
            day -= length
            year += 1
        }
        var month = 1
        for length in [31, isLeap(year) ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as [Int64] {
            if day < length { break }
            day -= length
            month += 1
        }
        let two = { (value: Int64) in value < 10 ? "0\(value)" : "\(value)" }
        return
            "\(year)\(two(Int64(month)))\(two(day + 1))T\(two(second / 3600))\(two(second / 60 % 60))\(two(second % 60))Z"
    }

    private static func isLeap(_ year: Int64) -> Bool {
        year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
    }
}
