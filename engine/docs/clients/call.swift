import Foundation
#if canImport(FoundationNetworking)
import FoundationNetworking
#endif

let environment = ProcessInfo.processInfo.environment
let url = URL(string: (environment["API_URL"] ?? "http://127.0.0.1:3010") + "/api/private-scoped")!
var request = URLRequest(url: url)
request.setValue("Bearer \(environment["ACCESS_TOKEN"]!)", forHTTPHeaderField: "Authorization")
let (body, response) = try await URLSession.shared.data(for: request)
print((response as! HTTPURLResponse).statusCode, String(decoding: body, as: UTF8.self))
