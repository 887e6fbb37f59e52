/// The description of the conversion service's API (OpenAPI 3.1), served at `/v1/openapi.json`.
public enum OpenAPI {
    public static let document = """
        {
          "openapi": "3.1.0",
          "info": {
            "title": "Rivulet conversion service",
            "version": "1",
            "description": "Creates streaming artifacts for the images of one registry, on request and when they are pushed."
          },
          "security": [{"token": []}],
          "paths": {
            "/healthz": {
              "get": {"summary": "Check that the service runs", "security": [], "responses": {"200": {"description": "It runs"}}}
            },
            "/v1/openapi.json": {
              "get": {"summary": "This description", "responses": {"200": {"description": "OpenAPI 3.1"}}}
            },
            "/v1/operations": {
              "get": {
                "summary": "List conversions, the newest first, at most 1000",
                "parameters": [
                  {"name": "repository", "in": "query", "schema": {"type": "string"}},
                  {"name": "image", "in": "query", "schema": {"type": "string"}}
                ],
                "responses": {"200": {"description": "Operations", "content": {"application/json": {"schema":
                  {"type": "array", "items": {"$ref": "#/components/schemas/Operation"}}}}}, "400": {"$ref": "#/components/responses/Refused"}}
              },
              "post": {
                "summary": "Convert an image; returns the operation in progress for it, if there is one",
                "requestBody": {"required": true, "content": {"application/json": {"schema": {
                  "type": "object", "required": ["image"],
                  "properties": {"image": {"type": "string", "examples": ["team/app:1.2"]}}}}}},
                "responses": {"202": {"description": "The operation", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Operation"}}}}, "400": {"$ref": "#/components/responses/Refused"}}
              }
            },
            "/v1/operations/{id}": {
              "get": {
                "summary": "Get a conversion",
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "The operation", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Operation"}}}}, "404": {"$ref": "#/components/responses/Refused"}}
              }
            },
            "/v1/operations/{id}:cancel": {
              "post": {
                "summary": "Cancel a conversion",
                "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
                "responses": {"200": {"description": "The operation", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Operation"}}}}, "404": {"$ref": "#/components/responses/Refused"},
                  "409": {"$ref": "#/components/responses/Refused"}}
              }
            },
            "/v1/repositories": {
              "get": {"summary": "List repositories with automatic conversion",
                "responses": {"200": {"description": "Repositories", "content": {"application/json": {"schema":
                  {"type": "array", "items": {"$ref": "#/components/schemas/Repository"}}}}}}}
            },
            "/v1/repositories/{repository}": {
              "parameters": [{"name": "repository", "in": "path", "required": true, "schema": {"type": "string"},
                "description": "May contain slashes"}],
              "get": {"summary": "Get the automatic conversion setting of a repository",
                "responses": {"200": {"description": "The repository", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Repository"}}}}}},
              "put": {
                "summary": "Enable or disable automatic conversion for a repository",
                "requestBody": {"required": true, "content": {"application/json": {"schema": {
                  "type": "object", "required": ["streaming"], "properties": {"streaming": {"type": "boolean"}}}}}},
                "responses": {"200": {"description": "The repository", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Repository"}}}}, "400": {"$ref": "#/components/responses/Refused"}}
              }
            },
            "/v1/profiles": {
              "post": {
                "summary": "Report the reads of an image's start, for its startup pack; only with --accept-profiles",
                "parameters": [{"name": "image", "in": "query", "required": true, "schema": {"type": "string"},
                  "description": "By digest, of an enabled repository"}],
                "requestBody": {"required": true, "description": "A profile from rivulet profile export", "content": {"application/json": {}}},
                "responses": {"200": {"description": "Nothing new, or nothing that is due now"},
                  "202": {"description": "The operation that builds a new pack", "content": {"application/json": {"schema":
                  {"$ref": "#/components/schemas/Operation"}}}}, "400": {"$ref": "#/components/responses/Refused"},
                  "403": {"$ref": "#/components/responses/Refused"}, "404": {"$ref": "#/components/responses/Refused"}}
              }
            },
            "/v1/notifications": {
              "post": {
                "summary": "Notify of pushes and deletions, in the format of distribution, Harbor or Azure Container Registry",
                "requestBody": {"required": true, "content": {"application/json": {}}},
                "responses": {"202": {"description": "Accepted"}, "400": {"$ref": "#/components/responses/Refused"}}
              }
            }
          },
          "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Refused": {"description": "One line with the reason", "content": {"text/plain": {}}}},
            "schemas": {
              "Operation": {
                "type": "object",
                "required": ["id", "repository", "image", "state", "progress", "artifacts", "created", "changed"],
                "properties": {
                  "id": {"type": "string", "format": "uuid"},
                  "repository": {"type": "string"},
                  "image": {"type": "string"},
                  "state": {"enum": ["NotStarted", "Running", "Succeeded", "Failed", "Canceled"]},
                  "progress": {"type": "integer", "minimum": 0, "maximum": 100, "description": "Percent"},
                  "artifacts": {"type": "array", "items": {"type": "string"}, "description": "Digests, one for each platform"},
                  "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                      "code": {"enum": ["UNKNOWN_ERROR", "RESOURCE_NOT_FOUND", "NO_SUPPORTED_PLATFORM_FOUND",
                        "UNSUPPORTED_MEDIATYPE", "UNSUPPORTED_ARTIFACT_TYPE", "IMAGE_NOT_RUNNABLE"]},
                      "message": {"type": "string"}
                    }
                  },
                  "created": {"type": "integer", "description": "Seconds since 1970"},
                  "changed": {"type": "integer", "description": "Seconds since 1970"}
                }
              },
              "Repository": {
                "type": "object",
                "required": ["repository", "streaming"],
                "properties": {"repository": {"type": "string"}, "streaming": {"type": "boolean"}}
              }
            }
          }
        }
        """
}
