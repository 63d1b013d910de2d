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
    local is_new = redis.call('ZADD', members, now, replica) == 1
    if join.is_known then
        set('is_orphaned', 1, 'awaited', math.max(get('awaited'), join.recent))
        set('returned', get('returned') + (is_new and 1 or 0))
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

local function answer(word, results)
    for _, key in ipairs({ members, recent, seats, answered, holders, seat_of, shares }) do
        expire(key)
    end
    return cjson.encode({
        word = word,
        results = results,
        at = string.format('%.0f', now),
        seat = tonumber(seat or nil),
        present = redis.call('ZCOUNT', members, now - silent_after, '+inf'),
        recent = math.max(redis.call('ZCARD', recent), get('is_settled') == 0 and get('awaited') or 0),
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

if get('is_settled') == 0 then
    local is_known = get('is_empty') == 0 or get('is_orphaned') == 1
    local count = redis.call('ZCARD', members)
    local is_told = count >= limits.replicas
    if is_known then
        is_told = count >= redis.call('ZCARD', recent) and get('returned') >= get('awaited')
    end
    if is_told or now >= get('settled_at') then
        set('is_settled', 1)
        if get('is_empty') == 1 and is_known then
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

-- What the holder of a seat goes by alone. Of one that nobody has claimed that is not known, so it is taken
-- for ours.
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

local admits = message.admit
if not admits then
    return answer('done')
end

-- None of them, before so much time has gone by.
local function none_for(wait)
    local results = {}
    for index = 1, #admits do
        results[index] = math.max(1, math.ceil(wait))
    end
    return answer('done', results)
end

if not is_settled then
    return none_for(get('settled_at') - now)
end
local closed_until = get('closed_until') or 0
if now < closed_until then
    return none_for(closed_until - now)
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

-- By kind, how long those wait that come after one that has found no room.
local waits = {}

local function wait_of(kind)
    local wait = waits[kind] or 0
    if wait == 0 then
        for _, rate in ipairs(RATES_OF[kind]) do
            wait = math.max(wait, wait_for(rate))
        end
        waits[kind] = wait
    end
    return wait
end

local is_full = false

local function admit(request)
    local wait = wait_of(request.kind)
    if wait > 0 then
        return math.ceil(wait)
    end
    if request.slot then
        redis.call('ZREMRANGEBYSCORE', slots, '-inf', now)
        is_full = is_full or limits.slots >= 0 and redis.call('ZCARD', slots) >= usable('slots', limits.slots)
        if is_full then
            return FULL
        end
        keep(slots, now + limits.lease, request.slot)
    end
    write(request.kind, request.member, now + limits.hold)
    return ADMITTED
end

local results = {}
for index, request in ipairs(admits) do
    results[index] = admit(request)
end
return answer('done', results)
