import Glibc
import Linux
import Testing

@Suite("limit of open descriptors") struct DescriptorLimitTests {
    @Test("is raised to what the process may have") func raises() throws {
        let raised = try Sys.raiseDescriptorLimit()
        var limit = rlimit()
        #expect(getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0)
        #expect(limit.rlim_cur == limit.rlim_max)
        #expect(raised == UInt64(limit.rlim_cur))
    }
}
