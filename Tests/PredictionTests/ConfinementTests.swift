import LazyFixtures
import TestSupport
import Testing

@Suite(.disabled(if: Sanitizer.isPresent, "a sanitizer needs more address space than an analyzer has"))
struct ConfinementTests {
    /// Expects errno 1 (EPERM) from the system call filter, and 12 (ENOMEM) from the memory limit. The kernel must not
    /// kill the process.
    @Test("denies every call but reading and answering, with an error")
    func deniesCalls() throws {
        let result = try Child.run([try BuiltProgram.path("HostileAnalyzer"), "probe"])
        #expect(result.exitCode == 0, "\(result.text)")
        #expect(
            result.text == """
                open 1
                create 1
                socket 1
                execve 1
                spawn 1
                kill 1
                chmod 1
                executable 1
                memory 12
                write 0

                """)
    }
}
