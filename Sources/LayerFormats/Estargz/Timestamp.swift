/// Points in time as RFC 3339 §5.6 writes them.
enum Timestamp {
    /// Seconds and nanoseconds since 1970, or `nil` when `text` is anything else. A leap second is refused, as Go does.
    @inline(__always)
    static func parse(_ text: UnsafeBufferPointer<UInt8>) -> (seconds: Int64, nanoseconds: UInt32)? {
        guard text.count >= 20, text.count <= 64, text[4] == 0x2d, text[7] == 0x2d, text[10] == 0x54, text[13] == 0x3a,
            text[16] == 0x3a
        else { return nil }
        var isValid = true
        @inline(__always)
        func digit(_ index: Int) -> Int64 {
            let value = text[index] &- 0x30
            isValid = isValid && value < 10
            return Int64(value)
        }
        @inline(__always)
        func pair(_ index: Int) -> Int64 { digit(index) * 10 + digit(index + 1) }
        let year = pair(0) * 100 + pair(2)
        let month = pair(5)
        let day = pair(8)
        let hour = pair(11)
        let minute = pair(14)
        let second = pair(17)
        guard isValid, (1...12).contains(month), day >= 1, day <= days(in: month, of: year), hour < 24, minute < 60,
            second < 60
        else { return nil }
        var nanoseconds: UInt32 = 0
        var rest = 19
        if text[rest] == 0x2e {
            rest += 1
            let first = rest
            // Digits beyond the ninth say less than a nanosecond.
            var unit: UInt32 = 100_000_000
            while rest < text.count, text[rest] &- 0x30 < 10 {
                nanoseconds += UInt32(text[rest] &- 0x30) * unit
                unit /= 10
                rest += 1
            }
            guard rest > first else { return nil }
        }
        var seconds = daysSince1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
        guard rest < text.count else { return nil }
        switch text[rest] {
        case 0x5a:
            guard text.count == rest + 1 else { return nil }
        case 0x2b, 0x2d:
            guard text.count == rest + 6, text[rest + 3] == 0x3a else { return nil }
            let hours = pair(rest + 1)
            let minutes = pair(rest + 4)
            guard isValid, hours < 24, minutes < 60 else { return nil }
            let offset = hours * 3600 + minutes * 60
            seconds -= text[rest] == 0x2b ? offset : -offset
        default: return nil
        }
        return (seconds, nanoseconds)
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Of the proleptic Gregorian calendar, counting years from March, so that the leap day comes last.
    private static func daysSince1970(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shiftedYear = month > 2 ? year : year - 1
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
