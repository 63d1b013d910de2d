-- One request, again and again, with the headers that the official Python SDK sends: an update with a body, a retrieve
-- without.
-- wrk … -s load.lua URL -- KEY BODY; prints one JSON line of what happened.

function init(args)
   wrk.method = args[2] == "" and "GET" or "POST"
   wrk.path = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
   if args[2] ~= "" then
      wrk.body = args[2]
   end
   wrk.headers = {
      ["Host"] = wrk.host .. ":" .. wrk.port,
      ["Accept"] = "application/json",
      ["Accept-Encoding"] = "gzip, deflate",
      ["Authorization"] = "Bearer " .. args[1],
      ["Content-Type"] = "application/json",
      ["User-Agent"] = "Anthropic/Python 2.12.0",
      ["X-Stainless-Arch"] = "x64",
      ["X-Stainless-Async"] = "false",
      ["X-Stainless-Lang"] = "python",
      ["X-Stainless-OS"] = "Linux",
      ["X-Stainless-Package-Version"] = "2.12.0",
      ["X-Stainless-Runtime"] = "CPython",
      ["X-Stainless-Runtime-Version"] = "3.11.7",
      ["anthropic-beta"] = "managed-agents-2026-04-01",
      ["anthropic-version"] = "2026-10-21",
   }
   wrk.headers["x-stainless-retry-count"] = "0"
   wrk.headers["x-stainless-read-timeout"] = "600"
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p99_us":%d}\n',
      summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
      latency:percentile(99)))
end
