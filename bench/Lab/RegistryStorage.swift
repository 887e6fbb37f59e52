/// What lies in the storage directory of a registry (docker-registry's file system driver).
public enum RegistryStorage {
    /// Whether `repository` has the tag there, and so everything that it names: a registry writes a tag last.
    public static func holds(_ tag: String, of repository: String, in storage: String) -> Bool {
        let tags = "\(storage)/docker/registry/v2/repositories/\(repository)/_manifests/tags"
        return Files.exists("\(tags)/\(tag)/current/link")
    }
}
