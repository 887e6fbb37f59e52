import Images
import Testing

@Suite("fallback reason") struct FallbackReasonTests {
    @Test(
        "names codes as metric labels: lowercase words joined by underscores", arguments: FallbackReason.Code.allCases)
    func namesCodesAsLabels(code: FallbackReason.Code) {
        let name = code.rawValue
        #expect(!name.isEmpty && name.utf8.allSatisfy { $0 == UInt8(ascii: "_") || (97...122).contains($0) })
    }

    @Test("describes itself by code and detail")
    func describesItself() {
        #expect(FallbackReason(.notFound).description == "not_found")
        #expect(FallbackReason(.notFound, "no such blob").description == "not_found: no such blob")
    }
}
