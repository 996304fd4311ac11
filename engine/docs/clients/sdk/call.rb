require "messages_client"

configuration = MessagesClient::Configuration.new do |config|
  config.scheme, config.host = ENV.fetch("API_URL", "http://127.0.0.1:3010").split("://")
  config.access_token = ENV["ACCESS_TOKEN"]
end
options = ENV["ACCESS_TOKEN"] ? {} : { debug_auth_names: [] } # else it sends "Bearer" alone, which is malformed
begin
  puts MessagesClient::MessagesApi.new(MessagesClient::ApiClient.new(configuration)).private_scoped(options).message
rescue MessagesClient::ApiError => error
  problem = MessagesClient::Problem.build_from_hash(JSON.parse(error.response_body, symbolize_names: true))
  puts "#{error.code} #{problem.code}"
end
