/// A parser and a formatter of times in the format of RFC 3339 §5.6.
enum Timestamp {
    /// Returns seconds and nanoseconds since 1970; `nil` if `text` is not a valid time. Like Go, refuses a leap second.
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
            // Digits after the ninth are less than a nanosecond, and `unit` is 0 for them.
            var unit: UInt32 = 100_000_000
            while rest < text.count, text[rest] &- 0x30 < 10 {
                nanoseconds += UInt32(text[rest] &- 0x30) * unit
                unit /= 10
                rest += 1
            }
            guard rest > first else { return nil }
        }
        var seconds = daysSince1970(year: year, month: month, day: day) * 86_400 + hour * 3600 + minute * 60 + second
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

    /// Returns the time in UTC, without fractions; `nil` outside the years 1 to 9999, which have four digits.
    static func format(_ seconds: Int64) -> String? {
        guard (-62_135_596_800..<253_402_300_800).contains(seconds) else { return nil }
        let days = seconds >= 0 ? seconds / 86_400 : (seconds - 86_399) / 86_400
        let rest = seconds - days * 86_400
        // The inverse of daysSince1970.
        let shifted = days + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        func digits(_ value: Int64, _ count: Int) -> String {
            let text = String(value)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return "\(digits(year, 4))-\(digits(month, 2))-\(digits(day, 2))T"
            + "\(digits(rest / 3600, 2)):\(digits(rest / 60 % 60, 2)):\(digits(rest % 60, 2))Z"
    }

    private static func days(in month: Int64, of year: Int64) -> Int64 {
        switch month {
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        case 4, 6, 9, 11: 30
        default: 31
        }
    }

    /// Returns the number of days from 1970-01-01 to a date of the proleptic Gregorian calendar. Counts years from
    /// March, so that the leap day comes last.
    private static func daysSince1970(year: Int64, month: Int64, day: Int64) -> Int64 {
        let shiftedYear = month > 2 ? year : year - 1
        let era = (shiftedYear >= 0 ? shiftedYear : shiftedYear - 399) / 400
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}
