-- One load: wrk … -s wrk.lua URL -- PATH FILE-OF-TOKENS-OR-DASH PAUSE-IN-MS

local requests, sent, threads = {}, 0, {}

function setup(thread)
  table.insert(threads, thread)
end

-- Requests are made before the clock runs, so that wrk only sends.
function init(arguments)
  local pause = tonumber(arguments[3])
  if pause > 0 then
    -- Each connection waits so long before a request; at random, or they would come all at once.
    function delay() return math.random() * 2 * pause end
  end
  if arguments[2] ~= "-" then
    -- A line is a token, or one that is bound to a key, a space and its proof.
    for line in io.lines(arguments[2]) do
      local token, proof = line:match("^(%S+) ?(.*)$")
      local headers = { Authorization = "Bearer " .. token }
      if proof ~= "" then
        headers = { Authorization = "DPoP " .. token, DPoP = proof }
      end
      table.insert(requests, wrk.format("GET", arguments[1], headers))
    end
  else
    requests[1] = wrk.format("GET", arguments[1])
  end
end

function request()
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

-- wrk's own count leaves out 1xx and 3xx. Global, because `done` asks the thread for it.
not_2xx = 0
function response(status)
  if status < 200 or status > 299 then
    not_2xx = not_2xx + 1
  end
end

function done(summary, latency)
  local other = 0
  for _, thread in ipairs(threads) do
    other = other + thread:get("not_2xx")
  end
  local errors = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f, "not_2xx": %d, "broken": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    other, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
