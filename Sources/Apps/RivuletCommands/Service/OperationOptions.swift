import ArgumentParser
import Conversion
import NIOHTTP1

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
        if let id { return try await service.client.ask(.GET, ["operations", id]) }
        let found: [ConversionOperation] = try await service.client.ask(
            .GET, ["operations"], query: ["repository": repository, "image": image].compactMapValues { $0 })
        guard let newest = found.first else {
            throw CommandFailure(.missing, "there is no operation of \(image ?? repository ?? "any image")")
        }
        return newest
    }
}
