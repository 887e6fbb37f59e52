/// The storage directory of a registry (docker-registry's file system driver).
public enum RegistryStorage {
    /// Returns true if `repository` has `tag`. Then it also has the tag's content, because a registry writes the tag
    /// last.
    public static func holds(_ tag: String, of repository: String, in storage: String) -> Bool {
        let tags = "\(storage)/docker/registry/v2/repositories/\(repository)/_manifests/tags"
        return Files.exists("\(tags)/\(tag)/current/link")
    }
}
