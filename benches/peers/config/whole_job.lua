-- Key lookup, strict body, named fault: what the scripts of a gateway on nginx do before they forward. The names that
-- may stand at each level are checked, and their types; not more.

local cjson = require "cjson.safe"

local ENVIRONMENT = { name = "string", description = "string", config = "table", metadata = "table" }
local CONFIG = { type = "string", networking = "table", packages = "table" }
local NETWORKING = {
   type = "string", allowed_hosts = "table", allow_mcp_servers = "boolean", allow_package_managers = "boolean",
}
local PACKAGES = { type = "string", apt = "table", cargo = "table", gem = "table", go = "table", npm = "table", pip = "table" }

local function fail(status, kind, message)
   ngx.status = status
   ngx.header["content-type"] = "application/json"
   ngx.print(cjson.encode { type = "error", error = { type = kind, message = message } })
   return ngx.exit(status)
end

local function fault(value, shape, path)
   for name, inner in pairs(value) do
      local wanted = shape[name]
      if not wanted then
         return path .. name .. " is not a known field"
      elseif inner ~= cjson.null and type(inner) ~= wanted then
         return path .. name .. " is no " .. wanted
      end
   end
end

local function is_object(value)
   return value ~= nil and value ~= cjson.null
end

local tenants = {}

local function judge(key)
   tenants[key] = tenants[key] or "acme"
   local header = ngx.var.http_authorization
   local token = header and header:match("^Bearer (.+)$") or ngx.var.http_x_api_key
   if not tenants[token] then
      return fail(401, "authentication_error", "unknown key")
   end
   if ngx.req.get_method() ~= "POST" then
      return
   end
   ngx.req.read_body()
   local body = cjson.decode(ngx.req.get_body_data() or "")
   if type(body) ~= "table" then
      return fail(400, "invalid_request", "the body is no JSON object")
   end
   local message = fault(body, ENVIRONMENT, "")
   local config = body.config
   if not message and is_object(config) then
      message = fault(config, CONFIG, "config.")
      if not message and is_object(config.networking) then
         message = fault(config.networking, NETWORKING, "config.networking.")
      end
      if not message and is_object(config.packages) then
         message = fault(config.packages, PACKAGES, "config.packages.")
      end
   end
   if message then
      return fail(400, "invalid_request", message)
   end
end

return { judge = judge }
