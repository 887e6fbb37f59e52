import ArgumentParser
import Artifacts
import NIOHTTP1

/// `rivulet artifact-streaming operation`: conversions.
struct ArtifactStreamingOperation: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "operation", abstract: "Conversions that the conversion service makes or has made.",
        subcommands: [ArtifactStreamingOperationShow.self, ArtifactStreamingOperationCancel.self])
}

/// Which conversion is meant.
struct OperationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The repository, with or without the registry's host.", valueName: "name"))
    var repository: String?

    @Option(help: ArgumentHelp("The operation.", valueName: "id"))
    var id: String?

    @Option(help: ArgumentHelp("The newest operation of this image, by tag or digest.", valueName: "reference"))
    var image: String?

    @OptionGroup var service: ServiceOptions

    /// The newest that is meant.
    func find() async throws -> ConversionOperation {
        if let id { return try await service.ask(.GET, ["operations", id]) }
        let found: [ConversionOperation] = try await service.ask(
            .GET, ["operations"], query: ["repository": repository, "image": image].compactMapValues { $0 })
        guard let newest = found.first else {
            throw CommandFailure(.missing, "there is no operation of \(image ?? repository ?? "any image")")
        }
        return newest
    }
}

/// `rivulet artifact-streaming operation show`: how far a conversion is.
struct ArtifactStreamingOperationShow: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows how far a conversion is, and what became of it.",
        discussion: """
            States: NotStarted, Running, Succeeded, Failed, Canceled. With --repository alone all of the repository, the \
            newest first. With --output json an array of: id, repository, image, state, progress, artifacts, error, created, \
            changed.

            Example:
              rivulet artifact-streaming operation show --image team/app:1.2
            """)

    @OptionGroup var operation: OperationOptions

    func run() async throws {
        try await reporting {
            if operation.id == nil, operation.image == nil {
                let query = operation.repository.map { ["repository": $0] } ?? [:]
                try operation.service.show(
                    try await operation.service.ask(.GET, ["operations"], query: query) as [ConversionOperation])
            } else {
                try operation.service.show([try await operation.find()])
            }
        }
    }
}

/// `rivulet artifact-streaming operation cancel`: stops a conversion.
struct ArtifactStreamingOperationCancel: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Stops a conversion.",
        discussion: """
            Exit codes: 1 the operation is over, 66 there is none; the others as rivulet --help says.
            """)

    @OptionGroup var operation: OperationOptions

    func validate() throws {
        guard operation.id != nil || operation.image != nil else {
            throw ValidationError("give --id or --image: rivulet artifact-streaming operation show lists them")
        }
    }

    func run() async throws {
        try await reporting {
            let meant = try await operation.find()
            let now: ConversionOperation = try await operation.service.ask(
                .POST, ["operations", meant.id + ":cancel"])
            try operation.service.show([now])
        }
    }
}
