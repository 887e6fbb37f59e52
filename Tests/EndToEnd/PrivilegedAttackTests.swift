import Lab
import Testing

/// Images that lie about another image, on real containerd. The containers of the other image must always see that
/// image's own files.
@Suite(.serialized, .timeLimit(.minutes(10)))
struct PrivilegedAttackTests {
    @Test("an image that lies about another image changes no file of it", arguments: [false, true])
    func changesNoFile(isFilled: Bool) async throws {
        try await AttackedNode.with(options: "[streaming]\nbackground_fill = \(isFilled)\n") { node in
            for claim in Attack.Claim.allCases {
                do {
                    let problems = try await node.problems(of: Attack.all(claim, isFilled: isFilled))
                    #expect(problems.isEmpty, "\(problems.joined(separator: "\n"))")
                } catch {
                    Issue.record("\(claim): \(error)")
                }
            }
        }
    }
}
