import Foundation
import MessagesClient

let environment = ProcessInfo.processInfo.environment
let configuration = MessagesClientAPIConfiguration(basePath: environment["API_URL"] ?? "http://127.0.0.1:3010")
if let token = environment["ACCESS_TOKEN"] {
    configuration.customHeaders["Authorization"] = "Bearer \(token)"
}
do {
    print(try await MessagesAPI.privateScoped(apiConfiguration: configuration).message)
} catch ErrorResponse.error(let status, let body, _, _) {
    print(status, try JSONDecoder().decode(Problem.self, from: body ?? Data()).code)
}
