-- Requests of every kind in turn: accepted, refused by the schema, no JSON, a key that nobody has, no key, from memory,
-- no such path, a large body. (No HEAD: wrk would wait for its body.)
-- wrk … -s mixed.lua URL -- KEY GOOD BAD; prints one JSON line of what happened.

local requests, at = {}, 0

function init(args)
   local path = "/v1/environments/env_011CZkZ9X2dpNyB7HsEFoRfW"
   local key, good, bad = args[1], args[2], args[3]
   local function with(token)
      return { ["Host"] = wrk.host, ["Authorization"] = token and "Bearer " .. token, ["Content-Type"] = "application/json" }
   end
   local large = '{"description":"' .. string.rep("long ", 40000) .. '"}'
   requests = {
      wrk.format("POST", path, with(key), good),
      wrk.format("POST", path, with(key), bad),
      wrk.format("GET", path, with(key)),
      wrk.format("POST", path, with("sk-eg-nobody-has-this-one"), good),
      wrk.format("POST", path, with(key), '{"name": '),
      wrk.format("GET", path, with(key)),
      wrk.format("POST", path, with(nil), good),
      wrk.format("GET", "/v1/nothing", with(key)),
      wrk.format("POST", path, with(key), good),
   }
   -- Eighty-one small ones for each large one.
   for _ = 1, 8 do
      for kind = 1, 9 do
         requests[#requests + 1] = requests[kind]
      end
   end
   requests[#requests + 1] = wrk.format("POST", path, with(key), large)
end

function request()
   at = at % #requests + 1
   return requests[at]
end

function done(summary)
   local e = summary.errors
   io.write(string.format('{"requests":%d,"broken":%d}\n', summary.requests, e.connect + e.read + e.write + e.timeout))
end
