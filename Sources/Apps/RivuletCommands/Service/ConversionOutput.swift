import Conversion

/// Functions that print the conversion service's answers.
enum ConversionOutput {
    /// Prints the conversion settings of repositories.
    static func show(_ repositories: [RepositoryStreaming], as format: OutputFormat) throws {
        guard format == .table else { return try Output.json(repositories) }
        Output.table(
            ["REPOSITORY", "STREAMING"],
            repositories.map { [$0.repository.printable, $0.streaming ? "true" : "false"] })
    }

    /// Prints conversion operations.
    static func show(_ operations: [ConversionOperation], as format: OutputFormat) throws {
        guard format == .table else { return try Output.json(operations) }
        Output.table(
            ["ID", "IMAGE", "STATE", "PROGRESS", "ERROR"],
            operations.map {
                [
                    $0.id, $0.image.printable, $0.state.rawValue, "\($0.progress) %",
                    $0.error.map { "\($0.code): \($0.message)" }?.printable ?? "",
                ]
            })
    }
}
