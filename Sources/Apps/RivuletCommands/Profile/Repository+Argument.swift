import ArgumentParser
import Registry

extension Repository {
    /// From the command line: host and name, docker's short forms completed. Profiles are kept for a repository, not
    /// for one of its tags, so a tag or a digest is refused.
    init(argument text: String) throws {
        let last = text.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard !text.contains("@"), !last.contains(":") else {
            throw ValidationError("a repository is HOST/NAME, without a tag or a digest")
        }
        do throws(RegistryError) {
            self = try ImageReference(parsing: text).repository
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
