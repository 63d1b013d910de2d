-- A budget that several gateways share. Every call is one step that nothing comes between.
--
-- KEYS[1]  the budget; every key of it begins with that
-- ARGV[1]  what the replica goes by: `span`, `lease`, `hold`, `alone`, `replicas`, `least`, `learn`, `slots`, and the
--          limits `requests`, `creates`, `writes` and `reads`; times in microseconds, -1 for no limit
-- ARGV[2]  the message: `replica`; of the last answer that it got, the time `answered_at`, and how long ago by its own
--          clock it had asked, `elapsed`; what it has done since (`sent`, `returned`, `left`, `silence`, `accepted`,
--          `refused`); where this server has not been told of all that it holds, `join`; and where it wants to send
--          another request, `admit`
-- ARGV[3]  which server this is: another one may have forgotten some or all
--
-- Gives back an object: a `word` with its `micros` (`done`, `admitted`, `full` where no slot is free, `wait` for so
-- long, `join` where the replica is not known here), the time `at`, the replica's `seat`, how many replicas are
-- `present`, and the limits that were `learned`.
--
-- There is a sorted set of requests by the time of their sending for each limit, and one of slots by the time at which
-- they are free again even if their replica is dead. A request that is admitted and not yet sent counts as sent at the
-- last moment that it could be.
--
-- There are as many seats as replicas are configured. Who holds one goes by a share of every limit while it cannot
-- reach this server, for `alone` at most. So the share of a seat is held back whose holder has not had an answer for a
-- while, and the seat of one that is silent is nobody else's before that time and all that was done in it have run
-- out. Given back, it is free at once.

local budget = KEYS[1]
local limits, message, server = cjson.decode(ARGV[1]), cjson.decode(ARGV[2]), ARGV[3]
local replica = message.replica

local state = budget .. ':state'
local slots = budget .. ':slots'
local members = budget .. ':members' -- who has told this server all that it holds, by when it was last heard
local seats = budget .. ':seats'     -- which seats are taken, by when the holder was last heard
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
-- In how many parts of a window what was accepted is counted.
local PARTS = 60

-- After `past` all that a replica has done has run out; after `tenure` all that a silent holder of a seat may have.
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

-- The time, which never goes back, and never further than the replica's own clock has gone, where that can be told: a
-- server's clock that jumps makes nobody wait, and nothing run out.
local time = redis.call('TIME')
local clock = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = get('now') or clock
do
    local step = math.max(0, clock - (get('clock') or clock))
    local heard = tonumber(redis.call('ZSCORE', members, replica) or nil)
    if heard and message.elapsed then
        -- A second for the way.
        step = math.min(step, math.max(0, heard + message.elapsed + 1000000 - now))
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

-- A server that was started anew, or has forgotten, is told by all what they hold before it admits anything, or waits
-- until everything of the past has run out. What it still knows of seats may be old, so their holders have just been
-- heard; where it knows nothing, it does not know of whom.
if redis.call('HGET', state, 'server') ~= server then
    local is_empty = redis.call('HEXISTS', state, 'server') == 0
    set('server', server, 'began', now, 'settled_at', now + past, 'is_settled', 0)
    set('is_empty', is_empty and 1 or 0, 'is_orphaned', 0)
    redis.call('DEL', members)
    if is_empty then
        redis.call('DEL', seats, answered, holders, seat_of, shares)
    end
    for _, number in ipairs(redis.call('ZRANGE', seats, 0, -1)) do
        redis.call('ZADD', seats, now, number)
        redis.call('ZADD', answered, 0, number)
    end
end

for _, number in ipairs(redis.call('ZRANGEBYSCORE', seats, '-inf', now - tenure)) do
    release(number)
end
redis.call('ZREMRANGEBYSCORE', members, '-inf', now - tenure)

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

-- What the replica says.
local seat = redis.call('HGET', seat_of, replica)

local function take(number, answered_at)
    seat = tostring(number)
    redis.call('ZADD', seats, now, seat)
    redis.call('ZADD', answered, answered_at, seat)
    redis.call('HSET', holders, seat, replica)
    redis.call('HSET', seat_of, replica, seat)
end

if message.join then
    local join = message.join
    for _, request in ipairs(join.requests) do
        write(request.kind, request.member, now - request.age)
    end
    for _, slot in ipairs(join.slots) do
        keep(slots, now + slot.left, slot.member)
    end
    redis.call('ZADD', members, now, replica)
    if join.is_known then
        set('is_orphaned', 1)
    end
    if join.seat and not seat then
        local holder = redis.call('HGET', holders, join.seat)
        if not holder or holder == NOBODY then
            -- That it has this answer nobody knows yet.
            take(join.seat, 0)
        end
    end
end
for _, request in ipairs(message.sent) do
    write(request.kind, request.member, now)
end
for _, request in ipairs(message.returned) do
    for _, rate in ipairs(RATES_OF[request.kind]) do
        redis.call('ZREM', log_of(rate), request.member)
    end
end
for _, member in ipairs(message.left) do
    redis.call('ZREM', slots, member)
end
for rate, count in pairs(message.accepted) do
    if count > 0 then
        count_accepted(rate, count)
    end
end
for _, rate in ipairs(message.refused) do
    teach(rate)
end
if message.silence then
    set('closed_until', math.max(get('closed_until') or 0, now + message.silence))
end

local function answer(word, micros)
    for _, key in ipairs({ members, seats, answered, holders, seat_of, shares }) do
        expire(key)
    end
    return cjson.encode({
        word = word,
        micros = math.ceil(micros or 0),
        at = string.format('%.0f', now),
        seat = tonumber(seat or nil),
        present = redis.call('ZCOUNT', members, now - silent_after, '+inf'),
        learned = { reads = taught.reads, writes = taught.writes },
    })
end

if message.leave then
    redis.call('ZREM', members, replica)
    if seat then
        release(seat)
        seat = nil
    end
    return answer('done')
end
if not redis.call('ZSCORE', members, replica) then
    return answer('join')
end
redis.call('ZADD', members, now, replica)

-- Whether so many seats are held by those that have told this server what they hold.
local function are_told(count)
    local told = 0
    for _, number in ipairs(redis.call('ZRANGE', seats, 0, -1)) do
        local holder = redis.call('HGET', holders, number)
        if redis.call('ZSCORE', members, holder) then
            told = told + 1
        end
    end
    return told >= count
end

if get('is_settled') == 0 then
    local is_told
    if get('is_empty') == 0 then
        is_told = are_told(redis.call('ZCARD', seats))
    elseif get('is_orphaned') == 1 then
        is_told = are_told(limits.replicas)
    else
        is_told = redis.call('ZCARD', members) >= limits.replicas
    end
    if is_told or now >= get('settled_at') then
        set('is_settled', 1)
        if get('is_empty') == 1 and get('is_orphaned') == 1 then
            -- Somebody was there before this server, and others may be, with seats that nobody has claimed.
            for number = 0, limits.replicas - 1 do
                if redis.call('HEXISTS', holders, number) == 0 then
                    redis.call('ZADD', seats, get('began'), number)
                    redis.call('ZADD', answered, 0, number)
                    redis.call('HSET', holders, number, NOBODY)
                    redis.call('HSET', shares, number, '{}')
                end
            end
        end
    end
end
local is_settled = get('is_settled') == 1

local function own_share(name, limit)
    return limit >= 0 and math.floor(limit / limits.replicas) or -1
end

-- What the holder of a seat goes by alone. Of one that nobody has claimed that is not known, so it is taken for ours.
local function share_of(number, name, limit)
    local share = cjson.decode(redis.call('HGET', shares, number) or '{}')[name]
    return math.max(0, share or own_share(name, limit))
end

local function are_shares_left()
    local taken = redis.call('ZRANGE', seats, 0, -1)
    local function is_left(name, limit)
        local sum = own_share(name, limit)
        for _, number in ipairs(taken) do
            sum = sum + share_of(number, name, limit)
        end
        return sum <= limit
    end
    for _, rate in ipairs(RATES) do
        local limit = limit_of(rate)
        if limit >= 0 and not is_left(rate, limit) then
            return false
        end
    end
    return limits.slots < 0 or is_left('slots', limits.slots)
end

if not seat and is_settled and redis.call('ZCARD', seats) < limits.replicas and are_shares_left() then
    for number = 0, limits.replicas - 1 do
        if redis.call('HEXISTS', holders, number) == 0 then
            take(number, now)
            break
        end
    end
end
if seat then
    redis.call('ZADD', seats, now, seat)
    if message.answered_at and not message.join then
        redis.call('ZADD', answered, 'GT', math.min(now, tonumber(message.answered_at)), seat)
    end
    local own = { slots = own_share('slots', limits.slots) }
    for _, rate in ipairs(RATES) do
        own[rate] = own_share(rate, limit_of(rate))
    end
    redis.call('HSET', shares, seat, cjson.encode(own))
end

local admit = message.admit
if not admit then
    return answer('done')
end
if not is_settled then
    return answer('wait', get('settled_at') - now)
end
local closed_until = get('closed_until') or 0
if now < closed_until then
    return answer('wait', closed_until - now)
end

local silent = redis.call('ZRANGEBYSCORE', answered, '-inf', '(' .. string.format('%.0f', now - silent_after))

local function usable(name, limit)
    local held_back = 0
    for _, number in ipairs(silent) do
        held_back = held_back + share_of(number, name, limit)
    end
    return math.max(0, limit - held_back)
end

-- How long until a log has room; 0 where it has.
local function wait_for(rate)
    local limit = limit_of(rate)
    if limit < 0 then
        return 0
    end
    local log = log_of(rate)
    redis.call('ZREMRANGEBYSCORE', log, '-inf', now - limits.span)
    local count, most = redis.call('ZCARD', log), usable(rate, limit)
    if count < most then
        return 0
    end
    local last_to_go = redis.call('ZRANGE', log, count - most, count - most, 'WITHSCORES')
    local at = tonumber(last_to_go[2] or now)
    return math.max(1, at + limits.span - now)
end

local wait = 0
for _, rate in ipairs(RATES_OF[admit.kind]) do
    wait = math.max(wait, wait_for(rate))
end
if wait > 0 then
    return answer('wait', wait)
end

if admit.slot then
    redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
    if limits.slots >= 0 and redis.call('ZCARD', slots) >= usable('slots', limits.slots) then
        return answer('full')
    end
    keep(slots, now + limits.lease, admit.slot)
end
write(admit.kind, admit.member, now + limits.hold)
return answer('admitted')
