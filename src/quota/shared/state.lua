-- A budget that several gateways share. Every call is one step that nothing comes between.
--
-- KEYS[1]  the budget; every key of it begins with that
-- ARGV[1]  what the replica goes by: `span`, `lease`, `hold`, `alone`, `replicas`, `least`, `learn`, `slots`, and the
--          limits `requests`, `creates`, `writes` and `reads`; times in microseconds, -1 for no limit
-- ARGV[2]  the message: `replica`; of the last answer that it got, the time `answered_at`, and how long ago by its own
--          clock it had asked, `elapsed`; what it has done since (`sent`, `returned`, `left`, `silence`, `accepted`,
--          `refused`); where this server has not been told of all that it holds, `join`; and the
--          requests that it wants to send, `admit`
-- ARGV[3]  which server this is: another one may have forgotten some or all
--
-- Gives back an object: a `word` (`done`, or `join` where the replica is not known here); of each request that
-- wants to be sent, in their order, what comes of it, as `results`: ADMITTED, FULL where no slot is free, else how
-- long there will be no room; the time `at`, the replica's `seat`, how many replicas are `present`, and the limits
-- that were `learned`.
--
-- There is a sorted set of requests by the time of their sending for each limit, and one of slots by the time
-- at which they are free again even if their replica is dead. A request that is admitted and not yet sent
-- counts as sent at the last moment that it could be.
--
-- There are as many seats as replicas are configured. Who holds one goes by a share of every limit while it
-- cannot reach this server, for `alone` at most. So the share of a seat is held back whose holder has not had
-- an answer for a while, and the seat of one that is silent is nobody else's before that time and all that
-- was done in it have run out. Given back, it is free at once.

local budget = KEYS[1]
local limits, message, server = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3]
local replica = message.replica

local state = budget .. ':state'
local slots = budget .. ':slots'
local members = budget .. ':members' -- who has told this server all that it holds, by when it was last heard
local recent = budget .. ':recent' -- all replicas of which anything may count, by when they were last heard
local seats = budget .. ':seats' -- which seats are taken, by when the holder was last heard
local holders = budget .. ':holders' -- the holder of a seat
local answered = budget .. ':answered' -- the seats, by when an answer is known to have reached the holder
local seat_of = budget .. ':seat_of' -- the seat of a holder
local shares = budget .. ':shares'   -- what the holder of a seat goes by while it cannot reach this server

local RATES = { 'requests', 'creates', 'writes', 'reads' }
local RATES_OF = {
    create = { 'requests', 'writes', 'creates' },
    read = { 'requests', 'reads' },
    other_write = { 'requests', 'writes' },
}
local NOBODY = '?'
local ADMITTED, FULL = 0, -1
-- In how many parts of a window what was accepted is counted.
local PARTS = 60

-- After `past` all that a replica has done has run out; after `tenure` all that a silent holder of a seat may
-- have.
local past = limits.span + limits.lease
local tenure = limits.alone + limits.hold + math.max(limits.span, limits.lease)
local silent_after = math.min(limits.span, limits.lease)

local function get(field)
    return tonumber(redis.call('HGET', state, field) or nil)
end

-- Nothing outlives its use.
local function expire(key)
    redis.call('PEXPIRE', key, math.ceil((tenure + past) / 500))
end

local function set(...)
    redis.call('HSET', state, ...)
end

-- The time, which never goes back, and never further than the replica's own clock has gone, where that can be
-- told: a server's clock that jumps makes nobody wait, and nothing run out.
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = get('now') or clock
do
    local step = math.max(0, clock - (get('clock') or clock))
    if message.answered_at then
        local own = math.max(0, tonumber(message.answered_at) + message.elapsed - now)
        -- A second may have gone by on the way.
        if step > own + 1000000 then
            step = own
        end
    end
    now = now + step
    set('now', now, 'clock', clock)
    expire(state)
end

local function release(number)
    local holder = redis.call('HGET', holders, number)
    redis.call('ZREM', seats, number)
    redis.call('ZREM', answered, number)
    redis.call('HDEL', holders, number)
    redis.call('HDEL', shares, number)
    if holder then
        redis.call('HDEL', seat_of, holder)
    end
end

-- A server that was started anew, or has forgotten, is told by all of whom anything may count what they hold
-- before it admits anything, or waits until everything of the past has run out. What it still knows of seats
-- may be old, so their holders count as just heard; where it knows nothing, those who have been there before
-- tell how many they were.
if redis.call('HGET', state, 'server') ~= server then
    local is_empty = redis.call('HEXISTS', state, 'server') == 0
    if is_empty then
        redis.call('DEL', seats, answered, holders, seat_of, shares, recent)
    end
    -- One that had not been told all yet knows no more now.
    if is_empty or get('is_settled') == 1 then
        set('is_empty', is_empty and 1 or 0, 'is_orphaned', 0, 'awaited', 0)
    end
    set('server', server, 'began', now, 'settled_at', now + past, 'is_settled', 0, 'returned', 0)
    redis.call('DEL', members)
    for _, number in ipairs(redis.call('ZRANGE', seats, 0, -1)) do
        redis.call('ZADD', seats, now, number)
        redis.call('ZADD', answered, 0, number)
    end
end

for _, number in ipairs(redis.call('ZRANGEBYSCORE', seats, '-inf', now - tenure)) do
    release(number)
end
redis.call('ZREMRANGEBYSCORE', members, '-inf', now - tenure)
redis.call('ZREMRANGEBYSCORE', recent, '-inf', now - past)
redis.call('ZADD', recent, now, replica)

-- What was learned, as it has grown since.
local function learned(rate)
    local limit = get('learned:' .. rate)
    if not limit then
        return nil
    end
    local taught, raised_at = get('taught:' .. rate), get('raised_at:' .. rate)
    local enough = limits[rate] >= 0 and limits[rate] or 2 * taught
    while limit < enough and now >= raised_at + limits.span do
        limit, raised_at = limit + math.max(1, math.floor(limit / 10)), raised_at + limits.span
    end
    if limit >= enough then
        redis.call('HDEL', state, 'learned:' .. rate, 'taught:' .. rate, 'raised_at:' .. rate)
        return nil
    end
    set('learned:' .. rate, limit, 'raised_at:' .. rate, raised_at)
    return { limit = limit, taught = taught, age = now - raised_at }
end

local function log_of(rate)
    return budget .. ':log:' .. rate
end

local function keep(key, score, member)
    redis.call('ZADD', key, score, member)
    expire(key)
end

local taught = { reads = learned('reads'), writes = learned('writes') }

-- The limit that holds now; below zero for none.
local function limit_of(rate)
    local configured = limits[rate]
    if taught[rate] then
        return taught[rate].limit
    end
    return configured
end

local function write(kind, member, at)
    for _, rate in ipairs(RATES_OF[kind]) do
        if limit_of(rate) >= 0 then
            keep(log_of(rate), at, member)
        end
    end
end

-- What was accepted, and when; and what a refusal teaches.
local part_length = math.max(1, math.floor(limits.span / PARTS))
local part = math.floor(now / part_length)

local function accepted_of(rate)
    return budget .. ':accepted:' .. rate
end

local function count_accepted(rate, count)
    local key = accepted_of(rate)
    if redis.call('ZINCRBY', key, count, string.format('%.0f', part)) == tostring(count) then
        for _, old in ipairs(redis.call('ZRANGE', key, 0, -1)) do
            if tonumber(old) <= part - PARTS then
                redis.call('ZREM', key, old)
            end
        end
    end
    redis.call('PEXPIRE', key, math.ceil(limits.span / 500))
end

local function teach(rate)
    local taught_at = get('taught_at:' .. rate) or get('began')
    if limits.learn == 0 or now < taught_at + limits.span then
        return
    end
    local parts = redis.call('ZRANGE', accepted_of(rate), 0, -1, 'WITHSCORES')
    local count = 0
    for index = 1, #parts, 2 do
        if tonumber(parts[index]) > part - PARTS then
            count = count + tonumber(parts[index + 1])
        end
    end
    local limit = math.max(count, limits.least)
    set('taught_at:' .. rate, now)
    if limits[rate] >= 0 and limit >= limits[rate] then
        redis.call('HDEL', state, 'learned:' .. rate, 'taught:' .. rate, 'raised_at:' .. rate)
        taught[rate] = nil
        return
    end
    if limit_of(rate) < 0 and count <= 10000 then
        -- Nothing was written down while nothing was limited.
        for index = 1, #parts, 2 do
            local at = tonumber(parts[index]) * part_length
            for number = 1, tonumber(parts[index + 1]) do
                keep(log_of(rate), at, 'accepted:' .. parts[index] .. ':' .. number)
            end
        end
    end
    set('learned:' .. rate, limit, 'taught:' .. rate, limit, 'raised_at:' .. rate, now)
    taught[rate] = { limit = limit, taught = limit, age = 0 }
end
