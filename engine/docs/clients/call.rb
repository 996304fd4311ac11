require "net/http"

url = URI("#{ENV.fetch("API_URL", "http://127.0.0.1:3010")}/api/private-scoped")
response = Net::HTTP.get_response(url, "Authorization" => "Bearer #{ENV.fetch("ACCESS_TOKEN")}")
puts "#{response.code} #{response.body}"
