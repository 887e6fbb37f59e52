public import Base
import FoundationEssentials

/// A registry's notification of a push or deletion. The registry may be Harbor, Azure Container Registry (ACR), or
/// distribution (the CNCF's registry). ACR sends a single event in the format of distribution, without the list around
/// it.
///
/// A notification may be forged. For a push, the service therefore looks the image up in the registry, and converts
/// the image that the registry returns. The service does not verify a deletion.
public struct PushNotification: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        case push
        case delete
    }

    /// The maximum number of events that the service reads from one notification. It ignores further events.
    private static let maximumEvents = 1000

    public let action: Action
    /// The repository's name, without the registry's host.
    public let repository: String
    /// The tag of the image; `nil` if the notification names none.
    public let tag: String?
    /// The digest of the manifest; `nil` if the notification names none.
    public let digest: Digest?

    /// Returns the pushes and deletions of images that the body of a webhook request reports; empty if there are none.
    ///
    /// - Throws: `invalid` if the format is unknown.
    public static func events(in body: [UInt8]) throws(ConversionError) -> [PushNotification] {
        let decoder = JSONDecoder()
        let data = Data(body)
        if let envelope = try? decoder.decode(Distribution.self, from: data) {
            return envelope.events.prefix(maximumEvents).compactMap(\.event)
        }
        if let harbor = try? decoder.decode(Harbor.self, from: data) { return harbor.events }
        if let single = try? decoder.decode(Distribution.Event.self, from: data) {
            // ACR sends `ping` to test a webhook.
            return single.event.map { [$0] } ?? []
        }
        throw ConversionError(
            .invalid, "not a notification of distribution, Harbor or Azure Container Registry (its fields are missing)")
    }

    private init?(action: Action?, in repository: String?, tag: String?, digest: String?) {
        guard let action, let repository, !repository.isEmpty else { return nil }
        self.action = action
        self.repository = repository
        self.tag = tag.flatMap { $0.isEmpty ? nil : $0 }
        self.digest = digest.flatMap { Digest($0) }
    }

    /// A notification in the format of distribution (the CNCF's registry). Distribution's document notifications.md
    /// describes this format under "Envelope" and "Events".
    private struct Distribution: Decodable {
        struct Event: Decodable {
            struct Target: Decodable {
                var repository: String?
                var tag: String?
                var digest: String?
                var mediaType: String?
            }

            var action: String
            var target: Target?

            var event: PushNotification? {
                let action: Action? = ["push": .push, "delete": .delete][action]
                // Some registries are configured to send events for blobs, too.
                if let type = target?.mediaType, !type.contains("manifest"), !type.contains("index") { return nil }
                return PushNotification(
                    action: action, in: target?.repository, tag: target?.tag, digest: target?.digest)
            }
        }

        var events: [Event]
    }

    /// A notification in the format of Harbor. Harbor's documentation describes this format under "Configure Webhook
    /// Notifications".
    private struct Harbor: Decodable {
        struct Details: Decodable {
            struct Resource: Decodable {
                var digest: String?
                var tag: String?
            }

            struct Named: Decodable { var repo_full_name: String? }

            var resources: [Resource]?
            var repository: Named?
        }

        var type: String
        var event_data: Details

        var events: [PushNotification] {
            let action: Action? = ["PUSH_ARTIFACT": .push, "DELETE_ARTIFACT": .delete][type]
            return (event_data.resources ?? []).prefix(PushNotification.maximumEvents).compactMap {
                PushNotification(
                    action: action, in: event_data.repository?.repo_full_name, tag: $0.tag, digest: $0.digest)
            }
        }
    }
}
