import ArgumentParser
import Conversion
import NIOHTTP1

/// The options that select a conversion operation.
struct OperationOptions: ParsableArguments {
    @Option(help: ArgumentHelp("The repository, with or without the registry's host. Default: all.", valueName: "name"))
    var repository: String?

    @Option(help: ArgumentHelp("The ID of the operation. Default: the newest one.", valueName: "id"))
    var id: String?

    @Option(
        help: ArgumentHelp(
            "The image, by tag or digest: selects its newest operation. Default: any.", valueName: "reference"))
    var image: String?

    @OptionGroup var service: ServiceOptions

    /// Returns the operation with the ID ``id``. Without an ID, returns the most recently created operation for
    /// ``image`` in ``repository``. A `nil` image or repository matches all.
    func find() async throws -> ConversionOperation {
        if let id { return try await service.client.ask(.GET, ["operations", id]) }
        let found: [ConversionOperation] = try await service.client.ask(
            .GET, ["operations"], query: ["repository": repository, "image": image].compactMapValues { $0 })
        guard let newest = found.first else {
            throw CommandFailure(.missing, "no operation of \(image ?? repository ?? "any image")")
        }
        return newest
    }
}
