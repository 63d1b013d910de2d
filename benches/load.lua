-- One request, again and again, with the headers that the official Python SDK sends: an update with a body, a read
-- without.
-- wrk … -s load.lua URL -- KEY BODY [PATH]; prints one JSON line of what happened. `@FILE` instead of a key or a body
-- reads them from a file: keys one a line, which take turns. So do environments where the path has a `*`.

local requests, at = {}, 0

local function lines_of(name)
   local lines = {}
   for line in io.lines(name) do
      lines[#lines + 1] = line
   end
   return lines
end

function init(args)
   local keys, body = { args[1] }, args[2]
   if args[1]:sub(1, 1) == "@" then
      keys = lines_of(args[1]:sub(2))
   end
   if body:sub(1, 1) == "@" then
      body = table.concat(lines_of(body:sub(2)), "\n")
   end
   local path = args[3] or "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
   local headers = {
      ["Host"] = wrk.host .. ":" .. wrk.port,
      ["Accept"] = "application/json",
      ["Accept-Encoding"] = "gzip, deflate",
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
      ["x-stainless-retry-count"] = "0",
      ["x-stainless-read-timeout"] = "600",
   }
   if args[3] and body == "" then
      -- Of a read that is to be asked for anew each time.
      headers["Cache-Control"] = "no-cache"
   end
   local environments = path:find("*", 1, true) and 256 or 1
   for turn = 0, environments * #keys - 1 do
      headers["Authorization"] = "Bearer " .. keys[turn % #keys + 1]
      local own_path = path:gsub("%*", string.format("%03d", turn % environments))
      requests[turn + 1] = wrk.format(body == "" and "GET" or "POST", own_path, headers, body ~= "" and body or nil)
   end
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p99_us":%d}\n',
      summary.requests, summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout,
      latency:percentile(99)))
end
