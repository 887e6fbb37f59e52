// Arithmetic for sizes from untrusted data.

extension UInt64 {
    /// Returns this number times `factor`, or `UInt64.max` if the product overflows.
    public func times(_ factor: UInt64) -> UInt64 {
        let (product, overflow) = multipliedReportingOverflow(by: factor)
        return overflow ? .max : product
    }

    /// Returns the sum of this number and `other`, or `UInt64.max` if the sum overflows.
    public func plus(_ other: UInt64) -> UInt64 {
        let (sum, overflow) = addingReportingOverflow(other)
        return overflow ? .max : sum
    }
}

extension Sequence<UInt64> {
    /// Returns the sum of the elements, or `UInt64.max` if the sum overflows.
    public func saturatingSum() -> UInt64 { reduce(0) { $0.plus($1) } }
}
