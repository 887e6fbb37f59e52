/// A parser of the dates in HTTP headers and presigned URLs. It returns seconds since 1970 in UTC, and does not need
/// Foundation's locales.
public enum HTTPDate {
    private static let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

    /// Parses any of HTTP's three date forms: `Sun, 06 Nov 1994 08:49:37 GMT`, `Sunday, 06-Nov-94 08:49:37 GMT` and
    /// `Sun Nov  6 08:49:37 1994`. Returns `nil` if the text has another form. The parser ignores the weekday. It also
    /// ignores the zone, because dates in HTTP are always in GMT.
    public static func secondsSince1970(_ text: String) -> Int64? {
        let words = text.split { $0 == " " || $0 == "," || $0 == "-" }.map(String.init)
        if words.count == 6, let day = Int(words[1]) {
            guard let month = month(words[2]), var year = Int(words[3]), let time = time(words[4]) else { return nil }
            // A year of two digits (RFC 850) stands for a year from 1970 to 2069.
            if words[3].utf8.count == 2 { year += year < 70 ? 2000 : 1900 }
            return seconds(year: year, month: month, day: day, time: time)
        }
        if words.count == 5, let month = month(words[1]), let day = Int(words[2]), let time = time(words[3]),
            let year = Int(words[4])
        {
            return seconds(year: year, month: month, day: day, time: time)
        }
        return nil
    }

    /// Parses `20240131T235959Z` (AWS, Google) or `2024-01-31T23:59:59Z` (Azure). Returns `nil` if the text has another
    /// form.
    ///
    /// The time of day, its seconds and the zone are optional. The parser reads every time as UTC, and drops a fraction
    /// of a second.
    public static func secondsSince1970(iso8601 text: String) -> Int64? {
        let halves = text.split(separator: "T", maxSplits: 1)
        guard let first = halves.first else { return nil }
        let date = first.filter { $0 != "-" }
        guard date.utf8.count == 8, let whole = Int(date), whole > 0 else { return nil }
        var digits =
            halves.count == 2 ? halves[1].prefix { $0 != "." && $0 != "Z" && $0 != "+" }.filter { $0 != ":" } : ""
        guard digits.utf8.count <= 6, digits.utf8.count % 2 == 0 else { return nil }
        while digits.utf8.count < 6 { digits += "0" }
        guard let clock = Int(digits), clock >= 0 else { return nil }
        let time = (hour: clock / 10000, minute: clock / 100 % 100, second: clock % 100)
        guard time.hour < 24, time.minute < 60, time.second <= 60 else { return nil }
        return seconds(year: whole / 10000, month: whole / 100 % 100, day: whole % 100, time: time)
    }

    private static func month(_ text: String) -> Int? {
        months.firstIndex(of: text.lowercased()).map { $0 + 1 }
    }

    private static func time(_ text: String) -> (hour: Int, minute: Int, second: Int)? {
        let parts = text.split(separator: ":").map { Int($0) }
        guard parts.count == 3, let hour = parts[0], let minute = parts[1], let second = parts[2],
            (0..<24).contains(hour), (0..<60).contains(minute), (0...60).contains(second)
        else { return nil }
        return (hour, minute, second)
    }

    /// Converts a UTC date to seconds since 1970 with Howard Hinnant's algorithm for the Gregorian calendar. Returns
    /// `nil` for a year outside 1970...9999, a month outside 1...12, or a day outside 1...31.
    private static func seconds(
        year: Int, month: Int, day: Int, time: (hour: Int, minute: Int, second: Int)
    ) -> Int64? {
        guard (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day) else { return nil }
        let y = month <= 2 ? year - 1 : year
        let era = y / 400
        let yearOfEra = y - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146097 + dayOfEra - 719468
        return Int64(days * 86400 + time.hour * 3600 + time.minute * 60 + time.second)
    }
}
