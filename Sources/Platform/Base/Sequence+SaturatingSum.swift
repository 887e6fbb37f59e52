extension Sequence<UInt64> {
    /// Returns the sum of the elements, or `UInt64.max` if the sum overflows. Use this for sizes from untrusted data.
    public func saturatingSum() -> UInt64 {
        reduce(0) { sum, element in
            let (result, overflow) = sum.addingReportingOverflow(element)
            return overflow ? .max : result
        }
    }
}
