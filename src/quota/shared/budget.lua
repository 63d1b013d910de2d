-- A budget that several gateways share. Every call is one step that nothing comes between; all times are this
-- server's, in microseconds.
--
-- KEYS[1]  the budget; every key of it begins with that
-- ARGV[1]  the limits, the same for all replicas: `span`, `lease`, `hold`, `replicas`, `slots`, and the limits `all`,
--          `create` and `read`; -1 for no limit
-- ARGV[2]  the message: `replica`; what it has done since the last (`sent`, `returned`, `left`, `silence`); where this
--          server has not been told of all that it holds, `join`; and where it wants to send another request, `admit`
--
-- Gives back a word and a number of microseconds: `done`, `admitted`, `full` (no slot is free), `wait` (so
-- long), or `join` (this server does not know the replica).
--
-- There is a sorted set of requests by the time of their sending, of all and of each kind that has a limit of
-- its own, and one of slots by the time at which they are free again even if their replica is dead. A request
-- that is admitted and not yet sent counts as sent at the last moment that it could be.
--
-- A server that was started anew may have forgotten some or all of this. So nothing is admitted by a new
-- server before all replicas have told it what they hold, or before everything of the past has run out.

local budget = KEYS[1]
local limits, message = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local replica = message.replica

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])

local state = budget .. ':state'
local slots = budget .. ':slots'
local replicas = budget .. ':replicas'
local joined = budget .. ':joined'

local function log_of(kind)
    return budget .. ':log:' .. kind
end

-- The logs that a request of this kind stands in.
local function logs_of(kind)
    if kind == 'create' or kind == 'read' then
        return { 'all', kind }
    end
    return { 'all' }
end

-- Writes a member of a sorted set down for as long as it can count.
local function keep(key, score, member)
    redis.call('ZADD', key, score, member)
    redis.call('PEXPIRE', key, math.ceil((limits.span + limits.lease + limits.hold) / 500))
end

local function write(kind, member, at)
    for _, name in ipairs(logs_of(kind)) do
        if limits[name] >= 0 then
            keep(log_of(name), at, member)
        end
    end
end

-- A new server is a new epoch.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
if redis.call('HGET', state, 'server') ~= server then
    redis.call('DEL', joined)
    redis.call('HSET', state, 'server', server, 'settled_at', now + limits.span + limits.lease, 'left', 0)
end

-- One that has left in order spends nothing, whereas one that is merely silent may. Its seat is for the next
-- that comes.
if message.leave then
    redis.call('ZREM', replicas, replica)
    if redis.call('SREM', joined, replica) == 1 then
        redis.call('HINCRBY', state, 'left', 1)
    end
else
    redis.call('ZADD', replicas, now, replica)
    redis.call('ZREMRANGEBYSCORE', replicas, '-inf', now - limits.span - limits.lease)
end

if message.join then
    for _, request in ipairs(message.join.requests) do
        write(request.kind, request.member, now - request.age)
    end
    for _, slot in ipairs(message.join.slots) do
        keep(slots, now + slot.left, slot.member)
    end
    if redis.call('SADD', joined, replica) == 1 and tonumber(redis.call('HGET', state, 'left')) > 0 then
        redis.call('HINCRBY', state, 'left', -1)
    end
end

for _, request in ipairs(message.sent) do
    write(request.kind, request.member, now)
end
for _, request in ipairs(message.returned) do
    for _, name in ipairs(logs_of(request.kind)) do
        redis.call('ZREM', log_of(name), request.member)
    end
end
for _, member in ipairs(message.left) do
    redis.call('ZREM', slots, member)
end
if message.silence then
    local closed_until = tonumber(redis.call('HGET', state, 'closed_until') or 0)
    redis.call('HSET', state, 'closed_until', math.max(closed_until, now + message.silence))
end

if message.leave then
    return { 'done', 0 }
end
if redis.call('SISMEMBER', joined, replica) == 0 then
    return { 'join', 0 }
end
local admit = message.admit
if not admit then
    return { 'done', 0 }
end

-- A replica that was not heard of for a while may be cut off from here, and about to go on with a share of
-- its own.
local here = redis.call('ZRANGEBYSCORE', replicas, now - math.min(limits.span, limits.lease), '+inf')
local expected = limits.replicas - tonumber(redis.call('HGET', state, 'left'))
local missing = math.max(0, expected - #here)

local settled_at = tonumber(redis.call('HGET', state, 'settled_at'))
if now < settled_at then
    local told = 0
    for _, name in ipairs(here) do
        told = told + redis.call('SISMEMBER', joined, name)
    end
    if told < expected then
        return { 'wait', settled_at - now }
    end
    redis.call('HSET', state, 'settled_at', now)
end

local closed_until = tonumber(redis.call('HGET', state, 'closed_until') or 0)
if now < closed_until then
    return { 'wait', closed_until - now }
end

local function usable(limit)
    return limit - missing * math.floor(limit / limits.replicas)
end

-- How long until a log has room; 0 where it has.
local function wait_for(name)
    local limit = limits[name]
    if limit < 0 then
        return 0
    end
    local log = log_of(name)
    redis.call('ZREMRANGEBYSCORE', log, '-inf', now - limits.span)
    local count, most = redis.call('ZCARD', log), usable(limit)
    if count < most then
        return 0
    end
    local last_to_go = redis.call('ZRANGE', log, count - most, count - most, 'WITHSCORES')
    return math.max(1, tonumber(last_to_go[2]) + limits.span - now)
end

local wait = 0
for _, name in ipairs(logs_of(admit.kind)) do
    wait = math.max(wait, wait_for(name))
end
if wait > 0 then
    return { 'wait', wait }
end

if admit.slot then
    redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
    if limits.slots >= 0 and redis.call('ZCARD', slots) >= usable(limits.slots) then
        return { 'full', 0 }
    end
    keep(slots, now + limits.lease, admit.slot)
end
write(admit.kind, admit.member, now + limits.hold)
return { 'admitted', 0 }
