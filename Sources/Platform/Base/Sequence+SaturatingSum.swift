extension Sequence<UInt64> {
    /// Returns the sum of the elements, or the largest number if the sum exceeds it. For sizes from outside.
    public func saturatingSum() -> UInt64 {
        reduce(0) { sum, element in
            let (result, overflow) = sum.addingReportingOverflow(element)
            return overflow ? .max : result
        }
    }
}
