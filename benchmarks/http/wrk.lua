-- Sends one request again and again, and prints what came back as one line of JSON.
-- wrk ... -s wrk.lua URL -- PATH BODY_FILE NAME=VALUE...

function init(args)
   local file = assert(io.open(args[2], "rb"))
   local body = file:read("*a")
   file:close()
   local headers = {}
   for at = 3, #args do
      local name, value = args[at]:match("^([^=]+)=(.*)$")
      headers[name] = value
   end
   sent = wrk.format("POST", args[1], headers, body)
end

function request()
   return sent
end

function done(summary, latency, requests)
   local errors = summary.errors
   io.write(string.format(
      'RESULT {"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "failed": %d}\n',
      summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
      errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
