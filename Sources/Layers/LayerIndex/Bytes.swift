import Glibc

/// Comparison of names byte by byte, in the order of EROFS directories.
enum Bytes {
    /// Returns a negative number if `left` comes before `right`, 0 if they are equal, and a positive number otherwise.
    /// A name comes before longer names that start with it.
    @inline(__always)
    static func compare(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Int {
        guard let leftStart = left.baseAddress, let rightStart = right.baseAddress else {
            return left.count - right.count
        }
        let order = memcmp(leftStart, rightStart, min(left.count, right.count))
        return order != 0 ? Int(order) : left.count - right.count
    }

    @inline(__always)
    static func equal(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        left.count == right.count && compare(left, right) == 0
    }
}
