import ArgumentParser
import Registry

extension Repository {
    /// Parses an argument: host and name, with docker's short forms completed. Profiles belong to a repository, not to
    /// a tag, so a tag or digest is refused.
    init(argument text: String) throws {
        let last = text.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
        guard !text.contains("@"), !last.contains(":") else {
            throw ValidationError("a repository must be HOST/NAME, without a tag or digest")
        }
        do throws(RegistryError) {
            self = try ImageReference(parsing: text).repository
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
