public import Base
import FoundationEssentials

/// What a registry tells when something was pushed or deleted: the formats of distribution (and of Azure Container Registry,
/// which has its fields in one object) and of Harbor.
///
/// Anybody may send one. Nothing is believed but that it is worth looking: what is converted is what the registry then has.
public struct PushNotification: Sendable, Equatable {
    public enum Action: Sendable, Equatable {
        case push
        case delete
    }

    /// More events than this in one notification are not looked at.
    private static let maximumEvents = 1000

    public let action: Action
    /// Without the registry's host.
    public let repository: String
    public let tag: String?
    public let digest: Digest?

    /// The events in a body that are of interest; empty when there are none.
    ///
    /// - Throws: `invalid` when it is of no format that is known.
    public static func events(in body: [UInt8]) throws(ConversionError) -> [PushNotification] {
        let decoder = JSONDecoder()
        let data = Data(body)
        if let envelope = try? decoder.decode(Distribution.self, from: data) {
            return envelope.events.prefix(maximumEvents).compactMap(\.event)
        }
        if let harbor = try? decoder.decode(Harbor.self, from: data) { return harbor.events }
        if let single = try? decoder.decode(Distribution.Event.self, from: data) {
            // ACR sends `ping` when a webhook is tried out.
            return single.event.map { [$0] } ?? []
        }
        throw ConversionError(
            .invalid, "not a notification of distribution, Harbor or Azure Container Registry (its fields are missing)")
    }

    private init?(_ action: Action?, _ repository: String?, _ tag: String?, _ digest: String?) {
        guard let action, let repository, !repository.isEmpty else { return nil }
        self.action = action
        self.repository = repository
        self.tag = tag.flatMap { $0.isEmpty ? nil : $0 }
        self.digest = digest.flatMap { Digest($0) }
    }

    /// distribution's notifications.md, "Envelope" and "Events".
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
                // Blobs are told of too, in registries that are set up so.
                if let type = target?.mediaType, !type.contains("manifest"), !type.contains("index") { return nil }
                return PushNotification(action, target?.repository, target?.tag, target?.digest)
            }
        }

        var events: [Event]
    }

    /// Harbor's "Configure Webhook Notifications".
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
                PushNotification(action, event_data.repository?.repo_full_name, $0.tag, $0.digest)
            }
        }
    }
}
