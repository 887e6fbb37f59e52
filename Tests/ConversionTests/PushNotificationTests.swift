import Base
import Conversion
import Testing

@Suite struct PushNotificationTests {
    private static let digest = Digest.of([1])

    @Test("parses distribution's notifications") func parsesDistributionsNotifications() throws {
        let body = """
            {"events": [
              {"id": "1", "action": "push", "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json",
               "digest": "\(Self.digest)", "repository": "team/app", "tag": "1.2", "size": 1}, "request": {"host": "h"}},
              {"id": "2", "action": "push", "target": {"mediaType": "application/octet-stream",
               "digest": "\(Self.digest)", "repository": "team/app"}},
              {"id": "3", "action": "pull", "target": {"repository": "team/app", "tag": "1.2"}},
              {"id": "4", "action": "delete", "target": {"digest": "\(Self.digest)", "repository": "team/app"}},
              {"id": "5", "action": "push"}
            ]}
            """
        let events = try PushNotification.events(in: Array(body.utf8))
        #expect(events.map(\.action) == [.push, .delete])
        #expect(events.map(\.repository) == ["team/app", "team/app"])
        #expect(events.map(\.tag) == ["1.2", nil] && events.map(\.digest) == [Self.digest, Self.digest])
    }

    @Test("parses Harbor's notifications") func parsesHarborsNotifications() throws {
        let body = """
            {"type": "PUSH_ARTIFACT", "occur_at": 1, "operator": "admin", "event_data": {
              "resources": [{"digest": "\(Self.digest)", "tag": "1.2", "resource_url": "h/team/app:1.2"}],
              "repository": {"name": "app", "namespace": "team", "repo_full_name": "team/app"}}}
            """
        let events = try PushNotification.events(in: Array(body.utf8))
        #expect(events.count == 1 && events[0].action == .push && events[0].tag == "1.2")
        #expect(events[0].repository == "team/app" && events[0].digest == Self.digest)
    }

    @Test("parses Azure's notifications") func parsesAzuresNotifications() throws {
        let body = """
            {"id": "x", "timestamp": "2017-11-17T16:52:01Z", "action": "push", "target": {
              "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 524,
              "digest": "\(Self.digest)", "repository": "hello-world", "tag": "v1"},
              "request": {"id": "y", "host": "myregistry.azurecr.io", "method": "PUT"}}
            """
        let events = try PushNotification.events(in: Array(body.utf8))
        #expect(events.count == 1 && events[0].repository == "hello-world" && events[0].tag == "v1")
        #expect(try PushNotification.events(in: Array(#"{"id": "x", "action": "ping"}"#.utf8)).isEmpty)
    }

    @Test("rejects malformed notifications", arguments: ["", "[]", "{}", "nonsense", #"{"events": 1}"#])
    func rejectsMalformedNotifications(_ body: String) {
        #expect(throws: ConversionError.self) { try PushNotification.events(in: Array(body.utf8)) }
    }
}
